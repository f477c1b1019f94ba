"""Keras models for the tests of live catalogs, and what every one of those tests does with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from holdfast import open as open_checkpoint  # noqa: E402
from holdfast._compare.compare import compare_catalogs  # noqa: E402
from holdfast._frameworks import LiveCatalog, live_catalog  # noqa: E402

NOT_SAVED = ("rng", "metric")
"""Roles that Keras saves in none of its formats."""

X = np.random.default_rng(0).normal(size=(24, 8)).astype("float32")
Y = np.random.default_rng(1).normal(size=(24, 2)).astype("float32")


def functional() -> Any:
    inputs = keras.Input((8,))
    x = keras.layers.Dense(8, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(8, name="inner")])(x)
    x = keras.layers.LSTM(3)(keras.layers.Reshape((4, 2))(x))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(x))


def sequential() -> Any:
    return keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(2)]
    )


def shared() -> Any:
    inputs = keras.Input((8,))
    twice = keras.layers.Dense(8, name="twice")
    return keras.Model(inputs, keras.layers.Dense(2)(twice(twice(inputs))))


class Block(keras.layers.Layer):
    def __init__(self, units: int, **more: Any) -> None:
        super().__init__(**more)
        self.dense = keras.layers.Dense(units)
        self.norm = keras.layers.LayerNormalization()

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.norm.build((None, self.dense.units))
        self.scale = self.add_weight(name="scale", shape=(self.dense.units,), initializer="ones")
        self.seen = self.add_weight(name="seen", shape=(), initializer="zeros", trainable=False)
        super().build(shape)

    def call(self, x: Any) -> Any:
        return self.norm(self.dense(x)) * self.scale


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.zero = keras.layers.Dense(8)
        self.blocks = [Block(8), Block(8)]
        self.by_name = {"head": keras.layers.Dense(2)}

    def call(self, x: Any) -> Any:
        x = self.zero(x)
        for block in self.blocks:
            x = block(x)
        return self.by_name["head"](x)


def subclassed() -> Any:
    model = Subclassed()
    model(X[:2])
    return model


MODELS: dict[str, Callable[[], Any]] = {
    "functional": functional,
    "sequential": sequential,
    "shared": shared,
    "subclassed": subclassed,
}


def steps(model: Any, optimizer: Any, count: int = 2) -> None:
    """Training steps without dropout or shuffling: bit for bit repeatable."""
    for at in range(count):
        rows = slice(4 * at, 4 * at + 8)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X[rows], training=True) - Y[rows]) ** 2)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))


def state(model: Any, optimizer: Any) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in (*model.weights, *optimizer.variables)]


def differences(path: Path, live: LiveCatalog, depth: str = "full") -> list[str]:
    """Codes and messages of what differs, but for what Keras never saves."""
    stored = open_checkpoint(path)
    found = compare_catalogs(stored, live, depth=depth).differences
    return [
        f"{d.code} {d.message}" for d in found if not (d.code == "T201" and d.evidence["role"] in NOT_SAVED)
    ]


def restore(path: Path, live: LiveCatalog) -> None:
    """Write every variable that has a counterpart in the file, through the live catalog."""
    stored = open_checkpoint(path)
    pairs = compare_catalogs(stored, live, depth="header").pairs
    for pair in pairs:
        variable = live.variables[pair.b]
        if variable.spec.role in NOT_SAVED:
            continue
        assert variable.write is not None
        variable.write(np.ascontiguousarray(stored.read(pair.a)).reshape(variable.spec.shape))
    live.finish()


__all__ = [
    "MODELS", "NOT_SAVED", "X", "Y", "Block", "Subclassed", "differences", "functional", "keras", "live_catalog",
    "open_checkpoint", "restore", "sequential", "shared", "state", "steps", "subclassed", "tf",
]  # fmt: skip
