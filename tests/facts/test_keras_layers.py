"""The table of layer variables against the installed Keras."""

from __future__ import annotations

import pytest

from holdfast._facts.keras_layers import (
    VARIABLES,
    class_of_group,
    likely_variables,
    role_of,
    snake_case,
    variable_names,
)

SHAPES = {
    "Dense": ({"units": 3}, (2,)),
    "EinsumDense": ({"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c"}, (2,)),
    "Conv1D": ({"filters": 2, "kernel_size": 2}, (5, 3)),
    "Conv2D": ({"filters": 2, "kernel_size": 2}, (5, 5, 3)),
    "Conv3D": ({"filters": 2, "kernel_size": 2}, (5, 5, 5, 3)),
    "Conv1DTranspose": ({"filters": 2, "kernel_size": 2}, (5, 3)),
    "Conv2DTranspose": ({"filters": 2, "kernel_size": 2}, (5, 5, 3)),
    "DepthwiseConv1D": ({"kernel_size": 2}, (5, 3)),
    "DepthwiseConv2D": ({"kernel_size": 2}, (5, 5, 3)),
    "SeparableConv1D": ({"filters": 2, "kernel_size": 2}, (5, 3)),
    "SeparableConv2D": ({"filters": 2, "kernel_size": 2}, (5, 5, 3)),
    "BatchNormalization": ({}, (3,)),
    "LayerNormalization": ({}, (3,)),
    "GroupNormalization": ({"groups": 1}, (3,)),
    "PReLU": ({}, (3,)),
    "LSTMCell": ({"units": 3}, (2,)),
    "GRUCell": ({"units": 3}, (2,)),
    "SimpleRNNCell": ({"units": 3}, (2,)),
}
OPTIONS = {
    "BatchNormalization": ({"scale": False}, {"center": False}, {"scale": False, "center": False}),
    "LayerNormalization": ({"scale": False}, {"center": False}),
    "GroupNormalization": ({"scale": False}, {"center": False}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_against_keras(name):
    keras = pytest.importorskip("keras", minversion="3.0")
    given, shape = SHAPES[name]
    biased = "use_bias" in getattr(keras.layers, name).__init__.__code__.co_varnames
    for change in ({}, *OPTIONS.get(name, ({"use_bias": False},) if biased else ())):
        layer = getattr(keras.layers, name)(**given, **change)
        layer.build((1, *shape))
        own = [*layer._trainable_variables, *layer._non_trainable_variables]  # what save_own_variables stores
        found = variable_names(name, layer.get_config(), len(own))
        assert found == tuple(v.name for v in own)
        for variable in own:
            assert (role_of(variable.name) == "buffer") == (not variable.trainable)


def test_snake_case_against_keras():
    naming = pytest.importorskip("keras.src.utils.naming")
    for name in VARIABLES:
        assert snake_case(name) == naming.to_snake_case(name)
        assert class_of_group(snake_case(name) + "_12") is not None


def test_options_and_counts():
    assert variable_names("Dense", None, 1) == ("kernel",)
    assert variable_names("Dense", None, 5) is None
    assert variable_names("Nobody", None, 1) is None
    assert variable_names("BatchNormalization", None, 3) == ("vars/0", "moving_mean", "moving_variance")
    quantised = {"dtype": {"class_name": "X", "config": {"mode": "int8"}}, "use_bias": False}
    assert variable_names("Dense", quantised, 2) == ("kernel", "kernel_scale")
    assert class_of_group("nothing_1") is None


def test_likely_variables_only_where_shapes_say_so():
    assert likely_variables([(3, 4), (4,)]) == ("kernel", "bias")
    assert likely_variables([(4,)] * 4) == ("gamma", "beta", "moving_mean", "moving_variance")
    assert likely_variables([(2, 12), (3, 12), (12,)]) == ("kernel", "recurrent_kernel", "bias")
    assert likely_variables([(3, 4)]) is None
    assert likely_variables([(3, 4), (3,)]) is None
