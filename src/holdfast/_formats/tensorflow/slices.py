"""Partitioned variables: do the slices of a tensor cover it, each element once?"""

from __future__ import annotations

from math import prod

import numpy as np

from ..._core.errors import LimitExceeded

__all__ = ["Region", "covers"]

Region = tuple[tuple[int, ...], tuple[int, ...]]
"""Starts and lengths, one of each a dimension."""

_PAIRWISE = 300
_PAINT = 1 << 26


def covers(shape: tuple[int, ...], regions: list[Region]) -> str | None:
    """``None`` when the regions tile ``shape`` exactly, else what is wrong, as a short text.

    Regions lie within ``shape`` (the caller has seen to it). Work and memory stay bounded: slices along one
    axis are sorted, a few hundred others are compared with each other, more are painted on a mask of at most
    64 MiB. Raises :class:`LimitExceeded` beyond that.
    """
    whole = prod(shape)
    regions = [region for region in regions if prod(region[1])]
    volume = sum(prod(length) for _, length in regions)
    if volume < whole:
        return f"{whole - volume} of {whole} elements lie in no slice"
    if volume > whole:
        return f"{volume - whole} elements lie in two slices"
    cut = {axis for _, length in regions for axis, size in enumerate(shape) if length[axis] != size}
    if len(cut) <= 1:
        axis = cut.pop() if cut else 0
        end = 0
        for at, size in sorted((r[0][axis], r[1][axis]) for r in regions) if shape else []:
            if at != end:
                return f"two slices share elements, or none holds those at {end} of dimension {axis}"
            end = at + size
        return None if shape or len(regions) == 1 else "several slices hold the one element"
    if len(regions) <= _PAIRWISE:
        for i, (start, length) in enumerate(regions):
            for other, span in regions[:i]:
                if all(
                    a < b + m and b < a + n for a, n, b, m in zip(start, length, other, span, strict=True)
                ):
                    return f"the slices at {start} and {other} share elements"
        return None
    if whole > _PAINT:
        raise LimitExceeded("too many slices to check", expected=f"{_PAIRWISE} slices, or {_PAINT} elements")
    mask = np.zeros(shape, bool)
    for start, length in regions:
        mask[tuple(slice(a, a + n) for a, n in zip(start, length, strict=True))] = True
    return None if mask.all() else "two slices share elements, and others lie in none"
