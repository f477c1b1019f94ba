"""The error for a system call that failed while saving: what it means, and what to do."""

from __future__ import annotations

import errno
from typing import Any

from .._core.errors import SaveFailed

__all__ = ["save_failed"]

_WORDS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free space there, or keep fewer checkpoints (Keep)."),
    errno.EDQUOT: ("the disk quota is used up", "Free space, or ask for more."),
    errno.EFBIG: (
        "the file would become larger than is allowed",
        "`ulimit -f` tells this process' limit; else it is the file system's.",
    ),
    errno.EROFS: ("the file system is read-only", "Choose another folder, or remount it."),
    errno.EACCES: ("permission denied", "Choose a folder that this user may write to."),
    errno.EPERM: ("the operation is not permitted", "Choose a folder that this user may write to."),
    errno.EIO: ("the disk reports an error", "Look at the system's log; do not trust this disk."),
    errno.ENAMETOOLONG: ("the path is too long", "Choose a shorter folder."),
    errno.EEXIST: ("the name is taken", "Another writer may be at work in this folder."),
    errno.EMFILE: ("too many open files", "Raise the limit (ulimit -n)."),
}


def save_failed(kind: str, path: str, error: OSError) -> SaveFailed:
    """The error for a system call that failed while saving."""
    text, remedy = _WORDS.get(error.errno or 0, (error.strerror or str(error), None))
    return SaveFailed(
        f"saving failed at {kind}: {text}", file=path, found=_symbol(error), remedy=remedy, number=error.errno
    )


def _symbol(error: OSError) -> Any:
    return errno.errorcode.get(error.errno or 0, error.errno)
