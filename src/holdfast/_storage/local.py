"""Files and folders of this machine."""

from __future__ import annotations

import mmap
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from .._core.errors import CheckpointNotFound, HoldfastError, PartMissing, Truncated
from .._core.shell import quote
from .lease import Lease
from .source import Entry, Source, Store

__all__ = ["LocalFile", "LocalFolder", "open_local", "placing", "unlisted"]


_PLACING: ContextVar[bool] = ContextVar("holdfast: views are asked for their places", default=False)


def unlisted(folder: str, error: OSError) -> HoldfastError:
    """The error for a folder of which the system does not tell what lies in it."""
    remedy = None
    if isinstance(error, PermissionError):
        seen = next((p for p in (Path(folder), *Path(folder).parents) if _told_of(p)), folder)
        remedy = f"`ls -ld {quote(os.fspath(seen))}` shows whose it is: ask for the right to read it, or run as its owner."
    return HoldfastError(
        f"the folder cannot be listed: {error.strerror or error}", file=folder, remedy=remedy
    )


def _told_of(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


@contextmanager
def placing() -> Iterator[None]:
    """Inside the ``with`` and this thread, views of local files are of their own pages: their addresses tell where in
    the file what a reader gives out lies. Nothing may touch them, so that nothing is read, and a file that shrinks
    harms nobody."""
    token = _PLACING.set(True)
    try:
        yield
    finally:
        _PLACING.reset(token)


class LocalFile(Source):
    """A file, read with ``pread``.

    The size is taken once, at opening; a file that shrinks under us raises :class:`Truncated` at the next read. With
    ``mapped``, :meth:`view` gives the file's own pages without a copy; whoever touches a page that the file has lost
    meanwhile (another process saves over it) is killed with SIGBUS, so only what is handed to the user is mapped.
    """

    _fd = -1

    def __init__(
        self, path: str | os.PathLike[str], name: str | None = None, *, mapped: bool = False
    ) -> None:
        self.path = os.fspath(path)
        self.mapped = mapped
        self.name = name or self.path
        try:
            self._fd = os.open(
                self.path,
                os.O_RDONLY
                | getattr(os, "O_BINARY", 0)
                | getattr(os, "O_CLOEXEC", 0)
                | getattr(os, "O_NONBLOCK", 0),
            )
        except FileNotFoundError:
            raise CheckpointNotFound("no such file", file=self.name) from None
        except OSError as error:
            raise HoldfastError(f"the file cannot be opened: {error.strerror}", file=self.name) from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            self._fd = -1
            raise HoldfastError("not a regular file", file=self.name)
        self.size = status.st_size
        self._map: mmap.mmap | None = None
        self._lock = threading.Lock()
        self.lease = Lease(self._fd)

    def _read(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            try:
                data = os.pread(self._fd, min(length, 1 << 30), offset)
            except OSError as error:
                raise HoldfastError(
                    f"reading failed: {error.strerror}",
                    file=self.name,
                    offset=offset,
                    remedy="The disk or network may be at fault.",
                ) from error
            if not data:
                break
            parts.append(data)
            offset += len(data)
            length -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self._demand(offset, len(buffer))
        if not hasattr(os, "preadv"):
            super().readinto(offset, buffer)
            return
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._fd, [buffer[done : done + (1 << 30)]], offset + done)
            except OSError as error:
                raise HoldfastError(
                    f"reading failed: {error.strerror}", file=self.name, offset=offset + done
                ) from error
            if count == 0:
                raise Truncated(
                    "the file became shorter while it was being read",
                    file=self.name,
                    offset=offset + done,
                    expected=f"{len(buffer) - done} more bytes",
                    found="the end of the file",
                )
            done += count

    def view(self, offset: int, length: int) -> memoryview:
        self._demand(offset, length)
        if length == 0:
            return memoryview(b"")
        if not (self.mapped or _PLACING.get()):
            return memoryview(self.read(offset, length))
        # A mapped page that the file no longer has would kill the process at the touch.
        if os.fstat(self._fd).st_size < offset + length:
            raise Truncated(
                "the file became shorter while it was being read",
                file=self.name,
                offset=offset,
                expected=f"{length} bytes",
                found=f"a file of {os.fstat(self._fd).st_size} bytes",
            )
        with self._lock:
            if self._map is None and os.fstat(self._fd).st_size != self.size:
                return memoryview(self.read(offset, length))
            if self._map is None:
                self._map = mmap.mmap(self._fd, self.size, access=mmap.ACCESS_READ)
        return memoryview(self._map)[offset : offset + length]

    def fileno(self) -> int:
        """The file's descriptor, for what only the kernel can tell (what its cache holds)."""
        return self._fd

    def close(self) -> None:
        # The map lives as long as the views handed out; only our own hold on it goes.
        self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self, ended: Callable[[], bool] = sys.is_finalizing) -> None:
        if ended():
            return  # the system closes it; the modules that it takes to do so may be gone
        with suppress(OSError):
            self.close()


class LocalFolder(Store):
    """A folder of this machine. Symbolic links are followed: a downloaded hub snapshot is made of them.

    ``mapped`` is that of the files it opens (:class:`LocalFile`).
    """

    def __init__(
        self, path: str | os.PathLike[str], shown: str | None = None, *, mapped: bool = False
    ) -> None:
        self._path = Path(path)
        self.mapped = mapped
        self.path = shown if shown is not None else os.fspath(path)

    def entries(self, folder: str = "") -> list[Entry]:
        found = []
        try:
            with os.scandir(self._path / folder) as scan:
                for item in scan:
                    try:
                        found.append(Entry(item.name, None if item.is_dir() else item.stat().st_size))
                    except OSError:  # a dangling link: it is there by name, and empty
                        found.append(Entry(item.name, 0, pointed_at(item.path)))
        except FileNotFoundError:
            raise CheckpointNotFound("no such folder", file=self.shown(folder)) from None
        except OSError as error:
            raise unlisted(self.shown(folder), error) from error
        return sorted(found)

    def open(self, name: str) -> Source:
        path = self._path / self.safe(name)
        if not self.exists(name):  # a name longer than the file system allows is not there either
            raise PartMissing("a file that belongs to the checkpoint is not there", file=self.shown(name))
        return LocalFile(path, self.shown(name), mapped=self.mapped)

    def exists(self, name: str) -> bool:
        try:
            return (self._path / name).exists()
        except (OSError, ValueError):
            return False

    def is_folder(self, name: str) -> bool:
        try:
            return (self._path / name).is_dir()
        except (OSError, ValueError):
            return False

    def sub(self, folder: str) -> LocalFolder:
        return LocalFolder(self._path / self.safe(folder), self.shown(folder), mapped=self.mapped)

    def as_mapped(self) -> LocalFolder:
        """The same folder, whose files are mapped."""
        return LocalFolder(self._path, self.path, mapped=True)


def pointed_at(path: str) -> str | None:
    """Where a symbolic link points; ``None`` for anything else."""
    try:
        return os.fspath(Path(path).readlink())
    except (OSError, ValueError):
        return None


def open_local(path: str | os.PathLike[str]) -> tuple[Source, Store, str]:
    """A file as ``(source, the folder it lies in, its name there)``."""
    source = LocalFile(path)
    where = Path(path)
    return source, LocalFolder(where.parent, os.fspath(where.parent)), where.name
