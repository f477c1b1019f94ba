"""Folders of a vault: a committed step is one checkpoint, whatever lies in it."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.errors import HoldfastError
from .._formats.registry import format_named, recognise
from .._record.copies import COPY, RECORD
from .._storage import Store
from .._storage.source import Entry
from .target import Target

__all__ = ["step_target"]


def step_target(store: Store, entries: Iterable[Entry]) -> Target | None:
    """The step that a folder is, told by the record in it or by the record's copy; ``None`` for another folder."""
    names = [e.name for e in entries if not e.is_folder]
    step = format_named("holdfast-step")
    main = next((name for name in (RECORD, COPY) if name in names and _is_record(store, name)), None)
    if main is None or step is None:
        return None
    parts = (main, *(name for name in names if name != main))
    return Target(store.path or ".", store, main, step, parts=parts)


def _is_record(store: Store, name: str) -> bool:
    try:
        source = store.open(name)
    except HoldfastError:
        return False
    try:
        found = recognise(source)
    finally:
        source.close()
    return found is not None and found.name == "holdfast-step"
