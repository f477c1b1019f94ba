"""One writer at a time: a lock that the system releases when its owner dies.

The lock is the kernel's (``flock``), so a crashed or killed owner never leaves it behind; the file's text says whose it
is, for people. On file systems without locks the text alone decides, and an owner on this host that no longer lives is
passed over.
"""

from __future__ import annotations

import gc
import json
import os
import secrets
import socket
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from .._core.errors import VaultLocked

__all__ = ["Lock", "owner_of"]


class Lock:
    """An exclusive lock on a file, held by this object until :meth:`release`.

    Within one process a second object for the same file is refused like another process.
    """

    _held: ClassVar[weakref.WeakValueDictionary[str, Lock]] = weakref.WeakValueDictionary()
    _guard = threading.RLock()  # __del__ may run while it is held

    def __init__(self, path: str | os.PathLike[str], purpose: str = "saving") -> None:
        """Take the lock. Raises :class:`VaultLocked`, with its owner, where another has it."""
        self.path = os.path.realpath(path)
        self._handle = -1
        self._kernel = True
        self._owner: dict[str, Any] = {}
        with Lock._guard:
            if self._taken_here():
                gc.collect()  # a vault that nobody holds any more, as after a second run of a notebook's cell
            if self._taken_here():
                raise _locked(self.path, {"pid": os.getpid(), "host": socket.gethostname(), "here": True})
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            try:
                self._take(handle)
            except BaseException:
                os.close(handle)
                raise
            self._handle = handle
            Lock._held[self.path] = self
        self._owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "purpose": purpose,
            "token": secrets.token_hex(4),
        }
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(self._owner).encode(), 0)
        except OSError:  # a full disk: the kernel's lock holds without the text
            if self._kernel:
                return
            self.release()
            raise

    def _taken_here(self) -> bool:
        """Whether another object of this process has the file."""
        other = Lock._held.get(self.path)
        return other is not None and other._handle >= 0 and other.in_place

    def _take(self, handle: int) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            except OSError:
                raise _locked(self.path, owner_of(self.path)) from None
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(self.path, owner_of(self.path)) from None
        except OSError:  # no locks on this file system
            self._kernel = False
            owner = owner_of(self.path)
            if owner is not None and _lives(owner):
                raise _locked(self.path, owner) from None

    @property
    def held(self) -> bool:
        """Whether this process still has the lock: not after :meth:`release`, and not in a forked child."""
        return self._handle >= 0

    @property
    def kernel(self) -> bool:
        """Whether the kernel keeps it; else the file system has no locks, and only the text speaks."""
        return self._kernel

    @property
    def in_place(self) -> bool:
        """Whether the file that is locked is still the one at its path. Where the file system numbers its files anew, the text
        tells."""
        try:
            there = Path(self.path).stat()
            return os.path.samestat(there, os.fstat(self._handle)) or owner_of(self.path) == self._owner
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # it cannot be asked now
            return True

    def release(self) -> None:
        """Give the lock up; again does nothing."""
        with Lock._guard:
            if self._handle < 0:
                return
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1
            if Lock._held.get(self.path) is self:
                del Lock._held[self.path]

    def __del__(self) -> None:
        # A vault that was dropped without close(), as in a notebook. While the interpreter ends, globals are gone already,
        # and the system gives the lock up.
        if sys is not None and not sys.is_finalizing() and getattr(self, "_handle", -1) >= 0:
            self.release()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def _forget() -> None:
    """In a forked child (a data loader's worker): the lock is the parent's. A copy of its descriptor kept open here would
    keep the lock after the parent has died."""
    Lock._guard = threading.RLock()
    held, Lock._held = Lock._held, weakref.WeakValueDictionary()
    for lock in list(held.values()):
        with suppress(OSError):
            os.close(lock._handle)
        lock._handle = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def owner_of(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What the lock's file says of its owner: ``host``, ``pid``, ``since``, ``purpose``; ``None`` where it says nothing."""
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _lives(owner: dict[str, Any]) -> bool:
    """Whether the owner may still be at work: certainly not where it was a process of this host that is gone."""
    if owner.get("host") != socket.gethostname() or not isinstance(owner.get("pid"), int):
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _locked(path: str, owner: dict[str, Any] | None) -> VaultLocked:
    told = "another writer"
    remedy = "One run, one vault: give this run a folder of its own, or wait until the other has ended."
    if owner is not None:
        told = f"process {owner.get('pid')} on {owner.get('host')}"
        if owner.get("since"):
            told += f", since {owner['since']}"
        if owner.get("here"):
            told = "another Vault object of this process"
            remedy = (
                "Call close() on the other one, or use `with` (in a notebook: before its cell is run again). One that no "
                "variable holds lets go by itself once its last save is written."
            )
    return VaultLocked(f"this vault is being written by {told}", file=path, remedy=remedy)
