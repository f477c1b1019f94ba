"""What a save was given as ``extra`` comes back with the restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast


def test_extra_comes_back(tmp_path: Path) -> None:
    model = {"w": np.arange(6, dtype=np.float32)}
    extra = {"epoch": 3, "best": {"val_loss": 0.25, "at": None}, "seen": np.arange(5), "note": "Straße"}
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(7, model=model, extra=extra, blocking=True)
        model["w"][:] = 0
        outcome = vault.restore(model=model)
    assert outcome is not None and outcome.restored == ("w",)
    assert np.array_equal(model["w"], np.arange(6, dtype=np.float32))
    seen = outcome.extra["seen"]
    assert np.array_equal(seen, np.arange(5)) and seen.dtype == extra["seen"].dtype
    assert {k: v for k, v in outcome.extra.items() if k != "seen"} == {
        k: v for k, v in extra.items() if k != "seen"
    }


def test_keys_that_are_tuples_come_back(tmp_path: Path) -> None:
    """A step that was saved and could not be read again was the worst of it."""
    grid = {(0.1, "adam"): 0.5, (): 1, ((1, 2), 3): {"deep": {(4,): None}}}
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model={"w": np.ones(2)}, extra={"grid": grid}, blocking=True)
        outcome = vault.restore(model={"w": np.zeros(2)})
    assert outcome is not None and outcome.extra == {"grid": grid}


class Tensor:
    """Stands for a framework's."""


def _circle() -> dict[str, Any]:
    made: dict[str, Any] = {"a": 1}
    made["again"] = made
    return made


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Tensor(), "test_extra.Tensor). Leave it out of extra=, or turn it into one of these: `np.asarray"),
        (_circle(), "extra/v/again/again/...: nested too deeply, or in a circle"),
        (np.ma.array([1, 2], mask=[False, True]), "extra/v: a masked array"),
        ([np.ma.array([1, 2], mask=[False, True])], "extra/v: a masked array"),
        ([np.zeros(5000)], "extra/v: an array of 5,000 elements (up to 4,096 within a list"),
        (np.datetime64("2020-01-01"), "extra/v: an array of datetime64[D]"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_named_with_what_to_do(tmp_path: Path, value: Any, says: str) -> None:
    with holdfast.Vault(tmp_path / "run") as vault, pytest.raises(holdfast.UsageError) as caught:
        vault.save(1, model={"w": np.ones(2)}, extra={"v": value}, blocking=True)
    assert says in str(caught.value) and "numpy arrays" in str(caught.value)


def test_a_name_that_no_file_can_say(tmp_path: Path) -> None:
    with holdfast.Vault(tmp_path / "run") as vault, pytest.raises(holdfast.UsageError) as caught:
        vault.save(1, model={"w\udcff": np.ones(2)}, blocking=True)
    assert "no valid Unicode" in str(caught.value) and "extra=" not in str(caught.value)


def test_an_empty_vault_is_no_fresh_start_unless_that_is_said(tmp_path: Path) -> None:
    vault = holdfast.Vault(tmp_path / "run")
    with pytest.raises(holdfast.NothingToRestore, match="no checkpoint"):
        vault.restore(model={"w": np.zeros(2)})
    assert vault.restore(model={"w": np.zeros(2)}, or_start_fresh=True) is None
