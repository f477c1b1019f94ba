"""Folders of a vault: a committed step is one checkpoint, whatever lies in it."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.errors import HoldfastError
from .._formats.registry import format_named, recognise
from .._storage import Store
from .._storage.source import Entry
from .target import Target

__all__ = ["step_target"]

_RECORD = "holdfast.json"


def step_target(store: Store, entries: Iterable[Entry]) -> Target | None:
    """The step that a folder is, told by the record in it; ``None`` for another folder."""
    names = [e.name for e in entries if not e.is_folder]
    if _RECORD not in names:
        return None
    try:
        source = store.open(_RECORD)
    except HoldfastError:
        return None
    try:
        found = recognise(source)
    finally:
        source.close()
    step = format_named("holdfast-step")
    if found is None or step is None or found.name != step.name:
        return None
    parts = (_RECORD, *(name for name in names if name != _RECORD))
    return Target(store.path or ".", store, _RECORD, step, parts=parts)
