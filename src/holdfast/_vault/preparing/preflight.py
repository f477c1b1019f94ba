"""Before the first save: can this folder, this disk and this memory take what the run will ask of them?

What makes a save impossible is an error and raises before anything is frozen; what is risky is a warning, logged once.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..._core.errors import HoldfastError, SaveFailed, UsageError, VaultLocked
from ..._core.fault import Fault
from ..._core.finding import CheckpointReport, Finding, Report
from ..._frameworks import LiveCatalog
from ..._storage.local_sink import LocalSink
from ..._storage.memory import memory
from ..._storage.probe import probe
from ..._storage.sink import Sink
from ..contents.payload import Payload
from ..findings import saving_findings
from ..folder.keep import Keep
from ..folder.names import PARTIAL
from ..folder.steps import Steps
from ..freezing.snapshot import _may_hold
from ..saving.room import needed, steps_at_once
from ..saving.writer import Writer
from .obstacles import (
    of_file_system,
    of_memory,
    of_path,
    of_space,
    opening,
    refused,
    second_writer,
    unsavable,
)

__all__ = ["Preflight", "copied_bytes"]

LOG = logging.getLogger("holdfast.vault")

Describe = Callable[[], tuple[LiveCatalog, Payload]]


class Preflight:
    """The checks of one vault. They are made once: before the first save that they let pass."""

    def __init__(self, sink: Sink, steps: Steps, writer: Writer, keep: Keep, *, prune: bool) -> None:
        self._passed: tuple[Finding, ...] | None = None
        self._sink, self._steps, self._writer, self._keep, self._prune = sink, steps, writer, keep, prune

    def demand(
        self, describe: Describe, call: Callable[[Callable[[], None]], None] = lambda work: work()
    ) -> tuple[Finding, ...]:
        """Take the vault's lock, and before the first save make sure that saving is possible; gives what is worth
        knowing all the same. ``call`` carries out what may hang, within a deadline.

        Raises :class:`VaultLocked`; :class:`SaveFailed` with all findings; what ``describe`` raises.
        """
        if self._passed is None and (hopeless := saving_findings(self._too_long())):
            live, payload = describe()
            raise _impossible(list(hopeless), saving_findings(self._still(live, payload)), self._sink.path)
        try:
            call(self._writer.open)
        except SaveFailed as failed:
            live, payload = describe()
            failed.findings = saving_findings([opening(failed), *self._still(live, payload)])
            raise
        if self._passed is not None:
            return self._passed
        live, payload = describe()
        tried: list[Fault] = []
        call(lambda: tried.extend(self._tried()))
        findings = saving_findings([*self._still(live, payload), *tried])
        errors = [f for f in findings if f.severity == "error"]
        if errors:
            raise _impossible(errors, findings, self._sink.path)
        for finding in findings:
            if finding.severity == "warning":
                LOG.warning("%s %s (%s)", finding.code, finding.message, finding.remedy)
        self._passed = findings
        return findings

    def report(self, describe: Describe | None, faults: Iterable[Fault] = ()) -> Report:
        """What stands against saving, as a report; nothing is frozen or saved. ``describe``: ``None`` where no live
        objects were given. ``faults``: what the vault knows besides."""
        found, left = list(faults), []
        live: LiveCatalog | None = None
        payload: Payload | None = None
        if describe is None:
            left.append("the size of a save, the room for it and the memory: no live objects were given")
        else:
            try:
                live, payload = describe()
            except UsageError as error:
                found.append(unsavable(error))
                left.append("the size of a save, the room for it and the memory: something cannot be saved")
        looked = ["the folder's paths, the type of its file system, and the room in it"]
        ours = self._writer.holds
        try:
            if any(self._too_long()):
                raise SaveFailed("the path is too long", file=self._sink.path, number=errno.ENAMETOOLONG)
            self._writer.open()
        except VaultLocked as locked:
            found.append(second_writer(locked))
            left.append("what the folder allows: another writer has it, and would clear a trial away")
        except SaveFailed as failed:
            if failed.number != errno.ENAMETOOLONG:  # said better below
                found.append(opening(failed))
            left.append("what the folder allows: it could not be opened for writing")
        else:
            found += self._tried()
            looked.append("making, writing, forcing, renaming, linking, locking and deleting in it")
            if not ours:
                self._writer.close()
        found += self._still(live, payload)
        findings = saving_findings(found)
        errors = any(f.severity == "error" for f in findings)
        about: dict[str, Any] = {
            "next_step": "the save will fail" if errors else "nothing stands against saving"
        }
        if payload is not None and live is not None:
            about |= {"save_bytes": needed(payload.nbytes), "copied_bytes": copied_bytes(live, payload)}
            about["steps_at_once"] = steps_at_once(self._keep)
        if (free := self._sink.free()) is not None:
            about["free_bytes"] = free
        one = CheckpointReport(
            path=self._sink.path,
            format="live",
            verdict="damaged" if errors else "sound",
            proof="structure-only",
            findings=findings,
            tensors=0 if payload is None else sum(1 for _ in payload.items()),
            nbytes=0 if payload is None else payload.nbytes,
            looked_at=tuple(looked),
            not_looked_at=(*left, "a save itself (vault.rehearse makes one, and restores it)"),
            attributes=about,
        )
        return Report((one,), command="check")

    def _still(self, live: LiveCatalog | None, payload: Payload | None) -> Iterator[Fault]:
        """What can be told by looking alone."""
        yield from self._too_long(payload)
        if isinstance(self._sink, LocalSink):
            yield from of_file_system(self._sink.path)
        if payload is not None and live is not None:
            try:
                known = [c for c in self._steps.all() if c.fault is None]
            except (OSError, HoldfastError):  # what is wrong with the folder is told by whoever opens it
                known = []
            yield from of_space(self._sink, payload, self._keep, known, self._prune)
            yield from of_memory(copied_bytes(live, payload), memory())

    def _too_long(self, payload: Payload | None = None) -> Iterator[Fault]:
        """Told first: such a path cannot even be looked at."""
        if isinstance(self._sink, LocalSink):
            yield from of_path(self._sink.path, payload)

    def _tried(self) -> Iterator[Fault]:
        """What shows itself when it is tried out in the real folder, whose lock we have."""
        if not isinstance(self._sink, LocalSink) or not self._writer.holds:
            return  # another rank has the lock, and would clear a trial away
        with self._sink.under_way("preflight", "."):
            failing = probe(self._sink.path, PARTIAL)
        for failed in failing:
            yield refused(failed.kind, failed.error.errno, failed.error.strerror, self._sink.path)
        if self._writer.kernel_lock is False:
            yield Fault(
                "no-locks",
                "the kernel's locks do not work in this folder: only the lock's text keeps a second writer out",
                file=self._sink.path,
                attributes={"fails": False},
            )


def copied_bytes(live: LiveCatalog, payload: Payload) -> int:
    """Bytes that a freeze copies: none of what a runtime lets us hold."""
    return 0 if _may_hold(live) else payload.nbytes


def _impossible(errors: list[Finding], findings: tuple[Finding, ...], path: str) -> SaveFailed:
    first = errors[0]
    message = first.message
    if len(errors) > 1:
        message += f" (and {len(errors) - 1} more that make a save impossible)"
    return SaveFailed(
        message,
        file=path,
        expected=first.evidence.get("expected"),
        found=first.evidence.get("seen"),
        remedy=first.remedy,
        number=first.evidence.get("errno"),
        findings=findings,
    )
