"""A step of a vault that holds several parts, and a restore that asks for the model alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import RestoreRefused

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)


class Net(keras.Model):
    """Keras counts its names on: ``net``, ``net_1``; its dropout has a generator."""

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.norm = keras.layers.BatchNormalization(epsilon=epsilon, name="norm")
        self.drop = keras.layers.Dropout(0.2, name="drop")
        self.head = keras.layers.Dense(2, name="head")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.drop(self.norm(x, training=training), training=training))


def built(epsilon: float = 1e-3) -> Net:
    model = Net(epsilon)
    model(np.ones((2, 3), np.float32))
    return model


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Net]:
    model, average = built(), built()
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, ema=average, blocking=True)
    return tmp_path / "run", model


def test_the_model_is_the_part_of_that_name(saved: tuple[Path, Net]) -> None:
    folder, model = saved
    other = built()
    outcome = holdfast.restore(folder, model=other)
    assert len(outcome.restored) == outcome.total and dict(outcome.others)["ema"] >= 6
    assert all(np.array_equal(a, b) for a, b in zip(model.weights, other.weights, strict=True))


def test_a_changed_setting_of_it_is_seen_beside_another_model_of_that_class(saved: tuple[Path, Net]) -> None:
    folder, _ = saved
    with pytest.raises(RestoreRefused) as refused:
        holdfast.restore(folder, model=built(epsilon=1e-2))
    assert {f.code for f in refused.value.findings if f.severity == "error"} == {"T218"}
    assert "epsilon" in str(refused.value)


def test_averages_that_an_optimizer_keeps_are_no_part_of_the_model(tmp_path: Path) -> None:
    """``use_ema=True``: the model alone is restored, as from a run without it."""
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="head")])
    model.compile(keras.optimizers.Adam(use_ema=True), loss="mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=model.optimizer, blocking=True)
    other = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="head")])
    outcome = holdfast.restore(tmp_path / "run", model=other)
    assert len(outcome.restored) == 2
    assert np.array_equal(other.get_weights()[0], model.get_weights()[0])
