"""The dtype table: names, widths, and the numpy (or ml_dtypes) type that carries each.

A dtype is text everywhere in Holdfast (``"float32"``, ``"bfloat16"``). Names are numpy's where numpy has the type,
ml_dtypes' where it has (``"float8_e4m3fn"``), and the frameworks' own where neither does (``"complex32"``,
``"qint8"``). :func:`carrier` gives the numpy dtype in which ``read`` hands out such values:

- ``complex32``: a structured pair ``[("real", "f2"), ("imag", "f2")]``, as PyTorch stores it;
- ``qint8``/``quint8``/``qint32``/...: the integers as stored; scale and zero point are attributes of the spec;
- ``string``: object arrays of ``bytes``; ``variant``: object arrays of ``bytes`` (the serialised proto).
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

__all__ = [
    "DType",
    "DTYPES",
    "carrier",
    "dtype_of",
    "itemsize_bits",
    "nbytes_of",
    "is_float",
    "is_integer",
    "known",
]


class DType(NamedTuple):
    """One row: the name, bits per element, its kind and the numpy name that carries it."""

    name: str
    bits: int
    kind: str  # f float, i signed, u unsigned, b bool, c complex, q quantised, x raw bits, O object
    carrier: str


def _rows() -> dict[str, DType]:
    rows = [
        DType("float64", 64, "f", "float64"),
        DType("float32", 32, "f", "float32"),
        DType("float16", 16, "f", "float16"),
        DType("bfloat16", 16, "f", "ml:bfloat16"),
        DType("float8_e5m2", 8, "f", "ml:float8_e5m2"),
        DType("float8_e4m3", 8, "f", "ml:float8_e4m3"),
        DType("float8_e4m3fn", 8, "f", "ml:float8_e4m3fn"),
        DType("float8_e4m3fnuz", 8, "f", "ml:float8_e4m3fnuz"),
        DType("float8_e5m2fnuz", 8, "f", "ml:float8_e5m2fnuz"),
        DType("float8_e4m3b11fnuz", 8, "f", "ml:float8_e4m3b11fnuz"),
        DType("float8_e3m4", 8, "f", "ml:float8_e3m4"),
        DType("float8_e8m0fnu", 8, "f", "ml:float8_e8m0fnu"),
        DType("float6_e2m3fn", 6, "f", "ml:float6_e2m3fn"),
        DType("float6_e3m2fn", 6, "f", "ml:float6_e3m2fn"),
        DType("float4_e2m1fn", 4, "f", "ml:float4_e2m1fn"),
        DType("float4_e2m1fn_x2", 8, "x", "uint8"),
        DType("int64", 64, "i", "int64"),
        DType("int32", 32, "i", "int32"),
        DType("int16", 16, "i", "int16"),
        DType("int8", 8, "i", "int8"),
        DType("int4", 4, "i", "ml:int4"),
        DType("int2", 2, "i", "ml:int2"),
        DType("uint64", 64, "u", "uint64"),
        DType("uint32", 32, "u", "uint32"),
        DType("uint16", 16, "u", "uint16"),
        DType("uint8", 8, "u", "uint8"),
        DType("uint4", 4, "u", "ml:uint4"),
        DType("uint2", 2, "u", "ml:uint2"),
        DType("bool", 8, "b", "bool"),
        DType("complex128", 128, "c", "complex128"),
        DType("complex64", 64, "c", "complex64"),
        DType("complex32", 32, "c", "complex32"),
        DType("qint8", 8, "q", "int8"),
        DType("quint8", 8, "q", "uint8"),
        DType("qint16", 16, "q", "int16"),
        DType("quint16", 16, "q", "uint16"),
        DType("qint32", 32, "q", "int32"),
        DType("quint4x2", 4, "q", "uint8"),
        DType("quint2x4", 2, "q", "uint8"),
        DType("bits8", 8, "x", "uint8"),
        DType("bits16", 16, "x", "uint16"),
        DType("bits4x2", 8, "x", "uint8"),
        DType("bits2x4", 8, "x", "uint8"),
        DType("bits1x8", 8, "x", "uint8"),
        DType("string", 0, "O", "object"),
        DType("variant", 0, "O", "object"),
        DType("object", 0, "O", "object"),
    ]
    return {row.name: row for row in rows}


DTYPES: dict[str, DType] = _rows()


def known(name: str) -> bool:
    """Whether the table has the name (structured numpy dtypes and unknown vendor types are not in it)."""
    return name in DTYPES


@cache
def carrier(name: str) -> np.dtype:
    """The numpy dtype in which values of dtype ``name`` are handed out, little-endian.

    Raises ``KeyError`` for a name that the table lacks.
    """
    text = DTYPES[name].carrier
    if text == "complex32":
        return np.dtype([("real", "<f2"), ("imag", "<f2")])
    if text.startswith("ml:"):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, text[3:]))
    return np.dtype(text)


@lru_cache(maxsize=512)
def dtype_of(dtype: np.dtype) -> str:
    """The table's name of a numpy dtype; byte order is dropped, texts and bytes are ``"string"``.

    A structured or otherwise foreign dtype gives numpy's own text for it (``"[('a', '<i4')]"``).
    """
    if dtype.kind in "SU" or dtype.kind == "T":
        return "string"
    if dtype.kind == "O":
        return "object"
    name = dtype.name
    if name in DTYPES:
        return name
    if dtype.names == ("real", "imag") and dtype.itemsize == 4:
        return "complex32"
    return str(dtype)


def itemsize_bits(name: str) -> int:
    """Bits per element; 0 for strings and other objects. Unknown names (structured dtypes) are asked of numpy."""
    row = DTYPES.get(name)
    if row is not None:
        return row.bits
    try:
        return np.dtype(name).itemsize * 8
    except TypeError:
        return 0


def nbytes_of(shape: tuple[int, ...], name: str) -> int:
    """Bytes of a dense tensor, sub-byte types packed: ``ceil(prod(shape) * bits / 8)``; 0 for objects."""
    return (prod(shape) * itemsize_bits(name) + 7) // 8


def is_float(name: str) -> bool:
    """Whether NaN and infinity are a question at all (floats and complex numbers)."""
    row = DTYPES.get(name)
    return row is not None and row.kind in "fc"


def is_integer(name: str) -> bool:
    """Whether it counts: signed or unsigned integers, neither booleans nor quantised numbers."""
    row = DTYPES.get(name)
    return row is not None and row.kind in "iu"
