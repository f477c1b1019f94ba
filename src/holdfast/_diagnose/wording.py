"""The sentences of a known cause, with the facts of one text put in; what the text does not tell is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["said"]

_MARK = "\0"
_UNKNOWN = re.compile(rf"{_MARK}(\w+){_MARK}")
_CODE_OR_BRACKETS = re.compile(r"`[^`]*`| ?\((?:[^()`]|`[^`]*`)*\)")
_ONE_OF = re.compile(r"(?:\{\w+\}){2,}")
_AT_THE_END = re.compile(rf": {_MARK}\w+{_MARK}(?=$|[.;,:)])")
_BEHIND_ITS_KIND = re.compile(
    rf"\b(class|dataset|file|folder|layer|model|module|scope) {_MARK}\w+{_MARK}(?=[ .;,:)]|$)"
)
_BEHIND_NO = re.compile(rf"\bno {_MARK}(\w+){_MARK}")
_NOUNS = {
    "tensor": "a tensor",
    "key": "a key",
    "name": "something",
    "path": "the path",
    "item": "an item",
    "layer": "a layer",
    "module": "the library",
    "scope": "the scope",
    "op": "an operation",
}


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"{_MARK}{key}{_MARK}"


def said(text: str, facts: Mapping[str, Any]) -> str:
    """``text`` with its facts. Brackets around what is not known go; what stands in the middle of a sentence becomes a word for
    it (*a tensor*), or dots."""
    out = _ONE_OF.sub(lambda found: _first(found[0], facts), text).format_map(_Facts(facts))
    if _MARK not in out:
        return out
    out = _CODE_OR_BRACKETS.sub(_without, out)
    out = _AT_THE_END.sub("", out)
    out = _BEHIND_ITS_KIND.sub(r"\1", out)
    out = _BEHIND_NO.sub(lambda found: f"no such {found[1] if found[1] in _NOUNS else 'thing'}", out)
    return _UNKNOWN.sub(lambda found: _NOUNS.get(found[1], "…"), out).replace("  ", " ").strip()


def _first(places: str, facts: Mapping[str, Any]) -> str:
    """Of places that stand without a space between them the first that is known."""
    names = re.findall(r"\w+", places)
    return "{" + next((name for name in names if name in facts), names[0]) + "}"


def _without(found: re.Match[str]) -> str:
    part = found[0]
    if _MARK not in part:
        return part
    if part[0] != "`":
        return ""
    return part[1:-1] if _UNKNOWN.fullmatch(part[1:-1]) else _UNKNOWN.sub("…", part)
