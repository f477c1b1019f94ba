"""The links of an HDF5 group: symbol tables (a B-tree of nodes, names in a local heap), and link messages.

Format facts: HDF5 File Format Specification 3.0, sections III.A (B-trees), III.B/C (symbol tables), III.D (local heaps), IV.A
(link messages).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..._core.errors import Truncated
from .tree import ObjectHeader, Tree, Unsupported

__all__ = ["Link", "links_of"]


class Link(NamedTuple):
    """A link: ``hard`` with an address, ``soft`` with a path, or ``external``."""

    name: str
    kind: str
    address: int
    target: str


def links_of(tree: Tree, group: ObjectHeader) -> Iterator[Link]:
    """The links of a group, in the order in which they are kept (by name in symbol tables)."""
    table = group.first(0x0011)
    if table is not None:
        heap = _local_heap(tree, tree.number(table, tree.wide, tree.wide))
        yield from _symbols(tree, tree.number(table, 0, tree.wide), heap, set(), None)
    info = group.first(0x0002)
    if info is not None:
        at = 2 + (8 if len(info) > 1 and info[1] & 1 else 0)
        if tree.number(info, at, tree.wide) != tree.undefined:
            raise Unsupported("a group with dense links (a fractal heap)")
    for _, body in group.messages.get(0x0006, ()):
        yield _link(tree, body)


def _local_heap(tree: Tree, address: int) -> bytes:
    head = tree.bytes_at(address, 8 + 2 * tree.long + tree.wide)
    if head[:4] != b"HEAP":
        raise tree.bad("no HDF5 local heap where one is pointed to", address)
    return tree.bytes_at(tree.number(head, 8 + 2 * tree.long, tree.wide), tree.number(head, 8, tree.long))


def _symbols(tree: Tree, address: int, heap: bytes, seen: set[int], above: int | None) -> Iterator[Link]:
    if address in seen:
        raise tree.bad("an HDF5 B-tree runs in a circle", address)
    seen.add(address)
    tree.spend()
    head = tree.bytes_at(address, 8 + 2 * tree.wide)
    if head[:4] != b"TREE" or head[4] != 0:
        raise tree.bad("no HDF5 B-tree where one is pointed to", address)
    level, used = head[5], struct.unpack_from("<H", head, 6)[0]
    if above is not None and level != above - 1:
        raise tree.bad("an HDF5 B-tree of contradictory depth", address, expected=above - 1, found=level)
    body = tree.bytes_at(address + 8 + 2 * tree.wide, used * (tree.long + tree.wide) + tree.long)
    for index in range(used):
        child = tree.number(body, tree.long + index * (tree.long + tree.wide), tree.wide)
        if level:
            yield from _symbols(tree, child, heap, seen, level)
        else:
            yield from _symbol_node(tree, child, heap, seen)


def _symbol_node(tree: Tree, address: int, heap: bytes, seen: set[int]) -> Iterator[Link]:
    if address in seen:
        raise tree.bad("an HDF5 symbol table runs in a circle", address)
    seen.add(address)
    head = tree.bytes_at(address, 8)
    if head[:4] != b"SNOD":
        raise tree.bad("no HDF5 symbol table where one is pointed to", address)
    count, width = struct.unpack_from("<H", head, 6)[0], 2 * tree.wide + 24
    body = tree.bytes_at(address + 8, count * width)
    for index in range(count):
        tree.spend()
        at = index * width
        name = _text(tree, heap, tree.number(body, at, tree.wide), address)
        where = tree.number(body, at + tree.wide, tree.wide)
        cached = struct.unpack_from("<I", body, at + 2 * tree.wide)[0]
        if cached == 2:
            value = struct.unpack_from("<I", body, at + 2 * tree.wide + 8)[0]
            yield Link(name, "soft", 0, _text(tree, heap, value, address))
        else:
            yield Link(name, "hard", where, "")


def _text(tree: Tree, heap: bytes, at: int, address: int) -> str:
    end = heap.find(0, at) if at < len(heap) else -1
    if end < 0:
        raise tree.bad("an HDF5 name lies outside its heap", address, found=at)
    return heap[at:end].decode("utf-8", "surrogateescape")


def _link(tree: Tree, body: bytes) -> Link:
    flags = tree.number(body, 1, 1)
    at = 2
    kind = tree.number(body, at, 1) if flags & 8 else 0
    at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = tree.number(body, at, width)
    at += width
    name = body[at : at + length]
    if len(name) < length:
        raise Truncated("an HDF5 link is cut off", file=tree.source.name)
    text = name.decode("utf-8", "surrogateescape")
    at += length
    if kind == 0:
        return Link(text, "hard", tree.number(body, at, tree.wide), "")
    size = tree.number(body, at, 2)
    target = body[at + 2 : at + 2 + size].decode("utf-8", "surrogateescape")
    return Link(text, "soft" if kind == 1 else "external", 0, target)
