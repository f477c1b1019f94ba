"""Seals: the evidence written beside a checkpoint that another tool saved, and how it is found again.

A seal is a :class:`~holdfast._record.schema.Record` of kind ``seal`` in ``<name>.holdfast.json``: beside a
file, beside a TensorFlow prefix (``model.ckpt-3.holdfast.json``), beside a folder, never inside another
tool's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .._core.catalog import Catalog
from .._core.errors import HoldfastError, NotReadable, NotRecognised, SealError
from .._core.fault import Fault, Progress
from .._layouts.target import Target
from .._record.canonical import write_text
from .._record.copies import COPY
from .._record.schema import (
    EvidenceRecord,
    Record,
    dump_record,
    load_record,
)
from .._storage import LocalFile, Store
from .architecture import architecture_record, check_model, names_given
from .atomic import write_whole
from .digesting import make_record
from .files import Names

__all__ = ["Seal", "SEAL_SUFFIX", "find_seal", "read_seal", "seal_place", "write_seal", "seal_path"]

SEAL_SUFFIX = ".holdfast.json"
_LARGEST = 1 << 30  # a seal of a petabyte checkpoint is smaller


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal that was found: where, its record, and the store its file names are relative to.

    A seal that cannot be trusted has ``record=None`` and ``fault`` (slug ``seal-damaged``) instead.
    """

    path: str
    record: Record | None
    store: Store
    fault: Fault | None = None


def seal_place(target: Target) -> str:
    """Where the seal of a checkpoint is written: ``<path>.holdfast.json``, beside it."""
    return os.fspath(Path(target.path)) + SEAL_SUFFIX


def find_seal(target: Target, seal_file: str | os.PathLike[str] | None = None) -> Seal | None:
    """The seal of a checkpoint, or ``None``; ``seal_file`` names one that lies elsewhere.

    Looked for beside the path, the main file, and the folder that holds it (where the folder is the
    checkpoint).
    """
    if seal_file is not None:
        if not Path(seal_file).is_file():
            raise SealError("no such seal", file=os.fspath(seal_file))
        return read_seal(seal_file, target.store)
    if target.format is not None and target.format.name == "holdfast-step" and target.main is not None:
        own = read_seal(target.store.shown(target.main), target.store)  # its record is its seal
        if own.record is None:  # the reader has told of that
            copy = read_seal(target.store.shown(COPY), target.store)
            return own if copy.record is None else copy
        return own
    places = [target.path]
    if target.main is not None:
        places.append(target.store.shown(target.main))
    places.append(target.store.path)
    for place in dict.fromkeys(places):
        if not place or place in (".", "/"):
            continue
        path = Path(os.fspath(Path(place)) + SEAL_SUFFIX)
        if not path.is_file():
            continue
        seal = read_seal(path, target.store)
        folder_of_others = place == target.store.path and place != target.path
        if folder_of_others and (seal.record is None or not _mentions(seal.record, target)):
            continue
        return seal
    return None


def _mentions(record: Record, target: Target) -> bool:
    return any(entry.name == target.main for entry in record.files)


def read_seal(path: str | os.PathLike[str], store: Store) -> Seal:
    """Read a seal; one that is damaged comes back with its ``fault``."""
    shown = os.fspath(path)
    try:
        source = LocalFile(path)
        try:
            if source.size > _LARGEST:
                raise SealError("too large for a seal", file=shown, found=source.size)
            data = source.read(0, source.size)
        finally:
            source.close()
        return Seal(shown, load_record(data, shown), store)
    except HoldfastError as error:  # a FIFO, no permission, a failing disk, or no seal
        return Seal(
            shown,
            None,
            store,
            Fault(
                "seal-damaged",
                f"the seal cannot be used: {error.message}",
                file=shown,
                offset=error.offset,
                seen=error.found,
                expected=error.expected,
                attributes={"remedy": error.remedy} if error.remedy else {},
            ),
        )


# -- writing -----------------------------------------------------------------------------------------------
def seal_path(
    path: str | os.PathLike[str],
    seal_file: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
    live: Catalog | None = None,
) -> str:
    """Seal the one checkpoint at ``path`` and return where the seal was written; see :func:`write_seal`.

    Raises :class:`CheckpointNotFound`, :class:`NotRecognised`, :class:`NotReadable`; :class:`SealError` where
    the path holds several checkpoints.
    """
    from .._layouts.resolve import resolve

    targets = resolve(path)
    if len(targets) != 1:
        names = ", ".join(t.path for t in targets[:5])
        raise SealError(
            f"{len(targets)} checkpoints lie there; a seal is for one",
            file=os.fspath(path),
            found=names,
            remedy="Name one of them.",
        )
    target = targets[0]
    if target.error is not None:
        raise target.error
    if target.format is None or target.main is None:
        raise NotRecognised("not a checkpoint that Holdfast knows; nothing was sealed", file=target.path)
    source = target.store.open(target.main)
    try:
        catalog = target.format.read(source, target.store)
    except NotReadable:
        source.close()
        raise
    with catalog:
        return write_seal(
            target,
            catalog,
            seal_file,
            overwrite=overwrite,
            force=force,
            jobs=jobs,
            progress=progress,
            live=live,
        )


def write_seal(
    target: Target,
    catalog: Catalog,
    seal_file: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
    live: Catalog | None = None,
) -> str:
    """Write the seal of an open checkpoint and return its path.

    ``live`` is the model that was saved, as a catalog: its modules (classes, settings, digests of user-written
    code) are recorded, so that a changed function is seen later. A seal that lacks only them is replaced.

    The checkpoint's own checksums and the hashes found beside it are tested first, so that damage is not
    sealed: :class:`SealError` lists what failed (``force=True`` seals nevertheless and records it). Raises
    :class:`SealError` where a file changes meanwhile, or where a seal lies there that says otherwise
    (``overwrite=True`` replaces it), or where ``live`` is not the checkpoint's model (not with ``force``). An
    equal seal is left as it is.
    """
    from .verify import verify_catalog

    place = Path(seal_file) if seal_file is not None else Path(seal_place(target))
    names = Names(target, catalog)
    if names.outside or names.missing:
        raise SealError(
            "files of the checkpoint are missing or lie outside its folder",
            file=target.path,
            found=", ".join([*names.outside, *names.missing][:5]),
        )
    if place.name in names.of_store and place.parent == Path(target.store.path):
        raise SealError("the seal would replace a file of the checkpoint itself", file=os.fspath(place))
    if live is not None and not force:
        check_model(catalog, live)
    before = _states(target.store, names.of_store)
    proved = verify_catalog(catalog, target, jobs=jobs, progress=progress, seal=None)
    damage = [
        f"{f.slug}: {f.message}"
        for f in (*_serious(target.faults), *_serious(catalog.faults), *proved.faults)
    ]
    if damage and not force:
        raise SealError(
            "the checkpoint is damaged; a seal would vouch for the damage",
            file=target.path,
            found="; ".join(damage[:5]) + (f"; and {len(damage) - 5} more" if len(damage) > 5 else ""),
            remedy="Examine it with `holdfast doctor`; --force seals it as it is and records what is wrong.",
        )
    record = make_record(target, catalog, names, jobs=jobs, progress=progress)
    record = _with(
        record,
        evidence=tuple(
            EvidenceRecord(row["kind"], names.name_of(row["file"]), row["bytes"], row.get("where"))
            for row in proved.evidence
        ),
        damage=tuple(damage),
        architecture=architecture_record(live.modules, names_given(catalog, live))
        if live is not None and live.modules
        else None,
    )
    if _states(target.store, names.of_store) != before:
        raise SealError(
            "the checkpoint changed while it was being sealed",
            file=target.path,
            remedy="Wait until the program that writes it has finished, then seal again.",
        )
    there = _what_is_there(place, target, record, overwrite)
    if there != "same":
        write_whole(place, write_text(dump_record(record)), replace=overwrite or there == "poorer")
    return os.fspath(place)


_HARMLESS = {
    "pickle-global",
    "pickle-opcode",
    "lambda-layer",
    "custom-object",
    "name-clash",
    "view-whole-storage",
}
_HARMLESS |= {
    "device-tag",
    "version",
    "not-stored",
    "wrong-extension",
    "leftover",
    "state-file-moved",
    "trailing-bytes",
}
_HARMLESS |= {"state-file-dangling", "hole"}


def _serious(faults: Iterable[Fault]) -> list[Fault]:
    """Faults that mean that bytes are not what they should be; the rest a seal may well vouch for."""
    return [fault for fault in faults if fault.slug not in _HARMLESS]


def _what_is_there(place: Path, target: Target, record: Record, overwrite: bool) -> str:
    """``same`` where an equal seal (or a richer one) lies there already, ``poorer`` where one does that only
    lacks the architecture, else ``nothing``; raises where another one does and may not be replaced."""
    if not place.exists():
        return "nothing"
    old = read_seal(place, target.store)
    alike = False
    if old.record is not None:
        was = {entry.name: entry.digest for entry in old.record.files}
        alike = was == {entry.name: entry.digest for entry in record.files}
        if alike and old.record.leaf_bytes == record.leaf_bytes:
            if record.architecture is None or old.record.architecture == record.architecture:
                return "same"
            if old.record.architecture is None:
                return "poorer"
    if overwrite:
        return "nothing"
    raise SealError(
        "a seal lies there already, and it is damaged"
        if old.record is None
        else "a seal lies there already, and it disagrees",
        file=os.fspath(place),
        expected=f"the checkpoint as sealed {old.record.created}" if old.record is not None else None,
        found=None if old.record is None else "another architecture" if alike else "other bytes",
        remedy="Run `holdfast verify` to see what changed; --overwrite replaces the seal once you trust it.",
    )


def _with(record: Record, **changes: object) -> Record:
    import msgspec

    return msgspec.structs.replace(record, **changes)


def _states(store: Store, names: Iterable[str]) -> list[tuple[str, object]]:
    """What tells that a file was changed or replaced: size, time, and which file it is."""
    found: list[tuple[str, object]] = []
    for name in names:
        source = store.open(name)
        try:
            if isinstance(source, LocalFile):
                status = Path(source.path).stat()
                found.append((name, (status.st_size, status.st_mtime_ns, status.st_ino)))
            else:
                found.append((name, source.size))
        finally:
            source.close()
    return found
