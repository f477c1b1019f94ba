"""A finding in the making, and the words that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._core.difference import Difference

__all__ = ["Told", "is_or_are", "many", "names_text", "shape_text"]


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in the making: several differences of one kind told as one."""

    severity: str
    message: str
    edit: str | None = None
    lossless: bool | None = None
    remedy: str | None = None


def many(same: Sequence[Difference], pattern: str) -> str:
    """The tensors that differ: the one by its name, several by what their names have in common."""
    if len(same) == 1:
        return f"`{same[0].name}`"
    return f"{len(same)} tensors" if pattern == "*" else f"{len(same)} tensors `{pattern}`"


def is_or_are(same: Sequence[Difference]) -> str:
    """The verb to :func:`many`."""
    return "is" if len(same) == 1 else "are"


def shape_text(values: Any) -> str:
    """A shape in a sentence."""
    return str(tuple(values)) if values else "scalar"


def names_text(names: Sequence[str]) -> str:
    """The first names of several, in a sentence."""
    text = ", ".join(f"`{n}`" for n in names[:3])
    return text + (f" and {len(names) - 3} more" if len(names) > 3 else "")
