"""Seeded damage for fuzzing: what disks, networks, editors and enemies do to bytes."""

from __future__ import annotations

import random
import struct

_NUMBERS = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
    0xFFFFFFFFFFFFFFFF,
]


def mutate(data: bytes, seed: int) -> bytes:
    """One to six random damages: flips, bytes, integers at the limits, cuts, copies, zeroed runs, truncation."""
    pick = random.Random(seed)
    out = bytearray(data)
    for _ in range(pick.randint(1, 6)):
        if not out:
            return b""
        kind = pick.randrange(9)
        at = _place(pick, len(out))
        if kind == 0:
            out[at] ^= 1 << pick.randrange(8)
        elif kind == 1:
            out[at] = pick.randrange(256)
        elif kind == 2:
            width = pick.choice("BHIQ")
            value = pick.choice(_NUMBERS) & (256 ** struct.calcsize(width) - 1)
            packed = struct.pack(pick.choice("<>") + width, value)
            out[at : at + len(packed)] = packed
        elif kind == 3:
            del out[at : at + pick.randint(1, 32)]
        elif kind == 4:
            start = _place(pick, len(out))
            out[at:at] = out[start : start + pick.randint(1, 64)]
        elif kind == 5:
            length = pick.randint(1, 256)
            out[at : at + length] = bytes(min(length, len(out) - at))
        elif kind == 6:
            del out[at:]
        elif kind == 7:
            out[at:at] = bytes(pick.randrange(256) for _ in range(pick.randint(1, 16)))
        else:
            start, length = _place(pick, len(out)), pick.randint(1, 48)
            out[at : at + length] = out[start : start + length]
    return bytes(out)


def _place(pick: random.Random, length: int) -> int:
    """A place, more often near the ends, where headers and directories stand."""
    reach = pick.choice([16, 128, 1024, length, length])
    at = pick.randrange(min(reach, length))
    return length - 1 - at if pick.random() < 0.4 else at
