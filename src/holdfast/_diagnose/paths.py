"""Paths of a text that lie here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .reading import Reading

__all__ = ["exists", "paths_in"]

_MOST_PATHS = 3


def paths_in(reading: Reading, folder: str | None = None) -> tuple[str, ...]:
    """Paths of the text that exist here (relative ones from ``folder``, by default the working folder), or whose folder does,
    so that what is missing can be told."""
    base = Path(folder or os.curdir)
    there, near = [], []
    for text in reading.paths:
        if "://" in text or len(text) > 1000:
            continue
        path = base / Path(text).expanduser()
        try:
            if exists(str(path)):
                there.append(str(path))
            elif path.parent.is_dir() and path.parent != base and str(path.parent) not in ("/", "/tmp"):
                near.append(str(path))
        except OSError:
            continue
    return tuple(dict.fromkeys([*there, *near]))[:_MOST_PATHS]


def exists(path: str) -> bool:
    """Whether a file, a folder or a TensorFlow prefix lies there."""
    place = Path(path)
    return place.exists() or any(place.parent.glob(f"{_escaped(place.name)}.index"))


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)
