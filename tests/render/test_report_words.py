"""How a report speaks: headlines that claim no more than was proved, units, evidence without jargon."""

from __future__ import annotations

from holdfast._core.finding import Place, Report
from holdfast._render import Page, render
from holdfast._render.document import report_document
from render.builders import checkpoint, finding


def text_of(*checkpoints: object, command: str = "doctor", **options: object) -> str:
    return render(report_document(Report(checkpoints, command=command)), **options)  # type: ignore[arg-type]


def not_readable(path: str) -> object:
    found = finding(code="E101", slug="not-readable", severity="note", where=Place(), evidence={}, tensors=())
    return checkpoint(found, path=path, format="orbax", verdict="unknown", tensors=0, loads=None, lost=None)


def test_a_shallow_look_does_not_say_that_there_are_no_checksums() -> None:
    text = text_of(checkpoint(proof="structure-only", attributes={"depth": "header"}))
    assert "checksums and values not looked at (depth header)" in text
    assert "carry no checksums" not in text
    assert "carry no checksums" in text_of(checkpoint(proof="structure-only", attributes={"depth": "full"}))


def test_a_known_format_without_reader_is_not_called_unrecognised() -> None:
    assert "run/ck  not read" in text_of(not_readable("run/ck"))
    many = text_of(not_readable("run/a b"), not_readable("run/c"), checkpoint())
    rows = many.splitlines()
    assert sum(row.startswith("? run/") for row in rows) == 2
    assert "error" not in many
    assert rows[-2:] == [
        "3 checkpoints: 1 sound, 2 unknown",
        "what reads the others: holdfast doctor 'run/a b'",
    ]


def test_the_other_unknowns() -> None:
    strange = finding(code="F128", slug="not-recognised")
    assert "not recognised" in text_of(checkpoint(strange, verdict="unknown", format=None)).splitlines()[0]
    left = finding(code="F116", slug="leftover", severity="note")
    assert "no checkpoint here" in text_of(checkpoint(left, verdict="unknown", format=None)).splitlines()[0]
    denied = finding(code="F109", slug="unreadable")
    assert "not read" in text_of(checkpoint(denied, verdict="unknown", format=None)).splitlines()[0]


def test_numbers_bear_their_units() -> None:
    cut = finding(code="F101", slug="truncated", evidence={"seen": 758, "expected": 1_000_818, "missing": 60})
    rows = [row.strip() for row in text_of(checkpoint(cut)).splitlines()]
    assert "seen      758 bytes" in rows
    assert "expected  1,000,818 bytes" in rows
    assert not any("missing" in row for row in rows)  # the headline has it
    assert any("missing 60" in row for row in text_of(checkpoint(cut), verbose=True).splitlines())
    pointer = finding(
        message="a pointer for 438007537 bytes", evidence={"seen": "9999 bytes of ckpt-12345 bytes"}
    )
    text = text_of(checkpoint(pointer))
    assert "438,007,537 bytes" in text
    assert "ckpt-12345 bytes" in text


def test_evidence_reads_as_words() -> None:
    globals_ = [{"module": "gym.spaces.box", "name": "Box", "position": 1304}]
    text = text_of(checkpoint(finding(evidence={"seen": globals_, "expected": {"a/kernel": "1 of 2"}})))
    assert "gym.spaces.box.Box at byte 1,304" in text
    assert "a/kernel: 1 of 2" in text
    assert "{" not in text


def test_tensors_behind_a_wrong_checksum_are_not_said_to_load_as_they_were() -> None:
    whole = finding(tensors=(), where=Place("m.keras", 10, None))
    assert "trust none" in " ".join(text_of(checkpoint(whole, lost=())).split())
    assert "trust none" not in text_of(checkpoint(finding()))


def test_findings_of_the_same_rule_are_counted_by_the_headline_alone() -> None:
    more = tuple(finding(message=f"again {i}") for i in range(9))
    assert "so also" not in text_of(checkpoint(finding(related=more)))
    assert "again 7" in text_of(checkpoint(finding(related=more)), verbose=True)


def test_the_next_command_is_ready_to_paste() -> None:
    text = text_of(checkpoint(path="my run/it's", attributes={"depth": "full"}))
    assert "holdfast seal 'my run/it'\"'\"'s'" in [row.strip() for row in text.splitlines()]
    assert "holdfast seal" not in text_of(checkpoint(path="a", proof="sealed"))
    assert "holdfast seal" not in text_of(checkpoint(finding()))


def test_a_long_headline_breaks_between_its_parts_on_a_terminal() -> None:
    page = Page(width=60, shorten=True)
    rows = text_of(checkpoint(path="runs/" + "x" * 40), page=page).splitlines()
    assert rows[0].endswith("  sound")
    assert rows[1] == "  the bytes of all tensors match their checksums"
