"""Real Keras: a run that was broken off gives back the history of all its epochs, also outside of ``fit``."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
keras = pytest.importorskip("keras")

import numpy as np  # noqa: E402

from holdfast import Keep, Vault  # noqa: E402
from holdfast.keras import VaultCallback  # noqa: E402

IN_MEMORY = True
X = np.random.default_rng(0).normal(size=(40, 3)).astype("f4")
Y = X.sum(1, keepdims=True)


def model() -> Any:
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    return made


def fit(made: Any, epochs: int, *callbacks: Any) -> Any:
    return made.fit(
        X, Y, batch_size=10, epochs=epochs, shuffle=False, validation_data=(X[:10], Y[:10]), verbose=0,
        callbacks=list(callbacks),
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Any:
    return fit(model(), 6)


class Stop(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.at, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


def broken(path: Path, every: Any = "epoch", keep: Keep | None = None) -> None:
    """Four epochs and two batches, then an interruption."""
    with Vault(path, keep or Keep()) as vault, pytest.raises(KeyboardInterrupt):
        fit(model(), 6, VaultCallback(vault, every=every), Stop(4, 1))


@pytest.mark.parametrize("every", ["epoch", 3])
def test_the_history_of_a_resumed_fit_has_all_epochs(tmp_path: Path, whole: Any, every: Any) -> None:
    broken(tmp_path, every, Keep(last=1))  # also where all but one checkpoint was dropped
    made = model()
    with Vault(tmp_path) as vault:
        own = VaultCallback(vault, every=every)
        history = fit(made, 6, own)
    assert history.epoch == whole.epoch == [0, 1, 2, 3, 4, 5]
    assert history.history.keys() == whole.history.keys()
    for name, values in whole.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-6)
    assert made.history is history
    assert own.outcome is not None
    assert own.outcome.history.step == own.outcome.step


def test_the_history_outside_of_fit(tmp_path: Path, whole: Any) -> None:
    broken(tmp_path, 3, Keep(last=2))  # checkpoints within epochs are no epochs
    made = model()
    with Vault(tmp_path) as vault:
        outcome = vault.restore(model=made, optimizer=made.optimizer)
    assert outcome is not None
    found = outcome.history.keras()
    assert isinstance(found, keras.callbacks.History)
    assert outcome.step == 15 and found.epoch == [0, 1, 2], (
        "three whole epochs, and three batches of the fourth"
    )
    assert {name: values[:3] for name, values in whole.history.items()} == found.history
    assert outcome.history.steps[-1] == outcome.step == outcome.history.purge_step - 1
    given = keras.callbacks.History()
    assert outcome.history.keras(given) is given and given.history == found.history


def test_a_csv_logger_goes_on_with_the_file(tmp_path: Path, whole: Any) -> None:
    """Lost with the machine, written anew from the vault, and gone on with: as if nothing had been."""
    fit(model(), 6, keras.callbacks.CSVLogger(tmp_path / "whole.csv"))
    broken(tmp_path / "run", keep=Keep(last=1))
    made, log = model(), tmp_path / "log.csv"
    with Vault(tmp_path / "run") as vault:
        outcome = vault.restore(model=made, optimizer=made.optimizer)
        assert outcome is not None
        outcome.history.write_csv(log)
        fit(made, 6, VaultCallback(vault), keras.callbacks.CSVLogger(log, append=True))
    (head, *rows), (wanted_head, *wanted) = (
        list(csv.reader(p.open(newline=""))) for p in (log, tmp_path / "whole.csv")
    )
    assert head == wanted_head and [row[0] for row in rows] == [row[0] for row in wanted] == list("012345")
    np.testing.assert_allclose(np.array(rows, float), np.array(wanted, float), rtol=1e-6)


def test_a_loop_of_ones_own_counts_checkpoints_as_epochs(tmp_path: Path) -> None:
    made = model()
    with Vault(tmp_path, Keep(last=1)) as vault:
        for epoch in range(3):
            logs = {k: float(v[-1]) for k, v in fit(made, 1).history.items()}
            vault.save((epoch + 1) * 4, model=made, optimizer=made.optimizer, metrics=logs, blocking=True)
        outcome = vault.restore(model=made, optimizer=made.optimizer)
    assert outcome is not None
    history = outcome.history.keras()
    assert history.epoch == [0, 1, 2] and len(history.history["val_loss"]) == 3
    assert history.history["val_loss"][-1] == logs["val_loss"]
