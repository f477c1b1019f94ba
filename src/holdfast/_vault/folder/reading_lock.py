"""What is being read is not taken away: retention asks for a step alone, and postpones it where a reader holds it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..._storage.reading import lock_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["unread"]


@contextmanager
def unread(folder: str | os.PathLike[str]) -> Iterator[bool]:
    """Whether nobody reads the step in ``folder`` now, in this process or another; nobody begins to within the ``with``.

    Never waits. Where the file system has no locks, or another host's are not seen, the answer is ``True``.
    """
    handles: list[int] = []
    try:
        yield fcntl is None or _alone(lock_file(folder), handles)
    finally:
        for handle in handles:
            os.close(handle)


def _alone(place: Path, handles: list[int]) -> bool:
    """Ask for the lock; what was opened for it goes to ``handles``. NFS gives an exclusive lock only on what is open for
    writing (``EBADF`` otherwise: man 2 flock, "NFS details")."""
    for mode in (os.O_RDONLY, os.O_RDWR):
        try:
            handles.append(os.open(place, mode | getattr(os, "O_CLOEXEC", 0)))
            fcntl.flock(handles[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EBADF:
                return True  # no locks on this file system, or nothing there to lock
        else:
            return True
    return True
