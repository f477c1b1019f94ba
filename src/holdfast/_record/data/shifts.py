"""Whether batches are of the contract's kind, and what was done to them if not.

A batch that strays further than honest ones of its size do, and by an amount that matters, is a shift
(:mod:`holdfast._record.data.drift`). Then the usual mistakes are undone one by one; the one after which the batch fits again
is the likely cause (:mod:`holdfast._record.data.mistakes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._core.errors import UsageError
from .batches import Container, container_of, fields_of, raw_batches
from .contract import FieldContract, Learned
from .drift import LEVEL, Strays, largest_count, strays
from .features import finite, missing_in, summaries
from .mistakes import mistakes, own_statistics
from .vocabulary import frequencies, unknown

__all__ = ["CHECKED_BATCHES", "Shift", "shifts"]

CHECKED_BATCHES = 64
_SAMPLES = 4096
_BYTES = 1 << 28
_ELEMENTS = 1 << 24
_MOSTLY = 0.25
"""A mistake is the cause, too, where undoing it leaves no more than this part of the effect."""


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


def shifts(contract: Learned, source: Any, most: int | None = None) -> list[Shift]:
    """All shifts of the batches of ``source`` against the contract, gravest kind first for each field.

    Of a loader at most ``most`` batches are looked at (64), and never more than hold 4,096 samples or 256 MB; of a larger
    batch so many samples, evenly spread. Raises :class:`UsageError` for what has no fields or no samples.
    """
    gathered: dict[str, list[np.ndarray]] = {}
    container: Container | None = None
    samples = size = 0
    for raw in raw_batches(source, CHECKED_BATCHES if most is None else most):
        container = container or container_of(raw)
        batch = _as_the_contract(contract, container, fields_of(raw))
        for name, values in batch.items():
            gathered.setdefault(name, []).append(values)
            size += values.nbytes
        samples += max((len(values) for values in batch.values()), default=0)
        if samples >= _SAMPLES or size >= _BYTES:
            break
    if not samples:
        raise UsageError("there are no samples to check", found=type(source).__name__)
    found = list(_fields(contract, gathered, container))
    numbers = sum(len(entry.form.names) for entry in contract.fields.values())
    constants = _constants(contract.transform)
    for name, pieces in gathered.items():
        if name in contract.fields and any(len(piece) for piece in pieces):
            found += _of_field(contract.fields[name], pieces, numbers, len(contract.fields), constants)
    return found


def _as_the_contract(
    contract: Learned, container: Container, batch: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A table given as one array, or an array given as a table: columns are told by their place."""
    known = list(contract.fields)
    if container == "array" and contract.container == "table" and len(known) > 1:
        (values,) = batch.values()
        if values.ndim == 2 and values.shape[1] == len(known) and values.dtype.kind in "fiub":
            return {name: _cast(values[:, n], contract.fields[name]) for n, name in enumerate(known)}
    if container == "table" and contract.container == "array" and len(batch) > 1:
        columns = list(batch.values())
        if contract.fields[known[0]].shape == (len(batch),) and all(v.dtype.kind in "fiub" for v in columns):
            return {known[0]: np.stack(columns, axis=1)}
    return batch


def _cast(values: np.ndarray, entry: FieldContract) -> np.ndarray:
    """Whole numbers that an array of several columns made floating."""
    whole = values.dtype.kind == "f" and np.dtype(entry.dtype).kind in "iub" and _whole(values)
    return values.astype(entry.dtype) if whole else values


def _fields(
    contract: Learned, gathered: dict[str, list[np.ndarray]], container: Container | None
) -> Iterator[Shift]:
    missing = [n for n, entry in contract.fields.items() if n not in gathered and not entry.optional]
    extra = [n for n in gathered if n not in contract.fields]
    for name in missing:
        near = [n for n in extra if n.lower().replace("_", "") == name.lower().replace("_", "")]
        hint = f"; is it now called {near[0]}?" if near else ""
        yield Shift(
            "field-missing",
            name,
            f"the field {name} is not there{hint}",
            seen=sorted(gathered),
            expected=name,
        )
    for name in extra:
        yield Shift(
            "field-new",
            name,
            f"the field {name} is not in the contract",
            seen=name,
            expected=sorted(contract.fields),
        )
    now, before = (
        [n for n in names if n in gathered and n in contract.fields] for names in (gathered, contract.fields)
    )
    if now != before and container in ("table", "mapping") and contract.container in ("table", "mapping"):
        at = next(n for n, (a, b) in enumerate(zip(now, before, strict=True)) if a != b)
        yield Shift(
            "field-order", now[at],
            f"the fields stand in another order: at place {at + 1} is {now[at]}, and was {before[at]}",
            effect=sum(a != b for a, b in zip(now, before, strict=True)) / len(now), seen=now, expected=before,
        )  # fmt: skip


def _constants(transform: dict[str, Any] | None) -> tuple[Any, Any] | None:
    """Mean and deviation by channel that the training pipeline divides by, where its description tells."""
    for path, mean in (transform or {}).items():
        front, _, word = path.rpartition(".")
        spread = (transform or {}).get(f"{front}.std" if front else "std")
        if (
            word == "mean"
            and isinstance(mean, list)
            and isinstance(spread, list)
            and len(mean) == len(spread) == 3
        ):
            return mean, spread
    return None


def _of_field(
    entry: FieldContract,
    pieces: list[np.ndarray],
    numbers: int,
    fields: int,
    constants: tuple[Any, Any] | None,
) -> list[Shift]:
    problem = next((p for p in (_shape(entry, piece) for piece in pieces) if p is not None), None)
    if problem is not None:
        return [problem]
    batches = len(pieces)
    values = pieces[0] if batches == 1 else np.concatenate(_padded(pieces))
    found = _missing(entry, values)
    values = finite(values)
    was, now = np.dtype(entry.dtype).kind, values.dtype.kind
    texts = {"U", "S", "O"}
    if was in texts and now == "f" and _empty(values):
        return found  # all are missing, and a list of nothing has no type
    if was != now and not ({was, now} <= set("iu") or {was, now} <= texts):
        found.append(
            Shift(
                "dtype", entry.name, f"{entry.name} is {values.dtype.name}, and was {entry.dtype}",
                seen=values.dtype.name, expected=entry.dtype,
            )
        )  # fmt: skip
        if (now in texts) != (was in texts):
            return found
    if entry.form.kind in ("labels", "tokens", "text"):
        if now == "f" and entry.form.kind != "text" and not _whole(values):
            return found
        values = values.astype(np.int64) if now == "f" and entry.form.kind != "text" else values
        return found + _categories(entry, values, numbers, fields, batches)
    own = own_statistics(entry, values)
    if own is not None:
        how, off, usual = own
        return [
            *found,
            Shift(
                "own-statistics", entry.name,
                f"{entry.name} is normalised by its own {how}, not by the training data's: it is so to within {off:.1e}, "
                f"where honest batches of {len(values)} miss it by {usual:.1e}",
                effect=usual, seen=off, expected=usual, likely=True,
            ),
        ]  # fmt: skip
    some = _some(values)
    if entry.categories and now in "iub" and was in "iub":
        strange = _unknown(entry, some, fields, batches)
        if strange:
            return found + strange
    return found + _drift(entry, summaries(entry.form, some), some, numbers, batches, constants)


def _padded(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Of one shape: samples that are longer in one batch than in another, as a larger batch would hold them."""
    if len({piece.shape[1:] for piece in pieces}) == 1:
        return pieces
    most = tuple(int(n) for n in np.max([piece.shape[1:] for piece in pieces], axis=0))
    padded = []
    for piece in pieces:
        empty = {"f": np.nan, "U": "", "S": b""}.get(piece.dtype.kind, 0)
        whole = np.full((len(piece), *most), empty, piece.dtype)
        whole[tuple(slice(n) for n in piece.shape)] = piece
        padded.append(whole)
    return padded


def _empty(values: np.ndarray) -> bool:
    return values.size == 0 or (values.dtype.kind == "f" and bool(np.isnan(values).all()))


def _some(values: np.ndarray) -> np.ndarray:
    """So many samples, evenly spread, that memory stays bounded."""
    each = max(1, values.size // max(1, len(values)))
    most = max(64, min(_SAMPLES, _ELEMENTS // each))
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).astype(np.int64)]


def _whole(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())


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
        f"samples of {entry.name} have another shape: {list(shape)}, and had {list(entry.shape)}",
        seen=list(shape),
        expected=list(entry.shape),
    )


def _missing(entry: FieldContract, values: np.ndarray) -> list[Shift]:
    bad = missing_in(values)
    if bad is None or (entry.ragged and entry.form.kind == "dense"):  # there it is padding
        return []
    share = float(bad.reshape(len(values), -1).any(axis=1).mean())
    before = entry.gaps
    n, known = len(values), max(1, entry.samples)
    honest = min(1.0, before + 2 * float(np.sqrt(before * (1 - before) / known)) + 3 / known)
    if share - before <= 0.02 or round(share * n) <= largest_count(n, honest, LEVEL):
        return []
    text = f"{share:.0%} of the samples of {entry.name} hold NaN or infinity, and {before:.0%} did"
    return [Shift("missing-values", entry.name, text, effect=share - before, seen=share, expected=before)]


# -- numbers ---------------------------------------------------------------------------------------------------------
def _drift(
    entry: FieldContract, rows: np.ndarray, values: np.ndarray | None, numbers: int, batches: int,
    constants: tuple[Any, Any] | None,
) -> list[Shift]:  # fmt: skip
    if len(rows) < 2 or not len(entry.rows):
        return []
    found = strays(entry, rows, numbers, batches)
    if not found:
        return []
    what = entry.form.names[found.number]
    seen, expected = _two(entry, rows, found)
    if values is not None and entry.form.kind in ("columns", "dense") and not _empty(values):
        best: tuple[float, Any] = (_MOSTLY * found.size, None)
        exact = values.astype(np.float64)
        for mistake in mistakes(entry, values, found, constants):
            try:
                left = strays(entry, summaries(entry.form, mistake.undo(exact)), numbers, batches)
            except (ValueError, IndexError):
                continue
            if left.size < best[0]:
                best = (left.size, mistake)
            if not left:
                break
        if best[1] is not None:
            mistake = best[1]
            details = {"number": what}
            return [
                Shift(mistake.kind, entry.name, mistake.message, found.size, seen, expected, True, details)
            ]
    word = ("mean", "median", "standard deviation", "interquartile range")[found.way]
    number = f"{word} of {what}" if entry.shape or entry.form.kind == "text" else word
    return [
        Shift(
            "drift", entry.name,
            f"{entry.name} is distributed otherwise: its {number} is {seen:.4g}, and was {expected:.4g} "
            f"({found.size:.1f} standard deviations between samples)",
            found.size, seen, expected, details={"number": what, "strays": int(found.effects.any(axis=0).sum())},
        )
    ]  # fmt: skip


def _two(entry: FieldContract, rows: np.ndarray, found: Strays) -> tuple[float, float]:
    """The number that strays most, in the batch and in the contract."""
    both = [each[:, found.number] for each in (rows, entry.rows)]
    both = [each[~np.isnan(each)] for each in both]
    if not all(len(each) for each in both):
        return float("nan"), float("nan")
    if found.way == 3:
        now, before = (float(np.subtract(*np.quantile(each, (0.75, 0.25)))) for each in both)
    else:
        now, before = (float((np.mean, np.median, np.std)[found.way](each)) for each in both)
    return now, before


# -- labels, tokens, texts -------------------------------------------------------------------------------------------
def _categories(
    entry: FieldContract, values: np.ndarray, numbers: int, fields: int, batches: int
) -> list[Shift]:
    some = _some(values)
    strange = _unknown(entry, some, fields, batches)
    if strange:
        return strange
    if entry.form.kind in ("labels", "text") and entry.categories is not None:
        other = frequencies(entry, some, fields, batches)
        if other is not None:
            return [
                Shift(
                    "label-shift", entry.name,
                    f"the values of {entry.name} occur otherwise: {other.value} makes {other.now:.0%}, and made "
                    f"{other.before:.0%}",
                    other.distance, {other.value: other.now}, {other.value: other.before},
                )
            ]  # fmt: skip
        if len(entry.categories) <= 20:
            return []
    return _drift(entry, summaries(entry.form, some), None, numbers, batches, None)


def _unknown(entry: FieldContract, values: np.ndarray, fields: int, batches: int) -> list[Shift]:
    found = unknown(entry, values, fields, batches)
    if found is None:
        return []
    return [
        Shift(
            "unknown-values", entry.name,
            f"{found.share:.1%} of the values of {entry.name} are none of the contract's: {', '.join(found.values[:5])}",
            found.share, found.values, f"{len(entry.categories or ())} known values",
            details={"allowed": found.allowed},
        )
    ]  # fmt: skip
