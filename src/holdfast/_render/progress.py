"""How far long work has come: on standard error, for a person, and only when it takes a while."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import Any

from .escape import clip, safe

__all__ = ["DELAY", "ByteProgress"]

DELAY = 0.5


class ByteProgress:
    """Called with byte counts from any thread; draws a bar once ``DELAY`` seconds have passed, if ``stream``
    is a terminal.

    ``total`` is how much there is to read where the caller knows it; else each :meth:`checkpoint` tells how much
    it is about, and the bar shows the share of that with the time that is left.
    """

    def __init__(self, stream: Any, *, quiet: bool = False, total: int | None = None) -> None:
        self.enabled = (
            not quiet
            and bool(getattr(stream, "isatty", lambda: False)())
            and os.environ.get("TERM") != "dumb"
        )
        self.stream, self.total, self.done = stream, total, 0
        self._label = ""
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, nbytes: int) -> None:
        with self._lock:
            self.done += nbytes
            if self._bar is not None:
                self._bar.update(self._task, completed=self.done)
            elif self.enabled and time.monotonic() - self._start > DELAY:
                self._show()

    def path(self, label: str) -> None:
        """What is being looked at now."""
        with self._lock:
            self._label = clip(safe(label), 40)
            if self._bar is not None:
                self._bar.update(self._task, description=self._label)

    def checkpoint(self, path: str, number: int, count: int, nbytes: int) -> None:
        """The ``number``-th of ``count`` checkpoints below a path is begun; ``nbytes``: about what it means to
        read."""
        with self._lock:
            self._label = (
                clip(safe(path), 40) if count == 1 else f"{number:,} of {count:,}  {clip(safe(path), 28)}"
            )
            # What was announced before and turned out not to be read is done with.
            self.total = self.done + nbytes
            if self._bar is not None:
                self._bar.reset(self._task, description=self._label, total=self.total, completed=self.done)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            FileSizeColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(file=self.stream, markup=False, emoji=False, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn() if self.total else FileSizeColumn(),
            TransferSpeedColumn(),
            *([TimeRemainingColumn(compact=True)] if self.total else []),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(self._label, total=self.total, completed=self.done)
        self._bar.start()

    def __enter__(self) -> ByteProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            bar, self._bar, self.enabled = self._bar, None, False
        if bar is not None:
            bar.stop()
