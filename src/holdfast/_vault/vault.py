"""The vault: one run's checkpoints, saved whole and given back."""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from .._core.errors import (
    DamagedCheckpoint,
    HoldfastError,
    NothingToRestore,
    RestoreRefused,
    SaveFailed,
    UsageError,
)
from .._frameworks import LiveCatalog, live_catalog
from .._integrity.atomic import write_whole
from .._restore.engine import restore as restore_path
from .._restore.outcome import Outcome
from .._storage.lock import Lock
from .._storage.sink import LocalSink, save_failed
from .commit import commit
from .extra import extra_of
from .handle import SaveHandle
from .keep import Keep, Kept, dropped
from .listing import (
    METRICS,
    Checkpoint,
    as_metrics,
    look_at,
    newest_of,
    now,
    number_of,
    record_of,
)
from .names import DAMAGED, MANIFEST, PARTIAL, StepName, parse_step, partial_name
from .payload import Payload, gather
from .snapshot import Buffers, freeze, proved

__all__ = ["Checkpoint", "Vault"]

LOG = logging.getLogger("holdfast.vault")
_LOCK = "vault.lock"
_PINS = "pins.json"
_STRUCTURE = frozenset({"T201", "T202", "T203", "T205", "T210", "T218", "T223"})
"""Findings that say: this checkpoint is of another variant of the model."""


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
        self._buffers = Buffers()
        self._lock: Lock | None = None
        self._turn = threading.RLock()
        self._writer: threading.Thread | None = None
        self._handle: SaveHandle | None = None
        self._failed: SaveHandle | None = None
        self._parent: str | None = None
        self._lineage: str | None = None
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
            self._open_for_writing()
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
                    self._write(handle, held, modules, sections)
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
                self._writer = threading.Thread(target=write, name=f"holdfast-save-{step}", daemon=False)
                self._writer.start()
            handle._timings["stall"] = perf_counter() - begin
            if blocking:
                self._failed = None  # raised here, not at another thread's next save
        if blocking:
            handle.wait()
        return handle

    def _write(self, handle: SaveHandle, payload: Any, modules: Any, sections: dict[str, Any]) -> None:
        self._sweep()
        known = self.checkpoints()
        sequence = max((c.sequence for c in known), default=0) + 1
        copies = [parse_step(c.name) for c in known if c.step == handle.step]
        copy = max((name.copy for name in copies if name is not None), default=0) + 1
        name = StepName(handle.step, copy)
        if self._lineage is None:
            newest = newest_of(known)
            self._lineage = newest.lineage if newest is not None and newest.lineage else uuid.uuid4().hex[:12]
            if self._parent is None and newest is not None:
                self._parent = newest.name
        sections["lineage"] = {"lineage": self._lineage, "parent": self._parent, "sequence": sequence}
        LOG.debug("step %s: writing %s", handle.step, name)
        commit(self._sink, name, payload, modules=modules, sections=sections, timings=handle._timings)
        handle.path = str(Path(self.path, str(name)))
        self._parent = str(name)
        LOG.debug("step %s: committed in %.3f s", handle.step, handle._timings["total"])
        try:
            self._retain(str(name))
        except SaveFailed as error:
            raise SaveFailed(
                f"{name} is saved, but an older step could not be dropped: {error.message}",
                file=error.file, found=error.found, remedy=error.remedy,
            ) from error  # fmt: skip

    def _retain(self, newest: str) -> None:
        """Drop what ``keep`` no longer wants, only after the new step is durable."""
        if self._pins() is None:
            LOG.warning("nothing is dropped: %s is damaged, and what is pinned must stay", _PINS)
            return
        known = [c for c in self.checkpoints() if c.fault is None]
        rows = [
            Kept(c.name, c.sequence, c.created or datetime.now(timezone.utc), c.metrics or {}, c.pinned)
            for c in known
        ]
        for name in dropped(self.keep, rows, newest_verified=newest):
            gone = partial_name(0)
            self._sink.rename(name, gone)  # a kill while deleting must not leave half a step behind
            self._sink.sync_folder()
            self._sink.remove_tree(gone)
            LOG.debug("%s dropped", name)

    def _open_for_writing(self) -> None:
        if self._lock is not None and self._lock.held:
            return
        self._sink.make_root()
        try:
            lock = Lock(Path(self.path, _LOCK))
        except OSError as error:
            if isinstance(error, HoldfastError):
                raise
            raise save_failed("lock", self.path, error) from error
        try:
            self._sweep()
            if not Path(self.path, MANIFEST).exists():
                self._describe()
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _describe(self) -> None:
        """Write ``vault.json``, whole or not at all."""
        document = {"schema_version": 1, "run_id": uuid.uuid4().hex, "created": now()}
        beside = f"{PARTIAL}{MANIFEST}-{secrets.token_hex(4)}"
        file = self._sink.create(beside)
        try:
            file.write(memoryview((json.dumps(document, indent=1) + "\n").encode()))
            file.sync()
        finally:
            file.close()
        self._sink.rename(beside, MANIFEST)
        self._sink.sync_folder()

    def _sweep(self) -> None:
        """Take unfinished saves away: the lock is ours, so nobody is writing them. One that the disk does not let go of
        hinders no save."""
        for entry in list(os.scandir(self.path)):
            if entry.name.startswith(PARTIAL):
                try:
                    self._sink.remove_tree(entry.name)
                except SaveFailed as error:
                    LOG.warning("an unfinished save stays where it is: %s", error)

    def _busy(self) -> bool:
        return self._writer is not None and self._writer.is_alive()

    def _join(self) -> None:
        if self._writer is not None:
            self._writer.join()
            self._writer = None

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
            if self._lock is not None:
                self._lock.release()
                self._lock = None
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
        try:
            names = [entry.name for entry in os.scandir(self.path) if entry.is_dir()]
        except FileNotFoundError:
            return []
        pins = self._pins() or set()
        found = []
        for name in names:
            step = parse_step(name)
            if step is not None:
                found.append(look_at(self.path, name, step, name in pins))
        ordered = sorted((c for c in found if c.fault is None), key=lambda c: (c.sequence, c.step, c.name))
        for broken in sorted((c for c in found if c.fault is not None), key=number_of):
            before = [n for n, c in enumerate(ordered) if number_of(c) < number_of(broken)]
            ordered.insert(before[-1] + 1 if before else 0, broken)
        return ordered

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self.checkpoints())

    def __len__(self) -> int:
        return len(self.checkpoints())

    @property
    def latest(self) -> Checkpoint | None:
        """The newest checkpoint whose record can be used, or ``None``."""
        return newest_of(self.checkpoints())

    def best(self, by: str | None = None, mode: str | None = None) -> Checkpoint | None:
        """The best checkpoint by a metric (``keep``'s, by default), or ``None``."""
        by, mode = by or self.keep.by, mode or self.keep.mode
        if by is None:
            raise UsageError("best by which metric?", expected="by=, or Keep(by=)")
        rated = [c for c in self.checkpoints() if c.fault is None and by in (c.metrics or {})]
        pick = min if mode == "min" else max
        return pick(rated, key=lambda c: (c.metrics or {})[by], default=None)

    def annotate(self, step: int | str, *, metrics: Mapping[str, float]) -> None:
        """Add metrics that were measured after the save, to a step (a number, or a folder's name).

        The committed files are not touched: a line is added to ``metrics.jsonl``, bearing the record's digest. Raises
        :class:`UsageError` for a step that is not there.
        """
        found = self._named(step)
        record = record_of(found.path)
        line = json.dumps({"record": record.digest, "at": now(), "metrics": as_metrics(metrics)})
        place = Path(found.path, METRICS)
        try:
            fresh = not place.exists()
            with place.open("a+b") as file:
                if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                    line = "\n" + line  # a line that a kill tore stays alone
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise save_failed("annotate", os.fspath(place), error) from error
        if fresh:
            self._sink.sync_folder(found.name)

    def pin(self, step: int | str, pinned: bool = True) -> None:
        """Keep a step whatever ``keep`` says; ``False`` takes that back."""
        name = self._named(step).name
        pins = self._pins()
        place = Path(self.path, _PINS)
        if pins is None:
            raise DamagedCheckpoint(
                "the list of pinned steps cannot be read", file=str(place),
                remedy="Put it right, or delete it and pin again; until then nothing is dropped.",
            )  # fmt: skip
        pins = pins | {name} if pinned else pins - {name}
        try:
            write_whole(place, json.dumps(sorted(pins)).encode(), replace=True)
        except HoldfastError as error:
            cause = error.__cause__
            raise save_failed(
                "pin", str(place), cause if isinstance(cause, OSError) else OSError()
            ) from error

    def _pins(self) -> set[str] | None:
        """The pinned steps; ``None`` where their list is damaged."""
        try:
            found = json.loads(Path(self.path, _PINS).read_text("utf-8"))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError):
            return None
        return set(found) if isinstance(found, list) and all(isinstance(n, str) for n in found) else None

    def _named(self, step: int | str) -> Checkpoint:
        known = self.checkpoints()
        fitting = [c for c in known if c.name == step or (isinstance(step, int) and c.step == step)]
        if not fitting:
            raise UsageError(
                "no such step in this vault", file=self.path, found=step,
                expected=", ".join(c.name for c in known[-5:]) or "none is there",
            )  # fmt: skip
        return fitting[-1]

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
            chosen = self._named(step) if step is not None else self.best()
            if chosen is None:
                raise NothingToRestore("no checkpoint has that metric", file=self.path, found=self.keep.by)
            return self._from(chosen, known, (), given)
        passed: list[tuple[str, str]] = []
        damaged: list[str] = []
        first: RestoreRefused | None = None
        for candidate in reversed(known):
            if candidate.fault is not None:
                passed.append((candidate.name, candidate.fault))
                damaged.append(candidate.name)
                continue
            try:
                outcome = self._from(candidate, known, tuple(passed), given)
                self._set_aside(damaged)
                return outcome
            except RestoreRefused as refusal:
                errors = {f.code for f in refusal.findings if f.severity == "error"}
                if not errors <= _STRUCTURE and not _damage(errors):
                    raise
                if _damage(errors):
                    damaged.append(candidate.name)
                else:
                    first = first or refusal
                passed.append((candidate.name, _why(refusal)))
            except DamagedCheckpoint as damage:
                damaged.append(candidate.name)
                passed.append((candidate.name, damage.message))
        if first is not None:
            raise first
        raise NothingToRestore(
            "no checkpoint of this vault verifies", file=self.path,
            found="; ".join(f"{name}: {why}" for name, why in passed[:3]),
            remedy=f"`holdfast doctor {self.path}` says what can be saved of them.",
        )  # fmt: skip

    def _set_aside(self, names: list[str]) -> None:
        """Rename damaged steps, so that retention no longer counts them; they are never deleted. Where another writer
        has the vault, they stay as they are."""
        names = [name for name in names if not self._withheld(name)]
        if not names:
            return
        try:
            self._open_for_writing()
        except (HoldfastError, OSError) as error:
            LOG.warning("damaged steps are not set aside: %s", error)
            return
        try:
            for name in names:
                self._sink.rename(name, f"{DAMAGED}{name}-{secrets.token_hex(4)}")
            self._sink.sync_folder()
        except SaveFailed as error:  # what was restored is whole all the same
            LOG.warning("damaged steps are not set aside: %s", error)

    def _withheld(self, name: str) -> bool:
        """Whether the system does not let us read the step (permission, too many open files): no damage, it stays."""
        try:
            record_of(str(Path(self.path, name)))
        except (FileNotFoundError, NotADirectoryError, HoldfastError):
            return False
        except OSError as error:
            LOG.warning("%s cannot be read now: %s", name, error)
            return True
        return False

    def _from(
        self,
        chosen: Checkpoint,
        known: list[Checkpoint],
        passed: tuple[tuple[str, str], ...],
        given: dict[str, Any],
    ) -> Outcome:
        outcome = restore_path(chosen.path, **given)
        for name, why in passed:
            LOG.warning("%s was passed over: %s", name, why)
        newest = newest_of(known)
        self._parent = chosen.name
        if newest is None or chosen.name != newest.name:
            self._lineage = uuid.uuid4().hex[:12]
        return replace(outcome, passed_over=passed, extra=extra_of(chosen.path))


def _damage(codes: set[str]) -> bool:
    return any(code[0] in "FN" for code in codes)


def _why(refusal: RestoreRefused) -> str:
    errors = [f for f in refusal.findings if f.severity == "error"]
    return errors[0].message if errors else refusal.message
