"""Where the bytes of tensors lie in their files, where these bytes are their values."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from math import prod

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import carrier, known
from .._core.spec import TensorSpec
from .._storage import Source
from .._storage.local import placing
from .files import Names

__all__ = ["SMALL", "mapping_of", "stored_run"]

SMALL = 192 << 10
"""Bytes up to which a tensor is read, and compared whole, in place of being mapped."""


def stored_run(
    catalog: Catalog, spec: TensorSpec, names: Names, opened: Callable[[str], Source]
) -> tuple[Source, int, int] | None:
    """``(source, offset, length)`` where the stored bytes of a tensor are its values, as they lie (native byte order,
    C order); ``None`` where they are not, or where it cannot be proved.

    The proof is that the reader, given the mapped file, hands out a view of just these bytes; small tensors are compared
    whole. Raises what reading the tensor raises, and :class:`DamagedCheckpoint` where the file was replaced since it was opened.
    """
    runs = names.runs_of(spec.name)
    if len(runs) != 1 or not names.is_plain(spec.name) or not known(spec.dtype) or sys.byteorder != "little":
        return None
    file, offset, length = runs[0]
    kind = carrier(spec.dtype)
    if (
        kind.hasobject
        or spec.attributes.get("byteorder") == "big"
        or length != prod(spec.shape) * kind.itemsize
    ):
        return None
    if length > SMALL:
        with placing():
            array = catalog.read(spec.name)
    else:
        array = catalog.read(spec.name)
    if (
        array.dtype != kind
        or not array.dtype.isnative
        or not array.flags.c_contiguous
        or array.nbytes != length
    ):
        return None
    source = opened(file)
    if length <= SMALL:
        return (source, offset, length) if array.tobytes() == source.read(offset, length) else None
    return (source, offset, length) if _place_in_map(array, source.size) == offset else None


def mapping_of(array: np.ndarray) -> mmap.mmap | None:
    """The file mapping that an array is a view of, or ``None``."""
    base: object = array
    for _ in range(64):
        if isinstance(base, mmap.mmap):
            return base
        if isinstance(base, memoryview):
            base = base.obj
        else:
            base = getattr(base, "base", None)
        if base is None:
            return None
    return None


def _place_in_map(array: np.ndarray, size: int) -> int | None:
    """Where in its mapped file an array begins; ``None`` where it is no view of a mapping of the whole file."""
    mapping = mapping_of(array)
    if mapping is None or len(mapping) != size:
        return None
    return array.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
