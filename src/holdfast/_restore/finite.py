"""Are all values finite? Asked of bytes that have just been hashed and still lie in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

__all__ = ["finite_test"]

Test = Callable[[memoryview], bool]

_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80}
"""The bits of the exponent; all set in NaN and infinities (IEEE 754-2019, 3.4; bfloat16 as the upper half of
binary32)."""


def _finite(kind: np.dtype, piece: memoryview) -> bool:
    values = np.frombuffer(piece, kind)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.dot(values, values)  # a third of the time that a look at each takes
    return bool(
        np.isfinite(squares) or np.isfinite(values).all()
    )  # squares of large values are infinite, too


def finite_test(dtype: str) -> Test | None:
    """A function that tells whether all little-endian values of a dtype in a piece of memory are finite; ``None``
    for dtypes that are not floating or too narrow to say. A piece must hold whole values."""
    if dtype in ("float32", "float64"):
        return partial(_finite, np.dtype("<f4" if dtype == "float32" else "<f8"))
    if dtype in _EXPONENT:
        bits = np.uint16(_EXPONENT[dtype])
        return lambda piece: (np.frombuffer(piece, "<u2") & bits).max(initial=0) != bits
    return None
