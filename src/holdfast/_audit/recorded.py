"""What the checkpoint's record says: metrics, probe, contract, environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core.catalog import Catalog
from .._core.errors import HoldfastError, UsageError
from .._layouts.target import Target
from .._record.data.contract import Contract
from .._record.metrics import Metric, as_metrics, metric_of
from .._record.probe import Probe
from .._record.schema import Record

__all__ = ["contract_of", "metrics_of", "precision_of_catalog", "probe_of"]

_LATER = "metrics.jsonl"


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
        lines = Path(target.path, _LATER).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(row, dict)
            and row.get("record") == record.digest
            and isinstance(row.get("metrics"), dict)
        ):
            measured = row.get("measured")
            meanings = measured if isinstance(measured, dict) else {}
            found += [
                (name, value, meanings.get(name))
                for name, value in row["metrics"].items()
                if isinstance(value, (int, float))
            ]
    return found


def probe_of(record: Record | None, catalog: Catalog) -> Probe | None:
    """The probe of a step: ``about`` from the record's section ``probe`` or from ``extra/probe/about``, arrays from
    ``extra/probe/arrays``. ``None`` where there is none; raises :class:`UsageError` for one that makes no sense."""
    fronts = ("extra/probe/arrays/", "probe/arrays/", "probe/")
    values = catalog.attributes.get("values")
    values = values if isinstance(values, Mapping) else {}
    about: Any = record.probe if record is not None else None
    about = about or values.get("extra/probe/about") or values.get("probe/about")
    if not about:
        return None
    front = next((f for f in fronts if any(name.startswith(f) for name in catalog)), None)
    if front is None:
        raise UsageError("the record speaks of a probe, and its arrays are not there", file=_file(catalog))
    arrays = {name[len(front) :]: catalog.read(name).copy() for name in catalog if name.startswith(front)}
    return Probe.from_document({"about": about, "arrays": arrays})


def _file(catalog: Catalog) -> str | None:
    return catalog.files[0] if catalog.files else None


def contract_of(record: Record | None) -> Contract | None:
    """The data contract of a record, or ``None``."""
    section = record.contract if record is not None else None
    if not section or "fields" not in section:
        return None
    try:
        return Contract.from_document(section)
    except HoldfastError:
        return None


def precision_of_catalog(catalog: Catalog) -> str:
    """The number type in which the checkpoint keeps most of its weights."""
    sizes: dict[str, int] = {}
    for spec in catalog.values():
        if spec.role == "weight" and "float" in spec.dtype:
            sizes[spec.dtype] = sizes.get(spec.dtype, 0) + spec.nbytes
    return max(sizes, key=lambda word: sizes[word], default="float32")
