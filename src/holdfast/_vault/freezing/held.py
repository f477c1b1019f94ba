"""Values that a save holds: how they are read, and how they are let go of once they are written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._core.errors import NotStored
from ..contents.payload import Item

__all__ = ["Held", "Later", "let_go"]


class Held:
    """Reads a value that is held: a copy, or a view that keeps a runtime from writing to its memory."""

    __slots__ = ("_values",)

    def __init__(self, values: np.ndarray | Callable[[], np.ndarray]) -> None:
        """``values`` may be a function that puts the value together from what it holds, each time it is asked for."""
        self._values: np.ndarray | Callable[[], np.ndarray] | None = values

    def __call__(self) -> np.ndarray:
        values = self._values
        if values is None:
            raise NotStored("this value was let go of after it was written")
        return values() if callable(values) else values

    def let_go(self) -> None:
        """Hold it no longer: the runtime may use its memory again."""
        self._values = None


class Later(Held):
    """A copy that is complete only once ``finish`` has returned, which raises where it failed."""

    __slots__ = ("_finish",)

    def __init__(self, values: np.ndarray, finish: Callable[[], None]) -> None:
        super().__init__(values)
        self._finish = finish

    def __call__(self) -> np.ndarray:
        self._finish()
        return super().__call__()


def let_go(item: Item) -> None:
    """What this item holds is written and not needed again."""
    if isinstance(item.read, Held):
        item.read.let_go()
