"""HDF5 datatype messages as numpy dtypes.

Format facts: HDF5 File Format Specification 3.0, section IV.A.2.d (datatype message). Booleans and complex
numbers are
h5py's conventions (``h5py/h5t.pyx``): an enumeration FALSE/TRUE over int8, a compound of ``r`` and ``i``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from ..._core.dtypes import carrier

__all__ = ["BadType", "Type", "datatype"]

_DEPTH = 8
_FLOATS = {  # (bytes, exponent bits, mantissa bits, bias) -> name
    (2, 5, 10, 15): "float16",
    (4, 8, 23, 127): "float32",
    (8, 11, 52, 1023): "float64",
    (2, 8, 7, 127): "bfloat16",
    (1, 5, 2, 15): "float8_e5m2",
    (1, 4, 3, 7): "float8_e4m3",
}


class BadType(ValueError):
    """A datatype that has no numpy dtype, or bytes that are no datatype; the message says which."""


class Type(NamedTuple):
    """``raw``: the dtype of the stored bytes; ``kind``: ``plain``, ``vlen-string``, ``vlen``, ``reference``;
    ``size``: bytes an element takes in the file; ``used``: length of the message; ``base``: element type of
    a vlen."""

    raw: np.dtype
    kind: str
    size: int
    used: int


def datatype(data: bytes, depth: int = 0) -> Type:
    """The type that a datatype message describes. Raises :class:`BadType`."""
    try:
        return _datatype(data, depth)
    except (struct.error, IndexError):
        raise BadType("a datatype message that ends too early") from None
    except (TypeError, UnicodeDecodeError, OverflowError) as error:
        raise BadType(f"an impossible datatype: {error}") from None


def _datatype(data: bytes, depth: int) -> Type:
    if depth > _DEPTH:
        raise BadType("datatypes nested too deep")
    kind, version = data[0] & 15, data[0] >> 4
    bits = int.from_bytes(data[1:4], "little")
    size = struct.unpack_from("<I", data, 4)[0]
    if not 1 <= version <= 5:
        raise BadType(f"datatype version {version}")
    if kind in (0, 4):
        offset, precision = struct.unpack_from("<HH", data, 8)
        if size not in (1, 2, 4, 8) or offset or precision != size * 8:
            raise BadType(f"an integer of {precision} bits in {size} bytes")
        letter = "i" if kind == 0 and bits & 8 else "u"
        return Type(np.dtype(f"{'>' if bits & 1 else '<'}{letter}{size}"), "plain", size, 12)
    if kind == 1:
        return _float(data, bits, size)
    if kind == 3:
        if size == 0:
            raise BadType("a string of no length")
        return Type(np.dtype(f"S{size}"), "plain", size, 8)
    if kind == 5:
        if size == 0:
            raise BadType("an opaque type of no size")
        return Type(np.dtype(f"V{size}"), "plain", size, 8 + (bits & 0xFF))
    if kind == 6:
        return _compound(data, version, bits & 0xFFFF, size, depth)
    if kind == 7:
        return Type(np.dtype(f"V{max(1, size)}"), "reference", size, 8)
    if kind == 8:
        return _enumeration(data, version, bits & 0xFFFF, size, depth)
    if kind == 9:
        base = _datatype(data[8:], depth + 1)
        text = bits & 15 == 1
        return Type(np.dtype(object), "vlen-string" if text else "vlen", size, 8 + base.used)
    if kind == 10:
        return _array(data, version, size, depth)
    raise BadType(f"datatype class {kind}")


def _float(data: bytes, bits: int, size: int) -> Type:
    offset, precision, _, exponent, _, mantissa, bias = struct.unpack_from("<HHBBBBI", data, 8)
    name = _FLOATS.get((size, exponent, mantissa, bias))
    if name is None or offset or precision != size * 8:
        raise BadType(f"a float of {exponent} exponent and {mantissa} mantissa bits in {size} bytes")
    raw = carrier(name)
    if bits & 1:
        raw = raw.newbyteorder(">")
    return Type(raw, "plain", size, 20)


def _name(data: bytes, place: int, padded: bool) -> tuple[str, int]:
    end = data.index(0, place) if 0 in data[place:] else -1
    if end < 0:
        raise BadType("a member name without end")
    text = data[place:end].decode("utf-8", "replace")
    after = end + 1
    return text, place + (after - place + 7) // 8 * 8 if padded else after


def _compound(data: bytes, version: int, count: int, size: int, depth: int) -> Type:
    names, formats, offsets = [], [], []
    place = 8
    wide = max(1, (size.bit_length() + 7) // 8)
    for _ in range(count):
        name, place = _name(data, place, version < 3)
        if version < 3:
            offset = struct.unpack_from("<I", data, place)[0]
            place += 4
            rank = 0
            dims: tuple[int, ...] = ()
            if version == 1:
                rank = data[place]
                dims = struct.unpack_from("<4I", data, place + 12)[:rank]
                place += 28
        else:
            offset = int.from_bytes(data[place : place + wide], "little")
            place += wide
            dims = ()
        member = _datatype(data[place:], depth + 1)
        if member.kind != "plain":
            raise BadType(f"a compound with a member of kind {member.kind}")
        place += member.used
        names.append(name)
        formats.append((member.raw, dims) if dims else member.raw)
        offsets.append(offset)
    halves = names == ["r", "i"] and formats[0] == formats[1] and offsets == [0, size // 2]
    if halves and formats[0] in (np.dtype("<f4"), np.dtype("<f8")):
        return Type(np.dtype(f"<c{size}"), "plain", size, place)
    try:
        raw = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
    except (ValueError, TypeError) as error:
        raise BadType(f"an impossible compound: {error}") from None
    return Type(raw, "plain", size, place)


def _enumeration(data: bytes, version: int, count: int, size: int, depth: int) -> Type:
    base = _datatype(data[8:], depth + 1)
    if base.kind != "plain" or base.raw.kind not in "iu":
        raise BadType("an enumeration over something else than integers")
    place, names = 8 + base.used, []
    for _ in range(count):
        name, place = _name(data, place, version < 3)
        names.append(name)
    values = np.frombuffer(data[place : place + count * base.size], base.raw)
    place += count * base.size
    if base.size == 1 and names == ["FALSE", "TRUE"] and values.tolist() == [0, 1]:
        return Type(np.dtype(bool), "plain", 1, place)
    return Type(base.raw, "plain", size, place)


def _array(data: bytes, version: int, size: int, depth: int) -> Type:
    rank = data[8]
    place = 9 if version >= 3 else 12
    dims = struct.unpack_from(f"<{rank}I", data, place)
    place += 4 * rank * (1 if version >= 3 else 2)
    base = _datatype(data[place:], depth + 1)
    if base.kind != "plain":
        raise BadType(f"arrays of kind {base.kind}")
    raw = np.dtype((base.raw, dims))
    if raw.itemsize != size:
        raise BadType("an array type whose size contradicts its dimensions")
    return Type(raw, "plain", size, place + base.used)
