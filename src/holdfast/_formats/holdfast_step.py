"""A committed step of a vault: ``holdfast.json`` (the record, and a copy beside it) and the files that it names.

The record says where each tensor's bytes lie; the tensor files are plain safetensors for everybody else. Plain values
are in ``state.json``.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import carrier, known
from .._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, NotStored, Truncated
from .._core.fault import Fault
from .._core.modules import ModuleSpec
from .._core.plain import unpack
from .._core.shell import quote
from .._core.spec import ROLES, OptimizerSpec, ParamGroup, Role, Stored, TensorSpec
from .._record.copies import COPY, RECORD, Found, load_either
from .._record.schema import load_record
from .._storage import LocalFile, Source, Store
from .._storage.reading import ReadLock
from .registry import Format

__all__ = ["FORMATS", "RECORD", "STATE", "StepCatalog", "open_step"]

STATE = "state.json"
_LARGEST = 1 << 30


def recognise_step(source: Source) -> bool:
    """Whether this is a record of a save (not a seal, which says ``"kind": "seal"``)."""
    head = source.head(512)
    return head.lstrip().startswith(b"{") and b'"kind": "record"' in head and b'"schema_version"' in head


class StepCatalog(Catalog):
    """The tensors of one step."""

    format = "holdfast-step"
    hold: ReadLock | None = None
    """Keeps retention from dropping the step until :meth:`close`."""

    def __init__(
        self,
        record: Any,
        store: Store,
        main: str,
        values: Mapping[str, Any],
        faults: list[Fault],
        texts: Mapping[str, Any] | None = None,
    ) -> None:
        self.record = record
        self._store = store
        self._texts = texts or {}
        self._sources: dict[str, Source] = {}
        shown = {entry.name: store.shown(entry.name) for entry in record.files}
        specs = [_spec(row, n, shown) for n, row in enumerate(record.tensors)]
        attributes = {
            "writer": f"Holdfast {record.holdfast}",
            "values": dict(values),
            **record.attributes,
        }
        super().__init__(
            specs,
            files=(store.shown(main), *shown.values()),
            attributes=attributes,
            optimizers=tuple(_optimizer(row, record.tensors) for row in record.optimizers),
            faults=faults,
        )
        self.modules = tuple(_modules(record.architecture))
        self._rows = {row.name: row for row in record.tensors}

    def read(self, name: str) -> np.ndarray:
        spec = self[name]
        row = self._rows[spec.name]
        if not known(spec.dtype):
            raise NotStored("a dtype that has no array form", tensor=spec.name, found=spec.dtype)
        kind = carrier(spec.dtype)
        if kind.hasobject:
            return self._read_texts(row)
        source, offset = self._place(spec, kind.itemsize)
        if not spec.nbytes:
            return np.empty(spec.shape, kind)
        return np.frombuffer(source.view(offset, spec.nbytes), kind).reshape(spec.shape)

    def _place(self, spec: TensorSpec, itemsize: int) -> tuple[Source, int]:
        """The file and the offset of a tensor's bytes, which are there. Raises :class:`DamagedCheckpoint`,
        :class:`Truncated`."""
        stored = self._rows[spec.name].stored
        count = int(np.prod(spec.shape, dtype=np.int64))
        if len(stored) != 1 or stored[0].length != spec.nbytes or count * itemsize != spec.nbytes:
            raise DamagedCheckpoint("the record's place of a tensor has another length", tensor=spec.name)
        place = stored[0]
        source = self._source(place.file)
        if place.offset < 0 or place.offset + place.length > source.size:
            raise Truncated(
                "the tensor's bytes are not all there", file=source.name, offset=place.offset, tensor=spec.name,
                expected=place.offset + place.length, found=source.size,
            )  # fmt: skip
        return source, place.offset

    def stretch(self, name: str) -> Callable[[int, int], memoryview] | None:
        """See :meth:`Catalog.stretch`."""
        spec = self[name]
        if not known(spec.dtype) or carrier(spec.dtype).hasobject:
            return None
        source, offset = self._place(spec, carrier(spec.dtype).itemsize)
        return lambda start, count: source.view(offset + start, count)

    def _read_texts(self, row: Any) -> np.ndarray:
        array = self._texts.get(row.name)
        if not isinstance(array, np.ndarray) or array.shape != tuple(row.shape):
            raise DamagedCheckpoint(
                "state.json does not have these texts as the record has them", tensor=row.name,
                expected=list(row.shape), found=list(getattr(array, "shape", ())),
            )  # fmt: skip
        copy: np.ndarray = array.copy()
        return copy

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = self._store.open(name)
        return self._sources[name]

    def close(self) -> None:
        for source in self._sources.values():
            source.close()
        if self.hold is not None:
            self.hold.release()


def _spec(row: Any, order: int, shown: Mapping[str, str]) -> TensorSpec:
    role: Role = row.role if row.role in ROLES else "other"
    return TensorSpec(
        row.name,
        tuple(row.shape),
        row.dtype,
        row.key,
        role=role,
        owner=row.owner,
        slot=row.slot,
        optimizer=row.optimizer,
        aliases=tuple(row.aliases),
        dialect=row.dialect,
        layout=row.layout,
        trainable=row.trainable,
        order=order,
        shares=row.shares,
        nbytes=row.nbytes,
        stored=tuple(Stored(shown.get(s.file, s.file), s.offset, s.length) for s in row.stored),
    )


def _optimizer(row: Any, tensors: Any) -> OptimizerSpec:
    groups = tuple(
        ParamGroup(
            owners=tuple(group["owners"]) if isinstance(group.get("owners"), (list, tuple)) else (),
            configured=group.get("configured") or {},
            current=group.get("current") or {},
        )
        for group in row.groups
    )
    return OptimizerSpec(row.name, row.class_name, groups=groups, slots=tuple(row.slots), step=row.step)


def _modules(architecture: Mapping[str, Any] | None) -> Iterator[ModuleSpec]:
    rows = (architecture or {}).get("modules")
    for n, row in enumerate(rows if isinstance(rows, list) else ()):
        if (
            isinstance(row, Mapping)
            and isinstance(row.get("path"), str)
            and isinstance(row.get("class"), str)
        ):
            yield ModuleSpec(
                row["path"],
                row["class"],
                str(row.get("package", "")),
                row.get("config") or {},
                row.get("code"),
                n,
            )


def open_step(source: Source, store: Store) -> Catalog:
    """Open a step by its record, and hold it until the catalog is closed: retention waits for its readers.

    A damaged record is a fault where its copy is whole. Raises :class:`DamagedCheckpoint` where neither can be trusted.
    """
    hold = ReadLock(Path(source.path).parent) if isinstance(source, LocalFile) else None
    try:
        catalog = _open(source, store)
    except BaseException:
        if hold is not None:
            hold.release()
        raise
    catalog.hold = hold
    return catalog


def _open(source: Source, store: Store) -> StepCatalog:
    main = source.name.rsplit("/", 1)[-1]
    try:
        if main in (RECORD, COPY):
            found = load_either(lambda name: _whole(store, name), store.shown)
        else:
            found = Found(load_record(_whole(store, main), source.name), main)
    except OSError as error:
        if not isinstance(error, HoldfastError):
            raise
        raise _unusable(error, source) from error
    except LimitExceeded:
        raise
    except HoldfastError as error:
        raise _unusable(error, source) from error
    record = found.record
    faults: list[Fault] = []
    if found.trouble is not None:
        faults.append(_trouble(found, store))
    for entry in record.files:
        faults += _file_faults(store, entry, record)
    state = _state(store, faults) if any(entry.name == STATE for entry in record.files) else {}
    return StepCatalog(record, store, main, state.get("values", {}), faults, state.get("texts"))


def _trouble(found: Found, store: Store) -> Fault:
    """One of the record's two files cannot be used; the other was."""
    whole, other = quote(store.shown(found.name)), quote(store.shown(found.other))
    remedy = (
        f"Nothing is lost. `ls -l {other}` shows who may read it."
        if os.strerror(errno.EACCES) in (found.trouble or "")
        else f"Nothing is lost: `cp -f {whole} {other}` makes it whole again."
    )
    return Fault(
        "seal-damaged", found.trouble or "", file=store.shown(found.other), attributes={"remedy": remedy}
    )


def _unusable(error: HoldfastError, source: Source) -> DamagedCheckpoint:
    return DamagedCheckpoint(
        f"the step's record cannot be used: {error.message}",
        file=source.name,
        expected=error.expected,
        found=error.found,
        remedy="The tensor files beside it can be opened by themselves; another step of the vault may be whole.",
    )


def _whole(store: Store, name: str) -> bytes:
    source = store.open(name)
    try:
        if source.size > _LARGEST:
            raise LimitExceeded("a record larger than any honest one", file=source.name, found=source.size)
        return source.read(0, source.size)
    finally:
        source.close()


def _file_faults(store: Store, entry: Any, record: Any) -> Iterator[Fault]:
    names = tuple(t.name for t in record.tensors if any(s.file == entry.name for s in t.stored))
    if not store.exists(entry.name):
        yield Fault("part-missing", f"{entry.name} is not there", file=store.shown(entry.name), tensors=names)
        return
    source = store.open(entry.name)
    try:
        if source.size < entry.size:
            yield Fault(
                "truncated", f"{entry.name} has {source.size:,} of {entry.size:,} bytes", file=source.name,
                seen=source.size, expected=entry.size, tensors=names,
            )  # fmt: skip
    finally:
        source.close()


def _state(store: Store, faults: list[Fault]) -> dict[str, dict[str, Any]]:
    """``values`` and ``texts`` of state.json, by name."""
    if not store.exists(STATE):
        return {}
    source = store.open(STATE)
    try:
        if source.size > _LARGEST:
            raise LimitExceeded("larger than any honest state.json", file=source.name, found=source.size)
        document = json.loads(source.read(0, source.size))
        found = {}
        for section in ("values", "texts"):
            rows = document.get(section, {})
            if not isinstance(rows, dict):
                raise TypeError(f"{section} is no object")
            found[section] = {name: unpack(value) for name, value in rows.items()}
    except LimitExceeded:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, HoldfastError) as error:
        faults.append(Fault("malformed", f"state.json cannot be read: {error}", file=source.name))
        return {}
    finally:
        source.close()
    return found


FORMATS = (
    Format(
        "holdfast-step",
        "step of a Holdfast vault",
        recognise_step,
        open_step,
        (".json",),
        family="holdfast",
    ),
)
