"""Threads that work off a stream of tasks, with nothing left hanging when one fails or the user interrupts.

Reading (``pread``) and hashing (BLAKE3, CRC-32, CRC-32C, SHA-2) release the interpreter's lock, so threads
suffice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from .._core.fault import Progress

__all__ = ["WINDOW", "Stopped", "Shared", "run_all", "default_jobs", "unit_bytes"]

WINDOW = 1 << 20
"""Bytes read at a time: what was read is hashed while the processor's cache still holds it."""

_MAPPED = 32 << 20

Task = Callable[[memoryview], None]


def unit_bytes(total: int, jobs: int, leaf_bytes: int) -> int:
    """How much one worker takes at a time: 16 MiB is best where pieces are mapped (mapping and unmapping cost
    less per byte), less where there is little to share out, and about 32 MiB over all workers."""
    return max(leaf_bytes, min(16 << 20, _MAPPED // jobs, total // (8 * jobs)))


class Stopped(Exception):
    """Raised inside a worker to end a task early, because another failed or the user interrupted."""


def default_jobs() -> int:
    """As many threads as this process may use processors."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class Shared:
    """What all workers share: the signal to stop, and a progress callback that is never called from two at
    once."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.stop = threading.Event()
        self._progress = progress
        self._lock = threading.Lock()

    def tell(self, count: int) -> None:
        """Hand on a byte count; raises :class:`Stopped` where work should end."""
        if self.stop.is_set():
            raise Stopped
        if self._progress is not None and count:
            with self._lock:
                self._progress(count)


def run_all(tasks: Iterable[Task], jobs: int, shared: Shared) -> None:
    """Run every task, at most ``jobs`` at a time, in the order given; each gets its thread's own window of
    memory.

    The first exception of a task stops the others and is raised here. Returns, or raises, only when all
    threads have ended, also on ``KeyboardInterrupt``.
    """
    if jobs <= 1:
        window = memoryview(bytearray(WINDOW))
        for task in tasks:
            task(window)
        return
    stream, lock = iter(tasks), threading.Lock()
    failures: list[BaseException] = []
    ended = threading.Semaphore(0)

    def work() -> None:
        try:
            window = memoryview(bytearray(WINDOW))
            while not shared.stop.is_set():
                with lock:
                    task = next(stream, None)
                if task is None:
                    return
                task(window)
        except Stopped:
            return
        except BaseException as failure:  # noqa: BLE001 - handed to the caller's thread, which raises it
            failures.append(failure)
            shared.stop.set()
        finally:
            ended.release()

    threads = [threading.Thread(target=work, name=f"holdfast-{n}", daemon=True) for n in range(jobs)]
    # Not Thread.join: an interrupt inside it makes older Pythons take the thread for ended.
    left = 0
    try:
        for thread in threads:
            try:
                thread.start()
            except RuntimeError:  # too many threads, or an interpreter that is shutting down (Python 3.12)
                break
            left += 1
        if not left:
            left = 1
            work()
        while left:
            left -= ended.acquire(timeout=0.5)  # in slices, so that an interrupt is heard on every platform
    except BaseException:
        shared.stop.set()
        while left:
            left -= ended.acquire(timeout=0.5)
        raise
    finally:
        for thread in threads:
            if thread.is_alive():
                thread.join(1)
    if failures:
        raise failures[0]
