"""What ``holdfast history`` says, as documents: a run over its checkpoints, and one step in detail.

Plain data only: numbers that JSON does not have are the texts ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ..._core.errors import CheckpointNotFound
from ..._core.shell import quote
from ..._record.metric_history import MetricHistory
from ..._render.document import SCHEMA_VERSION
from ..._render.plain import plain
from ..._storage.local import unlisted
from ..folder.listing import Checkpoint
from ..folder.names import DAMAGED, MANIFEST, PARTIAL, parse_step
from ..folder.past import chain, gaps_of, history_of, metric_history
from ..folder.saved import SavedStep, absent_of, shown_time
from ..operating.scrub import LastCheck, last_checked
from ..vault import Vault

__all__ = ["Run", "history_document", "is_step", "look_at_run", "row_document"]


class Run:
    """A vault's folder, looked at once: ``checkpoints`` that lie there, ``rows`` of all that ever did, ``line`` the newest
    one's, ``checked`` what scrubs said, ``absent`` which file of a checkpoint is not there whole."""

    def __init__(self, path: str, names: Sequence[str], checkpoints: list[Checkpoint]) -> None:
        self.path, self.names, self.checkpoints = path, names, checkpoints
        self.absent = {c.name: text for c in checkpoints if (text := _absent(c)) is not None}
        self.checked = last_checked(path, checkpoints)
        self.rows = history_of(path, checkpoints)
        usable = [row for row in self.rows if row.live and row.fault is None]
        whole = [row for row in usable if row.name not in self.absent]
        self.newest = next(reversed(whole or usable), None)
        self.line = chain(self.rows, self.newest) if self.newest is not None else []
        self.metrics = metric_history(self.rows, self.newest) if self.newest is not None else MetricHistory()


def _absent(checkpoint: Checkpoint) -> str | None:
    """Which file that its record names is not there whole."""
    if checkpoint.fault is not None or checkpoint.saved is None:
        return None
    return absent_of(checkpoint.path, checkpoint.saved)


def look_at_run(path: str | os.PathLike[str]) -> Run:
    """A vault by its folder. Raises :class:`CheckpointNotFound` where there is none."""
    run = os.fspath(path)
    expected = "the folder of a vault"
    try:
        names = sorted(entry.name for entry in Path(run).iterdir())
    except FileNotFoundError:
        raise CheckpointNotFound("no such folder", file=run, expected=expected) from None
    except NotADirectoryError:
        raise CheckpointNotFound(
            "this is a file, and no folder",
            file=run,
            expected=expected,
            remedy=f"`holdfast {quote(run)}` looks at it.",
        ) from None
    except OSError as error:
        raise unlisted(run, error) from error
    checkpoints = Vault(run).checkpoints()
    if not checkpoints and MANIFEST not in names:
        raise CheckpointNotFound(
            "this folder is no vault", file=run, expected=f"{MANIFEST} and folders step-...",
            remedy=f"`holdfast {quote(run)}` looks at whatever checkpoints lie there.",
        )  # fmt: skip
    return Run(run, names, checkpoints)


def is_step(path: str | os.PathLike[str]) -> bool:
    """Whether this is a step's own folder, and the folder around it is a vault."""
    place = Path(path).resolve()
    return parse_step(place.name) is not None and place.is_dir() and Path(place.parent, MANIFEST).is_file()


def history_document(run: Run) -> dict[str, Any]:
    """All checkpoints of a run, live and dropped, with what each measured and cost, and each metric along the newest line."""
    by_name = {c.name: c for c in run.checkpoints}
    rows = [
        row_document(
            place,
            row,
            by_name.get(row.name) if row.live else None,
            run.checked.get(row.name),
            run.absent.get(row.name),
        )
        for place, row in enumerate(run.rows)
    ]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "history",
        "path": run.path,
        "checkpoints": [row for row in rows if row["dropped"] is None],
        "dropped": [row for row in rows if row["dropped"] is not None],
        "line": {
            "places": _places(run.rows, run.line),
            "steps": run.metrics.steps,
            "gaps": list(gaps_of(run.line)),
        },
        "metrics": [_series(run.metrics, name) for name in run.metrics.names],
        "lineages": _lineages(run.rows),
        "saves": _saves(run.rows),
        "set_aside": [name for name in run.names if name.startswith(DAMAGED)],
        "unfinished": [name for name in run.names if name.startswith(PARTIAL)],
    }
    made = plain(document)
    assert isinstance(made, dict)
    return made


def _places(rows: Sequence[SavedStep], line: Iterable[SavedStep]) -> list[int]:
    wanted = {id(row) for row in line}
    return [place for place, row in enumerate(rows) if id(row) in wanted]


def row_document(
    place: int,
    row: SavedStep,
    checkpoint: Checkpoint | None,
    check: LastCheck | None,
    absent: str | None = None,
) -> dict[str, Any]:
    """One step as every document has it; ``place`` in the order of saving, from 0. ``checkpoint``: where it lies there;
    ``check``: its last verification; ``absent``: which of its files is not there whole."""
    reused = row.telemetry.get("bytes_reused")
    return {
        "name": row.name,
        "step": row.step,
        "place": place,
        "created": shown_time(row.created),
        "sequence": row.sequence,
        "lineage": row.lineage,
        "parent": row.parent,
        "variant": row.variant,
        "metrics": dict(row.metrics),
        "measured": {name: dict(meaning) for name, meaning in row.measured.items()},
        "nbytes": row.nbytes,
        "bytes_reused": None if reused is None else int(reused),
        "timings": dict(row.timings),
        "pinned": bool(checkpoint is not None and checkpoint.pinned),
        "fault": checkpoint.fault or absent if checkpoint is not None else row.fault,
        "note": checkpoint.note if checkpoint is not None else None,
        "last_verified": told_check(check) if row.live else None,
        "dropped": None if row.live else shown_time(row.dropped),
        "why": row.why or None,
    }


def told_check(check: LastCheck | None) -> dict[str, str] | None:
    """The last verification of a step, as a document has it."""
    return None if check is None else {"at": f"{check.at:%Y-%m-%dT%H:%M:%SZ}", "verdict": check.verdict}


def _series(history: MetricHistory, name: str) -> dict[str, Any]:
    """One metric along the newest line."""
    values = [row.metrics.get(name) for row in history]
    there = [value for value in values if value is not None]
    finite = [value for value in there if math.isfinite(value)]
    best = history.best(name)
    kinds = {str(row.measured[name].get("kind", "unspecified")) for row in history if name in row.measured}
    return {
        "name": name,
        "values": values,
        "min": min(finite, default=None),
        "max": max(finite, default=None),
        "last": there[-1] if there else None,
        "best": None if best is None else {"value": best.value, "step": best.step, "mode": best.mode},
        "not_finite": len(there) - len(finite),
        "kinds": sorted(kinds) or ["unspecified"],
    }


def _lineages(rows: Sequence[SavedStep]) -> list[dict[str, Any]]:
    """Each line of the run: where it begins, what it continues, how many steps it has."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.fault is not None:
            continue
        entry = found.setdefault(
            row.lineage,
            {
                "lineage": row.lineage,
                "first": row.name,
                "continues": row.parent,
                "last": row.name,
                "steps": 0,
                "live": 0,
            },
        )
        entry["last"] = row.name
        entry["steps"] += 1
        entry["live"] += row.live
    return list(found.values())


def _saves(rows: Iterable[SavedStep]) -> dict[str, Any]:
    """What saving cost over the run: seconds, and bytes that needed not be written."""
    known = [row for row in rows if row.fault is None]
    found: dict[str, Any] = {}
    for phase in ("stall", "write", "total"):
        times = [row.timings[phase] for row in known if phase in row.timings]
        if times:
            found[phase] = {"median": median(times), "most": max(times), "sum": math.fsum(times)}
    sized = [row.telemetry for row in known if "bytes" in row.telemetry]
    found["bytes"] = int(sum(t["bytes"] for t in sized))
    found["bytes_reused"] = int(sum(t.get("bytes_reused", 0) for t in sized))
    return found
