"""Seeded damage for fuzzing: what disks, networks, editors and enemies do to bytes."""

from __future__ import annotations

import io
import random
import struct
import zipfile

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


def mutate_inside(data: bytes, seed: int) -> bytes | None:
    """Damage behind a checksum, with the checksum made right again, so that it reaches the parsers within.

    Zip: one member (a pickle, a configuration, an HDF5 file, an array) is mutated and packed anew, deflated one time
    in three. TensorFlow index: the entries of its blocks are mutated and written as a table anew. ``None`` for what
    has no such layer.
    """
    pick = random.Random(seed)
    if data[:4] == b"PK\x03\x04":
        return _zip_again(data, seed, pick)
    if data[-8:] == struct.pack("<Q", 0xDB4775248B80FB57):
        return _table_again(data, seed, pick)
    return None


def _zip_again(data: bytes, seed: int, pick: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        likely = [n for n in names if n.endswith((".pkl", ".json", ".h5", ".npy", "version", "byteorder"))]
        hit = pick.choice(likely or names)
        for name in names:
            raw = old.read(name)
            packed = zipfile.ZIP_DEFLATED if pick.random() < 0.3 else zipfile.ZIP_STORED
            new.writestr(name, mutate(raw, seed) if name == hit else raw, packed)
    return out.getvalue()


def _table_again(data: bytes, seed: int, pick: random.Random) -> bytes:
    from holdfast._formats.tensorflow.table import Table
    from holdfast._storage import BytesSource
    from tf_writer import table

    items = [(key, bytes(value)) for key, value in Table(BytesSource(data))]
    for turn in range(pick.randint(1, 3)):
        at = pick.randrange(len(items))
        key, value = items[at]
        if pick.random() < 0.2:
            key = mutate(key, seed + turn)
        else:
            value = mutate(value, seed + turn)
        items[at] = (key, value)
    if pick.random() < 0.8:
        items = sorted(dict(items).items())
    return table(items, compress=pick.random() < 0.5)
