"""A small writer of tensor bundles for tests: what TensorFlow would never write is written here on
purpose.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from holdfast._formats.tensorflow.entries import DTYPES, Slice, slice_key
from holdfast._formats.tensorflow.table import MAGIC, masked_crc32c

NUMBERS = {name: number for number, name in DTYPES.items()}


def varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape_proto(shape: tuple[int, ...]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in shape)


def slice_proto(piece: Slice) -> bytes:
    out = b""
    for start, length in zip(piece.start, piece.length, strict=True):
        out += field(1, (field(1, start) if start else b"") + (field(2, length) if length >= 0 else b""))
    return out


def header(shards: int = 1, endian: int = 0) -> bytes:
    return field(1, shards) + (field(2, endian) if endian else b"") + field(3, field(1, 1))


def entry(
    dtype: str,
    shape: tuple[int, ...],
    shard: int,
    offset: int,
    data: bytes,
    slices: tuple[Slice, ...] = (),
    crc: int | None = None,
) -> bytes:
    out = field(1, NUMBERS[dtype]) + field(2, shape_proto(shape)) + field(3, shard) + field(4, offset)
    out += field(5, len(data))
    if not slices:
        out += varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(data) if crc is None else crc)
    return out + b"".join(field(7, slice_proto(piece)) for piece in slices)


def snappy(data: bytes) -> bytes:
    """A valid stream: literals of 60 bytes at most, and a copy wherever the last four bytes repeat."""
    out = bytearray(varint(len(data)))
    at = 0
    while at < len(data):
        length = 0
        if at >= 4:
            while length < 64 and at + length < len(data) and data[at + length] == data[at + length - 4]:
                length += 1
        if length >= 4:
            out += bytes([(length - 1) << 2 | 2]) + struct.pack("<H", 4)
            at += length
            continue
        piece = data[at : at + 60] if at < 4 else data[at : at + 4]
        out += bytes([(len(piece) - 1) << 2]) + piece
        at += len(piece)
    return bytes(out)


def block(items: list[tuple[bytes, bytes]], compress: bool = False, share: bool = True) -> bytes:
    """A block with its five bytes of trailer."""
    out, last = bytearray(), b""
    for key, value in items:
        shared = 0
        while share and shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    out += struct.pack("<II", 0, 1)
    body = snappy(bytes(out)) + b"\x01" if compress else bytes(out) + b"\x00"
    return body + struct.pack("<I", masked_crc32c(body))


def table(items: list[tuple[bytes, bytes]], compress: bool = False, per_block: int = 4) -> bytes:
    out, handles = b"", []
    for start in range(0, len(items), per_block):
        part = items[start : start + per_block]
        data = block(part, compress)
        handles.append((part[-1][0] + b"\xff", varint(len(out)) + varint(len(data) - 5)))
        out += data
    footer = b""
    for data in (block([]), block(handles)):
        footer += varint(len(out)) + varint(len(data) - 5)
        out += data
    return out + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_bundle(
    prefix: Path, arrays: dict[str, np.ndarray], *, shards: int = 1, compress: bool = False, endian: int = 0
) -> dict[str, tuple[int, int, int]]:
    """Plain tensors, dealt out to shards in turn; returns name -> (shard, offset, size)."""
    items = {b"": header(shards, endian)}
    data = [b""] * shards
    places = {}
    for number, (name, array) in enumerate(sorted(arrays.items())):
        shard = number % shards
        raw = (
            array.astype(array.dtype.newbyteorder(">")) if endian else np.ascontiguousarray(array)
        ).tobytes()
        items[name.encode()] = entry(array.dtype.name, array.shape, shard, len(data[shard]), raw)
        places[name] = (shard, len(data[shard]), len(raw))
        data[shard] += raw
    Path(f"{prefix}.index").write_bytes(table(sorted(items.items()), compress))
    for shard, raw in enumerate(data):
        Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}").write_bytes(raw)
    return places


def sliced_items(
    name: str, array: np.ndarray, pieces: list[Slice], stored: list[Slice] | None = None
) -> tuple[dict[bytes, bytes], bytes]:
    """Index entries and data of a partitioned tensor; ``stored``: the pieces that are really written."""
    items = {name.encode(): entry(array.dtype.name, array.shape, 0, 0, b"", tuple(pieces))}
    data = b""
    for piece in pieces if stored is None else stored:
        place = piece.within(array.shape)
        assert place is not None
        raw = np.ascontiguousarray(
            array[tuple(slice(a, a + n) for a, n in zip(*place, strict=True))]
        ).tobytes()
        items[slice_key(name.encode(), piece)] = entry(array.dtype.name, place[1], 0, len(data), raw)
        data += raw
    return items, data
