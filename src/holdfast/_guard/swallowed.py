"""Saves that failed, and whether anybody has seen it: an error that was caught, or died in a thread, stops no training.

A failed save is settled by one of these: the error ends the program (its traceback, its exit code); it is shown in a notebook;
the same save is tried again soon and succeeds; another one is made while the error is being handled. Else it was swallowed.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .seen import first_line

__all__ = ["Failed", "Swallowed"]

_HEAD, _TAIL = 90, 70
"""Characters of a long error that are shown: its last words name the reason of the system."""
_MARKS = "_holdfast_saves"
_SOON = 120.0
"""Seconds within which a save of the same path counts as a new try."""


@dataclass(slots=True)
class Failed:
    """A save that raised: its call, line, real path and path as given (``shown``), what it raised, and when.

    ``thread``: the name of the thread that it died in, if it did. ``behind``: it was made in the background. ``mark``: what its
    exception bears; the exception itself is not kept, as it would keep the values that were saved.
    """

    api: str
    site: str
    path: str | None
    shown: str | None
    error: str
    at: float
    mark: str
    thread: str = ""
    behind: bool = False

    @classmethod
    def of(
        cls,
        error: BaseException,
        api: str,
        site: str,
        path: str | None,
        shown: str | None,
        behind: bool = False,
    ) -> Failed:
        """``error`` was raised by a save just now, and is marked."""
        mark = secrets.token_hex(8)
        marks = error.__dict__.setdefault(_MARKS, [])
        marks.append(mark)
        words = f"{type(error).__name__}: {first_line(error)}"
        if len(words) > _HEAD + _TAIL:
            words = f"{words[:_HEAD].rstrip()} … {words[-_TAIL:].lstrip()}"
        return cls(api, site, path, shown, words, time.monotonic(), mark, behind=behind)

    def is_in(self, other: BaseException | None) -> bool:
        """Whether an exception is this save's, or was raised from it."""
        seen: set[int] = set()
        while other is not None and id(other) not in seen:
            if self.mark in other.__dict__.get(_MARKS, ()):
                return True
            seen.add(id(other))
            other = other.__cause__ or other.__context__
        return False


class Swallowed:
    """Failed saves that are not settled yet. ``died`` is called, in its thread, with one whose error ended a thread."""

    def __init__(self, died: Callable[[Failed], None]) -> None:
        self._open: list[Failed] = []
        self._lock = threading.Lock()
        self._died = died
        self._undo: Callable[[], None] | None = None

    def failed(self, failed: Failed) -> None:
        """A save has raised."""
        with self._lock:
            self._open.append(failed)
            if self._undo is None:
                self._undo = self._watch_ends()

    def retried(self) -> list[Failed]:
        """Those whose error is being handled right now by the code that saves again: to be asked before a save."""
        current = sys.exc_info()[1]
        with self._lock:
            return [failed for failed in self._open if failed.is_in(current)]

    def settle(self, handled: list[Failed], path: str | None, line: str | None, begun: float) -> list[Failed]:
        """After a save of ``path`` that went well: those before it that nobody can have seen. ``handled``: what :meth:`retried`
        gave. ``line``: the program's own line that made it, ``None`` where a thread of a library's did. ``begun``: when it began
        (:func:`time.monotonic`, seconds); it is no new try of one that failed later, in the background. Each is given once."""
        now, shown = time.monotonic(), _shown()
        with self._lock:
            found = [failed for failed in self._open if failed.at <= begun]
            self._open = [failed for failed in self._open if failed.at > begun]
        return [
            failed for failed in found
            if failed not in handled
            and not failed.is_in(shown)
            and not ((failed.path == path or failed.site == line) and now - failed.at <= _SOON)
        ]  # fmt: skip

    def close(self, code: int | None) -> list[Failed]:
        """At the end: those that were swallowed. ``code``: the program's exit code; one that is not 0 has told."""
        shown = _shown()
        with self._lock:
            found, self._open = self._open, []
        if self._undo is not None:
            self._undo()
            self._undo = None
        return [] if code else [failed for failed in found if not failed.is_in(shown)]

    def _take(self, error: BaseException | None) -> Iterator[Failed]:
        with self._lock:
            found = [failed for failed in self._open if failed.is_in(error)]
            self._open = [failed for failed in self._open if failed not in found]
        yield from found

    def _watch_ends(self) -> Callable[[], None]:
        """Learn of errors that end the program or a thread; gives what takes the hooks away."""
        whole, threads = sys.excepthook, threading.excepthook
        known = weakref.ref(self)

        def ended(kind: Any, error: Any, trace: Any) -> None:
            mine = known()
            if mine is not None:
                list(mine._take(error))
            whole(kind, error, trace)

        def thread_ended(about: Any) -> None:
            threads(about)
            mine = known()
            for failed in mine._take(about.exc_value) if mine is not None else ():
                failed.thread = getattr(about.thread, "name", "") or "?"
                mine._died(failed)  # type: ignore[union-attr]

        sys.excepthook, threading.excepthook = ended, thread_ended

        def undo() -> None:
            if sys.excepthook is ended:
                sys.excepthook = whole
            if threading.excepthook is thread_ended:
                threading.excepthook = threads

        return undo


def _shown() -> BaseException | None:
    """The error that an interactive shell has shown last."""
    found = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found if isinstance(found, BaseException) else None
