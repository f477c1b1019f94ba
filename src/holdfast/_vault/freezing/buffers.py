"""Host memory for copies: one range, used again by every save.

Fresh memory costs four to seven times as much as warm memory (each page is made by a fault), and huge pages make the
first use three times cheaper; so a save takes one range for all that it copies, and the vault keeps one range for the
next save, never more.
"""

from __future__ import annotations

import mmap
from threading import Lock

import numpy as np

__all__ = ["Arena", "Buffers"]

_ALIGN = 64
_BLOCK = 1 << 20
_SLACK = 1 << 20


def room_for(nbytes: int) -> int:
    """What ``nbytes`` take in an arena."""
    return -(-nbytes // _ALIGN) * _ALIGN


class Arena:
    """Memory for the copies of one save, handed out from the front; it grows where the estimate was too small."""

    def __init__(self, nbytes: int) -> None:
        self._blocks: list[np.ndarray] = []
        self._at = 0
        self.used = 0
        self.fresh = True
        if nbytes:
            self._add(nbytes)

    @property
    def capacity(self) -> int:
        """Bytes of memory that it has."""
        return sum(block.size for block in self._blocks)

    @property
    def whole(self) -> bool:
        """Whether it is one range, as it is where the estimate was right."""
        return len(self._blocks) == 1

    def rewind(self) -> None:
        """All of it is free again. What was handed out must not be used any more."""
        self._at = self.used = 0
        self.fresh = False

    def room(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array in C order with unspecified contents."""
        count = 1
        for length in shape:
            count *= length
        nbytes = count * dtype.itemsize
        if not nbytes:
            return np.empty(shape, dtype)
        taken = room_for(nbytes)
        if not self._blocks or self._blocks[-1].size - self._at < taken:
            self._add(max(taken, _BLOCK))
            self._at = 0
        piece = self._blocks[-1][self._at : self._at + nbytes]
        self._at += taken
        self.used += taken
        return piece.view(dtype).reshape(shape)

    def copy(self, values: np.ndarray) -> np.ndarray:
        """A copy in C order."""
        made = self.room(values.shape, values.dtype)
        np.copyto(made, values)
        return made

    def _add(self, nbytes: int) -> None:
        self._blocks.append(np.frombuffer(_map(nbytes), np.uint8))


def _map(nbytes: int) -> mmap.mmap:
    """Zeroed memory of this process alone, in huge pages where the system has them."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, nbytes)  # Windows
    made = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            made.madvise(mmap.MADV_HUGEPAGE)
        except OSError:  # a kernel built without them: ordinary pages do as well
            return made
    return made


class Buffers:
    """The memory that the saves of one vault take turns in using: at most one arena is kept."""

    def __init__(self) -> None:
        self._kept: Arena | None = None
        self._lock = Lock()

    @property
    def kept(self) -> int:
        """Bytes that lie ready for the next save."""
        return self._kept.capacity if self._kept is not None else 0

    def lend(self, nbytes: int) -> Arena:
        """Memory for about so many bytes: what was kept where it fits, else new. Memory that would be more than half
        unused is let go of."""
        with self._lock:
            arena, self._kept = self._kept, None
        if arena is not None and nbytes <= arena.capacity <= 2 * nbytes + _SLACK:
            return arena
        del arena  # before its successor is made: two never exist at once
        return Arena(nbytes)

    def give(self, arena: Arena) -> None:
        """Take memory back; keep it for the next save, unless it was pieced together or not used."""
        if not arena.whole or not arena.used:
            return
        arena.rewind()
        with self._lock:
            self._kept = arena
