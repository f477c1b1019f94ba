from __future__ import annotations

import json

from holdfast._core.finding import Place, Report
from holdfast._render import Page, render
from holdfast._render.document import report_document
from render.builders import EVIL, checkpoint, finding


def text_of(*checkpoints: object, command: str = "doctor", **options: object) -> str:
    return render(report_document(Report(checkpoints, command=command)), **options)  # type: ignore[arg-type]


def test_the_document_has_the_fields_of_the_contract() -> None:
    report = Report((checkpoint(finding(related=(finding(code="N101"),))), checkpoint()))
    document = json.loads(render(report, "json"))
    assert document["schema_version"] == 1
    assert document["command"] == "doctor"
    first = document["checkpoints"][0]
    assert {"path", "format", "verdict", "proof", "findings"} <= set(first)
    found = first["findings"][0]
    assert {"code", "slug", "severity", "message", "where", "evidence", "cause", "remedy"} <= set(found)
    assert found["where"] == {
        "file": "run/ckpt-3.data-00000-of-00001",
        "offset": 40960,
        "tensor": "encoder/kernel",
    }
    assert found["related"][0]["code"] == "N101"
    assert document["summary"] == {"checkpoints": 2, "verdicts": {"damaged": 1, "sound": 1}}


def test_a_finding_stands_with_place_evidence_cause_and_a_command() -> None:
    lines = text_of(checkpoint(finding())).splitlines()
    assert lines[0].startswith("✘ run/ckpt-3  damaged")
    rows = [line.strip() for line in lines]
    assert "error F102 checksum" in rows
    assert any(row.startswith("at ") and "byte 40,960, tensor encoder/kernel" in row for row in rows)
    assert any(row.split() == ["seen", "0x8f3c1a22"] for row in rows)
    assert any(row.split() == ["expected", "0x11d0aa37"] for row in rows)
    assert "holdfast doctor run" in rows  # alone on its line, ready to paste
    assert any(row.startswith("still loads") and "22 of 24 tensors" in row for row in rows)
    assert any(row.startswith("lost") and "encoder/kernel, encoder/bias" in row for row in rows)
    assert any(row.startswith("not looked at") for row in rows)


def test_sound_ones_take_a_line_each_and_the_sum_stands_last() -> None:
    many = [checkpoint(path=f"run/ckpt-{i}") for i in range(9)]
    text = text_of(
        *many, checkpoint(finding(), path="run/bad"), checkpoint(path="x", verdict="unknown", format=None)
    )
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("✔")] == lines[:9]
    assert lines[-1] == "11 checkpoints: 9 sound, 1 unknown, 1 damaged"
    quiet = text_of(*many, checkpoint(finding(), path="run/bad"), quiet=True)
    assert "✔" not in quiet
    assert "run/bad" in quiet


def test_folded_findings_are_named_beneath_their_root() -> None:
    related = tuple(finding(code=f"T10{i}", message=f"consequence {i}") for i in range(5))
    text = text_of(checkpoint(finding(related=related)))
    assert "5 findings that follow from this one" in text
    assert "consequence 2" in text
    assert "consequence 4" not in text
    assert "consequence 4" in text_of(checkpoint(finding(related=related)), verbose=True)


def test_remedies_without_a_command_stay_sentences() -> None:
    text = text_of(checkpoint(finding(remedy="Without it: `torch.load(path)`. Then go on.")))
    assert "Without it: `torch.load(path)`. Then go on." in text


def test_verify_tells_what_proved_how_many_bytes() -> None:
    text = text_of(
        checkpoint(
            proof="partial",
            bytes_proved=500,
            bytes_total=1000,
            attributes={
                "evidence": [
                    {"kind": "crc32", "file": "a", "bytes": 300},
                    {"kind": "crc32", "file": "a", "bytes": 200},
                ]
            },
            not_looked_at=("run/ckpt-3.index: no checksum",),
        ),
        command="verify",
    )
    assert "checksums cover 50.0 % of the bytes" in text
    assert "500 B of 1.0 kB (50.0 %)" in text
    assert "crc32" in text
    assert "run/ckpt-3.index: no checksum" in text


def test_narrow_and_wide_terminals() -> None:
    for width in (50, 80, 160):
        text = text_of(checkpoint(finding(message="word " * 60)), page=Page(width=width))
        assert max(map(len, text.splitlines())) <= max(width, 74), (
            width
        )  # headline and place may be longer words


def test_hostile_names_in_findings() -> None:
    bad = finding(
        message=EVIL, where=Place(EVIL, 3, EVIL), evidence={EVIL: EVIL}, remedy=EVIL, tensors=(EVIL, EVIL)
    )
    text = text_of(checkpoint(bad, path=EVIL, lost=(EVIL,)))
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\u202e" not in text
    text.encode("utf-8")
    coloured = text_of(checkpoint(bad, path=EVIL), color=True)
    assert "\x1b]0" not in coloured
    assert "\x1b[31mD" not in coloured
