"""Saves and loads as events, whoever makes them; and the death in the middle of one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .digests import random_digests
from .trace import Trace

__all__ = ["Saves"]


class Saves:
    """Notes saves and loads. One within another (a manager's, a model's within a checkpoint) is part of that."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.pending: Callable[[], int] = lambda: 0
        self._inside = threading.local()

    def save(self, path: Any, call: Callable[[], Any], half: Callable[[Path], Any] | None = None) -> Any:
        """Carry out a save. ``half(other)`` saves the same to another path, so that the process can die with half of the
        bytes at the real one."""
        if getattr(self._inside, "now", False):
            return call()
        self._inside.now = True
        try:
            self.trace.event("save", path=_name(path), pending=self.pending(), rng=random_digests())
            if half is not None and self.trace.dies_in(_name(path)):
                _half_written(Path(os.fspath(path)), half)
                self.trace.strike()
            result = call()
            self.trace.event("saved", path=_name(path))
            return result
        finally:
            self._inside.now = False

    def load(self, path: Any, call: Callable[[], Any]) -> Any:
        """Carry out a load."""
        if getattr(self._inside, "now", False):
            return call()
        self._inside.now = True
        try:
            result = call()
        finally:
            self._inside.now = False
        self.trace.event("load", path=_name(path))
        return result


def _half_written(path: Path, save: Callable[[Path], Any]) -> None:
    """The file as it lies there when half of it has been written."""
    beside = path.with_name(f"drill-{path.name}")
    save(beside)
    data = beside.read_bytes()
    beside.unlink()
    path.write_bytes(data[: len(data) // 2])


def _name(path: Any) -> str:
    """A path as scripts of another folder would say it."""
    try:
        text = os.fspath(path)
    except TypeError:
        return f"<{type(path).__name__}>"
    text = text.decode() if isinstance(text, bytes) else text
    inside = os.path.relpath(text) if Path(text).is_absolute() else os.path.normpath(text)
    return text if inside.startswith("..") else inside
