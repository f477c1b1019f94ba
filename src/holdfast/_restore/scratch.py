"""Memory to read into where a live tensor's own cannot be written: few buffers, used again and again."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

__all__ = ["ALIGNMENT", "Scratch", "aligned"]

ALIGNMENT = 64
"""What TensorFlow and XLA ask of memory they share: EIGEN_MAX_ALIGN_BYTES with AVX-512."""

_HUGE = 4 << 20


def aligned(nbytes: int) -> np.ndarray:
    """New bytes (uint8, one dimension) that start at a multiple of 64; on huge pages where they are worth it, which
    come five times as fast as small ones."""
    if nbytes >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        region = mmap.mmap(-1, nbytes)
        with suppress(OSError):  # a kernel without them: small pages do
            region.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(region, np.uint8)
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]


class Scratch:
    """Buffers of ``limit`` bytes together at most (or one larger one); the one given back last is lent first, while
    the processor's cache still holds it. For one thread; where there is no room, something lent must come back first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free: list[np.ndarray] = []
        self._held = 0
        self._lent = 0

    def take(self, nbytes: int) -> np.ndarray | None:
        """A buffer of at least ``nbytes``; ``None`` where there is no room."""
        for at in range(len(self._free) - 1, -1, -1):
            if nbytes <= len(self._free[at]) <= 2 * nbytes:
                self._lent += 1
                return self._free.pop(at)
        return aligned(nbytes) if self.reserve(nbytes) else None

    def give(self, buffer: np.ndarray) -> None:
        """Hand a buffer back."""
        self._lent -= 1
        self._free.append(buffer)

    def reserve(self, nbytes: int) -> bool:
        """Count memory that comes from elsewhere; whether there is room."""
        if self._held + nbytes > self.limit and self._free:
            self._held -= sum(map(len, self._free))
            self._free.clear()
        if self._held + nbytes <= self.limit or not self._lent:
            self._held += nbytes
            self._lent += 1
            return True
        return False

    def release(self, nbytes: int) -> None:
        """Undo :meth:`reserve`."""
        self._lent -= 1
        self._held -= nbytes
