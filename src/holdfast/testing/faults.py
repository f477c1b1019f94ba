"""Doubles of the disk: sinks that fail, shorten, slow, hang or die at the Nth operation, and one that forgets what was
not synced."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

from .._storage.direct import BLOCK
from .._storage.local_sink import LocalSink

__all__ = ["ACTIONS", "DroppingSink", "FaultySink", "Killed"]

Result = TypeVar("Result")
Action = Literal["fail", "short", "fill", "slow", "hang", "kill", "sigkill"]
ACTIONS: tuple[Action, ...] = ("fail", "short", "fill", "slow", "hang", "kill", "sigkill")
_GROWS = frozenset({"open", "write", "mkdir", "link"})


class Killed(BaseException):
    """Stands for SIGKILL within one process: the sink that raised it does nothing on the disk any more."""


class FaultySink(LocalSink):
    """A folder whose ``at``-th operation (from 1; 0 is none) goes wrong.

    ``kinds`` counts only operations of these words (``open``, ``write``, ``fsync``, ``rename``, ``unlink``, ``link``,
    ``mkdir``, ``close``, ``truncate``, ``writeback``); all by default. ``forever`` repeats it for every later operation
    that counts. ``action``:

    - ``"fail"``: ``OSError`` of number ``error``, and nothing is done (but a failing ``close`` lets go of the file);
    - ``"short"``: a write takes only half of what it was given; other operations are carried out;
    - ``"fill"``: the disk is full from here on: half of a write is taken, then all that needs room fails with ENOSPC;
    - ``"slow"``: carried out after ``seconds``;
    - ``"hang"``: carried out when ``release`` is set; ``hanging`` is set meanwhile;
    - ``"kill"``: :class:`Killed` is raised, after half of a write, and no later operation reaches the disk;
    - ``"sigkill"``: the same, and it is this process that dies.

    ``operations`` lists all operations as ``(kind, name)``; ``struck`` counts those that went wrong.
    """

    pause = 0.0

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        at: int = 0,
        action: Action = "fail",
        error: int = errno.EIO,
        kinds: Iterable[str] | None = None,
        forever: bool = False,
        seconds: float = 0.05,
        threads: int = 2,
        direct: bool = True,
    ) -> None:
        super().__init__(path, threads=threads, direct=direct)
        if action not in ACTIONS:
            raise ValueError(f"no such action: {action!r}; there are {', '.join(ACTIONS)}")
        self.at, self.action, self.error, self.forever, self.seconds = at, action, error, forever, seconds
        self.kinds = None if kinds is None else frozenset(kinds)
        self.operations: list[tuple[str, str]] = []
        self.struck = 0
        self.dead = self.full = False
        self.hanging, self.release = threading.Event(), threading.Event()
        self._counted = 0
        self._short = threading.local()
        self._guard = threading.Lock()

    def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        """Carry out one operation, or let it go wrong. Raises :class:`OSError` and :class:`Killed`."""
        if self.dead:
            if kind == "close":
                call()  # the process is gone: the system closes its files
            raise Killed
        if self.full and kind in _GROWS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        if not self._strikes(kind, name):
            return call()
        return self._wrong(kind, name, call)

    def _strikes(self, kind: str, name: str) -> bool:
        with self._guard:
            self.operations.append((kind, name))
            if not self.at or (self.kinds is not None and kind not in self.kinds):
                return False
            self._counted += 1
            strikes = self._counted == self.at or (self.forever and self._counted > self.at)
            self.struck += strikes
            return strikes

    def _wrong(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        if self.action == "fail":
            if kind == "close":
                call()
            raise OSError(self.error, os.strerror(self.error), name)
        if self.action == "slow":
            time.sleep(self.seconds)
        elif self.action == "hang":
            self.hanging.set()
            self.release.wait()
        elif self.action in ("kill", "sigkill"):
            if kind == "write":
                self._halved(call)
            elif kind == "close":
                call()
            self.dead = True
            if self.action == "sigkill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise Killed
        elif kind == "write":
            self.full = self.action == "fill"
            return self._halved(call)
        elif self.action == "fill":
            self.full = True
            if kind in _GROWS:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        return call()

    def _halved(self, call: Callable[[], Result]) -> Result:
        self._short.now = True
        try:
            return call()
        finally:
            self._short.now = False

    def write_some(self, handle: int, data: memoryview) -> int:
        """Writes ``data``, or the first half of it where the operation is to be short."""
        return super().write_some(handle, data[: max(1, len(data) // 2)] if self._is_short() else data)

    def write_some_at(self, handle: int, data: memoryview, offset: int) -> int:
        """The same at a place of its own; no less than a block, which is all that a disk can do."""
        half = len(data) // 2
        half -= half % BLOCK if half > BLOCK else 0
        short = self._is_short() and (half >= BLOCK or len(data) % BLOCK)
        return super().write_some_at(handle, data[: max(1, half)] if short else data, offset)

    def _is_short(self) -> bool:
        return getattr(self._short, "now", False)


class DroppingSink(FaultySink):
    """A folder that loses power at :meth:`crash`: of what this sink did, only what was synced is left.

    A file keeps the content that it had at its last fsync, a folder the names that it had at its own last one; a rename
    counts when its folder was synced after. What lies there when the sink is made is durable. Content is kept in memory:
    for small files. What other code writes there (the lock) is lost.
    """

    def __init__(self, path: str | os.PathLike[str], **fault: Any) -> None:
        super().__init__(path, **fault)
        # inode -> a number of our own, as the system gives inodes out again
        self._numbers: dict[int, int] = {}
        self._next = count()
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, int]] = {}
        self._made: dict[Path, bool] = {}
        if Path(path).exists():
            self._take_stock(Path(path))

    def _take_stock(self, path: Path) -> None:
        for entry in path.iterdir():
            if entry.is_dir():
                self._take_stock(entry)
            else:
                self._files[self._number(entry, fresh=True)] = entry.read_bytes()
        self._number(path, fresh=True)
        self._note_folder(path)

    def _number(self, path: Path, *, fresh: bool = False) -> int:
        inode = path.lstat().st_ino
        if fresh or inode not in self._numbers:
            self._numbers[inode] = next(self._next)
        return self._numbers[inode]

    def _note_folder(self, path: Path) -> None:
        self._folders[self._number(path)] = {entry.name: self._number(entry) for entry in path.iterdir()}

    def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        """Carry out one operation, and keep book of what is durable after it."""
        result = super().call(kind, name, call)
        path = Path(self.path, name)
        if kind == "mkdir":
            self._folders[self._number(path, fresh=True)] = {}
            if Path(self.path).resolve().is_relative_to(path.resolve()):
                self._made[path.resolve()] = False
        elif kind == "open":
            self._files[self._number(path, fresh=True)] = b""
        elif kind == "fsync" and path.is_dir():
            self._note_folder(path)
            self._made |= {made: True for made in self._made if made.parent == path.resolve()}
        elif kind == "fsync":
            self._files[self._number(path)] = path.read_bytes()
        return result

    def crash(self, names: Literal["synced", "all"] = "synced") -> None:
        """Lose power: rewrite the folder as the medium has it.

        ``names="synced"`` keeps only synced names; ``"all"`` is the disk that wrote every name and rename out at once,
        and the files' content not before it had to. Give the vault's lock back before.
        """
        self.dead = True
        root = Path(self.path)
        if not root.exists():
            return
        tree = self._now(root) if names == "all" else self._durable(self._number(root))
        shutil.rmtree(root)
        if names == "all" or all(self._made.values()):
            _rebuild(root, tree)

    def _now(self, path: Path) -> dict[str, Any] | bytes:
        if path.is_dir():
            return {entry.name: self._now(entry) for entry in path.iterdir()}
        return self._files.get(self._number(path), b"")

    def _durable(self, number: int) -> dict[str, Any] | bytes:
        if number in self._folders:
            return {name: self._durable(inner) for name, inner in self._folders[number].items()}
        return self._files.get(number, b"")


def _rebuild(path: Path, tree: dict[str, Any] | bytes) -> None:
    if isinstance(tree, bytes):
        path.write_bytes(tree)
        return
    path.mkdir()
    for name, inner in tree.items():
        _rebuild(path / name, inner)
