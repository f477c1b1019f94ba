"""The record lies there twice: one damaged copy costs nothing and is told; both cost the step."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Vault
from holdfast._core.errors import DamagedCheckpoint, HoldfastError
from holdfast._record.copies import COPY, RECORD, load_either
from vault.crashing import state, tag_of

JUNK = {
    "gone": None,
    "empty": b"",
    "zeros": bytes(400),
    "not json": b'{"schema_version": 1, "kind": "record"',
    "no record": b"{}\n",
    "page of an error": b"<html><body>502</body></html>",
}


def saved(run: Path, *steps: int) -> Path:
    with Vault(run) as vault:
        for step in steps:
            vault.save(step, model=state(step), metrics={"loss": 1.0 / step}, blocking=True)
    return run / f"step-{steps[-1]:08d}"


def spoil(place: Path, how: str) -> None:
    data = JUNK.get(how)
    if how == "gone":
        place.unlink()
    elif how == "flipped":
        text = bytearray(place.read_bytes())
        text[len(text) // 2] ^= 2
        place.write_bytes(text)
    elif how == "edited":
        text = place.read_bytes()
        assert text.count(b'"loss": 0.5') == 1
        place.write_bytes(text.replace(b'"loss": 0.5', b'"loss": 0.1'))
    else:
        assert data is not None
        place.write_bytes(data)


def test_the_two_are_equal(tmp_path: Path) -> None:
    step = saved(tmp_path, 1)
    assert (step / RECORD).read_bytes() == (step / COPY).read_bytes()
    assert (step / RECORD).stat().st_ino != (step / COPY).stat().st_ino
    report = holdfast.examine(step)
    assert (report.verdict, report.findings) == ("sound", ())
    assert Vault(tmp_path).checkpoints()[0].note is None


@pytest.mark.parametrize("how", [*JUNK, "flipped", "edited"])
def test_a_damaged_record_is_read_from_its_copy(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    step = saved(tmp_path, 1, 2)
    before = (step / COPY).read_bytes()
    spoil(step / RECORD, how)
    with Vault(tmp_path, Keep(last=2)) as vault:
        found = vault.checkpoints()[1]
        assert found.fault is None
        assert found.note is not None
        assert found.note.startswith("holdfast.json cannot be used")
        assert found.metrics == {"loss": 0.5}
        vault.annotate(2, metrics={"acc": 1.0})
        assert vault.checkpoints()[1].metrics == {"loss": 0.5, "acc": 1.0}
        model = {name: np.zeros_like(value) for name, value in state(0).items()}
        with caplog.at_level(logging.WARNING):
            outcome = vault.restore(model=model)
        assert outcome is not None
        assert outcome.passed_over == ()
        assert model["tag"][0] == 2
        assert [f.code for f in outcome.findings] == ["F110"]
        assert "its copy is whole" in caplog.text
        assert "step-00000002" in caplog.text
        vault.save(3, model=state(3), blocking=True)
        assert [c.step for c in vault] == [2, 3], "it counts like any other"
        assert tag_of(vault) == 3
    for report in (holdfast.examine(step), holdfast.verify(step)):
        assert [f.code for f in report.findings] == ["F110"]
        assert report.verdict != "damaged"
        assert "its copy is whole" in report.findings[0].message
        assert report.findings[0].remedy == (
            f"Nothing is lost: `cp -f {step / COPY} {step / RECORD}` makes it whole again."
        )
    with holdfast.open(step) as opened:
        assert opened.format == "holdfast-step"
        assert opened.read("w").tobytes() == state(2)["w"].tobytes()
    assert (step / COPY).read_bytes() == before, "a committed step is not repaired in place"


@pytest.mark.parametrize("how", [*(how for how in JUNK if how != "gone"), "flipped", "edited"])
def test_a_damaged_copy_is_told_and_the_record_is_used(tmp_path: Path, how: str) -> None:
    step = saved(tmp_path, 1, 2)
    spoil(step / COPY, how)
    found = Vault(tmp_path).checkpoints()[1]
    assert found.fault is None
    assert found.note is not None
    assert "holdfast.json itself is whole" in found.note
    report = holdfast.examine(step)
    assert [f.code for f in report.findings] == ["F110"]
    assert report.findings[0].severity == "warning"
    assert tag_of(Vault(tmp_path)) == 2


def test_a_copy_that_is_not_there_is_no_matter(tmp_path: Path) -> None:
    """The first versions wrote none."""
    step = saved(tmp_path, 1)
    (step / COPY).unlink()
    assert Vault(tmp_path).checkpoints()[0].note is None
    assert holdfast.examine(step).findings == ()
    assert tag_of(Vault(tmp_path)) == 1


@pytest.mark.parametrize("how", [*JUNK, "flipped"])
def test_with_both_damaged_the_step_is(tmp_path: Path, how: str) -> None:
    step = saved(tmp_path, 1, 2)
    for name in (RECORD, COPY):
        spoil(step / name, how)
    vault = Vault(tmp_path)
    assert vault.checkpoints()[1].fault is not None
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = vault.restore(model=model)
    assert outcome is not None
    assert [name for name, _ in outcome.passed_over] == ["step-00000002"]
    assert model["tag"][0] == 1
    assert not step.exists(), "set aside"


def test_damage_of_the_tensors_is_seen_by_the_copy_as_well(tmp_path: Path) -> None:
    step = saved(tmp_path, 1, 2)
    spoil(step / RECORD, "zeros")
    data = bytearray((step / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (step / "model.safetensors").write_bytes(data)
    report = holdfast.verify(step)
    assert {f.code for f in report.findings} == {"F102", "F110"}
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = Vault(tmp_path).restore(model=model)
    assert outcome is not None
    assert [name for name, _ in outcome.passed_over] == ["step-00000002"]


def test_a_copy_of_another_step_is_told(tmp_path: Path) -> None:
    step = saved(tmp_path, 1, 2)
    (step / COPY).write_bytes((tmp_path / "step-00000001" / RECORD).read_bytes())
    assert [f.code for f in holdfast.examine(step).findings] == ["F110"]
    assert tag_of(Vault(tmp_path)) == 2


def test_a_disk_that_gives_an_error_for_one(tmp_path: Path) -> None:
    step = saved(tmp_path, 1)

    def read(bad: str, name: str) -> bytes:
        if name == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return (step / name).read_bytes()

    first = load_either(lambda name: read(RECORD, name), str)
    assert (first.name, first.other) == (COPY, RECORD)
    assert first.trouble is not None
    assert "Input/output error" in first.trouble
    second = load_either(lambda name: read(COPY, name), str)
    assert second.name == RECORD
    assert (
        second.trouble
        == "holdfast.json.copy cannot be read (Input/output error); holdfast.json itself is whole"
    )
    with pytest.raises(OSError, match="Input/output"):
        load_either(lambda name: read(name, name), str)


def test_opened_by_either_name(tmp_path: Path) -> None:
    step = saved(tmp_path, 1)
    for name in (RECORD, COPY):
        with holdfast.open(step / name) as found:
            assert found.read("w").tobytes() == state(1)["w"].tobytes()
    for name in (RECORD, COPY):
        (step / name).write_bytes((step / name).read_bytes().replace(b'"float32"', b'"float16"', 1))
    with pytest.raises((DamagedCheckpoint, HoldfastError), match="record cannot be used"):
        holdfast.open(step)
