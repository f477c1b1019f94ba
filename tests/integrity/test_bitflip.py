"""A flipped bit is found from the checksum's difference alone."""

from __future__ import annotations

import random
import zlib

import crc32c
import pytest

from holdfast._integrity.bitflip import flipped_bit


@pytest.mark.parametrize("size", [1, 2, 7, 4096, 300_001])
@pytest.mark.parametrize("kind", ["crc32", "crc32c"])
def test_the_bit_is_found(kind: str, size: int) -> None:
    crc = zlib.crc32 if kind == "crc32" else crc32c.crc32c
    rng = random.Random(size)
    raw = rng.randbytes(size)
    for at in {0, size - 1, rng.randrange(size)}:
        bit = rng.randrange(8)
        bad = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
        found = flipped_bit(kind, crc(raw) ^ crc(bad), size)
        assert found is not None and (found.offset, found.bit) == (at, bit)
        assert found.chance == size / 2**29


def test_other_damage_is_no_flipped_bit() -> None:
    rng = random.Random(3)
    raw = rng.randbytes(50_000)
    wrong = 0
    for _ in range(40):
        at = rng.randrange(49_000)
        bad = raw[:at] + rng.randbytes(64) + raw[at + 64 :]
        wrong += flipped_bit("crc32", zlib.crc32(raw) ^ zlib.crc32(bad), len(raw)) is not None
    assert wrong == 0
    assert flipped_bit("crc32", 0, 100) is None
    assert flipped_bit("crc32", 1, 0) is None
