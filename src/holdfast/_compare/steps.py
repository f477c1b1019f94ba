"""What the edits of a plan do to values: each function makes a step, an array in and an array out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._core.dtypes import carrier
from .._core.errors import PlanError
from .._core.plan import Slice

__all__ = ["caster", "cutter", "joined", "padder", "resizer", "slicer", "transposer"]

Step = Callable[[np.ndarray], np.ndarray]


def caster(dtype: str) -> Step:
    """Another dtype, rounding to nearest even; a value beyond its range becomes infinite, as frameworks do."""
    return partial(_cast, dtype=dtype)


def _cast(values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(carrier(dtype))


def transposer(axes: tuple[int, ...]) -> Step:
    """The axes permuted, as ``numpy.transpose`` does."""
    return partial(np.transpose, axes=axes)


def slicer(ranges: Sequence[Slice]) -> Step:
    """A part of each axis: ``(start, stop)`` by axis."""
    return partial(_slice, ranges=tuple(slice(*part) for part in ranges))


def _slice(values: np.ndarray, ranges: tuple[slice, ...]) -> np.ndarray:
    return values[ranges]


def cutter(axis: int, start: int, stop: int) -> Step:
    """The part of one axis between two places."""
    return partial(_cut, axis=axis, start=start, stop=stop)


def _cut(values: np.ndarray, axis: int, start: int, stop: int) -> np.ndarray:
    return values[(slice(None),) * axis + (slice(start, stop),)]


def joined(parts: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Several joined along an axis."""
    return np.concatenate(parts, axis=axis)


def padder(name: str, shape: tuple[int, ...], wanted: tuple[int, ...], fill: Any) -> Step:
    """Grown to a shape at the end of each axis, new elements zero or ``fill``.

    Raises :class:`PlanError` where the wanted shape has another number of axes or is smaller.
    """
    if len(shape) != len(wanted) or any(a > b for a, b in zip(shape, wanted, strict=True)):
        raise PlanError(
            "pad grows a tensor and keeps its number of axes", tensor=name, expected=wanted, found=shape
        )
    return partial(_pad, wanted=wanted, fill=0 if fill is None else fill)


def _pad(values: np.ndarray, wanted: tuple[int, ...], fill: Any) -> np.ndarray:
    out = np.full(wanted, fill, dtype=values.dtype)
    out[tuple(slice(0, size) for size in values.shape)] = values
    return out


def resizer(name: str, shape: tuple[int, ...], wanted: tuple[int, ...], method: Any) -> Step:
    """Brought to a shape: ``reshape`` (the default where the number of elements stays) or ``linear``
    (interpolated along each axis, ends on ends).

    Raises :class:`PlanError` for another method, or where the shapes do not allow it.
    """
    same = int(np.prod(shape)) == int(np.prod(wanted))
    method = method or ("reshape" if same else "linear")
    if method == "reshape" and same:
        return partial(_reshape, wanted=wanted)
    if method in ("linear", "bilinear") and len(shape) == len(wanted) and all(shape):
        return partial(_interpolate, wanted=wanted)
    raise PlanError(
        "resize: cannot be done so",
        tensor=name,
        expected=wanted,
        found=shape,
        remedy="Methods: reshape (same number of elements), linear (same number of axes).",
    )


def _reshape(values: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    return values.reshape(wanted)


def _interpolate(values: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    work = values.astype(np.float64)
    for axis, (size, new) in enumerate(zip(values.shape, wanted, strict=True)):
        if size != new:
            at = np.linspace(0, size - 1, new)
            low = np.floor(at).astype(int)
            high = np.minimum(low + 1, size - 1)
            weight = (at - low).reshape([-1 if n == axis else 1 for n in range(work.ndim)])
            work = np.take(work, low, axis) * (1 - weight) + np.take(work, high, axis) * weight
    return work.astype(values.dtype)
