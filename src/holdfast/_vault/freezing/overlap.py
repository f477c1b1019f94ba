"""Copies that a thread makes while training goes on, complete before the next optimizer step writes.

What may be copied so late is the framework's to say (:mod:`holdfast._frameworks.torch.freezing`): it owns the hook that
waits. Whoever needs the copies before the thread has come to it (the hook, a restore, a reader) makes them itself.

The copies are taken from the memory that the tensors had when ``save()`` was called, so that a tensor that gets other
memory meanwhile (``.data = ``, ``module.half()``, ``load_state_dict(assign=True)``) does no harm. A write *into* that
memory before the copy is complete does: the framework's counters show most such writes, and the save then fails. With
``proof="content"`` nothing is left to counters: all is copied in ``save()``, and what the thread does is to read every
source again and compare.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple, Protocol

import numpy as np

from ..._core.errors import SaveFailed
from ..._frameworks import LiveCatalog
from ..._frameworks.pending import forget, wait_for
from ..contents.payload import Item
from .proof import pause, same_bytes
from .races import torn_snapshot

__all__ = ["Overlap", "overlap_of"]


class Watch(Protocol):
    """The framework's part."""

    def source(self, read: Callable[[], np.ndarray]) -> Callable[[], bool] | None: ...

    def arm(self, join: Callable[[], object]) -> None: ...

    def disarm(self, join: Callable[[], object]) -> None: ...


class _Job(NamedTuple):
    name: str
    source: np.ndarray
    copy: np.ndarray
    written: Callable[[], bool]


def overlap_of(live: LiveCatalog, parts: dict[str, object], *, proving: bool = False) -> Overlap | None:
    """What of the live objects can be copied (``proving``: compared) while training goes on; ``None`` where nothing can:
    other frameworks, and PyTorch without an optimizer that would wait."""
    if live.framework != "torch":
        return None
    from ..._frameworks.torch.freezing import watch

    found = watch(parts)
    return Overlap(found, proving=proving) if found is not None else None


class Overlap:
    """The part of a freeze that is done after ``save()`` has returned.

    ``waited``: seconds that others have waited for it. ``seconds``: what the work itself took.
    """

    def __init__(self, watch: Watch, *, proving: bool = False) -> None:
        self.proving = proving
        self.waited = 0.0
        self.seconds = 0.0
        self._watch = watch
        self._jobs: list[_Job] = []
        self._lock = threading.Lock()
        self._over = False
        self._awaited = threading.Event()
        self._error: Exception | None = None
        self._ended: Callable[[Overlap], None] = _nothing
        self._waited: Callable[[float], None] = _nothing
        self._process = os.getpid()

    @property
    def names(self) -> frozenset[str]:
        """What it copies, or compares."""
        return frozenset(job.name for job in self._jobs)

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self._over

    def take(self, item: Item, values: np.ndarray, copy: np.ndarray) -> bool:
        """Take a tensor over if it holds still until the next step; says whether ``copy`` will be filled later."""
        written = self._watch.source(item.read)
        if written is None:
            return False
        self._jobs.append(_Job(item.spec.name, values, copy, written))
        return not self.proving

    def arm(self, ended: Callable[[Overlap], None], waited: Callable[[float], None]) -> bool:
        """Have the next step wait for it. ``ended`` is called once when the work is over, ``waited`` with the seconds of
        each wait. Says whether there is anything to do."""
        if not self._jobs:
            self._over = True
            return False
        self._ended, self._waited = ended, waited
        self._watch.arm(self.join)
        wait_for(self.join)
        return True

    def join(self) -> None:
        """Return once everything may be written to again. Raises nothing of the copy's own: the save fails with that."""
        if self._over:
            return
        begin = perf_counter()
        self._awaited.set()
        self._work()
        spent = perf_counter() - begin
        self.waited += spent
        self._waited(spent)

    def finish(self) -> None:
        """Return once the copies are complete. Raises :class:`SaveFailed` where a tensor was written to before."""
        self._work()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        if os.getpid() != self._process:  # the child of a fork: the copy is its parent's, and so is the lock
            self._error = SaveFailed("a copy of another process cannot be completed in this one")
            self._over = True
            self._watch.disarm(self.join)
            return
        with self._lock:
            if self._over:
                return
            begin = perf_counter()
            try:
                self._compare() if self.proving else self._copy()
            except Exception as error:  # noqa: BLE001 - the save raises it; never in the middle of somebody's step
                self._error = error
            except BaseException as error:
                self._error = SaveFailed("the copy was interrupted; nothing was written", found=repr(error))
                raise
            finally:
                self.seconds = perf_counter() - begin
                self._over = True
                self._jobs.clear()
                self._watch.disarm(self.join)
                forget(self.join)
                self._tell()

    def _tell(self) -> None:
        try:
            self._ended(self)
        except Exception as error:  # noqa: BLE001 - as above
            self._error = self._error or error

    def _copy(self) -> None:
        for job in self._jobs:
            np.copyto(job.copy, job.source)
        # a write that is under way is counted at its end; a thread that waits makes none
        self._awaited.wait(_MOMENT)
        self._refuse([job.name for job in self._jobs if job.written()], "before they were copied")

    def _compare(self) -> None:
        pause()
        self._refuse(
            [job.name for job in self._jobs if not same_bytes(job.source, job.copy)], "while they were proved"
        )

    def _refuse(self, names: list[str], when: str) -> None:
        if not names:
            return
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise torn_snapshot(
            f"the snapshot is torn: {', '.join(names[:5])}{more} changed {when}; nothing was written",
            names,
            found=f"{len(names)} changed between save() and the next step",
            expected="nothing but the step of an optimizer that was passed writes to them (overlap=True)",
            remedy="Call handle.join() before anything else writes to the weights, or save with overlap=False.",
        )


_MOMENT = 0.005


def _nothing(_: object) -> None:
    return None
