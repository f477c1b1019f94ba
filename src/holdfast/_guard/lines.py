"""Lines of the program that read or write many small files: data sets, not checkpoints. They are looked at for a while.

A loader that reads a sample a file with ``torch.load`` is a right program, and must stay a fast and a quiet one.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .._frameworks.events import Call
from .seen import Seen

__all__ = ["TOLD", "Lines", "Told"]

_DIFFERENT = 64
"""Files of one line that are looked at, whatever their size."""
_SMALL = 1 << 20
"""Bytes; every larger file is looked at."""
TOLD = 8
"""Right calls of one line that are told one by one."""


@dataclass(slots=True)
class _Row:
    """What one line has read or written: the first files, and the last."""

    paths: set[str] = field(default_factory=set)
    last: str = ""


class Lines:
    """Which calls are passed over. ``passed``: how many of each kind were."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, int], _Row] = {}
        self.passed: Counter[str] = Counter()

    def pass_over(self, call: Call) -> bool:
        """Whether this call is one of many small ones of its line; the first of them, and large ones, are not.

        A save's size is known afterwards: that of the line's last file counts.
        """
        if call.kind not in ("read", "save") or call.path is None or call.site is None:
            return False
        if call.finished is not None or call.save.stream is not None:
            return False
        row = self._rows.setdefault((call.api, call.site.file, call.site.line), _Row())
        if call.path in row.paths:
            return False
        if len(row.paths) < _DIFFERENT:
            row.paths.add(call.path)
            row.last = call.path
            return False
        size = _size(call.path if call.kind == "read" else row.last)
        row.last = call.path
        if size is None or size >= _SMALL:
            return False
        self.passed[call.kind] += 1
        return True


class Told:
    """Which calls are told one by one: the first right ones of a line, and all with something wrong."""

    def __init__(self) -> None:
        self._right: Counter[tuple[str, str, str]] = Counter()
        self._process = os.getpid()

    def still(self, seen: Seen) -> bool | None:
        """Whether to tell it; ``None``: it is the last of its line's right ones to be told."""
        if seen.worst in ("error", "warning") or seen.error:
            return True
        if os.getpid() != self._process:  # a worker of the program's, of which there may be many
            return False
        key = (seen.api, seen.kind, seen.site)
        self._right[key] += 1
        return None if self._right[key] == TOLD else self._right[key] < TOLD


def _size(path: str) -> int | None:
    """Bytes of a file; ``None`` for a folder, a prefix, and where nothing is."""
    try:
        about = Path(path).stat()
    except (OSError, ValueError):
        return None
    return about.st_size if stat.S_ISREG(about.st_mode) else None
