"""A read lease on a file: while it is held, nobody can open the file for writing or cut it short.

Whoever tries is kept waiting by the kernel until the lease is given up, or for ``/proc/sys/fs/lease-break-time`` (45 s);
so a lease is held for the milliseconds of one piece. It is refused where somebody has the file open for writing, where
the file is another user's, and on file systems without leases. Linux only (man 2 fcntl, "Leases").
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform.startswith("linux"):
    import fcntl

__all__ = ["Lease"]


class Lease:
    """The read lease of one open file, shared by the threads that read it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._holders = 0
        self._refused = not sys.platform.startswith("linux")
        self._guard = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether the file stays as long as it is inside the ``with``."""
        if not self._take():
            yield False
            return
        try:
            yield True
        finally:
            self._give()

    if sys.platform.startswith("linux"):

        def _take(self) -> bool:
            with self._guard:
                if self._refused:
                    return False
                try:
                    if self._holders == 0:
                        # The word that somebody waits comes as a signal; SIGIO, the kernel's choice, would end us.
                        fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGURG)
                        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                    elif fcntl.fcntl(self._descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK:
                        return False  # somebody waits: the others finish, and nobody joins them
                except BlockingIOError:  # it is open for writing now, and need not be later
                    return False
                except OSError:
                    self._refused = True
                    return False
                self._holders += 1
                return True

        def _give(self) -> None:
            with self._guard:
                self._holders -= 1
                if self._holders == 0:
                    fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    else:

        def _take(self) -> bool:
            return False

        def _give(self) -> None:
            raise AssertionError("unreachable")
