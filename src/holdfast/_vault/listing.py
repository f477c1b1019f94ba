"""What lies in a vault's folder: its committed steps, read from their records."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .._core.errors import HoldfastError, UsageError
from .._record.schema import Record, load_record
from .names import RECORD, StepName, parse_step

__all__ = ["METRICS", "Checkpoint", "as_metrics", "look_at", "newest_of", "now", "number_of", "record_of"]

METRICS = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One committed step of a vault.

    ``name`` and ``path``: its folder. ``step``, ``created``, ``metrics``. ``sequence``: its place in the order of
    saving; ``lineage`` and ``parent``: which line of the run it is on, and the step that it continues. ``fault``: why
    its record cannot be used, else ``None``.
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


def newest_of(known: list[Checkpoint]) -> Checkpoint | None:
    """The newest of several whose record can be used, or ``None``."""
    return next((c for c in reversed(known) if c.fault is None), None)


def number_of(checkpoint: Checkpoint) -> StepName:
    """A checkpoint's step and copy, from its folder's name."""
    return parse_step(checkpoint.name) or StepName(checkpoint.step)


def record_of(path: str) -> Record:
    """The record of a step. Raises :class:`SealError` where it cannot be trusted, ``OSError`` where it cannot be read."""
    place = Path(path, RECORD)
    return load_record(place.read_bytes(), os.fspath(place))


def look_at(run: str, name: str, step: StepName, pinned: bool) -> Checkpoint:
    """One step as its record tells it; with a ``fault`` where the record cannot be used."""
    path = str(Path(run, name))
    try:
        record = record_of(path)
    except (OSError, HoldfastError) as error:
        text = error.message if isinstance(error, HoldfastError) else error.strerror or str(error)
        return Checkpoint(name, path, step.step, pinned=pinned, fault=f"its record cannot be used: {text}")
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


def as_metrics(metrics: Mapping[str, float]) -> dict[str, float | str]:
    """Metrics as a record holds them. Raises :class:`UsageError` for what is no number."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError) as error:
            raise UsageError("a metric is a number", found=f"{name}={value!r}") from error
    # JSON has no NaN: a diverged metric is kept as text, and is best of nothing
    return {k: v if math.isfinite(v) else str(v) for k, v in found.items()}


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
