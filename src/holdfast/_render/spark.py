"""A row of numbers as one line of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["BLOCKS", "BLOCKS_ASCII", "spark"]

BLOCKS = "▁▂▃▄▅▆▇█"
BLOCKS_ASCII = "_.-=+*%#"
_NOT_FINITE = ("×", "!")


def spark(values: Sequence[float | None], width: int = 60, *, unicode: bool = True) -> str:
    """One character for each value, the least the lowest and the greatest the highest; all equal ones stand in the middle.

    A value that is not there (``None``) is a blank, one that is no finite number ``×`` (``!`` without Unicode). More values
    than ``width`` are put together: a character then stands for the mean of the finite ones in its stretch.
    """
    blocks, wrong = (BLOCKS, _NOT_FINITE[0]) if unicode else (BLOCKS_ASCII, _NOT_FINITE[1])
    shown = list(values) if len(values) <= width else [_mean(part) for part in _stretches(values, width)]
    finite = [value for value in shown if value is not None and math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    top = len(blocks) - 1

    def block(value: float | None) -> str:
        if value is None:
            return " "
        if not math.isfinite(value):
            return wrong
        if high == low:
            return blocks[top // 2]
        above, span = value / 2 - low / 2, high / 2 - low / 2  # halves: the whole range may be beyond a float
        return blocks[min(top, int(above / span * (top + 1) + 1e-9))]

    return "".join(map(block, shown))


def _stretches(values: Sequence[float | None], width: int) -> list[Sequence[float | None]]:
    cuts = [len(values) * n // width for n in range(width + 1)]
    return [values[a:b] for a, b in pairwise(cuts)]


def _mean(part: Sequence[float | None]) -> float | None:
    there = [value for value in part if value is not None]
    finite = [value for value in there if math.isfinite(value)]
    if finite:
        return math.fsum(value / len(finite) for value in finite)
    return there[-1] if there else None
