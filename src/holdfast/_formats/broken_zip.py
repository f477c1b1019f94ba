"""Zips without a directory that reads: what is still there of them, by their members' local headers."""

from __future__ import annotations

from dataclasses import replace

from .._core.errors import HoldfastError
from .._core.fault import Fault, fault_of
from .._storage import Source
from .._storage.zip_directory import ZipDirectory

__all__ = ["begun_members", "broken_zip"]

_STEP = 1 << 20


def broken_zip(source: Source) -> Fault | None:
    """A file that begins as a zip and of which no member is known: its directory does not read.

    Nothing tells any more which framework wrote it. The fault's ``members`` counts the local headers that
    are still there, ``last`` names the last of them.
    """
    try:
        ZipDirectory(source)
    except HoldfastError as error:
        fault = fault_of(error)
        return replace(fault, attributes={**fault.attributes, **begun_members(source)})
    return None


def begun_members(source: Source, most: int = 1 << 30) -> dict[str, object]:
    """How many members of a zip without directory were begun, and the last one's name, by their local headers
    (PKWARE APPNOTE.TXT 4.3.7); the first ``most`` bytes are looked at.
    """
    count, last, kept, overlap = 0, "", b"", 600
    end = min(source.size, most)
    seen = 0
    for chunk in source.chunks(0, end, step=_STEP):
        block = kept + bytes(chunk)
        seen += len(chunk)
        whole = len(block) if seen == end else max(0, len(block) - overlap)
        at = block.find(b"PK\x03\x04", 0, whole)
        while at >= 0:
            name = _member_name(block[at : at + overlap])
            if name is not None:
                count, last = count + 1, name
            at = block.find(b"PK\x03\x04", at + 4, whole)
        kept = block[whole:]
    return {"members_begun": count, "last_member": last} if count else {}


def _member_name(header: bytes) -> str | None:
    """The name in a local header, if it is a plausible one."""
    length = int.from_bytes(header[26:28], "little")
    name = header[30 : 30 + length]
    if not 0 < length <= 512 or len(name) != length or not name.isascii():
        return None
    text = name.decode("ascii")
    return text if text.isprintable() else None
