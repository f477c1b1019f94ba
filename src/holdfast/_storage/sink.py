"""Where a save is written: a folder whose operations are few, ordered and durable on demand.

Everything that a commit does to the disk goes through :meth:`Sink.operate`, one system call at a time, so that a double
(:mod:`holdfast.testing.faults`) can fail, shorten, delay or kill any single one of them.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .._core.errors import SaveFailed

__all__ = ["LocalSink", "Sink", "SinkFile"]

Result = TypeVar("Result")

_TRANSIENT = frozenset({errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT})
_TRIES = 4
_AGAIN: dict[str, frozenset[int]] = {"fsync": frozenset({errno.EINTR, errno.EAGAIN}), "close": frozenset()}
"""Where fewer errors may be tried again. After a failed fsync the kernel may have dropped the pages, and a second one would
say yes without them; a failed close has let go of the descriptor, whose number may be another file's by now."""


class SinkFile(ABC):
    """A file that is being written, from its start to its end."""

    name: str

    @abstractmethod
    def write(self, data: memoryview) -> None:
        """Append all of ``data``. Raises :class:`SaveFailed`."""

    @abstractmethod
    def sync(self) -> None:
        """Everything written so far is on the medium when this returns."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; writes nothing more."""


class Sink(ABC):
    """A folder to write to. Names are relative to it, ``/`` between segments.

    Object stores come as another subclass; the order of operations in :mod:`holdfast._vault.commit` is all they
    need to keep.
    """

    path: str

    @abstractmethod
    def make_root(self) -> None:
        """Make the sink's own folder where it is not there, durably, with all above it."""

    @abstractmethod
    def create(self, name: str) -> SinkFile:
        """A new file; raises :class:`SaveFailed` where the name is taken."""

    @abstractmethod
    def make_folder(self, name: str) -> None:
        """A new folder."""

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Move within the sink, atomically; raises :class:`SaveFailed` where ``new`` is taken."""

    @abstractmethod
    def link(self, old: str, new: str) -> bool:
        """Make ``new`` the same file as ``old``; ``False`` where the file system has no hard links."""

    @abstractmethod
    def remove_tree(self, name: str) -> None:
        """Delete a folder and all in it, or a file. A link is deleted, not what it points to."""

    @abstractmethod
    def sync_folder(self, name: str = "") -> None:
        """The entries of a folder are on the medium when this returns."""

    @abstractmethod
    def free(self) -> int | None:
        """Bytes that can still be written; ``None`` where that cannot be known."""


class LocalSink(Sink):
    """A folder of this machine. Transient errors (EINTR, EBUSY, ESTALE ...) are tried again with growing pauses and
    counted in ``retries``; everything else raises :class:`SaveFailed` with the operation and the file."""

    pause = 0.05
    """Seconds before the first new try; each further pause is four times as long."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.retries = 0

    def operate(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        """Carry out one system call; ``kind`` is its word (``write``, ``fsync``, ``rename`` ...)."""
        pause = self.pause
        again = _AGAIN.get(kind, _TRANSIENT)
        for attempt in range(_TRIES):
            try:
                return self.call(kind, name, call)
            except OSError as error:
                if error.errno not in again or attempt == _TRIES - 1:
                    raise save_failed(kind, str(self._at(name)), error) from error
                self.retries += 1
                time.sleep(pause)
                pause *= 4
        raise AssertionError("unreachable")

    def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        """The system call itself; what a test's double overrides."""
        return call()

    def write_some(self, handle: int, data: memoryview) -> int:
        """``write(2)``: how many bytes it took; what a test's double shortens."""
        return os.write(handle, data)

    def _at(self, name: str) -> Path:
        return Path(self.path, name)

    def make_root(self) -> None:
        root = Path(self.path)
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        for folder in reversed(missing):
            name = os.path.relpath(folder, root)
            self.operate("mkdir", name, lambda folder=folder: folder.mkdir(exist_ok=True))  # type: ignore[misc]
            self.sync_folder(f"{name}/..")  # else a power cut takes the whole run with it
        if not missing and not root.is_dir():
            raise save_failed("mkdir", self.path, FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)))

    def create(self, name: str) -> SinkFile:
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        )
        handle = self.operate("open", name, lambda: os.open(self._at(name), flags, 0o666))
        return _LocalSinkFile(self, name, handle)

    def make_folder(self, name: str) -> None:
        self.operate("mkdir", name, lambda: self._at(name).mkdir())

    def rename(self, old: str, new: str) -> None:
        def call() -> None:
            if self._at(new).exists():  # rename(2) would take an empty folder's place without a word
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
            self._at(old).rename(self._at(new))

        self.operate("rename", new, call)

    def link(self, old: str, new: str) -> bool:
        def call() -> bool:
            try:
                os.link(self._at(old), self._at(new))
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS):
                    return False
                raise
            return True

        return self.operate("link", new, call)

    def remove_tree(self, name: str) -> None:
        top = self._at(name)
        if top.is_dir() and not top.is_symlink():
            for folder, folders, files in os.walk(top, topdown=False):
                here = Path(folder)
                for inner in (*files, *(f for f in folders if (here / f).is_symlink())):
                    self._remove(here / inner, os.unlink)
                self._remove(here, os.rmdir)
        else:
            self._remove(top, os.unlink)

    def _remove(self, path: Path, remove: Callable[[Path], None]) -> None:
        def call() -> None:
            with suppress(FileNotFoundError):
                remove(path)

        self.operate("unlink", os.path.relpath(path, self.path), call)

    def sync_folder(self, name: str = "") -> None:
        if os.name == "nt":
            return

        def call() -> None:
            handle = os.open(self._at(name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

        self.operate("fsync", name or ".", call)

    def free(self) -> int | None:
        try:
            return shutil.disk_usage(self.path).free
        except OSError:
            return None


class _LocalSinkFile(SinkFile):
    """An open file descriptor."""

    def __init__(self, sink: LocalSink, name: str, handle: int) -> None:
        self.sink, self.name, self._handle = sink, name, handle

    def write(self, data: memoryview) -> None:
        rest = data.cast("B") if data.format != "B" or data.ndim != 1 else data
        while len(rest):
            here = rest
            done = self.sink.operate("write", self.name, partial(self.sink.write_some, self._handle, here))
            if done <= 0:
                raise save_failed("write", str(Path(self.sink.path, self.name)), OSError(errno.EIO, ""))
            rest = rest[done:]

    def sync(self) -> None:
        self.sink.operate("fsync", self.name, lambda: _force(self._handle))

    def close(self) -> None:
        if self._handle >= 0:
            handle, self._handle = self._handle, -1

            try:
                self.sink.operate("close", self.name, lambda: os.close(handle))
            except SaveFailed as failed:
                if not isinstance(failed.__cause__, InterruptedError):  # it is closed even so; all was synced
                    raise


def _force(handle: int) -> None:
    """To the medium: ``F_FULLFSYNC`` on macOS, whose fsync leaves the drive's own cache alone (man 2 fsync)."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # file systems without it
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
    os.fsync(handle)


_WORDS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free space there, or keep fewer checkpoints (Keep)."),
    errno.EDQUOT: ("the disk quota is used up", "Free space, or ask for more."),
    errno.EROFS: ("the file system is read-only", "Choose another folder, or remount it."),
    errno.EACCES: ("permission denied", "Choose a folder that this user may write to."),
    errno.EPERM: ("the operation is not permitted", "Choose a folder that this user may write to."),
    errno.EIO: ("the disk reports an error", "Look at the system's log; do not trust this disk."),
    errno.ENAMETOOLONG: ("the path is too long", "Choose a shorter folder."),
    errno.EEXIST: ("the name is taken", "Another writer may be at work in this folder."),
    errno.EMFILE: ("too many open files", "Raise the limit (ulimit -n)."),
}


def save_failed(kind: str, path: str, error: OSError) -> SaveFailed:
    """The error for a system call that failed while saving."""
    text, remedy = _WORDS.get(error.errno or 0, (error.strerror or str(error), None))
    return SaveFailed(
        f"saving failed at {kind}: {text}", file=path, found=_symbol(error), remedy=remedy, number=error.errno
    )


def _symbol(error: OSError) -> Any:
    return errno.errorcode.get(error.errno or 0, error.errno)
