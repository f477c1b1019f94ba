"""What a typed path was understood as."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._formats.registry import Format
from .._storage import Store

__all__ = ["Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One checkpoint to open.

    Attributes
    ---------- path: what to call it in reports: the prefix for TF bundles, else the main file or the folder.
    store, main: the folder and the name of the main file in it (``model.ckpt-3.index``); ``main`` is ``None``
    where the
        checkpoint has no readable main file (a shard without index, an empty folder of a known kind).
    format: ``None`` where the content was not recognised.
    note: how the typed path was understood, when it was not simply this file ("a shard was named; ...").
    parts: names in ``store`` of all files that belong to it, the main one first.
    faults: what was noticed while resolving: dangling state file, leftovers beside it, missing parts.
    """

    path: str
    store: Store
    main: str | None
    format: Format | None
    note: str | None = None
    parts: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    error: HoldfastError | None = None
