"""Which runs of zeros look like lost pages, and which like the tensor's own structure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import prod
from typing import NamedTuple

from .._core.catalog import Catalog
from .._core.dtypes import is_float, itemsize_bits
from .._core.spec import TensorSpec
from .._core.stats import MOST_RUNS, PAGE, TensorStats

__all__ = ["Tail", "lost_holes", "lost_tail", "suspicious_runs"]

SECTOR = 512


def suspicious_runs(spec: TensorSpec, stats: TensorStats) -> tuple[list[tuple[int, int]], bool]:
    """The runs (offset in the tensor, bytes) that look lost, and whether they lie on pages of the file
    exactly.

    A run counts when it is no union of whole rows (of the last axis, or of all but the first) and the tensor
    has hardly any zero outside its long runs: fewer than one element in a thousand. It is *sure* when it
    begins and ends on 4096-byte boundaries of the file (each within one element, since a boundary may cut
    one); else it must begin and end on 512-byte boundaries of file or tensor, or be a multiple of a page
    long.
    """
    width = max(1, itemsize_bits(spec.dtype) // 8)
    if stats.runs > MOST_RUNS or stats.size == 0:
        return [], False
    in_runs = sum(n for _, n in stats.zero_pages) // max(
        1, width // (2 if spec.dtype.startswith("complex") else 1)
    )
    if stats.zeros - in_runs > max(8, stats.size / 1000):
        return [], False
    if in_runs > 0.9 * stats.size:
        return [], False
    phase = spec.stored[0].offset if len(spec.stored) == 1 else None
    found: list[tuple[int, int]] = []
    sure = True
    for start, length in stats.zero_pages:
        if _rows(spec.shape, width, start, length):
            continue
        end = start + length
        if (
            phase is not None
            and _near(start + phase, PAGE, width, up=True)
            and _near(end + phase, PAGE, width, up=False)
        ):
            found.append((start, length))
            continue
        sectors = any(
            _near(start + p, SECTOR, width, up=True) and _near(end + p, SECTOR, width, up=False)
            for p in ({0, phase} if phase is not None else {0})
        )
        if sectors or any(0 <= (-length) % PAGE <= d for d in (2 * width,)):
            found.append((start, length))
            sure = False
    return found, sure and bool(found)


def _near(at: int, step: int, width: int, *, up: bool) -> bool:
    """Whether a boundary lies at ``at``, or less than an element before (``up``) or behind it."""
    return (at % step) < width if up else (-at % step) < width


def _rows(shape: tuple[int, ...], width: int, start: int, length: int) -> bool:
    """Whether a run is a union of whole rows, over any of the tensor's axes (rows of less than 64 bytes
    prove nothing)."""
    for axis in range(1, len(shape)):
        row = prod(shape[axis:]) * width
        if row >= 64 and start % row == 0 and length % row == 0:
            return True
    return False


def _in_order(
    catalog: Catalog, stats: Mapping[str, TensorStats]
) -> Iterator[tuple[str, list[tuple[int, TensorSpec]]]]:
    """Each file of which every tensor was looked at, with its tensors as they lie in it and the places where they begin."""
    placed: dict[str, list[tuple[int, TensorSpec]]] = defaultdict(list)
    for spec in catalog.values():
        if spec.nbytes and spec.shares is None:
            if len(spec.stored) != 1 or spec.stored[0].offset is None or spec.name not in stats:
                if spec.stored:
                    placed[spec.stored[0].file].append((-1, spec))
                continue
            placed[spec.stored[0].file].append((spec.stored[0].offset, spec))
    for file, here in placed.items():
        if all(at >= 0 for at, _ in here):
            yield file, sorted(here, key=lambda item: item[0])


def lost_holes(catalog: Catalog, stats: Mapping[str, TensorStats]) -> Iterator[Tail]:
    """Runs of zeros from the middle of one floating tensor over the next ones into the middle of another, with none between
    their bytes: blocks of the file that were lost.

    Such a run begins and ends on pages of the file, not between the rows of both tensors at its ends, which have
    hardly a zero elsewhere.
    """
    for file, here in _in_order(catalog, stats):
        begun: tuple[int, list[str], bool] | None = None  # where, over which tensors, whether between rows
        end = -1
        for at, spec in here:
            found = stats[spec.name]
            width = max(1, itemsize_bits(spec.dtype) // 8)
            if begun is not None and at != end:
                begun = None
            end = at + spec.nbytes
            if begun is not None and found.zeros == found.size:
                begun[1].append(spec.name)
                continue
            runs = found.zero_pages if is_float(spec.dtype) else ()
            if begun is not None and runs and runs[0][0] == 0 and _dense(spec, found, runs[0][1]):
                length = runs[0][1]
                rows = begun[2] and _rows(spec.shape, width, 0, length)
                if not rows and _near(at + length, PAGE, width, up=False):
                    yield Tail(file, begun[0], at + length - begun[0], (*begun[1], spec.name))
            begun = None
            if runs and runs[-1][0] and sum(runs[-1]) >= spec.nbytes and _dense(spec, found, runs[-1][1]):
                start, length = runs[-1]
                if _near(at + start, PAGE, width, up=True):
                    begun = at + start, [spec.name], _rows(spec.shape, width, start, length)


def _dense(spec: TensorSpec, stats: TensorStats, run: int) -> bool:
    """Whether a tensor has hardly a zero outside of a run of so many bytes."""
    width = max(1, itemsize_bits(spec.dtype) // 8)
    return stats.zeros - run // width <= max(8, stats.size / 1000)


class Tail(NamedTuple):
    """Values that are all zero, at the end of a file or amid it: where that begins, for how many bytes, in which tensors."""

    file: str
    start: int
    length: int
    tensors: tuple[str, ...]


def lost_tail(catalog: Catalog, stats: Mapping[str, TensorStats]) -> Iterator[Tail]:
    """Files in which everything is zero from the middle of one floating tensor to the last value.

    A run that merely ends one tensor (unused rows of an embedding) or starts with one (zero-initialised
    layers) proves nothing: it must begin inside a tensor that has hardly a zero elsewhere, not between its
    rows, and reach over at least two pages; between rows it must begin on a page of the file and reach over
    a further tensor.
    """
    for file, here in _in_order(catalog, stats):
        zero: list[TensorSpec] = []
        while here and stats[here[-1][1].name].zeros == stats[here[-1][1].name].size:
            zero.append(here.pop()[1])
        if not here or not is_float(here[-1][1].dtype):
            continue
        at, first = here[-1]
        runs = stats[first.name].zero_pages
        width = max(1, itemsize_bits(first.dtype) // 8)
        if not runs or runs[-1][0] + runs[-1][1] < first.nbytes - width or runs[-1][0] == 0:
            continue
        start, length = runs[-1]
        behind = [s for s in zero if s.nbytes > PAGE]
        on_page = _near(at + start, PAGE, width, up=True)
        between = _rows(first.shape, width, start, length)
        total = length + sum(s.nbytes for s in zero)
        elsewhere = stats[first.name].zeros - length // width
        if total < 2 * PAGE or elsewhere > max(8, first.nbytes // width / 1000):
            continue
        if between:
            proved = on_page and bool(behind)
        else:
            proved = on_page or bool(behind) or len(first.shape) > 1  # it begins within a row
        if not proved:
            continue
        yield Tail(file, at + start, total, (first.name, *(s.name for s in reversed(zero))))
