"""HDF5 files: what lies in them, told safely, and their datasets as arrays.

The structure is parsed by ourselves (:mod:`holdfast._formats.hdf5.tree`), so nothing outside the file is
ever opened and
nothing in it can make us loop or ask for more memory than it has bytes: external links, external storage and
virtual
datasets are named and not followed, groups that contain themselves are cut. Plain contiguous datasets are
read from the
source without a copy; chunked ones are unpacked (deflate, shuffle, Fletcher-32).

Format facts: HDF5 File Format Specification 3.0; ``H5Fsuper.c`` for the status flags.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from ..._core.dtypes import DTYPES, carrier, dtype_of
from ..._core.errors import (
    DamagedCheckpoint,
    HoldfastError,
    LimitExceeded,
    NotStored,
    Truncated,
)
from ..._core.fault import Check, Fault
from ..._storage import Source
from .chunks import chunk_index, complete, filters_of
from .tree import Attribute, ObjectHeader, Tree, Unsupported, lenient, signature_at
from .types import BadType, datatype
from .values import SLACK, Dataset, fletcher_fault, pieces, read

__all__ = ["Dataset", "H5File", "signature_at"]

_DEPTH = 48
_RATIO = 1100  # deflate cannot expand more than 1032:1
_READABLE = (1, 2, 3)


class H5File:
    """An HDF5 file: groups, datasets and attributes by path, faults found on the way. Safe to read from many
    threads.

    Raises :class:`DamagedCheckpoint` (or :class:`Truncated`) where nothing can be listed.
    """

    def __init__(self, source: Source, position: int = 0) -> None:
        self.source = source
        self.position = position  # among the parts of a sharded checkpoint
        self.faults: list[Fault] = []
        self.groups: dict[str, int] = {}
        self.datasets: dict[str, Dataset] = {}
        self.links: dict[str, str] = {}
        self._headers: dict[str, ObjectHeader] = {}
        self.tree = Tree(source)
        self._room = (
            16 << 20
        ) + source.size  # bytes of one chunk once unpacked, before and after its filters
        self._look_at_ends()
        try:
            self._group("", self.tree.superblock.root, (), 0)
        except Truncated as error:
            raise self._cut(error) from error
        self._look_for_overlaps()

    # -- ends ------------------------------------------------------------------------------------------------
    def _fault(self, slug: str, message: str, **more: Any) -> None:
        self.faults.append(Fault(slug, message, file=self.source.name, **more))

    def _look_at_ends(self) -> None:
        block, size = self.tree.superblock, self.source.size
        if block.flags & 0x05:
            self._fault(
                "leftover",
                "the HDF5 file was not closed by its writer: it was killed, or it is still writing",
                offset=block.at + 11,
                seen=f"status flags {block.flags:#x}",
                expected="0",
                attributes={
                    "severity": "warning",
                    "remedy": "If no save is running, this one was killed: what was written so far reads, the "
                    "rest is not there. Use the previous checkpoint.",
                },
            )
        undefined = block.end == self.tree.undefined or block.end == 0
        # Writers disagree whether the end counts from the superblock or from the file's start (they are
        # mostly one).
        if undefined or block.end > size:
            self._fault(
                "truncated",
                "the HDF5 file says it is longer than it is: it was cut off, or its writer was killed",
                offset=size,
                seen=f"{size} bytes",
                expected="an end of file" if undefined else f"{block.end} bytes",
            )
        elif block.base + block.end < size:
            self._fault(
                "trailing-bytes",
                f"{size - block.base - block.end} bytes follow the end of the HDF5 data: its writer was killed "
                "before it closed the file, or something was appended",
                offset=block.base + block.end,
                seen=size,
                expected=block.base + block.end,
                attributes={
                    "remedy": "If a save was cut off, tensors may be missing: use the previous checkpoint. If "
                    "bytes were appended, nothing is lost."
                },
            )

    def _cut(self, error: Truncated) -> Truncated:
        """The error of a file whose root is gone, told as the file's rather than as a structure's."""
        known = next((f for f in self.faults if f.slug == "truncated"), None)
        return Truncated(
            known.message if known else error.message,
            file=self.source.name,
            offset=known.offset if known else error.offset,
            expected=known.expected if known else error.expected,
            found=known.seen if known else error.found,
            remedy="Copy or download it again; if this is the only copy, use the previous checkpoint.",
        )

    # -- walking ---------------------------------------------------------------------------------------------
    def _group(
        self, path: str, address: int, above: tuple[int, ...], depth: int, header: ObjectHeader | None = None
    ) -> None:
        if address in above:
            self._fault("malformed", f"the HDF5 group {path} contains itself", seen=path)
            return
        if depth > _DEPTH:
            self._fault(
                "limit", f"the HDF5 group {path[:80]}… is nested too deep", seen=depth, expected=_DEPTH
            )
            return
        try:
            header = header or self.tree.header(address)
        except Unsupported as error:
            raise DamagedCheckpoint(f"the root of the HDF5 file: {error}", file=self.source.name) from None
        self.groups[path] = address
        self._headers[path] = header
        try:
            for link in self.tree.links(header):
                inner = f"{path}/{link.name}" if path else link.name
                if link.kind == "hard":
                    self._child(inner, link.address, (*above, address), depth)
                elif link.kind == "soft":
                    self.links[inner] = link.target
                else:
                    self._fault(
                        "not-stored",
                        f"{inner} is a link out of the file; it was not followed",
                        tensor=inner,
                        seen="external link",
                    )
        except LimitExceeded:
            raise
        except (DamagedCheckpoint, Unsupported) as error:
            if not path and not self.datasets and not self.groups.keys() - {""}:
                if isinstance(error, Unsupported):
                    raise self._beyond_us(error) from None
                raise
            self._broken(path, error)

    def _beyond_us(self, error: Unsupported) -> NotStored:
        return NotStored(
            f"HDF5 of a form that Holdfast does not read: {error}",
            file=self.source.name,
            remedy="Rewrite it with `h5repack --low=0 --high=0 OLD NEW`.",
        )

    def _broken(self, path: str, error: HoldfastError | Unsupported) -> None:
        slug = "not-readable" if isinstance(error, Unsupported) else "malformed"
        if isinstance(error, Truncated):
            slug = "truncated"
        offset = error.offset if isinstance(error, HoldfastError) else None
        self._fault(
            slug, f"{path or 'the root'}: {lenient(error)}", offset=offset, seen=path, tensors=(path,)
        )

    def _child(self, path: str, address: int, above: tuple[int, ...], depth: int) -> None:
        try:
            header = self.tree.header(address)
            if header.is_dataset:
                self.datasets[path] = self._dataset(path, header)
                self._headers[path] = header
                return
        except LimitExceeded:
            raise
        except (DamagedCheckpoint, Unsupported, BadType, struct.error, IndexError) as error:
            if isinstance(error, (BadType, struct.error, IndexError)):
                error = DamagedCheckpoint(f"its header cannot be read ({error})", file=self.source.name)
            self._broken(path, error)
            return
        if header.is_group:
            self._group(path, address, above, depth + 1, header)

    # -- datasets --------------------------------------------------------------------------------------------
    def _dataset(self, path: str, header: ObjectHeader) -> Dataset:
        space_body, type_body = header.first(0x0001), header.first(0x0003)
        if space_body is None or type_body is None:
            raise DamagedCheckpoint(
                "an HDF5 dataset without shape or type", file=self.source.name, tensor=path
            )
        space = self.tree.space(space_body)
        found = Dataset(path, space.shape, "object", None, None, 0, header.address, self)
        try:
            kind = datatype(type_body)
        except BadType as error:
            found.problem = self._no(path, "of a type that numpy lacks", str(error))
            return found
        found.raw, found.kind, found.element = kind.raw, kind.kind, kind.size
        if kind.raw.subdtype is not None:
            found.raw = kind.raw.subdtype[0]
            found.shape = (*space.shape, *kind.raw.subdtype[1])
        found.dtype = self._named(header, found)
        if space.null:
            found.problem = self._no(path, "empty by declaration", "a null dataspace")
        elif kind.kind in ("reference", "vlen"):
            found.problem = self._no(path, "made of references or lists", kind.kind)
        elif 0x0007 in header.messages:
            found.problem = self._no(path, "kept in another file", "external storage")
        else:
            self._layout(found, header, prod(space.shape) * kind.size)
        return found

    def _named(self, header: ObjectHeader, found: Dataset) -> str:
        """The dtype's name; opaque types that Keras labels (``dtype="bfloat16"``) by their label."""
        raw = found.raw
        assert raw is not None
        if found.kind != "plain":
            return "string" if found.kind == "vlen-string" else "object"
        if raw.kind == "V" and raw.names is None and 0x000C in header.messages and raw.name not in DTYPES:
            label = self._attribute_of(header, "dtype")
            if isinstance(label, str) and label in DTYPES and carrier(label).itemsize == raw.itemsize:
                return label
        return dtype_of(raw)

    def _no(self, path: str, why: str, seen: str) -> NotStored:
        self._fault(
            "not-stored", f"{path} is {why}; its values are not here", tensor=path, seen=seen, tensors=(path,)
        )
        return NotStored(f"the dataset is {why}", file=self.source.name, tensor=path, found=seen)

    def _beyond(self, found: Dataset, size: int, offset: int | None) -> Truncated:
        self._fault(
            "truncated",
            f"the bytes of {found.path} are not all in the file",
            offset=offset,
            tensor=found.path,
            seen=f"a file of {self.source.size} bytes",
            expected=f"{size} bytes" + ("" if offset is None else f" at {offset}"),
            tensors=(found.path,),
        )
        return Truncated(
            "bytes that the file promises are not there",
            file=self.source.name,
            offset=offset,
            tensor=found.path,
            expected=f"{size} bytes",
            found=f"a file of {self.source.size} bytes",
        )

    def _layout(self, found: Dataset, header: ObjectHeader, size: int) -> None:
        tree = self.tree
        place, body = header.messages[0x0008][0]
        version = tree.number(body, 0, 1)
        if version in (1, 2):
            rank, kind = tree.number(body, 1, 1), tree.number(body, 2, 1)
            at = 8 + (0 if kind == 0 else tree.wide)
            address = tree.number(body, 8, tree.wide) if kind else 0
            sides = tuple(tree.number(body, at + 4 * i, 4) for i in range(rank))
            if kind == 0:
                length = tree.number(body, at + 4 * rank, 4)
                self._run(found, place + at + 4 * rank + 4, min(length, size), size)
            elif kind == 1:
                self._contiguous(found, address, size)
            else:
                self._chunked(found, header, address, sides[:-1], size)
        elif version in (3, 4):
            kind = tree.number(body, 1, 1)
            if kind == 0:
                self._run(found, place + 4, tree.number(body, 2, 2), size)
            elif kind == 1:
                self._contiguous(found, tree.number(body, 2, tree.wide), size)
            elif kind == 2 and version == 3:
                rank = tree.number(body, 2, 1)
                at = 3 + tree.wide
                sides = tuple(tree.number(body, at + 4 * i, 4) for i in range(rank))
                self._chunked(found, header, tree.number(body, 3, tree.wide), sides[:-1], size)
            elif kind == 2:
                self._unreadable(found, "chunks indexed in a newer way (layout version 4)")
            else:
                found.problem = self._no(found.path, "assembled from other files", "a virtual dataset")
        else:
            raise DamagedCheckpoint("an HDF5 layout of unknown version", file=self.source.name, found=version)

    def _unreadable(self, found: Dataset, why: str) -> None:
        self._fault(
            "not-readable", f"{found.path} has {why}", tensor=found.path, seen=why, tensors=(found.path,)
        )
        found.problem = NotStored(
            f"the dataset has {why}",
            file=self.source.name,
            tensor=found.path,
            remedy="Rewrite the file with `h5repack -f NONE -l CONTI OLD NEW`.",
        )

    def _run(self, found: Dataset, offset: int, stored: int, size: int) -> None:
        """Data in one run: compact (inside the header) or contiguous."""
        found.stored = stored
        if size == 0:
            return
        if stored < size or offset + size > self.source.size:
            found.problem = self._beyond(found, size, offset)
        found.offset = offset

    def _contiguous(self, found: Dataset, address: int, size: int) -> None:
        if size and address == self.tree.undefined:
            found.problem = self._no(found.path, "declared but was never written", "no bytes were allocated")
        elif size:
            self._run(found, self.tree.place(address), size, size)

    def _chunked(
        self, found: Dataset, header: ObjectHeader, address: int, sides: tuple[int, ...], size: int
    ) -> None:
        rank = len(found.shape) - (
            0 if found.kind != "plain" or found.raw is None else self._inner_rank(found, sides)
        )
        if len(sides) != rank or not all(sides):
            raise DamagedCheckpoint(
                "chunks of another rank than their dataset", file=self.source.name, tensor=found.path
            )
        found.chunks, found.filters = sides, filters_of(header.first(0x000B))
        if size == 0:
            return
        odd = next((f for f in found.filters if f.code not in _READABLE), None)
        found.index = chunk_index(self.tree, address, rank)
        found.stored = sum(c.size for c in found.index)
        there, needed = complete(found.index, found.shape[:rank], sides)
        if odd is not None:
            self._unreadable(found, f"chunks compressed with {odd.title}")
        elif found.stored > self.source.size:
            found.problem = self._beyond(found, found.stored, None)
        elif there < needed:
            found.problem = self._no(found.path, "only partly written", f"{there} of {needed} chunks")
        elif len(found.index) > needed:
            found.problem = DamagedCheckpoint("chunks that overlap", file=self.source.name, tensor=found.path)
            self._fault(
                "malformed", f"{found.path} has chunks that overlap", tensor=found.path, tensors=(found.path,)
            )
        elif size > found.stored * _RATIO + SLACK or prod(sides) * found.element > self._room:
            found.problem = LimitExceeded(
                "a dataset that would grow beyond what its compression can hold",
                file=self.source.name,
                tensor=found.path,
                expected=f"at most {_RATIO} x {found.stored} bytes",
                found=f"{size} bytes",
            )
            self._fault("limit", found.problem.message, tensor=found.path, seen=size, tensors=(found.path,))

    @staticmethod
    def _inner_rank(found: Dataset, sides: tuple[int, ...]) -> int:
        """Dimensions that come from an array type rather than from the dataspace."""
        assert found.raw is not None
        return max(0, len(found.shape) - len(sides)) if found.element != found.raw.itemsize else 0

    def _look_for_overlaps(self) -> None:
        single = {d.address: d for d in self.datasets.values()}.values()
        plain = (
            (d.offset, d.offset + prod(d.shape) * d.element, d)
            for d in single
            if d.offset is not None and d.problem is None
        )
        runs = sorted((run for run in plain if run[1] > run[0]), key=lambda run: run[:2])
        for (_, end, first), (start, _, second) in pairwise(runs):
            if start < end:
                self._fault(
                    "overlap",
                    f"{first.path} and {second.path} claim the same bytes",
                    offset=start,
                    tensor=second.path,
                    tensors=(first.path, second.path),
                )

    # -- attributes ------------------------------------------------------------------------------------------
    def attributes(self, path: str = "") -> list[str]:
        """The names of a group's or dataset's attributes."""
        header = self._headers.get(path)
        return [a.name for a in self._attributes(header)] if header is not None else []

    def _attributes(self, header: ObjectHeader) -> Iterator[Attribute]:
        try:
            yield from self.tree.attributes(header)
        except Unsupported as error:
            raise DamagedCheckpoint(
                f"HDF5 attributes that cannot be read: {error}", file=self.source.name
            ) from None
        except (struct.error, IndexError, TypeError, OverflowError, ValueError) as error:
            if isinstance(error, HoldfastError):
                raise
            raise DamagedCheckpoint(
                "an HDF5 attribute is damaged", file=self.source.name, found=str(error)
            ) from None

    def attribute(self, path: str, name: str) -> Any:
        """An attribute as text, a list of texts, a number or a list; ``None`` where it is absent.

        Raises :class:`DamagedCheckpoint` where it cannot be read.
        """
        header = self._headers.get(path)
        return self._attribute_of(header, name) if header is not None else None

    def _attribute_of(self, header: ObjectHeader, name: str) -> Any:
        for attribute in self._attributes(header):
            if attribute.name == name:
                return self._value(attribute)
        return None

    def _value(self, attribute: Attribute) -> Any:
        kind = attribute.type
        if attribute.problem is not None or kind is None:
            raise DamagedCheckpoint(
                f"the HDF5 attribute {attribute.name} cannot be read",
                file=self.source.name,
                found=attribute.problem,
            )
        if attribute.space.null:
            return None
        if kind.kind == "vlen-string":
            pieces = range(0, len(attribute.data), kind.size)
            values: list[Any] = [
                self.tree.variable(attribute.data[i : i + kind.size])
                .split(b"\0")[0]
                .decode("utf-8", "replace")
                for i in pieces
            ]
        elif kind.kind != "plain":
            return None
        else:
            array = np.frombuffer(attribute.data, kind.raw)
            values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.tolist()]
        return values if attribute.space.shape else values[0]

    # -- values ----------------------------------------------------------------------------------------------------
    def read(self, found: Dataset) -> np.ndarray:
        """The values, little-endian, read-only where nothing was copied. Raises :class:`HoldfastError`."""
        return read(found)

    def pieces(self, found: Dataset, limit: int) -> Iterator[np.ndarray]:
        """The elements in C order as flat arrays of about ``limit`` bytes."""
        return pieces(found, limit)

    # -- evidence --------------------------------------------------------------------------------------------
    def checks(self) -> Iterator[Check]:
        """Fletcher-32 checksums of datasets that were written with them (HDF5 filter 3)."""
        for found in {d.address: d for d in reversed(self.datasets.values())}.values():
            if any(f.code == 3 for f in found.filters) and found.problem is None and found.index:
                first = min(self.tree.place(c.address) for c in found.index)
                run = partial(fletcher_fault, found)
                yield Check("fletcher32", self.source.name, first, found.stored, run, found.path)

    def close(self) -> None:
        """Nothing is held open but the source, which its owner closes."""
