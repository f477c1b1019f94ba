"""Patterns over tensor names: the globs of plan edits, allowances and filters.

A pattern is a text in which ``*`` stands for any run of characters (separators too: ``head.*`` covers
``head.0.weight``) and ``?`` for exactly one; a backslash takes the meaning from the character behind it.
Nothing else is special: brackets are part of many names (``['params']['Dense_0']``) and stand for themselves.

This is the form in which patterns are held. How they are written in a plan (with quotes instead of
backslashes) is the business of :mod:`holdfast._core.plan_text`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["covered", "escape", "literal_of", "matches", "normalise", "rewrite", "stars", "units"]

_SPECIAL = re.compile(r"([*?\\])")


def escape(name: str) -> str:
    """The pattern that covers exactly this name."""
    return _SPECIAL.sub(r"\\\1", name) if _SPECIAL.search(name) else name


def units(pattern: str) -> list[tuple[str, bool]]:
    """The pattern cut into (character, is it a glob); a backslash at the very end stands for itself."""
    found: list[tuple[str, bool]] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            found.append((next(characters, "\\"), False))
        else:
            found.append((character, character in "*?"))
    return found


def normalise(pattern: str) -> str:
    """The same pattern with backslashes only where they are needed, so that equal patterns are equal
    texts."""
    if "\\" not in pattern:  # the ordinary case, and there are as many of these as there are tensors
        return pattern
    return "".join(character if glob else escape(character) for character, glob in units(pattern))


def literal_of(pattern: str) -> str | None:
    """The one name that the pattern covers, or ``None`` when it has globs."""
    if not _SPECIAL.search(pattern):
        return pattern
    parts = units(pattern)
    if any(glob for _, glob in parts):
        return None
    return "".join(character for character, _ in parts)


def stars(pattern: str) -> int:
    """How many globs (``*`` and ``?``) the pattern has."""
    return sum(glob for _, glob in units(pattern)) if _SPECIAL.search(pattern) else 0


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = units(pattern)
    text = []
    for position, (character, glob) in enumerate(parts):
        if not glob:
            text.append(re.escape(character))
        elif character == "?":
            text.append("(.)")
        elif position > 0 and parts[position - 1] == ("*", True):
            text.append("()")  # two stars in a row cover what one covers, and must not cost exponential time
        else:
            text.append("(.*?)")
    return re.compile("".join(text), re.DOTALL)


@lru_cache(maxsize=4096)
def _head(pattern: str) -> str | None:
    """What stands before the one star that a pattern ends in (``module.*``), as it is; ``None`` for another
    pattern."""
    head = pattern[:-1]
    return head if pattern.endswith("*") and not _SPECIAL.search(head) else None


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern covers the name."""
    return _compiled(pattern).fullmatch(name) is not None


def covered(pattern: str, ordered: Sequence[str]) -> list[str]:
    """Those names that the pattern covers, out of sorted ones: only those that begin as it does are looked at, so that
    thousands of patterns can be asked of thousands of names."""
    head = ""
    for character, glob in units(pattern):
        if glob:
            break
        head += character
    found = []
    for place in range(bisect_left(ordered, head), len(ordered)):
        name = ordered[place]
        if not name.startswith(head):
            break
        if matches(pattern, name):
            found.append(name)
    return found


def rewrite(pattern: str, target: str, name: str) -> str | None:
    """``name`` rewritten from ``pattern`` to ``target``, or ``None`` where the pattern does not cover it.

    The globs of ``target`` are filled, in order, with what the globs of ``pattern`` covered (each as little
    as possible). ``target`` must have no more of them than ``pattern``; a further one stays empty.
    """
    head, other = _head(pattern), _head(target)
    if head is not None and other is not None:
        return other + name[len(head) :] if name.startswith(head) else None
    found = _compiled(pattern).fullmatch(name)
    if found is None:
        return None
    captured = iter(found.groups())
    return "".join(next(captured, "") if glob else character for character, glob in units(target))
