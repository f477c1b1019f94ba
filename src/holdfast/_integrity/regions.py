"""Which bytes of a file belong to which tensor: the partition that digests and coverage are counted by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Region", "Run", "partition", "leaves_of", "units", "merge", "overlap"]


class Run(NamedTuple):
    """A tensor's bytes in a file: offset, length, and the tensor's name."""

    offset: int
    length: int
    tensor: str


class Region(NamedTuple):
    """A stretch of a file that is hashed as one thing.

    ``kind``: ``tensor``; ``header`` (before the first tensor), ``gap`` (between two), ``end`` (after the
    last), ``file`` (a file without tensors). ``tensors``: the names of all whose runs cover it.
    """

    offset: int
    length: int
    kind: str
    tensors: tuple[str, ...] = ()


def partition(size: int, runs: Iterable[Run]) -> list[Region]:
    """Cut a file of ``size`` bytes at the ends of all runs; the regions tile it from 0 to ``size``.

    Runs are clipped to the file. Where runs overlap so wildly that naming each stretch would cost more than
    some times their number (a hostile file can nest thousands), each knot of overlapping runs stays one
    region.
    """
    known = sorted(
        {Run(max(0, r.offset), min(size, r.offset + r.length) - max(0, r.offset), r.tensor) for r in runs},
    )
    known = [run for run in known if run.length > 0]
    found: list[Region] = []
    at = 0
    budget = 8 * len(known) + 1024
    for knot in _knots(known):
        start, end = knot[0].offset, max(run.offset + run.length for run in knot)
        if start > at:
            found.append(Region(at, start - at, "header" if at == 0 else "gap"))
        pieces = _cut(knot, budget)
        budget -= sum(len(piece.tensors) for piece in pieces)
        found.extend(pieces)
        at = end
    if at < size:
        found.append(Region(at, size - at, "end" if found else "file"))
    return found


def _knots(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Groups of runs that overlap, in order of offset."""
    group: list[Run] = []
    end = 0
    for run in runs:
        if group and run.offset >= end:
            yield group
            group = []
        group.append(run)
        end = max(end, run.offset + run.length) if len(group) > 1 else run.offset + run.length
    if group:
        yield group


def _cut(knot: list[Run], budget: int) -> list[Region]:
    start, end = knot[0].offset, max(run.offset + run.length for run in knot)
    names = tuple(dict.fromkeys(run.tensor for run in knot))
    if len({(run.offset, run.length) for run in knot}) == 1:
        return [Region(start, end - start, "tensor", names)]
    cuts = sorted({run.offset for run in knot} | {run.offset + run.length for run in knot})
    found, spent, following = [], 0, 0
    active: list[Run] = []
    for low, high in pairwise(cuts):
        active = [run for run in active if run.offset + run.length > low]
        while following < len(knot) and knot[following].offset <= low:
            active.append(knot[following])
            following += 1
        spent += len(active)
        if spent > budget:
            return [Region(start, end - start, "tensor", names)]
        found.append(Region(low, high - low, "tensor", tuple(dict.fromkeys(run.tensor for run in active))))
    return found


def leaves_of(offset: int, length: int, leaf_bytes: int) -> list[tuple[int, int]]:
    """A region's leaves as ``(offset, length)``."""
    return [(at, min(leaf_bytes, offset + length - at)) for at in range(offset, offset + length, leaf_bytes)]


def units(leaves: Iterable[tuple[int, int]], limit: int) -> Iterator[list[tuple[int, int]]]:
    """Groups of leaves of about ``limit`` bytes together: what one worker takes at a time."""
    group: list[tuple[int, int]] = []
    total = 0
    for leaf in leaves:
        if group and total + leaf[1] > limit:
            yield group
            group, total = [], 0
        group.append(leaf)
        total += leaf[1]
    if group:
        yield group


def merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges ``(start, end)`` as a sorted list without overlap."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def overlap(merged: Sequence[tuple[int, int]], start: int, end: int) -> int:
    """How many bytes of ``start`` to ``end`` lie in ranges from :func:`merge`."""
    from bisect import bisect_right

    at = max(0, bisect_right(merged, (start, 1 << 63)) - 1)
    total = 0
    while at < len(merged) and merged[at][0] < end:
        total += max(0, min(end, merged[at][1]) - max(start, merged[at][0]))
        at += 1
    return total
