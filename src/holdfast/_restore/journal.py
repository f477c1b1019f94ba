"""What a restore has changed, and the old values to put back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import HoldfastError, RestoreInterrupted
from .._frameworks import LiveCatalog, Setting

__all__ = ["Journal", "room_for"]

_SHARE = 0.6
"""The share of the memory that is free, or of a scratch disk, that old values may take."""


def room_for(nbytes: int) -> str | None:
    """Where the old values of a model of ``nbytes`` bytes can be kept: ``memory``, ``disk`` or nowhere."""
    free = _free_memory()
    if free is None or nbytes <= free * _SHARE:
        return "memory"
    try:
        stat = os.statvfs(tempfile.gettempdir())
    except (AttributeError, OSError):
        return None
    return "disk" if nbytes <= stat.f_bavail * stat.f_frsize * _SHARE else None


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

    ``keep``: ``memory``, ``disk`` (a scratch file, removed in the end) or ``None`` (names only).
    """

    def __init__(self, live: LiveCatalog, keep: str | None) -> None:
        self.live = live
        self.keep = keep
        self.changed: list[str] = []
        self._old: dict[str, np.ndarray | None] = {}
        self._values: list[tuple[Setting, Any]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if keep == "disk":
            self._folder = tempfile.TemporaryDirectory(prefix="holdfast-rollback-")

    def tensor(self, name: str) -> None:
        """Note that a live tensor is about to change, and keep what it holds."""
        if name in self._old:
            return
        self.changed.append(name)
        if self.keep is None:
            self._old[name] = None
            return
        variable = self.live.variables[name]
        if variable.read is None:
            self._old[name] = None
            return
        values = np.asarray(variable.read())
        self._old[name] = self._kept(values)

    def _kept(self, values: np.ndarray) -> np.ndarray:
        if self._folder is None or values.nbytes == 0 or values.dtype.hasobject:
            return np.array(values, copy=True, order="C")
        place = Path(self._folder.name) / str(len(self._old))
        kept = np.memmap(place, dtype=np.uint8, mode="w+", shape=(values.nbytes,))
        kept[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return kept.view(values.dtype).reshape(values.shape)

    def value(self, setting: Setting) -> None:
        """Note that a plain value is about to change."""
        self.changed.append(setting.name)
        self._values.append((setting, setting.read()))

    def undo(self, cause: BaseException) -> None:
        """Put everything back. Raises :class:`RestoreInterrupted` where the old values were not kept, or
        cannot be put back."""
        if not self.changed:
            return
        if self.keep is None:
            raise RestoreInterrupted(
                f"the restore failed half-way, without rollback: {cause}",
                tuple(self.changed),
                remedy="Do not go on training with these objects: make them anew, or restore again.",
            ) from cause
        failed: list[str] = []
        for name, values in self._old.items():
            variable = self.live.variables[name]
            try:
                if values is None:
                    if variable.clear is not None:
                        variable.clear()
                elif variable.write is not None:
                    variable.write(np.ascontiguousarray(values).reshape(variable.spec.shape))
            except Exception:  # noqa: BLE001 - told below, with the names; the others are still put back
                failed.append(name)
        for setting, value in reversed(self._values):
            try:
                setting.write(value)
            except Exception:  # noqa: BLE001 - as above
                failed.append(setting.name)
        if failed:
            raise RestoreInterrupted(
                f"the restore failed ({cause}), and some old values could not be put back",
                tuple(failed),
                remedy="Do not go on training with these objects: make them anew.",
            ) from cause

    def close(self) -> None:
        """Forget the old values."""
        self._old.clear()
        if self._folder is not None:
            self._folder.cleanup()


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
        if isinstance(error, HoldfastError) and journal.changed:
            error.remedy = " ".join(
                filter(None, (error.remedy, "The live objects are as they were before the restore."))
            )
        raise
