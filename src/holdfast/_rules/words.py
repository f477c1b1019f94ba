"""Small helpers for messages and remedies."""

from __future__ import annotations

from collections.abc import Sequence

from .._core.shell import quote
from .._core.words import plural as count

__all__ = ["few", "count", "quote"]


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more."""
    shown = ", ".join(map(str, names[:most]))
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
