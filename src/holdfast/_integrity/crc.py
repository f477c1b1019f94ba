"""CRCs of long runs of bytes, computed in parts by several threads and put together.

A CRC is the remainder of a polynomial division; appending n bytes multiplies what went before by x^(8n). So
``crc(A + B) = crc(A) * x^(8 len(B)) mod P  xor  crc(B)``; the inversions at start and end cancel out (Mark
                                            Adler's
description of ``crc32_combine`` in zlib; Ross Williams, "A painless guide to CRC error detection
algorithms"). Polynomials are written bit-reversed, as both CRCs are: the coefficient of x^0 is the highest
bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

__all__ = ["POLYNOMIALS", "combine", "crc_function"]

POLYNOMIALS = {"crc32": 0xEDB88320, "crc32c": 0x82F63B78}  # ISO 3309 (zip), and Castagnoli (TensorFlow)
_ONE = 1 << 31


def crc_function(kind: str) -> Callable[[memoryview, int], int]:
    """``(data, crc so far) -> crc`` for ``"crc32"`` or ``"crc32c"``; both keep up with memory (zlib's own crc32 is a tenth as
    fast)."""
    if kind == "crc32":
        from isal.isal_zlib import crc32

        return crc32
    from crc32c import crc32c

    return crc32c


def _times(a: int, b: int, polynomial: int) -> int:
    """``a * b mod P``."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (polynomial if b & 1 else 0)
    return product


@lru_cache(maxsize=64)
def _power(nbytes: int, polynomial: int) -> int:
    """``x^(8 nbytes) mod P``, by squaring."""
    result, square, bits = _ONE, _ONE >> 1, nbytes * 8
    while bits:
        if bits & 1:
            result = _times(result, square, polynomial)
        square = _times(square, square, polynomial)
        bits >>= 1
    return result


def combine(kind: str, first: int, second: int, length: int) -> int:
    """The CRC of A followed by B, from theirs and the ``length`` of B in bytes."""
    polynomial = POLYNOMIALS[kind]
    return _times(_power(length, polynomial), first, polynomial) ^ second
