"""MirroredStrategy on two virtual CPU devices, in a process of its own: ``python mirrored_run.py FOLDER``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import holdfast
from holdfast import Vault
from holdfast.keras import VaultCallback

X = np.random.default_rng(0).normal(size=(48, 5)).astype("f4")
Y = X.sum(1, keepdims=True)


def model() -> Any:
    keras.utils.set_random_seed(2)
    made = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    made.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    made.optimizer.build(made.trainable_variables)
    return made


def values(made: Any) -> list[bytes]:
    return [v.numpy().tobytes() for v in (*made.variables, *made.optimizer.variables)]


def replicas(made: Any, variables: Any = None) -> None:
    """The copies on both devices are one value. (Those of BatchNormalization's statistics drift apart in training: Keras
    lets each replica keep its own, and reads the first.)"""
    for variable in variables or (*made.trainable_variables, *made.optimizer.variables):
        copies = [copy.numpy().tobytes() for copy in variable.value.values]
        assert len(copies) == 2, variable.path
        assert copies[0] == copies[1], variable.path


def main(folder: Path) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2

    def new() -> Any:
        with strategy.scope():
            return model()

    def fit(made: Any, epochs: int, *callbacks: Any) -> Any:
        return made.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=[*callbacks])

    whole = new()
    history = fit(whole, 4)
    replicas(whole)

    # by hand: what is saved is one copy, taken at once though training goes on
    made = new()
    fit(made, 2)
    before = values(made)
    with Vault(folder / "hand") as vault:
        handle = vault.save(2, model=made, optimizer=made.optimizer)
        fit(made, 1)
        step = handle.wait()
    with holdfast.open(step) as stored:
        names = [name for name in stored if "metrics" not in name]
        assert len(names) == len(before), (len(names), len(before))
        assert sum(stored[name].nbytes for name in names) == sum(map(len, before)), "one copy of each"
    fresh = new()
    outcome = Vault(folder / "hand").restore(model=fresh, optimizer=fresh.optimizer)
    assert outcome is not None and values(fresh) == before
    replicas(fresh, fresh.variables)
    fresh.fit(X, Y, batch_size=8, epochs=4, initial_epoch=2, shuffle=False, verbose=0)
    assert values(fresh) == values(whole), "training went on otherwise"

    # the same file in a model of one device
    alone = model()
    Vault(folder / "hand").restore(model=alone, optimizer=alone.optimizer)
    assert values(alone) == before

    # the callback: broken off by epoch and within one
    class Broken(Exception):
        pass

    class BreakAt(keras.callbacks.Callback):
        def __init__(self, at: int) -> None:
            super().__init__()
            self.left = at

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.left -= 1
            if self.left == 0:
                raise Broken

    for every, at in (("epoch", 16), (4, 17)):
        with contextlib.suppress(Broken):
            fit(new(), 4, VaultCallback(folder / f"{every}", every=every, monitor="loss"), BreakAt(at))
        resumed, own = new(), VaultCallback(folder / f"{every}", every=every, monitor="loss")
        again = fit(resumed, 4, own)
        assert own.outcome is not None
        assert values(resumed) == values(whole), every
        replicas(resumed)
        assert again.epoch == history.epoch
        print(f"every {every}: went on from {own.outcome.step}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
