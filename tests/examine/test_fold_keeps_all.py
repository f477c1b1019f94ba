"""Folding loses nothing: every finding is in the result or under its root, and nothing becomes less grave."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Finding, Place
from holdfast._core.finding import severity_rank
from holdfast._examine.fold import fold
from holdfast._rules.registry import rules

SLUGS = [(rule.code, rule.slug) for rule in rules()]
FILES = [None, "a.npz", "a.npz:x.npy", "b.bin"]
TENSORS = [None, "w", "v"]


@st.composite
def finding(draw: st.DrawFn) -> Finding:
    code, slug = draw(st.sampled_from(SLUGS))
    tensor = draw(st.sampled_from(TENSORS))
    return Finding(
        code,
        slug,
        draw(st.sampled_from(["error", "warning", "note"])),
        f"message {draw(st.integers(0, 10**9))}",
        Place(draw(st.sampled_from(FILES)), draw(st.sampled_from([None, 0, 100, 2337])), tensor),
        tensors=draw(st.sampled_from([(), ("w",), ("v", "w")])),
    )


def everything(findings: list[Finding]) -> Iterator[Finding]:
    for found in findings:
        yield found
        yield from everything(list(found.related))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(finding(), max_size=12))
def test_nothing_vanishes(findings: list[Finding]) -> None:
    folded = fold(findings)
    kept = {f.message.split(" (and ")[0] for f in everything(folded)}
    assert {f.message for f in findings} <= kept
    worst = min((severity_rank(f.severity) for f in findings), default=None)
    assert min((severity_rank(f.severity) for f in folded), default=None) == worst


def test_two_cut_members_do_not_take_each_other_away() -> None:
    """A flipped bit in a zip's directory: reader and check both told of the cut member, and neither was left."""
    places = [Place("w.npz:bytes.npy", 1191, "bytes"), Place("w.npz", 1191), Place("w.npz", 2337)]
    findings = [
        Finding("F101", "truncated", "error", "reader", places[0]),
        Finding("F101", "truncated", "error", "check", places[1], tensors=("bytes",)),
        Finding("F102", "checksum", "error", "seal", places[2]),
    ]
    assert {f.message for f in everything(fold(findings))} == {"reader", "check", "seal"}
