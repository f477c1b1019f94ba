"""The commit: everything is written beside, forced to the medium, and made visible by one rename.

Order: space -> a folder of its own -> files, hashed while written, each forced -> record -> its folder forced -> rename ->
the run's folder forced. Until the rename nothing is visible; after it, nothing of the step changes any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from time import perf_counter
from typing import Any

import numpy as np
from blake3 import blake3

from .._core.errors import SaveFailed
from .._core.modules import ModuleSpec
from .._core.plain import pack
from .._core.spec import TensorSpec
from .._integrity.architecture import architecture_record
from .._integrity.digest import LEAF, digest_array, file_digest, region_digest
from .._record.canonical import plain, write_text
from .._record.schema import (
    SCHEMA_VERSION,
    FileRecord,
    OptimizerRecord,
    Record,
    RegionRecord,
    StoredRecord,
    TensorRecord,
    dump_record,
)
from .._storage.sink import Sink
from .._version import __version__
from .names import RECORD, StepName, partial_name
from .payload import Item, Payload
from .tensor_file import Written, write_tensors

__all__ = ["STATE", "commit"]

STATE = "state.json"
_SPARE = 256 << 10
"""For the record, ``state.json`` and the file system's own blocks, beside one 64th of the tensors' bytes."""


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
) -> Record:
    """Write a step and make it visible; gives its record.

    ``sections``: further sections of the record (``lineage``, ``metrics`` ...). ``check`` is called once all tensors
    are written and before anything is visible; what it raises abandons the save. Raises :class:`SaveFailed`: nothing is
    visible then, and what was written is taken away as far as the disk allows. Only where the very last operation fails
    (forcing the run's folder) the step is there, whole, and not known to outlast a power cut.
    """
    times = timings if timings is not None else {}
    start = perf_counter()
    _demand_space(sink, payload)
    partial = partial_name(name.step)
    sink.make_folder(partial)
    try:
        written: dict[str, Written] = {}
        for file, items in payload.files.items():
            written[file] = write_tensors(sink, f"{partial}/{file}", items, shown=file, tell=tell)
        _as_proved(payload, written)
        check()
        times["write"] = perf_counter() - start
        state = _small(sink, f"{partial}/{STATE}", STATE, _state(payload))
        record = _record(name, payload, written, state, modules, dict(sections or {}), times)
        text = write_text(dump_record(record))
        _small(sink, f"{partial}/{RECORD}", RECORD, text)
        sink.sync_folder(partial)
        sink.rename(partial, str(name))
    except BaseException:
        _take_away(sink, partial)
        raise
    sink.sync_folder()
    times["total"] = perf_counter() - start
    return record


def _demand_space(sink: Sink, payload: Payload) -> None:
    free = sink.free()
    wanted = payload.nbytes + payload.nbytes // 64 + _SPARE
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


def _record(
    name: StepName,
    payload: Payload,
    written: Mapping[str, Written],
    state: FileRecord,
    modules: tuple[ModuleSpec, ...],
    sections: dict[str, Any],
    times: Mapping[str, float],
) -> Record:
    tensors = []
    for file, items in payload.files.items():
        for item in items:
            for spec in (item.spec, *item.others):
                place, digest = written[file].places[spec.name]
                tensors.append(_tensor(spec, (place,), digest))
    for item in payload.texts:
        digest = digest_array(_objects(item))
        tensors += [_tensor(spec, (), digest) for spec in (item.spec, *item.others)]
    return Record(
        schema_version=SCHEMA_VERSION,
        kind="record",
        holdfast=__version__,
        format="holdfast-step",
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        name=str(name),
        algorithm="blake3",
        leaf_bytes=LEAF,
        files=(*(w.record for w in written.values()), state),
        tensors=tuple(tensors),
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
