"""Where a test keeps its vaults: on the disk, or in memory where no disk is asked for. A disk takes milliseconds for each
``fsync``, and a save makes several."""

from __future__ import annotations

import os
import shutil
import tempfile

__all__ = ["folder_in_memory"]

_MEMORY = "/dev/shm"
_ROOM = 256 << 20
"""Bytes: more than any of these tests writes."""


def folder_in_memory(*, unless: bool = False) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder in memory; on the disk where there is no room in memory, or ``unless``."""
    there = not unless and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    return tempfile.TemporaryDirectory(dir=_MEMORY if there else None)
