"""Small Keras models, training runs of them, and the files that people write of those, for the restore matrix."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from holdfast._frameworks import live_catalog

X = np.random.default_rng(0).normal(size=(24, 8)).astype("float32")
Y = np.random.default_rng(1).normal(size=(24, 3)).astype("float32")
ASIDE = frozenset({"rng", "metric", "hyperparameter", "other"})
"""Roles that no truth is told of: in no file of Keras's, or set by decision."""


@dataclass
class Run:
    """Live objects as they stand in a training script."""

    model: Any
    optimizer: Any = None

    def parts(self) -> dict[str, Any]:
        """As ``check`` and ``restore`` take them."""
        given = {"model": self.model, "optimizer": self.optimizer}
        return {name: thing for name, thing in given.items() if thing is not None}


def adam(rate: Any = 0.01, **more: Any) -> Any:
    return keras.optimizers.Adam(rate, **more)


def train(run: Run, steps: int = 2, at: int = 0) -> None:
    """Training steps in a loop of one's own: no shuffling, bit for bit repeatable."""
    for step in range(at, at + steps):
        rows = slice(4 * (step % 4), 4 * (step % 4) + 8)
        weights = run.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.cast(run.model(X[rows], training=True), "float32") - Y[rows]) ** 2)
            scaled = loss
            if hasattr(run.optimizer, "scale_loss"):
                scaled = run.optimizer.scale_loss(loss)
        run.optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))


def build(run: Run) -> Run:
    """The run with its optimizer built, as after its first step."""
    run.optimizer.build(run.model.trainable_variables)
    return run


SHARD = 4e-7
"""In GB, as Keras counts: some hundred bytes, so that every layer begins a shard."""


def save(run: Run, system: str, folder: Path) -> str:
    """Save as people do; gives what they would type."""
    folder.mkdir(parents=True, exist_ok=True)
    if system == "tfck":
        return str(tf.train.Checkpoint(**run.parts()).write(str(folder / "ckpt")))
    path = folder / f"model{'.' if system[0] != '.' else ''}{system}"
    if run.optimizer is not None:
        run.model.compile(run.optimizer, "mse")
    if system == "weights.h5":
        run.model.save_weights(path)
    elif system == "weights.json":
        run.model.save_weights(path, max_shard_size=SHARD)
    else:
        run.model.save(path)
    return str(path)


@dataclass(frozen=True)
class Held:
    """One live value at the time of saving."""

    name: str
    role: str
    owner: str | None
    slot: str | None
    values: np.ndarray | None


def held(parts: Mapping[str, Any]) -> list[Held]:
    """What is live now and belongs into a checkpoint, in order; values copied."""
    catalog = live_catalog(**parts)
    return [
        Held(
            v.spec.name,
            v.spec.role,
            v.spec.owner,
            v.spec.slot,
            None if v.read is None else np.array(v.read()),
        )
        for v in catalog.variables.values()
        if v.spec.role not in ASIDE
    ]


def by_place(saved: list[Held], parts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Both sides list the same things in the same order; only what they are called may differ."""
    now = held(parts)
    assert [h.role for h in saved] == [h.role for h in now], "not the same model"
    return {n.name: s.values for s, n in zip(saved, now, strict=True) if s.values is not None}


def by_name(
    saved: list[Held], parts: Mapping[str, Any], was: Callable[[str], str] = lambda name: name
) -> dict[str, np.ndarray]:
    """What bears one name on both sides; slots by their weight and word. ``was``: what a live weight was called."""
    weights = {_uncounted(h.name): h for h in saved if h.owner is None}
    slots = {(h.role, _uncounted(h.owner), h.slot): h for h in saved if h.owner is not None}
    types = {v.spec.name: v.spec for v in live_catalog(**parts).variables.values()}
    found = {}
    for now in held(parts):
        if now.owner is None:
            old = weights.get(_uncounted(was(now.name)))
        else:
            old = slots.get((now.role, _uncounted(was(now.owner)), now.slot))
        spec = types[now.name]
        if old is not None and old.values is not None:
            from holdfast._core.dtypes import carrier

            with np.errstate(all="ignore"):
                found[now.name] = old.values.astype(carrier(spec.dtype))
    return found


def _uncounted(name: str) -> str:
    """Without the number that Keras gives the second model of a class (``named_1/head/kernel``)."""
    front, slash, rest = name.partition("/")
    return re.sub(r"_\d+$", "", front) + slash + rest


def state(run: Run) -> list[bytes]:
    """All values that training depends on, bit for bit."""
    variables = [*run.model.weights, *(run.optimizer.variables if run.optimizer is not None else ())]
    return [np.asarray(v).tobytes() for v in variables]


# -- models ------------------------------------------------------------------------------------------------
def net(
    *,
    hidden: int = 8,
    classes: int = 3,
    activation: str = "relu",
    epsilon: float = 1e-3,
    momentum: float = 0.99,
    dropout: float = 0.0,
    encoder: str = "encoder",
    decoder: str = "decoder",
    head: str = "head",
    between: int = 0,
    adapter: bool = False,
    middle: bool = True,
    layer_norm: bool = False,
    dtype: Any = None,
) -> Any:
    """Layers of one shape with names of their own, a normalisation with statistics, a head."""
    layers = keras.layers
    inputs = keras.Input((8,))
    x = layers.Dense(hidden, activation, name=encoder, dtype=dtype)(inputs)
    for number in range(between):
        x = layers.Dense(8, activation, name=f"extra{number}", dtype=dtype)(x)
    if middle:
        x = layers.Dense(8, activation, name=decoder, dtype=dtype)(x)
    if layer_norm:
        x = layers.LayerNormalization(name="norm", dtype=dtype)(x)
    else:
        x = layers.BatchNormalization(epsilon=epsilon, momentum=momentum, name="norm", dtype=dtype)(x)
    x = layers.Dropout(dropout, name="drop", dtype=dtype)(x)
    if adapter:
        x = layers.Dense(8, name="adapter", dtype=dtype)(x)
    return keras.Model(inputs, layers.Dense(classes, name=head, dtype=dtype)(x), name="net")


def plain(*units: int, activations: tuple[str | None, ...] = ()) -> Any:
    """Dense layers that nobody named, one after the other."""
    words = [*activations, *[None] * (len(units) - len(activations))]
    return keras.Sequential(
        [keras.Input((8,)), *(keras.layers.Dense(n, word) for n, word in zip(units, words, strict=True))]
    )


def conv(*, strides: int = 1, padding: str = "valid", dilation: int = 1) -> Any:
    """The strides, the padding and the dilation are in no shape."""
    inputs = keras.Input((8,))
    x = keras.layers.Reshape((8, 1))(inputs)
    x = keras.layers.Conv1D(
        4, 3, strides=strides, padding=padding, dilation_rate=dilation, activation="relu", name="conv"
    )(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x), name="net")


def attention(*, heads: int = 2, key_dim: int = 4) -> Any:
    inputs = keras.Input((8,))
    x = keras.layers.Reshape((4, 2))(inputs)
    x = keras.layers.MultiHeadAttention(heads, key_dim, name="attention")(x, x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Flatten()(x)), name="net")


def recurrent(*, activation: str = "tanh", cell: str = "LSTM") -> Any:
    inputs = keras.Input((8,))
    x = keras.layers.Reshape((4, 2))(inputs)
    if cell == "Bidirectional":
        x = keras.layers.Bidirectional(keras.layers.LSTM(4), name="both")(x)
    else:
        x = getattr(keras.layers, cell)(4, activation=activation, name="memory")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x), name="net")


def nested() -> Any:
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(8, name="proj")])
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(8, name="proj")])
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(3)(other(inner(inputs))))


def shared(*, tied: bool = True) -> Any:
    inputs = keras.Input((8,))
    first = keras.layers.Dense(8, name="first")
    second = first if tied else keras.layers.Dense(8, name="second")
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(second(first(inputs))), name="net")


def words(rows: int = 11) -> Any:
    """A vocabulary: numbers to rows of a table."""
    inputs = keras.Input((8,))
    x = keras.ops.cast(keras.ops.clip(keras.ops.abs(inputs) * 3, 0, rows - 1), "int32")
    x = keras.layers.Embedding(rows, 4, name="embed")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Flatten()(x)), name="net")


@keras.saving.register_keras_serializable("matrix")
class Heads(keras.layers.Layer):
    """Attention with one fused projection: the number of heads is in no shape."""

    def __init__(self, heads: int = 2, **more: Any) -> None:
        super().__init__(**more)
        self.heads = heads

    def build(self, shape: Any) -> None:
        self.mix = self.add_weight(name="mix", shape=(shape[-1], 3 * shape[-1]))
        super().build(shape)

    def call(self, x: Any) -> Any:
        _, length, width = x.shape
        q, k, v = (
            keras.ops.transpose(
                keras.ops.reshape(part, (-1, length, self.heads, width // self.heads)), (0, 2, 1, 3)
            )
            for part in keras.ops.split(x @ self.mix, 3, axis=-1)
        )
        weights = keras.ops.softmax(q @ keras.ops.transpose(k, (0, 1, 3, 2)))
        return keras.ops.reshape(keras.ops.transpose(weights @ v, (0, 2, 1, 3)), (-1, length, width))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


def fused_heads(heads: int = 2) -> Any:
    inputs = keras.Input((8,))
    x = Heads(heads, name="heads")(keras.layers.Reshape((2, 4))(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Flatten()(x)), name="net")


def _scaled_before() -> type:
    class Scaled(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(shape[-1], shape[-1]))
            super().build(shape)

        def call(self, x: Any) -> Any:
            return keras.ops.tanh(x @ self.scale)

    return Scaled


def _scaled_after() -> type:
    class Scaled(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(shape[-1], shape[-1]))
            super().build(shape)

        def call(self, x: Any) -> Any:
            return keras.ops.tanh(x @ keras.ops.transpose(self.scale))

    return Scaled


def with_code(changed: bool) -> Any:
    """A layer of one's own; ``changed``: it multiplies by the transposed kernel now."""
    cls = _scaled_after() if changed else _scaled_before()
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(cls(name="scaled")(inputs)), name="net")


class Lazy(keras.Model):
    """A subclassed model whose layers are made by the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Dense(8, activation="relu")
        self.second = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


class Listed(keras.Model):
    """Two layers of one shape in a list, in the order asked for."""

    def __init__(self, *names: str | None) -> None:
        super().__init__()
        self.stack = [keras.layers.Dense(8, name=name) for name in names]
        self.out = keras.layers.Dense(3, name="head")

    def call(self, x: Any) -> Any:
        for layer in self.stack:
            x = layer(x)
        return self.out(x)


class Named(keras.Model):
    """Encoder and decoder in attributes, set in either order."""

    def __init__(self, *, crossed: bool = False, twins: bool = False) -> None:
        super().__init__()
        for word in ("decoder", "encoder") if crossed else ("encoder", "decoder"):
            setattr(self, word, keras.layers.Dense(8, name="twin" if twins else word))
        self.out = keras.layers.Dense(3, name="head")

    def call(self, x: Any) -> Any:
        return self.out(self.decoder(self.encoder(x)))


def called(model: Any) -> Any:
    """Built by a call."""
    model(X[:2])
    return model
