"""Pieces of any dtype as plain numbers that numpy reduces fast."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .._core.dtypes import DTYPES, carrier

__all__ = ["kind_of", "as_numbers"]


def kind_of(dtype: str) -> str:
    """``"float"`` (floats and complex), ``"int"`` (integers, bool, quantised) or ``""`` where numbers mean
    nothing."""
    row = DTYPES.get(dtype)
    if row is None:
        return ""
    return {"f": "float", "c": "float", "i": "int", "u": "int", "b": "int", "q": "int"}.get(row.kind, "")


@lru_cache(maxsize=16)
def _table(dtype: str) -> np.ndarray:
    """All values of a one-byte float type, by their bits."""
    return np.arange(256, dtype=np.uint8).view(carrier(dtype)).astype(np.float32)


def as_numbers(piece: np.ndarray, dtype: str) -> np.ndarray:
    """A flat piece as float32/float64 or integers, without copying where the type allows.

    Complex pieces come as their parts in turn (twice the elements). bfloat16 is widened by its bits,
    one-byte floats through a table of their 256 values: ml_dtypes converts one element after the other.
    """
    row = DTYPES[dtype]
    piece = np.ascontiguousarray(piece).reshape(-1)
    if not piece.dtype.isnative:
        piece = piece.astype(piece.dtype.newbyteorder("="))
    if dtype == "bfloat16":
        return (piece.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "float16":
        return piece.astype(np.float32)
    if row.kind == "f" and row.bits == 8:
        return _table(dtype)[piece.view(np.uint8)]
    if row.kind == "f" and row.bits < 8:
        return piece.astype(np.float32)
    if dtype == "complex32":
        return piece.view(np.float16).astype(np.float32)
    if dtype == "complex64":
        return piece.view(np.float32)
    if dtype == "complex128":
        return piece.view(np.float64)
    if row.bits < 8 and row.kind in "iu":
        return piece.astype(np.int8)
    if piece.dtype == bool:
        return piece.view(np.uint8)
    return piece
