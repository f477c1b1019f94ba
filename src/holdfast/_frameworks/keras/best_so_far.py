"""``ModelCheckpoint(save_best_only=True)``: whether its first save replaced a best model that it knew nothing of.

Facts: keras/src/callbacks/monitor_callback.py (``best`` is ``None``, in older versions infinite, until something was monitored,
unless ``initial_value_threshold`` says otherwise; it lives as long as the callback), backup_and_restore.py (weights, epoch and
batch come back, no other callback's state; at the beginning of the training).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from ..call_options import Told

__all__ = ["BestSoFar"]


@dataclass(slots=True)
class _Begun:
    """Of one callback in one ``fit``: the file was there and nothing was known of it; what shows that the training goes on."""

    goes_on: str
    first: bool = True


@dataclass(frozen=True, slots=True)
class _Best:
    """What a callback of this process has called the best in a file: of which model, by what, and its value."""

    model: Callable[[], Any]
    monitor: str
    value: float


class BestSoFar:
    """Remembers, for one guard, what was the best in which file."""

    def __init__(self, number: Callable[[Any], Any]) -> None:
        """``number``: the framework's value as a plain one."""
        self._number = number
        self._begun: WeakKeyDictionary[Any, _Begun] = WeakKeyDictionary()
        self._trained: WeakSet[Any] = WeakSet()
        self._best: dict[str, _Best] = {}

    def begun(self, callbacks: list[Any]) -> None:
        """A training begins; what other callbacks have restored is there."""
        seen = set()
        for callback in callbacks:
            self._begun.pop(callback, None)
            optimizer = getattr(callback.model, "optimizer", None)
            if _unknowing(callback) and Path(callback.filepath).is_file():
                self._begun[callback] = _Begun(self._goes_on(callback.model, optimizer))
            if optimizer is not None:
                seen.add(optimizer)
        for optimizer in seen:
            self._trained.add(optimizer)

    def _goes_on(self, model: Any, optimizer: Any) -> str:
        if epoch := getattr(model, "_initial_epoch", None) or 0:
            return f"the training goes on after epoch {epoch}"
        count = getattr(optimizer, "iterations", None)
        steps = 0 if count is None else int(self._number(count))
        if steps and optimizer not in self._trained:
            return f"the optimizer had made {steps} steps before it"
        return ""

    def saved(self, callback: Any, epoch: Any) -> Told | None:
        """A save has ended; what is wrong with it."""
        best, path = callback.best, str(callback.filepath)
        begun, before = self._begun.get(callback), self._best.get(path)
        if best is None or not _one_name(callback):
            return None
        value = float(self._number(best))
        self._best[path] = _Best(weakref.ref(callback.model), callback.monitor, value)
        if begun is None or not begun.first:
            return None
        begun.first = False
        what = f"{path} was there before this training, and its first model has replaced it ({callback.monitor} {value:.6g})"
        if before is not None:  # by this process, so that it is known what it was
            same = before.model() is callback.model and before.monitor == callback.monitor
            if not same or callback._is_improvement(value, before.value) or value == before.value:
                return None
            return Told(
                "best-forgotten", "warning", f"{what}; the one before was better ({before.value:.6g})"
            )
        if not begun.goes_on and callback.save_freq == "epoch" and isinstance(epoch, int) and epoch > 0:
            begun.goes_on = f"the training goes on after epoch {epoch}"
        if not begun.goes_on:
            return None
        return Told(
            "best-forgotten", "warning",
            f"{what}, better or worse: {begun.goes_on}, and ModelCheckpoint has begun without the best value so far",
        )  # fmt: skip


def _one_name(callback: Any) -> bool:
    return bool(getattr(callback, "save_best_only", False)) and "{" not in str(callback.filepath)


def _unknowing(callback: Any) -> bool:
    """Whether it keeps the best in one file, and has no value for it yet."""
    if not _one_name(callback) or not hasattr(callback, "_is_improvement"):
        return False
    return callback.best is None or math.isinf(callback.best)
