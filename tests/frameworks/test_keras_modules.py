"""Layers of a live Keras model and of the file it was saved to give the same modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._frameworks.module_specs import keras_live_modules

keras = pytest.importorskip("keras")
L = keras.layers


def image(*layers: Any) -> Any:
    return keras.Sequential([keras.Input((16, 16, 3)), *layers])


def sequence(*layers: Any) -> Any:
    return keras.Sequential([keras.Input((12, 6)), *layers])


MODELS = {
    "dense": lambda: sequence(
        L.Dense(4, activation="gelu"), L.Dense(3, use_bias=False, kernel_regularizer="l2")
    ),
    "conv2d": lambda: image(L.Conv2D(4, 3, strides=2, padding="same", dilation_rate=1, activation="relu")),
    "conv2d-dilated": lambda: image(L.Conv2D(4, 3, dilation_rate=(2, 2), groups=1)),
    "conv1d-causal": lambda: sequence(L.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "conv-transpose": lambda: image(L.Conv2DTranspose(4, 3, strides=2, output_padding=1)),
    "depthwise": lambda: image(L.DepthwiseConv2D(3, depth_multiplier=2), L.SeparableConv2D(4, 3)),
    "batchnorm": lambda: image(L.BatchNormalization(epsilon=1e-5, momentum=0.9, axis=-1)),
    "layernorm": lambda: sequence(L.LayerNormalization(epsilon=1e-4), L.UnitNormalization()),
    "groupnorm": lambda: image(L.Conv2D(4, 1), L.GroupNormalization(groups=2, epsilon=1e-6)),
    "rmsnorm": lambda: sequence(L.RMSNormalization(epsilon=1e-5)),
    "dropout": lambda: sequence(L.Dropout(0.3, seed=3), L.SpatialDropout1D(0.2), L.GaussianNoise(0.1)),
    "pooling": lambda: image(L.MaxPooling2D(3, strides=2, padding="same"), L.AveragePooling2D(2)),
    "global-pooling": lambda: image(L.GlobalAveragePooling2D(keepdims=True), L.Flatten()),
    "activations": lambda: sequence(
        L.ReLU(max_value=6.0), L.LeakyReLU(0.1), L.PReLU(), L.ELU(0.5), L.Softmax(axis=-1)
    ),
    "activation-layer": lambda: sequence(L.Activation("swish"), L.Activation(keras.activations.tanh)),
    "embedding": lambda: keras.Sequential([keras.Input((5,)), L.Embedding(9, 4, mask_zero=True)]),
    "lstm": lambda: sequence(L.LSTM(4, return_sequences=True, dropout=0.1), L.GRU(3, reset_after=False)),
    "bidirectional": lambda: sequence(L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum")),
    "rnn-cells": lambda: sequence(L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_sequences=True)),
    "time-distributed": lambda: sequence(L.TimeDistributed(L.Dense(3, activation="tanh"))),
    "einsum": lambda: sequence(L.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")),
    "shapes": lambda: sequence(L.Permute((2, 1)), L.Reshape((8, 9)), L.Flatten(), L.RepeatVector(2)),
    "padding": lambda: image(
        L.ZeroPadding2D((1, 2)), L.Cropping2D(1), L.UpSampling2D(2, interpolation="bilinear")
    ),
    "rescaling": lambda: image(
        L.Rescaling(1 / 255.0, offset=-1.0), L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 1.0, 2.0])
    ),
    "nested": lambda: image(keras.Sequential([L.Conv2D(4, 3, activation="relu")], name="inner"), L.Flatten()),
    "random": lambda: image(L.RandomFlip("horizontal"), L.RandomRotation(0.1)),
    "discretization": lambda: sequence(L.Masking(mask_value=-1.0), L.ActivityRegularization(l2=0.1)),
    "attention": lambda: attention(),
    "residual": lambda: residual(),
}


def attention() -> Any:
    query, value = keras.Input((8, 16)), keras.Input((6, 16))
    mixed = L.MultiHeadAttention(num_heads=4, key_dim=8, dropout=0.1)(query, value)
    return keras.Model([query, value], L.Add()([mixed, query]))


def residual() -> Any:
    given = keras.Input((8, 8, 4))
    inner = L.Conv2D(4, 3, padding="same")(given)
    joined = L.Concatenate(axis=-1)([L.Add()([inner, given]), inner])
    return keras.Model(given, L.Dense(3, activation=keras.ops.relu)(joined))


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_has_the_modules_of_the_live_one(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    live = [(m.path, m.class_name, m.package, dict(m.config), m.order) for m in keras_live_modules(model)]
    assert len(live) >= 2
    assert any(config for _, _, _, config, _ in live[1:]), "nothing that decides a function was kept"
    files = [tmp_path / "model.keras"]
    if name not in ("rnn-cells",):
        files.append(tmp_path / "model.h5")
    for file in files:
        model.save(file)
        with holdfast.open(file) as stored:
            kept = [(m.path, m.class_name, m.package, dict(m.config), m.order) for m in stored.modules]
        assert kept == live, file.name


# -- a changed function is seen, from file to file and from file to live model --------------------------------
def body(**change: Any) -> Any:
    """A model with automatic names and one of everything that no shape tells."""
    option = {
        "activation": "relu",
        "strides": 1,
        "padding": "same",
        "epsilon": 1e-3,
        "momentum": 0.99,
        "rate": 0.1,
        "pool": 2,
        "slope": 0.2,
        **change,
    }
    return image(
        L.Conv2D(4, 3, strides=option["strides"], padding=option["padding"], activation=option["activation"]),
        L.BatchNormalization(epsilon=option["epsilon"], momentum=option["momentum"]),
        L.LeakyReLU(negative_slope=option["slope"]),
        L.MaxPooling2D(option["pool"]),
        L.Dropout(option["rate"]),
        L.Conv2D(4, 3, padding="same"),
        L.GlobalAveragePooling2D(),
        L.Dense(3),
    )


ROWS = [
    ({"activation": "gelu"}, "Conv2D", "activation", "inference"),
    ({"strides": 2}, "Conv2D", "strides", "inference"),
    ({"padding": "valid"}, "Conv2D", "padding", "inference"),
    ({"epsilon": 1e-5}, "BatchNormalization", "epsilon", "inference"),
    ({"slope": 0.3}, "LeakyReLU", "negative_slope", "inference"),
    ({"pool": 3}, "MaxPooling2D", "pool_size", "inference"),
    ({"rate": 0.5}, "Dropout", "rate", "training"),
    ({"momentum": 0.9}, "BatchNormalization", "momentum", "training"),
]


def save_and_compare(a: Any, b: Any, folder: Path, *, suffix: str = ".keras") -> list[Any]:
    a.save(folder / f"a{suffix}")
    b.save(folder / f"b{suffix}")
    delta = holdfast.compare(folder / f"a{suffix}", folder / f"b{suffix}", depth="header")
    return [d for d in delta.differences if d.code in ("T218", "T219")]


@pytest.mark.parametrize(("change", "kind", "key", "effect"), ROWS, ids=[row[2] for row in ROWS])
def test_a_changed_setting_is_seen_between_two_files(
    change: dict[str, Any], kind: str, key: str, effect: str, tmp_path: Path
) -> None:
    (found,) = save_and_compare(body(), body(**change), tmp_path)
    settings = dict(found.evidence["settings"])
    settings.pop("strides", None) if kind == "MaxPooling2D" else None  # follows pool_size
    assert (found.code, found.evidence["class"], list(settings)) == ("T218", kind, [key])
    assert found.evidence["effect"] == effect


def _told(a: Any, b: Any, folder: Path) -> list[tuple[str, list[str]]]:
    """Severity and settings of what differs between a file and a live model."""
    model = [keras.Sequential([keras.Input((3,), dtype=a.dtype), layer]) for layer in (a, b)]
    model[0].save(folder / "a.keras")
    delta = holdfast.compare(folder / "a.keras", model[1], depth="header")
    found = [d.evidence for d in delta.differences if d.code == "T218"]
    return [(one["severity"], list(one["settings"])) for one in found]


_MANY = [float(n) for n in range(400)]
PREPROCESSING = [
    (lambda salt: L.Hashing(7, salt=salt, dtype="int64"), 1, 2, ["salt"]),
    (lambda bins: L.Hashing(bins, dtype="int64"), 7, 8, ["num_bins"]),
    (lambda tokens: L.CategoryEncoding(tokens, dtype="int64"), 7, 8, ["num_tokens"]),
    (
        lambda mode: L.CategoryEncoding(7, output_mode=mode, dtype="int64"),
        "count",
        "multi_hot",
        ["output_mode"],
    ),
    (lambda bins: L.Discretization(bins), [0.0, 1.0], [0.0, 2.0], ["bin_boundaries"]),
    (lambda bins: L.Discretization(bins), _MANY, [*_MANY[:-1], 999.0], ["bin_boundaries"]),
    (
        lambda count: L.IntegerLookup(vocabulary=[5, 6], num_oov_indices=count, dtype="int64"),
        1,
        2,
        ["num_oov_indices"],
    ),
    (
        lambda mode: L.IntegerLookup(vocabulary=[5, 6], output_mode=mode, dtype="int64"),
        "count",
        "multi_hot",
        ["output_mode"],
    ),
]


@pytest.mark.parametrize(("layer", "was", "other", "keys"), PREPROCESSING)
def test_settings_that_turn_inputs_into_others(
    layer: Any, was: Any, other: Any, keys: list[str], tmp_path: Path
) -> None:
    assert _told(layer(was), layer(other), tmp_path) == [("error", keys)]
    assert _told(layer(was), layer(was), tmp_path) == []


def test_bins_that_are_adapted(tmp_path: Path) -> None:
    def adapted(scale: float | None) -> Any:
        layer = L.Discretization(num_bins=4, name="bins")
        if scale is not None:
            layer.adapt(np.linspace(-scale, scale, 99, dtype="float32"))
        return layer

    assert _told(adapted(1.0), adapted(1.0), tmp_path) == []
    assert _told(adapted(1.0), adapted(3.0), tmp_path) == [("error", ["bin_boundaries"])]


@keras.saving.register_keras_serializable(package="shop")
class Nameless(L.Layer):
    """A user's layer whose configuration, as Keras records it by itself, leaves the name out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.flat, self.out = L.Flatten(), L.Dense(4)

    def build(self, shape: Any) -> None:
        self.out.build(shape)

    def call(self, given: Any) -> Any:
        return self.out(self.flat(given))


def test_layers_within_a_layer_without_a_name(tmp_path: Path) -> None:
    def model() -> Any:
        return keras.Sequential([keras.Input((6,)), Nameless(name="mine"), L.Dense(2)])

    model().save(tmp_path / "a.keras")
    assert "T218" not in {f.code for f in holdfast.check(tmp_path / "a.keras", model=model()).findings}
    holdfast.restore(tmp_path / "a.keras", model=model())


def test_two_builds_of_one_model_are_silent_although_the_counters_moved(tmp_path: Path) -> None:
    first, second = body(), body()
    assert first.layers[0].name != second.layers[0].name
    assert save_and_compare(first, second, tmp_path) == []
    assert save_and_compare(first, second, tmp_path, suffix=".h5") == []


def test_heads(tmp_path: Path) -> None:
    """Keras shapes tell the number of heads: that is told once, by the shapes."""

    def model(heads: int) -> Any:
        given = keras.Input((6, 8))
        return keras.Model(given, L.MultiHeadAttention(heads, 8 // heads)(given, given))

    model(2).save(tmp_path / "a.keras")
    model(4).save(tmp_path / "b.keras")
    delta = holdfast.compare(tmp_path / "a.keras", tmp_path / "b.keras", depth="header")
    assert {d.code for d in delta.differences} == {"T203"}


def test_other_wiring_of_the_same_layers(tmp_path: Path) -> None:
    def model(residual: bool) -> Any:
        given = keras.Input((8,))
        first = L.Dense(8)(given)
        second = L.Dense(8)(first)
        return keras.Model(given, L.Dense(8)(L.Add()([second, first if residual else given])))

    (found,) = save_and_compare(model(True), model(False), tmp_path)
    assert list(found.evidence["settings"]) == ["wiring"] and found.evidence["severity"] == "error"
    assert save_and_compare(model(True), model(True), tmp_path) == []


def test_an_activation_layer_left_out(tmp_path: Path) -> None:
    a = sequence(L.Dense(4), L.ReLU(), L.Dense(4))
    b = sequence(L.Dense(4), L.Dense(4))
    (found,) = save_and_compare(a, b, tmp_path)
    assert found.evidence["only_in"] == "A" and found.evidence["class"] == "ReLU"


@keras.saving.register_keras_serializable(package="shop")
class Gate(L.Layer):
    """A user's layer."""

    def __init__(self, power: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.power = power
        self.inner = L.Dense(4)

    def build(self, shape: Any) -> None:
        self.inner.build(shape)

    def call(self, given: Any) -> Any:
        return self.inner(given) ** self.power

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


class Whole(keras.Model):
    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.gate = Gate(3.0, name="gate")
        self.drop = L.Dropout(rate, name="drop")

    def call(self, given: Any) -> Any:
        return self.drop(self.gate(given))


def test_a_users_layer_has_its_digest_and_settings(tmp_path: Path) -> None:
    model = sequence(Gate(2.0))
    (gate,) = [m for m in keras_live_modules(model) if m.class_name == "Gate"]
    assert gate.code is not None and dict(gate.config) == {"power": 2.0}
    assert [m.class_name for m in keras_live_modules(model) if m.code is not None] == ["Gate"]
    (found,) = save_and_compare(model, sequence(Gate(3.0)), tmp_path)
    assert found.evidence["settings"]["power"] == {"a": 2.0, "b": 3.0, "effect": "unknown"}
    assert found.evidence["severity"] == "warning"


def test_a_subclassed_model_lists_its_layers_and_building_nothing() -> None:
    model = Whole()
    before = [(v.path, v.numpy().tolist()) for v in model.variables]  # the seed of the dropout
    modules = {m.path: m for m in keras_live_modules(model)}
    assert {"", "gate", "drop", "gate/dense"} <= {
        p.rpartition("_")[0] if p[-1:].isdigit() else p for p in modules
    }
    assert modules["drop"].config["rate"] == 0.1 and modules[""].code is not None
    assert not model.built and not model.gate.built
    assert [(v.path, v.numpy().tolist()) for v in model.variables] == before


def test_every_layer_of_keras_is_known_as_one() -> None:
    """A legacy .h5 records no module: a class that is not known as Keras's may be anybody's."""
    from holdfast._facts.keras_modules import keras_modules

    layers = {kind.__name__ for kind in vars(L).values() if isinstance(kind, type)}
    layers -= {"InputSpec", "Layer", "InputLayer"}
    unknown = {n for n in layers if keras_modules({"class_name": n, "config": {}})[0].package != "keras"}
    assert unknown == set()
    assert keras_modules({"class_name": "MyDense", "config": {}})[0].package == ""
    assert keras_modules({"class_name": "mine>MyDense", "config": {}})[0].package == "mine"
