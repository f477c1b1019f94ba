"""What a save was given as ``extra`` comes back with the restore."""

from __future__ import annotations

from pathlib import Path

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


def test_an_empty_vault_is_no_fresh_start_unless_that_is_said(tmp_path: Path) -> None:
    vault = holdfast.Vault(tmp_path / "run")
    with pytest.raises(holdfast.NothingToRestore, match="no checkpoint"):
        vault.restore(model={"w": np.zeros(2)})
    assert vault.restore(model={"w": np.zeros(2)}, or_start_fresh=True) is None
