"""Keras models: each fault planted once, and those that are right. Classes are at the top, registered where they say so."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

register = keras.saving.register_keras_serializable(package="isolate_tests")


class Fault(NamedTuple):
    """``make`` gives the model; the paths of all that is to be named; a word of what, or why."""

    save: str
    make: Callable[[], Any]
    paths: tuple[str, ...]
    word: str
    phase: str = "save"
    together: int = 0


class Unregistered(layers.Layer):
    """With a good config, and not registered."""

    def __init__(self, n: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


@register
class Good(Unregistered):
    """Registered."""


@register
class NoKwargs(layers.Layer):
    """Does not take name and dtype."""

    def __init__(self, n: int = 1) -> None:
        super().__init__()
        self.n = n

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


@register
class Forgets(Good):
    """Its config lacks an argument."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(n, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return layers.Layer.get_config(self)


@register
class RaisingConfig(Good):
    """Its config cannot be had."""

    def get_config(self) -> dict[str, Any]:
        raise OSError("no network")


class _Weight(layers.Layer):
    def build(self, shape: Any) -> None:
        self.w = self.add_weight(name="w", shape=(2,))

    def call(self, x: Any) -> Any:
        return x


@register
class RaisingSave(_Weight):
    """Its values cannot be written."""

    def save_own_variables(self, store: Any) -> None:
        raise RuntimeError("not now")


@register
class LosesWeights(_Weight):
    """Writes none of its values."""

    def save_own_variables(self, store: Any) -> None:
        return None

    def load_own_variables(self, store: Any) -> None:
        return None


@register
class SameNames(_Weight):
    """Two variables of one name."""

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.other = self.add_weight(name="w", shape=(2,))


@register
class TwoHeads(keras.Model):
    """Two layers of one name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.left = layers.Dense(2, name="head")
        self.right = layers.Dense(2, name="head")
        self.body = layers.Dense(3)

    def call(self, x: Any) -> Any:
        x = self.body(x)
        return self.left(x) + self.right(x)


class Sized(keras.Model):
    """An argument, and no config."""

    def __init__(self, block: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block = block

    def call(self, x: Any) -> Any:
        return self.block(x)


def my_loss(true: Any, predicted: Any) -> Any:
    """Not registered."""
    return (true - predicted) ** 2


def chain(*inside: Any) -> Any:
    """Input, the layers, Dense."""
    return keras.Sequential([keras.Input((4,)), *inside, layers.Dense(2, name="out")])


def branches(layer: Any) -> Any:
    """A functional model with ``layer`` in one of two branches; it is ``model.layers[2]``."""
    inputs = keras.Input((4,))
    shared = layers.Dense(3, name="shared")(inputs)
    return keras.Model(inputs, layers.Add()([layer(shared), layers.Dense(3, name="side")(shared)]))


def _lost() -> Any:
    model = chain(LosesWeights())
    model.layers[0].w.assign([3.0, 4.0])
    return model


def _heads() -> Any:
    model = TwoHeads()
    model(np.ones((1, 4), np.float32))
    return model


def _sized() -> Any:
    model = Sized(layers.Dense(2))
    model(np.ones((1, 4), np.float32))
    return model


@register
class Registered(keras.Model):
    """In order."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.body(x)


def _registered() -> Any:
    model = Registered()
    model(np.ones((1, 4), np.float32))
    return model


def _operation() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.ops.relu(layers.Dense(2)(inputs)) * 2)


def _compiled(**how: Any) -> Any:
    model = chain(layers.Dense(3))
    model.compile(**how)
    return model


CONFIG = 'model.layers[2].get_config()["n"]'
FAULTS: dict[str, Fault] = {
    "a lock in a config": Fault("keras", lambda: branches(Good(threading.Lock())), (CONFIG,), "a lock"),
    "a set in a config": Fault("keras", lambda: branches(Good({1, 2})), (CONFIG,), "a set"),
    "an object in a config": Fault("keras", lambda: branches(Good(object())), (CONFIG,), "an object"),
    "within a nested model": Fault(
        "keras", lambda: chain(keras.Sequential([keras.Input((4,)), layers.Dense(3), Good(threading.Lock())])),
        ('model.layers[0].layers[1].get_config()["n"]',), "a lock",
    ),
    "get_config raises": Fault("keras", lambda: branches(RaisingConfig()), ("model.layers[2]",), "get_config"),
    "save_own_variables raises": Fault("keras", lambda: chain(RaisingSave()), ("model.layers[0]",), "save_own_variables"),
    "the same in weights": Fault("keras-weights", lambda: chain(RaisingSave()), ("model.layers[0]",), "save_own_variables"),
    "model without get_config": Fault("keras", _sized, ("model",), "without a `get_config`"),
    "not built": Fault("keras-weights", lambda: keras.Sequential([layers.Dense(2)]), ("model",), "not built"),
    "not registered": Fault("keras", lambda: branches(Unregistered(3)), ("model.layers[2]",), "not registered", "load"),
    "Lambda": Fault("keras", lambda: chain(layers.Lambda(lambda x: x * 2)), ("model.layers[0]",), "Lambda layer", "load"),
    "__init__ without kwargs": Fault("keras", lambda: branches(NoKwargs()), ("model.layers[2]",), "does not take", "load"),
    "an argument forgotten": Fault("keras", lambda: chain(Forgets(3)), ("model.layers[0]",), "has no 'n'", "load"),
    "activation is a lambda": Fault(
        "keras", lambda: chain(layers.Dense(3, activation=lambda x: x)), ("model.layers[0]",), "`activation`", "load"
    ),
    "loss is not registered": Fault(
        "keras", lambda: _compiled(loss=my_loss, optimizer="adam"), ("model.compile(loss=...)",), "my_loss", "load"
    ),
    "loss is a lambda": Fault(
        "keras", lambda: _compiled(loss=lambda t, p: (t - p) ** 2), ("model.compile(loss=...)",), "a lambda", "load"
    ),
    "an argument comes back as a dict": Fault(
        "keras", lambda: chain(Good(np.ones(3))), ("model.layers[0]",), "the argument `n`", "values"
    ),
    "values are not written": Fault("keras", _lost, ("model.layers[0]",), "leaves some out", "values"),
    "the same by weights": Fault("keras-weights", _lost, ("model.layers[0]",), "leaves some out", "values"),
    "two variables of a name": Fault(
        "keras-h5", lambda: chain(SameNames()), ("model.layers[0].weights[0] (w)",), "2 variables of the name 'w'", together=2
    ),
    "two layers of a name": Fault("keras-h5", _heads, ("model.left", "model"), "", together=2),
    "an operation in legacy h5": Fault("keras-h5", _operation, ("model",), "`Relu` that is no layer", "load"),
    "a registered model in legacy h5": Fault("keras-h5", _registered, ("model",), "without the package", "load"),
    "a name above 64 KB": Fault(
        "keras-h5", lambda: chain(layers.Dense(2, name="x" * 70_000)), ("model.layers[0]",), "70,000 letters"
    ),
    "two at once": Fault(
        "keras", lambda: chain(layers.Lambda(lambda x: x), Good(threading.Lock()), RaisingSave()),
        ('model.layers[1].get_config()["n"]', "model.layers[2]", "model.layers[0]"), "",
    ),
}  # fmt: skip


def _fitted() -> Any:
    model = chain(Good(3), layers.BatchNormalization(), layers.Dropout(0.5, seed=1))
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.fit(np.ones((8, 4), np.float32), np.ones((8, 2), np.float32), verbose=0)
    return model


RIGHT: dict[str, tuple[str, Callable[[], Any]]] = {
    "fitted": ("keras", _fitted),
    "branches": ("keras", lambda: branches(Good([1, "a", None]))),
    "nested": (
        "keras",
        lambda: chain(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), layers.Dense(3)),
    ),
    "recurrent": (
        "keras",
        lambda: keras.Sequential([keras.Input((3, 2)), layers.Bidirectional(layers.LSTM(2))]),
    ),
    "a long name": ("keras", lambda: chain(layers.Dense(2, name="x" * 70_000))),
    "same names by place": ("keras-weights", lambda: chain(SameNames())),
    "weights of a subclass": ("keras-weights", _sized),
    "not compiled": ("keras-h5", lambda: branches(layers.Activation("relu"))),
    "a registered model": ("keras", _registered),
    "operations": ("keras", lambda: _operation()),
}


@register
class Aborts(_Weight):
    """Its values cannot be written without the end of the process."""

    def save_own_variables(self, store: Any) -> None:
        os.abort()


@register
class Waits(Good):
    """Its config is never there."""

    def get_config(self) -> dict[str, Any]:
        while True:
            time.sleep(60)


def aborting() -> Any:
    """A model that cannot be saved, for ``holdfast isolate``."""
    return chain(layers.Dense(3), Aborts())


def waiting() -> Any:
    """Another."""
    return branches(Waits())
