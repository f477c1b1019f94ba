"""Whether the bytes to be read lie in the page cache: which of two ways of reading is the faster one.

Bytes in the cache are read and hashed by several threads at once; bytes on a disk by one sequential reader with the
hashing beside it, because several readers upset the kernel's read-ahead.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from .._storage import LocalFile, Source

__all__ = ["is_cold"]

_PROBES = 64
_COLD = 0.1  # from this share of probes on that the cache does not hold


def is_cold(ranges: Sequence[tuple[Source, int, int]]) -> bool:
    """Whether at least a tenth of ``(source, offset, length)`` must come from the disk, by a sample of pages.

    Asks with ``preadv2(RWF_NOWAIT)``, which gives ``EAGAIN`` for a page that is not in the cache (man 2 readv). Where
    that cannot be asked (another system, a file system without it, no local file) the answer is ``False``.
    """
    total = sum(length for _, _, length in ranges)
    if total == 0 or not hasattr(os, "RWF_NOWAIT"):
        return False
    step, at, passed, probes, absent = max(1, total // _PROBES), 0, 0, 0, 0
    byte = bytearray(1)
    for source, offset, length in ranges:
        while at < passed + length:
            if not isinstance(source, LocalFile):
                return False
            try:
                os.preadv(source.fileno(), [byte], offset + at - passed, os.RWF_NOWAIT)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    return False
                absent += 1
            probes += 1
            at += step
        passed += length
    return absent >= _COLD * probes
