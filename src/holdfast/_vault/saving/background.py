"""One save, step by step: the live objects are taken at one instant, and what was taken is written, mostly in a thread.

One save is under way at a time, and what it fails with is told once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from ..._core.errors import SaveFailed
from ..._core.modules import ModuleSpec
from ..._frameworks import LiveCatalog, live_catalog
from ..._record.metrics import Metrics
from ..._restore.journal import signals_held
from ..contents.beside import Beside
from ..contents.given import Given
from ..contents.payload import Payload, gather
from ..contents.recording import record_beside, recorded_metrics
from ..folder.keep import Keep
from ..freezing.buffers import Arena, Buffers
from ..freezing.overlap import Overlap, overlap_of
from ..freezing.quiet import uncollected
from ..freezing.snapshot import freeze, give_all, proved
from ..handle import SaveHandle
from ..operating.deadline import Deadline
from ..operating.signals import started
from ..telling.telemetry import Meter, Watch
from .native import attach_native, release_native
from .writer import Writer

__all__ = ["Asked", "Background", "Taken"]

LOG = logging.getLogger("holdfast.vault")


@dataclass(frozen=True)
class Asked:
    """What a save was asked for: the live objects by name (``parts``), and what :meth:`Vault.save` says of the others.
    ``frozen`` are patterns, ``kinds`` those of native payloads."""

    step: int
    parts: dict[str, Any]
    extra: Mapping[str, Any] | None
    metrics: Metrics | None
    data: Mapping[str, Any] | None
    preprocess: Any
    frozen: tuple[str, ...]
    kinds: tuple[str, ...]
    blocking: bool

    @property
    def names(self) -> frozenset[str]:
        """What was given, by name."""
        others = {
            "extra": self.extra,
            "metrics": self.metrics,
            "data": self.data,
            "preprocess": self.preprocess,
        }
        return frozenset(name for name, part in {**self.parts, **others}.items() if part is not None)

    def describe(self) -> tuple[LiveCatalog, Payload]:
        """Take stock of the live objects as they are now."""
        with uncollected():
            live = live_catalog(**self.parts)
            return live, gather(live, self.extra, self.frozen)


class Taken(NamedTuple):
    """What a save took, and no longer needs the live objects for. ``later``: copies that a thread still makes. ``ask``: what
    is left to be asked in the writer's thread. ``sections``: those of the record."""

    held: Payload
    arenas: list[Arena]
    later: Overlap | None
    modules: tuple[ModuleSpec, ...]
    sections: dict[str, Any]
    ask: Callable[[], None]


class Background:
    """The part of a vault that takes and writes."""

    path: str
    proof: str
    overlap: bool
    keep: Keep
    when_busy: str
    _beside: Beside
    _writer: Writer
    _buffers: Buffers
    _deadline: Deadline
    _telling: Watch
    _thread: threading.Thread | None
    _handle: SaveHandle | None
    _failed: SaveHandle | None

    def _given_up(self, handle: SaveHandle) -> None:
        self._failed = handle
        if handle._meter is not None and handle.error is not None:
            handle._meter.failed(handle.error)

    def _busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _join(self) -> None:
        thread = self._thread
        if thread is not None:
            thread.join()

    def _raise_failed(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None and failed.error is not None and not failed._told:
            failed._told = True
            raise failed.error

    def _may_begin(self) -> bool:
        """Whether a save may begin: where another is under way, ``when_busy`` says what becomes of this one."""
        if not self._busy():
            return True
        if self.when_busy == "skip":
            return False
        if self.when_busy == "raise":
            raise SaveFailed("another save is still being written", file=self.path)
        self._join()
        self._raise_failed()
        return True

    def _take(self, asked: Asked, handle: SaveHandle, meter: Meter) -> Taken:
        """Freeze what was asked for, and all that is recorded beside it; where that fails, nothing stays held."""
        sections: dict[str, Any] = {"telemetry": meter.section}
        live, held, arenas, later = self._freeze(asked, sections)
        if asked.kinds:
            attach_native(
                held, asked.kinds, asked.parts, live, asked.step, asked.extra, handle._timings, asked.describe
            )
        try:
            told, ask = record_beside(
                held,
                asked.step,
                asked.metrics,
                by=self.keep.by,
                beside=self._beside,
                parts=asked.parts,
                rank=self._writer.group.rank,
                given=Given.of(asked.data, asked.preprocess, asked.metrics).over(self._beside.given),
            )
        except BaseException:
            if later is not None:
                later.finish()
            release_native(held)
            give_all(self._buffers, arenas, held)
            raise
        sections |= told
        modules = live.modules if "model" in live.parts else ()
        return Taken(held, arenas, later, modules, sections, ask)

    def _freeze(
        self, asked: Asked, sections: dict[str, Any]
    ) -> tuple[LiveCatalog, Payload, list[Arena], Overlap | None]:
        """Hold the values of one instant, by the vault's ``proof``, which ``sections`` is told of."""
        proving = self.proof == "content"

        def later_of(live: LiveCatalog) -> Overlap | None:
            overlaps = self.overlap and not asked.blocking
            return overlap_of(live, asked.parts, proving=proving) if overlaps else None

        if proving:
            live, held, arenas, tries, later = proved(asked.describe, self._buffers, overlap=later_of)
            sections["snapshot"] = {"proof": "content", "tries": tries}
        else:
            live, found = asked.describe()
            later = later_of(live)
            held, arenas = freeze(live, found, self._buffers, later, still=asked.blocking)
            sections["snapshot"] = {"proof": "protocol"}
        return live, held, arenas, later

    def _hand_over(
        self, handle: SaveHandle, meter: Meter, taken: Taken, begin: float, blocking: bool
    ) -> None:
        """Write it, in a thread or (``blocking``) here. ``begin``: when the save was asked for."""
        meter.nbytes = taken.held.nbytes
        meter.metrics = recorded_metrics(taken.sections)
        handle._freezes(taken.later)
        self._telling.handed_over()
        run = self._deadline.around(partial(self._write, handle, meter, taken), handle, self._given_up)
        self._handle = handle
        handle._timings["stall"] = perf_counter() - begin  # for the record, which may be written first
        if blocking:
            run()
        else:
            with signals_held():  # an interrupt must not come between a thread and our knowing of it
                self._thread = started(run, f"holdfast-save-{handle.step}")
        handle._timings["stall"] = perf_counter() - begin + handle._timings["join"]
        if blocking:
            self._failed = None  # raised here, not at another thread's next save

    def _write(self, handle: SaveHandle, meter: Meter, taken: Taken) -> None:
        """Commit what was taken, and let go of it. Raises nothing: the handle is told."""
        meter.writing()
        try:
            if taken.later is not None:
                taken.later.finish()
            taken.ask()
            self._writer.write(handle, taken.held, taken.modules, taken.sections)
        except BaseException as error:  # noqa: BLE001 - raised at the caller, now or at its next call
            LOG.error("the save of step %s failed: %s", handle.step, error)
            if isinstance(error, SaveFailed) and handle.path is None:  # it may be raised at a later call
                error.message = f"the save of step {handle.step} failed: {error.message}"
            handle.error = error
            self._failed = handle
            meter.failed(error)
        finally:
            meter.close()
            release_native(taken.held)
            give_all(self._buffers, taken.arenas, taken.held)
            handle._done.set()
