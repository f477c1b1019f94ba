"""Snappy's raw format, decompressed within bounds.

A varint of the decompressed length, then elements: literals (tag bits 00) and copies of what was already
written (01: one offset byte, 10: two, 11: four). Source: github.com/google/snappy, format_description.txt.

A copy of 64 bytes costs at least three bytes in the stream, so no honest stream grows more than some 22
times; a length beyond that is refused before a byte is allocated.
"""

from __future__ import annotations

from ..._core.errors import DamagedCheckpoint, LimitExceeded
from ..protobuf import varint

__all__ = ["decompress"]

_GROWTH = 24


def decompress(data: bytes | memoryview, limit: int) -> bytes:
    """The decompressed bytes of one raw snappy stream.

    Raises :class:`LimitExceeded` when they would be more than ``limit``, :class:`DamagedCheckpoint` on
    anything that is not such a stream.
    """
    view = memoryview(data)
    size, at = varint(view, 0)
    if size > limit or size > _GROWTH * len(view):
        raise LimitExceeded(
            "a compressed block claims an absurd length",
            expected=f"at most {min(limit, _GROWTH * len(view))} bytes",
            found=str(size),
        )
    out = bytearray()
    end = len(view)
    while at < end:
        tag = view[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                _demand(at + extra <= end, at)
                length = int.from_bytes(view[at : at + extra], "little")
                at += extra
            length += 1
            _demand(at + length <= end and len(out) + length <= size, at)
            out += view[at : at + length]
            at += length
            continue
        if kind == 1:
            _demand(at < end, at)
            length = (tag >> 2 & 7) + 4
            offset = (tag >> 5) << 8 | view[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            _demand(at + width <= end, at)
            length = (tag >> 2) + 1
            offset = int.from_bytes(view[at : at + width], "little")
            at += width
        start = len(out) - offset
        _demand(offset > 0 and start >= 0 and len(out) + length <= size, at)
        if offset >= length:
            out += out[start : start + length]
        else:  # the copy overlaps what it writes: the pattern repeats
            pattern = bytes(out[start:])
            out += (pattern * (length // offset + 1))[:length]
    _demand(len(out) == size, at)
    return bytes(out)


def _demand(holds: bool, at: int) -> None:
    if not holds:
        raise DamagedCheckpoint("a snappy stream contradicts itself", offset=at)
