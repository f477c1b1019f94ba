"""Small helpers for messages and remedies."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

__all__ = ["few", "count", "quote"]


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more."""
    shown = ", ".join(map(str, names[:most]))
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown


def count(number: int, noun: str) -> str:
    """``1 tensor``, ``3 tensors``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def quote(path: str) -> str:
    """A path as one shell word, with a leading dash made harmless."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)
