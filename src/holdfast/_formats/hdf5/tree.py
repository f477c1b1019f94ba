"""The metadata of an HDF5 file, parsed by ourselves: object headers, their attributes, and what is kept in heaps.

Why not the HDF5 library: on damaged files it loops without end, asks for gigabytes, and crashes the
interpreter. Here
every address, size and count is compared with the file first, every walk is bounded by the file's size, and
a broken
object costs that object only.

Covered is what h5py writes unless told otherwise (symbol-table groups, version 1 headers) and the compact
forms of the
newer layout (version 2 headers, links in headers). Dense groups and dense attributes (fractal heaps) raise
:class:`Unsupported`. Format facts: HDF5 File Format Specification 3.0, sections II.A (superblock), III.A
(B-trees),
III.B/C (symbol tables), III.D/E (local and global heaps), IV.A (object headers and messages).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from ..._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, Truncated
from ..._storage import Source
from .superblock import read_superblock
from .types import BadType, Type, datatype

__all__ = ["Attribute", "ObjectHeader", "Space", "Tree", "Unsupported", "lenient"]


class Unsupported(Exception):
    """A form of HDF5 that this reader does not read; never leaves the HDF5 modules."""


class Space(NamedTuple):
    """A dataspace: shape, and whether it is declared empty (a null dataspace)."""

    shape: tuple[int, ...]
    null: bool


@dataclass(slots=True)
class Attribute:
    """An attribute of an object: its type and shape, and where its bytes lie."""

    name: str
    type: Type | None
    space: Space
    data: bytes
    problem: str | None = None


@dataclass(slots=True)
class ObjectHeader:
    """The messages of an object header by type, in their order, each with its offset in the file."""

    address: int
    messages: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)

    def first(self, kind: int) -> bytes | None:
        found = self.messages.get(kind)
        return found[0][1] if found else None

    @property
    def is_dataset(self) -> bool:
        return 0x0008 in self.messages

    @property
    def is_group(self) -> bool:
        return bool({0x0011, 0x0002, 0x0006} & set(self.messages))


class Tree:
    """Reads objects by their address. ``spend`` bounds the work by the size of the file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._budget = source.size // 8 + 256
        self.superblock = read_superblock(source)
        self.wide, self.long = self.superblock.wide, self.superblock.long
        self.undefined = (1 << 8 * self.wide) - 1
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self._sharing = 0

    # -- small reads -----------------------------------------------------------------------------------------
    def spend(self, amount: int = 1) -> None:
        """Count a step; raises :class:`LimitExceeded` once there were more than the file's bytes allow."""
        self._budget -= amount
        if self._budget < 0:
            raise LimitExceeded("more HDF5 objects than the file has room for", file=self.source.name)

    def place(self, address: int) -> int:
        """The offset in the source of an HDF5 address. Raises :class:`DamagedCheckpoint` where it is
        undefined.
        """
        if address == self.undefined:
            raise DamagedCheckpoint("an HDF5 address that is not set", file=self.source.name)
        return self.superblock.base + address

    def bytes_at(self, address: int, length: int) -> bytes:
        """``length`` bytes at an HDF5 address; raises :class:`Truncated`."""
        return bytes(self.source.view(self.place(address), length))

    def number(self, data: bytes, at: int, width: int) -> int:
        """The integer of ``width`` bytes at ``at`` of ``data``; raises :class:`Truncated`."""
        if at + width > len(data):
            raise Truncated("an HDF5 structure is cut off", file=self.source.name)
        return int.from_bytes(data[at : at + width], "little")

    def bad(self, what: str, address: int, **more: Any) -> DamagedCheckpoint:
        """The error of what is wrong at an HDF5 address."""
        return DamagedCheckpoint(what, file=self.source.name, offset=self.superblock.base + address, **more)

    # -- object headers --------------------------------------------------------------------------------------
    def header(self, address: int) -> ObjectHeader:
        """The object header at ``address``. Raises :class:`DamagedCheckpoint`."""
        found = ObjectHeader(address)
        self.spend()
        start = self.bytes_at(address, 16)
        ordered = False
        if start[:4] == b"OHDR":
            flags = start[5]
            at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            block = (address + at + width, self.number(self.bytes_at(address, at + width), at, width))
            small, ordered = True, bool(flags & 4)
        elif start[0] == 1:
            block, small = (address + 16, struct.unpack_from("<I", start, 8)[0]), False
        else:
            raise self.bad("no HDF5 object header where one is pointed to", address, found=start[:4].hex())
        blocks, seen = [block], {block[0]}
        for place, size in blocks:  # grows while it is walked: a header continues in further blocks
            for kind, flags, body, where in self._messages(place, size, small, ordered):
                if kind != 0x0010:
                    self._keep(found, kind, flags, body, where)
                    continue
                place, size = self.number(body, 0, self.wide), self.number(body, self.wide, self.long)
                if place in seen:
                    raise self.bad("an HDF5 object header continues in a circle", where)
                seen.add(place)
                if small:
                    if self.bytes_at(place, 4) != b"OCHK":
                        raise self.bad("no HDF5 continuation block where one is pointed to", place)
                    place, size = place + 4, max(0, size - 8)
                blocks.append((place, size))
        return found

    def _messages(
        self, address: int, size: int, small: bool, ordered: bool
    ) -> Iterator[tuple[int, int, bytes, int]]:
        """The messages of one block: type, flags, body, address of the body. ``small``: of a version 2 header."""
        block = self.bytes_at(address, size)
        at, head = 0, (6 if ordered else 4) if small else 8
        while at + head <= size:
            self.spend()
            if small:
                kind, length, flags = block[at], struct.unpack_from("<H", block, at + 1)[0], block[at + 3]
            else:
                kind, length, flags = struct.unpack_from("<HHB", block, at)
            body = block[at + head : at + head + length]
            if len(body) < length:
                raise self.bad(
                    "an HDF5 message runs past its header", address + at, expected=length, found=len(body)
                )
            yield kind, flags, body, address + at + head
            at += head + length

    def _keep(self, found: ObjectHeader, kind: int, flags: int, body: bytes, address: int) -> None:
        if flags & 2 and kind in (0x0001, 0x0003, 0x000B, 0x000C):
            body = self._shared(body, kind)
        found.messages.setdefault(kind, []).append((self.superblock.base + address, body))

    def _shared(self, body: bytes, kind: int) -> bytes:
        """A message kept in another object's header (a committed datatype)."""
        version = body[0] if body else 0
        at = {1: 8, 2: 2, 3: 2}.get(version)
        if at is None or (version == 3 and body[1] == 1):
            raise Unsupported("a message in the shared message heap")
        self.spend(8)
        if self._sharing >= 4:
            raise DamagedCheckpoint("shared HDF5 messages that point at each other", file=self.source.name)
        self._sharing += 1
        try:
            other = self.header(self.number(body, at, self.wide)).first(kind)
        finally:
            self._sharing -= 1
        if other is None:
            raise DamagedCheckpoint("a shared HDF5 message is not where it should be", file=self.source.name)
        return other

    # -- spaces and attributes -------------------------------------------------------------------------------
    def space(self, body: bytes) -> Space:
        """A dataspace message. Raises :class:`DamagedCheckpoint`."""
        version, rank, flags = (self.number(body, i, 1) for i in range(3))
        if version not in (1, 2) or rank > 32:
            raise DamagedCheckpoint(
                "an impossible HDF5 dataspace", file=self.source.name, found=f"version {version}, rank {rank}"
            )
        at = 8 if version == 1 else 4
        null = version == 2 and self.number(body, 3, 1) == 2
        del flags
        return Space(tuple(self.number(body, at + i * self.long, self.long) for i in range(rank)), null)

    def attributes(self, owner: ObjectHeader) -> Iterator[Attribute]:
        """The attributes of an object; one that cannot be parsed is given with its ``problem``."""
        info = owner.first(0x0015)
        if info is not None:
            at = 2 + (2 if len(info) > 1 and info[1] & 1 else 0)
            if self.number(info, at, self.wide) != self.undefined:
                raise Unsupported("attributes in dense storage (a fractal heap)")
        for _, body in owner.messages.get(0x000C, ()):
            yield self._attribute(body)

    def _attribute(self, body: bytes) -> Attribute:
        version, flags = self.number(body, 0, 1), self.number(body, 1, 1)
        sizes = [self.number(body, 2 + 2 * i, 2) for i in range(3)]
        at = 9 if version == 3 else 8
        if version not in (1, 2, 3):
            raise DamagedCheckpoint(
                "an HDF5 attribute of unknown version", file=self.source.name, found=version
            )
        parts = []
        for size in sizes:
            parts.append(body[at : at + size])
            at += (size + 7) // 8 * 8 if version == 1 else size
        name = parts[0].split(b"\0")[0].decode("utf-8", "surrogateescape")
        space = Space((), False)
        try:
            raw = self._shared(parts[1], 3) if version > 1 and flags & 1 else parts[1]
            kind = datatype(raw)
            space = self.space(self._shared(parts[2], 1) if version > 1 and flags & 2 else parts[2])
        except BadType as error:
            return Attribute(name, None, space, b"", str(error))
        count = 0 if space.null else prod(space.shape)
        if count * kind.size > len(body) - at:
            return Attribute(name, kind, space, b"", "its bytes are not all there")
        return Attribute(name, kind, space, body[at : at + count * kind.size])

    # -- global heap -----------------------------------------------------------------------------------------
    def variable(self, reference: bytes) -> bytes:
        """The bytes of a variable-length element (length, heap address, index). Raises
        :class:`DamagedCheckpoint`.
        """
        length = self.number(reference, 0, 4)
        address, index = self.number(reference, 4, self.wide), self.number(reference, 4 + self.wide, 4)
        if length == 0:
            return b""
        heap = self._heaps.get(address)
        if heap is None:
            heap = self._heaps[address] = self._global_heap(address)
        found = heap.get(index)
        if found is None or length > found[1]:
            raise self.bad("a variable-length value is not in its heap", address, expected=f"object {index}")
        return self.bytes_at(found[0], length)

    def _global_heap(self, address: int) -> dict[int, tuple[int, int]]:
        head = self.bytes_at(address, 8 + self.long)
        if head[:4] != b"GCOL":
            raise self.bad("no HDF5 global heap where one is pointed to", address)
        size = self.number(head, 8, self.long)
        if self.place(address) + size > self.source.size:
            raise Truncated(
                "an HDF5 global heap runs past the end of the file",
                file=self.source.name,
                offset=self.place(address),
                expected=f"{size} bytes",
                found=f"{self.source.size - self.place(address)}",
            )
        found: dict[int, tuple[int, int]] = {}
        at = 8 + self.long
        at = (at + 7) // 8 * 8
        width = 8 + self.long
        while at + width <= size:
            self.spend()
            entry = self.bytes_at(address + at, width)
            index, length = struct.unpack_from("<H", entry)[0], self.number(entry, 8, self.long)
            if index == 0 or length > size:
                break
            found[index] = (address + at + width, length)
            at += width + (length + 7) // 8 * 8
        return found


def lenient(error: HoldfastError | Unsupported) -> str:
    """What went wrong, for a fault."""
    return error.message if isinstance(error, HoldfastError) else str(error)
