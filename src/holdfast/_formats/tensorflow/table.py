"""The immutable table of LevelDB, as TensorFlow writes it for ``.index`` files.

The file is a run of blocks and a footer of 48 bytes. Footer: the handles (varint64 offset, varint64 size) of
the metaindex block and of the index block, zero bytes up to 40, then the magic number. Each block is
followed by one byte of compression (0 raw, 1 snappy) and the masked crc32c of block and that byte. A block
holds entries ``varint32 shared, varint32 non-shared, varint32 value length, key tail, value`` and ends with
its restart points. The values of the index block are the handles of the data blocks. Sources:
tensorflow/core/lib/io/format.{h,cc}, block.cc, table_builder.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..._core.errors import ChecksumMismatch, DamagedCheckpoint, HoldfastError, LimitExceeded, Truncated
from ..._core.fault import Check, Fault, Progress
from ..._storage import Source
from ..protobuf import varint
from .snappy import decompress

__all__ = ["MAGIC", "FOOTER", "Handle", "Table", "looks_like_table", "masked_crc32c", "unmask"]

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = 5
BLOCK_LIMIT = 16 << 20  # TensorFlow starts a new block after 256 KiB
KEY_LIMIT = 1 << 16


class Handle(NamedTuple):
    """Where a block lies: its offset and its size without the five bytes behind it."""

    offset: int
    size: int


def masked_crc32c(data: bytes | memoryview, crc: int = 0) -> int:
    """The crc32c (Castagnoli) of ``data``, masked as TensorFlow stores it
    (tensorflow/core/lib/hash/crc32c.h).
    """
    import crc32c

    return mask(crc32c.crc32c(data, crc))


def mask(crc: int) -> int:
    """A crc as it is stored: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The crc that :func:`mask` hid."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def looks_like_table(source: Source) -> bool:
    """Whether the last eight bytes are the magic number."""
    return source.size >= FOOTER and source.tail(8) == struct.pack("<Q", MAGIC)


class Table:
    """A table's blocks, each verified against its crc32c when it is read.

    ``faults`` collects blocks that are damaged while others can still be read, and bytes of the file that
    belong to no block. Raises :class:`Truncated`, :class:`DamagedCheckpoint` or :class:`ChecksumMismatch`
    when the footer or the index block is unusable.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[Fault] = []
        self.damaged: list[Handle] = []
        if source.size < FOOTER:
            raise Truncated(
                "too short for a table",
                file=source.name,
                expected=f"at least {FOOTER} bytes",
                found=f"{source.size}",
                remedy="The file is cut off; copy it anew.",
            )
        footer = source.tail(FOOTER)
        if footer[40:] != struct.pack("<Q", MAGIC):
            raise DamagedCheckpoint(
                "the footer of the index is not there",
                file=source.name,
                offset=source.size - 8,
                expected=f"magic {MAGIC:#018x}",
                found=footer[40:].hex(),
                remedy="The file is cut off or is no TensorFlow index.",
            )
        try:
            at = 0
            numbers = []
            for _ in range(4):
                number, at = varint(footer, at, 40)
                numbers.append(number)
        except DamagedCheckpoint as error:
            raise _placed(error, source, source.size - FOOTER) from error
        self.meta, self.index = Handle(*numbers[:2]), Handle(*numbers[2:])
        if any(footer[at:40]):
            self._fault(
                "malformed", "bytes that must be zero in the footer are not", source.size - FOOTER + at
            )
        self.blocks = [handle for _, handle in self._handles()]
        if sum(handle.size + TRAILER for handle in self.blocks) > source.size:
            raise DamagedCheckpoint(
                "the blocks of the index lie upon each other", file=source.name, offset=self.index.offset
            )
        self._check_tiling()

    def _handles(self) -> Iterator[tuple[bytes, Handle]]:
        for key, value in entries(self.block(self.index), self.source.name, self.index.offset):
            offset, at = varint(value, 0)
            size, at = varint(value, at)
            yield key, Handle(offset, size)

    def _check_tiling(self) -> None:
        """The writer leaves no gap: data blocks from 0 on, metaindex, index, footer (table_builder.cc,
        Finish).
        """
        at = 0
        for handle in [*self.blocks, self.meta, self.index]:
            if handle.offset != at:
                slug = "hole" if handle.offset > at else "overlap"
                self._fault(
                    slug,
                    "the blocks of the index do not follow each other",
                    at,
                    expected=at,
                    seen=handle.offset,
                )
                return
            at = handle.offset + handle.size + TRAILER
        if at != self.source.size - FOOTER:
            self._fault(
                "hole",
                "bytes of the index belong to no block",
                at,
                expected=at,
                seen=self.source.size - FOOTER,
            )

    def _fault(self, slug: str, message: str, offset: int, **evidence: Any) -> None:
        self.faults.append(Fault(slug, message, file=self.source.name, offset=offset, **evidence))

    def block(self, handle: Handle) -> bytes:
        """The bytes of a block, verified and decompressed, without trailer.

        Raises :class:`Truncated`, :class:`ChecksumMismatch`, :class:`DamagedCheckpoint`,
        :class:`LimitExceeded`.
        """
        source = self.source
        if handle.size > min(BLOCK_LIMIT, source.size):
            raise LimitExceeded(
                "a block of the index claims an absurd size",
                file=source.name,
                offset=handle.offset,
                found=f"{handle.size}",
            )
        raw = source.read(handle.offset, handle.size + TRAILER)
        (stored,) = struct.unpack_from("<I", raw, handle.size + 1)
        found = masked_crc32c(memoryview(raw)[: handle.size + 1])
        if stored != found:
            raise ChecksumMismatch(
                "a block of the index contradicts its crc32c",
                file=source.name,
                offset=handle.offset,
                expected=f"{stored:#010x}",
                found=f"{found:#010x}",
                remedy="The index is damaged; copy it anew from where it came.",
            )
        kind = raw[handle.size]
        if kind == 0:
            return raw[: handle.size]
        if kind != 1:
            raise DamagedCheckpoint(
                "a block of the index is compressed in an unknown way",
                file=source.name,
                offset=handle.offset + handle.size,
                expected="0 (raw) or 1 (snappy)",
                found=str(kind),
            )
        try:
            return decompress(memoryview(raw)[: handle.size], BLOCK_LIMIT)
        except DamagedCheckpoint as error:
            raise _placed(error, source, handle.offset) from error

    def __iter__(self) -> Iterator[tuple[bytes, memoryview]]:
        """All entries of all data blocks in stored order; blocks that cannot be read become faults."""
        for handle in self.blocks:
            try:
                data = self.block(handle)
                yield from entries(data, self.source.name, handle.offset)
            except DamagedCheckpoint as error:
                slug = {ChecksumMismatch: "checksum", Truncated: "truncated", LimitExceeded: "limit"}.get(
                    type(error), "malformed"
                )
                self.damaged.append(handle)
                self._fault(slug, error.message, handle.offset, expected=error.expected, seen=error.found)

    def checks(self) -> Iterator[Check]:
        """One check a block."""
        for handle in [*self.blocks, self.meta, self.index]:
            yield Check("crc32c", self.source.name, handle.offset, handle.size + TRAILER, self._check(handle))

    def _check(self, handle: Handle) -> Callable[[Progress], Fault | None]:
        def run(progress: Progress) -> Fault | None:
            try:
                self.block(handle)
            except HoldfastError as error:
                slug = "truncated" if isinstance(error, Truncated) else "checksum"
                return Fault(
                    slug, error.message, self.source.name, handle.offset, None, error.found, error.expected
                )
            progress(handle.size + TRAILER)
            return None

        return run


def entries(block: bytes, file: str, offset: int) -> Iterator[tuple[bytes, memoryview]]:
    """The entries of a block: whole key and value (a view into the block)."""
    view = memoryview(block)
    if len(view) < 4:
        raise DamagedCheckpoint("a block without restart points", file=file, offset=offset)
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(view) - 4 - 4 * restarts
    if end < 0:
        raise DamagedCheckpoint(
            "a block has more restart points than bytes", file=file, offset=offset, found=str(restarts)
        )
    key, at = b"", 0
    while at < end:
        if at + 3 <= end and (block[at] | block[at + 1] | block[at + 2]) < 0x80:
            shared, fresh, length = block[at], block[at + 1], block[at + 2]
            at += 3
        else:
            shared, at = varint(view, at, end)
            fresh, at = varint(view, at, end)
            length, at = varint(view, at, end)
        if shared > len(key) or fresh > end - at or length > end - at - fresh or shared + fresh > KEY_LIMIT:
            raise DamagedCheckpoint(
                "an entry of the index reaches beyond its block", file=file, offset=offset + at
            )
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, view[at : at + length]
        at += length


def _placed(error: DamagedCheckpoint, source: Source, base: int) -> DamagedCheckpoint:
    """The same error with file and absolute offset."""
    return type(error)(
        error.message,
        file=source.name,
        offset=base + (error.offset or 0),
        expected=error.expected,
        found=error.found,
    )
