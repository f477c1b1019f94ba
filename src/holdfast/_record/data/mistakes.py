"""The usual mistakes of preprocessing, each with what undoes it: where a batch fits the contract once one is undone, that is
the likely cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .contract import FieldContract
from .drift import Strays
from .features import Form, ends, moments

__all__ = ["Mistake", "mistakes", "own_statistics", "scaled"]

Undo = Callable[[np.ndarray], np.ndarray]
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation by channel that pretrained image models are fed with (torchvision's documentation of its models)."""


@dataclass(frozen=True)
class Mistake:
    """kind: a slug. message: one sentence. undo: makes of the batch (float64) what it should have been."""

    kind: str
    message: str
    undo: Undo


def mistakes(
    entry: FieldContract, values: np.ndarray, strays: Strays, constants: tuple[Any, Any] | None = None
) -> Iterator[Mistake]:
    """Those that can be, the most specific first. ``constants``: mean and deviation by channel of the training pipeline."""
    name, form = entry.name, entry.form
    colours = form.channels is not None and entry.shape[form.channels] == 3
    if form.channels is not None and entry.shape[form.channels] in (3, 4):
        axis = form.channels + 1
        reverse = f"the channels of {name} are reversed (BGR for RGB)"
        yield Mistake("channels-reversed", reverse, lambda v: _reversed(v, axis))
        for pair in (constants, _IMAGENET) if colours else ():
            if pair is not None and entry.lowest < 0:
                yield Mistake(
                    "channels-reversed", f"{reverse}, and then normalised",
                    lambda v, pair=pair: _reversed_before(v, axis, pair),  # type: ignore[misc]
                )  # fmt: skip
    if form.kind == "columns" and len(form.names) > 1:
        order = _column_order(entry, values, strays)
        if order is not None:
            moved = [n for n, at in enumerate(order) if at != n]
            shown = ", ".join(str(n) for n in moved[:6])
            yield Mistake(
                "field-order", f"the columns of {name} stand in another order: {shown} are exchanged",
                lambda v: v[:, order],
            )  # fmt: skip
    yield from _scales(entry, values)
    told = scaled(entry)
    if told is not None and _looks_raw(entry, values):
        text = f"{name} is not normalised (the model was fed {told})"
        yield Mistake("not-normalised", text, lambda v: _matched(v, entry))
        other = _matched_by_quantiles if form.kind == "columns" else _by_range
        yield Mistake("not-normalised", text, lambda v: other(v, entry))
        for pair in (constants, _IMAGENET) if colours else ():
            if pair is not None:
                yield Mistake("not-normalised", text, lambda v, pair=pair: _by(v, form, pair))  # type: ignore[misc]
    if told is None and _looks_normalised(values, form):
        text = f"{name} is normalised, and the model was fed it as it is"
        yield Mistake("normalised", text, lambda v: _matched(v, entry))
        other = _matched_by_quantiles if form.kind == "columns" else _by_range
        yield Mistake("normalised", text, lambda v: other(v, entry))
        for pair in (constants, _IMAGENET) if colours else ():
            if pair is not None:
                yield Mistake("normalised", text, lambda v, pair=pair: _back(v, form, pair))  # type: ignore[misc]
    if form.channels is not None and len(entry.shape) == 3 and not entry.ragged:
        was, now = ("NHWC", "NCHW") if form.channels == 2 else ("NCHW", "NHWC")
        yield Mistake(
            "layout", f"{name} was given the shape of {was} without moving its axes: its content lies as {now}",
            lambda v: _moved(v, form),
        )  # fmt: skip


def _scales(entry: FieldContract, values: np.ndarray) -> Iterator[Mistake]:
    """Only of what was fed from 0 to 1, from -1 to 1, or as bytes."""
    name = entry.name
    low, high = (float(end) for end in ends(values))
    rows: list[tuple[str, Undo]] = []
    if entry.lowest >= -1.05 and entry.highest <= 1.05:
        signed = entry.lowest < -0.05
        fed = "-1 to 1" if signed else "0 to 1"
        if high > 4 and low >= 0:
            rows.append((f"{name} runs from 0 to 255 where the model was fed {fed}", (lambda v: v / 127.5 - 1) if signed
                         else (lambda v: v / 255)))  # fmt: skip
        elif signed and low >= 0:
            rows.append((f"{name} runs from 0 to 1 where the model was fed -1 to 1", lambda v: v * 2 - 1))
        elif not signed and low < -0.05:
            rows.append((f"{name} runs from -1 to 1 where the model was fed 0 to 1", lambda v: (v + 1) / 2))
        if max(abs(low), abs(high)) < 0.02:
            rows.append((f"{name} was divided by 255 twice", lambda v: v * 255))
    elif entry.lowest >= 0 and 2 < entry.highest <= 256:
        most = "255" if entry.highest > 64 else f"{entry.highest:.4g}"
        if low < -0.05 and high <= 1.05:
            rows.append(
                (
                    f"{name} runs from -1 to 1 where the model was fed 0 to {most}",
                    lambda v: (v + 1) / 2 * float(most),
                )
            )
        elif high <= 1.05:
            rows.append(
                (f"{name} runs from 0 to 1 where the model was fed 0 to {most}", lambda v: v * float(most))
            )
    for message, undo in rows:
        yield Mistake("scale", message, undo)


def scaled(entry: FieldContract) -> str | None:
    """How the contract's numbers are normalised, in words; ``None`` where they are as they were measured."""
    mean, spread = (each[0] for each in moments(entry.rows))
    if entry.form.kind == "columns":
        live = spread > 1e-6
        if not live.any():
            return None
        if np.median(np.abs(mean[live])) < 0.3 and 0.5 < np.median(spread[live]) < 2:
            return "mean 0 and standard deviation 1"
        low, high = ends(entry.rows[:, live], 0)
        if (
            live.sum() > 1
            and np.abs(low).max() < 0.1
            and np.abs(high - 1).max() < 0.1
            and entry.dtype.startswith("f")
        ):
            return "0 to 1 in each column"
        return None
    if entry.form.kind != "dense" or entry.lowest >= 0 or not entry.dtype.startswith(("f", "bf")):
        return None
    if abs(mean[0]) < 1.5 and 0.3 < np.hypot(mean[1], spread[0]) < 3 and entry.highest < 50:
        return "mean 0 and standard deviation 1"
    return None


def _looks_raw(entry: FieldContract, values: np.ndarray) -> bool:
    """Not a batch that drifted a little: another scale altogether, or no negative numbers."""
    if entry.form.kind != "columns":
        return bool(ends(values)[0] >= -1e-3)  # a cast may have moved 0
    its, wide = (each[0] for each in moments(values.reshape(len(values), -1).astype(np.float64)))
    mean, spread = (each[0] for each in moments(entry.rows))
    live = (spread > 1e-6) & (wide > 0)
    if not live.any():
        return False
    stretched = np.abs(np.log(wide[live] / spread[live])) > np.log(2)
    moved = np.abs(its[live] - mean[live]) > 2 * spread[live]
    return bool((stretched | moved).mean() > 0.5)


def _looks_normalised(values: np.ndarray, form: Form) -> bool:
    if values.dtype.kind != "f":
        return False
    flat = values.reshape(len(values), -1).astype(np.float64)
    mean, spread = (
        np.atleast_1d(np.squeeze(e)) for e in moments(flat, 0 if form.kind == "columns" else (0, 1))
    )
    live = spread > 0
    if not live.any() or ends(values)[0] >= 0:
        return False
    if form.kind == "columns":
        return bool(np.median(np.abs(mean[live])) < 0.6 and 0.3 < np.median(spread[live]) < 3)
    return bool(abs(mean[0]) < 1.5 and 0.3 < spread[0] < 3)


# -- undoing ---------------------------------------------------------------------------------------------------------
def _reversed(values: np.ndarray, axis: int) -> np.ndarray:
    """The first three channels in reverse; a fourth (alpha) stays."""
    order = [2, 1, 0, *range(3, values.shape[axis])]
    return np.take(values, order, axis=axis)


def _reversed_before(values: np.ndarray, axis: int, constants: tuple[Any, Any]) -> np.ndarray:
    mean, spread = (_on_axis(each, axis, values.ndim) for each in constants)
    return (_reversed(values * spread + mean, axis) - mean) / spread


def _on_axis(constant: Any, axis: int, ndim: int) -> np.ndarray:
    shape = [1] * ndim
    shape[axis] = -1
    return np.asarray(constant, np.float64).reshape(shape)


def _by(values: np.ndarray, form: Form, constants: tuple[Any, Any]) -> np.ndarray:
    axis = (form.channels or 0) + 1
    mean, spread = (_on_axis(each, axis, values.ndim) for each in constants)
    return ((values / 255 if ends(values)[1] > 2 else values) - mean) / spread


def _back(values: np.ndarray, form: Form, constants: tuple[Any, Any]) -> np.ndarray:
    axis = (form.channels or 0) + 1
    mean, spread = (_on_axis(each, axis, values.ndim) for each in constants)
    return values * spread + mean


def _matched(values: np.ndarray, entry: FieldContract) -> np.ndarray:
    """Mean and deviation as the contract has them: of each column, of each channel, or of all."""
    if entry.form.kind == "columns":
        flat = values.reshape(len(values), -1)
        mean, spread = moments(entry.rows)
        its, wide = moments(flat)
        return ((flat - its) / np.where(wide > 0, wide, 1.0) * spread + mean).reshape(values.shape)
    names = list(entry.form.names)
    rows = {name: entry.rows[:, n] for n, name in enumerate(names)}
    axis = entry.form.channels
    by_channel = axis is not None and "mean of channel 0" in rows
    its, wide = moments(
        values, tuple(n for n in range(values.ndim) if not by_channel or n != (axis or 0) + 1)
    )
    count = values.shape[(axis or 0) + 1] if by_channel else 1
    pairs = (
        [(f"mean of channel {c}", f"std of channel {c}") for c in range(count)]
        if by_channel
        else [("mean", "std")]
    )
    known = [[moments(rows[name]) for name in pair] for pair in pairs]
    means = [float(one[0][0]) for one, _ in known]
    spreads = [float(np.sqrt(two[0][0] ** 2 + two[1][0] ** 2 + one[1][0] ** 2)) for one, two in known]
    at = (axis or 0) + 1 if by_channel else 0
    mean, spread = (_on_axis(each, at, values.ndim) for each in (means, spreads))
    return (values - its) / np.where(wide > 0, wide, 1.0) * spread + mean


def _matched_by_quantiles(values: np.ndarray, entry: FieldContract) -> np.ndarray:
    """Quartiles of each column as the contract has them: where tails are heavy, moments of a batch say little."""
    flat = values.reshape(len(values), -1)
    was, now = (_quartiles(each) for each in (entry.rows, flat))
    wide = now[2] - now[0]
    factor = (was[2] - was[0]) / np.where(wide > 0, wide, 1.0)
    plain, its = (each[1][0] for each in (moments(entry.rows), moments(flat)))
    factor = np.where(
        (wide > 0) & (factor > 0), factor, plain / np.where(its > 0, its, 1.0)
    )  # most values are one
    return ((flat - now[1]) * factor + was[1]).reshape(values.shape)


def _quartiles(columns: np.ndarray) -> np.ndarray:
    empty = np.isnan(columns).all(axis=0)
    found: np.ndarray = np.nanquantile(np.where(empty, 0.0, columns), (0.25, 0.5, 0.75), axis=0)
    return found


def _by_range(values: np.ndarray, entry: FieldContract) -> np.ndarray:
    """Least and greatest number as the contract has them: images often reach both ends."""
    low, high = (float(end) for end in ends(values))
    return (values - low) / max(high - low, 1e-30) * (entry.highest - entry.lowest) + entry.lowest


def _moved(values: np.ndarray, form: Form) -> np.ndarray:
    """``x.reshape(n, c, h, w)`` of NHWC content (or the reverse) as it should have been: transposed."""
    n, a, b, c = values.shape
    if form.channels == 2:  # given NHWC's shape, content lies NCHW
        return values.reshape(n, c, a, b).transpose(0, 2, 3, 1)
    return values.reshape(n, b, c, a).transpose(0, 3, 1, 2)


def _column_order(entry: FieldContract, values: np.ndarray, strays: Strays) -> list[int] | None:
    """Which columns stand where others belong: each that strays takes, of those that do, the one that is nearest to it."""
    wrong = np.flatnonzero(strays.effects.any(axis=0)).tolist()
    flat = values.reshape(len(values), -1)
    if len(wrong) < 2 or flat.shape[1] != entry.rows.shape[1]:
        return None
    its, wide = (each[0] for each in moments(flat.astype(np.float64)))
    mean, spread = (each[0] for each in moments(entry.rows))
    floor = np.maximum(spread, 1e-9)
    far = np.abs(its[None, wrong] - mean[wrong, None]) / floor[wrong, None]
    far += np.abs(np.log((wide[None, wrong] + 1e-9) / floor[wrong, None]))
    order = list(range(flat.shape[1]))
    free = set(range(len(wrong)))
    for row in np.argsort(far.min(axis=1)).tolist():
        best = min(free, key=lambda column: far[row, column])
        free.discard(best)
        order[wrong[row]] = wrong[best]
    return order if order != list(range(len(order))) else None


# -- normalised by its own numbers -----------------------------------------------------------------------------------
def own_statistics(entry: FieldContract, values: np.ndarray) -> tuple[str, float, float] | None:
    """A batch that is normalised by its own numbers: mean 0 and deviation 1, or least 0 and greatest 1, to within rounding,
    where honest batches scatter. How in words, how near, and how near honest batches come (the median).

    The data that the contract was learned from is right to be so: nothing is said of batches of half its size or more.
    """
    n = len(values)
    if (
        values.dtype.kind != "f"
        or n < 4
        or 2 * n >= entry.samples
        or entry.form.kind not in ("columns", "dense")
    ):
        return None
    flat = values.reshape(n, -1)
    columns = entry.form.kind == "columns"
    mean, spread = _exact_moments(flat, columns)
    live = spread > 1e-12
    if not live.any():
        return None
    count = n if columns else flat.size
    unbiased = np.sqrt(count / (count - 1))  # as torch.std divides
    near = min(float(np.abs(spread[live] * factor - 1).max()) for factor in (1.0, unbiased))
    off = max(float(np.abs(mean[live]).max()), near)
    draw = np.random.default_rng(7)
    chosen = [draw.integers(0, len(entry.rows), n) for _ in range(40)]
    if off <= 2e-3:
        rows = entry.rows[:, live] if columns else entry.rows[:, :1]
        usual = float(np.median([np.abs(moments(rows[at])[0]).max() for at in chosen]))
        if usual >= 20 * max(off, 1e-6):
            return "mean and deviation", off, usual
    if not columns:
        return None
    # only columns that seldom are at their ends: a column of 0 and 1 always has them
    rows = entry.rows[:, live]
    at_ends = ((np.abs(rows) < 1e-6) | (np.abs(rows - 1) < 1e-6)).sum(axis=0) <= max(2, 0.02 * len(rows))
    if not at_ends.any() or entry.dtype[0] in "iub":
        return None
    part, rows = flat[:, live][:, at_ends], rows[:, at_ends]
    off = _from_unit(part)
    if not off <= 1e-6:
        return None
    honest = [_from_unit(rows[at]) for at in chosen]
    usual = float(np.median(honest))
    return ("least and greatest value", off, usual) if min(honest) > 1e-3 else None


def _from_unit(columns: np.ndarray) -> float:
    """How far the least number is from 0 and the greatest from 1, in the column where that is most."""
    low, high = ends(columns, 0)
    return float(np.maximum(np.abs(low), np.abs(high - 1)).max())


def _exact_moments(flat: np.ndarray, columns: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation by column, or of all, without a copy of everything in float64."""
    if columns:
        mean, spread = moments(flat.astype(np.float64))
        return mean[0], spread[0]
    total = square = 0.0
    count = 0
    for begin in range(0, len(flat), 256):
        piece = flat[begin : begin + 256].astype(np.float64)
        piece = piece[~np.isnan(piece)]
        total, square, count = (
            total + float(piece.sum()),
            square + float((piece**2).sum()),
            count + piece.size,
        )
    middle = total / max(1, count)
    return np.array([middle]), np.array([np.sqrt(max(0.0, square / max(1, count) - middle**2))])
