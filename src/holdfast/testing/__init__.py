"""For tests: catalogs over plain numpy arrays, disks that fail, and assertions about one's own saving and resuming."""

from __future__ import annotations

from importlib import import_module

from .catalogs import NumpyCatalog
from .faults import DroppingSink, FaultySink, Killed

_ASSERTIONS = ("assert_resumes_exactly", "assert_roundtrip")
"""They need the whole library, and are imported when they are asked for; the doubles stand below all of it."""

__all__ = ["DroppingSink", "FaultySink", "Killed", "NumpyCatalog", *_ASSERTIONS]


def __getattr__(name: str) -> object:
    if name in _ASSERTIONS:
        return getattr(import_module("holdfast._drill.assertions"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
