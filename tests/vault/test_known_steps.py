"""A run with many steps: what their records say is read once, and every change of one is seen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Keep, Vault
from holdfast._vault.folder import listing, steps

IN_MEMORY = True


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps whose records are read."""
    names: list[str] = []
    look = steps.look_at

    def count(run: str, name: str, *given: Any) -> Any:
        names.append(name)
        return look(run, name, *given)

    monkeypatch.setattr(steps, "look_at", count)
    monkeypatch.setattr(listing, "_SETTLED", 10**7)
    return names


def _filled(path: Path) -> Vault:
    vault = Vault(path, Keep())
    for step in (1, 2, 3):
        vault.save(step, model={"w": np.full(4, step, "f4")}, metrics={"loss": 1.0 / step}, blocking=True)
    time.sleep(0.1)  # the times of a file tell apart what is some milliseconds apart
    vault.checkpoints()
    return vault


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, looked_at: list[str]) -> None:
    with _filled(tmp_path) as vault:
        looked_at.clear()
        first = vault.checkpoints()
        assert looked_at == []
        vault.save(4, model={"w": np.zeros(4, "f4")}, blocking=True)
        assert set(looked_at) <= {"step-00000004"}
        assert vault.checkpoints()[:3] == first
        assert [c.saved for c in vault.checkpoints()[:3]] == [c.saved for c in first]


def test_what_has_changed_is_seen(tmp_path: Path, looked_at: list[str]) -> None:
    with _filled(tmp_path) as vault:
        vault.annotate(2, metrics={"bleu": 31.5})
        assert vault.checkpoints()[1].metrics == {"loss": 0.5, "bleu": 31.5}
        vault.pin(1)
        assert [c.pinned for c in vault.checkpoints()] == [True, False, False]
        for name in ("holdfast.json", "holdfast.json.copy"):
            place = tmp_path / "step-00000003" / name
            data = bytearray(place.read_bytes())
            data[len(data) // 2] ^= 1
            place.write_bytes(data)
        assert vault.checkpoints()[2].fault is not None
        assert vault.latest is not None and vault.latest.step == 2


def test_a_change_right_after_another_is_seen(tmp_path: Path) -> None:
    """The times of a file have the grain of the system's clock: what is too new is read each time."""
    with Vault(tmp_path, Keep()) as vault:
        vault.save(1, model={"w": np.zeros(4, "f4")}, blocking=True)
        for number in range(20):
            vault.checkpoints()
            vault.annotate(1, metrics={"loss": float(number)})
            assert vault.checkpoints()[0].metrics == {"loss": float(number)}


def test_a_step_that_is_gone_and_another_of_its_name(tmp_path: Path, looked_at: list[str]) -> None:
    with _filled(tmp_path / "run") as vault, _filled(tmp_path / "other") as other:
        other.annotate(2, metrics={"only": 1.0})
        (tmp_path / "run" / "step-00000002").rename(tmp_path / "aside")
        assert [c.step for c in vault.checkpoints()] == [1, 3]
        (tmp_path / "other" / "step-00000002").rename(tmp_path / "run" / "step-00000002")
        found = {c.step: c for c in vault.checkpoints()}[2]
        assert "only" in (found.metrics or {})
