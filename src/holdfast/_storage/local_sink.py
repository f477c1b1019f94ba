"""A folder of this machine to write to, one system call at a time.

Everything that a commit does to the disk goes through :meth:`LocalSink.operate`, so that a double
(:mod:`holdfast.testing.faults`) can fail, shorten, delay or kill any single call.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from .._core.errors import SaveFailed
from .direct import in_memory
from .placed import LocalPlacedFile, PlacedFile
from .save_errors import save_failed
from .sink import Sink, SinkFile

__all__ = ["InFlight", "LocalSink"]

Result = TypeVar("Result")

_TRANSIENT = frozenset({errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT})
_TRIES = 4
_AGAIN: dict[str, frozenset[int]] = {"fsync": frozenset({errno.EINTR, errno.EAGAIN}), "close": frozenset()}
"""Where fewer errors may be tried again. After a failed fsync the kernel may have dropped the pages, and a second one would
say yes without them; a failed close has let go of the descriptor, whose number may be another file's by now."""


_FICLONE = 0x40049409
"""``FICLONE`` of linux/fs.h (man 2 ioctl_ficlone): ``_IOW(0x94, 9, int)``."""
_NO_CLONE = frozenset(
    {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EBADF}
)


class InFlight(NamedTuple):
    """An operation that has begun: its word, its file, and when (``time.monotonic``)."""

    kind: str
    name: str
    since: float


class LocalSink(Sink):
    """A folder of this machine. Transient errors (EINTR, EBUSY, ESTALE ...) are tried again with growing pauses and
    counted in ``retries``; everything else raises :class:`SaveFailed` with the operation and the file.

    Files of ``large`` bytes and more are written by ``threads`` threads, past the page cache (``direct``) where the file
    system allows it: what was just saved is then not in the cache, and the first reading comes from the disk.
    ``threads=1, direct=False`` writes every file from its start to its end by one thread.
    """

    pause = 0.05
    """Seconds before the first new try; each further pause is four times as long."""
    large = 8 << 20
    """Files from so many bytes on are worth several threads."""
    patience = 90.0
    """Seconds after which a folder that another host has made should be seen here: NFS clients keep a folder's entries for
    60 s by default (nfs(5), ``acdirmax``)."""
    piece = 8 << 20
    """Bytes that a thread writes at a time past the page cache; a multiple of 4096."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 2, direct: bool = True) -> None:
        self.path = os.fspath(path)
        self.threads = max(1, threads)
        self.direct = direct
        self.retries = 0
        self.finished = time.monotonic()
        self._flight: dict[int, InFlight] = {}
        self._halted: SaveFailed | None = None
        self._count = threading.Lock()
        self.watch: Callable[[str, str, float | None], None] | None = None
        """Told of each operation: its word, its file, and ``None`` as it begins, its seconds when it has ended."""

    def settle(self) -> None:
        """Mean by a relative path the folder of now, wherever the program goes (``os.chdir``)."""
        self.path = os.fspath(Path(self.path).absolute())

    def operate(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        """Carry out one system call; ``kind`` is its word (``write``, ``fsync``, ``rename`` ...)."""
        pause = self.pause
        again = _AGAIN.get(kind, _TRANSIENT)
        thread = threading.get_ident()
        self._flight[thread] = begun = InFlight(kind, name, time.monotonic())
        watch = self.watch
        if watch is not None:
            watch(kind, name, None)
        try:
            for attempt in range(_TRIES):
                try:
                    return self.call(kind, name, partial(self._unless_halted, kind, call))
                except OSError as error:
                    if isinstance(error, SaveFailed):
                        raise
                    if error.errno not in again or attempt == _TRIES - 1:
                        raise save_failed(kind, str(self._at(name)), error) from error
                    with self._count:
                        self.retries += 1
                    time.sleep(pause)
                    pause *= 4
            raise AssertionError("unreachable")
        finally:
            self._flight.pop(thread, None)
            self.finished = time.monotonic()
            if watch is not None:
                watch(kind, name, self.finished - begun.since)

    def _unless_halted(self, kind: str, call: Callable[[], Result]) -> Result:
        halted = self._halted
        if halted is not None and kind != "close":
            raise halted
        return call()

    def halt(self, error: SaveFailed | None) -> None:
        """From now on no operation reaches the disk, but for the one that is under way: each raises ``error``. ``None``
        takes that back."""
        self._halted = error

    @contextmanager
    def under_way(self, kind: str, name: str) -> Iterator[None]:
        """Work on the disk that is none of a save's operations, but may hang like them."""
        thread = threading.get_ident()
        self._flight[thread] = InFlight(kind, name, time.monotonic())
        try:
            yield
        finally:
            self._flight.pop(thread, None)
            self.finished = time.monotonic()

    def in_flight(self) -> list[InFlight]:
        """What has begun and not ended, in all threads; the oldest first."""
        return sorted(self._flight.copy().values(), key=lambda one: one.since)

    def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        """The system call itself; what a test's double overrides."""
        return call()

    def write_some(self, handle: int, data: memoryview) -> int:
        """``write(2)``: how many bytes it took; what a test's double shortens."""
        return os.write(handle, data)

    def write_some_at(self, handle: int, data: memoryview, offset: int) -> int:
        """``pwrite(2)``: how many bytes it took; what a test's double shortens."""
        return os.pwrite(handle, data, offset)

    def force(self, handle: int) -> None:
        """Bring a file to the medium."""
        _force(handle)

    def close_handle(self, name: str, handle: int) -> None:
        """Let go of an open file."""
        try:
            self.operate("close", name, lambda: os.close(handle))
        except SaveFailed as failed:
            if not isinstance(failed.__cause__, InterruptedError):  # it is closed even so; all was synced
                raise

    def _at(self, name: str) -> Path:
        place = Path(self.path, name)
        # above a folder that is still to be made: the system does not find its way through it
        return Path(os.path.normpath(place)) if name.startswith("..") else place

    def make_root(self) -> None:
        root = Path(self.path)
        try:
            missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        except OSError as error:  # a folder above it may not be entered
            raise save_failed("stat", self.path, error) from error
        for folder in reversed(missing):
            if folder.is_symlink():
                raise SaveFailed(
                    "this is a link to a folder that is not there", file=os.fspath(folder),
                    found=str(folder.readlink()), remedy="Mount or make what it points to, or choose another folder.",
                    number=errno.ENOENT,
                )  # fmt: skip
            name = os.path.relpath(folder, root)
            self.operate("mkdir", name, lambda folder=folder: folder.mkdir(exist_ok=True))  # type: ignore[misc]
            self.sync_folder(f"{name}/..")  # else a power cut takes the whole run with it
        if not missing and not root.is_dir():
            raise save_failed("mkdir", self.path, FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)))

    def create(self, name: str) -> SinkFile:
        return _LocalSinkFile(self, name, self._open(name))

    def create_placed(self, name: str, size: int) -> PlacedFile | None:
        if size < self.large or not hasattr(os, "pwrite"):
            return None
        disk = not in_memory(self.path)
        direct = self.direct and disk
        if self.threads == 1 and not direct:
            return None
        return LocalPlacedFile(self, name, self._open(name), size, direct=direct, paced=disk)

    def append(self, name: str, data: bytes) -> bool:
        if self._at(name).exists():
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            handle = self.operate("append", name, lambda: os.open(self._at(name), flags))
            file: SinkFile = _LocalSinkFile(self, name, handle)
        else:
            file = self.create(name)
        try:
            file.write(memoryview(data))
            file.sync()
        finally:
            file.close()
        return True

    def _open(self, name: str) -> int:
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        )
        return self.operate("open", name, lambda: os.open(self._at(name), flags, 0o666))

    def make_folder(self, name: str) -> None:
        self.operate("mkdir", name, lambda: self._at(name).mkdir())

    def await_folder(self, name: str) -> None:
        place, pause, until = self._at(name), self.pause, time.monotonic() + self.patience

        def there() -> bool:
            list(place.parent.iterdir())  # makes a client of a network file system ask its server
            return place.is_dir()

        while not self.operate("stat", name, there):
            if time.monotonic() >= until:
                raise SaveFailed(
                    "the folder that another rank has made for this save cannot be seen from here", file=str(place),
                    expected=f"to be there within {self.patience:g} s", found="nothing",
                    remedy="All ranks need one shared file system: is this path local to each host? On NFS, mount with "
                    "lookupcache=positive or actimeo=0, so that hosts see each other's files at once.",
                    number=errno.ENOENT,
                )  # fmt: skip
            with self._count:
                self.retries += 1
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

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

    def clone(self, old: str, new: str) -> bool:
        try:
            import fcntl
        except ImportError:
            return False
        file = self.create(new)
        assert isinstance(file, _LocalSinkFile)

        def call() -> bool:
            source = os.open(self._at(old), os.O_RDONLY)
            try:
                fcntl.ioctl(file._handle, _FICLONE, source)
            except OSError as error:
                if error.errno in _NO_CLONE:
                    return False
                raise
            finally:
                os.close(source)
            return True

        try:
            cloned = self.operate("clone", new, call)
            if cloned:
                file.sync()
        finally:
            file.close()
        if not cloned:
            self.remove_tree(new)
        return cloned

    def protect(self, name: str) -> None:
        if os.name != "nt":  # there, what is read-only cannot be deleted
            path = self._at(name)
            self.operate("chmod", name, lambda: path.chmod(path.stat().st_mode & 0o444))

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
        self.sink.operate("fsync", self.name, partial(self.sink.force, self._handle))

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            self.sink.close_handle(self.name, handle)


def _force(handle: int) -> None:
    """To the medium: ``F_FULLFSYNC`` on macOS, whose fsync leaves the drive's own cache alone (man 2 fsync)."""
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # file systems without it
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
    os.fsync(handle)
