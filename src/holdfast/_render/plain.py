"""Anything a checkpoint says, as what JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["plain", "as_text"]

DEPTH = 24
LIST = 1 << 20
TEXT = 1 << 16


def as_text(value: bytes | bytearray | memoryview) -> str:
    """Bytes as text: UTF-8 where they are that, backslash escapes for the rest."""
    return bytes(value).decode("utf-8", "backslashreplace")


def plain(value: Any, depth: int = DEPTH) -> Any:
    """``value`` in None, bool, int, float, str, list and dict only.

    NaN and infinities become the texts ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` (JSON has no numbers for
    them); bytes become text; numpy scalars numbers, small arrays lists, large ones a text that tells shape
    and dtype; dataclasses dicts; anything else its ``str``. Nesting and length are bounded.
    """
    kind = type(value)
    if kind is str:  # what documents are made of, told first: there may be hundreds of thousands
        return value if len(value) < 200 and value.isascii() else _clean(value)
    if value is None or kind is bool:
        return value
    if kind is int and -(1 << 62) < value < 1 << 62:
        return value
    if kind is dict and depth > 0 and len(value) < 64:
        return {
            key
            if type(key) is str and key.isascii() and len(key) < 200
            else _clean(str(plain(key, 2))): plain(item, depth - 1)
            for key, item in value.items()
        }
    if kind is list and depth > 0 and len(value) < 64:
        return [plain(item, depth - 1) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return _clean(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if abs(value) < 1 << 256 else f"{value:#x}"[:TEXT]
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _clean(as_text(value))
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return {
            _clean(key if isinstance(key, str) else str(plain(key, 2))): plain(item, depth - 1)
            for key, item in _some(value.items())
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), depth - 1) for f in fields(value)}
    if isinstance(value, (set, frozenset)):
        return [plain(item, depth - 1) for item in _some(sorted(value, key=str))]
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in _some(value)]
    return _numpy(value, depth)


def _numpy(value: Any, depth: int) -> Any:
    """A numpy scalar or array, told by what it has rather than by importing numpy."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "tolist"):
        if getattr(value, "size", 1) > 64:
            return f"array of shape {tuple(value.shape)}, {value.dtype}"
        listed = value.tolist()
        if type(listed) is not type(value):
            return plain(listed, depth - 1)
        return plain(float(value), depth - 1)
    return _clean(str(value))


def _clean(text: str) -> str:
    """Lone surrogates (names that are not text) cannot be encoded; they become escapes."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= TEXT else f"{text[:TEXT]}… ({len(text):,} characters)"


def _some(items: Iterable[Any]) -> Iterable[Any]:
    for count, item in enumerate(items):
        if count == LIST:
            break
        yield item
