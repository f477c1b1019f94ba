"""The values of HDF5 datasets: in one run, in chunks, or strings in the heap.

Plain runs are handed out without a copy, little-endian; chunks are unpacked one by one; nothing is allocated that the
structure (:mod:`holdfast._formats.hdf5.file`) has not compared with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..._core.dtypes import DTYPES, carrier
from ..._core.errors import (
    ChecksumMismatch,
    DamagedCheckpoint,
    HoldfastError,
    LimitExceeded,
    NotStored,
    Truncated,
)
from ..._core.fault import Fault, Progress
from .chunks import Chunk, Filter, pieces_of, unpacked
from .tree import Unsupported

if TYPE_CHECKING:
    from .file import H5File

__all__ = ["SLACK", "Dataset", "fletcher_fault", "pieces", "read"]

SLACK = 64 << 20
"""Bytes by which values may outgrow what the file holds of them, beside what compression explains."""


@dataclass(slots=True)
class Dataset:
    """One dataset: path in the file, logical shape and dtype name, numpy dtype as stored, where its bytes
    lie.

    ``offset`` is the place of the bytes in the source where they are one plain run, else ``None``.
    ``stored`` is the
    number of bytes the file holds for it. ``problem`` is set where the data cannot be handed out; ``read``
    raises it.
    ``address`` is the file address of its header: two paths with one address are one dataset.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    raw: np.dtype | None
    offset: int | None
    stored: int
    address: int
    file: H5File
    filters: tuple[Filter, ...] = ()
    chunks: tuple[int, ...] | None = None
    index: list[Chunk] = field(default_factory=list)
    problem: HoldfastError | None = None
    kind: str = "plain"
    element: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the values in memory; what is stored for strings."""
        if self.raw is None or self.raw.hasobject:
            return self.stored
        return prod(self.shape) * self.raw.itemsize


def read(found: Dataset) -> np.ndarray:
    """The values, little-endian, read-only where nothing was copied. Raises :class:`HoldfastError`."""
    if found.problem is not None:
        raise found.problem
    raw = found.raw
    assert raw is not None
    if found.kind == "vlen-string":
        return _strings(found)
    if prod(found.shape) == 0:
        try:
            return np.empty(found.shape, carrier(found.dtype) if found.dtype in DTYPES else raw)
        except ValueError as error:
            raise LimitExceeded(
                "an empty dataset of absurd shape",
                file=found.file.source.name,
                tensor=found.path,
                found=found.shape,
            ) from error
    if found.chunks is not None:
        array = np.empty(found.shape, raw)
        for whole, values in _unpacked(found, found.index):
            array[whole] = values
        return _handed(array, found)
    assert found.offset is not None
    flat = np.frombuffer(found.file.source.view(found.offset, found.nbytes), raw)
    return _handed(flat.reshape(found.shape), found)


def _unpacked(found: Dataset, chunks: list[Chunk]) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Each chunk's place in the whole, and its values."""
    assert found.chunks is not None and found.raw is not None
    inner = found.shape[len(found.chunks) :]
    size = prod(found.chunks) * found.element
    outer = found.shape[: len(found.chunks)]
    for chunk, whole, part in pieces_of(chunks, outer, found.chunks):
        offset = found.file.tree.place(chunk.address)
        data = found.file.source.view(offset, chunk.size)
        try:
            plain = unpacked(
                bytes(data), found.filters, chunk.skipped, size, found.element, found.file.source.name, offset
            )
        except Unsupported as error:
            raise NotStored(str(error), file=found.file.source.name, tensor=found.path) from None
        kind = np.dtype(object) if found.raw.hasobject else found.raw
        if kind.hasobject:
            kind = np.dtype(f"V{found.element}")
        yield whole, np.frombuffer(plain, kind).reshape((*found.chunks, *inner))[part]


def _strings(found: Dataset) -> np.ndarray:
    """Variable-length strings, through the global heap, as bytes."""
    out = np.empty(found.shape, dtype=object)
    kind = np.dtype(f"V{found.element}")
    if prod(found.shape) == 0:
        return out
    if found.chunks is not None:
        references = np.empty(found.shape, kind)
        for whole, values in _unpacked(found, found.index):
            references[whole] = values
    else:
        assert found.offset is not None
        size = prod(found.shape) * found.element
        references = np.frombuffer(found.file.source.view(found.offset, size), kind).reshape(found.shape)
    flat, into, total = references.reshape(-1), out.reshape(-1), 0
    for i in range(flat.size):
        into[i] = found.file.tree.variable(flat[i].tobytes())
        total += len(into[i])
        if total > 2 * found.file.source.size + SLACK:  # many elements may point at one long text
            raise LimitExceeded(
                "strings that repeat beyond the file's size", file=found.file.source.name, tensor=found.path
            )
    return out


def pieces(found: Dataset, limit: int) -> Iterator[np.ndarray]:
    """The elements in C order as flat arrays of about ``limit`` bytes; chunked data is read by rows of
    chunks.
    """
    sides, raw = found.chunks, found.raw
    if (
        found.kind == "plain"
        and found.offset is not None
        and raw is not None
        and raw.itemsize
        and not found.problem
    ):
        # small: the file may lie deflated in an archive, and what is inflated is held beside what is made of it
        step, end = max(1, min(limit, 1 << 22) // raw.itemsize), found.offset + found.nbytes
        if raw.kind == "S":
            step = min(step, 1 << 16)  # as Python objects these take ten times their bytes and more
        for first in range(found.offset, end, step * raw.itemsize):
            view = found.file.source.view(first, min(step * raw.itemsize, end - first))
            yield _handed(np.frombuffer(view, raw), found)
        return
    if sides is None or not sides or found.problem or found.kind != "plain" or found.nbytes <= limit:
        flat = read(found).reshape(-1)
        step = max(1, limit // max(1, flat.dtype.itemsize))
        if flat.dtype == object:
            step = min(step, 1 << 16)
        for start in range(0, flat.size, step):
            yield flat[start : start + step]
        return
    assert raw is not None
    row = max(1, found.nbytes // max(1, found.shape[0]))
    rows = max(1, limit // row // sides[0]) * sides[0]
    if rows * row > (32 << 20) + 2 * found.file.source.size:
        raise LimitExceeded(
            "a row of chunks that takes far more memory than the file has bytes",
            file=found.file.source.name,
            tensor=found.path,
            found=f"{rows * row} bytes",
        )
    by_row: dict[int, list[Chunk]] = {}
    for chunk in found.index:
        by_row.setdefault(chunk.start[0] // rows, []).append(chunk)
    for number in range(-(-found.shape[0] // rows)):
        first = number * rows
        array = np.empty((min(rows, found.shape[0] - first), *found.shape[1:]), raw)
        for whole, values in _unpacked(found, by_row.get(number, [])):
            place = (slice(whole[0].start - first, whole[0].stop - first), *whole[1:])
            array[place] = values
        yield _handed(array, found).reshape(-1)


def _handed(array: np.ndarray, found: Dataset) -> np.ndarray:
    """The array in the dtype that stands for it everywhere else (bfloat16 for labelled bytes,
    little-endian).
    """
    if array.dtype.kind == "S":
        out = np.empty(array.shape, dtype=object)
        out.reshape(-1)[:] = array.reshape(-1).tolist()
        return out
    if array.dtype.kind == "V" and array.dtype.names is None and found.dtype in DTYPES:
        return array.view(carrier(found.dtype))
    if array.dtype.byteorder == ">" or (array.dtype.names and array.dtype.newbyteorder("<") != array.dtype):
        return array.astype(array.dtype.newbyteorder("<"))
    return array


def fletcher_fault(found: Dataset, progress: Progress) -> Fault | None:
    """The first chunk of a dataset whose Fletcher-32 sum does not fit its bytes, as a fault; ``None`` if all do."""
    for chunk in found.index:
        try:
            for _ in _unpacked(found, [chunk]):
                pass
        except DamagedCheckpoint as error:
            slug = "truncated" if isinstance(error, Truncated) else "checksum"
            sure = isinstance(error, ChecksumMismatch)
            return Fault(
                slug,
                f"{found.path}: {error.message}",
                file=found.file.source.name,
                offset=error.offset,
                tensor=found.path,
                seen=error.found,
                expected=error.expected,
                tensors=(found.path,),
                attributes={"kind": "fletcher32" if sure else "deflate"},
            )
        progress(chunk.size)
    return None
