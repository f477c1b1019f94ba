"""What a vault does before its first save and beside every one: preflight, rehearsal, telling who looks on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..._core.errors import UsageError
from ..._core.fault import Fault
from ..._core.finding import Report
from ..._frameworks import LiveCatalog, live_catalog
from ..._storage.sink import Sink
from ..contents.payload import Payload, gather
from ..events import Event, Skipped
from ..folder.keep import Keep
from ..folder.steps import Steps
from ..freezing.snapshot import Buffers
from ..handle import SaveHandle
from ..saving.writer import Writer
from ..telling.telemetry import Watch
from ..telling.tracking import Trackers
from .preflight import Preflight
from .rehearse import Rehearsal, rehearse

__all__ = ["Readying"]


class Readying:
    """The part of a vault that looks before it saves."""

    path: str
    keep: Keep
    _sink: Sink
    _steps: Steps
    _writer: Writer
    _buffers: Buffers
    _turn: threading.RLock
    _failed: SaveHandle | None
    _handle: SaveHandle | None

    def _make_ready(
        self,
        on_full: str,
        on_event: Callable[[Event], None] | None,
        trackers: Trackers,
        progress: Callable[[int], None] | bool | None,
    ) -> None:
        if on_full not in ("raise", "prune"):
            raise UsageError("no such on_full", found=on_full, expected="raise or prune")
        self._trackers = trackers
        self._telling = Watch(on_event, trackers, progress)
        self._writer.prune = on_full == "prune"
        self._writer.emit = self._telling.emit
        self._writer.listened = self._telling.listened
        self._preflight = Preflight(
            self._sink, self._steps, self._writer, self.keep, prune=self._writer.prune
        )

    def _skipped(self, handle: SaveHandle) -> SaveHandle:
        handle.skipped = True
        handle._frozen.set()
        handle._done.set()
        self._telling.emit(Skipped(handle.step))
        return handle

    def _busy(self) -> bool:
        raise NotImplementedError

    def _join(self) -> None:
        raise NotImplementedError

    def _demand_open(self) -> None:
        raise NotImplementedError

    def preflight(
        self, *, extra: Mapping[str, Any] | None = None, frozen: str | Iterable[str] = (), **parts: Any
    ) -> Report:
        """What stands against saving these live objects here: a report of S findings; nothing is saved.

        ``parts`` are the live objects, ``extra`` and ``frozen`` what :meth:`save` takes; without live objects only the
        folder is looked at. The folder is made where it is
        not there, and everything that a save does is tried out in it, under the vault's lock. An error means that no save
        can succeed; the first :meth:`save` asks the same questions and raises :class:`SaveFailed` then. Raises
        :class:`UsageError` where the vault is closed.
        """
        with self._turn:
            self._demand_open()
            faults = []
            failed = self._failed
            if failed is not None and failed.error is not None and not failed._told:
                faults.append(
                    Fault(
                        "background-error",
                        f"the save of step {failed.step} failed, and nobody was told yet",
                        file=self.path,
                        seen=str(failed.error),
                        attributes={"fails": True},
                    )
                )
            if self._busy() and self._handle is not None:
                message = f"the save of step {self._handle.step} is still being written"
                faults.append(Fault("still-busy", message, file=self.path))
                self._join()  # it would clear away what is tried out
            given = any(part is not None for part in parts.values()) or extra is not None
            describe = (lambda: _described(parts, extra, frozen)) if given else None
            return self._preflight.report(describe, faults)

    def rehearse(
        self, *, extra: Mapping[str, Any] | None = None, frozen: str | Iterable[str] = (), **parts: Any
    ) -> Rehearsal:
        """One save of these live objects into a scratch folder inside the vault's, read back, compared value by value with
        what is in memory, and taken away again: at step 0, to know what will fail before it matters.

        ``parts`` are the live objects, ``extra`` and ``frozen`` what :meth:`save` takes. Nothing live is changed, no
        random number is drawn; the memory for copies is kept for the first save. Gives sizes and times; raises what a save
        or a restore would: :class:`UsageError` and :class:`SaveFailed` naming the tensors or objects that fail,
        :class:`VaultLocked`.
        """
        with self._turn:
            self._demand_open()
            self._join()
            held = self._writer.holds
            try:
                return rehearse(self._sink, self._preflight, self._buffers, parts, extra, frozen)
            finally:
                if not held:
                    self._writer.close()


def _described(
    parts: Mapping[str, Any], extra: Mapping[str, Any] | None, frozen: str | Iterable[str]
) -> tuple[LiveCatalog, Payload]:
    live = live_catalog(**parts)
    return live, gather(live, extra, frozen)
