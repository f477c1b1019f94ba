"""All steps that a run ever committed, those that retention dropped included.

A dropped step's tensors are gone; what it measured is not. Before a step is deleted a line is added to the run's
``dropped.jsonl``, so that a curve over the run has no holes. A kill between the two leaves a line about a step that is
still there, and the next drop another one: lines are told apart by the step's name and its record's digest.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..._core.errors import HoldfastError, SaveFailed
from ..._record.metric_history import MetricHistory, MetricRow
from ..._record.metrics import finite_or_text
from ..._restore.outcome import Outcome
from ..._storage.sink import Sink
from .listing import Checkpoint, now, record_of
from .names import DAMAGED, parse_step
from .saved import SavedStep, at_time, numbers_of, saved_of
from .variants import variant_of_record

__all__ = [
    "DROPPED",
    "SavedStep",
    "chain",
    "dropped_steps",
    "gaps_of",
    "history_of",
    "metric_history",
    "note_dropped",
    "set_aside_steps",
    "with_history",
]

LOG = logging.getLogger("holdfast.vault")
DROPPED = "dropped.jsonl"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LONGEST = 4 << 20
"""Bytes of a line; ours are under 2 kB for each ten metrics."""
_TOLD: weakref.WeakKeyDictionary[Sink, set[str]] = weakref.WeakKeyDictionary()
"""Environments that this process has written to a sink's file."""


# -- written ---------------------------------------------------------------------------------------------------------
def note_dropped(sink: Sink, name: str, why: str) -> Callable[[], None]:
    """Note what a step measured, durably, before it is deleted; gives what must be called when it is gone.

    Where the disk is too full for the line it is written then: deleting is what makes room. Raises :class:`SaveFailed`
    where it cannot be written for another reason; the step had better stay.
    """
    row = _row(sink.path, name, why)
    try:
        _append(sink, row)
    except SaveFailed as error:
        if getattr(error.__cause__, "errno", None) not in _FULL:
            raise
        return lambda: _append_late(sink, name, row)
    return lambda: None


def _append_late(sink: Sink, name: str, row: dict[str, Any]) -> None:
    try:
        _append(sink, row)
    except SaveFailed as error:
        LOG.error("%s was dropped, and what it measured is lost: %s", name, error)


def _append(sink: Sink, row: dict[str, Any]) -> None:
    told = _TOLD.setdefault(sink, set())
    environment = row.get("environment") or {}
    key = _key(environment)
    said: dict[str, Any] = {}
    if environment:
        said = {"environment": key, "environments": {} if key in told else {key: environment}}
    line = json.dumps({k: v for k, v in {**row, **said}.items() if v not in (None, "", {})}).encode() + b"\n"
    torn = not _ends_in_newline(Path(sink.path, DROPPED))  # by a kill: that line stays alone
    if not sink.append(DROPPED, b"\n" + line if torn else line):
        LOG.debug("%s cannot be appended to here: what dropped steps measured is not kept", DROPPED)
        return
    told.add(key)


def _key(environment: Mapping[str, Any]) -> str:
    """What only equal environments share: most steps of a run have one and the same, which is written once."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:16]


def _ends_in_newline(place: Path) -> bool:
    try:
        with place.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return True
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
    except OSError:
        return True  # not there; or appending will tell


def _row(run: str, name: str, why: str) -> dict[str, Any]:
    path = str(Path(run, name))
    parsed = parse_step(name)
    row: dict[str, Any] = {"name": name, "step": parsed.step if parsed else None, "at": now(), "why": why}
    try:
        record = record_of(path)
    except (OSError, HoldfastError) as error:
        row["fault"] = f"its record could not be used: {error}"[:500]
    else:
        saved = saved_of(path, name, row["step"] or 0, record, _variant(record))
        row |= {
            "record": saved.digest,
            "created": record.created,
            "sequence": saved.sequence,
            "lineage": saved.lineage,
            "parent": saved.parent,
            "variant": saved.variant,
            "metrics": {k: finite_or_text(v) for k, v in saved.metrics.items()},
            "measured": dict(saved.measured),
            "nbytes": saved.nbytes,
            "timings": dict(saved.timings),
            "telemetry": dict(saved.telemetry),
            "environment": dict(saved.environment),
        }
    return row


def _variant(record: Any) -> str:
    return str((record.lineage or {}).get("variant") or variant_of_record(record))


# -- read ------------------------------------------------------------------------------------------------------------
def history_of(run: str, known: Iterable[Checkpoint]) -> list[SavedStep]:
    """Every step ever committed, in the order of saving: those of ``known``, then read after them those that were dropped or
    set aside.

    A live step whose record cannot be used has a ``fault``, and stands where the listing has it.
    """
    live = [
        c.saved
        if c.saved is not None
        else SavedStep(c.name, c.step, fault=c.fault or "its record cannot be used")
        for c in known
    ]
    here = {(s.name, s.digest) for s in live if s.fault is None}
    rows = sorted(
        (s for s in dropped_steps(run) if (s.name, s.digest) not in here),
        key=lambda s: (s.sequence, s.step, s.name),
    )
    found: list[SavedStep] = []
    for step in live:
        while step.fault is None and rows and rows[0].sequence < step.sequence:
            found.append(rows.pop(0))
        found.append(step)
    found += rows
    for step in set_aside_steps(run):
        if (step.name, step.digest) not in here:
            found.insert(_place_of(step, found), step)
    return found


def _place_of(step: SavedStep, rows: list[SavedStep]) -> int:
    """Where a step that was set aside belongs: its place in the order of saving was given anew, so its time tells."""
    later = (
        n
        for n, row in enumerate(rows)
        if row.created is not None and step.created is not None and row.created > step.created
    )
    return next(later, len(rows))


def set_aside_steps(run: str) -> list[SavedStep]:
    """Damaged steps that a restore set aside and whose records can be read, in the order of saving."""
    found = []
    try:
        names = [entry.name for entry in os.scandir(run) if entry.name.startswith(DAMAGED)]
    except OSError:
        return []
    for folder in names:
        name = folder.removeprefix(DAMAGED).rpartition("-")[0]
        parsed = parse_step(name)
        if parsed is None:
            continue
        path = Path(run, folder)
        try:
            record = record_of(str(path))
            moved = datetime.fromtimestamp(path.stat().st_ctime, timezone.utc)  # when it was renamed
        except (OSError, HoldfastError):
            continue
        saved = saved_of(str(path), name, parsed.step, record, _variant(record))
        found.append(replace(saved, dropped=moved, why="damaged"))
    return sorted(found, key=lambda s: (s.created is None, s.created, s.name))


def dropped_steps(run: str) -> list[SavedStep]:
    """What ``dropped.jsonl`` tells, one for each name and digest, the last told; a line that is torn or is not ours says
    nothing."""
    found: dict[tuple[str, str], SavedStep] = {}
    environments: dict[str, Any] = {}
    for row in _rows(Path(run, DROPPED)):
        saved = _saved(row)
        if saved is not None:
            found[saved.name, saved.digest] = saved
            environments |= _mapping(row.get("environments"))
    return [
        replace(saved, environment=_mapping(environments.get(saved.environment["key"])))
        for saved in found.values()
    ]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(place: Path) -> Iterator[Mapping[str, Any]]:
    try:
        file = place.open("rb")
    except OSError:
        return
    whole = True
    with file:
        while True:
            try:
                line = file.readline(_LONGEST)
            except OSError as error:
                LOG.warning("%s cannot be read further: %s", place, error)
                return
            if not line:
                return
            begins, whole = whole, line.endswith(b"\n")
            if not begins or not whole:
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row


def _saved(row: Mapping[str, Any]) -> SavedStep | None:
    parsed = parse_step(row["name"]) if isinstance(row.get("name"), str) else None
    if parsed is None:
        return None

    def text(key: str) -> str:
        value = row.get(key)
        return value if isinstance(value, str) else ""

    def whole(key: str) -> int:
        value = row.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    measured = row.get("measured")
    return SavedStep(
        row["name"],
        parsed.step,
        created=at_time(row.get("created")),
        sequence=whole("sequence"),
        lineage=text("lineage"),
        parent=text("parent") or None,
        variant=text("variant"),
        metrics=numbers_of(row.get("metrics")),
        measured={
            k: v for k, v in (measured.items() if isinstance(measured, dict) else ()) if isinstance(v, dict)
        },
        nbytes=whole("nbytes"),
        timings=numbers_of(row.get("timings")),
        telemetry=numbers_of(row.get("telemetry")),
        digest=text("record"),
        environment={"key": text("environment")},
        dropped=at_time(row.get("at")),
        why=text("why"),
        fault=text("fault") or None,
    )


# -- along the parents -----------------------------------------------------------------------------------------------
def chain(rows: list[SavedStep], last: SavedStep) -> list[SavedStep]:
    """The steps that ``last`` continues, itself at the end: along its parents.

    A name may have been given twice (dropped, then saved anew): the parent is the last of that name before its child. One
    that is not known ends nothing: the step saved before on the same lineage is taken.
    """
    named: dict[str, list[int]] = {}
    lineages: dict[str, list[int]] = {}
    at = len(rows)
    for n, row in enumerate(rows):
        if row.fault is None:
            named.setdefault(row.name, []).append(n)
            lineages.setdefault(row.lineage, []).append(n)
        at = n if row is last else at
    found = [last]
    while found[-1].parent is not None:
        parent = _last_before(named.get(found[-1].parent, []), at)
        if parent is None:
            parent = _last_before(lineages.get(found[-1].lineage, []), at)
        if parent is None:
            break
        found.append(rows[parent])
        at = parent
    return found[::-1]


def _last_before(places: list[int], at: int) -> int | None:
    found = bisect_left(places, at)
    return places[found - 1] if found else None


def gaps_of(line: list[SavedStep]) -> tuple[str, ...]:
    """Names of parents in a chain that nothing is known of."""
    missing = [
        child.parent
        for before, child in zip([None, *line], line, strict=False)
        if child.parent is not None and (before is None or before.name != child.parent)
    ]
    return tuple(dict.fromkeys(missing))


def metric_history(
    rows: list[SavedStep], last: SavedStep, extra: Mapping[str, Any] | None = None
) -> MetricHistory:
    """The metrics along the line that ends with ``last``. ``extra``: what that step was given as ``extra``, in which
    Holdfast's Keras callback keeps the history of ``fit``."""
    line = chain(rows, last)
    keras = (extra or {}).get("keras")
    return MetricHistory(
        [MetricRow(s.step, s.created, s.metrics, s.measured) for s in line],
        step=last.step,
        gaps=gaps_of(line),
        fit=keras.get("history") if isinstance(keras, Mapping) else None,
    )


def with_history(outcome: Outcome, run: str, known: Iterable[Checkpoint]) -> Outcome:
    """A restore's outcome with the metrics of the step's line. What cannot be read of the past breaks no restore."""
    rows = history_of(run, known)
    name = Path(outcome.path).name
    last = next((row for row in reversed(rows) if row.name == name and row.live), None)
    if last is None:
        return outcome
    return replace(outcome, history=metric_history(rows, last, outcome.extra))
