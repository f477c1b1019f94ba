"""What of a vault's step is proved by digests that it bears itself: its record, the record's copy, and lines of
``metrics.jsonl``.

A record's digest is of what it says; its bytes are proved where they are the very text that is written for that
(:func:`holdfast._record.canonical.write_text`).
"""

from __future__ import annotations

from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._core.words import plural
from .._layouts.target import Target
from .._record.annotations import METRICS_FILE, annotations_of
from .._record.canonical import parse_text, record_digest, write_text
from .._record.copies import COPY, RECORD
from .._record.schema import Record
from .coverage import Coverage

__all__ = ["prove_by_own_digests"]

_LARGEST = 1 << 28


def prove_by_own_digests(
    target: Target, record: Record, cover: Coverage
) -> tuple[list[Fault], list[dict[str, object]]]:
    """Count in ``cover`` what is proved; gives faults of ``metrics.jsonl`` and rows of evidence."""
    faults: list[Fault] = []
    evidence: list[dict[str, object]] = []
    whole: bytes | None = None
    for name in (RECORD, COPY, METRICS_FILE):
        data = _read(target, name)
        if data is None:
            continue
        shown = target.store.shown(name)
        if name == METRICS_FILE:
            ranges = _metrics(data, record, shown, cover, faults)
        else:
            if whole is None and _is_record(data, record, shown):
                whole = data
            ranges = [(0, len(data))] if data == whole else []
        if ranges:
            cover.add(name, ranges, ranges)
            size = sum(end - start for start, end in ranges)
            evidence.append({"kind": "own digest", "file": shown, "bytes": size})
    return faults, evidence


def _is_record(data: bytes, record: Record, shown: str) -> bool:
    try:
        document = parse_text(data, shown)
    except HoldfastError:
        return False  # its reader has told of that
    same = record_digest(document) == record.digest == document.get("digest")
    return same and write_text(document) == data


def _metrics(
    data: bytes, record: Record, shown: str, cover: Coverage, faults: list[Fault]
) -> list[tuple[int, int]]:
    found = annotations_of(data, record.digest)
    if found.wrong:
        text = f"{_lines(found.wrong)} of {METRICS_FILE} is not what was added after the save, and is passed over"
        faults.append(Fault("seal-damaged", text, file=shown, attributes={"lines": found.wrong[:20]}))
    said = [f"{_lines(found.wrong)} is torn, or its digest disagrees"] if found.wrong else []
    if found.unproved:
        said.append(f"{_lines(found.unproved)} names this record, but has no digest of its own")
    if found.others:
        said.append(f"{_lines(found.others)} is about another record")
    if said:
        cover.say(METRICS_FILE, "; ".join(said))
    return found.proved


def _lines(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"each of {plural(len(numbers), 'line')} ({', '.join(map(str, numbers[:5]))}{' ...' if len(numbers) > 5 else ''})"


def _read(target: Target, name: str) -> bytes | None:
    store = target.store
    try:
        if not store.exists(name):
            return None
        source = store.open(name)
        try:
            return source.read(0, source.size) if source.size <= _LARGEST else None
        finally:
            source.close()
    except HoldfastError:  # what needs it says so
        return None
