"""What a text is like, word by word, where no known cause fills the first three places."""

from __future__ import annotations

import math

import pytest

import holdfast
from holdfast._diagnose.by_reports import (
    by_reports,
    like_a_checkpoint_failure,
    like_something_else,
    likeness,
    terms,
)
from holdfast._diagnose.knowledge import LITERALS, Guess, entries, entries_for, literals
from holdfast._diagnose.reading import read_text
from holdfast._facts.causes import CAUSES
from holdfast._facts.report_words import ELSEWHERE, report_words


def test_the_table_is_whole() -> None:
    table = report_words()
    assert set(table.labels) == {*CAUSES, ELSEWHERE}
    assert len(table.bias) == len(table.labels)
    assert len(table.rows) > 5000
    assert table.rows == sorted(table.rows)
    for word in (row.partition("\t")[0] for row in table.rows):
        found = table.of(word)
        assert found is not None
        rarity, weights = found
        assert rarity > 0
        assert weights
        assert all(0 <= label < len(table.labels) and math.isfinite(weight) for label, weight in weights)
        assert len(word.split()) <= 2, "words and pairs, no sentences"


def test_terms_are_words_pairs_parts_and_endings() -> None:
    found = terms("KeyError: load_state_dict of 0xdeadbeef in 27 model.PTH")
    assert {"keyerror", "load_state_dict", "0", "of hexaddr", "~state", "~error", ".pth", "hexaddr"} <= found
    assert "27" not in found


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("disk quota of this bucket is used up, no space left while the checkpoint is uploaded", "storage"),
        ("the central directory of the saved archive is truncated", "corrupt"),
        ("size of kernel in the checkpoint is [4, 7], in the model it is [4, 9]", "shape-mismatch"),
    ],
)  # fmt: skip
def test_words_of_reports_speak_for_their_cause(text: str, label: str) -> None:
    like = likeness(terms(text))
    assert abs(sum(like.chances.values()) - 1) < 1e-9
    assert label in sorted(like.chances, key=lambda one: -like.chances[one])[:3]
    assert like.elsewhere < 0.3
    assert like.words[label], "the words that speak for it are told"


def test_free_places_are_filled_and_nothing_stands_above_what_is_known() -> None:
    reading = read_text("the zip archive is truncated")
    held = [Guess("storage", 0.5, "", "")]
    found = by_reports(reading, held)
    assert len(found) == 2
    assert all(guess.label != "storage" and guess.confidence <= 0.5 for guess in found)
    assert all("in public reports" in guess.why and guess.remedy for guess in found)
    three = [Guess(label, 0.5, "", "") for label in ("storage", "corrupt", "memory")]
    assert by_reports(reading, three) == []


def test_a_likeness_is_never_called_likely() -> None:
    found = holdfast.diagnose(
        "restored weights blob disagrees with the saved variables of the checkpoint", files=False
    )
    assert found.is_checkpoint_failure
    assert all(cause.status == "possible" for cause in found.causes if "public reports" in cause.why)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xyzzy plugh",
        "KeyError: 'userid'",
        "AttributeError: property 'name' of 'Reader' object has no setter",
        'Traceback (most recent call last):\n  File "t.py", line 4, in forward\n    x = self.load(x)\n'
        "KeyError: 'model.weight'",
    ],
)
def test_other_failures_are_not_claimed_by_their_words(text: str) -> None:
    assert not like_a_checkpoint_failure(read_text(text))


FORWARD = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x512 and 784x10)"


def test_a_weak_cause_is_overruled_by_words_of_something_else_and_a_sure_one_is_not() -> None:
    reading = read_text(FORWARD)
    assert like_something_else(reading, [Guess("shape-mismatch", 0.6, "", "")])
    assert not like_something_else(
        read_text("load_state_dict: " + FORWARD), [Guess("shape-mismatch", 0.6, "", "")]
    )
    unclear = read_text("the central directory of the saved archive is truncated")
    assert not like_something_else(unclear, [Guess("corrupt", 0.6, "", "")])


def test_the_literal_words_of_all_modules_are_written_down() -> None:
    assert LITERALS.read_text("utf-8") == literals(), "run `python docs/generate_commands.py`"


@pytest.mark.parametrize("number", range(0, 1000, 50))
def test_no_entry_is_missed_by_importing_only_what_can_speak(number: int) -> None:
    known = tuple(entries())
    for entry in known[number : number + 50 : 7]:
        assert entry in tuple(entries_for(read_text(entry.example)))
