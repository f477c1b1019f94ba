"""Which settings of a layer count, and what hostile configurations cost."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from holdfast._facts.keras_config import keras_module_config
from holdfast._facts.keras_modules import keras_modules
from holdfast._facts.module_config import module_value, object_config
from holdfast._facts.setting_effects import SEVERITY, class_effect, effect_of
from work import calls_of


@pytest.mark.parametrize(
    ("kind", "key", "own", "effect"),
    [
        ("Conv2D", "strides", False, "inference"),
        ("Conv2d", "padding_mode", False, "inference"),
        ("MultiheadAttention", "num_heads", False, "inference"),
        ("MultiheadAttention", "dropout", False, "training"),
        ("Dropout", "p", False, "training"),
        ("RandomFlip", "mode", False, "training"),
        ("BatchNorm2d", "momentum", False, "training"),
        ("BatchNormalization", "epsilon", False, "inference"),
        ("Mine", "num_heads", True, "inference"),
        ("Mine", "scale", True, "unknown"),
        ("DropEverything", "strength", True, "unknown"),
        ("Conv2D", "an_option_of_tomorrow", False, "unknown"),
    ],
)
def test_effects(kind: str, key: str, own: bool, effect: str) -> None:
    assert effect_of(kind, key, own=own) == effect


def test_severities_and_classes() -> None:
    assert SEVERITY == {"inference": "error", "training": "warning", "unknown": "warning"}
    assert (
        class_effect("ReLU", "GELU")
        == class_effect("Dropout", "ReLU")
        == class_effect("Flatten")
        == "inference"
    )
    assert class_effect("Dropout", "Identity") == class_effect("GaussianNoise") == "training"


def test_values_are_as_json_gives_them_back() -> None:
    value = {"a": (1, 2.5, None), "b": [True, "x"], "c": math.inf}
    plain = module_value(value)
    assert plain == {"a": [1, 2.5, None], "b": [True, "x"], "c": "inf"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert module_value(len) == "len"
    for odd in (object(), b"x", [[0] * 300], range(3)):
        with pytest.raises(TypeError):
            module_value(odd)


def test_a_keras_configuration_keeps_what_decides() -> None:
    config = {
        "name": "conv2d_7",
        "trainable": False,
        "dtype": {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}},
        "strides": (2, 2),
        "groups": 1,
        "activation": {
            "module": "builtins",
            "class_name": "function",
            "config": "shop>swish",
            "registered_name": "x",
        },
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": 3}},
        "bias_constraint": None,
        "seed": 4,
    }
    assert keras_module_config(config) == {"strides": [2, 2], "activation": "swish"}


def test_a_users_counters_and_places_do_not_count() -> None:
    attributes = {
        "training": True, "_cache": 1, "global_step": 4, "best_loss": 0.1, "log_dir": "runs/a", "device": "cuda:0",
        "where": "/data/x", "num_heads": 4, "activation": len, "weight": object(), "inplace": True,
    }  # fmt: skip
    assert object_config("Mine", attributes, known=False) == {"num_heads": 4, "activation": "len"}


def nested(depth: int, kind: str) -> dict[str, Any]:
    node: dict[str, Any] = {"class_name": "Dense", "config": {"name": "d", "trainable": True, "units": 3}}
    for _ in range(depth):
        if kind == "models":
            node = {"class_name": "Sequential", "config": {"name": "s", "layers": [node]}}
        elif kind == "objects":
            node = {"class_name": "Thing", "config": {"inner": node["config"], "more": [node]}}
        else:
            node = {"class_name": "Wrapper", "config": {"name": "w", "trainable": True, "value": [[[node]]]}}
    return node


@pytest.mark.parametrize("kind", ["models", "objects", "lists"])
def test_deep_configurations_end(kind: str) -> None:
    assert len(keras_modules(nested(150, kind))) <= 151


def test_odd_configurations_give_what_they_can() -> None:
    for odd in (None, 3, [], {}, {"class_name": 3}, {"config": {}}, "text"):
        assert keras_modules(odd) == ()
    odd = {
        "class_name": "Functional",
        "config": {
            "layers": [
                None,
                3,
                {"class_name": "Dense"},
                {"class_name": "Dense", "config": [1]},
                {"config": {}},
            ]
        },
    }
    assert [m.class_name for m in keras_modules(odd)] == ["Functional", "Dense", "Dense"]
    loop = {"name": "a", "class_name": "Dense", "config": {}, "inbound_nodes": [[["a", 0, 0, {}]], 3, None]}
    (model, _) = keras_modules({"class_name": "Model", "config": {"layers": [loop]}})
    assert model.config["wiring"] == [[[0], [], []]]


def test_the_work_grows_with_the_layers_and_no_faster() -> None:
    def layers(count: int) -> dict[str, Any]:
        made = [
            {"class_name": "Dense", "config": {"name": f"d{n}", "trainable": True, "units": 4, "activation": "relu"},
             "inbound_nodes": [[[f"d{n - 1}", 0, 0, {}]]]}
            for n in range(count)
        ]  # fmt: skip
        return {"class_name": "Model", "config": {"layers": made}}

    few, many = layers(200), layers(2_000)
    assert len(keras_modules(many)) == 2_001
    assert calls_of(lambda: keras_modules(many)) < 11 * calls_of(lambda: keras_modules(few))


def test_what_build_settles_is_no_setting_before_it() -> None:
    unbuilt = {"name": "mha", "num_heads": 2, "attention_axes": None}
    assert keras_module_config(unbuilt) == {"num_heads": 2}
    assert keras_module_config({**unbuilt, "attention_axes": (1,)}) == {"num_heads": 2, "attention_axes": [1]}
    assert keras_module_config({"name": "sequential", "build_input_shape": (8, 4)}) == {}
