"""The commit: everything is written beside, forced to the medium, and made visible by one rename.

Order: space -> a folder of its own -> files, hashed while written, each forced -> record -> its folder forced -> rename ->
the run's folder forced. Until the rename nothing is visible; after it, nothing of the step changes any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from blake3 import blake3

from ..._core.errors import SaveFailed
from ..._core.modules import ModuleSpec
from ..._core.plain import pack
from ..._core.spec import TensorSpec
from ..._integrity.architecture import architecture_record
from ..._integrity.digest import LEAF, digest_array, file_digest, region_digest
from ..._record.canonical import plain, write_text
from ..._record.schema import (
    SCHEMA_VERSION,
    FileRecord,
    OptimizerRecord,
    Record,
    RegionRecord,
    StoredRecord,
    TensorRecord,
    dump_record,
)
from ..._storage.sink import Sink
from ..._version import __version__
from ..contents.payload import Item, Payload
from ..contents.stateful import STATES, documents_of, merge_states
from ..coordinator import Coordinator, Part, merged
from ..folder.names import COPY, RECORD, StepName, partial_name
from .native import write_native
from .room import needed_by
from .tensor_file import Written, write_tensors

__all__ = ["STATE", "commit"]

STATE = "state.json"


def commit(
    sink: Sink,
    name: StepName,
    payload: Payload,
    *,
    modules: tuple[ModuleSpec, ...] = (),
    sections: Mapping[str, Any] | None = None,
    timings: dict[str, float] | None = None,
    tell: Callable[[int], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    reuse: Callable[[str, str], Written | None] = lambda partial, file: None,
    group: Coordinator = Coordinator(),  # noqa: B008 - it has no state
    heard: Callable[[Sequence[Part]], None] = lambda _: None,
) -> Record:
    """Write a step and make it visible; gives its record.

    ``group``: who saves together. Every rank writes its own tensors, rank 0 all the rest; no rank's failure leaves
    anything visible, and it is raised on every rank. ``heard`` is called with what each rank has.

    ``sections``: further sections of the record (``lineage``, ``metrics`` ...); one that is a function is made when all
    tensors are written. ``check`` is called once all tensors
    are written and before anything is visible; what it raises abandons the save. ``reuse`` may put a file into the
    partial folder by itself, and gives what lies there then (:mod:`holdfast._vault.saving.incremental`).

    Raises :class:`SaveFailed`: nothing is visible then, and what was written is taken away as far as the disk allows.
    Only where the very last operation fails (forcing the run's folder) the step is there, whole, and not known to outlast
    a power cut.
    """
    times = timings if timings is not None else {}
    start, tried = perf_counter(), sink.retries
    partial = group.share(partial_name(name.step))
    with group.phase("beginning the save"):
        _demand_space(sink, payload)
        if group.leads:
            sink.make_folder(partial)
    try:
        with group.phase("writing"):
            if not group.leads:
                sink.await_folder(partial)
            native = write_native(sink, partial, payload, tell) if group.leads else []
            written = _write_files(sink, partial, payload.files, reuse, group, tell)
            _as_proved(payload, written)
            check()
        times["write"] = perf_counter() - start
        times["hash"] = sum(file.seconds.get("hash", 0.0) for file in written.values())
        times["fsync"] = sum(file.seconds.get("fsync", 0.0) for file in written.values())
        times["retries"] = sink.retries - tried
        metrics = (sections or {}).get("metrics") or {}
        parts = group.gather(_part(payload, written, metrics, leads=group.leads))
        heard(parts)
        part = merged(parts)
        merge_states(payload, parts[1:])
        record: Record | None = None
        with group.phase("committing"):
            if group.leads:
                small = native + [
                    _small(sink, f"{partial}/{file}", file, data)
                    for file, data in ((STATE, _state(payload)), *payload.documents.items())
                ]
                made = {key: s() if callable(s) else s for key, s in (sections or {}).items()}
                record = _record(name, payload, part, small, modules, made, times)
                document = dump_record(record)
                record = msgspec.structs.replace(record, digest=document["digest"])
                text = write_text(document)
                for file in (RECORD, COPY):
                    _small(sink, f"{partial}/{file}", file, text)
                sink.sync_folder(partial)
                sink.rename(partial, str(name))
    except BaseException:
        if group.leads:
            _take_away(sink, partial)
        raise
    with group.phase("forcing the run's folder"):
        if group.leads:
            sink.sync_folder()
    times["retries"] = sink.retries - tried
    times["total"] = perf_counter() - start
    shared = group.share(record)
    assert shared is not None
    return shared


def _write_files(
    sink: Sink,
    partial: str,
    files: Mapping[str, Sequence[Item]],
    reuse: Callable[[str, str], Written | None],
    group: Coordinator,
    tell: Callable[[int], None],
) -> dict[str, Written]:
    """Put every file of tensors into the partial folder: those that were there before by a link, the others all at a time."""
    reused = {file: reuse(partial, file) for file in files}
    places = {file: group.place(file) for file, found in reused.items() if found is None}
    fresh = write_tensors(
        sink, {places[file]: files[file] for file in places}, folder=partial, tell=tell, release=True
    )
    return {file: found or fresh[places[file]] for file, found in reused.items()}


def _demand_space(sink: Sink, payload: Payload) -> None:
    free = sink.free()
    wanted = needed_by(payload)
    if free is not None and free < wanted:
        raise SaveFailed(
            "the disk has no room for this save",
            file=sink.path,
            expected=f"{wanted:,} bytes",
            found=f"{free:,} free",
            remedy="Free space there, or keep fewer checkpoints (Keep).",
        )


def _take_away(sink: Sink, partial: str) -> None:
    """Remove what an abandoned save has written. A disk that refuses even that keeps a `.partial-` folder, which the
    next save of the vault takes away."""
    try:
        sink.remove_tree(partial)
    except SaveFailed:
        return


def _small(sink: Sink, place: str, shown: str, data: bytes) -> FileRecord:
    """Write a small file whole and force it."""
    file = sink.create(place)
    try:
        file.write(memoryview(data))
        file.sync()
    finally:
        file.close()
    leaves = tuple(blake3(data[at : at + LEAF]).hexdigest() for at in range(0, len(data), LEAF))
    rows = (RegionRecord(0, len(data), "file", leaves),) if data else ()
    sums = [(row.length, region_digest(row.length, row.leaves)) for row in rows]
    return FileRecord(shown, len(data), file_digest(len(data), sums), rows)


def _as_proved(payload: Payload, written: Mapping[str, Written]) -> None:
    """What was written is what was proved at the freeze: memory that somebody else can write to may have been held."""
    found = {name: digest for file in written.values() for name, (_, digest) in file.places.items()}
    changed = [name for name, digest in payload.digests.items() if found.get(name, digest) != digest]
    if changed:
        raise SaveFailed(
            f"values that were held changed before they were written: {', '.join(changed[:5])}",
            tensor=changed[0],
            expected=payload.digests[changed[0]],
            found=found[changed[0]],
            remedy="Somebody writes to the memory of these arrays (a numpy array that was given to the framework "
            "without a copy): hand it a copy.",
        )


def _state(payload: Payload) -> bytes:
    document: dict[str, Any] = {"schema_version": 1, "values": payload.values, **payload.attributes}
    if payload.texts:
        document["texts"] = {
            spec.name: pack(_objects(item), spec.name, [])
            for item in payload.texts
            for spec in (item.spec, *item.others)
        }
    return (json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _objects(item: Item) -> np.ndarray:
    return np.asarray(item.read()).astype(object)


def _part(
    payload: Payload, written: Mapping[str, Written], metrics: Mapping[str, float | str], *, leads: bool
) -> Part:
    tensors = []
    for file, items in payload.files.items():
        for item in items:
            for spec in (item.spec, *item.others):
                place, digest = written[file].places[spec.name]
                tensors.append(_tensor(spec, (place,), digest))
    for item in payload.texts if leads else ():
        digest = digest_array(_objects(item))
        tensors += [_tensor(spec, (), digest) for spec in (item.spec, *item.others)]
    files = tuple(w.record for w in written.values())
    if leads:
        return Part(files, tuple(tensors), metrics=metrics)
    return Part(files, tuple(tensors), payload.attributes.get(STATES, {}), documents_of(payload), metrics)


def _record(
    name: StepName,
    payload: Payload,
    part: Part,
    small: list[FileRecord],
    modules: tuple[ModuleSpec, ...],
    sections: dict[str, Any],
    times: Mapping[str, float],
) -> Record:
    return Record(
        schema_version=SCHEMA_VERSION,
        kind="record",
        holdfast=__version__,
        format="holdfast-step",
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        name=str(name),
        algorithm="blake3",
        leaf_bytes=LEAF,
        files=(*part.files, *small),
        tensors=part.tensors,
        optimizers=tuple(
            OptimizerRecord(
                o.name,
                o.class_name,
                o.step,
                tuple(o.slots),
                tuple(
                    {
                        "owners": list(g.owners),
                        "configured": plain(dict(g.configured)),
                        "current": plain(dict(g.current)),
                    }
                    for g in o.groups
                ),
            )
            for o in payload.optimizers
        ),
        attributes={"step": name.step},
        architecture=architecture_record(modules) if modules else None,
        timings={**{k: round(v, 6) for k, v in times.items()}, "pid": os.getpid()},
        **sections,
    )


def _tensor(spec: TensorSpec, stored: tuple[StoredRecord, ...], digest: str) -> TensorRecord:
    return TensorRecord(
        name=spec.name,
        key=spec.key,
        dtype=spec.dtype,
        shape=tuple(int(n) for n in spec.shape),
        nbytes=sum(place.length for place in stored),
        digest=digest,
        role=spec.role,
        owner=spec.owner,
        stored=stored,
        slot=spec.slot,
        optimizer=spec.optimizer,
        trainable=spec.trainable,
        shares=spec.shares,
        layout=spec.layout,
        dialect=spec.dialect,
        aliases=tuple(spec.aliases),
    )
