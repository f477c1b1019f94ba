"""Folders of a vault: a committed step is one checkpoint, whatever lies in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._formats.registry import format_named, recognise
from .._record.copies import COPY, RECORD
from .._storage import LocalFolder, Store
from .._storage.source import Entry
from .target import Target

__all__ = ["step_target", "unsealed_step"]

_STEP = re.compile(r"step-\d{8,}(?:\.\d+)?")
_MANIFEST = "vault.json"


def step_target(store: Store, entries: Iterable[Entry]) -> Target | None:
    """The step that a folder is, told by the record in it or by the record's copy; ``None`` for another folder. One whose
    record may not be read is told by its name: what else lies in it is no checkpoint of its own."""
    names = [e.name for e in entries if not e.is_folder]
    step = format_named("holdfast-step")
    main, denied = None, None
    for name in (RECORD, COPY):
        if name not in names:
            continue
        found = _is_record(store, name)
        if found is True:
            main = name
            break
        if isinstance(found, HoldfastError):
            denied = denied or found
    if main is None and denied is not None and _STEP.fullmatch(PurePath(store.path).name):
        return Target(store.path, store, RECORD, step, error=denied)
    if main is None or step is None:
        return None
    parts = (main, *(name for name in names if name != main))
    return Target(store.path or ".", store, main, step, parts=parts)


def unsealed_step(store: LocalFolder) -> Target | None:
    """The step of a vault that a folder without any record was meant to be, or is what is left of; ``None`` for another
    folder. What else lies in it may be whole, and nothing says so."""
    place = store._path.absolute()
    if _STEP.fullmatch(place.name) is None or not (place.parent / _MANIFEST).is_file():
        return None
    fault = Fault(
        "part-missing",
        f"this step of a vault has no record ({RECORD}): it was copied, or deleted, only in part",
        file=store.shown(RECORD),
        attributes={
            "part": RECORD,
            "remedy": "Copy the whole folder again from where it came from. Without its record nothing proves its files; "
            "a restore from the vault takes the step before it.",
        },
    )
    return Target(store.path or ".", store, None, None, faults=(fault,))


def _is_record(store: Store, name: str) -> bool | HoldfastError:
    """Whether it is one; why that cannot be told, where it may not be read."""
    try:
        source = store.open(name)
    except HoldfastError as error:
        return error if isinstance(error.__cause__, PermissionError) else False
    try:
        found = recognise(source)
    finally:
        source.close()
    return found is not None and found.name == "holdfast-step"
