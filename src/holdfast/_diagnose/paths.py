"""Paths of a text that lie here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .reading import Reading
from .surroundings import like_a_checkpoint

__all__ = ["exists", "numbered", "paths_in"]

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
            elif path.parent.is_dir() and (
                numbered(str(path))
                or (path.parent != base and str(path.parent) not in ("/", "/tmp"))
                or _like_another(path)
            ):
                near.append(str(path))
        except OSError:
            continue
    return tuple(dict.fromkeys([*there, *near]))[:_MOST_PATHS]


def _like_another(path: Path) -> bool:
    """Whether a file of nearly that name lies beside it: of another step, say."""
    if not like_a_checkpoint(path.name) or not path.suffix:
        return False
    from difflib import get_close_matches

    names = [other.name for other in path.parent.glob(f"*{_escaped(path.suffix)}")][:2000]
    return bool(get_close_matches(path.name, names, 1, 0.7))


def exists(path: str) -> bool:
    """Whether a file, a folder or a TensorFlow prefix lies there."""
    place = Path(path)
    return place.exists() or any(place.parent.glob(f"{_escaped(place.name)}.index"))


def numbered(path: str) -> list[str]:
    """TensorFlow prefixes beside ``path`` that ``save`` made of this very name by a number behind it, lowest first."""
    place = Path(path)
    found = {}
    for index in place.parent.glob(f"{_escaped(place.name)}-*.index"):
        number = index.name[len(place.name) + 1 : -len(".index")]
        if number.isdigit():
            found[int(number)] = str(index)[: -len(".index")]
    return [found[number] for number in sorted(found)]


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)
