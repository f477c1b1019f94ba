"""Counts in sentences."""

from __future__ import annotations

__all__ = ["plural"]


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """``1 tensor``, ``3,210 tensors``; ``nouns`` where the plural is not the noun with an ``s``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
