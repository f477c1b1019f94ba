"""Long texts: bounded work, and nothing that counts is lost by folding them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holdfast
from holdfast._diagnose import knowledge
from holdfast._diagnose.diagnose import BARE
from holdfast._diagnose.folding import GAP, MOST, shortened, stays
from holdfast._diagnose.knowledge import entries
from holdfast._diagnose.reading import Reading, on_one_line, read_text
from holdfast._diagnose.searching import LONGEST, NEAR, PLACES, WHOLE, bounded, compiled, nearby, spans

MEGABYTE = 1 << 20
TRACE = (
    'Traceback (most recent call last):\n  File "/a/t{0}.py", line 3, in load_{0}\n    torch.load(x)\n{1}\n'
)
EOF_ERROR = "EOFError: Ran out of input"
ZIP = "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory"


def letters(number: int) -> str:
    """A word of its own for each number, without digits."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def filled(line: str, size: int = MEGABYTE) -> list[str]:
    """Lines ``line.format(n, word)``, together of ``size`` characters."""
    found: list[str] = []
    while size > 0:
        found.append(line.format(len(found), letters(len(found))))
        size -= len(found[-1]) + 1
    return found


NOISE = {
    "alike": filled("Error: step {0} failed, retry"),
    "all different": filled("Error: the {1} of {1} is no {1}, retry"),
    "tracebacks": "".join(TRACE.format(letters(n), f"ValueError: {letters(n)}") for n in range(9600)).split("\n"),
    "warnings": filled("2026-11-21 10:00 WARNING {1} was slow"),
    "ordinary": filled("step {0} of epoch {1}: loss 0.5, checkpoint kept"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        *((kind, where) for kind in NOISE for where in (0.0, 0.999, 1.0)),
        # of more failures than can be read, those of the middle are left out
        *((kind, where) for kind in ("alike", "warnings", "ordinary") for where in (0.05, 0.3, 0.7)),
    ],
)
def test_the_only_failure_with_a_cause_is_found_wherever_it_stands(kind: str, where: float) -> None:
    lines = list(NOISE[kind])
    at = round(where * len(lines))
    found = holdfast.diagnose("\n".join([*lines[:at], ZIP, *lines[at:]]), files=False)
    assert "corrupt" in [cause.label for cause in found.causes[:3]]


@pytest.mark.parametrize("kind", NOISE)
def test_the_first_failure_and_the_last_are_never_left_out(kind: str) -> None:
    lines = [line for line in NOISE[kind] if kind != "tracebacks"]
    quiet = filled("all is well with {1} and {1}", MOST)
    first, last = TRACE.format("first", EOF_ERROR), TRACE.format("last", ZIP)
    reading = read_text("\n".join([*quiet, first, *lines, *NOISE["warnings"], last, *quiet]))
    assert first in reading.text
    assert last in reading.text
    assert len(reading.text) < 1.5 * MOST
    assert GAP not in [line for one in reading.raised for line in one.message.split("\n")]
    names = [frame.name for frame in reading.frames]
    assert (names[0], names[-1]) == ("load_first", "load_last")


def test_what_was_left_out_is_said_and_of_a_shorter_text_nothing_is() -> None:
    found = holdfast.diagnose("\n".join([*NOISE["alike"], ZIP]), files=False)
    assert re.match(r"Of 1,048,\d+ characters [\d,]+ were read", found.left_out)
    assert found.as_document()["left_out"] == found.left_out
    text = "\n".join([*filled("all is {1}", MOST - 200), ZIP])
    assert len(text) < MOST
    assert read_text(text).text == text
    assert holdfast.diagnose(text, files=False).left_out == ""


def test_lines_alike_but_for_numbers_are_read_twice() -> None:
    lines = [*filled("Error: step {0} failed"), "all is over"]
    kept = stays(lines)
    numbers = [n for stretch in kept for n in stretch]
    assert numbers == sorted(set(numbers))
    assert sum(len(lines[n]) for n in numbers) <= MOST
    assert numbers[0] == 0
    assert numbers[-1] == len(lines) - 1
    one = filled("Error: step {0} failed", MOST)
    half = len(one) // 2
    kept = stays([*one[:half], "the odd one out", *one[half:]])
    assert any(half in stretch for stretch in kept)


def test_of_a_long_line_both_lists_of_keys_are_kept() -> None:
    keys = [f'"module.layer{n}.weight"' for n in range(16_000)]
    line = (
        f"RuntimeError: Error(s) in loading state_dict for Net: Missing key(s) in state_dict: {', '.join(keys)}. "
        f"Unexpected key(s) in state_dict: {', '.join(key.replace('module.', '') for key in keys)}."
    )
    short = shortened(line)
    assert len(short) < 1 << 15
    assert "Missing key(s)" in short
    assert 'Unexpected key(s) in state_dict: "layer0.weight", "layer1.weight"' in short
    assert short.endswith('"layer15999.weight".')
    assert GAP in short
    assert holdfast.diagnose(line, files=False).causes[0].label == "renamed"
    assert shortened("x" * 1000) == "x" * 1000


class Counted:
    """A pattern that counts the characters that it is asked to look at."""

    looked = 0
    searches = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern

    def search(self, text: str, start: int = 0, stop: int | None = None) -> Any:
        Counted.searches += 1
        Counted.looked += (len(text) if stop is None else min(stop, len(text))) - start
        return self.pattern.search(text, start) if stop is None else self.pattern.search(text, start, stop)


@pytest.mark.parametrize("kind", [*NOISE, "examples"])
def test_a_megabyte_takes_bounded_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tuple(entries())
    lines = NOISE.get(kind) or [f"{letters(n)}: {entry.example}" for n in range(14) for entry in known]
    text = "\n".join(lines)
    assert len(text) > MEGABYTE - 1000
    monkeypatch.setattr(knowledge, "compiled", lambda pattern: Counted(compiled(pattern)))
    monkeypatch.setattr(Counted, "looked", 0)
    monkeypatch.setattr(Counted, "searches", 0)
    reading = read_text(text)
    assert len(reading.text) < 1.3 * MOST
    for entry in known:
        entry.look(reading)
    # twice: what stands above a traceback is looked for again below it
    assert Counted.looked <= 2 * len(known) * 2 * (24 << 10)
    assert Counted.looked < 0.02 * len(known) * MEGABYTE
    if kind == "examples":
        assert Counted.looked > 0


def test_around_the_words_at_both_ends() -> None:
    lower = "word " + "x" * 50_000 + " word " + "x" * 50_000 + " word"
    found = spans(lower, ["word"])
    assert [lower[low:high].count("word") for low, high in found] == [1, 1, 1]
    assert all(high - low <= 2 * NEAR + 4 for low, high in found)
    assert spans(lower, ["word"], 50_010)[0][0] >= 50_010
    many = spans("word " * 100_000, ["word"])
    assert len(many) <= 2 * PLACES
    assert all(one[1] < other[0] for one, other in pairwise(many))
    assert (many[0][0], many[-1][1] >= 499_999) == (0, True)


def test_the_last_place_is_looked_at_first_and_the_end_of_a_stretch_is_no_end() -> None:
    text = "fault one " + "x " * WHOLE + "fault two " + "x " * WHOLE
    reading = Reading(text, (), ())
    found = nearby(re.compile(r"fault (\w+)"), reading, ["fault"])
    assert found is not None
    assert found[1] == "two"
    assert (
        nearby(re.compile(r"fault[\w ]+x ?$"), Reading("fault " + "x " * WHOLE + ".", (), ()), ["fault"])
        is None
    )
    short = nearby(re.compile(r"fault (\w+)"), Reading(text[:100], (), ()), ["fault"])
    assert short is not None
    assert short[1] == "one"


@pytest.mark.parametrize("number", range(10))
def test_an_entry_finds_its_example_in_a_long_text(number: int) -> None:
    filler = " and so on" * (WHOLE // 8)
    for entry in tuple(entries())[number::10]:
        alone = entry.look(read_text(entry.example))
        if entry.where is None and entry.weigh is None and not entry.only_in:
            long = entry.look(read_text(f"{filler}\n{entry.example}\n{filler}"))
            assert [one.label for one in long][:1] == [one.label for one in alone][:1], entry.slug


def test_classes_are_repeated_within_bounds() -> None:
    assert bounded(r"\w*state") == rf"\w{{0,{LONGEST}}}state"
    assert bounded(r"'([^'\]]+)'") == rf"'([^'\]]{{1,{LONGEST}}})'"
    assert bounded(r"\s*?") == rf"\s{{0,{LONGEST}}}?"
    assert bounded(r"a\\w*b\[x]+.{0,3}") == r"a\\w*b\[x]+.{0,3}"
    for entry in entries():
        flat = read_text(entry.example).flat
        found = re.search(entry.pattern, flat, re.IGNORECASE)
        assert found is not None, entry.slug
        same = compiled(entry.pattern).search(flat)
        assert same is not None, entry.slug
        assert (same.span(), same.groups()) == (found.span(), found.groups()), entry.slug


_PARTS = st.sampled_from(
    [
        "a", "A", "0", " ", "\t", "\n", ".", "/", "_", "-", '"', "'", "(", "[", "\x1b", "\x1b]", "\x1b[3", "é", "İ", "\u2028",
        "\r", "\x00", "Error", "aError: ", "Traceback (most recent call last):\n", '  File "a", line 1, in f\n', "Error: x\n",
        "[rank0]: ", "(pid=1) ", "> ", "a/b.pt ", "Missing key(s) in state_dict: ", "size mismatch for a: ", "load_state_dict(",
        "I saved the model and after loading the checkpoint ",
    ]
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(_PARTS, st.integers(1, 4000)), min_size=1, max_size=6))
def test_a_text_of_repeated_parts_is_read_and_diagnosed(parts: list[tuple[str, int]]) -> None:
    text = "".join(part * count for part, count in parts)
    reading = read_text(text)
    assert "\n" not in reading.flat
    assert len(reading.text) <= max(len(text), 1.5 * MOST)
    found = holdfast.diagnose(text, files=False)
    assert found.is_checkpoint_failure or found.causes == () or found.note == BARE


@given(st.text(alphabet=" \t\n\x0b\x1c\u2028ab", max_size=60))
def test_on_one_line_is_what_the_pattern_says(text: str) -> None:
    assert on_one_line(text) == re.sub(r"\s*\n\s*", " ", text)
