"""What lies in a vault's folder: its committed steps, read from their records."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .._core.errors import HoldfastError
from .._record.copies import Found, load_either
from .._record.schema import Record
from .names import StepName, parse_step
from .variants import variant_of_record

__all__ = [
    "METRICS",
    "Checkpoint",
    "found_record",
    "look_at",
    "newest_of",
    "now",
    "number_of",
    "record_of",
]

METRICS = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One committed step of a vault.

    ``name`` and ``path``: its folder. ``step``, ``created``, ``metrics``. ``sequence``: its place in the order of
    saving; ``lineage`` and ``parent``: which line of the run it is on, and the step that it continues. ``fault``: why
    its record cannot be used, else ``None``; ``note``: what is wrong with one of its two copies. ``variant``: which
    structure of the model it holds (:mod:`holdfast._vault.variants`).
    """

    name: str
    path: str
    step: int
    created: datetime | None = None
    sequence: int = 0
    lineage: str = ""
    parent: str | None = None
    metrics: Mapping[str, float] | None = None
    nbytes: int = 0
    pinned: bool = False
    fault: str | None = None
    note: str | None = None
    variant: str = ""


def newest_of(known: list[Checkpoint]) -> Checkpoint | None:
    """The newest of several whose record can be used, or ``None``."""
    return next((c for c in reversed(known) if c.fault is None), None)


def number_of(checkpoint: Checkpoint) -> StepName:
    """A checkpoint's step and copy, from its folder's name."""
    return parse_step(checkpoint.name) or StepName(checkpoint.step)


def found_record(path: str) -> Found:
    """The record of a step, or its copy where that is damaged. Raises :class:`SealError` where neither can be trusted,
    ``OSError`` where they cannot be read."""
    return load_either(lambda name: Path(path, name).read_bytes(), lambda name: os.fspath(Path(path, name)))


def record_of(path: str) -> Record:
    """The record of a step, as :func:`found_record` finds it."""
    return found_record(path).record


def look_at(run: str, name: str, step: StepName, pinned: bool) -> Checkpoint:
    """One step as its record tells it; with a ``fault`` where the record cannot be used."""
    path = str(Path(run, name))
    try:
        found = found_record(path)
    except (OSError, HoldfastError) as error:
        text = error.message if isinstance(error, HoldfastError) else error.strerror or str(error)
        return Checkpoint(name, path, step.step, pinned=pinned, fault=f"its record cannot be used: {text}")
    record = found.record
    lineage = record.lineage or {}
    metrics = {k: v for k, v in (record.metrics or {}).items() if isinstance(v, (int, float))}
    metrics |= _later_metrics(path, record.digest)
    return Checkpoint(
        name,
        path,
        step.step,
        created=_parsed(record.created),
        sequence=int(lineage.get("sequence", 0)),
        lineage=str(lineage.get("lineage", "")),
        parent=lineage.get("parent"),
        metrics=metrics,
        nbytes=sum(entry.size for entry in record.files),
        pinned=pinned,
        note=found.trouble,
        variant=str(lineage.get("variant") or variant_of_record(record)),
    )


def _later_metrics(path: str, digest: str) -> dict[str, float]:
    """Metrics of ``metrics.jsonl`` that belong to this record; a torn last line says nothing."""
    found: dict[str, float] = {}
    try:
        lines = Path(path, METRICS).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("record") == digest and isinstance(row.get("metrics"), dict):
            found |= {k: v for k, v in row["metrics"].items() if isinstance(v, (int, float))}
    return found


def now() -> str:
    """The time, in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _parsed(text: str) -> datetime | None:
    for form in ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None
