"""The canonical text of a record, and the digest that a record bears of itself.

A record is JSON. Its digest is BLAKE3 (derived key ``holdfast record v1``) over the canonical text of
everything but the field ``digest``: keys sorted by code point, no white space, ASCII only (everything else as
``\\uXXXX``), no NaN or infinity, numbers as Python's ``repr`` writes them. It is taken from the parsed JSON,
not from the schema, so that fields of a newer version count too; and from the meaning, not the layout, so
that a record may be indented or re-encoded.
"""

from __future__ import annotations

import json
import math
from typing import Any

from .._core.errors import SealError

__all__ = ["canonical_text", "record_digest", "plain", "write_text", "parse_text"]

_CONTEXT = "holdfast record v1"
_DEPTH = 64
_STEP = 1 << 20
_ROOM = 32 << 20
_LONG = 1 << 20


def canonical_text(document: Any) -> bytes:
    """The canonical JSON of a document of dicts, lists, texts, numbers, booleans and ``None``."""
    return _canonical(document).encode("ascii")


def _canonical(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def record_digest(document: dict[str, Any]) -> str:
    """The digest of a record, its own field ``digest`` left out; 64 hexadecimal digits."""
    from blake3 import blake3

    rest = {key: value for key, value in document.items() if key != "digest"}
    text = _canonical(rest)
    whole = blake3(derive_key_context=_CONTEXT)
    for start in range(0, len(text), _STEP):  # in steps: a long text is not held twice
        whole.update(text[start : start + _STEP].encode("ascii"))
    return whole.hexdigest()


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON can hold it: numpy numbers unpacked, non-finite numbers and foreign objects as
    texts."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if depth >= _DEPTH:
        return "..."
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        return plain(value.item(), depth + 1)
    return str(value)[:1000]


def write_text(document: dict[str, Any]) -> bytes:
    """The JSON that is written to disk: one line for each row of a list, so that people and ``diff`` can read
    it."""
    lines = []
    for key, value in document.items():
        if _is_rows(value):
            rows = ",\n    ".join(_row(row, "      ") for row in value)
            text = f"[\n    {rows}\n  ]"
        else:
            text = json.dumps(value, ensure_ascii=True, allow_nan=False)
        lines.append(f"  {json.dumps(key)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _is_rows(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and isinstance(value[0], dict)


def _row(row: dict[str, Any], indent: str) -> str:
    nested = next((k for k, v in row.items() if _is_rows(v)), None)
    if nested is None:
        return json.dumps(row, ensure_ascii=True, allow_nan=False)
    head = json.dumps({k: v for k, v in row.items() if k != nested}, ensure_ascii=True, allow_nan=False)
    inner = f",\n{indent}".join(json.dumps(item, ensure_ascii=True, allow_nan=False) for item in row[nested])
    return f"{head[:-1]}, {json.dumps(nested)}: [\n{indent}{inner}\n    ]}}"


def parse_text(data: bytes, file: str) -> dict[str, Any]:
    """The JSON object in ``data``. Raises :class:`SealError` where it is none, or where it holds a name
    twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands twice in one object")
        if any(type(value) is str and len(value) > _LONG for value in found.values()):
            raise ValueError("a text longer than any honest record's")
        return found

    def number(text: str) -> Any:
        raise ValueError(f"{text} is no JSON")

    cost = 90 * data.count(b",") + 60 * data.count(b"[") + 60 * data.count(b"{")
    if cost > _ROOM + 6 * len(data):
        raise SealError(
            "the record holds more values than any honest one of its size",
            file=file,
            expected=f"at most {_ROOM + 6 * len(data)} bytes once parsed",
            found=f"about {cost}",
        )
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=number)
    except (ValueError, RecursionError) as error:
        offset = getattr(error, "pos", None)
        raise SealError(
            "the record is not valid JSON",
            file=file,
            offset=offset if isinstance(offset, int) else None,
            found=str(error)[:200],
            remedy="It was damaged or edited; the checkpoint itself may well be whole.",
        ) from error
    if not isinstance(document, dict):
        raise SealError("the record is not a JSON object", file=file, found=type(document).__name__)
    return document
