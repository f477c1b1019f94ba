"""What a vault tells trackers (:mod:`holdfast._trackers`), and that none of them can hinder a save.

Each tracker has a queue and, while there is something in it, a thread: one that raises, hangs or waits for a network is
nobody else's trouble. What it did not take is logged, counted and told, never silently lost.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from typing import Any, NamedTuple

from ..._core.errors import UsageError
from ..._record.metrics import Metric
from ..._trackers import Tracker, scalar_writer, tracker_of
from ..._trackers.base import CHECKPOINT, RECORD, VERDICT
from ..events import Annotated, Committed, Damaged, Dropped, Event, Failed, PassedOver, Restored
from ..folder.names import parse_step
from ..handle import SaveHandle
from .telemetry import scalars

__all__ = ["Trackers", "told_of"]

LOG = logging.getLogger("holdfast.vault")
_MOST = 1000
"""Messages that wait for one tracker; where more come the oldest is given up, and counted."""
_PATIENCE = 10.0
"""Seconds that :meth:`Trackers.flush` waits for one tracker."""
_UNKNOWN = "-"


class Message(NamedTuple):
    """What is known of a step; ``handle``: of the save that it is about, where there is one."""

    step: int
    numbers: Mapping[str, float]
    texts: Mapping[str, str]
    handle: SaveHandle | None = None


def told_of(event: Event) -> Iterator[Message]:
    """What trackers are told of an event; nothing of those that only say how far a save is.

    A metric goes to the step that it was measured at, as ``checkpoint/<name>``: apart from what the run logs itself, which
    may count in epochs.
    """
    if isinstance(event, Committed):
        at = _by_step(event.step, event.metrics)
        own = at.pop(event.step, {})
        telemetry = scalars(event.timings, event.telemetry)
        numbers = {**own, **{f"holdfast/{name}": value for name, value in telemetry.items()}}
        yield Message(event.step, numbers, _texts(event.path, event.record, "saved"))
        yield from (Message(step, values, {}) for step, values in at.items())
    elif isinstance(event, Annotated):
        at = _by_step(event.step, event.metrics)
        own = at.pop(event.step, {})
        yield Message(event.step, own, _texts(event.path, event.record, "annotated"))
        yield from (Message(step, values, {}) for step, values in at.items())
    elif isinstance(event, Failed):
        yield Message(event.step, {}, _texts(_UNKNOWN, "", f"failed: {event.error}"))
    elif isinstance(event, Restored):
        verdict = f"restored: {event.proof}" + (f"; {event.proved}" if event.proved else "")
        yield Message(event.step, {}, _texts(event.path, event.record, verdict))
    elif isinstance(event, (PassedOver, Damaged, Dropped)):
        word = {PassedOver: "passed over", Damaged: "damaged", Dropped: "dropped"}[type(event)]
        step = parse_step(event.name)
        if step is not None:
            yield Message(step.step, {}, _texts(event.name, "", f"{word}: {event.why}"))


def _by_step(step: int, metrics: Iterable[Metric]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for metric in metrics:
        at = step if metric.step is None else metric.step
        found.setdefault(at, {})[f"checkpoint/{metric.name}"] = metric.value
    return found


def _texts(path: str, record: str, verdict: str) -> dict[str, str]:
    return {CHECKPOINT: path, RECORD: record or _UNKNOWN, VERDICT: verdict}


class _Line:
    """One tracker, what waits for it, and what it did not take."""

    def __init__(self, tracker: Tracker, label: str, name: str, note: Callable[[SaveHandle], None]) -> None:
        self.tracker, self.label, self.name = tracker, label, name
        self._note = note
        self.sent = self.failed = self.lost = 0
        self.why = ""
        self._waiting: deque[Message] = deque()
        self._idle = threading.Condition()
        self._busy = False
        self._slow_at: int | None = None
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def add(self, message: Message) -> None:
        """Queue a message, and have a thread for it."""
        if (
            self._process != os.getpid()
        ):  # forked: what waited there is the parent's, and so is who held the lock
            self._process, self._busy = os.getpid(), False
            self._idle, self._waiting = threading.Condition(), deque()
        with self._idle:
            if len(self._waiting) >= _MOST:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(message)
            if self._busy:
                return
            self._busy = True
        # a daemon: a tracker that hangs must not keep the process from ending; it is waited for at the end, for a while
        self._thread = threading.Thread(target=self._work, name=f"holdfast-tell-{self.name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # too many threads, or an interpreter that is shutting down
            LOG.debug("%s: %s; telling it in the calling thread", self.label, error)
            self._work()

    def _work(self) -> None:
        while True:
            with self._idle:
                if not self._waiting:
                    self._busy = False
                    self._idle.notify_all()
                    return
                message = self._waiting.popleft()
            try:
                self.tracker.put(message.step, message.numbers, message.texts)
            except BaseException as error:  # noqa: BLE001 - logged, counted and told: it must not hinder a save
                self._failed(message, error)
            else:
                self.sent += 1

    def _failed(self, message: Message, error: BaseException) -> None:
        first = not self.failed
        self.failed += 1
        self.why = self.why or f"{type(error).__name__}: {error}"
        if message.handle is not None:
            self._note(message.handle)
        LOG.log(
            logging.ERROR if first else logging.DEBUG,
            "%s raised %s: %s; no save is hindered, and this is told once",
            self.label,
            type(error).__name__,
            error,
            exc_info=first,
        )

    def trouble(self) -> dict[str, Any] | None:
        """How many messages it did not take, and the first reason; ``None`` where there is no trouble."""
        if not (self.failed or self.lost):
            return None
        return {"failed": self.failed, "lost": self.lost, "why": self.why or "it is too slow"}

    def flush(self, patience: float) -> bool:
        """Wait until all is taken; not twice for a tracker that has not moved since."""
        if self._process != os.getpid() or self._thread is threading.current_thread():
            return True
        done = self.sent + self.failed
        with self._idle:
            if self._slow_at is not None and self._slow_at == done:
                patience = 0.0
            idle = self._idle.wait_for(lambda: not self._busy, patience)
        self._slow_at = None if idle else self.sent + self.failed
        return idle

    @property
    def left(self) -> int:
        """Messages that it has not taken yet."""
        return len(self._waiting) + self._busy


_LINES: weakref.WeakSet[_Line] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    end = monotonic() + _PATIENCE
    for line in list(_LINES):
        if not line.flush(max(0.0, end - monotonic())):
            LOG.warning("%s has not taken %d messages at the process's end", line.label, line.left)


class Trackers:
    """All trackers of one vault. ``tensorboard``: one more, a writer of TensorBoard's files.

    Raises :class:`UsageError` for what is no tracker.
    """

    def __init__(self, given: Iterable[Any] = (), tensorboard: Any = None) -> None:
        self._lines: list[_Line] = []
        self._noting = threading.Lock()
        if tensorboard is not None:
            self._add(scalar_writer(tensorboard), "tensorboard=")
        if not isinstance(given, Iterable) or isinstance(given, str):
            raise UsageError(
                "trackers= is a list",
                found=type(given).__name__,
                remedy="trackers=[...], also where it is one.",
            )
        for one in given:
            self._add(tracker_of(one), None)
        _LINES.update(self._lines)

    def _add(self, tracker: Tracker, label: str | None) -> None:
        alike = sum(line.tracker.name == tracker.name for line in self._lines)
        name = tracker.name if not alike else f"{tracker.name}.{alike + 1}"
        self._lines.append(_Line(tracker, label or f"tracker {name}", name, self._note))

    def _note(self, handle: SaveHandle) -> None:
        with self._noting:
            handle._telemetry = {**handle._telemetry, "trackers": self.troubles()}

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._lines)

    def tell(self, event: Event, handle: SaveHandle | None = None) -> None:
        """Queue what the event has for trackers; raises nothing and waits for nobody."""
        if self._lines:
            for message in told_of(event):
                for line in self._lines:
                    line.add(message._replace(handle=handle))

    def troubles(self) -> dict[str, Any] | None:
        """What was not taken, by tracker; ``None`` where all was."""
        return {line.name: trouble for line in self._lines if (trouble := line.trouble())} or None

    def flush(self) -> None:
        """Wait for all trackers for a while; the log says of which one had to leave something behind."""
        for line in self._lines:
            if not line.flush(_PATIENCE):
                LOG.warning(
                    "%s has not taken %d messages yet; they are sent on as long as the process runs",
                    line.label, line.left,
                )  # fmt: skip

    def close(self) -> None:
        """Wait for all trackers for a while, and say what was not taken."""
        self.flush()
        for line in self._lines:
            if (trouble := line.trouble()) is not None:
                LOG.warning(
                    "%s did not take %d of %d messages: %s",
                    line.label, trouble["failed"] + trouble["lost"], line.sent + line.failed + line.lost, trouble["why"],
                )  # fmt: skip
