"""The vault: one run's checkpoints, saved whole and given back."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any, Literal

from .._core.errors import HoldfastError, NothingToRestore, SaveFailed, UsageError
from .._frameworks import LiveCatalog, live_catalog
from .._restore.outcome import Outcome
from .._storage.sink import LocalSink
from .fallback import restore_newest, restore_step
from .handle import SaveHandle
from .keep import Keep
from .listing import Checkpoint, as_metrics
from .payload import Payload, gather
from .snapshot import Buffers, freeze, proved
from .steps import Steps
from .writer import Writer

__all__ = ["Checkpoint", "Vault"]

LOG = logging.getLogger("holdfast.vault")


class Vault:
    """The checkpoints of one run, in a folder.

    ``path`` is made where it is not there. ``keep`` says which checkpoints stay (all, by default). ``when_busy`` is what
    :meth:`save` does while another save is being written: ``"wait"``, ``"skip"`` or ``"raise"``.

    ``proof`` says how :meth:`save` makes sure that it saves one instant. ``"protocol"``: nothing else writes to the
    objects until ``save()`` has returned. ``"content"``: all live values are digested a second time after they were
    copied; where one differs the snapshot is taken anew, and after five times :class:`SaveFailed` names what would not
    hold still. That costs the training two passes over the state and 50 ms, and needs nobody's word.

    Saving takes the vault's lock, which another process or object cannot have meanwhile (:class:`VaultLocked`); reading
    takes none. Use it as a context manager, or call :meth:`close`: a save that failed in the background is raised there
    at the latest.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keep: Keep | None = None,
        *,
        when_busy: Literal["wait", "skip", "raise"] = "wait",
        proof: Literal["protocol", "content"] = "protocol",
        sink: LocalSink | None = None,
    ) -> None:
        if when_busy not in ("wait", "skip", "raise"):
            raise UsageError("no such when_busy", found=when_busy, expected="wait, skip or raise")
        if proof not in ("protocol", "content"):
            raise UsageError("no such proof", found=proof, expected="protocol or content")
        self.proof = proof
        self.path = os.fspath(path)
        self.keep = keep or Keep()
        self.when_busy = when_busy
        self._sink = sink or LocalSink(self.path)
        self._steps = Steps(self._sink)
        self._writer = Writer(self._sink, self._steps, self.keep)
        self._buffers = Buffers()
        self._turn = threading.RLock()
        self._thread: threading.Thread | None = None
        self._handle: SaveHandle | None = None
        self._failed: SaveHandle | None = None
        self._closed = False

    # -- saving ------------------------------------------------------------------------------------------------------
    def save(
        self,
        step: int,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        extra: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        blocking: bool = False,
        **others: Any,
    ) -> SaveHandle:
        """Save live objects as ``step``; returns once training may go on.

        The live objects are those of :func:`holdfast.restore`; ``extra`` is a nest of numbers, texts and numpy arrays.
        ``metrics`` belong to exactly this state. ``blocking`` waits until everything is durable, and raises what fails;
        else a failure is raised by the next call on the vault, by ``handle.wait()`` and by :meth:`close`.

        Raises :class:`UsageError` naming what cannot be saved (nothing is written then), :class:`VaultLocked`,
        :class:`SaveFailed`.
        """
        begin = perf_counter()
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise UsageError("a step is a whole number from 0", found=repr(step))
        with self._turn:
            self._demand_open()
            self._raise_failed()
            handle = SaveHandle(step)
            if self._busy():
                if self.when_busy == "skip":
                    handle.skipped = True
                    handle._frozen.set()
                    handle._done.set()
                    return handle
                if self.when_busy == "raise":
                    raise SaveFailed("another save is still being written", file=self.path)
                self._join()
                self._raise_failed()
            self._writer.open()
            parts = {
                "model": model,
                "optimizer": optimizer,
                "scheduler": scheduler,
                "scaler": scaler,
                **others,
            }

            def describe() -> tuple[LiveCatalog, Payload]:
                live = live_catalog(**parts)
                return live, gather(live, extra)

            sections: dict[str, Any] = {"metrics": as_metrics(metrics)} if metrics else {}
            if self.proof == "content":
                live, held, buffers, tries = proved(describe, self._buffers)
                sections["snapshot"] = {"proof": "content", "tries": tries}
            else:
                live, payload = describe()
                held, buffers = freeze(live, payload, self._buffers)
                sections["snapshot"] = {"proof": "protocol"}
            handle._timings["snapshot"] = perf_counter() - begin
            handle._frozen.set()
            modules = live.modules if "model" in live.parts else ()

            def write() -> None:
                try:
                    self._writer.write(handle, held, modules, sections)
                except BaseException as error:  # noqa: BLE001 - raised at the caller, now or at its next call
                    handle.error = error
                    self._failed = handle
                    LOG.error("the save of step %s failed: %s", step, error)
                finally:
                    for buffer in buffers:
                        self._buffers.give(buffer)
                    handle._done.set()

            self._handle = handle
            if blocking:
                write()
            else:
                self._thread = threading.Thread(target=write, name=f"holdfast-save-{step}", daemon=False)
                self._thread.start()
            handle._timings["stall"] = perf_counter() - begin
            if blocking:
                self._failed = None  # raised here, not at another thread's next save
        if blocking:
            handle.wait()
        return handle

    def _busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _raise_failed(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None and failed.error is not None and not failed._told:
            failed._told = True
            raise failed.error

    def _demand_open(self) -> None:
        if self._closed:
            raise UsageError("this vault is closed", found=self.path)

    def wait(self) -> None:
        """Wait until the save in flight is durable; raises what it failed with."""
        self._join()
        self._raise_failed()

    def close(self) -> None:
        """Wait for the save in flight, give the lock up, and raise what failed and was not told yet."""
        with self._turn:
            if self._closed:
                return
            self._join()
            self._closed = True
            self._writer.close()
            self._raise_failed()

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except HoldfastError as failed:
            if error is None:
                raise
            failed.__context__ = None
            notes = [*getattr(error, "__notes__", []), f"and a save had failed: {failed}"]
            setattr(error, "__notes__", notes)  # noqa: B010 - add_note() is of Python 3.11

    # -- what is there -----------------------------------------------------------------------------------------------
    def checkpoints(self) -> list[Checkpoint]:
        """All committed steps in the order of saving; one whose record cannot be used has a ``fault``, and stands where
        its step's number belongs."""
        return self._steps.all()

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self.checkpoints())

    def __len__(self) -> int:
        return len(self.checkpoints())

    @property
    def latest(self) -> Checkpoint | None:
        """The newest checkpoint whose record can be used, or ``None``."""
        return self._steps.latest

    def best(self, by: str | None = None, mode: str | None = None) -> Checkpoint | None:
        """The best checkpoint by a metric (``keep``'s, by default), or ``None``."""
        return self._steps.best(self.keep, by, mode)

    def annotate(self, step: int | str, *, metrics: Mapping[str, float]) -> None:
        """Add metrics that were measured after the save, to a step (a number, or a folder's name).

        The committed files are not touched: a line is added to ``metrics.jsonl``, bearing the record's digest. Raises
        :class:`UsageError` for a step that is not there.
        """
        self._steps.annotate(step, metrics)

    def pin(self, step: int | str, pinned: bool = True) -> None:
        """Keep a step whatever ``keep`` says; ``False`` takes that back."""
        self._steps.pin(step, pinned)

    # -- restoring ---------------------------------------------------------------------------------------------------
    def restore(
        self,
        *,
        step: int | str | None = None,
        best: bool = False,
        or_start_fresh: bool = False,
        **given: Any,
    ) -> Outcome | None:
        """Restore live objects from the newest checkpoint that verifies and fits; see :func:`holdfast.restore` for the
        other arguments.

        ``step`` takes that one, ``best`` the best by ``keep``'s metric; then nothing else is tried. A checkpoint that
        is damaged, or of another variant of the model, is passed over for the one before it: the outcome's
        ``passed_over`` says which and why, and a warning is logged. The next save then begins a new lineage.

        Raises :class:`NothingToRestore` where none is left (``or_start_fresh=True`` gives ``None`` instead, but only
        where the vault holds no checkpoint at all), and :class:`RestoreRefused` where a checkpoint is whole and of this
        model, and a decision is needed (a learning rate that the code has changed).
        """
        self._join()
        self._raise_failed()
        known = self.checkpoints()
        if not known:
            if or_start_fresh:
                return None
            raise NothingToRestore(
                "this vault holds no checkpoint", file=self.path,
                remedy="Check the path; or_start_fresh=True begins a new run here on purpose.",
            )  # fmt: skip
        if step is not None or best:
            chosen = self._steps.named(step) if step is not None else self.best()
            if chosen is None:
                raise NothingToRestore("no checkpoint has that metric", file=self.path, found=self.keep.by)
            return restore_step(self._writer, chosen, known, given)
        return restore_newest(self._writer, known, given)
