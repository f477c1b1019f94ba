"""A dataset out of its object header: its shape, its type, and where its bytes lie; or why its values cannot be had.

Format facts: HDF5 File Format Specification 3.0, section IV.A.2 (dataspace, datatype, external files, data layout, filter
pipeline).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from ..._core.dtypes import DTYPES, carrier, dtype_of
from ..._core.errors import DamagedCheckpoint, LimitExceeded, NotStored, Truncated
from .chunks import chunk_index, complete, filters_of
from .tree import ObjectHeader
from .types import BadType, datatype
from .values import SLACK, Dataset

if TYPE_CHECKING:
    from .file import H5File

__all__ = ["dataset_of"]

_RATIO = 1100  # deflate cannot expand more than 1032:1
_READABLE = (1, 2, 3)


def dataset_of(file: H5File, path: str, header: ObjectHeader) -> Dataset:
    """The dataset with this object header; what keeps its values from being read is its ``problem``, and a fault of ``file``.

    Raises :class:`DamagedCheckpoint` where it cannot be told, :class:`BadType`, :class:`struct.error` or :class:`IndexError`
    where the header is cut off.
    """
    space_body, type_body = header.first(0x0001), header.first(0x0003)
    if space_body is None or type_body is None:
        raise DamagedCheckpoint("an HDF5 dataset without shape or type", file=file.source.name, tensor=path)
    space = file.tree.space(space_body)
    found = Dataset(path, space.shape, "object", None, None, 0, header.address, file)
    try:
        kind = datatype(type_body)
    except BadType as error:
        found.problem = _no(file, path, "of a type that numpy lacks", str(error))
        return found
    found.raw, found.kind, found.element = kind.raw, kind.kind, kind.size
    if kind.raw.subdtype is not None:
        found.raw = kind.raw.subdtype[0]
        found.shape = (*space.shape, *kind.raw.subdtype[1])
    found.dtype = _named(file, header, found)
    if space.null:
        found.problem = _no(file, path, "empty by declaration", "a null dataspace")
    elif kind.kind in ("reference", "vlen"):
        found.problem = _no(file, path, "made of references or lists", kind.kind)
    elif 0x0007 in header.messages:
        found.problem = _no(file, path, "kept in another file", "external storage")
    else:
        _layout(file, found, header, prod(space.shape) * kind.size)
    return found


def _named(file: H5File, header: ObjectHeader, found: Dataset) -> str:
    """The dtype's name; opaque types that Keras labels (``dtype="bfloat16"``) by their label."""
    raw = found.raw
    assert raw is not None
    if found.kind != "plain":
        return "string" if found.kind == "vlen-string" else "object"
    if raw.kind == "V" and raw.names is None and 0x000C in header.messages and raw.name not in DTYPES:
        label = file.attribute_of(header, "dtype")
        if isinstance(label, str) and label in DTYPES and carrier(label).itemsize == raw.itemsize:
            return label
    return dtype_of(raw)


def _no(file: H5File, path: str, why: str, seen: str) -> NotStored:
    file.fault(
        "not-stored", f"{path} is {why}; its values are not here", tensor=path, seen=seen, tensors=(path,)
    )
    return NotStored(f"the dataset is {why}", file=file.source.name, tensor=path, found=seen)


def _beyond(file: H5File, found: Dataset, size: int, offset: int | None) -> Truncated:
    file.fault(
        "truncated",
        f"the bytes of {found.path} are not all in the file",
        offset=offset,
        tensor=found.path,
        seen=f"a file of {file.source.size} bytes",
        expected=f"{size} bytes" + ("" if offset is None else f" at {offset}"),
        tensors=(found.path,),
    )
    return Truncated(
        "bytes that the file promises are not there",
        file=file.source.name,
        offset=offset,
        tensor=found.path,
        expected=f"{size} bytes",
        found=f"a file of {file.source.size} bytes",
    )


def _layout(file: H5File, found: Dataset, header: ObjectHeader, size: int) -> None:
    tree = file.tree
    place, body = header.messages[0x0008][0]
    version = tree.number(body, 0, 1)
    if version in (1, 2):
        rank, kind = tree.number(body, 1, 1), tree.number(body, 2, 1)
        at = 8 + (0 if kind == 0 else tree.wide)
        address = tree.number(body, 8, tree.wide) if kind else 0
        sides = tuple(tree.number(body, at + 4 * i, 4) for i in range(rank))
        if kind == 0:
            length = tree.number(body, at + 4 * rank, 4)
            _run(file, found, place + at + 4 * rank + 4, min(length, size), size)
        elif kind == 1:
            _contiguous(file, found, address, size)
        else:
            _chunked(file, found, header, address, sides[:-1], size)
    elif version in (3, 4):
        kind = tree.number(body, 1, 1)
        if kind == 0:
            _run(file, found, place + 4, tree.number(body, 2, 2), size)
        elif kind == 1:
            _contiguous(file, found, tree.number(body, 2, tree.wide), size)
        elif kind == 2 and version == 3:
            rank = tree.number(body, 2, 1)
            at = 3 + tree.wide
            sides = tuple(tree.number(body, at + 4 * i, 4) for i in range(rank))
            _chunked(file, found, header, tree.number(body, 3, tree.wide), sides[:-1], size)
        elif kind == 2:
            _unreadable(file, found, "chunks indexed in a newer way (layout version 4)")
        else:
            found.problem = _no(file, found.path, "assembled from other files", "a virtual dataset")
    else:
        raise DamagedCheckpoint("an HDF5 layout of unknown version", file=file.source.name, found=version)


def _unreadable(file: H5File, found: Dataset, why: str) -> None:
    file.fault("not-readable", f"{found.path} has {why}", tensor=found.path, seen=why, tensors=(found.path,))
    found.problem = NotStored(
        f"the dataset has {why}",
        file=file.source.name,
        tensor=found.path,
        remedy="Rewrite the file with `h5repack -f NONE -l CONTI OLD NEW`.",
    )


def _run(file: H5File, found: Dataset, offset: int, stored: int, size: int) -> None:
    """Data in one run: compact (inside the header) or contiguous."""
    found.stored = stored
    if size == 0:
        return
    if stored < size or offset + size > file.source.size:
        found.problem = _beyond(file, found, size, offset)
    found.offset = offset


def _contiguous(file: H5File, found: Dataset, address: int, size: int) -> None:
    if size and address == file.tree.undefined:
        found.problem = _no(file, found.path, "declared but was never written", "no bytes were allocated")
    elif size:
        _run(file, found, file.tree.place(address), size, size)


def _chunked(
    file: H5File, found: Dataset, header: ObjectHeader, address: int, sides: tuple[int, ...], size: int
) -> None:
    rank = len(found.shape) - (0 if found.kind != "plain" or found.raw is None else _inner_rank(found, sides))
    if len(sides) != rank or not all(sides):
        raise DamagedCheckpoint(
            "chunks of another rank than their dataset", file=file.source.name, tensor=found.path
        )
    found.chunks, found.filters = sides, filters_of(header.first(0x000B))
    if size == 0:
        return
    odd = next((f for f in found.filters if f.code not in _READABLE), None)
    found.index = chunk_index(file.tree, address, rank)
    found.stored = sum(c.size for c in found.index)
    there, needed = complete(found.index, found.shape[:rank], sides)
    if odd is not None:
        _unreadable(file, found, f"chunks compressed with {odd.title}")
    elif found.stored > file.source.size:
        found.problem = _beyond(file, found, found.stored, None)
    elif there < needed:
        found.problem = _no(file, found.path, "only partly written", f"{there} of {needed} chunks")
    elif len(found.index) > needed:
        found.problem = DamagedCheckpoint("chunks that overlap", file=file.source.name, tensor=found.path)
        file.fault(
            "malformed", f"{found.path} has chunks that overlap", tensor=found.path, tensors=(found.path,)
        )
    elif size > found.stored * _RATIO + SLACK or prod(sides) * found.element > file.room:
        found.problem = LimitExceeded(
            "a dataset that would grow beyond what its compression can hold",
            file=file.source.name,
            tensor=found.path,
            expected=f"at most {_RATIO} x {found.stored} bytes",
            found=f"{size} bytes",
        )
        file.fault("limit", found.problem.message, tensor=found.path, seen=size, tensors=(found.path,))


def _inner_rank(found: Dataset, sides: tuple[int, ...]) -> int:
    """Dimensions that come from an array type rather than from the dataspace."""
    assert found.raw is not None
    return max(0, len(found.shape) - len(sides)) if found.element != found.raw.itemsize else 0
