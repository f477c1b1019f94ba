"""Frozen tensors are not written again: their files are linked from the parent step.

A link costs nothing and shares one fate: what damages the file on the disk damages every step that links it. So a file is
only linked where it is known to hold what its record says: this process wrote it, or has read and digested it, and its
inode, size and time of modification are those it had then. (The time of a change of the inode moves with each link.)
Everything else is written in full, and ``Keep(full_every=)`` bounds how many steps share a file. Verification and scrub
read each step by its own record, and so find the damage in each.

Retention may drop any of the steps: the file is there until its last link goes. No file is ever renamed onto another: of
two links of one file ``rename`` leaves both (man 2 rename).
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from ..._core.errors import HoldfastError, SaveFailed
from ..._integrity.digest import LEAF, hash_leaves
from ..._integrity.regions import leaves_of
from ..._record.schema import FileRecord, Record
from ..._storage import LocalFile
from ..._storage.sink import Sink
from ..contents.payload import MODEL, Item, Payload
from ..folder.keep import Keep
from ..folder.listing import record_of
from ..freezing.held import let_go
from .frozen import INDEX, frozen_files, index_of, split
from .tensor_file import Written

__all__ = ["Incremental", "Plan", "in_full"]

LOG = logging.getLogger("holdfast.vault")
_WINDOW = 1 << 20
_Mark = tuple[int, int, int, int]
"""Of a file: device, inode, size, time of modification in nanoseconds."""


class Plan(NamedTuple):
    """What to write and what to link: the payload, split into its files; the section of the record, complete once all
    files are there; and what puts a file of the parent into a partial folder, ``None`` where it must be written."""

    payload: Payload
    section: dict[str, Any]
    reuse: Callable[[str, str], Written | None]


def in_full(payload: Payload) -> Plan:
    """The plan that links nothing."""
    return Plan(payload, {}, lambda partial, file: None)


class Incremental:
    """The frozen files of a vault, as its one writer knows them."""

    def __init__(self, sink: Sink, keep: Keep) -> None:
        self._sink = sink
        self._keep = keep
        self._trusted: set[_Mark] = set()
        self._last: tuple[str, Record] | None = None

    def plan(self, payload: Payload, parent: str | None, timings: dict[str, float]) -> Plan:
        """Look which frozen tensors are in ``parent`` (a step's folder) already; their values are read here.
        ``timings`` gets ``compare`` (seconds) and ``bytes_reused``."""
        begin = perf_counter()
        record = self._record(parent)
        found = split(payload, record)
        others = {file: items for file, items in payload.files.items() if file != MODEL}
        told: dict[str, Any] = {file: {"since": None, "links": 0} for file in found.fresh}
        section: dict[str, Any] = {"frozen": told} if told or found.same else {}
        sources: dict[str, tuple[str, FileRecord]] = {}
        if record is not None and parent is not None:
            entries = {entry.name: entry for entry in record.files}
            for file in found.same:
                past = frozen_files(record)[file]
                links = _whole(past.get("links")) + 1
                told[file] = {"since": past.get("since") or parent, "links": links}
                if self._keep.full_every is None or links < self._keep.full_every:
                    sources[file] = (f"{parent}/{file}", entries[file])
                else:
                    told[file] = {"since": None, "links": 0}
        documents = dict(payload.documents)
        if told:
            documents[INDEX] = index_of(found.files)
        made = replace(payload, files={**found.files, **others}, documents=documents)
        timings["bytes_reused"] = 0
        timings["compare"] = perf_counter() - begin
        made.linked = sum(entry.size for _, entry in sources.values())

        def reuse(partial: str, file: str) -> Written | None:
            if file not in sources or record is None:
                return None
            source, entry = sources[file]
            if not self._put(source, f"{partial}/{file}", entry):
                told[file] = {"since": None, "links": 0}
                return None
            section["reused_from"] = parent
            section["bytes_reused"] = section.get("bytes_reused", 0) + entry.size
            timings["bytes_reused"] += entry.size
            for item in found.files[file]:
                let_go(item)
            return _as_written(entry, found.files[file], record)

        return Plan(made, section, reuse)

    def committed(self, name: str, record: Record) -> None:
        """A step is there: what it wrote may be linked by the next one, and is made read-only."""
        self._last = (name, record)
        for file, told in frozen_files(record).items():
            if told.get("links"):
                continue
            try:
                self._sink.protect(f"{name}/{file}")
            except SaveFailed as error:  # a hindrance to accidents, no part of the save
                LOG.warning("%s/%s stays writable: %s", name, file, error.message)
            mark = _mark(Path(self._sink.path, name, file))
            if mark is not None:
                self._trusted.add(mark)

    def distrust(self) -> None:
        """Damage was found in this vault: what is to be linked is read and digested first."""
        self._trusted.clear()

    def _record(self, parent: str | None) -> Record | None:
        if parent is None:
            return None
        if self._last is not None and self._last[0] == parent:
            return self._last[1]
        try:
            return record_of(os.fspath(Path(self._sink.path, parent)))
        except (OSError, HoldfastError) as error:
            LOG.debug("%s has no record to go by, so everything is written: %s", parent, error)
            return None

    def _put(self, source: str, place: str, entry: FileRecord) -> bool:
        """Link a file, or share its blocks where links are not to be had."""
        if not self._sound(Path(self._sink.path, source), entry):
            return False
        return self._sink.link(source, place) or self._sink.clone(source, place)

    def _sound(self, path: Path, entry: FileRecord) -> bool:
        """Whether a file is known to hold what its record says; where nothing is known it is read."""
        mark = _mark(path)
        if mark is None or mark[2] != entry.size:
            LOG.warning("%s is not what was saved, so it is not linked but written in full", path)
            return False
        if mark in self._trusted:
            return True
        try:
            whole = _holds(path, entry)
        except HoldfastError as error:
            LOG.warning("%s cannot be read, so it is not linked but written in full: %s", path, error.message)
            return False
        if not whole or _mark(path) != mark:
            LOG.warning("%s is damaged, so it is not linked but written in full", path)
            return False
        self._trusted.add(mark)
        return True


def _whole(number: object) -> int:
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def _mark(path: Path) -> _Mark | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return (
        (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if stat.S_ISREG(found.st_mode)
        else None
    )


def _holds(path: Path, entry: FileRecord) -> bool:
    """Whether every leaf of a file is as recorded."""
    source = LocalFile(path)
    try:
        if source.size != entry.size:
            return False
        window = memoryview(bytearray(_WINDOW))
        for row in entry.regions:
            places = leaves_of(row.offset, row.length, LEAF)
            if places and tuple(hash_leaves(source, places, window)) != tuple(row.leaves):
                return False
    finally:
        source.close()
    return True


def _as_written(entry: FileRecord, items: list[Item], record: Record) -> Written:
    rows = {row.name: row for row in record.tensors}
    places = {}
    for item in items:
        for spec in (item.spec, *item.others):
            row = rows[spec.name]
            assert row.digest is not None
            places[spec.name] = (row.stored[0], row.digest)
    return Written(entry, places)
