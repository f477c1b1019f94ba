"""What lies in a vault's folder: its committed steps, read from their records."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..._core.errors import HoldfastError
from ..._record.copies import Found, load_either
from ..._record.schema import Record
from .names import COPY, RECORD, StepName, parse_step
from .saved import METRICS, SavedStep, saved_of
from .variants import variant_of_record

__all__ = [
    "METRICS",
    "Checkpoint",
    "Marks",
    "found_record",
    "look_at",
    "marks_of",
    "newest_of",
    "now",
    "number_of",
    "record_of",
]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One committed step of a vault.

    ``name`` and ``path``: its folder. ``step``, ``created``, ``metrics``. ``sequence``: its place in the order of
    saving; ``lineage`` and ``parent``: which line of the run it is on, and the step that it continues. ``fault``: why
    its record cannot be used, else ``None``; ``denied``: whether that is because it may not be read; ``note``: what is
    wrong with one of its two copies. ``variant``: which structure of the model it holds
    (:mod:`holdfast._vault.folder.variants`). ``saved``: what its record says besides; ``None`` where it cannot be used.
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
    saved: SavedStep | None = field(default=None, repr=False, compare=False)
    denied: bool = False


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
        fault, denied = f"its record cannot be used: {text}", isinstance(error, PermissionError)
        return Checkpoint(name, path, step.step, pinned=pinned, fault=fault, denied=denied)
    record = found.record
    variant = str((record.lineage or {}).get("variant") or variant_of_record(record))
    saved = saved_of(path, name, step.step, record, variant)
    return Checkpoint(
        name,
        path,
        step.step,
        created=saved.created,
        sequence=saved.sequence,
        lineage=saved.lineage,
        parent=saved.parent,
        metrics={k: v for k, v in saved.metrics.items() if math.isfinite(v)},
        nbytes=saved.nbytes,
        pinned=pinned,
        note=found.trouble,
        variant=variant,
        saved=saved,
    )


Marks = tuple[tuple[int, int, int, int] | None, ...]
"""Of each file that tells of a step: inode, size, and when its bytes and when anything of it last changed, in ns; ``None`` for
one that is not there."""
_SETTLED = 2 * 10**9
"""Nanoseconds after which another change of a file is seen by its times (git, Documentation/technical/racy-git)."""


def marks_of(path: Path) -> Marks | None:
    """By what a change of a step's record, of its copy or of its later metrics is seen; ``None`` where they changed so lately
    that another change might have the same times, or where they cannot be asked."""
    found: list[tuple[int, int, int, int] | None] = []
    latest = 0
    for name in (RECORD, COPY, METRICS):
        try:
            told = (path / name).stat()
        except FileNotFoundError:
            found.append(None)
            continue
        except OSError:
            return None
        found.append((told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns))
        latest = max(latest, told.st_mtime_ns, told.st_ctime_ns)
    return tuple(found) if time.time_ns() - latest > _SETTLED else None


def now() -> str:
    """The time, in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
