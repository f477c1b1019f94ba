"""Values as JSON: every kind there and back, and what no save writes refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import HoldfastError
from holdfast._core.plain import identical, pack, unpack

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8")),
    st.binary(max_size=8), st.complex_numbers(allow_nan=False),
)  # fmt: skip
KEYS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=4), st.integers(), st.sampled_from(["$float", "$map"]),
    st.tuples(st.integers(), st.tuples(st.text(st.characters(codec="utf-8"), max_size=2))), st.just(()),
)  # fmt: skip
NESTS = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4))
)


@given(NESTS)
def test_there_and_back(value: Any) -> None:
    bad: list[str] = []
    text = json.dumps(pack(value, "v", bad), allow_nan=False)
    assert not bad
    assert repr(unpack(json.loads(text))) == repr(value)


def test_nan_and_arrays() -> None:
    assert math.isnan(unpack(pack(float("nan"), "v", [])))
    for array in (
        np.zeros((0, 3), "i2"),
        np.array([np.nan, -0.0], ">f4"),
        np.array(3 + 1j),
        np.array([["a", "ö"]]),
    ):
        back = unpack(json.loads(json.dumps(pack(array, "v", []))))
        assert back.shape == array.shape
        assert back.tolist() == array.tolist() or np.isnan(array).any()


def test_a_circle_and_objects_are_named() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, object(), [{"x": print}], np.zeros(5000)):
        bad: list[str] = []
        pack(value, "here", bad)
        assert bad
        assert all(text.startswith("here") for text in bad)


@pytest.mark.parametrize(
    "value",
    [
        {"$what": 1}, {"$float": []}, {"$bytes": "zz"}, {"$array": "00", "dtype": "float32", "shape": [1]},
        {"$array": "", "dtype": "object", "shape": [0]}, {"$array": "00", "dtype": "nope", "shape": [1]},
        {"$texts": [1], "shape": [1]}, {"$texts": ["a"], "shape": [-1]}, {"$map": [[[{}], 1]]}, {"$complex": ["x", "1"]},
    ],
)  # fmt: skip
def test_what_no_save_writes_is_refused(value: Any) -> None:
    with pytest.raises(HoldfastError):
        unpack(value)


@given(NESTS)
def test_what_comes_back_is_identical(value: Any) -> None:
    if "(" not in repr(value):  # tuples come back as lists
        assert identical(unpack(json.loads(json.dumps(pack(value, "v", [])))), value)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0), (1, True), (0.0, -0.0), (0.1, 0.1 + 1e-12), (b"a", b"b"), (1 + 2j, 1 - 2j), ([1], (1,)), ([1], [1, 2]),
        ({"a": 1}, {"a": 2}), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (np.zeros(2), np.zeros(2, "f4")),
        (np.zeros(2), np.ones(2)), (np.zeros(2), np.zeros((2, 1))), (object(), object()), ("a", None),
    ],
)  # fmt: skip
def test_what_is_not_identical(a: Any, b: Any) -> None:
    assert not identical(a, b)
    assert isinstance(a, object) and identical([a], [a]) is (type(a) is not object)
