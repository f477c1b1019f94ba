"""What modules of PyTorch keep beside plain tensors: it comes back exactly, or it is said that it did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

torch = pytest.importorskip("torch")


class Kept(torch.nn.Module):
    """A layer with a state of its own (``get_extra_state``)."""

    def __init__(self, state: Any, stubborn: bool = False) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self._state, self._stubborn, self.calls = state, stubborn, 0

    def get_extra_state(self) -> Any:
        return self._state

    def set_extra_state(self, state: Any) -> None:
        self.calls += 1
        if not self._stubborn:
            self._state = state


@pytest.mark.parametrize(
    ("saved", "live"),
    [
        (b"ranks", b"later"), (np.arange(5.0), np.zeros(5)), (np.arange(5), np.arange(5.0)), (1 + 2j, 0j), ([b"a"], [b"b"]),
        ({"seen": {(1, 2): b"x"}}, {"seen": {(1, 2): b"y"}}), (0.1, 0.1 + 1e-12), (-0.0, 0.0), ("a\udcff", "a"), (None, b""),
        ({"x": np.ones(3)}, {"x": np.zeros(3)}),
    ],
)  # fmt: skip
def test_a_state_of_any_kind_is_set(tmp_path: Path, saved: Any, live: Any) -> None:
    """Two of one kind that are no numbers were once taken for equal, and the live one stayed."""
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=Kept(saved), blocking=True)
        model = Kept(live)
        vault.restore(model=model)
    assert repr(model.get_extra_state()) == repr(saved)
    assert type(model.get_extra_state()) is type(saved)


@pytest.mark.parametrize("state", [b"ranks", np.arange(5), {"a": [1, 2.5, None]}, float("nan"), 1j])
def test_one_that_is_there_already_is_left_alone(tmp_path: Path, state: Any) -> None:
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=Kept(state), blocking=True)
        model = Kept(state)
        outcome = vault.restore(model=model)
    assert outcome is not None and not outcome.values and model.calls == 0


def test_a_live_model_that_takes_nothing_is_no_damage_of_the_checkpoint(tmp_path: Path) -> None:
    """A whole step was passed over for it, and would have been set aside."""
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=Kept(torch.zeros(2)), blocking=True)
        vault.save(2, model=Kept(torch.ones(2)), blocking=True)
        model = Kept(torch.zeros(2), stubborn=True)
        with torch.no_grad():
            model.weight.zero_()
        with pytest.raises(holdfast.HoldfastError, match="does not hold what was read") as caught:
            vault.restore(model=model)
        assert "The checkpoint is not at fault" in str(caught.value)
        assert not isinstance(caught.value, holdfast.DamagedCheckpoint)
        assert model.weight.tolist() == [0, 0]
        assert [c.name for c in vault.checkpoints()] == ["step-00000001", "step-00000002"]


class Expanded(torch.nn.Module):
    """Positions that stand once in memory for a whole batch."""

    def __init__(self, values: Any, rows: int = 3, own: bool = False) -> None:
        super().__init__()
        held = torch.as_tensor(values, dtype=torch.float32).expand(rows, len(values))
        self.register_buffer("positions", held.clone() if own else held)


def test_a_buffer_that_is_expanded_is_set_once(tmp_path: Path) -> None:
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=Expanded([1, 2]), blocking=True)
        model = Expanded([0, 0])
        place = model.positions.data_ptr()
        vault.restore(model=model)
    assert model.positions.tolist() == [[1, 2]] * 3
    assert model.positions.data_ptr() == place and model.positions.stride() == (0, 1)


def test_values_that_it_cannot_hold_leave_it_as_it_was(tmp_path: Path) -> None:
    saved = Expanded([1, 2], own=True)
    saved.positions[1] = 7
    model = Expanded([0, 0])
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=saved, blocking=True)
        with pytest.raises(holdfast.UsageError, match="share one memory") as caught:
            vault.restore(model=model)
    assert ".clone()" in str(caught.value)
    assert model.positions.tolist() == [[0, 0]] * 3
