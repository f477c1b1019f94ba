"""Differences that say the same but for numbers in names, told as one.

There may be tens of thousands of them, nearly all alike, and every ``diff`` waits for this: numbers are taken out
of many names by one pass over all of them together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import words

__all__ = ["fold", "pattern"]

_DIGITS = re.compile(r"[0-9]+")
_NUMBER = "\0"  # where a number stood
_MARKED = bytes(0 if 0x30 <= code <= 0x39 else code for code in range(256))


def fold(members: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Entries of a diff document that say the same but for numbers in names, together, in order of their first.

    Those of a kind (ambiguous matches, optimizers) stay by themselves, as do names without numbers.
    """
    groups: dict[object, list[Mapping[str, Any]]] = {}
    left, right = (_without_numbers([member[side] or "" for member in members]) for side in ("a", "b"))
    told: dict[str, object] = {}  # nearly all evidence is alike
    for member, one, other in zip(members, left, right, strict=True):
        key: object
        if (_NUMBER in one or _NUMBER in other) and not _one_of_a_kind(member):
            evidence = member["evidence"]
            text = repr(evidence)
            known = told.get(text)
            if known is None:
                known = told[text] = _told(evidence)
            key = (one, other, known)
        else:
            key = id(member)
        group = groups.get(key)
        if group is None:
            groups[key] = [member]
        else:
            group.append(member)
    return list(groups.values())


def _one_of_a_kind(member: Mapping[str, Any]) -> bool:
    return bool("candidates_a" in member and (member["candidates_a"] or member["candidates_b"]))


def _told(evidence: Mapping[str, Any]) -> tuple[Any, ...]:
    """What evidence says beside its measures; ``a`` and ``b`` are what the two sides have, numbers too."""
    return tuple(
        [
            (k, _DIGITS.sub("#", v) if isinstance(v, str) else repr(v))
            for k, v in sorted(evidence.items())
            if isinstance(v, (str, bool, list)) or k in ("a", "b")
        ]
    )


def _without_numbers(names: list[str]) -> list[str]:
    """The names with one mark for each number."""
    whole = "\n".join(names)
    if _NUMBER in whole or whole.count("\n") != len(names) - 1:  # names that hold what is special here
        spelled = [name.replace("\1", "\1a").replace(_NUMBER, "\1b") for name in names]
        return [_DIGITS.sub(_NUMBER, name) for name in spelled]
    marked = whole.encode("utf-8", "surrogatepass").translate(_MARKED)
    while b"\0\0" in marked:
        marked = marked.replace(b"\0\0", b"\0")
    return marked.decode("utf-8", "surrogatepass").split("\n")


def pattern(names: Sequence[str | None]) -> str:
    """One text for names that :func:`fold` put together: ``layers.{0..23}.w``; empty without names.

    Of a number that differs all values are told, as ranges.
    """
    texts = [name for name in names if name]
    if not texts:
        return ""
    count = len(_DIGITS.findall(texts[0]))
    numbers = _DIGITS.findall("\n".join(texts))
    filled = iter([_values(numbers[place::count]) for place in range(count)])
    return _DIGITS.sub(lambda _: next(filled), texts[0])


def _values(column: Sequence[str]) -> str:
    told = set(column)
    return column[0] if len(told) == 1 else "{" + words.ranges(sorted({int(n) for n in told})) + "}"
