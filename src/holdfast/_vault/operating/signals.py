"""What a vault does when its process is told to end, and when it forks.

A signal's handler runs between two bytecodes of the main thread, which may stand in the middle of a step: it only notes
that the signal came. The save happens at the next boundary between two steps, which the loop names
(:meth:`Preemptible.step_boundary`).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from ..._core.errors import HoldfastError, SaveFailed, UsageError

if TYPE_CHECKING:
    from ..handle import SaveHandle

__all__ = ["Preemptible", "SaveThread", "SignalWatch", "started"]

LOG = logging.getLogger("holdfast.vault")
State = Callable[[], Mapping[str, Any]]
DEFAULT: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
_LIVE: weakref.WeakSet[Preemptible] = weakref.WeakSet()


class SignalWatch:
    """Signals that lead to a save: what :meth:`Vault.save_on_signal` gives.

    ``received`` is the first signal that was not answered yet, ``since`` when it came (``time.monotonic``). A context
    manager: its end puts the handlers back that were there before, and so does ``vault.close()``. A signal that was
    never answered (the loop ended by itself, or never named a boundary) is then delivered as if nobody had watched.
    """

    def __init__(
        self,
        vault: Preemptible,
        signals: Iterable[int],
        state: State | None,
        then: Literal["exit", "continue"],
    ) -> None:
        self.received: signal.Signals | None = None
        self.since = 0.0
        self.state, self.then = state, then
        self._vault = weakref.ref(vault)
        self._pid = os.getpid()
        self._saving = False
        self._released = False
        self._old: dict[int, Any] = {}
        for number in signals:
            try:
                before = signal.getsignal(number)
                if before is None:
                    raise ValueError("its handler is not Python's, and could not be put back")
                signal.signal(number, self._note)
            except (OSError, ValueError) as error:
                self.release()
                raise UsageError("this signal cannot be watched", found=f"{number!r}: {error}") from error
            self._old[number] = before

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler. No logging, no locks: it may have interrupted whoever holds them."""
        if self._released or os.getpid() != self._pid or self._vault() is None:
            self._pass_on(number)
            return
        if self.received is None:
            self.since = time.monotonic()
            self.received = signal.Signals(number)
        elif number == signal.SIGINT == self.received and not self._saving:
            self._pass_on(number)  # a person who insists
            return
        before = self._old.get(number)
        if callable(before) and _watch_of(before) is not None:
            before(number, frame)  # another vault of this process

    def _pass_on(self, number: int) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(number, self._old.pop(number, signal.SIG_DFL))
            signal.raise_signal(number)

    def release(self) -> None:
        """Put the handlers back; again does nothing."""
        if self._released or not self._put_back():
            return
        if self.received is not None:
            if self.then == "exit":
                signal.raise_signal(self.received)
            else:
                LOG.warning(
                    "%s asked for a save, and no boundary of a step came after it", self.received.name
                )

    def _put_back(self) -> bool:
        self._released = True
        if threading.current_thread() is not threading.main_thread():
            return False  # only the main thread may; the next signal passes through
        for number, before in self._old.items():
            if _watch_of(signal.getsignal(number)) is self:
                signal.signal(number, before)
        return True

    def answer(self, vault: Preemptible, given: dict[str, Any]) -> None:
        """Save at a boundary, and then leave or go on. Raises :class:`SaveFailed`, :class:`UsageError`,
        :class:`SystemExit`."""
        number = self.received
        assert number is not None
        given = {**(self.state() if self.state is not None else {}), **given}
        step = given.pop("step", None)
        if step is None or not given:
            raise UsageError(
                f"{number.name} came, and nothing says what to save",
                expected="step_boundary(step, model=..., ...), or state= of save_on_signal()",
            )
        late = time.monotonic() - self.since
        LOG.info("%s came %.1f s ago; step %s is saved now", number.name, late, step)
        self._saving = True
        if self.then == "continue":
            self.received = None  # one that comes during the save asks anew
        try:
            vault._save_now(step, given)
        finally:
            self._saving = False
        LOG.info("step %s is durable, %.1f s after %s", step, time.monotonic() - self.since, number.name)
        if self.then == "exit":
            self._leave(vault, number)

    def _leave(self, vault: Preemptible, number: signal.Signals) -> None:
        before = self._old.get(number)
        self.received = None
        main = self._put_back()
        vault.close()
        if not main:  # the loop runs in another thread: the main thread hears of it by the signal itself
            os.kill(os.getpid(), number)
        elif _watch_of(before) is not None:
            return  # the other vault saves at its own boundary, and leaves
        elif callable(before):
            before(number, None)
        raise SystemExit(128 + number)

    def __enter__(self) -> SignalWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _watch_of(handler: Any) -> SignalWatch | None:
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, SignalWatch) else None


class Preemptible:
    """The part of a vault that has to do with its process: signals and forks."""

    path: str
    _watch: SignalWatch | None = None
    _turn: Any
    _buffers: Any
    _thread: Any
    _handle: SaveHandle | None
    _failed: SaveHandle | None

    def _live_here(self) -> None:
        """To be called once the object is whole."""
        _LIVE.add(self)

    def save_on_signal(
        self,
        signals: Iterable[int] = DEFAULT,
        *,
        state: State | None = None,
        then: Literal["exit", "continue"] = "exit",
    ) -> SignalWatch:
        """Save when the system says that this process is about to be ended, at the next boundary of a step.

        The signals no longer end the process; :meth:`step_boundary`, called between two steps, then saves (waiting until
        everything is durable). ``then="exit"`` closes the vault after that, calls the handler that the signal had
        before, and leaves with ``128 + signal`` (143 for SIGTERM); ``"continue"`` goes on with the loop: a checkpoint on
        demand. ``state`` gives what to save, as :meth:`save` takes it, with ``step``; ``step_boundary`` may add to it.

        No further signal of these ends a save half-way. SIGINT, where it is among them, interrupts at the second time
        unless a save is being written. Forked children have the handlers that were there before.

        Raises :class:`UsageError` outside of the main thread, for an unknown ``then``, and for a signal whose handler
        Python does not know.
        """
        if threading.current_thread() is not threading.main_thread():
            raise UsageError("save_on_signal() is for the main thread: only it may set handlers")
        if then not in ("exit", "continue"):
            raise UsageError("no such then", found=then, expected="exit or continue")
        if self._watch is not None:
            self._watch.release()
        self._watch = SignalWatch(self, signals, state, then)
        return self._watch

    @property
    def preempted(self) -> bool:
        """Whether a signal of :meth:`save_on_signal` came that no save has answered yet."""
        return self._watch is not None and self._watch.received is not None

    def step_boundary(self, step: int | None = None, **parts: Any) -> bool:
        """Between two steps: save now if a signal of :meth:`save_on_signal` came, and say whether one did.

        ``step`` and ``parts`` are those of :meth:`save`; a step that was saved just before with the same parts is not
        saved again. Costs nothing where no signal came. Raises what :meth:`save` raises, and :class:`SystemExit` where
        the process is to leave.
        """
        watch = self._watch
        if watch is None or watch.received is None:
            return False
        watch.answer(self, parts if step is None else {**parts, "step": step})
        return True

    def _save_now(self, step: int, given: dict[str, Any]) -> None:
        """Save and wait, after the save that is in flight, whatever becomes of that one."""
        with self._turn:
            try:
                self.wait()
            except HoldfastError as error:
                LOG.error("the save before had failed: %s", error)
            last = self._handle
            names = {name for name, part in given.items() if part is not None}
            if (
                last is not None
                and last.step == step
                and last.path
                and last.error is None
                and last._parts >= names
            ):
                return
            self.save(step, blocking=True, **given)

    def wait(self) -> None:
        """See :meth:`Vault.wait`."""
        raise NotImplementedError

    def close(self) -> None:
        """See :meth:`Vault.close`."""
        raise NotImplementedError

    def save(self, step: int, *, blocking: bool = False, **given: Any) -> SaveHandle:
        """See :meth:`Vault.save`."""
        raise NotImplementedError

    def _forked(self) -> None:
        """In a forked child: no thread of the parent lives here, and nobody here will give a lock back that one of them
        held. The save in flight is the parent's."""
        self._turn = threading.RLock()
        self._buffers = type(self._buffers)()
        handle, self._thread, self._failed = self._handle, None, None
        if handle is not None and not handle.done:
            handle._done, handle._frozen = threading.Event(), threading.Event()
            handle.error = SaveFailed(
                f"step {handle.step} was being written by another process when this one was forked from it",
                file=self.path,
                remedy="Ask the parent process; what it saves is in the vault once it is committed.",
            )
            handle._done.set()
            handle._frozen.set()


class SaveThread(threading.Thread):
    """A thread whose end is told by an event. An interrupt within :meth:`threading.Thread.join` would take it for ended
    while it runs (cpython, ``_wait_for_tstate_lock`` of Lib/threading.py, up to 3.12), and the next save for the only
    one."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=False)
        self._work = work
        self._over = threading.Event()

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        finally:
            self._over.set()

    def is_alive(self) -> bool:
        """Whether the work is still being done."""
        return not self._over.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the work is done."""
        self._over.wait(timeout)


def started(work: Callable[[], None], name: str) -> SaveThread | None:
    """A thread that does ``work``, known to the caller before an interrupt can come; the process waits for it at its end.

    ``None`` where no thread can be started (too many; an interpreter that is shutting down): it is done when this
    returns.
    """
    thread = SaveThread(work, name)
    try:
        thread.start()
    except RuntimeError as error:
        LOG.warning("%s: %s; writing in the calling thread", name, error)
        work()
        return None
    return thread


# A signal that comes between a fork and the child's own handlers would be lost there (Python clears what is pending): it
# waits until they stand.
_forking = threading.local()


def _before_fork() -> None:
    watched = {number for vault in list(_LIVE) if vault._watch is not None for number in vault._watch._old}
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched) if watched else None


def _in_parent() -> None:
    mask, _forking.mask = getattr(_forking, "mask", None), None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    for vault in list(_LIVE):
        vault._forked()
        if vault._watch is not None:
            vault._watch.received = None
            vault._watch._put_back()
    _in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
