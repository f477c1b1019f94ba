"""Whether batches are of the contract's kind, and what was done to them if not.

The summaries of the contract are themselves honest samples: batches drawn from them show how far a batch of this size
strays by chance (a bootstrap; Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 16). A batch that
strays further, and by an amount that matters, is a shift. Then the usual mistakes are undone one by one; the one after which
the batch fits again is the likely cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .batches import batches_of
from .contract import Contract, FieldContract, counted
from .features import Form, moments, summaries

__all__ = ["Shift", "shifts"]

_DRAWS = 200
_MARGIN = 2.0
"""A statistic counts from this multiple of the greatest of 200 honest draws on: far beyond what 1,000 batches show."""
_LEAST_EFFECT = 0.2
"""Standard deviations between samples below which a difference is told to nobody."""


@dataclass(frozen=True)
class Shift:
    """One way in which batches are not of the contract's kind.

    kind: a slug (``"not-normalised"``, ``"channels-reversed"`` ...). name: the field's. message: one sentence. effect: how
    large, in standard deviations between samples (or as a share, for labels and vocabularies). seen, expected: numbers.
    likely: whether the kind is a likely cause, found by undoing it, rather than a fact.
    """

    kind: str
    name: str
    message: str
    effect: float = 0.0
    seen: Any = None
    expected: Any = None
    likely: bool = False
    details: dict[str, Any] = field(default_factory=dict)


def shifts(contract: Contract, source: Any, most: int | None = None) -> list[Shift]:
    """All shifts of the batches of ``source`` against the contract, gravest kind first for each field."""
    gathered: dict[str, list[np.ndarray]] = {}
    found: list[Shift] = []
    for batch in batches_of(source, most):
        for name, values in batch.items():
            gathered.setdefault(name, []).append(values)
    found += _fields(contract, gathered)
    for name, pieces in gathered.items():
        if name in contract.fields:
            found += _of_field(contract.fields[name], pieces)
    return found


def _fields(contract: Contract, gathered: dict[str, list[np.ndarray]]) -> Iterator[Shift]:
    missing = [n for n in contract.fields if n not in gathered]
    extra = [n for n in gathered if n not in contract.fields]
    for name in missing:
        yield Shift(
            "field-missing", name, f"the field {name} is not there", seen=sorted(gathered), expected=name
        )
    for name in extra:
        yield Shift(
            "field-new",
            name,
            f"the field {name} is not in the contract",
            seen=name,
            expected=sorted(contract.fields),
        )


def _of_field(entry: FieldContract, pieces: list[np.ndarray]) -> list[Shift]:
    first = pieces[0]
    problem = _shape(entry, first)
    if problem is not None:
        return [problem]
    try:
        values = np.concatenate(pieces)
    except ValueError:  # ragged from batch to batch: each is summed up by itself
        rows = np.concatenate([summaries(entry.form, piece) for piece in pieces])
        return _drift(entry, rows, None)
    found: list[Shift] = []
    if values.dtype.kind != np.dtype(entry.dtype).kind and not {
        values.dtype.kind,
        np.dtype(entry.dtype).kind,
    } <= set("iu"):
        found.append(
            Shift(
                "dtype", entry.name, f"{entry.name} is {values.dtype.name}, and was {entry.dtype}",
                seen=values.dtype.name, expected=entry.dtype,
            )
        )  # fmt: skip
    if entry.form.kind in ("labels", "tokens", "text"):
        if values.dtype.kind == "f" and entry.form.kind != "text":
            return found
        return found + _categories(entry, values)
    return found + _missing(entry, values) + _drift(entry, summaries(entry.form, values), values)


def _shape(entry: FieldContract, values: np.ndarray) -> Shift | None:
    shape = values.shape[1:]
    if len(shape) == len(entry.shape) and all(
        b is None or a == b for a, b in zip(shape, entry.shape, strict=True)
    ):
        return None
    if len(shape) == len(entry.shape) == 3 and entry.form.channels is not None:
        first_last = (
            (shape[1], shape[2], shape[0]) if entry.form.channels == 2 else (shape[2], shape[0], shape[1])
        )
        if all(b is None or a == b for a, b in zip(first_last, entry.shape, strict=True)):
            was, now = ("NHWC", "NCHW") if entry.form.channels == 2 else ("NCHW", "NHWC")
            return Shift(
                "layout", entry.name, f"{entry.name} is laid out {now}, and was {was}",
                seen=list(shape), expected=list(entry.shape),
            )  # fmt: skip
    return Shift(
        "shape",
        entry.name,
        f"samples of {entry.name} have another shape",
        seen=list(shape),
        expected=list(entry.shape),
    )


def _missing(entry: FieldContract, values: np.ndarray) -> list[Shift]:
    if values.dtype.kind != "f":
        return []
    flat = values.reshape(len(values), -1)
    share = float(np.isnan(flat).any(axis=1).mean()) if flat.size else 0.0
    before = float(np.isnan(entry.rows).any(axis=1).mean()) if entry.rows.size else 0.0
    before = max(before, entry.missing)
    noise = 5 * np.sqrt(max(before * (1 - before), 1 / max(1, entry.samples)) / len(values))
    if share - before <= max(0.02, noise):
        return []
    return [
        Shift(
            "missing-values", entry.name, f"{share:.0%} of the samples of {entry.name} hold NaN, and {before:.0%} did",
            effect=share - before, seen=share, expected=before,
        )
    ]  # fmt: skip


# -- numbers ---------------------------------------------------------------------------------------------------------
def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each number over samples."""
    mean, spread = moments(rows)
    return mean[0], spread[0]


def _statistic(rows: np.ndarray, mean: np.ndarray, spread: np.ndarray, known: int) -> np.ndarray:
    """For each number: the batch's mean and its spread against the contract's, in units of their noise.

    What never occurred among ``known`` samples may still occur in 3 of that many (the rule of three: Hanley and
    Lippman-Hand, JAMA 249, 1983): a pixel that was always 0 is no constant.
    """
    its, wide = _moments(rows)
    n = len(rows)
    with np.errstate(all="ignore"):
        farthest = np.nan_to_num(np.max(np.abs(np.nan_to_num(rows, nan=0.0) - mean), axis=0))
    scale = np.sqrt(spread**2 + 3 / max(1, known) * farthest**2)
    scale = np.maximum(scale, 1e-9 * np.maximum(1.0, np.abs(mean)))
    location = np.abs(its - mean) / scale * np.sqrt(n)
    return np.concatenate([location, np.abs(wide - spread) / scale * np.sqrt(n)])


def _limits(entry: FieldContract, n: int) -> np.ndarray:
    """How large each statistic may be in an honest batch of ``n`` samples."""
    rows = entry.rows
    mean, spread = _moments(rows)
    draw = np.random.default_rng(len(rows) * 1_000_003 + n)
    worst = np.zeros(2 * rows.shape[1])
    for _ in range(_DRAWS):
        worst = np.maximum(worst, _statistic(rows[draw.integers(0, len(rows), n)], mean, spread, len(rows)))
    # the contract's own moments are those of a sample, too; and 4.5 deviations are no news anywhere
    own = np.sqrt(1 + n / len(rows))
    return np.maximum(worst * _MARGIN, 4.5) * own


def _strays(entry: FieldContract, rows: np.ndarray, limits: np.ndarray) -> np.ndarray:
    mean, spread = _moments(entry.rows)
    statistic = _statistic(rows, mean, spread, len(entry.rows))
    effect = statistic / np.sqrt(len(rows))
    return np.where((statistic > limits) & (effect > _LEAST_EFFECT), effect, 0.0)


def _drift(entry: FieldContract, rows: np.ndarray, values: np.ndarray | None) -> list[Shift]:
    if len(rows) < 2 or not len(entry.rows):
        return []
    limits = _limits(entry, len(rows))
    effect = _strays(entry, rows, limits)
    if values is not None:
        exact = _own_statistics(entry, values)
        if exact is not None:
            return [exact]
    if not effect.any():
        return []
    its, _ = _moments(rows)
    mean, _ = _moments(entry.rows)
    at = int(np.argmax(effect)) % len(entry.form.names)
    what = entry.form.names[at]
    size = float(effect.max())
    seen, expected = float(its[at]), float(mean[at])
    if values is not None and entry.form.kind in ("columns", "dense"):
        for kind, message, undo in _mistakes(entry):
            try:
                mended = summaries(entry.form, undo(values.astype(np.float64)))
            except (ValueError, IndexError):
                continue
            if not _strays(entry, mended, limits).any():
                return [
                    Shift(
                        kind, entry.name, message, size, seen, expected, likely=True, details={"number": what}
                    )
                ]
    return [
        Shift(
            "drift", entry.name,
            f"{entry.name} is distributed otherwise: its {what} is {seen:.4g}, and was {expected:.4g} "
            f"({size:.1f} standard deviations between samples)",
            size, seen, expected, details={"number": what},
        )
    ]  # fmt: skip


Undo = Callable[[np.ndarray], np.ndarray]


def _mistakes(entry: FieldContract) -> Iterator[tuple[str, str, Undo]]:
    """The usual mistakes, each with what undoes it; the most specific first."""
    name, form = entry.name, entry.form
    if form.channels is not None and len(form.names) > 4:
        axis = form.channels + 1
        yield (
            "channels-reversed", f"the channels of {name} are reversed (BGR for RGB)", lambda v: np.flip(v, axis)
        )  # fmt: skip
    for factor, text in (
        (1 / 255, "0 to 255 where the model was fed 0 to 1"),
        (255.0, "0 to 1 where the model was fed 0 to 255"),
    ):
        yield "scale", f"{name} runs from {text}", lambda v, factor=factor: v * factor  # type: ignore[misc]
    yield (
        "scale", f"{name} runs from 0 to 1 where the model was fed -1 to 1", lambda v: v * 2 - 1
    )  # fmt: skip
    yield "scale", f"{name} runs from -1 to 1 where the model was fed 0 to 1", lambda v: (v + 1) / 2
    if _standardised(entry):
        yield (
            "not-normalised", f"{name} is not normalised (the model was fed mean 0 and standard deviation 1)",
            lambda v: _by_own(v, form),
        )  # fmt: skip
    else:
        yield (
            "normalised", f"{name} is normalised, and the model was fed it as it is",
            lambda v: _to_contract(v, entry),
        )  # fmt: skip


def _standardised(entry: FieldContract) -> bool:
    mean, spread = _moments(entry.rows)
    if entry.form.kind == "columns":
        live = spread > 1e-6
        return bool(live.any() and np.median(np.abs(mean[live])) < 0.3 and 0.5 < np.median(spread[live]) < 2)
    return bool(abs(mean[0]) < 0.5 and 0.4 < np.hypot(mean[1], spread[0]) < 2.5 and entry.lowest < 0)


def _by_own(values: np.ndarray, form: Form) -> np.ndarray:
    axes = (
        (0,)
        if form.kind == "columns"
        else tuple(a for a in range(values.ndim) if a != (form.channels or -1) + 1 or not a)
    )
    return _standard(values, axes)


def _standard(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    mean, spread = moments(values, axes)
    return (values - mean) / np.where(spread > 0, spread, 1.0)


def _to_contract(values: np.ndarray, entry: FieldContract) -> np.ndarray:
    mean, spread = _moments(entry.rows)
    if entry.form.kind == "columns":
        return values.reshape(len(values), -1) * spread + mean
    return values * np.hypot(mean[1], spread[0]) + mean[0]


def _own_statistics(entry: FieldContract, values: np.ndarray) -> Shift | None:
    """Batches that are normalised by their own numbers: mean 0 and deviation 1 to within rounding, where honest batches
    scatter. The data that the contract was learned from is right to be so: nothing is said of batches of that size."""
    if values.dtype.kind != "f" or len(values) < 4 or 2 * len(values) >= entry.samples:
        return None
    flat = values.reshape(len(values), -1).astype(np.float64)
    columns = entry.form.kind == "columns"
    mean, spread = moments(flat, 0 if columns else (0, 1))
    live = spread > 0
    if not live.any():
        return None
    off = float(max(np.abs(mean[live]).max(), np.abs(spread[live] - 1).max()))
    if off > 1e-3:
        return None
    rows = entry.rows[:, live[0]] if columns else entry.rows[:, :1]
    draw = np.random.default_rng(7)
    honest = [moments(rows[draw.integers(0, len(rows), len(values))])[0] for _ in range(40)]
    usual = float(np.median([np.abs(each).max() for each in honest]))
    if usual < 20 * max(off, 1e-6):
        return None
    return Shift(
        "own-statistics", entry.name,
        f"{entry.name} is normalised by its own mean and deviation, not by the training data's: its mean is 0 to within "
        f"{off:.1e}, where honest batches of {len(values)} miss it by {usual:.1e}",
        effect=usual, seen=off, expected=usual, likely=True,
    )  # fmt: skip


# -- labels, tokens, texts -------------------------------------------------------------------------------------------
def _categories(entry: FieldContract, values: np.ndarray) -> list[Shift]:
    now = counted(values)
    found: list[Shift] = []
    if entry.categories is not None and now is not None:
        total = sum(now.values())
        unseen = {value: n for value, n in now.items() if value not in entry.categories}
        share = sum(unseen.values()) / max(1, total)
        allowed = _unseen_share(entry, total)
        if share > allowed:
            some = ", ".join(list(unseen)[:5])
            found.append(
                Shift(
                    "unknown-values", entry.name, f"{share:.1%} of the values of {entry.name} are none of the contract's: {some}",
                    share, sorted(unseen)[:20], f"{len(entry.categories)} known values",
                )
            )  # fmt: skip
    if found:
        return found
    if entry.form.kind == "labels" and entry.categories is not None and now is not None:
        return _labels(entry, now)
    return _drift(entry, summaries(entry.form, values), None)


def _unseen_share(entry: FieldContract, total: int) -> float:
    """How many unseen values honest data has: the share of those seen once (Good-Turing), with room for chance."""
    assert entry.categories is not None
    seen = sum(entry.categories.values())
    once = sum(n == 1 for n in entry.categories.values()) / max(1, seen)
    return (
        once
        + 5 * float(np.sqrt(max(once, 1 / max(1, seen)) / max(1, total)))
        + 2 / max(1, total) * bool(once)
    )


def _labels(entry: FieldContract, now: dict[str, int]) -> list[Shift]:
    assert entry.categories is not None
    names = list(entry.categories)
    before = np.array([entry.categories[n] for n in names], float)
    after = np.array([now.get(n, 0) for n in names], float)
    n, total = after.sum(), before.sum()
    share = before / total
    if n < 8 or len(names) < 2 or len(names) > total / 2:
        return []
    distance = 0.5 * float(np.abs(after / n - share).sum())
    draw = np.random.default_rng(int(n))
    usual = [
        _unlike(draw.multinomial(int(n), draw.dirichlet(before + 0.5)), share) for _ in range(2 * _DRAWS)
    ]
    if distance <= 0.1 or _unlike(after, share) <= max(usual) * 1.25:
        return []
    worst = int(np.argmax(np.abs(after / n - share)))
    return [
        Shift(
            "label-shift", entry.name,
            f"the labels of {entry.name} occur otherwise: {names[worst]} makes {after[worst] / n:.0%}, and made "
            f"{share[worst]:.0%}",
            distance, {names[worst]: after[worst] / n}, {names[worst]: float(share[worst])},
        )
    ]  # fmt: skip


def _unlike(counts: np.ndarray, share: np.ndarray) -> float:
    """Pearson's chi-squared of counts against shares."""
    expected = np.maximum(share * counts.sum(), 1e-9)
    return float(((counts - expected) ** 2 / expected).sum())
