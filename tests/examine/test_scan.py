"""The scan against numpy, and its runs of zeros."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._core.errors import Truncated
from holdfast._core.spec import Stored
from holdfast._core.stats import TensorStats
from holdfast._examine import scan
from holdfast._examine.scan import scan_catalog, scan_tensor
from memory_catalog import Memory, normal

FLOATS = [
    np.float64,
    np.float32,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
]


def one(values: np.ndarray, **spec) -> TensorStats:
    found = scan_tensor(Memory({"x": values}, {"x": spec}), "x")
    assert isinstance(found, TensorStats)
    return found


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_of_a_float_tensor(dtype) -> None:
    values = np.random.default_rng(3).normal(size=(37, 101)).astype(dtype)
    values[0, :5] = 0
    wide = values.astype(np.float64)
    found = one(values)
    assert (found.size, found.nan, found.inf) == (values.size, 0, 0)
    assert found.zeros == int((wide == 0).sum())
    assert found.minimum == wide.min() and found.maximum == wide.max()
    assert found.mean == pytest.approx(wide.mean(), rel=1e-4, abs=1e-6)
    assert found.std == pytest.approx(wide.std(), rel=1e-3)


def test_nan_and_infinity_stay_out_of_the_range() -> None:
    found = one(np.array([1.0, np.nan, -np.inf, 3.0, np.inf, np.nan], np.float32))
    assert (found.nan, found.inf, found.minimum, found.maximum, found.mean) == (2, 2, 1.0, 3.0, 2.0)
    nothing = one(np.full(5, np.nan, np.float32))
    assert (nothing.nan, nothing.minimum, nothing.mean) == (5, None, None)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, bool, ml_dtypes.int4])
def test_integers(dtype) -> None:
    values = np.array([0, 1, 3, 0, 2] * 7).astype(dtype)
    found = one(values)
    wide = values.astype(np.int64)
    assert (found.minimum, found.maximum, found.zeros) == (wide.min(), wide.max(), int((wide == 0).sum()))
    assert found.mean is None


def test_complex_strings_scalars_and_nothing() -> None:
    found = one(np.array([1 + 2j, np.nan - 4j], np.complex64))
    assert (found.size, found.nan, found.minimum, found.maximum) == (4, 1, -4.0, 2.0)
    half = np.array([(1.0, np.inf)], [("real", "<f2"), ("imag", "<f2")])
    assert one(half, dtype="complex32").inf == 1
    assert one(np.array([b"a", b"b"], object)) == TensorStats(0)
    assert one(np.zeros((0, 3), np.float32)).size == 0
    assert one(np.array(2.5)).mean == 2.5


def test_huge_values_and_what_is_typical() -> None:
    values = normal(100, 100)
    values[3, 3] = 1e30
    found = one(values)
    assert found.huge == 1
    assert found.typical == pytest.approx(np.median(np.abs(values)), rel=0.1)


def runs_of(values: np.ndarray) -> list[tuple[int, int]]:
    """All runs of zeros of a page less one element or more, the slow way."""
    width, flat = values.itemsize, values.reshape(-1)
    found, start = [], None
    for at, value in enumerate([*flat.tolist(), 1.0]):
        if value == 0 and start is None:
            start = at
        elif value != 0 and start is not None:
            if at - start >= 4096 // width - 1:
                found.append((start * width, (at - start) * width))
            start = None
    return found


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 3000)), max_size=5),
    st.sampled_from([np.float32, np.float16, np.float64]),
    st.sampled_from([512, 1000, 4096, 1 << 20]),
    st.booleans(),
)
def test_runs_of_zeros_are_found_across_pieces(cuts, dtype, piece, sparse) -> None:
    values = normal(10_000, dtype=np.float32).astype(dtype)
    values[values == 0] = 1
    if sparse:
        values[::3] = 0
    for start, length in cuts:
        values[start : start + length] = 0
    kept = scan.PIECE
    scan.PIECE = piece * values.itemsize
    try:
        assert list(one(values).zero_pages) == runs_of(values)
    finally:
        scan.PIECE = kept


def test_a_whole_tensor_of_zeros_has_no_run() -> None:
    found = one(np.zeros((64, 64), np.float32))
    assert found.zeros == 4096 and found.zero_pages == () and found.runs == 0


class Broken(Memory):
    def read(self, name: str) -> np.ndarray:
        if self[name].name == "bad":
            raise Truncated("gone", tensor="bad")
        return super().read(name)


def test_errors_stand_in_their_place_and_order_is_kept() -> None:
    arrays = {f"t{i}": normal(600, 600, seed=i) for i in range(6)} | {"bad": normal(3), "last": normal(4)}
    found = scan_catalog(Broken(arrays), jobs=3)
    assert list(found) == list(arrays)
    assert isinstance(found["bad"], Truncated)
    assert found["t3"].maximum == arrays["t3"].max()
    assert list(scan_catalog(Broken(arrays), names=["last", "t0"])) == ["last", "t0"]


def test_progress_counts_every_byte_and_tied_tensors_are_read_once() -> None:
    w = normal(300, 300)
    tie = {"shares": "0", "stored": (Stored("f", 0, w.nbytes),)}
    seen: list[int] = []
    found = scan_catalog(Memory({"a": w, "b": w}, {"a": tie, "b": tie}), jobs=1, progress=seen.append)
    assert sum(seen) == w.nbytes
    assert found["a"] == found["b"]
    # views of one storage at different places are different values
    other = {"shares": "0", "stored": (Stored("f", 4, w.nbytes),)}
    found = scan_catalog(Memory({"a": w, "b": w * 2}, {"a": tie, "b": other}), jobs=1)
    assert found["a"] != found["b"]
