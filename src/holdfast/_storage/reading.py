"""A reader's hold on a step of a vault: shared among readers, asked for by whoever wants the step gone.

The hold is the kernel's (``flock``, shared) on the step's record, so it ends with the reader, however that ends. It
hinders nobody but retention (:mod:`holdfast._vault.folder.reading_lock`), which postpones what is being read. Where the file
system has no such locks, and on Windows, nothing is held; reading goes on as everywhere else.
"""

from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from .._core.errors import CheckpointNotFound

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["ReadLock", "StepGone", "lock_file"]

_RECORD = "holdfast.json"
_LONGEST = 10.0
"""Seconds to wait for somebody who is moving the step away; whoever takes longer has hung."""


class StepGone(CheckpointNotFound):
    """The step was dropped after it was chosen and before it could be held: choose again."""


def lock_file(folder: str | os.PathLike[str]) -> Path:
    """What of a step's folder is locked: its record, which is never replaced, or the folder where there is none."""
    record = Path(folder, _RECORD)
    try:
        return record if record.is_file() else Path(folder)
    except OSError:  # a folder that we may not look into
        return Path(folder)


class ReadLock:
    """A hold on the step in ``folder``, until :meth:`release`. ``held`` says whether the file system gives one.

    Raises :class:`StepGone` where the step is not there (any more).
    """

    _all: ClassVar[weakref.WeakSet[ReadLock]] = weakref.WeakSet()

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._handle = -1
        self._path = lock_file(folder)
        if fcntl is None:
            return
        try:
            handle = os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except (FileNotFoundError, NotADirectoryError):
            raise _gone(folder) from None
        except OSError:  # permission, too many open files: reading itself will tell
            return
        try:
            held = self._take(handle)
        except BaseException:
            os.close(handle)
            raise
        if not held:
            os.close(handle)
            return
        self._handle = handle
        ReadLock._all.add(self)

    def _take(self, handle: int) -> bool:
        end = time.monotonic() + _LONGEST
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                self._demand_there(handle)
                if time.monotonic() > end:
                    return False
                time.sleep(0.002)
                continue
            except OSError:  # no locks on this file system
                return False
            self._demand_there(handle)  # it may have been moved away just before it was locked
            return True

    def _demand_there(self, handle: int) -> None:
        try:
            same = os.path.samestat(os.stat(self._path), os.fstat(handle))  # noqa: PTH116 - beside fstat
        except OSError:
            same = False
        if not same:
            raise _gone(self._path.parent)

    @property
    def held(self) -> bool:
        """Whether retention, here and in other processes, waits for us."""
        return self._handle >= 0

    def release(self) -> None:
        """Let go of the step; again does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with suppress(OSError):  # closing is not enough: a forked child may have the descriptor too
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)

    def __enter__(self) -> ReadLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            self.release()


def _gone(folder: str | os.PathLike[str]) -> StepGone:
    return StepGone("this step was dropped, or moved away", file=os.fspath(folder))


def _forget() -> None:
    """In a forked child: the hold is the parent's, and must not outlive it here."""
    for lock in list(ReadLock._all):
        handle, lock._handle = lock._handle, -1
        if handle >= 0:
            with suppress(OSError):
                os.close(handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
