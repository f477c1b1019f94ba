"""What was learned of honest batches: the fields, each with a sample of its summaries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._core.errors import HoldfastError, UsageError
from ..._core.plain import pack, unpack
from .batches import Container
from .features import Form, moments

__all__ = ["FieldContract", "Learned"]

_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(eq=False)
class FieldContract:
    """One field of the data.

    shape: of a sample; ``None`` where samples differ. dtype: numpy's name. form: how it is summed up. samples: how many
    were seen. rows: summaries of up to 1024 of them, a uniform choice, float64 ``(kept, numbers)``. elements: of the same
    samples 16 single numbers each, float32. missing: share of NaN. gaps: share
    of samples that hold any. lowest, highest: over everything seen. categories:
    value -> how often, where there are at most 10,000 values; else ``None``. unseen: of a sample that is left out, the
    share of values that no other has: mean, standard deviation, and how many samples have any. together: how alike the
    samples of one batch are (the intraclass correlation of the number for which that is most); 0 of a loader that
    shuffles. optional: it is ``None`` in some batches.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    form: Form
    samples: int = 0
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    elements: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    missing: float = 0.0
    gaps: float = 0.0
    lowest: float = np.inf
    highest: float = -np.inf
    categories: dict[str, int] | None = None
    unseen: tuple[float, float, float] = (0.0, 0.0, 0.0)
    together: float = 0.0
    optional: bool = False
    held: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was computed of it once."""

    @property
    def vocabulary(self) -> str | None:
        """Digest of the set of values, for labels, tokens and texts; equal sets have equal digests."""
        if not self.categories:
            return None
        return hashlib.sha256("\n".join(sorted(self.categories)).encode()).hexdigest()[:16]

    @property
    def ragged(self) -> bool:
        """Whether samples differ in shape."""
        return None in self.shape

    def numbers(self) -> dict[str, dict[str, Any]]:
        """Mean, standard deviation and quantiles: of each column of a table, else of all single numbers together."""
        if self.form.kind in ("text", "tokens"):
            return {}
        if self.form.kind == "dense":
            return {"": _numbers(self.elements.reshape(-1))} if self.elements.size else {}
        return {
            name if self.shape else "": _numbers(self.rows[:, n]) for n, name in enumerate(self.form.names)
        }

    def as_document(self) -> dict[str, Any]:
        """Plain values and arrays, as a record keeps them."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "form": {
                "kind": self.form.kind,
                "channels": self.form.channels,
                "names": list(self.form.names),
                "every": list(self.form.every),
            },
            "samples": self.samples,
            "rows": _shorter(self.rows),
            "elements": self.elements,
            "missing": self.missing,
            "gaps": self.gaps,
            "lowest": self.lowest,
            "highest": self.highest,
            "categories": self.categories,
            "vocabulary": self.vocabulary,
            "unseen": list(self.unseen),
            "together": self.together,
            "optional": self.optional,
        }

    @classmethod
    def from_document(cls, name: str, row: Mapping[str, Any]) -> FieldContract:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what :meth:`as_document` never makes."""
        about = row["form"]
        form = Form(about["kind"], about["channels"], tuple(about["names"]), tuple(map(int, about["every"])))
        if form.every and (len(form.every) != len(row["shape"]) or min(form.every) < 1):
            raise ValueError(f"{name}: steps {form.every} for samples of shape {row['shape']}")
        rows = np.asarray(row["rows"], np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(form.names):
            raise ValueError(f"{name}: summaries of shape {rows.shape} for {len(form.names)} names")
        np.dtype(row["dtype"])
        counts = row["categories"]
        return cls(
            name=name,
            shape=tuple(None if n is None else int(n) for n in row["shape"]),
            dtype=row["dtype"],
            form=form,
            samples=int(row["samples"]),
            rows=rows,
            elements=np.asarray(row.get("elements", np.zeros((0, 0))), np.float32),
            missing=float(row["missing"]),
            gaps=float(row["gaps"]),
            lowest=float(row["lowest"]),
            highest=float(row["highest"]),
            categories=None if counts is None else {str(value): int(n) for value, n in counts.items()},
            unseen=(float(row["unseen"][0]), float(row["unseen"][1]), float(row["unseen"][2])),
            together=float(row.get("together", 0.0)),
            optional=bool(row.get("optional", False)),
        )


def _shorter(rows: np.ndarray) -> np.ndarray:
    """As float32, unless that changes them: times in seconds, numbers that differ in late digits only."""
    short = rows.astype(np.float32)
    with np.errstate(all="ignore"):
        off, spread = np.abs(np.nan_to_num(rows - short)), moments(rows)[1]
    return rows if bool(((spread > 0) & (off > 1e-3 * spread)).any()) else short


def _numbers(values: np.ndarray) -> dict[str, Any]:
    there = values[np.isfinite(values)].astype(np.float64)
    if not there.size:
        return {"mean": None, "std": None, "quantiles": {}}
    cuts = np.quantile(there, _SHARES)
    return {
        "mean": float(there.mean()),
        "std": float(there.std()),
        "quantiles": {share: float(cut) for share, cut in zip(_SHARES, cuts, strict=True)},
    }


@dataclass(eq=False, repr=False)
class Learned:
    """The fields by name, in their order, and how many batches were seen.

    container: what held the fields. labels: what each class is called, name -> number. transform: the description of the
    preprocessing, path -> setting. complete: whether the source came to its end.
    """

    fields: dict[str, FieldContract]
    batches: int = 0
    container: Container = "array"
    labels: dict[str, int] | None = None
    transform: dict[str, Any] | None = None
    complete: bool = True

    def as_document(self) -> dict[str, Any]:
        """Plain values and arrays; :meth:`from_document` is the inverse."""
        return {
            "batches": self.batches,
            "container": self.container,
            "labels": self.labels,
            "transform": self.transform,
            "complete": self.complete,
            "order": list(self.fields),
            "fields": {n: f.as_document() for n, f in self.fields.items()},
        }

    def as_record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What JSON can say, and the arrays (``rows.0``, ``elements.0`` ...), for each field; :meth:`from_record` is the
        inverse."""
        document = self.as_document()
        arrays = {}
        for n, name in enumerate(self.fields):
            for part in ("rows", "elements"):
                arrays[f"{part}.{n}"] = document["fields"][name].pop(part)
        arrays = {name: values for name, values in arrays.items() if values.size or name.startswith("rows")}
        bad: list[str] = []
        about = pack(document, "contract", bad)
        assert not bad, bad
        return about, arrays

    @classmethod
    def from_record(cls, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
        """Raises :class:`UsageError` for what :meth:`as_record` never makes."""
        try:
            document = unpack(dict(about))
            for n, name in enumerate(document["order"]):
                row = document["fields"][name]
                row["rows"] = arrays[f"rows.{n}"]
                if f"elements.{n}" in arrays:
                    row["elements"] = arrays[f"elements.{n}"]
        except (KeyError, TypeError, AttributeError, HoldfastError) as error:
            raise UsageError("this is no data contract", found=str(error)) from error
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Any:
        """Raises :class:`UsageError` for what :meth:`as_document` never makes."""
        try:
            rows = document["fields"]
            labels = document["labels"]
            return cls(
                {name: FieldContract.from_document(name, rows[name]) for name in document["order"]},
                int(document["batches"]),
                document["container"],
                None if labels is None else {str(name): int(n) for name, n in labels.items()},
                None if document["transform"] is None else dict(document["transform"]),
                bool(document["complete"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise UsageError("this is no data contract", found=str(error)) from error
