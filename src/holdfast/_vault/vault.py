"""The vault: one run's checkpoints, saved whole and given back."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from .._core.errors import HoldfastError, UsageError
from .._record.metrics import Metrics
from .._restore.outcome import Outcome
from .._storage.local_sink import LocalSink
from .._storage.reading import StepGone
from .contents.beside import Beside
from .contents.given import Given, function_of, given_for_every_save
from .coordinator import Coordinator
from .events import Damaged, Event
from .folder.keep import Keep
from .folder.listing import Checkpoint
from .folder.names import step_number
from .folder.past import SavedStep, history_of
from .folder.place import demand_folder
from .folder.steps import Steps
from .freezing.buffers import Buffers
from .handle import SaveHandle
from .operating.deadline import Deadline
from .operating.signals import Preemptible
from .preparing.readying import Readying
from .restoring.fallback import restore_from
from .restoring.putting_back import Wanted
from .saving.background import Asked, Background
from .saving.native import as_kinds
from .saving.writer import Writer
from .telling.telemetry import tells_failures
from .telling.tracking import Trackers
from .uncopied import Uncopied

if TYPE_CHECKING:
    from .._core.fault import Progress
    from .._restore.data_contract import DataContract
    from .operating.scrub import ScrubReport

__all__ = ["Checkpoint", "Vault"]

LOG = logging.getLogger("holdfast.vault")


class Vault(Preemptible, Background, Readying, Uncopied):
    """The checkpoints of one run, in a folder.

    ``path`` is made where it is not there. ``keep`` says which checkpoints stay (all, by default). ``when_busy`` is what
    :meth:`save` does while another save is being written: ``"wait"``, ``"skip"`` or ``"raise"``.

    ``proof`` says how :meth:`save` makes sure that it saves one instant. ``"protocol"``: nothing else writes to the
    objects until ``save()`` has returned. ``"content"``: all live values are digested a second time after they were
    copied; where one differs the snapshot is taken anew, and after five times :class:`SaveFailed` names what would not
    hold still. That costs the training two passes over the state and 50 ms, and needs nobody's word.

    ``overlap`` (PyTorch on the CPU) lets a thread copy weights and slots while training goes on; each optimizer that is
    passed waits for it before its next step. Nothing but those steps may write to the weights before
    ``handle.frozen``, or ``handle.join()`` must come first. With ``proof="content"`` all is copied in ``save()``, and
    the second reading is what overlaps.

    ``payload``: ``"torch"``, ``"keras"`` or ``"tf"`` (or several) also writes the framework's own format into each step, in
    the same commit: ``checkpoint.pt``, ``model.keras``, ``checkpoint.index``.

    ``on_full``: ``"prune"`` drops, where there is no room for a save, what ``keep`` would drop without it. Who looks on:
    ``on_event`` (called with each of :mod:`holdfast.events`), ``trackers`` (writers and runs of TensorBoard, MLflow,
    Weights & Biases ... that get metrics, telemetry and the checkpoint's place: docs/trackers.md), ``tensorboard`` (one more
    of them), ``progress`` (called with byte counts, or ``True``: a bar on a terminal).

    ``deadline``: seconds after which a write that hangs (no operation on the disk ends) is given up: :class:`SaveFailed`
    names it, and nothing of that save ever becomes visible. Without one it is waited for.

    ``coordinator``: the group of processes that saves together (:class:`Coordinator`); this one alone, by default.

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
        overlap: bool = False,
        deadline: float | None = None,
        payload: str | tuple[str, ...] = "safetensors",
        on_full: Literal["raise", "prune"] = "raise",
        on_event: Callable[[Event], None] | None = None,
        trackers: Iterable[Any] = (),
        tensorboard: Any = None,
        progress: Callable[[int], None] | bool | None = None,
        sink: LocalSink | None = None,
        coordinator: Coordinator | None = None,
    ) -> None:
        if when_busy not in ("wait", "skip", "raise"):
            raise UsageError("no such when_busy", found=when_busy, expected="wait, skip or raise")
        if keep is not None and not isinstance(keep, Keep):
            raise UsageError("keep is a Keep", expected="such as Keep(last=3)", found=repr(keep))
        if proof not in ("protocol", "content"):
            raise UsageError("no such proof", found=proof, expected="protocol or content")
        if coordinator is not None and coordinator.size > 1 and when_busy != "wait":
            raise UsageError("ranks that save together wait for each other", found=f"when_busy={when_busy!r}")
        as_kinds(payload)
        demand_folder(path)
        self.payload = payload
        self.proof = proof
        self.overlap = overlap
        self.path = os.fspath(Path(path).absolute())
        self.keep = keep or Keep()
        self.when_busy = when_busy
        self._sink = sink or LocalSink(self.path)
        self._sink.settle()
        self._deadline = Deadline(self._sink, deadline)
        self._steps = Steps(self._sink)
        self._writer = Writer(self._sink, self._steps, self.keep, coordinator)
        self._buffers = Buffers()
        self._turn = threading.RLock()
        self._thread: threading.Thread | None = None
        self._handle: SaveHandle | None = None
        self._failed: SaveHandle | None = None
        self._closed = False
        self._beside = Beside()
        self._live_here()
        self._make_ready(on_full, on_event, Trackers(trackers, tensorboard), progress)

    # -- recording ---------------------------------------------------------------------------------------------------
    def record(
        self,
        *,
        probe: Any = None,
        preprocess: Any = None,
        apply: Callable[..., Any] | None = None,
        contract: DataContract | None = None,
        config: Any = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """What every save records from now on, besides the state; what is not given stays as it was.

        ``probe``: a small batch of honest input (an array, a tuple or dict of arrays; 8 to 32 samples are plenty). Each
        save runs the model on it in inference mode and keeps the outputs and a sketch of every layer's output, so that
        ``restore(prove=True)`` and :func:`holdfast.audit` can tell later whether the same function came back, and which layer
        is the first that computes otherwise. With a callable ``preprocess`` the batch is raw, and that turns it into the
        model's input. ``apply(model, batch)`` computes the outputs of a model that cannot be called (a JAX tree).

        ``contract``: what honest data looks like (:class:`DataContract`). ``config``: what the run was configured with (a
        dict, a dataclass, an ``argparse.Namespace``); values that look like secrets are left out.

        ``data`` (loaders and iterators by name) and ``preprocess`` (fitted objects by name; one callable or estimator
        that has a state is called ``preprocess``): each save captures their state anew, and :meth:`restore` puts it back.

        Raises :class:`UsageError` for a configuration that JSON cannot say.
        """
        given = {
            "probe": probe,
            "preprocess": function_of(preprocess),
            "apply": apply,
            "contract": contract,
            "config": config,
            **given_for_every_save(data, preprocess),
        }
        with self._turn:
            self._beside = replace(self._beside, **{k: v for k, v in given.items() if v is not None})

    # -- saving ------------------------------------------------------------------------------------------------------
    @tells_failures
    def save(
        self,
        step: int,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        extra: Mapping[str, Any] | None = None,
        metrics: Metrics | None = None,
        data: Mapping[str, Any] | None = None,
        preprocess: Any = None,
        frozen: str | Iterable[str] = (),
        blocking: bool = False,
        payload: str | tuple[str, ...] | None = None,
        **others: Any,
    ) -> SaveHandle:
        """Save live objects as ``step``; returns once training may go on.

        The live objects are those of :func:`holdfast.restore`; ``extra`` is a nest of numbers, texts and numpy arrays.
        ``metrics`` are numbers by name, or :class:`Metric` objects that say what they were measured of; plain numbers are
        filed as ``unspecified``, and of metric objects the state is saved too. Random state, environment and code are
        recorded with it.

        ``data``: loaders, iterators or samples seen, by name; ``preprocess``: fitted objects by name: their state is captured
        now (docs/resume.md says which kinds), besides what :meth:`record` was given.

        ``frozen``: patterns over tensors of the model that training leaves as they are (what is not trainable is known
        without it); they are written once, and again only where their content changed. ``payload`` goes before the
        vault's. ``blocking`` waits until everything is durable, and raises what fails (nothing is copied then, so nothing
        may write to the objects until it returns); else a failure is raised by the
        next call on the vault, by ``handle.wait()`` and by :meth:`close`.

        Raises :class:`UsageError` naming what cannot be saved (nothing is written then), :class:`VaultLocked`,
        :class:`SaveFailed`.
        """
        begin = perf_counter()
        kinds = as_kinds(self.payload if payload is None else payload)
        number = step_number(step)
        if number is None or number < 0:
            raise UsageError("a step is a whole number from 0", found=repr(step))
        step = number
        with self._turn, self._writer.telling():
            self._demand_open()
            self._raise_failed()
            self._deadline.demand_free()
            handle = SaveHandle(step)
            if not self._may_begin():
                return self._skipped(handle)
            handle._meter = meter = self._telling.begin(handle, self._sink)
            parts = {
                "model": model,
                "optimizer": optimizer,
                "scheduler": scheduler,
                "scaler": scaler,
                **others,
            }
            patterns = (frozen,) if isinstance(frozen, str) else tuple(frozen)
            asked = Asked(step, parts, extra, metrics, data, preprocess, patterns, kinds, blocking)
            handle._parts = asked.names
            if self._writer.group.leads:
                self._preflight.demand(asked.describe, self._deadline.call)
            taken = self._take(asked, handle, meter)
            handle._timings["snapshot"] = perf_counter() - begin
            self._hand_over(handle, meter, taken, begin, blocking)
        if blocking:
            handle.wait()
        return handle

    def _demand_open(self) -> None:
        if self._closed:
            raise UsageError("this vault is closed", found=self.path)

    def wait(self) -> None:
        """Wait until the save in flight is durable, and for a while until trackers know; raises what it failed with."""
        self._join()
        self._trackers.flush()
        self._raise_failed()

    def close(self) -> None:
        """Wait for the save in flight, give the lock up, and raise what failed and was not told yet."""
        with self._turn:
            if self._closed:
                return
            self._join()
            self._closed = True
            self._deadline.when_free(self._writer.close)
            self._trackers.close()
            if self._watch is not None:
                self._watch.release()
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

    def history(self) -> list[SavedStep]:
        """Every step that was ever committed here, in the order of saving, with what it measured and cost: also those that
        retention has dropped, whose tensors are gone, and damaged ones that were set aside (``live`` is ``False``). See
        :attr:`Outcome.history` for the line of one step."""
        return history_of(self.path, self.checkpoints())

    @property
    def latest(self) -> Checkpoint | None:
        """The newest checkpoint whose record can be used, or ``None``."""
        return self._steps.latest

    def best(self, by: str | None = None, mode: str | None = None) -> Checkpoint | None:
        """The best checkpoint by a metric (``keep``'s, by default), or ``None``."""
        return self._steps.best(self.keep, by, mode)

    def annotate(self, step: int | str, *, metrics: Metrics) -> None:
        """Add metrics that were measured after the save, to a step (a number, or a folder's name).

        The committed files are not touched: a line is added to ``metrics.jsonl``, bearing the record's digest. Raises
        :class:`UsageError` for a step that is not there.
        """
        self._telling.emit(self._steps.annotate(step, metrics))

    def pin(self, step: int | str, pinned: bool = True) -> None:
        """Keep a step whatever ``keep`` says; ``False`` takes that back."""
        self._steps.pin(step, pinned)

    def scrub(
        self,
        budget: str | float | timedelta | None = None,
        *,
        jobs: int | None = None,
        progress: Progress | None = None,
    ) -> ScrubReport:
        """Read committed steps again from the medium and hold them against their records, the longest unchecked first.

        ``budget`` ends it: ``"60s"``, ``"2h"``, ``"10GB"``, a number of seconds, a ``timedelta``; at least one step is
        checked. ``jobs`` and ``progress`` are those of :func:`holdfast.verify`. When each step was checked is kept in
        ``scrub.json``. Nothing is deleted: ``report.damaged`` names steps that restoring would pass over. Raises
        :class:`UsageError` for a budget that makes no sense.
        """
        from .operating.scrub import scrub

        report = scrub(self._steps, budget, jobs=jobs, progress=progress)
        for name, why in report.reasons():
            self._telling.emit(Damaged(name, why))
        if report.damaged:
            self._writer.incremental.distrust()
            LOG.error("damaged, and passed over at restore: %s", ", ".join(report.damaged))
        return report

    # -- restoring ---------------------------------------------------------------------------------------------------
    def restore(
        self,
        *,
        step: int | str | None = None,
        best: bool = False,
        or_start_fresh: bool = False,
        random_state: bool | None = None,
        prove: bool = False,
        data: Mapping[str, Any] | None = None,
        preprocess: Any = None,
        metrics: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> Outcome | None:
        """Restore live objects from the newest checkpoint that verifies and fits; see :func:`holdfast.restore` for the
        other arguments.

        ``step`` takes that one, ``best`` the best by ``keep``'s metric; then nothing else is tried. A checkpoint that
        is damaged, or of another variant of the model, is passed over for the one before it: the outcome's
        ``passed_over`` says which and why, and a warning is logged. The next save then begins a new lineage.

        ``random_state``: put the global random generators (Python, NumPy, the frameworks) back too; by default where an
        optimizer is passed, as training goes on then. What could not be put back is a note in the outcome.

        ``prove``: replay the checkpoint's probe on what was restored (see :meth:`record`; ``preprocess`` and ``apply`` are
        those that were given there, or are passed here); :class:`NotProved` where it computes something else.

        ``data``, ``preprocess`` and ``metrics``: the objects of :meth:`save` by name; each is put where it stood
        (:class:`UsageError`, and nothing is restored, where one is of another kind). Those of :meth:`record` come back too:
        preprocessing always, data where an optimizer is passed. What was saved and is not passed here is in the outcome's
        ``data``, ``preprocess`` and ``metric_states``; what an exact resume lacks is a note or warning (R211 ...).

        Raises :class:`NothingToRestore` where none is left (``or_start_fresh=True`` gives ``None`` instead, but only
        where the vault holds no checkpoint at all), and :class:`RestoreRefused` where a checkpoint is whole and of this
        model, and a decision is needed (a learning rate that the code has changed).
        """
        random = given.get("optimizer") is not None if random_state is None else random_state
        resume = given.get("optimizer") is not None
        given["wanted"] = Wanted.of(
            Given.of(data, preprocess, metrics), self._beside.given, resume, self._writer.group.rank, self._beside.config
        )  # fmt: skip
        if prove:
            function = function_of(preprocess) or self._beside.preprocess
            given = {"prove": True, "preprocess": function, "apply": self._beside.apply, **given}

        def attempt() -> Outcome | None:
            self._join()
            self._raise_failed()
            return restore_from(
                self._writer, self._steps, self.keep, given,
                step=step, best=best, or_start_fresh=or_start_fresh, random=random,
            )  # fmt: skip

        with self._turn:  # no save begins meanwhile, and two restores do not mix
            for _ in range(20):
                try:
                    return attempt()
                except StepGone:  # another process dropped it after we chose it, so there is a newer one
                    LOG.debug("a step was dropped before it could be read; choosing anew")
            return attempt()
