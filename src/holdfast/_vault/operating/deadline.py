"""A limit for writes that hang: the save is given up, named, and can never become visible afterwards.

A system call that does not return cannot be taken back. So the writing runs in a daemon thread of its own, watched by the
thread of the save; where an operation has not ended for too long, the sink is halted: whatever the hung thread wants to do
once it wakes up raises. Until it has ended the vault keeps its lock and saves nothing.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..._core.errors import SaveFailed, UsageError
from ..._storage.local_sink import InFlight, LocalSink
from ..._storage.sink import Sink
from ..handle import SaveHandle

__all__ = ["Deadline"]

LOG = logging.getLogger("holdfast.vault")


class Deadline:
    """``seconds`` within which some operation of ``sink`` has to end while one is under way; ``None`` waits for ever."""

    def __init__(self, sink: Sink, seconds: float | None) -> None:
        if seconds is not None and not seconds > 0:
            raise UsageError("a deadline is a number of seconds above 0", found=repr(seconds))
        if seconds is not None and not isinstance(sink, LocalSink):
            raise UsageError(
                "this sink does not tell of its operations: no deadline", found=type(sink).__name__
            )
        self.seconds = seconds
        self._sink = sink
        self._hung: tuple[float, InFlight | None] | None = None
        self._after: list[Callable[[], None]] = []
        self._guard = threading.Lock()

    def around(
        self, write: Callable[[], None], handle: SaveHandle, failed: Callable[[SaveHandle], None]
    ) -> Callable[[], None]:
        """``write`` within the deadline. ``write`` raises nothing and tells ``handle`` how it ended; where it hangs, or the
        waiting is interrupted, ``handle`` and ``failed`` are told here."""
        if self.seconds is None:
            return write

        def run() -> None:
            error = self._within(write)
            if error is not None:
                handle.error = error
                failed(handle)
                LOG.error("the save of step %s failed: %s", handle.step, error)
                handle._done.set()

        return run

    def call(self, work: Callable[[], None]) -> None:
        """Carry ``work`` out within the deadline; raises what it raises, and :class:`SaveFailed` where it hangs."""
        if self.seconds is None:
            return work()
        raised: list[BaseException] = []

        def catching() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                raised.append(error)

        error = self._within(catching)
        if error is not None or raised:
            raise error or raised[0]
        return None

    def demand_free(self) -> None:
        """Raises :class:`SaveFailed` while an operation of an earlier save still hangs."""
        with self._guard:
            hung = self._hung
        if hung is None:
            return
        since, operation = hung
        what = (
            "has not ended" if operation is None else f"still hangs in {operation.kind} of {operation.name}"
        )
        raise SaveFailed(
            f"an earlier save {what}, {time.monotonic() - since:.1f} s after it began; nothing is saved meanwhile",
            file=self._sink.path if operation is None else str(Path(self._sink.path, operation.name)),
            number=errno.ETIMEDOUT,
            remedy="The disk or the network file system does not answer. Saves go on as soon as it does.",
        )

    def when_free(self, call: Callable[[], None]) -> None:
        """Carry ``call`` out now, or, while an operation hangs, by the hung thread once it has ended."""
        with self._guard:
            if self._hung is not None:
                self._after.append(call)
                return
        call()

    def _within(self, work: Callable[[], None]) -> BaseException | None:
        """Carry ``work`` out in a thread; gives the error where it was given up, and then it runs on behind us."""
        sink, seconds = self._sink, self.seconds
        assert isinstance(sink, LocalSink) and seconds is not None
        ended = threading.Event()

        def body() -> None:
            try:
                work()
            finally:
                with self._guard:
                    ended.set()
                    given_up, self._hung = self._hung, None
                    after, self._after = self._after, []
                if given_up is not None:
                    sink.halt(None)
                    LOG.warning("the save that hung has ended; nothing of it became visible")
                    for call in after:
                        call()

        begun = time.monotonic()
        threading.Thread(target=body, name="holdfast-write", daemon=True).start()
        try:
            while not ended.wait(min(seconds / 4, 0.5)):
                operation = self._stuck(sink, begun, seconds)
                if operation is not None:
                    error = self._named(operation, seconds)
                    if self._give_up(sink, ended, error, operation):
                        return error
        except BaseException as interrupt:  # noqa: BLE001 - told to the handle, which raises it at the caller
            if self._give_up(sink, ended, SaveFailed("the save was interrupted", file=sink.path), None):
                ended.wait(seconds)  # it ends at its next operation
            return interrupt
        return None

    @staticmethod
    def _stuck(sink: LocalSink, begun: float, seconds: float) -> InFlight | None:
        """The operation that has been under way for too long, where none has ended meanwhile."""
        now = time.monotonic()
        flying = sink.in_flight()
        if not flying or now - max(begun, sink.finished, flying[0].since) < seconds:
            return None
        return flying[0]

    def _give_up(
        self, sink: LocalSink, ended: threading.Event, error: SaveFailed, operation: InFlight | None
    ) -> bool:
        """Let nothing more of it reach the disk; ``False`` where it has just ended."""
        with self._guard:
            if ended.is_set():
                return False
            sink.halt(error)
            self._hung = (operation.since if operation else time.monotonic(), operation)
            return True

    def _named(self, operation: InFlight, seconds: float) -> SaveFailed:
        elapsed = time.monotonic() - operation.since
        visible = "may become visible, whole" if operation.kind == "rename" else "will never become visible"
        return SaveFailed(
            f"saving hangs: {operation.kind} has not returned for {elapsed:.1f} s; this save is given up",
            file=str(Path(self._sink.path, operation.name)),
            expected=f"an operation to end within {seconds:g} s (deadline)",
            found=f"none; {operation.kind} is under way",
            number=errno.ETIMEDOUT,
            remedy=f"The disk or the network file system does not answer (see the system's log). The step {visible}; "
            "the vault saves again once the operation has returned.",
        )
