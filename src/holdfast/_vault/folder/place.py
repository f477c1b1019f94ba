"""Where a vault may lie: in a folder of this machine that is the run's own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from ..._core.errors import UsageError
from ..._core.shell import quote
from .names import RECORD, parse_step

__all__ = ["demand_folder"]

_ADDRESS = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]+://|(?:s3a?|gs|gcs|az|abfss?|wasbs?|hdfs|dbfs|file|https?):/", re.I
)
"""An address; the known ones also as ``pathlib`` writes them, with one slash."""


def demand_folder(path: str | os.PathLike[str]) -> None:
    """Refuse what would make a folder that nobody means, or write into a step. Raises :class:`UsageError`; a path that the
    system refuses is told by what has to use it."""
    text = os.fspath(path)
    if not text:
        raise UsageError(
            "a vault needs a folder, and the path is empty", remedy='"." is the folder that you are in.'
        )
    if isinstance(text, str) and (scheme := _ADDRESS.match(text)):
        rest = text[scheme.end() :]
        raise UsageError(
            "a vault lies in a folder of this machine, and this is an address", file=text,
            remedy=f"Name it as a path: /{rest.lstrip('/')}" if scheme[0].lower().startswith("file:")
            else "Mount the store and name the folder, or save to a local one and copy its committed steps.",
        )  # fmt: skip
    if isinstance(text, str) and text.split(os.sep, 1)[0] == "~" and not _is(Path("~"), Path.is_dir):
        raise UsageError(
            "`~` stands in this path as it is: a folder of that name would be made", file=text,
            remedy=f"The home folder is meant by {quote(os.fspath(Path(text).expanduser()))}.",
        )  # fmt: skip
    if _is(Path(path), Path.is_file):
        raise UsageError(
            "a vault is a folder, and at this path lies a file",
            file=text,
            remedy="Name another folder; what a checkpoint file holds is restored by holdfast.restore(path, ...).",
        )
    place = Path(path).absolute()
    if parse_step(place.name) is not None and _is(place / RECORD, Path.is_file):
        raise UsageError(
            "this is one step of a vault, and not the vault itself", file=text,
            remedy=f"Vault({os.fspath(place.parent)!r}).restore(step={place.name!r}, ...) restores it, and saves go on "
            "beside it; holdfast.restore(path, ...) restores it without a vault.",
        )  # fmt: skip


def _is(path: Path, asked: Callable[[Path], bool]) -> bool:
    try:
        return asked(path)
    except OSError:
        return False
