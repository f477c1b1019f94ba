"""What one save was, as its record tells it: when, where in the run, what it measured and what it cost. No tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..._record.annotations import METRICS_FILE, annotations_of
from ..._record.schema import Record

__all__ = ["DIFF", "METRICS", "SavedStep", "absent_of", "at_time", "numbers_of", "saved_of", "shown_time"]

METRICS = METRICS_FILE
DIFF = "code.diff"
"""The file with what was not committed."""
_FORMS = ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ")
_LARGEST = 1 << 1000
"""Whole numbers beyond it have no float."""
_TIMES = ("stall", "join", "snapshot", "copy", "hash", "write", "fsync", "total", "retries")
_TELEMETRY = ("bytes", "bytes_reused", "free_after", "peak_rss")


@dataclass(frozen=True, slots=True)
class SavedStep:
    """One step of a run that was committed, whether it still lies there or not.

    ``metrics``: name -> number, those that were annotated later included; NaN and infinities are numbers here.
    ``measured``: name -> what the number is, where that is known. ``timings``: seconds by phase; ``telemetry``: bytes
    (``bytes``, ``bytes_reused``, ``free_after``, ``peak_rss``). ``digest``: of its record, which no two saves share.
    ``environment``: what it was made with, as its record has it.
    ``dropped``: when retention deleted it, ``why``: ``"keep"`` or ``"full"``; or when a restore set it aside, as ``"damaged"``.
    ``fault``: why its record cannot be used. ``files``: name and size of each file that its record names.
    """

    name: str
    step: int
    created: datetime | None = None
    sequence: int = 0
    lineage: str = ""
    parent: str | None = None
    variant: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nbytes: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    telemetry: Mapping[str, float] = field(default_factory=dict)
    digest: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)
    dropped: datetime | None = None
    why: str = ""
    fault: str | None = None
    files: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    @property
    def live(self) -> bool:
        """Whether it still lies there, to be restored."""
        return self.dropped is None


def saved_of(path: str, name: str, step: int, record: Record, variant: str) -> SavedStep:
    """A step of a vault by its record and its ``metrics.jsonl``."""
    lineage = record.lineage or {}
    metrics = numbers_of(record.metrics)
    measured = _mappings(record.measured)
    for row in _later(path, record.digest):
        later = numbers_of(row["metrics"])
        metrics |= later
        meanings = _mappings(row.get("measured"))
        measured = {k: v for k, v in measured.items() if k not in later} | meanings
    parent = lineage.get("parent")
    return SavedStep(
        name,
        step,
        created=at_time(record.created),
        sequence=_whole(lineage.get("sequence")),
        lineage=str(lineage.get("lineage", "")),
        parent=parent if isinstance(parent, str) else None,
        variant=variant,
        metrics=metrics,
        measured=measured,
        nbytes=sum(entry.size for entry in record.files),
        timings=_some(record.timings, _TIMES),
        telemetry=_some(record.telemetry, _TELEMETRY),
        digest=record.digest,
        environment=_environment(record),
        files=tuple((entry.name, entry.size) for entry in record.files),
    )


def absent_of(path: str, saved: SavedStep) -> str | None:
    """Which file of a step is not there, or is not as long as it was saved, by its folder alone; ``None`` where all are."""
    for name, size in saved.files:
        try:
            found = Path(path, name).stat().st_size
        except FileNotFoundError:
            return f"{name} is not there"
        except OSError:
            continue  # withheld: reading it will tell
        if found != size:
            return f"{name} has {found:,} of {size:,} bytes"
    return None


def _environment(record: Record) -> dict[str, Any]:
    """The record's environment, with the digest of the changes that were not committed: their text goes with the step."""
    found = dict(record.environment or {})
    diff = next((entry.digest for entry in record.files if entry.name == DIFF), None)
    if diff is not None and isinstance(found.get("code"), Mapping):
        found["code"] = {**found["code"], "diff_digest": diff}
    return found


def numbers_of(given: Any) -> dict[str, float]:
    """Metrics as a record or a line of JSON holds them: text where JSON has no number (``nan``, ``inf``, ``-inf``)."""
    found: dict[str, float] = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if isinstance(value, str) and value.strip().lower() in ("nan", "inf", "-inf"):
            found[str(name)] = float(value)
        elif isinstance(value, float) or (type(value) is int and abs(value) < _LARGEST):
            found[str(name)] = value
    return found


def _later(path: str, digest: str) -> Iterator[Mapping[str, Any]]:
    """Rows of ``metrics.jsonl`` that bear this record's digest; a torn last line says nothing."""
    try:
        data = Path(path, METRICS).read_bytes()
    except OSError:
        return
    yield from annotations_of(data, digest).rows


def at_time(text: Any) -> datetime | None:
    """A time as records hold it (UTC), or ``None``."""
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except (ValueError, TypeError):
            continue
    return None


def shown_time(at: datetime | None) -> str | None:
    """A time in UTC, to the second."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _mappings(given: Any) -> dict[str, Mapping[str, Any]]:
    found = given.items() if isinstance(given, Mapping) else ()
    return {str(name): value for name, value in found if isinstance(value, Mapping)}


def _some(given: Any, names: tuple[str, ...]) -> dict[str, float]:
    found = given if isinstance(given, Mapping) else {}
    return {
        name: found[name]
        for name in names
        if isinstance(found.get(name), (int, float))
        and not isinstance(found[name], bool)
        and math.isfinite(found[name])
    }


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
