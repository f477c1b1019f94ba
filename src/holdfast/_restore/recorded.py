"""What the checkpoint's record says: metrics, probe, contract, environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .._core.catalog import Catalog
from .._core.errors import ChecksumMismatch
from .._integrity.digest import digest_array
from .._layouts.target import Target
from .._record.annotations import METRICS_FILE, annotations_of
from .._record.metrics import Metric, as_metrics, metric_of
from .._record.probe import Probe
from .._record.schema import Record
from .data_contract import DataContract

__all__ = ["arrays_of", "contract_of", "metrics_of", "precision_of_catalog", "probe_of"]


def metrics_of(record: Record | None, target: Target, given: Any = None) -> list[Metric]:
    """Recorded metrics with their meaning, those that were added after the save included; ``given`` ones go before."""
    found: dict[str, Metric] = {}
    if record is not None:
        meanings = getattr(record, "measured", None) or {}
        for name, value in (record.metrics or {}).items():
            if isinstance(value, (int, float, str)):
                found[name] = metric_of(name, value, meanings.get(name))
        for name, value, meaning in _later(target, record):
            found[name] = metric_of(name, value, meaning)
    for metric in as_metrics(given) if given is not None else ():
        held = found.get(metric.name)
        if metric.kind == "unspecified" and held is not None:
            metric = Metric(metric.name, metric.value, **held.meaning())
        found[metric.name] = metric
    return list(found.values())


def _later(target: Target, record: Record) -> list[tuple[str, Any, Any]]:
    """Rows of a step's ``metrics.jsonl`` that bear this record's digest; a torn last line says nothing."""
    try:
        data = Path(target.path, METRICS_FILE).read_bytes()
    except OSError:
        return []
    found = []
    for row in annotations_of(data, record.digest).rows:
        measured = row.get("measured")
        meanings = measured if isinstance(measured, dict) else {}
        found += [
            (name, value, meanings.get(name))
            for name, value in row["metrics"].items()
            if isinstance(value, (int, float))
        ]
    return found


def probe_of(record: Record | None, catalog: Catalog) -> Probe | None:
    """The probe of a step: ``about`` from the record's section ``probe``, arrays from ``recorded/probe/``. ``None`` where
    there is none; raises :class:`UsageError` for one that makes no sense."""
    about = record.probe if record is not None else None
    if not about:
        return None
    return Probe.from_document({"about": about, "arrays": arrays_of(catalog, "probe")})


def contract_of(record: Record | None, catalog: Catalog) -> DataContract | None:
    """The data contract of a step, or ``None``. Raises :class:`UsageError` for one that makes no sense."""
    about = record.contract if record is not None else None
    return DataContract.from_record(about, arrays_of(catalog, "contract")) if about else None


def arrays_of(catalog: Catalog, part: str, front: str = "recorded/") -> dict[str, np.ndarray]:
    """What a step of a vault holds of one part, by name: copies, each compared with its digest.

    Raises :class:`ChecksumMismatch` where an array is not what was saved.
    """
    front = f"{front}{part}/" if part else front
    record = getattr(catalog, "record", None)  # of steps only
    digests = {row.name: row.digest for row in record.tensors} if record is not None else {}
    found = {}
    for name in catalog:
        if not name.startswith(front):
            continue
        values = np.array(catalog.read(name), copy=True)
        if digests and digests.get(name) != (now := digest_array(values)):
            raise ChecksumMismatch(
                "a recorded array is not what was saved", file=_file(catalog), tensor=name, expected=digests.get(name),
                found=now,
            )  # fmt: skip
        found[name[len(front) :]] = values
    return found


def _file(catalog: Catalog) -> str | None:
    return catalog.files[0] if catalog.files else None


def precision_of_catalog(catalog: Catalog) -> str:
    """The number type in which the checkpoint keeps most of its weights."""
    sizes: dict[str, int] = {}
    for spec in catalog.values():
        if spec.role == "weight" and "float" in spec.dtype:
            sizes[spec.dtype] = sizes.get(spec.dtype, 0) + spec.nbytes
    return max(sizes, key=lambda word: sizes[word], default="float32")
