"""What is kept of a sample: a few numbers in which honest batches agree and wrong preprocessing shows.

The samples of a batch are independent of each other, the elements of a sample (pixels, tokens) are not. So everything is
summed up per sample first, and compared between samples: the spread of these summaries gives the noise that a batch of any
size has, whatever the data's distribution is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Form", "Kind", "form_of", "moments", "summaries"]

Kind = Literal["columns", "dense", "labels", "tokens", "text"]

_MOST_COLUMNS = 256
_CHANNELS = (1, 2, 3, 4)
_BUCKETS = 64


@dataclass(frozen=True)
class Form:
    """How a field is summed up.

    kind: ``columns`` (a table of numbers, each column by itself), ``dense`` (images, series, embeddings), ``labels`` (one
    whole number a sample), ``tokens`` (several), ``text``. channels: the axis of a sample that holds the channels, or
    ``None``. names: what each number of a summary is.
    """

    kind: Kind
    channels: int | None
    names: tuple[str, ...]


def form_of(values: np.ndarray) -> Form:
    """The form of a field from its first batch: shape ``(samples, ...)``, any dtype."""
    if values.dtype.kind in "USO":
        return Form("text", None, ("length",))
    sample = values.shape[1:]
    whole = values.dtype.kind in "iub"
    if whole and int(np.prod(sample, dtype=np.int64)) == 1:
        return Form("labels", None, ("value",))
    if whole and values.dtype != np.uint8 and len(sample) == 1:
        return Form("tokens", None, (*(f"bucket {n}" for n in range(_BUCKETS)), "share of zeros"))
    if len(sample) <= 1 and int(np.prod(sample, dtype=np.int64)) <= _MOST_COLUMNS:
        columns = int(np.prod(sample, dtype=np.int64))
        return Form("columns", None, tuple(f"column {n}" for n in range(columns)))
    axis = _channel_axis(sample)
    names = ["mean", "std", "min", "max"]
    if axis is not None and sample[axis] > 1:
        names += [f"{word} of channel {n}" for word in ("mean", "std") for n in range(sample[axis])]
    return Form("dense", axis, tuple(names))


def _channel_axis(sample: tuple[int, ...]) -> int | None:
    """Which axis of an image-like sample holds the channels: the last or the first, if it alone is that short."""
    if len(sample) < 3:
        return None
    last, first = sample[-1] in _CHANNELS, sample[0] in _CHANNELS
    if last == first:
        return len(sample) - 1 if last and sample[-1] <= sample[0] else None
    return len(sample) - 1 if last else 0


def summaries(form: Form, values: np.ndarray) -> np.ndarray:
    """One row a sample, float64 of shape ``(samples, len(form.names))``. NaN stays NaN in columns and is left out of
    the sums elsewhere."""
    n = len(values)
    if form.kind == "text":
        return (
            np.array([[float(len(str(text)))] for text in values.reshape(n, -1)[:, 0]])
            if n
            else np.zeros((0, 1))
        )
    if form.kind == "labels":
        return values.reshape(n, 1).astype(np.float64)
    if form.kind == "tokens":
        return _token_summaries(values)
    flat = values.reshape(n, -1).astype(np.float64)
    if form.kind == "columns":
        return flat
    with np.errstate(all="ignore"):
        parts = [
            _over(flat, np.nanmean),
            _over(flat, np.nanstd),
            _over(flat, np.nanmin),
            _over(flat, np.nanmax),
        ]
        if form.channels is not None and len(form.names) > 4:
            moved = np.moveaxis(values.astype(np.float64), form.channels + 1, 1)
            moved = moved.reshape(n, moved.shape[1], -1)
            parts += [np.nanmean(moved, axis=2), np.nanstd(moved, axis=2)]
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)


def _over(flat: np.ndarray, function: object) -> np.ndarray:
    if flat.size == 0:
        return np.zeros((len(flat), 1))
    dead = np.isnan(flat).all(axis=1)
    if not dead.any():
        return np.asarray(function(flat, axis=1))  # type: ignore[operator]
    found = np.full(len(flat), np.nan)
    found[~dead] = function(flat[~dead], axis=1)  # type: ignore[operator]
    return found


def _token_summaries(values: np.ndarray) -> np.ndarray:
    """Shares of the ids by their remainder, and of zeros (padding)."""
    n, length = values.shape[0], max(1, int(np.prod(values.shape[1:], dtype=np.int64)))
    flat = values.reshape(n, -1).astype(np.int64)
    rows = np.repeat(np.arange(n), flat.shape[1])
    counts = np.bincount(rows * _BUCKETS + (flat.reshape(-1) % _BUCKETS), minlength=n * _BUCKETS)
    shares = counts.reshape(n, _BUCKETS) / length
    return np.concatenate([shares, (flat == 0).mean(axis=1, keepdims=True)], axis=1)


def moments(values: np.ndarray, axis: int | tuple[int, ...] = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation along ``axis``, NaN left out and dimensions kept; 0 where there is nothing else."""
    there = ~np.isnan(values)
    count = np.maximum(there.sum(axis=axis, keepdims=True), 1)
    with np.errstate(all="ignore"):
        mean = np.sum(values, axis=axis, keepdims=True, where=there) / count
        spread = np.sqrt(np.sum((values - mean) ** 2, axis=axis, keepdims=True, where=there) / count)
    return np.nan_to_num(mean), np.nan_to_num(spread)
