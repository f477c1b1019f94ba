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

from ..._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, NotStored, Truncated
from ..._core.fault import Check, Fault
from ..._storage import Source
from .datasets import dataset_of
from .groups import links_of
from .tree import Attribute, ObjectHeader, Tree, Unsupported, lenient
from .types import BadType
from .values import Dataset, fletcher_fault, pieces, read

__all__ = ["Dataset", "H5File"]

_DEPTH = 48


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
        self.room = (16 << 20) + source.size  # bytes of one chunk once unpacked, before and after its filters
        self._look_at_ends()
        try:
            self._group("", self.tree.superblock.root, (), 0)
        except Truncated as error:
            raise self._cut(error) from error
        self._look_for_overlaps()

    # -- ends ------------------------------------------------------------------------------------------------
    def fault(self, slug: str, message: str, **more: Any) -> None:
        """Note what is wrong with the file."""
        self.faults.append(Fault(slug, message, file=self.source.name, **more))

    def _look_at_ends(self) -> None:
        block, size = self.tree.superblock, self.source.size
        if block.flags & 0x05:
            self.fault(
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
            self.fault(
                "truncated",
                "the HDF5 file says it is longer than it is: it was cut off, or its writer was killed",
                offset=size,
                seen=f"{size} bytes",
                expected="an end of file" if undefined else f"{block.end} bytes",
            )
        elif block.base + block.end < size:
            self.fault(
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
            self.fault("malformed", f"the HDF5 group {path} contains itself", seen=path)
            return
        if depth > _DEPTH:
            self.fault(
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
            for link in links_of(self.tree, header):
                inner = f"{path}/{link.name}" if path else link.name
                if link.kind == "hard":
                    self._child(inner, link.address, (*above, address), depth)
                elif link.kind == "soft":
                    self.links[inner] = link.target
                else:
                    self.fault(
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
        self.fault(slug, f"{path or 'the root'}: {lenient(error)}", offset=offset, seen=path, tensors=(path,))

    def _child(self, path: str, address: int, above: tuple[int, ...], depth: int) -> None:
        try:
            header = self.tree.header(address)
            if header.is_dataset:
                self.datasets[path] = dataset_of(self, path, header)
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
                self.fault(
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
        return self.attribute_of(header, name) if header is not None else None

    def attribute_of(self, header: ObjectHeader, name: str) -> Any:
        """As :meth:`attribute`, of the object with this header."""
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
