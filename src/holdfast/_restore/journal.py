"""What a restore has changed, and the old values to put back."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import HoldfastError, RestoreInterrupted
from .._frameworks import LiveCatalog, Setting

__all__ = ["Journal", "Room", "room_for"]

_SHARE = 0.6
"""The share of the memory that is free, or of a scratch disk, that old values may take."""

_PIECE = 16 << 20


class Room:
    """A place for old values: memory, or a scratch file whose blocks are taken before anything changes.

    The file has no name (it goes with the process, however that ends), and is written and read, never mapped: a store
    to a mapped page that the disk has no block for kills the process (SIGBUS).
    """

    def __init__(self, kind: str, nbytes: int) -> None:
        """``kind``: ``memory`` or ``disk``. Raises :class:`OSError` where the disk has not ``nbytes`` bytes."""
        self.kind = kind
        self._end = 0
        self._file: Any = None
        if kind == "disk":
            self._file = tempfile.TemporaryFile(prefix="holdfast-rollback-", buffering=0)  # noqa: SIM115 - closed by close()
            try:
                _take(self._file.fileno(), nbytes)
            except OSError:
                self._file.close()
                raise

    def keep(self, values: np.ndarray) -> Callable[[], np.ndarray]:
        """Keep a copy; gives a function that gives it back. Raises :class:`HoldfastError` where it cannot be kept."""
        if self._file is None or values.nbytes == 0 or values.dtype.hasobject:
            copy = np.array(values, copy=True, order="C")
            return lambda: copy
        shape, kind, start = values.shape, values.dtype, self._end
        raw = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        fd = self._file.fileno()
        try:
            for at in range(0, len(raw), _PIECE):
                _write_all(fd, raw[at : at + _PIECE], start + at)
        except OSError as error:
            raise _no_room(error) from error
        self._end += len(raw)

        def back() -> np.ndarray:
            whole = np.empty(len(raw), np.uint8)
            view, done = whole.data, 0
            while done < len(whole):
                count = os.preadv(fd, [view[done : done + _PIECE]], start + done)
                if not count:
                    raise HoldfastError("the scratch file became shorter", file=tempfile.gettempdir())
                done += count
            return whole.view(kind).reshape(shape)

        return back

    def close(self) -> None:
        """Give the disk's blocks back."""
        if self._file is not None:
            self._file.close()


def _take(fd: int, nbytes: int) -> None:
    """Blocks for ``nbytes`` bytes, now: ``posix_fallocate``, or zeros written where the system or file system has no
    such call (POSIX.1-2017, posix_fallocate: EINVAL; Linux: EOPNOTSUPP)."""
    if not nbytes:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, nbytes)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    zeros = memoryview(bytes(min(nbytes, 1 << 20)))
    for at in range(0, nbytes, len(zeros)):
        _write_all(fd, zeros[: nbytes - at], at)


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def _no_room(error: OSError) -> HoldfastError:
    return HoldfastError(
        f"the old values cannot be kept on the scratch disk: {error.strerror}",
        file=tempfile.gettempdir(),
        remedy="Make room there, set TMPDIR to a larger disk, or pass rollback=False to restore without them.",
    )


def room_for(nbytes: int) -> Room | None:
    """Room for the old values of ``nbytes`` bytes of live tensors: in memory, else on the scratch disk (its blocks are
    taken at once), else ``None``."""
    free = _free_memory()
    if free is None or nbytes <= free * _SHARE:
        return Room("memory", nbytes)
    try:
        stat = os.statvfs(tempfile.gettempdir())
        if nbytes <= stat.f_bavail * stat.f_frsize * _SHARE:
            return Room("disk", nbytes)
    except (AttributeError, OSError):  # no such call, no such folder, or somebody else filled it meanwhile
        return None
    return None


def _free_memory() -> int | None:
    """Bytes of memory that can be had without swapping; ``None`` where the system does not tell.

    Source: proc(5), MemAvailable; control groups of version 2 (memory.max, memory.current) where they are
    tighter.
    """
    free: int | None = None
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    try:
        most = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text("ascii"))
    except (OSError, ValueError):
        return free
    if most.isdigit():
        free = min(int(most) - used, free if free is not None else int(most))
    return free


class Journal:
    """The names of live tensors and values that were touched, with what they held before.

    ``room``: where old values are kept; ``None``: nowhere (names only). ``structure``: puts back what live objects are
    made of (:func:`holdfast._frameworks.keeping.structure`), called last.
    """

    def __init__(
        self, live: LiveCatalog, room: Room | None, structure: Callable[[], None] | None = None
    ) -> None:
        self.live = live
        self.room = room
        self.structure = structure
        self.changed: list[str] = []
        self._old: dict[str, Callable[[], np.ndarray] | None] = {}
        self._values: list[tuple[Setting, Any]] = []

    def tensor(self, name: str) -> None:
        """Note that a live tensor is about to change, and keep what it holds. Raises :class:`HoldfastError` where that
        cannot be kept; the tensor has not changed then."""
        if name in self._old:
            return
        variable = self.live.variables[name]
        old = None
        if self.room is not None and variable.read is not None:
            old = self.room.keep(np.asarray(variable.read()))
        self._old[name] = old
        self.changed.append(name)

    def value(self, setting: Setting) -> None:
        """Note that a plain value is about to change."""
        self.changed.append(setting.name)
        self._values.append((setting, setting.read()))

    def undo(self, cause: BaseException) -> None:
        """Put everything back. Raises :class:`RestoreInterrupted` where the old values were not kept, or
        cannot be put back."""
        if self.room is None:
            if not self.changed:
                return
            raise RestoreInterrupted(
                f"the restore failed half-way, without rollback: {cause}",
                tuple(self.changed),
                remedy="Do not go on training with these objects: make them anew, or restore again.",
            ) from cause
        failed: list[str] = []
        for name, kept in self._old.items():
            variable = self.live.variables[name]
            try:
                if kept is None:
                    if variable.clear is not None:
                        variable.clear()
                elif variable.write is not None:
                    variable.write(np.ascontiguousarray(kept()).reshape(variable.spec.shape))
            except Exception:  # noqa: BLE001 - told below, with the names; the others are still put back
                failed.append(name)
        for setting, value in reversed(self._values):
            try:
                setting.write(value)
            except Exception:  # noqa: BLE001 - as above
                failed.append(setting.name)
        try:
            if self.structure is not None:
                self.structure()
        except Exception:  # noqa: BLE001 - as above
            failed.append("what the optimizers are made of")
        if failed:
            raise RestoreInterrupted(
                f"the restore failed ({cause}), and some old values could not be put back",
                tuple(failed),
                remedy="Do not go on training with these objects: make them anew.",
            ) from cause

    def close(self) -> None:
        """Forget the old values."""
        self._old.clear()
        if self.room is not None:
            self.room.close()


@contextmanager
def signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the block is done, and are then delivered: a live model is not left
    half-restored by Ctrl-C. Python delivers signals to the main thread alone; elsewhere there is nothing to
    hold."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    old: dict[signal.Signals, Any] = {}

    def hold(number: int, frame: object) -> None:
        waiting.append(number)

    for held in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(held)
        if handler is None:
            continue  # set by something else than Python: it cannot be put back, so it is left alone
        old[held] = signal.signal(held, hold)
    try:
        yield
    finally:
        for held, handler in old.items():
            signal.signal(held, handler)
        for number in waiting:
            signal.raise_signal(number)


def undoing(journal: Journal, work: Callable[[], Any]) -> Any:
    """Run ``work``; whatever it raises, put everything back first."""
    try:
        return work()
    except BaseException as error:
        journal.undo(error)
        if isinstance(error, HoldfastError) and not isinstance(error, RestoreInterrupted):
            error.remedy = " ".join(
                filter(None, (error.remedy, "The live objects are as they were before the restore."))
            )
        raise
