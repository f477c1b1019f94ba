"""The data contract: the fields of honest batches, with a sample of their summaries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._core.errors import HoldfastError, UsageError
from ..._core.plain import pack, unpack
from .batches import batches_of
from .features import Form, form_of, summaries

__all__ = ["Contract", "FieldContract", "learn"]

_RESERVOIR = 1024
"""Samples whose summaries are kept for each field."""
_MOST_CATEGORIES = 10_000


@dataclass
class FieldContract:
    """One field of the data.

    shape: of a sample; ``None`` where samples differ. dtype: numpy's name. form: how it is summed up. samples: how many
    were seen. rows: summaries of up to 1024 of them, a uniform choice, float64 ``(kept, numbers)``. missing: share of NaN.
    lowest, highest: over everything seen. categories: value -> how often, where there are at most 10,000 values; else
    ``None``.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    form: Form
    samples: int = 0
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    missing: float = 0.0
    lowest: float = np.inf
    highest: float = -np.inf
    categories: dict[str, int] | None = field(default_factory=dict)

    @property
    def vocabulary(self) -> str | None:
        """Digest of the set of values, for labels, tokens and texts; equal sets have equal digests."""
        if not self.categories:
            return None
        return hashlib.sha256("\n".join(sorted(self.categories)).encode()).hexdigest()[:16]

    def as_document(self) -> dict[str, Any]:
        """Plain values and one array, as a record keeps them."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "form": {"kind": self.form.kind, "channels": self.form.channels, "names": list(self.form.names)},
            "samples": self.samples,
            "rows": self.rows.astype(np.float32),
            "missing": self.missing,
            "lowest": self.lowest,
            "highest": self.highest,
            "categories": self.categories,
            "vocabulary": self.vocabulary,
        }


@dataclass
class Contract:
    """The fields by name, and how many batches were seen."""

    fields: dict[str, FieldContract]
    batches: int = 0

    def as_document(self) -> dict[str, Any]:
        """Plain values and arrays; :meth:`from_document` is the inverse."""
        return {"batches": self.batches, "fields": {n: f.as_document() for n, f in self.fields.items()}}

    def as_record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What JSON can say, and the arrays (``rows.0`` ...), one for each field; :meth:`from_record` is the inverse."""
        document = self.as_document()
        arrays = {f"rows.{n}": row.pop("rows") for n, row in enumerate(document["fields"].values())}
        bad: list[str] = []
        about = pack(document, "contract", bad)
        assert not bad, bad
        return about, arrays

    @classmethod
    def from_record(cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Contract:
        """Raises :class:`UsageError` for what :meth:`as_record` never makes."""
        try:
            document = unpack(dict(about))
            for n, row in enumerate(document["fields"].values()):
                row["rows"] = arrays[f"rows.{n}"]
        except (KeyError, TypeError, AttributeError, HoldfastError) as error:
            raise UsageError("this is no data contract", found=str(error)) from error
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Contract:
        """Raises :class:`UsageError` for what :meth:`as_document` never makes."""
        try:
            fields = {
                name: FieldContract(
                    name=name,
                    shape=tuple(row["shape"]),
                    dtype=row["dtype"],
                    form=Form(row["form"]["kind"], row["form"]["channels"], tuple(row["form"]["names"])),
                    samples=row["samples"],
                    rows=np.asarray(row["rows"], np.float64),
                    missing=row["missing"],
                    lowest=row["lowest"],
                    highest=row["highest"],
                    categories=row["categories"],
                )
                for name, row in document["fields"].items()
            }
            return cls(fields, document["batches"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("this is no data contract", found=str(error)) from error


def learn(source: Any, most: int | None = None) -> Contract:
    """The contract of honest batches (see :func:`batches_of` for what ``source`` may be). At least 16 samples are needed.

    Raises :class:`UsageError` where there are fewer, or where batches do not have the same fields.
    """
    found: dict[str, FieldContract] = {}
    draw = np.random.default_rng(0)  # a generator of its own: the program's random state is left alone
    count = 0
    for batch in batches_of(source, most):
        count += 1
        if count > 1 and set(batch) != set(found):
            raise UsageError(
                "the batches do not have the same fields",
                found=", ".join(sorted(batch)),
                expected=", ".join(sorted(found)),
            )
        for name, values in batch.items():
            if name not in found:
                found[name] = FieldContract(
                    name, tuple(values.shape[1:]), values.dtype.name, form_of(values)
                )  # fmt: skip
            _add(found[name], values, draw)
    fewest = min((f.samples for f in found.values()), default=0)
    if fewest < 16:
        raise UsageError(
            "too few samples for a data contract",
            found=f"{fewest}",
            expected="16 at least, 1,000 or more are better",
        )
    return Contract(found, count)


def _add(entry: FieldContract, values: np.ndarray, draw: np.random.Generator) -> None:
    if values.dtype.name != entry.dtype or len(values.shape) - 1 != len(entry.shape):
        raise UsageError(
            "a field changes from batch to batch", found=f"{entry.name}: {values.dtype.name}{list(values.shape[1:])}",
            expected=f"{entry.dtype}{list(entry.shape)}",
        )  # fmt: skip
    entry.shape = tuple(a if a == b else None for a, b in zip(entry.shape, values.shape[1:], strict=True))
    rows = summaries(entry.form, values)
    entry.rows = _kept(entry.rows if entry.samples else rows[:0], rows, entry.samples, draw)
    n = len(values)
    if values.dtype.kind == "f" and values.size:
        entry.missing = (entry.missing * entry.samples + float(np.isnan(values).mean()) * n) / max(
            1, entry.samples + n
        )
    if values.dtype.kind in "fiub" and values.size:
        with np.errstate(all="ignore"):
            entry.lowest = min(entry.lowest, float(np.nanmin(values)) if not _all_nan(values) else np.inf)
            entry.highest = max(entry.highest, float(np.nanmax(values)) if not _all_nan(values) else -np.inf)
    entry.samples += n
    if entry.categories is not None and entry.form.kind in ("labels", "tokens", "text"):
        entry.categories = counted(values, entry.categories)


def _all_nan(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and bool(np.isnan(values).all())


def counted(values: np.ndarray, known: Mapping[str, int] | None = None) -> dict[str, int] | None:
    """How often each value occurs; ``None`` where there are too many to keep."""
    found = dict(known or {})
    if values.dtype.kind == "O":
        values = np.array(
            [
                item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
                for item in values.reshape(-1)
            ]
        )
    each, counts = np.unique(values.reshape(-1), return_counts=True)
    for value, count in zip(each, counts, strict=True):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        found[text] = found.get(text, 0) + int(count)
    return found if len(found) <= _MOST_CATEGORIES else None


def _kept(kept: np.ndarray, fresh: np.ndarray, seen: int, draw: np.random.Generator) -> np.ndarray:
    """A uniform choice of everything seen (reservoir sampling: Vitter 1985, algorithm R)."""
    room = max(0, _RESERVOIR - len(kept))
    out = np.concatenate([kept, fresh[:room]]) if room else kept.copy()
    for number, row in enumerate(fresh[room:], seen + room):
        at = int(draw.integers(0, number + 1))
        if at < _RESERVOIR:
            out[at] = row
    return out
