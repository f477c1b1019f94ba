"""The cache of the Hugging Face hub: a repository's ``snapshots/<commit>/`` hold links under the files' own names, and
``blobs/`` the contents under their hashes.

Source: huggingface_hub, "Understand caching". A blob that a snapshot links is looked at there, under its name; by itself it
is the same file twice over, and an index among the blobs finds none of its shards, which have no names there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .._storage.source import Entry

__all__ = ["BLOBS", "is_cache", "unlinked"]

BLOBS = "blobs"
_SNAPSHOTS = "snapshots"
_DEEPEST = 16  # folders below a snapshot


def is_cache(folders: Iterable[str]) -> bool:
    """Whether a folder with these folders in it is laid out as the hub caches a repository."""
    return {BLOBS, _SNAPSHOTS} <= set(folders)


def unlinked(repository: Path, entries: list[Entry]) -> list[Entry]:
    """Of the entries of a cached repository's ``blobs`` those that no link below its ``snapshots`` leads to."""
    try:
        blobs = (repository / BLOBS).resolve()
    except (OSError, RuntimeError):
        return entries
    linked = set(_linked(repository / _SNAPSHOTS, blobs, 0))
    return [entry for entry in entries if entry.name not in linked]


def _linked(folder: Path, blobs: Path, depth: int) -> Iterator[str]:
    """Names in ``blobs`` that links below ``folder`` lead to."""
    try:
        with os.scandir(folder) as found:
            items = list(found)
    except OSError:
        return  # walking the folder itself will tell
    for item in items:
        try:
            if item.is_symlink():
                place = Path(item.path).resolve()
                if place.parent == blobs:
                    yield place.name
            elif item.is_dir() and depth < _DEEPEST:
                yield from _linked(Path(item.path), blobs, depth + 1)
        except (OSError, RuntimeError):  # a circle of links: it leads to no blob
            continue
