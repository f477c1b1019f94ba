"""A path as a person can paste it into a POSIX shell."""

from __future__ import annotations

import shlex

__all__ = ["quote"]


def quote(path: str) -> str:
    """``path`` as one shell word: quoted where it must be, a leading dash made harmless, control characters
    and bytes that are no text as escapes in ``$'...'`` (bash, zsh, ksh, POSIX.1-2024).
    """
    if path.startswith("-"):
        path = f"./{path}"
    if path.isprintable():
        return shlex.quote(path)
    return "$'" + "".join(map(_escaped, path)) + "'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
