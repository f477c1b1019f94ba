"""Writing past the page cache: memory, flags and facts of the file system that it needs.

Facts: man 2 open, "O_DIRECT" (length, offset and memory must be multiples of the file system's block; memory that a
``fork`` may share must be a shared mapping), man 2 fcntl (``F_SETFL`` can change ``O_DIRECT``), man 2 sync_file_range,
man 5 proc (``/proc/pid/mountinfo``).
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

__all__ = ["BLOCK", "aligned_memory", "in_memory", "set_direct", "start_writeback", "writeback_known"]

BLOCK = 4096
"""What lengths, offsets and memory are multiples of: enough for all disks of 512 or 4096 bytes a sector."""
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_SYNC_FILE_RANGE_WRITE = 2


def set_direct(handle: int, on: bool) -> bool:
    """Make an open file bypass the page cache, or not; ``False`` where the system or its file system refuses.

    By ``fcntl`` after the file is open: ``open`` with the flag may leave a file behind that it then refuses.
    """
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    wanted = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, wanted)
    except OSError:
        return False
    return True


def aligned_memory(size: int) -> memoryview:
    """Memory that begins at a page, of a shared mapping: a process that forks meanwhile (data loaders) disturbs nothing."""
    return memoryview(mmap.mmap(-1, size))


def in_memory(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder lies in a file system without a disk, where bypassing the cache only costs a copy.
    ``False`` where that cannot be known."""
    try:
        device = Path(path).stat().st_dev
    except OSError:
        return False
    return _type_of(os.major(device), os.minor(device)) in _IN_MEMORY if hasattr(os, "major") else False


def _type_of(major: int, minor: int) -> str:
    """The type of the file system that is mounted from this device; empty where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if fields.split()[2:3] == [f"{major}:{minor}"]:
            return rest.split()[0]
    return ""


def writeback_known() -> bool:
    """Whether :func:`start_writeback` can do anything here."""
    return _sync_file_range() is not None


def start_writeback(handle: int, offset: int, length: int) -> None:
    """Let the kernel begin to write this range out, so that fsync finds little left. It is a hint: what fails there, fsync
    tells. Raises :class:`OSError`."""
    call = _sync_file_range()
    if call is not None:
        call(handle, offset, length)


@lru_cache(maxsize=1)
def _sync_file_range() -> Callable[[int, int, int], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    try:
        function = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def call(handle: int, offset: int, length: int) -> None:
        if function(handle, offset, length, _SYNC_FILE_RANGE_WRITE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return call
