"""Killed and resumed runs of ``fit``, in a process of its own: ``python keras_runs.py FOLDER``, on the backend of
KERAS_BACKEND. Prints one line for each case; anything wrong is an AssertionError."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import keras
import numpy as np

from holdfast import Keep, Vault
from holdfast.keras import VaultCallback

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 5)).astype("f4")
Y = (X.sum(1, keepdims=True) + RNG.normal(size=(70, 1))).astype("f4")
EPOCHS = 6


def model() -> Any:
    keras.utils.set_random_seed(1)
    made = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.3, seed=4),  # without a seed PyTorch's global generator is drawn from
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    made.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    return made


class KilledAt(keras.callbacks.Callback):
    """SIGKILL to this very process after so many batches."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def fit(made: Any, *callbacks: Any) -> Any:
    plateau = keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.2)
    stopping = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    return made.fit(
        X, Y, batch_size=10, epochs=EPOCHS, shuffle=False, validation_data=(X[:20], Y[:20]), verbose=0,
        callbacks=[*callbacks, plateau, stopping],
    )  # fmt: skip


def values(made: Any) -> list[bytes]:
    variables = [*made.variables, *made.optimizer.variables]
    return [np.asarray(keras.ops.convert_to_numpy(v)).tobytes() for v in variables]


def callback(run: Path, every: Any) -> VaultCallback:
    return VaultCallback(Vault(run, Keep(last=2, best=1, by="val_loss")), every=every)


def main(folder: Path) -> None:
    cases: list[tuple[Any, int]] = [("epoch", 24), (3, 18), (4, 20)]
    for every, at in cases:  # forked before the framework starts its threads
        child = os.fork()
        if child == 0:
            try:
                fit(model(), callback(folder / f"{every}-{at}", every), KilledAt(at))
            except Exception:  # noqa: BLE001 - a forked child says what is wrong, and never returns
                traceback.print_exc()
            os._exit(3)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    whole = model()
    history = fit(whole)
    assert len(set(history.history["learning_rate"])) > 1, "the plateau must have been met"
    for every, at in cases:
        run = folder / f"{every}-{at}"
        resumed = model()
        own = callback(run, every)
        before = own.steps_done
        assert 0 < before <= at, before
        again = fit(resumed, own)
        assert own.outcome is not None
        assert values(resumed) == values(whole), (every, at)
        assert again.history == history.history and again.epoch == history.epoch, (every, at)
        best = min(history.history["val_loss"])
        assert own.best == best
        own.vault.close()
        with Vault(run, Keep(last=2, best=1, by="val_loss")) as vault:
            found = vault.best()
            assert found is not None
            kept = (found.step, (found.metrics or {})["val_loss"])
            assert kept == (own.best_step, best), (every, at, kept, own.best_step, best)
        print(f"{keras.backend.backend()}: every {every}, killed at {at}, went on from {before}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
