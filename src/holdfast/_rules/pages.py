"""Which runs of zeros look like lost pages, and which like the tensor's own structure."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .._core.dtypes import itemsize_bits
from .._core.spec import TensorSpec

if TYPE_CHECKING:
    from .._examine.scan import TensorStats

__all__ = ["suspicious_runs"]

PAGE = 4096
SECTOR = 512
MANY = 256  # the scan keeps no more


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
    if stats.runs > MANY or stats.size == 0:
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
