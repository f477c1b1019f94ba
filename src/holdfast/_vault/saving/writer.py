"""The one writer of a vault's folder: it has the lock, commits steps, drops what need not stay, and sets damage aside."""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..._core.errors import HoldfastError, SaveFailed
from ..._core.modules import ModuleSpec
from ..._storage.lock import Lock
from ..._storage.save_errors import save_failed
from ..._storage.sink import Sink
from ..contents.payload import Payload
from ..coordinator import Coordinator, Part
from ..events import Dropped, Event
from ..folder.keep import Keep, Kept, dropped
from ..folder.listing import Checkpoint, newest_of, now
from ..folder.names import DAMAGED, MANIFEST, PARTIAL, StepName, parse_step, partial_name
from ..folder.past import note_dropped
from ..folder.reading_lock import unread
from ..folder.steps import PINS, Steps
from ..folder.variants import variant_of_payload
from ..handle import SaveHandle
from .commit import commit
from .incremental import Incremental, in_full
from .room import make_room, needed_by

__all__ = ["Writer"]

LOG = logging.getLogger("holdfast.vault")
_LOCK = "vault.lock"


class Writer:
    """Writes to the folder of ``sink``.

    ``parent`` and ``lineage`` are what the next step will say of itself; ``None`` until a save or a restore knows them.
    """

    def __init__(self, sink: Sink, steps: Steps, keep: Keep, group: Coordinator | None = None) -> None:
        self.path = sink.path
        self.group = group or Coordinator()
        self._begun = False
        self.keep = keep
        self.parent: str | None = None
        self.lineage: str | None = None
        self._sink = sink
        self._steps = steps
        self._looked_for_by = self._told_unreduced = False
        self.prune = False
        self.emit: Callable[[Event], None] = lambda _: None
        self.listened = False
        self._lock: Lock | None = None
        self.incremental = Incremental(sink, keep)

    def open(self) -> None:
        """Take the vault's lock, clear away what a killed writer left, and write ``vault.json``. Raises
        :class:`VaultLocked`, :class:`SaveFailed`."""
        if not self.group.leads or self._still_ours():
            return
        self._sink.make_root()
        try:
            lock = Lock(Path(self.path, _LOCK))
        except OSError as error:
            if isinstance(error, HoldfastError):
                raise
            raise save_failed("lock", os.fspath(Path(self.path, _LOCK)), error) from error
        try:
            self._sweep()
            if not Path(self.path, MANIFEST).exists():
                self._describe()
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _still_ours(self) -> bool:
        """Whether we have the vault's lock, and its file is the one in the folder: somebody may have deleted the file, or
        put another folder in this one's place. Raises :class:`SaveFailed` where no folder is there any more."""
        lock = self._lock
        if lock is None or not lock.held or lock.in_place:
            return self.holds
        if not Path(self.path).is_dir():
            raise SaveFailed(
                "the vault's folder is gone: it was moved or deleted while this run was saving to it",
                file=self.path, remedy="Move it back, or begin a new Vault where the run is to go on.",
            )  # fmt: skip
        LOG.warning("%s was deleted or replaced while this run was saving: it is locked anew", lock.path)
        self.close()
        return False

    @property
    def holds(self) -> bool:
        """Whether we have the vault's lock."""
        return self._lock is not None and self._lock.held

    @property
    def kernel_lock(self) -> bool | None:
        """Whether the lock is the kernel's (else only its text keeps others out); ``None`` where we have none."""
        return self._lock.kernel if self._lock is not None and self._lock.held else None

    def close(self) -> None:
        """Give the lock up."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def write(
        self,
        handle: SaveHandle,
        payload: Payload,
        modules: tuple[ModuleSpec, ...],
        sections: dict[str, Any],
    ) -> None:
        """Commit one step, then drop what ``keep`` no longer wants. Raises :class:`SaveFailed`."""
        self._begun = True
        with self.group.phase("starting"):
            if self.group.leads:
                self._sweep()
        if not self.group.leads:
            name = self.group.share(StepName(handle.step))
            tell = handle._meter.tell if handle._meter is not None else lambda _: None
            commit(
                self._sink, name, payload, sections=sections, timings=handle._timings, group=self.group, tell=tell
            )  # fmt: skip
            handle.path = str(Path(self.path, str(name)))
            return
        known = self._steps.all()
        sequence = max((c.sequence for c in known), default=0) + 1
        copies = [parse_step(c.name) for c in known if c.step == handle.step]
        copy = max((name.copy for name in copies if name is not None), default=0) + 1
        name = self.group.share(StepName(handle.step, copy))
        if self.lineage is None:
            newest = newest_of(known)
            self.lineage = newest.lineage if newest is not None and newest.lineage else uuid.uuid4().hex[:12]
            if self.parent is None and newest is not None:
                self.parent = newest.name
        sections["lineage"] = {
            "lineage": self.lineage,
            "parent": self.parent,
            "sequence": sequence,
            "variant": variant_of_payload(payload, modules),
        }
        meter = handle._meter
        alone = self.group.size == 1  # of several ranks each writes what it has, in full
        plan = self.incremental.plan(payload, self.parent, handle._timings) if alone else in_full(payload)
        sections["incremental"] = plan.section or None
        if self.prune:
            wanted = needed_by(plan.payload)
            make_room(
                self._steps, self.keep, wanted, self._sink.free,
                lambda name: name != self.parent and self._drop(name, "full"),  # what the plan shares lies there
            )  # fmt: skip
        LOG.debug("step %s: writing %s", handle.step, name)
        record = commit(
            self._sink,
            name,
            plan.payload,
            modules=modules,
            sections=sections,
            timings=handle._timings,
            reuse=plan.reuse,
            group=self.group,
            tell=meter.tell if meter is not None else lambda _: None,
            heard=lambda parts: self._tell_unreduced(handle.step, parts),
        )
        self.incremental.committed(str(name), record)
        handle.path = str(Path(self.path, str(name)))
        self.parent = str(name)
        if meter is not None:
            meter.committed(str(name), handle.path, record.digest)
        LOG.debug("step %s: committed in %.3f s", handle.step, handle._timings["total"])
        try:
            self._retain(str(name))
        except SaveFailed as error:
            raise SaveFailed(
                f"{name} is saved, but an older step could not be dropped: {error.message}",
                file=error.file, found=error.found, remedy=error.remedy,
            ) from error  # fmt: skip

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What comes before :meth:`write` in a save: where it fails here, the other ranks hear of it."""
        self._begun = False
        try:
            yield
        except BaseException as error:
            if not self._begun:
                self.group.fail(error)
            raise

    def continue_from(self, name: str, *, newest: bool) -> None:
        """The next step continues ``name``; where that is not the newest, a new lineage begins."""
        self.parent = name
        if not newest:
            self.lineage = uuid.uuid4().hex[:12]

    def set_aside(self, names: Iterable[str]) -> None:
        """Rename damaged steps, so that retention no longer counts them; they are never deleted. Where another writer
        has the vault, they stay as they are."""
        damaged = []
        for name in names:
            if (error := self._steps.withheld(name)) is None:
                damaged.append(name)
            else:
                LOG.warning("%s cannot be read now: %s", name, error)
        if not damaged:
            return
        try:
            self.open()
        except (HoldfastError, OSError) as error:
            LOG.warning("damaged steps are not set aside: %s", error)
            return
        try:
            for name in damaged:
                with unread(Path(self.path, name)) as free:
                    if free:
                        self._sink.rename(name, f"{DAMAGED}{name}-{secrets.token_hex(4)}")
                    else:
                        LOG.warning("%s is damaged and is being read: it stays where it is", name)
            self._sink.sync_folder()
        except SaveFailed as error:  # what was restored is whole all the same
            LOG.warning("damaged steps are not set aside: %s", error)

    def _retain(self, newest: str) -> None:
        """Drop what ``keep`` no longer wants, only after the new step is durable."""
        if self._steps.pins() is None:
            LOG.warning("nothing is dropped: %s is damaged, and what is pinned must stay", PINS)
            return
        known = [c for c in self._steps.all() if c.fault is None]
        rows = [
            Kept(
                c.name, c.sequence, c.created or datetime.now(timezone.utc), c.metrics or {}, c.pinned, c.variant
            )
            for c in known
        ]  # fmt: skip
        going = dropped(self.keep, rows, newest_verified=newest)
        if going:
            self._tell_unrated(known)
        for name in going:
            self._drop(name)

    def _tell_unrated(self, known: list[Checkpoint]) -> None:
        """Say once that the best are to stay by a metric that no checkpoint has, and all of them have others."""
        by = self.keep.by
        named = [set(c.saved.metrics) for c in known if c.saved is not None]
        if not self.keep.best or self._looked_for_by or not all(named):
            return
        self._looked_for_by = True
        if any(by in names for names in named):
            return
        LOG.warning(
            "Keep(best=%d) goes by %r, which no checkpoint has (they have: %s): only the newest stay until one has it",
            self.keep.best, by, ", ".join(sorted(set().union(*named))),
        )  # fmt: skip

    def _tell_unreduced(self, step: int, parts: Sequence[Part]) -> None:
        """Say once that the best are to stay by a number that each rank has for itself."""
        by = self.keep.by
        if by is None or not self.keep.best or self._told_unreduced:
            return
        values = {rank: part.metrics[by] for rank, part in enumerate(parts) if by in part.metrics}
        first = values.get(0)
        other = next(
            (rank for rank, value in values.items() if first is not None and _apart(value, first)), None
        )
        if other is None:
            return
        self._told_unreduced = True
        LOG.warning(
            "step %s: %s is %s on rank 0 and %s on rank %s: it was not reduced over the ranks, and rank 0's is recorded",
            step, by, first, values[other], other,
        )  # fmt: skip

    def _drop(self, name: str, why: str = "keep") -> bool:
        """Delete a step, unless somebody reads it; what it measured is noted first."""
        gone = partial_name(0)
        with unread(Path(self.path, name)) as free:
            if not free:
                LOG.info("%s is being read; it is dropped after a later save", name)
                return False
            gone_now = note_dropped(self._sink, name, why)
            self._sink.rename(name, gone)  # a kill while deleting must not leave half a step behind
        self._sink.sync_folder()
        self._sink.remove_tree(gone)
        gone_now()
        LOG.debug("%s dropped", name)
        self.emit(Dropped(name, why))
        return True

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
        try:
            names = [entry.name for entry in os.scandir(self.path)]
        except OSError as error:
            raise save_failed("listing the folder", self.path, error) from error
        for name in names:
            if name.startswith(PARTIAL):
                try:
                    self._sink.remove_tree(name)
                except SaveFailed as error:
                    LOG.warning("an unfinished save stays where it is: %s", error)


def _apart(a: float | str, b: float | str) -> bool:
    """Whether two ranks' numbers differ by more than the order of a sum explains."""
    if isinstance(a, str) or isinstance(b, str):
        return a != b
    return not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)
