"""Whether all values of a piece are finite is told as a look at each of them tells it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from holdfast._integrity.finite import finite_test

KINDS = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": ml_dtypes.bfloat16}


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("count", [0, 1, 7, 65536])
def test_finite_values_of_any_size_pass(dtype: str, count: int) -> None:
    kind = np.dtype(KINDS[dtype])
    test = finite_test(dtype)
    assert test is not None
    most = float(ml_dtypes.finfo(kind).max)
    for values in (np.zeros(count), np.full(count, most), np.resize([most, -most, 1e-30], count)):
        assert test(memoryview(values.astype(kind).view(np.uint8)))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 4096, 65535])
def test_one_value_that_is_not_finite_is_told(dtype: str, bad: float, at: int) -> None:
    kind = np.dtype(KINDS[dtype])
    test = finite_test(dtype)
    assert test is not None
    values = np.random.default_rng(0).normal(size=65536).astype(kind)
    values[at] = bad
    assert not test(memoryview(values.view(np.uint8)))
    values[1] = ml_dtypes.finfo(kind).max  # whose square is infinite, too
    assert not test(memoryview(values.view(np.uint8)))


def test_integers_have_no_such_values() -> None:
    assert finite_test("int32") is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_value_of_two_bytes(dtype: str) -> None:
    kind = np.dtype(KINDS[dtype])
    test = finite_test(dtype)
    assert test is not None
    every = np.arange(1 << 16, dtype="<u2")
    told = [test(memoryview(every[n : n + 1].view(np.uint8))) for n in range(len(every))]
    assert told == np.isfinite(every.view(kind).astype("<f4")).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_values_beside_infinity(dtype: str) -> None:
    kind = np.dtype(KINDS[dtype])
    bits = np.dtype(f"<u{kind.itemsize}")
    test = finite_test(dtype)
    assert test is not None
    for bound in (np.inf, -np.inf):
        middle = int(np.array(bound, kind).view(bits))
        for away in range(-3, 4):
            value = np.array([0, middle + away, 1], bits)
            assert test(memoryview(value.view(np.uint8))) == (away < 0), (bound, away)
    assert not test(memoryview(np.array([(1 << 8 * kind.itemsize) - 1], bits).view(np.uint8)))
