"""Calls of different threads that are under way at the same time and share something: a folder, a counter, a state file."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .events import Site

__all__ = ["Overlapping", "UnderWay"]


@dataclass(slots=True, eq=False)
class UnderWay:
    """A call: what it shares, its thread, its line; ``met``: calls of other threads that were under way meanwhile."""

    shared: Hashable
    thread: int
    site: Site | None
    met: list[UnderWay] = field(default_factory=list)


class Overlapping:
    """The calls of one kind that are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[UnderWay] = []

    @contextmanager
    def call(self, shared: Hashable, site: Site | None) -> Iterator[UnderWay]:
        """Around a call; ``met`` of what is given grows while it lasts."""
        mine = UnderWay(shared, threading.get_ident(), site)
        with self._lock:
            for row in self._rows:
                if row.shared == shared and row.thread != mine.thread:
                    row.met.append(mine)
                    mine.met.append(row)
            self._rows.append(mine)
        try:
            yield mine
        finally:
            with self._lock:
                self._rows.remove(mine)
