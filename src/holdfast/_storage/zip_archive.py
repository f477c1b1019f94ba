"""Zip archives read by ranges: the directory first, members as sources, CRC-32 as checks.

Why not :mod:`zipfile`: members must be zero-copy sources at known offsets, the directory of a hostile file must not cost
more memory than the file, damage must be told with its place, and CRC-32 must be checked wherever the writer computed it,
on every Python version.

Format facts: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14-4.3.16 (zip64 and
end records), 4.5.3 (zip64 extra field).
"""

from __future__ import annotations

import struct
import threading
import zlib
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from .._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, NotReadable, Truncated
from .._core.fault import Check, Fault, Progress
from .source import Source

__all__ = ["Member", "ZipArchive", "directory_bytes", "looks_like_zip"]

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct(
    "<4s4xHH4xIIIHHH8xI"
)  # what is used of an entry; versions, times, attributes are not
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_ZIP64 = struct.Struct("<4xQQQ")
_STEP = 1 << 20
_WHOLE = 16 << 20  # a deflated member up to this size is inflated into memory once; above it, it is streamed
_SEARCH = (
    1 << 20
)  # how far before the end the end record is looked for (a comment has at most 64 KiB; junk may follow)
_RATIO = 1100  # deflate cannot expand more than 1032:1 (zlib's technical notes)


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
    """The directory of a zip as it lies there, unparsed. Raises as :class:`ZipArchive` does for a lost one."""
    archive = ZipArchive.__new__(ZipArchive)
    archive.source, archive.faults = source, []
    end, _, size, _ = archive._find_end()
    return source.read(end - size, size)


class ZipArchive:
    """The directory of a zip, and its members as sources.

    Raises :class:`Truncated` where the end record is missing, :class:`DamagedCheckpoint` where the directory contradicts
    itself or the file, :class:`LimitExceeded` where it promises more entries than its bytes can hold.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.members: dict[str, Member] = {}
        self.faults: list[Fault] = []
        self._payloads: dict[str, int] = {}
        self._read_directory()

    # -- directory -------------------------------------------------------------------------------------------------
    def _read_directory(self) -> None:
        end, count, size, offset = self._find_end()
        start = (
            end - size
        )  # where the directory really lies; differs from `offset` by what was put before the zip
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

    def _find_end(self) -> tuple[int, int, int, int]:
        """End of the directory, number of members, its size, its recorded offset."""
        tail = self.source.tail(_SEARCH)
        base = self.source.size - len(tail)
        at = tail.rfind(b"PK\x05\x06")
        while at >= 0 and len(tail) - at < _END.size:
            at = tail.rfind(b"PK\x05\x06", 0, at)
        if at < 0:
            raise Truncated(
                "the zip directory at the end of the file is missing: the file is cut off, or its writer was killed",
                file=self.source.name,
                offset=self.source.size,
                expected="an end-of-central-directory record",
                found=f"none in the last {len(tail)} bytes",
                remedy="Copy or download it again and compare sizes; if this is the only copy, use the previous checkpoint.",
            )
        _, disk, _, _, count, size, offset, comment = _END.unpack_from(tail, at)
        end = base + at
        after = self.source.size - end - _END.size
        if after != comment:
            self.faults.append(
                Fault(
                    "trailing-bytes",
                    f"{after - comment} bytes follow the end of the zip archive"
                    if after > comment
                    else "the zip comment is cut off",
                    file=self.source.name,
                    offset=end + _END.size + comment,
                    seen=after,
                    expected=comment,
                )
            )
        if at >= _LOCATOR.size and tail[at - _LOCATOR.size : at - _LOCATOR.size + 4] == b"PK\x06\x07":
            _, _, place, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
            # The recorded place misses what was put before the archive; the record then stands right before the locator.
            for place64 in (place, end - _LOCATOR.size - _END64.size):
                if 0 <= place64 <= self.source.size - _END64.size:
                    fields = _END64.unpack(self.source.read(place64, _END64.size))
                    if fields[0] == b"PK\x06\x06":
                        _, _, _, _, disk, _, _, count, size, offset = fields
                        end = place64
                        break
            else:
                raise DamagedCheckpoint(
                    "the zip64 end record is not where the locator says",
                    file=self.source.name,
                    offset=end,
                    found=place,
                )
        if disk not in (0, 0xFFFF, 0xFFFFFFFF):
            raise NotReadable(
                "a zip archive split over several volumes", file=self.source.name, found=f"volume {disk}"
            )
        if size > end:
            raise DamagedCheckpoint(
                "the zip directory is larger than what stands before its end",
                file=self.source.name,
                offset=end,
                expected=f"at most {end} bytes",
                found=f"{size}",
            )
        return end, count, size, offset

    def _read_entries(self, directory: bytes, count: int, start: int) -> int:
        """Read all entries of the directory, which begins at ``start``; gives the position behind the last one. One
        loop, as there are tens of thousands."""
        unpack, members, shift, room = _CENTRAL.unpack_from, self.members, self._shift, len(directory)
        position, free, in_order = (
            0,
            0,
            True,
        )  # `free`: where the members so far end, as far as the directory tells
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
            name = raw.decode("utf-8", "surrogateescape") if flags & 0x800 else _old_name(raw)
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
            elif method == 8 and size > compressed * _RATIO + 1024:
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

    # -- members ---------------------------------------------------------------------------------------------------
    def __contains__(self, name: object) -> bool:
        return name in self.members

    def member(self, name: str) -> Member:
        """The directory's entry; raises :class:`DamagedCheckpoint` where there is none."""
        found = self.members.get(name)
        if found is None:
            raise DamagedCheckpoint(
                "a member is missing from the zip archive", file=self.source.name, expected=name
            )
        return found

    def payload(self, name: str) -> int:
        """Offset of the member's bytes in the archive; reads its local header, which must agree in name."""
        known = self._payloads.get(name)
        if known is not None:
            return known
        member = self.member(name)
        probable = _LOCAL.size + len(
            name
        )  # where the name is ASCII, as nearly all are; one read gives both then
        head = self.source.read(
            member.header, max(_LOCAL.size, min(probable, self.source.size - member.header))
        )
        fields = _LOCAL.unpack_from(head)
        if fields[0] != b"PK\x03\x04":
            raise DamagedCheckpoint(
                f"the local header of zip member {name!r} is not there",
                file=self.source.name,
                offset=member.header,
                expected="the signature PK\\x03\\x04",
                found=repr(fields[0]),
            )
        local = head[_LOCAL.size :]
        if len(local) != fields[9]:
            local = self.source.read(member.header + _LOCAL.size, fields[9])
        text = local.decode("utf-8", "surrogateescape") if member.flags & 0x800 else _old_name(local)
        if text != name:
            raise DamagedCheckpoint(
                "directory and local header of a zip member disagree",
                file=self.source.name,
                offset=member.header,
                expected=name,
                found=text,
            )
        place = member.header + _LOCAL.size + fields[9] + fields[10]
        if place + member.compressed > self.source.size:
            raise Truncated(
                f"zip member {name!r} runs past the end of the file",
                file=self.source.name,
                offset=place,
                expected=f"{member.compressed} bytes",
                found=f"{max(0, self.source.size - place)}",
            )
        self._payloads[name] = place
        return place

    def open(self, name: str) -> Source:
        """The member as a source: a zero-copy slice where it is stored, else inflated as it is read."""
        member = self.member(name)
        label = f"{self.source.name}:{name}"
        if member.flags & 1:
            raise NotReadable("the zip member is encrypted", file=label)
        place = self.payload(name)
        if member.method == 0:
            return self.source.slice(place, member.compressed, label)
        if member.method != 8:
            raise NotReadable(
                "the zip member is compressed by a method that no framework writes",
                file=label,
                expected="0 (stored) or 8 (deflated)",
                found=member.method,
            )
        if member.size > member.compressed * _RATIO + 1024:
            raise LimitExceeded(
                "the zip member promises more than deflate can give",
                file=label,
                offset=place,
                expected=f"at most {member.compressed * _RATIO} bytes",
                found=member.size,
            )
        return _Inflated(self.source, place, member, label)

    def check(self, name: str, tensor: str | None = None) -> Check | None:
        """The member's CRC-32 as a check; ``None`` where the writer did not compute it (0 for a non-empty member)."""
        member = self.member(name)
        if member.crc == 0 and member.size > 0:
            return None
        run = partial(
            ZipArchive._run_check, self, member, tensor
        )  # not bound first: there may be tens of thousands
        span = partial(ZipArchive._span, self, member)
        expected = member.crc if member.method == 0 else None
        return Check("crc32", self.source.name, member.header, member.size, run, tensor, span, expected)

    def _span(self, member: Member) -> tuple[int, int]:
        """The bytes of the file that the CRC-32 is about; the local header's place where it cannot be read."""
        try:
            return self.payload(member.name), member.compressed
        except HoldfastError:
            return member.header, member.compressed

    def _run_check(self, member: Member, tensor: str | None, progress: Progress) -> Fault | None:
        label = f"{self.source.name}:{member.name}"
        try:
            place = self.payload(member.name)
            source = self.open(member.name)
            crc = 0
            for chunk in source.chunks(step=_STEP):
                crc = zlib.crc32(chunk, crc)
                progress(len(chunk))
        except HoldfastError as error:
            slug = "truncated" if isinstance(error, Truncated) else "checksum"
            return Fault(slug, error.message, label, error.offset, tensor, error.found, error.expected)
        if crc != member.crc:
            return Fault(
                "checksum",
                f"the bytes of zip member {member.name!r} contradict its CRC-32",
                file=self.source.name,
                offset=place,
                tensor=tensor,
                seen=f"{crc:08x}",
                expected=f"{member.crc:08x}",
                attributes={"kind": "crc32", "member": member.name, "length": member.size},
            )
        return None


def _old_name(raw: bytes) -> str:
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


class _Inflated(Source):
    """A deflated member. Small ones are inflated once; large ones as a stream that starts again when asked backwards."""

    def __init__(self, source: Source, place: int, member: Member, name: str) -> None:
        self.name, self.size = name, member.size
        self._source, self._place, self._member = source, place, member
        self._lock = threading.Lock()
        self._whole: bytes | None = None
        self._most = _WHOLE + 2 * source.size  # bytes given out at once
        self._restart()

    def _restart(self) -> None:
        self._engine = zlib.decompressobj(-15)
        self._taken = 0  # compressed bytes consumed
        self._at = 0  # plain bytes produced
        self._rest = b""

    def _more(self, limit: int) -> bytes:
        """Up to ``limit`` further plain bytes; empty at the end of the stream."""
        while not self._engine.eof:
            if not self._rest:
                length = max(0, min(_STEP, self._member.compressed - self._taken))
                self._rest = self._source.read(self._place + self._taken, length)
                self._taken += length
            ended = not self._rest  # all is fed; what comes now was held back by `limit`
            try:
                out = self._engine.decompress(self._rest, limit)
            except zlib.error as error:
                raise DamagedCheckpoint(
                    f"the deflated bytes are damaged: {error}",
                    file=self.name,
                    offset=self._place + self._taken,
                ) from error
            self._rest = self._engine.unconsumed_tail
            if out:
                self._at += len(out)
                if self._at > self.size:
                    raise DamagedCheckpoint(
                        "more bytes come out than the directory says", file=self.name, expected=self.size
                    )
                return out
            if ended:
                break
        return b""

    def _read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        if length > self._most:
            raise LimitExceeded(
                "a deflated member would take far more memory at once than the file has bytes",
                file=self.name,
                expected=f"at most {self._most} bytes",
                found=f"{length}",
                remedy="If you trust it, unpack the archive and open what was in it.",
            )
        with self._lock:
            if self._whole is None and self.size <= _WHOLE:
                self._restart()
                parts = []
                while part := self._more(_STEP):
                    parts.append(part)
                self._whole = b"".join(parts)
            if self._whole is not None:
                return self._whole[offset : offset + length]
            if offset < self._at:
                self._restart()
            while self._at < offset:
                if not self._more(min(_STEP, offset - self._at)):
                    return b""
            parts, have = [], 0
            while have < length and (part := self._more(min(_STEP, length - have))):
                parts.append(part)
                have += len(part)
            return b"".join(parts)
