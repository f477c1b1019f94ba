"""Chunked HDF5 data: where the chunks lie, and how they are unpacked.

Format facts: HDF5 File Format Specification 3.0, sections III.A.1 (version 1 B-trees, node type 1), IV.A.2.i
(layout
messages), IV.A.2.l (filter pipeline); ``H5Zshuffle.c``, ``H5Zfletcher32.c`` and ``H5checksum.c`` for the
filters.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from ..._core.errors import ChecksumMismatch, DamagedCheckpoint, LimitExceeded
from .tree import Tree, Unsupported

__all__ = [
    "Chunk",
    "Filter",
    "chunk_index",
    "filters_of",
    "fletcher32",
    "unpacked",
    "DEFLATE",
    "SHUFFLE",
    "FLETCHER",
]

DEFLATE, SHUFFLE, FLETCHER = 1, 2, 3
_NAMES = {4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32015: "zstd"}


class Filter(NamedTuple):
    """One step of the pipeline: its registered number and its parameters."""

    code: int
    values: tuple[int, ...]

    @property
    def title(self) -> str:
        return _NAMES.get(self.code, f"filter {self.code}")


class Chunk(NamedTuple):
    """Where one chunk lies: first index per dimension, address, bytes stored, filters that were left out."""

    start: tuple[int, ...]
    address: int
    size: int
    skipped: int


def filters_of(body: bytes | None) -> tuple[Filter, ...]:
    """The filters of a pipeline message, in the order in which they were applied."""
    if not body:
        return ()
    version, count = body[0], body[1]
    at = 8 if version == 1 else 2
    found = []
    for _ in range(count):
        code = struct.unpack_from("<H", body, at)[0]
        at += 2
        length = 0
        if version == 1 or code >= 256:
            length = struct.unpack_from("<H", body, at)[0]
            at += 2
        _, number = struct.unpack_from("<HH", body, at)
        at += 4 + ((length + 7) // 8 * 8 if version == 1 else length)
        values = struct.unpack_from(f"<{number}I", body, at)
        at += 4 * number + (4 if version == 1 and number % 2 else 0)
        found.append(Filter(code, values))
    return tuple(found)


def chunk_index(tree: Tree, address: int, rank: int) -> list[Chunk]:
    """All chunks of a dataset, out of its version 1 B-tree at ``address``; empty where none was written.

    Raises :class:`DamagedCheckpoint` on a broken tree.
    """
    if address == tree.undefined:
        return []
    found: list[Chunk] = []
    _walk(tree, address, rank, found, set(), None)
    return found


def _walk(tree: Tree, address: int, rank: int, found: list[Chunk], seen: set[int], above: int | None) -> None:
    if address in seen:
        raise DamagedCheckpoint(
            "an HDF5 chunk tree runs in a circle", file=tree.source.name, offset=tree.place(address)
        )
    seen.add(address)
    head = tree.bytes_at(address, 8 + 2 * tree.wide)
    if head[:4] != b"TREE" or head[4] != 1:
        raise DamagedCheckpoint(
            "no HDF5 chunk tree where one is pointed to", file=tree.source.name, offset=tree.place(address)
        )
    level, used = head[5], struct.unpack_from("<H", head, 6)[0]
    if above is not None and level != above - 1:
        raise DamagedCheckpoint(
            "an HDF5 chunk tree of contradictory depth", file=tree.source.name, offset=tree.place(address)
        )
    key = 8 + 8 * (rank + 1)
    width = key + tree.wide
    body = tree.bytes_at(address + 8 + 2 * tree.wide, used * width + key)
    for index in range(used):
        tree.spend()
        at = index * width
        child = tree.number(body, at + key, tree.wide)
        if level:
            _walk(tree, child, rank, found, seen, level)
        else:
            size, skipped = struct.unpack_from("<II", body, at)
            found.append(Chunk(struct.unpack_from(f"<{rank}Q", body, at + 8), child, size, skipped))


def fletcher32(data: bytes) -> int:
    """HDF5's Fletcher-32 of ``data``: big-endian 16-bit words, an odd last byte as the high half of a
    word.
    """
    words = np.frombuffer(data + b"\0" if len(data) % 2 else data, ">u2").astype(np.uint64)
    first = second = 0
    for start in range(0, len(words), 1 << 20):
        part = words[start : start + (1 << 20)]
        count = len(part)
        weights = np.arange(count, 0, -1, dtype=np.uint64)
        second = (second + count * first + int((part * weights % 65535).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    return second << 16 | first


def _agree(data: bytes, stored: int) -> bool:
    """Whether a stored sum is that of ``data``; 0 and 0xffff are one in both halves, old libraries swapped
    the bytes.
    """
    wanted = fletcher32(data)

    def same(one: int, other: int) -> bool:
        return all((one >> s & 0xFFFF) % 65535 == (other >> s & 0xFFFF) % 65535 for s in (0, 16))

    swapped = (stored & 0x00FF00FF) << 8 | (stored & 0xFF00FF00) >> 8
    return same(stored, wanted) or same(swapped, wanted)


def unpacked(
    data: bytes,
    filters: tuple[Filter, ...],
    skipped: int,
    expected: int,
    itemsize: int,
    where: str,
    offset: int,
) -> bytes:
    """A chunk's bytes with its filters undone; never more than ``expected`` bytes.

    Raises :class:`ChecksumMismatch` (Fletcher-32), :class:`DamagedCheckpoint`, :class:`Unsupported`.
    """
    for index in range(len(filters) - 1, -1, -1):
        if skipped >> index & 1:
            continue
        one = filters[index]
        if one.code == FLETCHER:
            data, stored = data[:-4], int.from_bytes(data[-4:], "little")
            if not _agree(data, stored):
                raise ChecksumMismatch(
                    "a chunk contradicts its Fletcher-32 checksum",
                    file=where,
                    offset=offset,
                    expected=f"{stored:08x}",
                    found=f"{fletcher32(data):08x}",
                )
        elif one.code == DEFLATE:
            try:
                engine = zlib.decompressobj()
                data = engine.decompress(data, expected + 8)
            except zlib.error as error:
                raise DamagedCheckpoint(
                    "a compressed chunk cannot be unpacked", file=where, offset=offset, found=str(error)
                ) from None
        elif one.code == SHUFFLE:
            size = one.values[0] if one.values else itemsize
            whole = len(data) // size * size if 0 < size <= len(data) else 0
            if size > 1 and whole:
                part = np.frombuffer(data[:whole], np.uint8).reshape(size, -1).T
                data = part.tobytes() + data[whole:]
        else:
            raise Unsupported(f"chunks compressed with {one.title}")
        if len(data) > expected + 8:
            raise LimitExceeded(
                "a chunk unpacks to more than its size", file=where, offset=offset, expected=expected
            )
    if len(data) != expected:
        raise DamagedCheckpoint(
            "a chunk of another size than its dataset's chunks",
            file=where,
            offset=offset,
            expected=expected,
            found=len(data),
        )
    return data


def pieces_of(
    chunks: list[Chunk], shape: tuple[int, ...], sides: tuple[int, ...]
) -> Iterator[tuple[Chunk, tuple[slice, ...], tuple[slice, ...]]]:
    """Each chunk with its place in the whole and the part of it that counts (edge chunks stick out)."""
    for chunk in chunks:
        whole, part = [], []
        for start, side, length in zip(chunk.start, sides, shape, strict=True):
            stop = min(start + side, length)
            if start >= length:
                break
            whole.append(slice(start, stop))
            part.append(slice(0, stop - start))
        else:
            yield chunk, tuple(whole), tuple(part)


def complete(chunks: list[Chunk], shape: tuple[int, ...], sides: tuple[int, ...]) -> tuple[int, int]:
    """How many different chunks inside the shape there are, and how many there must be."""
    needed = prod(ceil(n / c) for n, c in zip(shape, sides, strict=True))
    inside = {
        c.start
        for c in chunks
        if all(s < n and s % side == 0 for s, n, side in zip(c.start, shape, sides, strict=True))
    }
    return len(inside), needed
