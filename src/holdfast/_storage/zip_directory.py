"""A zip's directory, read from its end: the members, where they lie, and what is wrong with what it says of them.

Format facts: PKWARE APPNOTE.TXT 6.3, sections 4.3.12 (central directory), 4.3.14-4.3.16 (zip64 and end records), 4.5.3 (zip64
extra field).
"""

from __future__ import annotations

import struct
from operator import attrgetter
from typing import NamedTuple

from .._core.errors import DamagedCheckpoint, LimitExceeded, NotReadable, Truncated
from .._core.fault import Fault
from .source import Source

__all__ = ["EXPANSION", "Member", "ZipDirectory", "directory_bytes", "looks_like_zip", "name_of"]

_CENTRAL = struct.Struct("<4s4xHH4xIIIHHH8xI")  # what is used of an entry: no versions, times, attributes
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_ZIP64 = struct.Struct("<4xQQQ")
_SECTOR = 512
_SEARCH = 1 << 20
"""How far from the file's end the end record is looked for: a comment has at most 64 KiB, and junk may follow."""
EXPANSION = 1100
"""Deflate cannot expand more than 1032:1 (zlib's technical notes)."""


class Member(NamedTuple):
    """One member: method (0 stored, 8 deflated), flags, CRC-32, compressed and plain size, offset of its local header."""

    name: str
    method: int
    flags: int
    crc: int
    compressed: int
    size: int
    header: int


_member = tuple.__new__  # a named tuple's own constructor is a function of Python's


def looks_like_zip(source: Source) -> bool:
    """Whether the content begins like a zip (a local header, or the end record of an empty archive)."""
    return source.head(4) in (b"PK\x03\x04", b"PK\x05\x06")


def directory_bytes(source: Source) -> bytes:
    """The directory of a zip as it lies there, unparsed. Raises as :class:`ZipDirectory` does for a lost one."""
    end, _, size, _ = _find_end(source, [])
    return source.read(end - size, size)


class ZipDirectory:
    """The directory of a zip: ``members`` by name, and ``faults`` that do not keep the rest from being read.

    Raises :class:`Truncated` where the end record is missing, :class:`DamagedCheckpoint` where the directory contradicts
    itself or the file, :class:`LimitExceeded` where it promises more entries than its bytes can hold.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.members: dict[str, Member] = {}
        self.faults: list[Fault] = []
        self._read()

    def _read(self) -> None:
        end, count, size, offset = _find_end(self.source, self.faults)
        start = end - size  # where it really lies; differs from `offset` by what was put before the zip
        if start < 0 or (offset > start):
            raise DamagedCheckpoint(
                "the zip directory would begin before the file",
                file=self.source.name,
                offset=end,
                expected=f"a directory of {size} bytes before this place",
                found=f"offset {offset}",
            )
        self._shift = start - offset
        if count * _CENTRAL.size > size:
            raise LimitExceeded(
                "the zip directory promises more members than it has room for",
                file=self.source.name,
                offset=start,
                expected=f"{count} members of at least {_CENTRAL.size} bytes",
                found=f"{size} bytes",
            )
        if self._shift:
            self.faults.append(
                Fault(
                    "malformed",
                    f"{self._shift} bytes stand before the zip archive",
                    file=self.source.name,
                    offset=0,
                    seen=self._shift,
                    expected=0,
                )
            )
        directory = self.source.read(start, size)
        position = self._read_entries(directory, count, start)
        if position != size:
            self.faults.append(
                Fault(
                    "malformed",
                    f"{size - position} bytes of the zip directory belong to no member",
                    file=self.source.name,
                    offset=start + position,
                )
            )

    def _read_entries(self, directory: bytes, count: int, start: int) -> int:
        """Read all entries of the directory, which begins at ``start``; gives the position behind the last one. One
        loop, as there are tens of thousands."""
        unpack, members, shift, room = _CENTRAL.unpack_from, self.members, self._shift, len(directory)
        position, in_order = 0, True
        free = 0  # where the members so far end, as far as the directory tells
        for index in range(count):
            after = position + _CENTRAL.size
            if after > room or directory[position : position + 4] != b"PK\x01\x02":
                raise DamagedCheckpoint(
                    f"entry {index} of the zip directory is broken",
                    file=self.source.name,
                    offset=start + position,
                    expected="the signature PK\\x01\\x02",
                    found=repr(directory[position : position + 4]),
                )
            _, flags, method, crc, compressed, size, name_length, extra_length, comment_length, header = (
                unpack(directory, position)
            )
            behind = after + name_length
            end = behind + extra_length + comment_length
            if end > room:
                raise DamagedCheckpoint(
                    f"entry {index} of the zip directory runs past its end",
                    file=self.source.name,
                    offset=start + position,
                )
            raw = directory[after:behind]
            name = raw.decode("utf-8", "surrogateescape") if flags & 0x800 else name_of(raw)
            if size == 0xFFFFFFFF or compressed == 0xFFFFFFFF or header == 0xFFFFFFFF:
                size, compressed, header = _zip64(
                    directory[behind : behind + extra_length], size, compressed, header
                )
            header += shift
            member = _member(Member, (name, method, flags, crc, compressed, size, header))
            if header + 30 + compressed > start:
                self._fault_of(member, "truncated", "lies outside the archive", header)
            elif method == 0 and size != compressed:
                self._fault_of(
                    member, "malformed", f"is stored, but {size} bytes are said to take {compressed}", header
                )
            elif method == 8 and size > compressed * EXPANSION + 1024:
                self._fault_of(
                    member,
                    "limit",
                    f"promises {size} bytes out of {compressed}: more than deflate can give",
                    header,
                )
            if name in members:
                self._fault_of(member, "duplicate-key", "stands twice in the directory", header)
            else:
                members[name] = member
            if header < free:
                in_order = False
            free = header + 30 + name_length + compressed
            position = end
        if not in_order:  # else no member begins before the one before it has ended
            self._look_for_overlaps()
        return position

    def _fault_of(self, member: Member, slug: str, text: str, offset: int) -> None:
        self.faults.append(
            Fault(
                slug,
                f"zip member {member.name!r} {text}",
                file=self.source.name,
                offset=offset,
                seen=member.name,
            )
        )

    def _look_for_overlaps(self) -> None:
        before: Member | None = None
        for member in sorted(self.members.values(), key=attrgetter("header")):
            if before is not None:
                name = before.name
                width = len(name) if name.isascii() else len(name.encode("utf-8", "surrogateescape"))
                if before.header + 30 + width + before.compressed > member.header:
                    self._fault_of(member, "overlap", f"begins inside {before.name!r}", member.header)
            before = member


def _zeros_at_end(source: Source) -> int:
    """How many bytes at the end of a file are zero; read backwards, no further than there are zeros."""
    end = source.size
    while end > 0:
        begin = max(0, end - _SEARCH)
        kept = len(bytes(source.read(begin, end - begin)).rstrip(b"\0"))
        if kept:
            return source.size - begin - kept
        end = begin
    return source.size


def _find_end(source: Source, faults: list[Fault]) -> tuple[int, int, int, int]:
    """End of the directory, number of members, its size, its recorded offset; what is odd about the end goes to ``faults``."""
    tail = source.tail(_SEARCH)
    base = source.size - len(tail)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0 and len(tail) - at < _END.size:
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        zeros = _zeros_at_end(source)
        if zeros > _SECTOR:
            raise Truncated(
                f"the zip directory at the end of the file is missing, and the last {zeros:,} bytes are zero: space was "
                "reserved and never filled (a copy or download that broke off, a crash), or the file is cut off among zeros",
                file=source.name,
                offset=source.size - zeros,
                expected="an end-of-central-directory record",
                found="zeros",
                remedy="Copy or download it again and compare digests: the size is no proof here. If this is the only "
                "copy, use the previous checkpoint.",
            )
        raise Truncated(
            "the zip directory at the end of the file is missing: the file is cut off, or its writer was killed",
            file=source.name,
            offset=source.size,
            expected="an end-of-central-directory record",
            found=f"none in the last {len(tail)} bytes",
            remedy="If it was copied or downloaded, do that again and compare sizes. If it was saved here, the save did not "
            "finish (the program was killed, or the disk is full): use the previous checkpoint, of which `holdfast doctor` "
            "on the folder tells whether it is whole.",
        )
    _, disk, _, _, count, size, offset, comment = _END.unpack_from(tail, at)
    end = base + at
    after = source.size - end - _END.size
    if after != comment:
        faults.append(
            Fault(
                "trailing-bytes",
                f"{after - comment} bytes follow the end of the zip archive"
                if after > comment
                else "the zip comment is cut off",
                file=source.name,
                offset=end + _END.size + comment,
                seen=after,
                expected=comment,
            )
        )
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size : at - _LOCATOR.size + 4] == b"PK\x06\x07":
        _, _, place, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        # The recorded place misses what was put before the archive; the record then stands right before the locator.
        for place64 in (place, end - _LOCATOR.size - _END64.size):
            if 0 <= place64 <= source.size - _END64.size:
                fields = _END64.unpack(source.read(place64, _END64.size))
                if fields[0] == b"PK\x06\x06":
                    _, _, _, _, disk, _, _, count, size, offset = fields
                    end = place64
                    break
        else:
            raise DamagedCheckpoint(
                "the zip64 end record is not where the locator says",
                file=source.name,
                offset=end,
                found=place,
            )
    if disk not in (0, 0xFFFF, 0xFFFFFFFF):
        raise NotReadable(
            "a zip archive split over several volumes", file=source.name, found=f"volume {disk}"
        )
    if size > end:
        raise DamagedCheckpoint(
            "the zip directory is larger than what stands before its end",
            file=source.name,
            offset=end,
            expected=f"at most {end} bytes",
            found=f"{size}",
        )
    return end, count, size, offset


def name_of(raw: bytes) -> str:
    """A name without the UTF-8 flag: ASCII mostly; writers that forget the flag mean UTF-8, the rest is cp437."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _zip64(extra: bytes, size: int, compressed: int, header: int) -> tuple[int, int, int]:
    """Sizes and offset from the zip64 extra field (id 1): those that are 0xFFFFFFFF, in this order, 8 bytes each."""
    if len(extra) >= 28 and extra[:4] == b"\1\0\x18\0" and size == compressed == header == 0xFFFFFFFF:
        return _ZIP64.unpack_from(extra)  # all three, as writers of large files do without looking
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            field = extra[position + 4 : position + 4 + length]
            values = [v for (v,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]
            if size == 0xFFFFFFFF and values:
                size = values.pop(0)
            if compressed == 0xFFFFFFFF and values:
                compressed = values.pop(0)
            if header == 0xFFFFFFFF and values:
                header = values.pop(0)
            break
        position += 4 + length
    return size, compressed, header
