"""Long logs: only what stands around a failure is kept, in bounded memory.

Whole blocks are searched for a few literal words (``bytes.find``, which runs at memory speed); around each hit some lines
are kept. Of many hits the first ones and the last ones stay.
"""

from __future__ import annotations

from collections import deque
from typing import BinaryIO, NamedTuple

__all__ = ["BLOCK", "Excerpt", "excerpt"]

_SMALL = 1 << 20
"""Up to here a text is taken whole."""
BLOCK = _SMALL + 1
"""Bytes that are searched at a time: few enough to stay in the processor's cache."""
_BEFORE, _AFTER = 16 << 10, 24 << 10
_MOST = 12
"""Excerpts kept from the beginning, and as many from the end."""
_FIRST = (b"Traceback (most recent call last)",)
"""Each word is a pass over the log, and long ones are found faster."""
_ELSE = (b"OP_REQUIRES failed at ", b"WARNING:tensorflow:", b"Error: ", b"Exception: ", b"Error(s) in")
"""Looked for too where the log can be read once only; else where there is no traceback."""


class Excerpt(NamedTuple):
    """``text``: what was kept of a log. ``left_out``: a sentence on what was not; empty where it is whole."""

    text: str
    left_out: str = ""


def excerpt(stream: BinaryIO) -> Excerpt:
    """The text of ``stream``, or of a long one what stands around its failures and at its end. Never keeps more than some
    megabytes; a file without a traceback is read twice."""
    head = stream.read(BLOCK)
    if len(head) <= _SMALL:
        return Excerpt(head.decode("utf-8", "replace"))
    again = stream.seekable()
    parts, end, size = _around(stream, head, _FIRST if again else _FIRST + _ELSE)
    if not parts and again:
        stream.seek(0)
        parts, end, size = _around(stream, b"", _ELSE)
    text = "\n...\n".join(part.decode("utf-8", "replace") for part in (*parts, end))
    return Excerpt(
        text,
        f"Of {size / 1e6:,.1f} MB the end was read, and what stands around the first {_MOST} failures and the last {_MOST}.",
    )


def _around(stream: BinaryIO, block: bytes, words: tuple[bytes, ...]) -> tuple[list[bytes], bytes, int]:
    """What stands around the words, the end of the log, and its size. One buffer serves all blocks: fresh memory for each would
    cost more than the search."""
    whole = 0
    first: list[bytes] = []
    last: deque[bytes] = deque(maxlen=_MOST)
    buffer = bytearray(BLOCK)
    buffer[: len(block)] = block
    size = len(block) or _filled(stream, buffer)
    # the end of the block before, and how much of this one belongs to an excerpt of that
    before, wanted = b"", 0
    seam = max(map(len, words))
    while size:
        whole += size
        if wanted:
            _keep(first, last, bytes(buffer[: min(wanted, size)]))
        reach, wanted = wanted, 0
        for at in _hits(before[-seam:], buffer, size, words):
            if at < reach:
                continue  # within the excerpt before it
            start = at - _BEFORE
            lead = before[start:] if start < 0 else b""
            _keep(first, last, lead + buffer[max(0, start, reach) : min(size, at + _AFTER)])
            reach = at + _AFTER
        wanted = max(0, reach - size)
        before = (
            (before + buffer[:size])[-_BEFORE:] if size < _BEFORE else bytes(buffer[size - _BEFORE : size])
        )
        size = _filled(stream, buffer)
    return [*first, *last], before, whole


def _filled(stream: BinaryIO, buffer: bytearray) -> int:
    """Fill the buffer as far as there is something; gives how far."""
    view, size = memoryview(buffer), 0
    while size < len(view):
        count = stream.readinto(view[size:])  # type: ignore[attr-defined]
        if not count:
            break
        size += count
    return size


def _keep(first: list[bytes], last: deque[bytes], found: bytes) -> None:
    if len(first) < _MOST:
        first.append(found)
    else:
        last.append(found)


def _hits(seam: bytes, buffer: bytearray, size: int, words: tuple[bytes, ...]) -> list[int]:
    """Where a word begins in the block; 0 where it begins in the one before. At most a few of each in each stretch."""
    found = []
    for word in words:
        if word in seam[-len(word) + 1 :] + buffer[: len(word) - 1]:
            found.append(0)
        at = buffer.find(word, 0, size)
        while at >= 0:
            found.append(at)
            at = buffer.find(word, at + _AFTER, size)
    return sorted(found)
