"""The seals that a run has written: they go where their files go.

Programs write under one name and rename to another (``last.pt.tmp`` to ``last.pt``), and delete what they keep no longer. A
seal that lies beside nothing seals nothing.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from .._integrity.seal import SEAL_SUFFIX

__all__ = ["Seals"]

_MOST = 10_000
"""Files of a folder that are looked through for one that was renamed."""


class Seals:
    """Seals of single files, with what file each is of."""

    def __init__(self) -> None:
        self._made: dict[str, _File] = {}
        self._lock = threading.Lock()

    def made(self, place: str) -> None:
        """The file at ``place`` was sealed."""
        if not Path(place).is_file():  # a prefix, a folder
            return
        with self._lock:
            self._made[place] = _file(Path(place).stat())

    def tidy(self) -> None:
        """Seals whose file was renamed within its folder follow it; those whose file is gone go too."""
        with self._lock:
            gone = [place for place in self._made if not os.path.lexists(place)]
            rows = [(place, self._made.pop(place)) for place in gone]
        for place, about in rows:
            seal = Path(place + SEAL_SUFFIX)
            try:
                now = _found(Path(place).parent, about)
                if now is None or Path(now + SEAL_SUFFIX).exists():
                    seal.unlink(missing_ok=True)
                else:
                    seal.replace(now + SEAL_SUFFIX)
                    with self._lock:
                        self._made[now] = about
            except OSError:  # its folder is gone, and the seal with it
                continue


_File = tuple[int, int, int, int]


def _file(about: os.stat_result) -> _File:
    """What stays when a file is renamed; its number alone may be another file's by now."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _found(folder: Path, about: _File) -> str | None:
    """The name that a file has now."""
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= _MOST:
                return None
            if entry.inode() == about[1] and _file(entry.stat(follow_symlinks=False)) == about:
                return entry.path
    return None
