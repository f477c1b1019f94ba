"""Saves that go on after their call has returned, or in a thread of the program's own: somebody waits for each, and the end of
the program is told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Background", "InThreads"]

_LONGEST = 60.0
"""Seconds that the end of the program waits, where the interpreter would wait too."""

_MOMENT = 0.5
"""Seconds for the thread that waits to wake up: what is done may not be known yet."""


class Background:
    """Waits for one save in a thread of its own. ``ended`` gets its error, or ``None``, in that thread."""

    def __init__(
        self, finished: Callable[[], None], ended: Callable[[BaseException | None], None], what: Any
    ) -> None:
        self._finished, self._ended, self._what = finished, ended, what
        self.failed = False
        self._done = threading.Event()
        self._done_at = 0.0
        self._thread = threading.Thread(target=self._wait, name="holdfast-watches-a-save", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the save has ended, well or not."""
        return self._done.is_set()

    @property
    def over(self) -> bool:
        """Whether the save is done, and ``ended`` has returned."""
        return not self._thread.is_alive()

    def _wait(self) -> None:
        error: BaseException | None = None
        try:
            self._finished()
        except BaseException as raised:  # noqa: BLE001 - handed on, whatever it is
            error = raised
        self.failed = error is not None
        self._done_at = time.monotonic()
        self._done.set()
        self._ended(error)

    def at_end(self, late: Callable[[Any, bool, bool], None]) -> None:
        """The program has ended. Where the save is not done, ``late`` is called with what it is, whether it then ended, and
        whether it failed. It is waited for as long as the interpreter would wait: while threads run that are no daemons."""
        if self.done:
            self._thread.join()
            return
        begun = time.monotonic()
        self._done.wait(_MOMENT)  # it may have ended, and we have not been told yet
        if self.done and self._done_at - begun < _MOMENT / 5:
            self._thread.join()
            return
        until = begun + _LONGEST
        while not self.done and time.monotonic() < until and _waits():
            self._done.wait(0.05)
        if self.done:
            self._thread.join()
        late(self._what, self.done, self.failed)


class InThreads:
    """Saves whose call has not returned yet, by the thread that makes it."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[threading.Thread, Any]] = {}

    @contextmanager
    def save(self, what: Any) -> Iterator[None]:
        """Around the call."""
        thread = threading.current_thread()
        key = id(what)
        self._held[key] = thread, what  # each key is set and taken by one thread
        try:
            yield
        finally:
            self._held.pop(key, None)

    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._held)

    def at_end(self, late: Callable[[Any, bool, bool], None]) -> None:
        """The program has ended. ``late`` is called as by :meth:`Background.at_end`, with each save of another thread that is not
        done: a daemon dies with the program. For any other the interpreter waits, and so do we."""
        for key, (thread, what) in tuple(self._held.items()):
            if thread is threading.current_thread() or not thread.is_alive():
                continue
            until = time.monotonic() + _LONGEST
            while not thread.daemon and key in self._held and thread.is_alive() and time.monotonic() < until:
                thread.join(0.05)
            if key in self._held:
                late(what, False, False)


def _waits() -> bool:
    """Whether the interpreter would wait for a thread before it ends."""
    here = threading.current_thread()
    return any(
        thread is not here
        and thread is not threading.main_thread()
        and thread.is_alive()
        and not thread.daemon
        for thread in threading.enumerate()
    )
