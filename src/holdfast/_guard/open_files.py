"""Saves into files that the program opened: judged when it has closed them, as no file is whole before."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .seen import LATER, Seen

if TYPE_CHECKING:
    from .judging import Judging

__all__ = ["OpenFiles"]


class OpenFiles:
    """The files that are still open; ``judge`` looks at them when they are not."""

    def __init__(self, judge: Judging) -> None:
        self.judge = judge
        self._rows: list[tuple[Callable[[], Any], str, Seen]] = []
        self._lock = threading.Lock()

    def add(self, stream: Any, place: str, seen: Seen) -> None:
        """A save into ``stream`` has been made; its file is ``place``."""
        # A weak reference: whoever lets go of a file closes it.
        self._rows.append((weakref.ref(stream), place, seen))

    def settle(self, at_end: bool = False) -> None:
        """Judge what has been closed by now. ``at_end``: it is the last time."""
        with self._lock:
            rows, self._rows = self._rows, []
        for known, place, seen in rows:
            is_open = not getattr(known(), "closed", True)
            if not os.path.lexists(place):  # a temporary file, or one that was renamed as it should
                continue
            if is_open and not at_end:
                self._rows.append((known, place, seen))
            if is_open:
                continue
            later = Seen(seen.api, LATER, seen.site, seen.path)
            with self.judge.guard.looking(later):
                self.judge.look(later, place, seen.path or place)
            if later.findings:
                self.judge.guard.note(later, raising=False)
