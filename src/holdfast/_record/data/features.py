"""What is kept of a sample: a few numbers in which honest batches agree and wrong preprocessing shows.

The samples of a batch are independent of each other, the elements of a sample (pixels, tokens) are not. So everything is
summed up per sample first, and compared between samples: the spread of these summaries gives the noise that a batch of any
size has, whatever the data's distribution is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

__all__ = [
    "Form",
    "Kind",
    "elements",
    "ends",
    "finite",
    "form_of",
    "missing_in",
    "moments",
    "pieces",
    "summaries",
]

Kind = Literal["columns", "dense", "labels", "tokens", "text"]

_MOST_COLUMNS = 256
_MOST_WHOLE_COLUMNS = 32
"""Rows of whole numbers up to this length are taken for a table, longer ones for tokens."""
_CHANNELS = (1, 2, 3, 4)
_BUCKETS = 64
_PIECE = 1 << 22
_GREATEST = 1e37
"""Greater numbers count as this one, so that sums of squares are numbers, and summaries fit into float32."""
_ELEMENTS = 16
_LARGE = 16_384
_LOOKED_AT = 8_192
_FIRST = ("mean", "std", "min", "max")


@dataclass(frozen=True)
class Form:
    """How a field is summed up.

    kind: ``columns`` (a table of numbers, each column by itself), ``dense`` (images, series, embeddings), ``labels`` (one
    whole number a sample), ``tokens`` (several), ``text``. channels: the axis of a sample that holds the channels, or
    ``None``. names: what each number of a summary is. every: of large samples, each how many-th element along each axis is
    looked at.
    """

    kind: Kind
    channels: int | None
    names: tuple[str, ...]
    every: tuple[int, ...] = ()


def form_of(values: np.ndarray, ragged: bool = False) -> Form:
    """The form of a field from its first batch: shape ``(samples, ...)``, any dtype. ``ragged``: samples differ in length."""
    if values.dtype.kind in "USO":
        return Form("text", None, ("length",))
    sample = values.shape[1:]
    width = int(np.prod(sample, dtype=np.int64))
    whole = values.dtype.kind in "iub"
    if whole and width == 1 and not ragged:
        return Form("labels", None, ("value",))
    flat = len(sample) <= 1 and not ragged
    if (
        whole
        and values.dtype != np.uint8
        and len(sample) == 1
        and not (flat and width <= _MOST_WHOLE_COLUMNS)
    ):
        return Form("tokens", None, (*(f"bucket {n}" for n in range(_BUCKETS)), "share of zeros", "length"))
    if flat and width <= _MOST_COLUMNS:
        return Form("columns", None, tuple(f"column {n}" for n in range(width)) if sample else ("value",))
    axis = _channel_axis(sample)
    names = list(_FIRST)
    names += [f"{word} along axis {n}" for n in _walked(sample, axis) for word in ("step", "tilt")]
    if axis is not None and sample[axis] > 1:
        names += [f"{word} of channel {n}" for word in ("mean", "std") for n in range(sample[axis])]
        names += [f"mean of channel {a} less that of {b}" for a, b in combinations(range(sample[axis]), 2)]
    return Form("dense", axis, tuple(names), _every(sample, axis))


def _channel_axis(sample: tuple[int, ...]) -> int | None:
    """Which axis of an image-like sample holds the channels: the last or the first, if it alone is that short."""
    if len(sample) < 3:
        return None
    last, first = sample[-1] in _CHANNELS, sample[0] in _CHANNELS
    if last == first:
        return len(sample) - 1 if last and sample[-1] <= sample[0] else None
    return len(sample) - 1 if last else 0


def _every(sample: tuple[int, ...], channels: int | None) -> tuple[int, ...]:
    """Steps that leave some 8,000 elements of a sample, so that an image of 224 x 224 costs no more than one of 50 x 50."""
    size, axes = int(np.prod(sample, dtype=np.int64)), len(sample) - (channels is not None)
    if size <= _LARGE:
        return ()
    step = int(np.ceil((size / _LOOKED_AT) ** (1 / axes)))
    return tuple(1 if n == channels else max(1, min(step, length // 8)) for n, length in enumerate(sample))


def _walked(sample: tuple[int, ...], channels: int | None) -> list[int]:
    """The axes of a sample along which neighbours are compared."""
    return [n for n in range(len(sample)) if n != channels][:4]


def pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """The samples in runs of at most some 4 million elements, so that no copy of all is made."""
    width = max(1, int(np.prod(values.shape[1:], dtype=np.int64)))
    step = max(1, _PIECE // width)
    for begin in range(0, len(values), step):
        yield values[begin : begin + step]


def summaries(form: Form, values: np.ndarray) -> np.ndarray:
    """One row a sample, float64 of shape ``(samples, len(form.names))``. NaN stays NaN in columns and is left out of
    the sums elsewhere."""
    if not len(values):
        return np.zeros((0, len(form.names)))
    return np.concatenate([_summaries(form, piece) for piece in pieces(values)])


def _summaries(form: Form, values: np.ndarray) -> np.ndarray:
    n = len(values)
    if form.kind == "text":
        return np.array([[float(len(str(text)))] for text in values.reshape(n, -1)[:, 0]])
    if form.kind == "labels":
        return values.reshape(n, 1).astype(np.float64)
    if form.kind == "tokens":
        return _token_summaries(values)
    if form.every:
        seen = (slice(None), *(slice(None, None, step) for step in form.every))
        values = values[seen]
    exact = finite(values.astype(np.float64))
    flat = exact.reshape(n, -1)
    if form.kind == "columns":
        return flat
    with np.errstate(all="ignore"):
        parts = [_over(flat, function) for function in (np.nanmean, np.nanstd, np.nanmin, np.nanmax)]
        scale = np.where(parts[1] > 0, parts[1], 1.0)
        for axis in _walked(values.shape[1:], form.channels):
            parts += [each / scale for each in _along(exact, axis + 1)]
        if form.channels is not None and len(form.names) > len(_FIRST) + 2 * (exact.ndim - 2):
            moved = np.moveaxis(exact, form.channels + 1, 1)
            moved = moved.reshape(n, moved.shape[1], -1)
            each = moved.reshape(n * moved.shape[1], -1)
            means, spreads = (_over(each, function).reshape(n, -1) for function in (np.nanmean, np.nanstd))
            parts += [means, spreads]
            parts += [means[:, a] - means[:, b] for a, b in combinations(range(means.shape[1]), 2)]
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)


def _along(exact: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """How far neighbours along an axis are apart, and how far its first half is from its second, on average."""
    n, length = len(exact), exact.shape[axis]
    if length < 2:
        return np.zeros(n), np.zeros(n)
    steps = np.abs(np.diff(exact, axis=axis)).reshape(n, -1)
    half = length // 2
    first, second = (
        _over(np.take(exact, part, axis=axis).reshape(n, -1), np.nanmean)
        for part in (range(half), range(length - half, length))
    )
    return np.nan_to_num(_over(steps, np.nanmean)), np.nan_to_num(first - second)


def _over(flat: np.ndarray, function: object) -> np.ndarray:
    if flat.size == 0:
        return np.zeros(len(flat))
    dead = np.isnan(flat).all(axis=1)
    if not dead.any():
        return np.asarray(function(flat, axis=1))  # type: ignore[operator]
    found = np.full(len(flat), np.nan)
    found[~dead] = function(flat[~dead], axis=1)  # type: ignore[operator]
    return found


def _token_summaries(values: np.ndarray) -> np.ndarray:
    """Shares of the ids other than 0 by their remainder; the share of zeros (padding), and how many others there are. The
    shares do not depend on how far a batch is padded."""
    n, length = values.shape[0], max(1, int(np.prod(values.shape[1:], dtype=np.int64)))
    flat = values.reshape(n, -1).astype(np.int64)
    real = flat != 0
    rows = np.broadcast_to(np.arange(n)[:, None], flat.shape)[real]
    counts = np.bincount(rows * _BUCKETS + (flat[real] % _BUCKETS), minlength=n * _BUCKETS)
    there = real.sum(axis=1, keepdims=True)
    shares = counts.reshape(n, _BUCKETS) / np.maximum(there, 1)
    return np.concatenate([shares, 1 - there / length, there], axis=1)


def elements(values: np.ndarray) -> np.ndarray:
    """16 single numbers of each sample, at the same places, float32: of them the quantiles of a field are taken."""
    flat = values.reshape(len(values), -1)
    if flat.shape[1] == 0:
        return np.zeros((len(values), 0), np.float32)
    places = np.unique(np.linspace(0, flat.shape[1] - 1, _ELEMENTS).astype(np.int64))
    chosen = flat[:, np.resize(places, _ELEMENTS)]
    return finite(chosen.astype(np.float64)).astype(np.float32)


def finite(values: np.ndarray) -> np.ndarray:
    """The same with NaN for infinities, which are no numbers to reckon with, and less than 1e37."""
    if values.dtype.kind != "f":
        return values
    good = np.isfinite(values)
    if not good.all():
        values = np.where(good, values, np.array(np.nan, values.dtype))
    return np.clip(values, -_GREATEST, _GREATEST) if values.dtype.itemsize == 8 else values


def missing_in(values: np.ndarray) -> np.ndarray | None:
    """Which elements are NaN, infinite or ``None``; ``None`` where there are none."""
    if values.dtype.kind == "O":
        flat = [item is None or bool(item != item) for item in values.reshape(-1).tolist()]
        bad = np.array(flat, bool).reshape(values.shape)
    elif values.dtype.kind == "f" and values.size:
        with np.errstate(all="ignore"):  # one pass for what is nearly always so
            if np.isfinite(values.min()) and np.isfinite(values.max()):
                return None
        bad = ~np.isfinite(values)
    else:
        return None
    return bad if bad.any() else None


def ends(values: np.ndarray, axis: int | None = None) -> tuple[Any, Any]:
    """Least and greatest number along ``axis``, NaN left out; infinities where there is none."""
    if values.dtype.kind != "f":
        return values.min(axis=axis), values.max(axis=axis)
    gone = np.isnan(values)
    return np.where(gone, np.inf, values).min(axis=axis), np.where(gone, -np.inf, values).max(axis=axis)


def moments(values: np.ndarray, axis: int | tuple[int, ...] = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation along ``axis``, NaN left out and dimensions kept; 0 where there is nothing else."""
    if not values.size:
        nothing = np.sum(values, axis=axis, keepdims=True)
        return nothing, nothing
    there = ~np.isnan(values)
    with np.errstate(all="ignore"):
        if there.all():
            mean = np.mean(values, axis=axis, keepdims=True)
            return np.nan_to_num(mean), np.nan_to_num(np.std(values, axis=axis, keepdims=True))
        count = np.maximum(there.sum(axis=axis, keepdims=True), 1)
        mean = np.sum(values, axis=axis, keepdims=True, where=there) / count
        spread = np.sqrt(np.sum((values - mean) ** 2, axis=axis, keepdims=True, where=there) / count)
    return np.nan_to_num(mean), np.nan_to_num(spread)
