"""The scrub: committed steps are read again from the medium and held against their records, the longest unchecked first.

When each was last checked is kept in the run's ``scrub.json``, so that many short scrubs come round to every step.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from ..._core.errors import CheckpointNotFound, HoldfastError, UsageError
from ..._core.fault import Progress
from ..._core.finding import CheckpointReport, Finding, Place, Report
from ..._examine.verifying import verify_path
from ..._integrity.atomic import write_whole
from ..._rules.registry import rule_named
from ..._storage.local_sink import LocalSink
from ..._storage.reading import ReadLock
from ..folder.listing import Checkpoint
from ..folder.names import RECORD
from ..folder.steps import Steps

__all__ = ["SCRUBBED", "Budget", "LastCheck", "ScrubReport", "last_checked", "scrub"]

LOG = logging.getLogger("holdfast.vault")
SCRUBBED = "scrub.json"
_TIMES = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SIZES: dict[str, int] = {
    "b": 1,
    **{f"{letter}b": 1000**n for n, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)},
}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class Budget(NamedTuple):
    """How much a scrub may do: ``seconds``, or ``nbytes`` to read; ``None`` is as much as there is."""

    seconds: float | None = None
    nbytes: float | None = None

    @classmethod
    def of(cls, given: str | float | timedelta | None) -> Budget:
        """``"90s"``, ``"15min"``, ``"2h"``, ``"10GB"`` (powers of 1000), ``"10GiB"`` (of 1024), a number of seconds, or a
        ``timedelta``. Raises :class:`UsageError`."""
        if given is None:
            return cls()
        if isinstance(given, timedelta):
            given = given.total_seconds()
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            found = cls(seconds=float(given))
        else:
            found = cls._read(str(given))
        if not any(amount and amount > 0 for amount in found):
            raise UsageError("no such budget", found=repr(given), expected="such as 60s, 15min, 2h or 10GB")
        return found

    @classmethod
    def _read(cls, text: str) -> Budget:
        match = _AMOUNT.fullmatch(text.lower())
        if match is None:
            return cls()
        amount, unit = float(match[1]), match[2]
        if unit in _TIMES or not unit:
            return cls(seconds=amount * _TIMES.get(unit, 1))
        return cls(nbytes=amount * _SIZES.get(unit, 0))


class LastCheck(NamedTuple):
    """When a step was last read and held against its record, and what came of it (``"sound"``, ``"damaged"`` ...)."""

    at: datetime
    verdict: str


@dataclass(frozen=True, slots=True)
class ScrubReport(Report):
    """What a scrub found: a :class:`Report` with a checkpoint for each step it read, in the order of reading.

    ``left`` are the steps that the budget did not reach, the next first. ``nbytes`` and ``seconds``: what was read, and
    how long that took.
    """

    left: tuple[str, ...] = ()
    nbytes: int = 0
    seconds: float = 0.0

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of the steps that are not what was saved; restoring passes them over."""
        return tuple(name for name, _ in self.reasons())

    def reasons(self) -> tuple[tuple[str, str], ...]:
        """Names of the damaged steps, each with the message of its first error."""
        bad = [c for c in self.checkpoints if c.worst() == "error"]
        return tuple(
            (Path(c.path).name, next(f.message for f in c.findings if f.severity == "error")) for c in bad
        )


def scrub(
    steps: Steps,
    budget: str | float | timedelta | None = None,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> ScrubReport:
    """Verify steps until the budget is used up; at least one is verified, so that each scrub gets on.

    What lies in the page cache is given back first where the system allows it, so that the medium is asked. Nothing is
    changed but ``scrub.json``. Raises :class:`UsageError` for a budget that makes no sense.
    """
    allowed = Budget.of(budget)
    known = steps.all()
    before = last_checked(steps.path, known)
    known.sort(key=lambda c: before[c.name].at if c.name in before else c.created or _LONG_AGO)
    begin, nbytes = time.monotonic(), 0
    done: list[CheckpointReport] = []
    while known:
        spent = time.monotonic() - begin
        if done and (
            (allowed.seconds is not None and spent >= allowed.seconds)
            or (allowed.nbytes is not None and nbytes + known[0].nbytes > allowed.nbytes)
        ):
            break
        step = known.pop(0)
        report = _one(steps, step, jobs, progress)
        if report is None:
            continue  # dropped meanwhile
        nbytes += report.bytes_total
        last = before.get(step.name)
        done.append(
            replace(report, attributes={**report.attributes, "checked_before": last and _text(last.at)})
        )
        if report.verdict != "unknown":
            _remember(steps, step, report.verdict)
    return ScrubReport(tuple(done), "scrub", tuple(c.name for c in known), nbytes, time.monotonic() - begin)


def _one(
    steps: Steps, step: Checkpoint, jobs: int | None, progress: Progress | None
) -> CheckpointReport | None:
    try:
        with ReadLock(step.path):
            _ask_the_medium(step.path)
            if step.fault is None:
                (report,) = verify_path(step.path, jobs=jobs, progress=progress).checkpoints
                if report.format == "holdfast-step":
                    return report
            return _unusable(steps, step)
    except CheckpointNotFound:
        if Path(step.path).is_dir():
            return _unusable(steps, step)
        return None


def _unusable(steps: Steps, step: Checkpoint) -> CheckpointReport:
    """A step whose record tells nothing: damaged, or withheld by the system for now."""
    withheld = steps.withheld(step.name)
    rule = rule_named("malformed" if withheld is None else "unreadable")
    assert rule is not None
    finding = Finding(
        rule.code,
        rule.slug,
        "error",
        step.fault or "its record cannot be used",
        Place(str(Path(step.path, RECORD))),
        cause=rule.cause,
        remedy=f"`holdfast doctor {step.path}` says what can be saved of it."
        if withheld is None
        else "Let this user read it, and scrub again.",
    )
    return CheckpointReport(
        step.path,
        "holdfast-step",
        "damaged" if withheld is None else "unknown",
        "structure-only",
        (finding,),
        looked_at=("the step's record",),
        not_looked_at=("the files that the record would name",),
    )


def _ask_the_medium(folder: str) -> None:
    """Let the cache go of a step's clean pages (man 2 posix_fadvise, ``POSIX_FADV_DONTNEED``)."""
    if not hasattr(os, "posix_fadvise"):
        return
    entries: list[Path] = []
    with suppress(OSError):  # what we may not look into, reading will tell
        entries = list(Path(folder).iterdir())
    for entry in entries:
        with suppress(OSError):
            handle = os.open(entry, os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


# -- what is remembered ----------------------------------------------------------------------------------------------
def last_checked(
    run: str | os.PathLike[str], checkpoints: Iterable[Checkpoint] | None = None
) -> dict[str, LastCheck]:
    """When each of a run's checkpoints was last scrubbed, by name; one that never was is not in it. A ``scrub.json`` that
    cannot be read says nothing. ``checkpoints`` spares reading the records again where the caller has them."""
    rows = _rows(run)
    found = {}
    for c in Steps(LocalSink(run)).all() if checkpoints is None else checkpoints:
        row = rows.get(c.name)
        if not isinstance(row, Mapping) or row.get("created") != _created(c):
            continue  # an earlier step of that name
        with suppress(ValueError, TypeError, KeyError):
            at = datetime.strptime(row["checked"], _FORM).replace(tzinfo=timezone.utc)
            found[c.name] = LastCheck(at, str(row["verdict"]))
    return found


def _rows(run: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        document = json.loads(Path(run, SCRUBBED).read_bytes())
        rows = document["steps"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return rows if isinstance(rows, dict) else {}


def _remember(steps: Steps, step: Checkpoint, verdict: str) -> None:
    """Note a check at once, so that a scrub that is stopped keeps what it did; steps that are gone are forgotten."""
    rows = {name: row for name, row in _rows(steps.path).items() if Path(steps.path, name).is_dir()}
    now = _text(datetime.now(timezone.utc))
    rows[step.name] = {"checked": now, "verdict": verdict, "created": _created(step)}
    text = json.dumps({"schema_version": 1, "steps": rows}, indent=1, sort_keys=True) + "\n"
    try:
        write_whole(Path(steps.path, SCRUBBED), text.encode(), replace=True)
    except HoldfastError as error:
        LOG.warning("it cannot be remembered that %s was checked: %s", step.name, error.message)


def _created(step: Checkpoint) -> str | None:
    return None if step.created is None else _text(step.created)


def _text(at: datetime) -> str:
    return at.strftime(_FORM)
