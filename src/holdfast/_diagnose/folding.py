"""Long texts, cut down to what can be read closely: what is repeated once, of the rest the failures, nearest to the end first.

Each known cause is looked for by itself, so that a text costs a thousand times what one look at it does. Of a text beyond
:data:`MOST` characters stay its beginning, its end, its first and its last failure, and the first and the last of all lines and
tracebacks that differ in numbers only; where that is still too much, those that tell of failures go before the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["GAP", "MOST", "Unit", "shortened", "stays"]

MOST = 3 << 16
"""Characters that are read closely."""
GAP = "..."
"""Stands where lines were left out."""
_BEGINNING, _END = MOST // 8, MOST // 4
"""Kept as they are."""
_LINE = 8 << 10
"""Of a longer line (a list of ten thousand keys, a blob) pieces are kept."""
_PIECES = 6
_BLOCK = 200
"""Lines of a traceback that count as one."""
_BIG = 16 << 10
"""Characters of a traceback from which on its lines count one by one."""
_SIDE = 6
"""Lines above and below the first and the last failure that stay with it."""

_TRACEBACK = "Traceback (most recent call last)"
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")
_FAILURE = re.compile(r"Traceback|[Ee]rror|ERROR|[Ee]xception|OP_REQUIRES|FATAL|[Ff]atal|Killed|core dumped")
_TELLING = re.compile(
    r"[Ww]arn|WARN|[Ff]ail|FAIL|[Mm]is(?:sing|match)|[Uu]n(?:expected|able|resolved)|[Cc]orrupt|[Cc]annot|[Cc]ould not|not found"
    r"|[Ii]nvalid|[Tt]runcat|[Cc]heckpoint|[Rr]estor|state_dict"
)


class Unit(NamedTuple):
    """Lines ``start`` to ``stop`` (excluded) that stay or go together: a traceback, or one line. ``told``: 3 for a traceback, 2
    for a line that names an error, 1 for what may tell of one, else 0. ``size`` in characters. ``key``: without its numbers."""

    start: int
    stop: int
    told: int
    size: int
    key: str


def shortened(line: str) -> str:
    """A line of at most some tens of thousands of characters: of a longer one its beginning, its end and what stands around
    its failures."""
    if len(line) <= 2 * _LINE:
        return line
    half = _LINE // 2
    spans = [(0, half), (len(line) - half, len(line))]
    at = half
    while len(spans) < _PIECES and (found := _KEYS.search(line, at, len(line) - half)) is not None:
        spans.append((max(at, found.start() - 256), min(len(line) - half, found.start() + half)))
        at = spans[-1][1]
    return f" {GAP} ".join(line[start:stop] for start, stop in sorted(spans))


_KEYS = re.compile(r"Unexpected[_ ]key|Missing[_ ]key|size mismatch|(?:Error|Exception)s?\b", re.IGNORECASE)


def stays(lines: Sequence[str]) -> list[range]:
    """The stretches of ``lines`` that are read, in their order, together at most about :data:`MOST` characters: for each the
    numbers of its lines."""
    units = list(_units(lines))
    kept = _ends(units)
    left = MOST - sum(units[n].size for n in kept)
    rest = sorted(_different(units) - kept, key=lambda n: (units[n].told, n), reverse=True)
    for n in rest:
        if units[n].size <= left:
            kept.add(n)
            left -= units[n].size
    return list(_joined(units[n] for n in sorted(kept)))


def _units(lines: Sequence[str]) -> Iterator[Unit]:
    keys = [_NUMBERS.sub("0", line) for line in lines]
    known: dict[str, int] = {}
    start = 0
    while start < len(lines):
        told = known.get(keys[start], -1)
        if told < 0:
            told = known[keys[start]] = _told(keys[start])
        stop, size = start + 1, len(lines[start]) + 1
        ended = told < 3  # the exception was reached, and lines of its message may follow
        while told == 3 and stop < len(lines) and stop - start < _BLOCK and size < _BIG:
            inside = _inside(lines[stop])
            if ended and not inside:
                break
            ended = ended or not inside
            size += len(lines[stop]) + 1
            stop += 1
        yield Unit(start, stop, told, size, "\n".join(keys[start:stop]))
        start = stop


def _told(line: str) -> int:
    if _TRACEBACK in line:
        return 3
    return 2 if _FAILURE.search(line) else 1 if _TELLING.search(line) else 0


def _inside(line: str) -> bool:
    return line[:1].isspace() and _TRACEBACK not in line


def _ends(units: Sequence[Unit]) -> set[int]:
    """The beginning, the end, the first failure and the last."""
    kept: set[int] = set()
    for order, most in ((range(len(units)), _BEGINNING), (range(len(units) - 1, -1, -1), _END)):
        size = 0
        for n in order:
            size += units[n].size
            if size > most:
                break
            kept.add(n)
        for least in (2, 3):
            failure = next((n for n in order if units[n].told >= least), None)
            if failure is not None:
                kept.add(failure)
                near = range(max(0, failure - _SIDE), min(len(units), failure + _SIDE + 1))
                kept.update(n for n in near if units[n].size <= _BIG // _SIDE)
    return kept


def _different(units: Sequence[Unit]) -> set[int]:
    """The first and the last of all that are alike but for numbers."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for n, unit in enumerate(units):
        first.setdefault(unit.key, n)
        last[unit.key] = n
    return {*first.values(), *last.values()}


def _joined(units: Iterable[Unit]) -> Iterator[range]:
    start = stop = 0
    for unit in units:
        if unit.start > stop:
            if stop > start:
                yield range(start, stop)
            start = unit.start
        stop = unit.stop
    if stop > start:
        yield range(start, stop)
