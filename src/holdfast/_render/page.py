"""Lines of styled text: the only place where terminal codes are written.

A page is built of pieces, each a text with the name of a style. Every text passes through :func:`safe` on its
way in, so nothing that came out of a file can bring a terminal code of its own; there is no markup to parse.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Union

from .escape import cells, clip, safe

__all__ = ["Page", "Piece", "STYLES"]

Piece = Union[str, "tuple[object, str]"]

# SGR parameters (ECMA-48, 8.3.117). The 8 basic colours follow the reader's own theme, dark or light.
STYLES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "good": "32",
    "error": "1;31",
    "warning": "33",
    "note": "36",
    "diff": "36",
    "name": "",
    "path": "1",
    "number": "",
    "command": "36",
    "head": "1",
}

# What a terminal without UTF-8 gets instead.
_ASCII = str.maketrans(
    {"✔": "+", "✘": "x", "…": "...", "·": "-", "×": "x", "→": "->", "─": "-", "•": "*", "≠": "!=", "–": "-"}
)


class Page:
    """Collects lines. ``width`` is the terminal's, ``color`` and ``unicode`` what it can show.

    ``shorten`` lets names that are too long for their column lose their middle; a pipe wants them whole.
    """

    def __init__(
        self, *, color: bool = False, width: int = 100, unicode: bool = True, shorten: bool = True
    ) -> None:
        self.color, self.width, self.unicode, self.shorten = color, max(40, width), unicode, shorten
        self.lines: list[str] = []

    def line(self, *pieces: Piece) -> None:
        """One line of pieces: plain texts, or (text, style)."""
        out = []
        for piece in pieces:
            text, style = (piece, "") if isinstance(piece, str) else piece
            text = safe(text)
            if not self.unicode:
                text = text.translate(_ASCII)
            code = STYLES[style] if self.color else ""
            out.append(f"\x1b[{code}m{text}\x1b[0m" if code and text else text)
        self.lines.append("".join(out).rstrip(" "))

    def blank(self) -> None:
        """An empty line, but never two."""
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def wrapped(
        self, text: object, *, indent: int = 0, style: str = "", label: Piece = "", hang: int | None = None
    ) -> None:
        """A paragraph folded at the width, indented; ``label`` stands before its first line, ``hang``
        columns wide.
        """
        name, name_style = (label, "") if isinstance(label, str) else label
        name = safe(name)
        hang = (cells(name) + 1 if name else 0) if hang is None else hang
        room = max(24, self.width - indent - hang)
        rows = fold(safe(text), room) or [""]
        self.line(" " * indent, (name, name_style), " " * max(0, hang - cells(name)), (rows[0], style))
        for row in rows[1:]:
            self.line(" " * (indent + hang), (row, style))

    def facts(
        self, facts: Iterable[object], *, indent: int = 0, style: str = "", label: Piece = "", hang: int = 0
    ) -> None:
        """Short facts with dots between them, broken between facts only."""
        room = max(24, self.width - indent - hang)
        rows: list[str] = []
        for fact in map(safe, facts):
            if rows and cells(rows[-1]) + 3 + cells(fact) <= room:
                rows[-1] += f" · {fact}"
            else:
                rows.append(fact)
        name, name_style = (label, "") if isinstance(label, str) else label
        for row in rows or [""]:
            self.line(" " * indent, (name, name_style), " " * max(0, hang - cells(safe(name))), (row, style))
            name = ""

    def clipped(self, text: object, width: int) -> str:
        """A name in at most ``width`` columns, its middle left out."""
        text = safe(text)
        return clip(text, width, "…" if self.unicode else "...") if self.shorten else text

    def text(self) -> str:
        """All lines, with a newline at the end."""
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return "\n".join(self.lines) + "\n" if self.lines else ""


def fold(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, broken at blanks; a word longer than that stays whole (paths,
    commands).
    """
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
