"""From findings to a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from .._core.catalog import Catalog
from .._core.finding import Finding, Verdict

__all__ = ["verdict_of"]

_NO_CHECKPOINT = frozenset({"not-recognised", "not-readable", "unreadable"})
_MENDED_HERE = frozenset(
    {"trailing-bytes", "state-file-moved", "state-file-dangling", "wrong-extension", "name-variants"}
)
"""Errors after which every tensor still reads as it was written."""


def verdict_of(
    findings: Sequence[Finding], catalog: Catalog | None, lost: Sequence[str] | None, known: bool
) -> Verdict:
    """The verdict of one checkpoint.

    ``unknown``: not recognised, no reader, or the system would not give the bytes. ``lost``: recognised (or
    recognisably something else in its place) and nothing loads. ``damaged``: errors, and something still
    loads. ``repairable``: errors, all of which leave every tensor readable as written, or have a lossless
    edit. ``sound``: no error. ``known`` tells whether the format was recognised.
    """
    errors = [f for f in findings if f.severity == "error"]
    if catalog is None:
        others = [f for f in errors if f.slug not in _NO_CHECKPOINT]
        if any(f.slug in _NO_CHECKPOINT for f in findings) and not others:
            return "unknown"
        if others:
            if all(f.slug in _MENDED_HERE for f in others):
                return "repairable"
            return "lost"
        return "lost" if known and errors else "unknown"
    if not errors:
        return "sound"
    if not len(catalog) and any(f.slug not in _NO_CHECKPOINT and f.slug not in _MENDED_HERE for f in errors):
        return "lost"
    gone = {n for n in lost or () if n in catalog}
    if lost and len(gone) == len(catalog):
        return "lost"
    if not lost and all(f.slug in _MENDED_HERE or (f.edit and f.lossless) for f in errors):
        return "repairable"
    return "damaged"
