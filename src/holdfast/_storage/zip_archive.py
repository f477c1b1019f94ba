"""Zip archives read by ranges: the directory first, members as sources, CRC-32 as checks.

Why not :mod:`zipfile`: members must be zero-copy sources at known offsets, the directory of a hostile file must not cost
more memory than the file, damage must be told with its place, and CRC-32 must be checked wherever the writer computed it,
on every Python version.

Format facts: PKWARE APPNOTE.TXT 6.3, section 4.3.7 (local header); those of the directory stand with it.
"""

from __future__ import annotations

import struct
from functools import partial

from .._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, NotReadable, Truncated
from .._core.fault import Check, Fault, Progress
from .inflated import Inflated
from .source import Source
from .zip_directory import EXPANSION, Member, ZipDirectory, name_of

__all__ = ["ZipArchive"]

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_STEP = 1 << 20


class ZipArchive:
    """The directory of a zip, and its members as sources. Raises as :class:`ZipDirectory` does."""

    def __init__(self, source: Source) -> None:
        directory = ZipDirectory(source)
        self.source, self.members, self.faults = source, directory.members, directory.faults
        self._payloads: dict[str, int] = {}

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
        # Where the name is ASCII, as nearly all are, one read gives both header and name.
        probable = _LOCAL.size + len(name)
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
        text = local.decode("utf-8", "surrogateescape") if member.flags & 0x800 else name_of(local)
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
        if member.size > member.compressed * EXPANSION + 1024:
            raise LimitExceeded(
                "the zip member promises more than deflate can give",
                file=label,
                offset=place,
                expected=f"at most {member.compressed * EXPANSION} bytes",
                found=member.size,
            )
        return Inflated(self.source, place, member, label)

    def check(self, name: str, tensor: str | None = None) -> Check | None:
        """The member's CRC-32 as a check; ``None`` where the writer did not compute it (0 for a non-empty member)."""
        member = self.member(name)
        if member.crc == 0 and member.size > 0:
            return None
        # Not bound first: there may be tens of thousands.
        run = partial(ZipArchive._run_check, self, member, tensor)
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
        from isal.isal_zlib import crc32

        try:
            place = self.payload(member.name)
            source = self.open(member.name)
            crc = 0
            for chunk in source.chunks(step=_STEP):
                crc = crc32(chunk, crc)
                progress(len(chunk))
        except HoldfastError as error:
            slug = "truncated" if isinstance(error, Truncated) else "checksum"
            return Fault(
                slug, error.message, self.source.name, error.offset, tensor, error.found, error.expected
            )
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
