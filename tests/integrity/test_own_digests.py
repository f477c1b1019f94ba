"""What a step of a vault proves of itself: its record, the record's copy, and what was added to it after the save."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast import Metric
from holdfast._record.annotations import annotation_line, annotations_of

W = np.arange(300, dtype=np.float32)


@pytest.fixture
def step(tmp_path: Path) -> Path:
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model={"w": W}, metrics={"a": 1.0}, blocking=True)
        vault.annotate(1, metrics=[Metric("b", 2.25, kind="evaluation"), Metric("c", float("nan"))])
        vault.annotate(1, metrics={"d": 3.5})
    return tmp_path / "run" / "step-00000001"


def _verified(step: Path) -> holdfast.CheckpointReport:
    (report,) = holdfast.verify(step).checkpoints
    return report


def _gaps(step: Path) -> list[str]:
    return [text for text in _verified(step).not_looked_at if str(step) in text]


def test_every_byte_of_a_step_is_proved(step: Path) -> None:
    report = _verified(step)
    assert (report.verdict, report.proof) == ("sound", "sealed")
    assert report.bytes_proved == report.bytes_total == sum(f.stat().st_size for f in step.iterdir())
    assert _gaps(step) == [] and not report.findings
    own = {
        Path(row["file"]).name: row["bytes"]
        for row in report.attributes["evidence"]
        if row["kind"] == "own digest"
    }
    assert set(own) == {"holdfast.json", "holdfast.json.copy", "metrics.jsonl"}


@pytest.mark.parametrize("name", ["holdfast.json", "holdfast.json.copy", "metrics.jsonl"])
def test_a_change_in_it_is_seen(step: Path, name: str) -> None:
    file = step / name
    data = bytearray(file.read_bytes())
    for at in range(3, len(data), max(1, len(data) // 12)):
        data[at] ^= 4
        file.write_bytes(data)
        report = _verified(step)
        assert report.bytes_proved < report.bytes_total, at
        assert "seal-damaged" in {f.slug for f in report.findings}, at
        assert all(f.severity == "warning" for f in report.findings), "the tensors are whole"
        data[at] ^= 4
    file.write_bytes(data)
    assert _verified(step).proof == "sealed"


def test_a_line_that_was_altered_is_passed_over_and_named(step: Path) -> None:
    file = step / "metrics.jsonl"
    file.write_text(file.read_text().replace("2.25", "9.25"))
    (finding,) = _verified(step).findings
    assert finding.code == "F110" and "line 1 of metrics.jsonl" in finding.message
    (checkpoint,) = holdfast.Vault(step.parent)
    assert checkpoint.metrics is not None
    assert "b" not in checkpoint.metrics and checkpoint.metrics["d"] == 3.5


def test_lines_of_before_are_read_and_said_to_be_unproved(step: Path) -> None:
    file = step / "metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        del row["digest"]
    rows[1]["record"] = "0" * 64
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (gap,) = _gaps(step)
    assert "line 1 names this record, but has no digest of its own" in gap
    assert "line 2 is about another record" in gap
    assert not _verified(step).findings
    (checkpoint,) = holdfast.Vault(step.parent)
    assert (
        checkpoint.metrics is not None and checkpoint.metrics["b"] == 2.25 and "d" not in checkpoint.metrics
    )


def test_a_torn_last_line_says_nothing_and_hides_nothing(step: Path) -> None:
    file = step / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    assert [f.code for f in _verified(step).findings] == ["F110"]
    with holdfast.Vault(step.parent) as vault:
        vault.annotate(1, metrics={"e": 4.5})
        (checkpoint,) = vault
    assert checkpoint.metrics is not None
    assert {"b", "e"} <= set(checkpoint.metrics) and "d" not in checkpoint.metrics


@pytest.mark.parametrize(
    "junk", [b"", b"\n\n", b"[1]\n", b"null\n", b"{}\n", b"\xff\xfe\n", b"[" * 9000 + b"\n"]
)
def test_lines_of_anything_else(junk: bytes) -> None:
    line = annotation_line("f" * 64, "now", {"a": 1.0}, None)
    found = annotations_of(junk + line, "f" * 64)
    assert [row["metrics"] for row in found.rows] == [{"a": 1.0}]
    assert found.proved == [(len(junk), len(junk) + len(line))]
    assert bool(found.wrong or found.others) is bool(junk.strip())
