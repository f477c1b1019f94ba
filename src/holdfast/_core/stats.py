"""Numbers of a tensor: what one pass over its values tells, and what rules judge."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MOST_RUNS", "PAGE", "TensorStats"]

PAGE = 4096
"""Bytes of a page: what a lost write takes with it."""
MOST_RUNS = 256
"""Runs of zeros that are kept of one tensor; all of them are counted."""


@dataclass(frozen=True, slots=True)
class TensorStats:
    """Numbers of one tensor.

    ``size`` is the number of elements (parts, for complex ones); ``nan``, ``inf`` and ``zeros`` count
    elements; minimum, maximum, mean and std are over the finite ones, ``None`` where there are none (mean
    and std also for integers). ``zero_pages`` are runs of zero elements of a page (4096 bytes) or more amid
    non-zero data, as (byte offset in the tensor, length in bytes), 256 at most; ``runs`` counts them all.
    ``huge`` counts finite elements above 1e10 in magnitude and ``typical`` is the median magnitude of the
    non-zero others where there are such.
    """

    size: int
    nan: int = 0
    inf: int = 0
    zeros: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    zero_pages: tuple[tuple[int, int], ...] = ()
    runs: int = 0
    huge: int = 0
    typical: float | None = None
