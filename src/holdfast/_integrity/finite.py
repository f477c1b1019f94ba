"""Are all values finite? Asked of bytes that have just been hashed and still lie in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["finite_test"]

Test = Callable[[memoryview], bool]

_INFINITY = {
    "float16": 0x7C00,
    "bfloat16": 0x7F80,
    "float32": 0x7F80_0000,
    "float64": 0x7FF0_0000_0000_0000,
}
"""The bits of +infinity: the exponent all ones. NaNs are the greater ones of the same sign, finite values the smaller
(IEEE 754-2019, 3.4; bfloat16 is the upper half of binary32)."""


def finite_test(dtype: str) -> Test | None:
    """A function that tells whether all little-endian values of a dtype in a piece of memory are finite; ``None``
    for dtypes that are not floating or too narrow to say. A piece must hold whole values."""
    infinity = _INFINITY.get(dtype)
    if infinity is None:
        return None
    size = (infinity.bit_length() + 7) // 8
    unsigned, signed = np.dtype(f"<u{size}"), np.dtype(f"<i{size}")
    below = infinity | 1 << (8 * size - 1)  # -infinity
    greatest = np.maximum.reduce

    def finite(piece: memoryview) -> bool:
        # As whole numbers, which takes three quarters of the time of a sum of squares, and no library's threads. Values
        # with the sign bit are the greatest of the unsigned and the least of the signed.
        bits = np.frombuffer(piece, unsigned)
        top = greatest(bits, initial=0)
        return bool(top < infinity or (top < below and greatest(bits.view(signed), initial=0) < infinity))

    return finite
