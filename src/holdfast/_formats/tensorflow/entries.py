"""The entries of a tensor bundle's index: header, tensor entries, slices and their keys.

Sources: tensorflow/core/protobuf/tensor_bundle.proto, framework/tensor_slice.proto, tensor_shape.proto,
types.proto, versions.proto; util/saved_tensor_slice_util.cc (EncodeTensorNameSlice) and
lib/strings/ordered_code.cc for the keys of slices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from ..._core.errors import DamagedCheckpoint
from ..protobuf import fields, message, signed

__all__ = [
    "DTYPES",
    "BundleHeader",
    "BundleEntry",
    "Slice",
    "parse_header",
    "parse_entry",
    "slice_key",
    "slice_name",
]

# types.proto, enum DataType; numbers above 100 are the reference types of TF 1 graphs.
DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "object",  # DT_RESOURCE: a handle, never values
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
    33: "float4_e2m1fn",
}
RANK_LIMIT = 254  # tensor_shape.h, kMaxRank


class BundleHeader(NamedTuple):
    """``BundleHeaderProto``: how many shards, whose byte order, and the version of the writer."""

    num_shards: int
    big_endian: bool
    producer: int
    min_consumer: int


class Slice(NamedTuple):
    """``TensorSliceProto``: per dimension a start and a length, ``-1`` for the whole dimension."""

    start: tuple[int, ...]
    length: tuple[int, ...]

    def within(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Starts and lengths in a tensor of ``shape``, or ``None`` where the slice reaches beyond it."""
        if len(self.start) != len(shape):
            return None
        length = tuple(size if n < 0 else n for n, size in zip(self.length, shape, strict=True))
        if any(a < 0 or a + n > size for a, n, size in zip(self.start, length, shape, strict=True)):
            return None
        return self.start, length


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """``BundleEntryProto``: one tensor (or one slice of one).

    ``dtype`` is a name of the dtype table, ``"dt<N>"`` for a number that nobody knows; ``crc`` the masked
    crc32c. ``shape`` is ``None`` for an unknown rank. ``slices`` non-empty: the tensor is cut up and has no
    bytes of its own.
    """

    dtype: str
    shape: tuple[int, ...] | None
    shard: int
    offset: int
    size: int
    crc: int
    slices: tuple[Slice, ...] = ()


def parse_header(data: memoryview | bytes) -> BundleHeader:
    """The header entry. Raises :class:`DamagedCheckpoint`."""
    shards, endian, producer, consumer = 0, 0, 0, 0
    for number, value in fields(data):
        if number == 1:
            shards = signed(value)
        elif number == 2:
            endian = signed(value)
        elif number == 3:
            for inner, what in fields(message(value)):
                if inner == 1:
                    producer = signed(what)
                elif inner == 2:
                    consumer = signed(what)
    if shards < 1 or endian not in (0, 1):
        raise DamagedCheckpoint(
            "the header of the index makes no sense", expected="one shard or more", found=f"{shards} shards"
        )
    return BundleHeader(shards, endian == 1, producer, consumer)


@lru_cache(maxsize=4096)
def _shape(data: bytes) -> tuple[int, ...] | None:
    """``TensorShapeProto``; the same few shapes come again and again, hence the cache."""
    sizes = []
    for number, value in fields(data):
        if number == 2:
            size = 0
            for inner, what in fields(message(value)):
                if inner == 1:
                    size = signed(what)
            if size < 0:
                return None
            sizes.append(size)
        elif number == 3 and value:
            return None
    if len(sizes) > RANK_LIMIT:
        raise DamagedCheckpoint(
            "a tensor of absurd rank", expected=f"at most {RANK_LIMIT}", found=str(len(sizes))
        )
    if prod(sizes) >= 1 << 63:
        raise DamagedCheckpoint("a tensor of absurd shape", found=str(tuple(sizes))[:200])
    return tuple(sizes)


def _slice(data: memoryview) -> Slice:
    start, length = [], []
    for number, value in fields(data):
        if number == 1:
            a, n = 0, -1
            for inner, what in fields(message(value)):
                if inner == 1:
                    a = signed(what)
                elif inner == 2:
                    n = signed(what)
            start.append(a)
            length.append(n)
    if len(start) > RANK_LIMIT:
        raise DamagedCheckpoint("a slice of absurd rank", found=str(len(start)))
    return Slice(tuple(start), tuple(length))


def parse_entry(data: memoryview | bytes) -> BundleEntry:
    """One tensor entry. Raises :class:`DamagedCheckpoint`."""
    return _common_entry(bytes(data)) or _any_entry(data)


def _common_entry(raw: bytes) -> BundleEntry | None:
    """The entry of a plain tensor as TensorFlow writes it: an index holds tens of thousands of these.

    ``None`` for whatever has another field, a longer number or a break in it: :func:`_any_entry` judges that.
    """
    dtype = shard = offset = size = crc = at = 0
    shape: tuple[int, ...] | None = ()
    end = len(raw)
    while at + 1 < end:
        tag, value = raw[at], raw[at + 1]
        if tag == 0x35:  # crc32c, fixed32
            if at + 5 > end:
                return None
            crc = int.from_bytes(raw[at + 1 : at + 5], "little")
            at += 5
            continue
        at += 2
        if tag == 0x12:  # shape
            if value > 0x7F or at + value > end:
                return None
            shape = _shape(raw[at : at + value])
            at += value
            continue
        shift = 7
        if value > 0x7F:
            value &= 0x7F
            while True:
                if at >= end or shift > 56:
                    return None
                byte = raw[at]
                at += 1
                value |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
        if tag == 0x28:
            size = value
        elif tag == 0x20:
            offset = value
        elif tag == 0x08:
            dtype = value
        elif tag == 0x18:
            shard = value
        else:
            return None
    if at != end or dtype not in DTYPES or shard >> 31:
        return None
    return BundleEntry(DTYPES[dtype], shape, shard, offset, size, crc)


def _any_entry(data: memoryview | bytes) -> BundleEntry:
    dtype = shard = offset = size = crc = 0
    shape: tuple[int, ...] | None = ()
    slices: list[Slice] = []
    for number, value in fields(data):
        if number == 1:
            dtype = signed(value)
        elif number == 2:
            shape = _shape(bytes(message(value)))
        elif number == 3:
            shard = signed(value)
        elif number == 4:
            offset = signed(value)
        elif number == 5:
            size = signed(value)
        elif number == 6:
            crc = signed(value)
        elif number == 7:
            slices.append(_slice(message(value)))
    if shard < 0 or offset < 0 or size < 0:
        raise DamagedCheckpoint(
            "an entry with a negative place", found=f"shard {shard}, offset {offset}, size {size}"
        )
    number = dtype - 100 if 100 < dtype <= 133 else dtype
    return BundleEntry(DTYPES.get(number, f"dt{dtype}"), shape, shard, offset, size, crc, tuple(slices))


# -- keys of slices (ordered_code.cc) ----------------------------------------------------------------------
def _increasing(number: int) -> bytes:
    """NumIncreasing: one byte of length, then the number, big-endian without leading zeros."""
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([len(body)]) + body


def _signed_increasing(number: int) -> bytes:
    """SignedNumIncreasing: ``n`` bytes hold numbers of ``7 n`` bits; the first ``n`` bits tell ``n``
    (inverted if < 0).
    """
    magnitude = ~number if number < 0 else number
    width = 1
    while magnitude >= 1 << (7 * width - 1):
        width += 1
    header = ((1 << width) - 1) << (8 * width - width)
    encoded = (number & ((1 << (8 * width)) - 1)) ^ header
    return encoded.to_bytes(width, "big")


def slice_key(name: bytes, piece: Slice) -> bytes:
    """The key under which a slice of the tensor ``name`` is stored (EncodeTensorNameSlice)."""
    parts = [
        _increasing(0),
        re.sub(b"[\x00\xff]", lambda m: m[0] + bytes([255 - m[0][0]]), name),
        b"\x00\x01",
        _increasing(len(piece.start)),
    ]
    for start, length in zip(piece.start, piece.length, strict=True):
        parts.append(_signed_increasing(start))
        parts.append(_signed_increasing(length))
    return b"".join(parts)


def slice_name(key: bytes) -> bytes | None:
    """The tensor's name in the key of a slice, or ``None`` where it is no such key."""
    if not key.startswith(b"\x00"):
        return None
    name = bytearray()
    at = 1
    while at + 1 < len(key):
        byte = key[at]
        if byte in (0, 255):
            follow = key[at + 1]
            if byte == 0 and follow == 1:
                return bytes(name)
            if (byte, follow) not in ((0, 255), (255, 0)):
                return None
            at += 1
        name.append(byte)
        at += 1
    return None
