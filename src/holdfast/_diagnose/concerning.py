"""Whether what a message of the system says of some file is said of a checkpoint."""

from __future__ import annotations

import re

from .knowledge import Guess, Look
from .surroundings import like_a_checkpoint

__all__ = ["concerns", "of_checkpoints", "of_no_service"]

_STORES = frozenset(
    {
        "save", "_save", "save_weights", "save_model", "save_checkpoint", "save_file", "save_pretrained", "torch_save",
        "save_state", "load_weights", "load_model", "load_checkpoint", "load_state_dict", "restore", "from_pretrained",
        "load_file", "safe_open", "load_from_checkpoint", "_save_checkpoint", "_open_file_like", "_open_zipfile_writer",
    }
)  # fmt: skip

_OTHER = re.compile(
    r"(?:\.(?:png|jpe?g|gif|svg|pdf|csv|tsv|parquet|arrow|lmdb|mp4|avi|wav|mp3|flac|txt|log|ipynb"
    r"|py|html|xml)|tfevents[\w.\-]*)$",
    re.IGNORECASE,
)
"""What other files are called."""


def concerns(look: Look) -> bool:
    """Whether the path of the message, or the functions on the way, are those of checkpoints."""
    path = look.facts().get("path", "")
    if path and _OTHER.search(path):
        return False
    if look.reading.calls.intersection(_STORES):
        return True
    if path:
        return like_a_checkpoint(path)
    return any(word in look.reading.lower for word in ("checkpoint", "ckpt", "tempstate"))


def of_checkpoints(look: Look) -> list[Guess]:
    """What the system says of any file, where that file is a checkpoint."""
    return [look.entry.guess(look)] if concerns(look) else []


_OF_SERVICES = re.compile(
    r"type (?:Decimal|datetime|date|timedelta|UUID|ObjectId|Response|QuerySet|Cursor) is not JSON serializable"
)
"""Values of databases and web services."""


def of_no_service(look: Look) -> list[Guess]:
    """What JSON says of a value, but for those of databases and web services where nothing is saved."""
    if not look.around.storing and _OF_SERVICES.search(look.reading.flat):
        return []
    return [look.entry.guess(look)]
