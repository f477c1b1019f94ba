"""What the other end of a stream can show."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

from .page import Page

__all__ = ["Terminal"]

PLAIN_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Terminal:
    """Colour, width and characters of an output; ``live`` where a person watches it."""

    color: bool
    width: int
    unicode: bool
    live: bool

    @classmethod
    def of(cls, stream: Any, color: bool | None = None) -> Terminal:
        """What ``stream`` can show; ``color`` overrides the guess.

        ``NO_COLOR`` (no-color.org) wins over ``FORCE_COLOR``; a pipe or file gets plain text of 100 columns.
        """
        live = not getattr(stream, "closed", False) and bool(getattr(stream, "isatty", lambda: False)())
        if color is None:
            if os.environ.get("NO_COLOR"):
                color = False
            elif os.environ.get("FORCE_COLOR", "") not in ("", "0"):
                color = True
            else:
                color = live and os.environ.get("TERM") != "dumb"
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
        width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if live else _columns()
        return cls(color, min(max(width, 40), 160) if live else width, encoding.startswith("utf"), live)

    def page(self) -> Page:
        """An empty page of this kind; off a terminal, names are never shortened."""
        return Page(color=self.color, width=self.width, unicode=self.unicode, shorten=self.live)


def _columns() -> int:
    given = os.environ.get("COLUMNS", "")
    return max(40, int(given)) if given.isdigit() else PLAIN_WIDTH
