"""Which single bit, flipped, turns one CRC into another.

A CRC is linear: the difference between the recorded and the computed value depends on the flipped bits alone,
and for one bit it is a power of the polynomial's step, so that the place is a discrete logarithm. Up to 2**32
bits each place has a difference of its own (the polynomials are primitive or nearly so), which is why one
flipped bit can be found from four bytes of checksum, and without a second copy.

Source: W. W. Peterson and D. T. Brown, "Cyclic Codes for Error Detection" (1961), on error location.
"""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

__all__ = ["FlippedBit", "flipped_bit"]

_POLYNOMIALS = {"crc32": 0xEDB88320, "crc32c": 0x82F63B78}  # reflected


class FlippedBit(NamedTuple):
    """``offset`` of the byte, ``bit`` (0 the lowest), and the ``chance`` that other damage of these bytes
    looks the same."""

    offset: int
    bit: int
    chance: float


def flipped_bit(kind: str, difference: int, length: int) -> FlippedBit | None:
    """The one bit of ``length`` bytes whose flipping changes the CRC by ``difference`` (recorded XOR
    computed), or ``None`` where no single bit does.

    ``kind``: ``"crc32"`` or ``"crc32c"``. Takes about ``sqrt(8 * length)`` steps of time and memory. Raises
    ``KeyError`` for another kind.
    """
    polynomial = _POLYNOMIALS[kind]
    bits = 8 * length
    if difference == 0 or not 0 < bits < 1 << 32:
        return None
    width = isqrt(bits) + 1
    small: dict[int, int] = {}
    state = 1
    for power in range(width):
        small.setdefault(state, power)
        state = (state >> 1) ^ (polynomial if state & 1 else 0)
    back = _power_of_inverse(polynomial, width)
    state = difference
    for giant in range(width + 1):
        found = small.get(state)
        if found is not None:
            power = giant * width + found
            if 1 <= power <= bits:
                behind, place = divmod(power - 1, 8)
                return FlippedBit(length - 1 - behind, 7 - place, bits / 2**32)
        state = _applied(back, state)
    return None


def _power_of_inverse(polynomial: int, times: int) -> list[int]:
    """The columns of the operator that undoes ``times`` zero bits."""
    columns = []
    for bit in range(32):
        state = 1 << bit
        for _ in range(times):
            state = (((state ^ polynomial) << 1) | 1) if state >> 31 else state << 1
        columns.append(state)
    return columns


def _applied(columns: list[int], state: int) -> int:
    result = 0
    while state:
        low = state & -state
        result ^= columns[low.bit_length() - 1]
        state ^= low
    return result
