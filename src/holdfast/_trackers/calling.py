"""Any callable: ``callable(step, {name: number})``. It is called from another thread than the one that saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .base import Tracker

__all__ = ["CallingTracker", "recognised"]


class CallingTracker(Tracker):
    """Numbers only: who wants the texts subclasses :class:`Tracker`, or listens to the vault's events."""

    def __init__(self, call: Callable[[int, dict[str, float]], object]) -> None:
        self._call = call
        self.name = getattr(call, "__qualname__", type(call).__qualname__)

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """One call, where there are numbers."""
        if numbers:
            self._call(step, dict(numbers))


def recognised(given: Any) -> Tracker | None:
    """A tracker for a callable, else ``None``. A class is none: its instance may be."""
    return CallingTracker(given) if callable(given) and not isinstance(given, type) else None
