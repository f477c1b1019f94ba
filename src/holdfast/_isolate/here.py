"""The search in this process, on objects that are in use."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .failure import Failure
from .isolating import isolated
from .report import Isolation
from .savers import fitting, saver_of
from .trials import MOST

__all__ = ["isolate_here"]


def isolate_here(
    given: Any, save: str | None, *, timeout: float = 600.0, folder: str | None = None, most: int = MOST
) -> Isolation:
    """Find what of ``given`` cannot be saved. Nothing of it is changed; a save that hangs, hangs this process. ``timeout`` bounds
    processes that read back. Raises :class:`UsageError`."""
    word = save or fitting(given)

    def visit(path: str) -> Failure | None:
        return None

    scratch = Path(tempfile.mkdtemp(prefix="holdfast-isolate-", dir=folder))
    try:
        saver = saver_of(word, given, scratch, visit, limit=timeout, live=True)
        name = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
        return isolated(saver, name, word, most=most)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # threads of a save that failed may still write there
