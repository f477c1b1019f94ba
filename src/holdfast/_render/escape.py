"""Names from files, made harmless for a terminal, a log and a workflow command.

A tensor name is text that somebody else wrote. It may hold terminal escapes that recolour or rewrite the
screen, newlines that forge a line of a report, bidirectional overrides that show a name backwards ("Trojan
Source", CVE-2021-42574), or characters that are not seen at all. Everything that is not plainly visible is
shown as the escape that Python would write for it.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width

__all__ = ["safe", "cells", "clip", "github_data", "github_property"]

# Printable by Unicode's category, yet drawn as nothing: fillers, joiners, variation selectors.
_UNSEEN = frozenset(
    [
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x180B,
        0x180C,
        0x180D,
        0x2800,
        0x3164,
        0xFFA0,
        *range(0xFE00, 0xFE10),
    ]
)


def _visible(char: str) -> bool:
    return char.isprintable() and ord(char) not in _UNSEEN and not 0xE0100 <= ord(char) <= 0xE01EF


def _escaped(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def safe(text: object) -> str:
    """``str(text)`` with every character that is not plainly visible written as a backslash escape.

    Control characters (terminal escapes, newlines, tabs), format characters (bidi overrides, zero-width
    joiners), surrogates (file names that are not text), odd blanks and unassigned code points. What comes
    back is one line, and printing it moves the cursor forward and nothing else.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _visible(char) else _escaped(char) for char in text)


def cells(text: str) -> int:
    """Columns that a (safe) text takes: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def clip(text: str, width: int, mark: str = "…") -> str:
    """``text`` in at most ``width`` columns, its middle left out: both ends tell a name."""
    if cells(text) <= width:
        return text
    room = max(2, width - cells(mark))
    if text.isascii():
        return text[: room // 2] + mark + text[len(text) - (room - room // 2) :]
    head = tail = ""
    for char in text:
        if cells(head + char) > room // 2:
            break
        head += char
    for char in reversed(text):
        if cells(char + tail) > room - cells(head):
            break
        tail = char + tail
    return head + mark + tail


def github_data(text: object) -> str:
    """Text as the message of a GitHub workflow command.

    Source: actions/toolkit, packages/core/src/command.ts, ``escapeData``.
    """
    return str(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def github_property(text: object) -> str:
    """Text as a property of a GitHub workflow command (actions/toolkit, command.ts, ``escapeProperty``)."""
    return github_data(text).replace(":", "%3A").replace(",", "%2C")
