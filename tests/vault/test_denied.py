"""Steps that may not be read: they are not known to be damaged, and nothing is restored from an earlier one instead."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Vault

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "seteuid"), reason="rights of POSIX"
)
_NOBODY = 65534


def model(value: float) -> dict[str, Any]:
    return {"w": np.full(4, value, "f4")}


@pytest.fixture
def run() -> Iterator[Path]:
    """Three steps of a user who is not root, in a folder that every user can come to."""
    with tempfile.TemporaryDirectory() as folder:
        yield _made(Path(folder))


def _made(folder: Path) -> Path:
    run = folder / "run"
    with Vault(run) as vault:
        for step in (1, 2, 3):
            vault.save(step, model=model(step), blocking=True)
    with Vault(run) as vault:
        vault.restore(model=model(0))  # what it imports may lie where nobody may look
    holdfast.examine(run)
    if os.geteuid() == 0:
        for base, _, files in os.walk(folder):
            for name in (base, *(os.path.join(base, n) for n in files)):
                os.chown(name, _NOBODY, _NOBODY)
    return run


@contextmanager
def nobody(*denied: Path, mode: int = 0o000) -> Iterator[None]:
    """As a user who may not read these, or only as ``mode`` says."""
    mine = os.geteuid()
    for path in denied:
        path.chmod(mode)
    if mine == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if mine == 0:
            os.seteuid(0)
        for path in denied:
            path.chmod(0o755)


WHAT: dict[str, Callable[[Path], list[Path]]] = {
    "the record": lambda step: [*step.glob("*holdfast*")],
    "the weights": lambda step: [step / "model.safetensors"],
    "the folder": lambda step: [step],
}


@pytest.mark.parametrize("what", WHAT)
def test_a_restart_does_not_go_back_behind_a_step_that_it_may_not_read(run: Path, what: str) -> None:
    live, names = model(0), sorted(os.listdir(run))
    with nobody(*WHAT[what](run / "step-00000003")), Vault(run) as vault:
        with pytest.raises(holdfast.RestoreRefused, match="may not be read") as caught:
            vault.restore(model=live, or_start_fresh=True)
        assert (live["w"] == 0).all()
        (finding,) = caught.value.findings
        assert finding.code == "F109" and "restore(step=2)" in (finding.remedy or "")
        outcome = vault.restore(step=2, model=live)  # the way out that it names
    assert outcome is not None and (live["w"] == 2).all()
    assert sorted(os.listdir(run)) == names  # and nothing is set aside as damaged


def test_an_earlier_step_that_may_not_be_read_is_of_no_concern(run: Path) -> None:
    live = model(0)
    with nobody(run / "step-00000002"), Vault(run) as vault:
        outcome = vault.restore(model=live)
    assert outcome is not None and outcome.passed_over == () and (live["w"] == 3).all()


def test_a_damaged_step_is_passed_over_as_before(run: Path) -> None:
    (run / "step-00000003" / "model.safetensors").write_bytes(b"no weights")
    live = model(0)
    with Vault(run) as vault:
        outcome = vault.restore(model=live)
    assert outcome is not None and [name for name, _ in outcome.passed_over] == ["step-00000003"]
    assert (live["w"] == 2).all()


def test_weights_below_a_record_that_may_not_be_read_are_no_checkpoint_of_their_own(run: Path) -> None:
    with nobody(*WHAT["the record"](run / "step-00000003")):
        report = holdfast.examine(run)
        with pytest.raises(holdfast.HoldfastError, match="Permission denied"):
            holdfast.restore(run / "step-00000003", model=model(0))
    told = {Path(c.path).name: c for c in report.checkpoints}
    assert told["step-00000003"].verdict == "unknown"
    assert "F109" in [f.code for f in told["step-00000003"].findings]
    assert {told["step-00000001"].verdict, told["step-00000002"].verdict} == {"sound"}


def _asks(run: Path) -> dict[str, Callable[[Vault], Any]]:
    return {
        "checkpoints": Vault.checkpoints,
        "latest": lambda vault: vault.latest,
        "history": Vault.history,
        "scrub": lambda vault: vault.scrub(),
        "annotate": lambda vault: vault.annotate(3, metrics={"loss": 1.0}),
        "pin": lambda vault: vault.pin(3),
        "restore": lambda vault: vault.restore(model=model(0), or_start_fresh=True),
        "examine": lambda vault: holdfast.examine(run),
    }


@pytest.mark.parametrize("what", _asks(Path()))
def test_a_folder_that_may_not_be_listed_is_no_empty_one(run: Path, what: str) -> None:
    with (
        nobody(run),
        Vault(run) as vault,
        pytest.raises(holdfast.HoldfastError, match="cannot be listed") as caught,
    ):
        _asks(run)[what](vault)
    assert f"`ls -ld {run}` shows whose it is" in str(caught.value).replace(f"{run}/", str(run))


def test_nothing_is_saved_there_and_it_is_said_in_our_words(run: Path) -> None:
    with nobody(run), Vault(run) as vault:
        with pytest.raises(holdfast.SaveFailed, match="permission denied"):
            vault.save(4, model=model(4), blocking=True)
        (one,) = vault.preflight(model=model(4)).checkpoints
        assert "S111" in [f.code for f in one.findings]


def test_a_folder_above_that_may_not_be_entered(run: Path) -> None:
    above = run.parent
    with nobody(above), Vault(run) as vault:
        with pytest.raises(holdfast.HoldfastError, match="cannot be listed") as caught:
            vault.restore(model=model(0), or_start_fresh=True)
        assert f"`ls -ld {above}`" in str(caught.value)  # of what is below it the system tells nothing
        with pytest.raises(holdfast.SaveFailed, match="permission denied"):
            vault.save(4, model=model(4), blocking=True)
        with pytest.raises(holdfast.CheckpointNotFound, match="cannot look"):
            holdfast.verify(run)


def test_a_folder_that_may_be_listed_and_not_entered(run: Path) -> None:
    with nobody(run, mode=0o444), Vault(run) as vault:
        assert [c.denied for c in vault.checkpoints()] == [True] * 3
        with pytest.raises(holdfast.RestoreRefused, match="may not be read"):
            vault.restore(model=model(0), or_start_fresh=True)
        with pytest.raises(holdfast.SaveFailed, match="annotate: permission denied"):
            vault.annotate(3, metrics={"loss": 1.0})
