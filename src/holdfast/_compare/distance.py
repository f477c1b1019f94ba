"""How far apart two tensors are, computed piece by piece."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.catalog import Catalog
from .._core.spec import TensorSpec
from .content import bits, equal_values, flat_pieces

__all__ = ["Distance", "distance"]

PIECE = 1 << 22  # bytes; a tensor is never copied whole


@dataclass(frozen=True, slots=True)
class Distance:
    """The distance of B from A over all elements.

    Attributes
    ----------
    identical: same dtype, same bits. cast: equal once the wider is cast to the narrower dtype.
    equal: equal as numbers (signed zeros and NaN payloads may differ).
    elements, different: how many elements there are, and in how many the numbers differ (a NaN equals a NaN).
    max_abs, rms: of B - A, where both are finite. cosine: of the angle between them, ``None`` when one is
        zero.
    relative: norm(B - A) / norm(A), ``None`` when A is zero. nan_a, nan_b, inf_a, inf_b: how many of each.
    first: index in C order of the first element that differs.
    """

    identical: bool
    cast: bool
    equal: bool
    elements: int
    different: int = 0
    max_abs: float | None = 0.0
    rms: float | None = 0.0
    cosine: float | None = 1.0
    relative: float | None = 0.0
    nan_a: int = 0
    nan_b: int = 0
    inf_a: int = 0
    inf_b: int = 0
    first: int | None = None

    def to_document(self) -> dict[str, Any]:
        """JSON-able; infinities as texts."""
        document: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            document[name] = str(value) if isinstance(value, float) and not math.isfinite(value) else value
        return document


def _permuted(values: np.ndarray, axes: tuple[int, ...]) -> Iterator[np.ndarray]:
    return flat_pieces(values.transpose(axes), max(1, PIECE // max(1, values.dtype.itemsize)))


def _aligned(a: Iterator[np.ndarray], b: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two streams of flat pieces, cut so that they run together; a stream that ends early ends both."""
    left = right = None
    while True:
        if left is None or not left.size:
            left = next(a, None)
        if right is None or not right.size:
            right = next(b, None)
        if left is None or right is None:
            return
        count = min(left.size, right.size)
        yield left[:count], right[:count]
        left, right = left[count:], right[count:]


def distance(
    a: Catalog, spec_a: TensorSpec, b: Catalog, spec_b: TensorSpec, axes: tuple[int, ...] | None = None
) -> Distance:
    """The distance between A's tensor (its axes permuted by ``axes``) and B's; the shapes must then agree.

    Memory: a few pieces of 4 MiB beside what the catalogs hold. Raises what reading raises.
    """

    def streams() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if axes is None:
            yield from _aligned(iter(a.pieces(spec_a.name, PIECE)), iter(b.pieces(spec_b.name, PIECE)))
        else:
            yield from _aligned(_permuted(a.read(spec_a.name), axes), iter(b.pieces(spec_b.name, PIECE)))

    elements = 0
    same_bits = same_cast = True
    for left, right in streams():
        elements += left.size
        if same_bits and not (left.dtype == right.dtype and equal_values(left, right)):
            same_bits = False
        if not same_bits and same_cast and not equal_values(left, right):
            same_cast = False
            break
    if same_bits or same_cast:
        return Distance(identical=same_bits, cast=not same_bits, equal=True, elements=elements)
    return _measure(streams())


def _numbers(values: np.ndarray) -> np.ndarray:
    """Values as float64 or complex128 (structured half-complex as complex; booleans and integers as
    numbers)."""
    if values.dtype.names == ("real", "imag"):
        return values["real"].astype(np.float64) + 1j * values["imag"].astype(np.float64)
    if values.dtype.kind == "c":
        return values.astype(np.complex128)
    return values.astype(np.float64)


def _measure(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> Distance:
    elements = different = nan_a = nan_b = inf_a = inf_b = counted = 0
    first: int | None = None
    largest = squares = norm_a = norm_b = dot = 0.0
    numeric = True
    with np.errstate(all="ignore"):
        for left, right in pairs:
            if object in (left.dtype, right.dtype) or not _numeric(left) or not _numeric(right):
                numeric = False
                unlike = _unlike(left, right)
            else:
                x, y = _numbers(left), _numbers(right)
                bad_x, bad_y = np.isnan(x), np.isnan(y)
                wild_x, wild_y = np.isinf(x), np.isinf(y)
                nan_a, nan_b = nan_a + int(bad_x.sum()), nan_b + int(bad_y.sum())
                inf_a, inf_b = inf_a + int(wild_x.sum()), inf_b + int(wild_y.sum())
                unlike = (x != y) & ~(bad_x & bad_y)
                finite = ~(bad_x | bad_y | wild_x | wild_y)
                if not finite.all():
                    x, y = x[finite], y[finite]
                counted += x.size
                if x.size:
                    gap = np.abs(y - x)
                    largest = max(largest, float(gap.max()))
                    squares += float(np.square(gap).sum())
                    norm_a += float(np.square(np.abs(x)).sum())
                    norm_b += float(np.square(np.abs(y)).sum())
                    dot += float(np.real(np.vdot(x, y)))
            count = int(unlike.sum())
            if count and first is None:
                first = elements + int(np.argmax(unlike))
            different += count
            elements += left.size
    if not numeric:
        return Distance(
            False, False, different == 0, elements, different, None, None, None, None, first=first
        )
    both = math.sqrt(norm_a) * math.sqrt(norm_b)
    return Distance(
        identical=False,
        cast=False,
        equal=different == 0,
        elements=elements,
        different=different,
        max_abs=largest,
        rms=math.sqrt(squares / counted) if counted else None,
        cosine=max(-1.0, min(1.0, dot / both)) if both else None,
        relative=math.sqrt(squares) / math.sqrt(norm_a) if norm_a else None,
        nan_a=nan_a,
        nan_b=nan_b,
        inf_a=inf_a,
        inf_b=inf_b,
        first=first,
    )


def _numeric(values: np.ndarray) -> bool:
    return values.dtype.names in (None, ("real", "imag"))


def _unlike(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Element by element, for what is no number: strings, records."""
    if left.dtype == object or right.dtype == object:
        return np.array(
            [not equal_values(left[i : i + 1], right[i : i + 1]) for i in range(left.size)], dtype=bool
        )
    if left.dtype != right.dtype:
        return np.ones(left.size, dtype=bool)
    rows_left = bits(left).reshape(left.size, -1)
    return (rows_left != bits(right).reshape(left.size, -1)).any(axis=1)
