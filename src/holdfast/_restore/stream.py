"""Reads runs to their places in one pass: by several threads from the page cache, by one reader with the hashing
beside it from a disk.

Measured on 2 GB (two processors): from the cache, two threads that each read and hash MiB by MiB take 1.3-1.5 times a
raw read; from a disk, a single sequential reader beside a hashing thread keeps up with a raw read, where two readers
take 1.6 times as long. The disk is kept busy by asking for what comes (:class:`_Ahead`): on a busy machine that halves
the time of a raw read, which asks for the next bytes when it needs them.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from .._integrity.workers import WINDOW, Shared, Stopped
from .._storage import LocalFile
from .runs import Part, Run

__all__ = ["bring", "survey"]

_AHEAD = 16  # leaves that the sequential reader may be ahead of the hashing: 64 MiB
_ASKED = 64 << 20  # bytes that the disk is asked for ahead of the reader
_AT_ONCE = 2 << 20  # and of these in one call
_FEW = 6  # parts: with so few left, what has arrived is handed over, and memory lent for more


def survey(runs: Iterable[Run], *, jobs: int, shared: Shared, cold: bool) -> None:
    """Read and hash runs without keeping their bytes; raises like :func:`bring`. Nothing live is touched.

    From a disk one thread does both: it keeps up, and needs no memory beside its window.
    """
    runs = list(runs)
    line = _Line(_Ahead(runs) if cold else None)
    line.add(part for run in runs for part in run.parts())
    line.close()
    crew = _Crew(line, jobs=1 if cold else jobs, shared=shared, cold=False, dry=True)
    crew.work(feed=lambda: None, landed=lambda run: None)


def bring(
    runs: Iterable[Run],
    *,
    jobs: int,
    shared: Shared,
    cold: bool,
    lend: Callable[[Run], bool],
    begin: Callable[[Run], None],
    arrive: Callable[[Run], None],
) -> None:
    """Read runs, in the order given, to their buffers, comparing what is read with its claims.

    ``lend(run)`` sets the buffer of a run that is not direct, some way before its turn, and gives ``False`` where
    another run must arrive first. It is called in the calling thread, like ``arrive``: beside the reading and hashing,
    which never wait for a framework to hand out or take over memory, and so that memory which an assignment lets go of
    goes to the next run (an allocator keeps what a thread freed for that thread; new pages cost as much as the reading).
    ``begin(run)`` is called before the first byte of a direct run's buffer changes, never twice at once, and not
    always from the calling thread. ``arrive(run)`` is called in the calling thread once a run that is not direct was
    read and compared. Raises :class:`ChecksumMismatch`, :class:`Truncated` or what a callback raised, when all
    threads have ended; nothing arrives after the first failure.
    """
    lock = threading.Lock()
    runs = list(runs)

    def start(part: Part) -> None:
        run = part.run
        if run.direct and not run.begun:
            with lock:
                if not run.begun:
                    begin(run)
                    run.begun = True

    line = _Line(_Ahead(runs) if cold else None)
    waiting = deque(runs)

    def feed() -> None:
        while waiting and (waiting[0].direct or lend(waiting[0])):
            line.add(waiting.popleft().parts())
        if not waiting:
            line.close()

    _Crew(line, jobs=jobs, shared=shared, cold=cold, dry=False, start=start).work(feed, arrive)


class _Ahead:
    """Asks the kernel for the bytes of the runs, in their order, some way before they are read: the disk then always has
    several requests at hand, and reads while the reader copies. ``POSIX_FADV_WILLNEED`` starts the reading and does not
    wait for it (man 2 posix_fadvise). What lies between the runs is not asked for."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._pieces = self._cut(runs) if hasattr(os, "posix_fadvise") else iter(())
        self._asked = 0
        self._taken = 0

    @staticmethod
    def _cut(runs: Iterable[Run]) -> Iterator[tuple[int, int, int]]:
        for run in runs:
            source = run.source
            if not isinstance(source, LocalFile):
                continue
            for at in range(0, run.length, _AT_ONCE):
                yield source.fileno(), run.offset + at, min(_AT_ONCE, run.length - at)

    def taken(self, part: Part) -> None:
        """A part is about to be read: ask for what comes after it."""
        self._taken += part.length
        while self._asked < self._taken + _ASKED:
            piece = next(self._pieces, None)
            if piece is None:
                return
            descriptor, offset, length = piece
            self._asked += length
            with suppress(
                OSError
            ):  # a file system that takes no advice: reading brings the bytes all the same
                os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)


class _Line:
    """Parts that can be read, in the order in which they are to be taken."""

    def __init__(self, ahead: _Ahead | None) -> None:
        self._ahead = ahead
        self.low: Callable[[], None] = lambda: None  # called each time that few are left
        self._parts: deque[Part] = deque()
        self._closed = False
        self._change = threading.Condition()

    def add(self, parts: Iterable[Part]) -> None:
        """More of them."""
        with self._change:
            self._parts.extend(parts)
            self._change.notify_all()

    @property
    def is_low(self) -> bool:
        """Whether few are left."""
        return len(self._parts) <= _FEW

    def close(self) -> None:
        """No more will come."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def take(self, stopped: Callable[[], bool]) -> Part | None:
        """The next one; waits for it, and gives ``None`` where all were taken, or once ``stopped()``."""
        with self._change:
            while not stopped():
                if self._parts:
                    part = self._parts.popleft()
                    if len(self._parts) == _FEW:
                        self.low()
                    if self._ahead is not None:
                        self._ahead.taken(part)
                    return part
                if self._closed:
                    return None
                self._change.wait(0.2)
        return None


class _Crew:
    """The threads of one pass."""

    def __init__(
        self,
        line: _Line,
        *,
        jobs: int,
        shared: Shared,
        cold: bool,
        dry: bool,
        start: Callable[[Part], None] = lambda part: None,
    ) -> None:
        self._line, self._jobs, self._shared = line, max(1, jobs), shared
        self._cold, self._dry, self._start = cold, dry, start
        self._filled: queue.Queue[Part | None] = queue.Queue(_AHEAD)
        # runs that were read and compared; True: few parts are left to take, False: a thread has ended
        self._landed: queue.SimpleQueue[Run | bool] = queue.SimpleQueue()
        line.low = lambda: self._landed.put(True)
        self._failures: list[BaseException] = []

    def work(self, feed: Callable[[], None], landed: Callable[[Run], None]) -> None:
        """Start the threads and serve them until all have ended: ``landed(run)`` for each run that is not direct, and
        ``feed()`` for more parts, before the first and after those.

        Runs that land wait for their turn while there are parts enough to take: a framework's calls, which find
        nothing of theirs left in the processor's cache by the time a tensor has passed through it, then cost half.
        """
        if self._cold:
            hashers = max(
                1, self._jobs - 1
            )  # the reader keeps a processor busy: it copies what the disk brings
            tasks = [lambda: self._read(hashers), *[self._hash] * hashers]
        else:
            tasks = [self._both] * self._jobs
        threads = [
            threading.Thread(target=self._guard, args=(task,), name=f"holdfast-{n}", daemon=True)
            for n, task in enumerate(tasks)
        ]
        for thread in threads:
            thread.start()
        left = len(threads)
        arrived: list[Run] = []
        try:
            feed()
            while left:
                told = self._next()
                if told is False:
                    left -= 1
                elif told is not True:
                    arrived.append(told)
                if (self._line.is_low or not left) and not self._shared.stop.is_set():
                    for run in arrived:
                        landed(run)
                    arrived.clear()
                    feed()
        except BaseException:
            self._shared.stop.set()
            while left:
                left -= self._next() is False
            raise
        finally:
            for thread in threads:
                thread.join(1)
        if self._failures:
            raise self._failures[0]

    def _next(self) -> Run | bool:
        while True:
            try:
                return self._landed.get(timeout=0.5)  # in slices, so that an interrupt is heard everywhere
            except queue.Empty:
                continue

    def _guard(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Stopped:
            return
        except BaseException as failure:  # noqa: BLE001 - handed to the caller's thread, which raises it
            self._failures.append(failure)
            self._shared.stop.set()
        finally:
            self._landed.put(False)

    def _take(self) -> Part | None:
        return self._line.take(self._shared.stop.is_set)

    def _both(self) -> None:
        window = memoryview(bytearray(WINDOW)) if self._dry else None
        while (part := self._take()) is not None:
            self._start(part)
            self._finish(part, part.work(window, read=True))

    def _finish(self, part: Part, last: bool) -> None:
        self._shared.tell(part.length)
        if last and not part.run.direct and not self._dry:
            self._landed.put(part.run)

    def _read(self, hashers: int) -> None:
        try:
            while (part := self._take()) is not None:
                self._start(part)
                part.fill()
                if not self._offer(part):
                    return
        finally:
            for _ in range(hashers):
                self._offer(None)

    def _offer(self, part: Part | None) -> bool:
        """Hand a part on, unless everything stops."""
        while not self._shared.stop.is_set():
            try:
                self._filled.put(part, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def _hash(self) -> None:
        while not self._shared.stop.is_set():
            try:
                part = self._filled.get(timeout=0.2)
            except queue.Empty:
                continue
            if part is None:
                return
            self._finish(part, part.work(None, read=False))
