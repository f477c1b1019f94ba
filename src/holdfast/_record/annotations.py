"""``metrics.jsonl`` of a step: metrics that were measured after the save, a line of JSON for each time.

A line has ``record`` (the digest of the record that it is about), ``at``, ``metrics``, ``measured`` (what they are, see
:mod:`holdfast._record.metrics`) and ``digest``, its own, made like a record's. Lines of the first versions have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from .canonical import record_digest

__all__ = ["METRICS_FILE", "Annotations", "annotation_line", "annotations_of"]

METRICS_FILE = "metrics.jsonl"


class Annotations(NamedTuple):
    """What such a file holds about one record.

    ``rows``: lines that are about it, those whose own digest disagrees left out. ``proved``: ranges ``(start, end)`` of
    lines whose digest agrees, and that are written as we write them. ``wrong``: numbers (from 1) of lines that are not what
    was written: no JSON, or with another digest. ``unproved``: of lines without a digest of their own. ``others``: of lines
    about another record.
    """

    rows: list[dict[str, Any]]
    proved: list[tuple[int, int]]
    wrong: list[int]
    unproved: list[int]
    others: list[int]


def annotation_line(
    record: str, at: str, metrics: Mapping[str, Any], measured: Mapping[str, Any] | None
) -> bytes:
    """One line, its end included."""
    row: dict[str, Any] = {"record": record, "at": at, "metrics": dict(metrics)}
    if measured:
        row["measured"] = dict(measured)
    return _text(row | {"digest": record_digest(row)})


def annotations_of(data: bytes, record: str) -> Annotations:
    """The lines of ``data`` that are about the record with this digest. A file of anything else has none."""
    found = Annotations([], [], [], [], [])
    start = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        end = min(start + len(line) + 1, len(data))
        if line.strip():
            _take(found, line, number, start, end, record)
        start = end
    return found


def _take(found: Annotations, line: bytes, number: int, start: int, end: int, record: str) -> None:
    try:
        row = json.loads(line)
        claimed = row.get("digest")
        sound = claimed is None or claimed == record_digest(row)
    except (ValueError, RecursionError, AttributeError, TypeError):
        found.wrong.append(number)
        return
    if not sound:
        found.wrong.append(number)
    elif row.get("record") != record or not isinstance(row.get("metrics"), dict):
        found.others.append(number)
    else:
        found.rows.append(row)
        if claimed is None or _text(row) != line + b"\n":
            found.unproved.append(number)
        else:
            found.proved.append((start, end))


def _text(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"
