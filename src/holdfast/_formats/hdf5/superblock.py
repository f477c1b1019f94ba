"""The head of an HDF5 file: where it begins, how wide its addresses are, and where its root lies.

Format facts: HDF5 File Format Specification 3.0, section II.A.
"""

from __future__ import annotations

from typing import NamedTuple

from ..._core.errors import DamagedCheckpoint, Truncated
from ..._storage import Source

__all__ = ["SIGNATURE", "Superblock", "read_superblock", "signature_at"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USERBLOCKS = (0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


def signature_at(source: Source) -> int | None:
    """Where the HDF5 signature stands (0, or the size of a user block up to 64 KiB), or ``None``."""
    for offset in _USERBLOCKS:
        if offset + 8 > source.size:
            return None
        head = source.head(8) if offset == 0 else source.read(offset, 8)
        if head == SIGNATURE:
            return offset
    return None


class Superblock(NamedTuple):
    """The head of an HDF5 file.

    ``at``: offset of the signature; ``base``: what addresses count from; ``end``: recorded end of the file;
    ``flags``: status flags (version 3); ``root``: address of the root group's header; ``wide``: bytes of an
    address;
    ``long``: bytes of a length.
    """

    version: int
    at: int
    base: int
    end: int
    flags: int
    root: int
    wide: int
    long: int


def _number(source: Source, data: bytes, at: int, width: int) -> int:
    if at + width > len(data):
        raise Truncated("an HDF5 structure is cut off", file=source.name)
    return int.from_bytes(data[at : at + width], "little")


def read_superblock(source: Source) -> Superblock:
    """The superblock. Raises :class:`DamagedCheckpoint`, :class:`Truncated` where it is cut off."""
    at = signature_at(source)
    if at is None:
        raise DamagedCheckpoint(
            "no HDF5 signature",
            file=source.name,
            offset=0,
            expected=repr(SIGNATURE),
            found=repr(source.head(8)),
        )
    head = bytes(source.read(at, min(128, source.size - at)))
    version = head[8] if len(head) > 8 else -1
    try:
        if version in (0, 1):
            wide, long, flags = head[13], head[14], 0
            _widths(wide, long, at, source)
            place = 24 + (4 if version == 1 else 0)
            base, _, end, _ = (_number(source, head, place + i * wide, wide) for i in range(4))
            root = _number(source, head, place + 5 * wide, wide)
        elif version in (2, 3):
            wide, long, flags = head[9], head[10], head[11]
            _widths(wide, long, at, source)
            base, _, end, root = (_number(source, head, 12 + i * wide, wide) for i in range(4))
        else:
            raise DamagedCheckpoint(
                "an HDF5 superblock of unknown version",
                file=source.name,
                offset=at + 8,
                expected="0 to 3",
                found=version,
            )
    except IndexError:
        raise Truncated("the HDF5 superblock is cut off", file=source.name, offset=source.size) from None
    # The library trusts the place of the signature over the recorded base (H5Fsuper_cache.c).
    return Superblock(version, at, at if base != at else base, end, flags, root, wide, long)


def _widths(wide: int, long: int, at: int, source: Source) -> None:
    if wide not in (2, 4, 8) or long not in (2, 4, 8):
        raise DamagedCheckpoint(
            "an impossible width of HDF5 addresses",
            file=source.name,
            offset=at,
            expected="2, 4 or 8 bytes",
            found=f"{wide} and {long}",
        )
