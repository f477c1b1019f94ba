"""The header of a safetensors file: parsed strictly, and salvaged as far as it goes where it is damaged.

Format facts: the README of huggingface/safetensors ("Format") and ``safetensors/src/tensor.rs``: eight bytes,
the header's length as u64 little-endian, at most 100,000,000; then a JSON object, padded with spaces; then
the buffer, which the tensors, sorted by offset, must cover without hole or overlap. Duplicate keys are not
allowed (the shipped reader lets them pass, the last wins).
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..._core.errors import DamagedCheckpoint, LimitExceeded, Truncated
from ..._core.fault import Fault
from ..._core.words import plural
from ..._storage import Source

__all__ = ["MAX_HEADER", "Header", "demand_sane", "read_header"]

MAX_HEADER = 100_000_000  # safetensors/src/tensor.rs MAX_HEADER_SIZE
_MOST_METADATA = 100_000
_SLACK = 64 << 20
_WINDOW = 4096
_REMEDY_COPY = "Copy or download the file again and compare sizes and hashes."


@dataclass(slots=True)
class Header:
    """What the header says: ``entries`` in file order (as parsed, unchecked), ``metadata``, where the buffer
    begins.
    """

    entries: list[tuple[str, Any]]
    metadata: Any
    start: int  # offset of the buffer in the file
    faults: list[Fault] = field(default_factory=list)
    cut: bool = False  # the file ends inside the header: no tensor has bytes


def read_header(source: Source) -> Header:
    """Read and parse the header.

    Raises :class:`Truncated`, :class:`LimitExceeded` or :class:`DamagedCheckpoint` where not one tensor can
    be listed.
    """
    (length,) = struct.unpack("<Q", source.read(0, 8))
    room = source.size - 8
    if length <= min(room, MAX_HEADER):
        raw = source.read(8, length)
        demand_sane(source, raw)
        try:
            header = _parse(source, raw, 8 + length)
        except (ValueError, RecursionError) as error:
            return _repaired(source, length, error) or _salvaged(source, raw, length, error)
        if raw[:1] != b"{":
            header.faults.append(
                Fault(
                    "malformed",
                    "the header does not begin with '{'",
                    source.name,
                    8,
                    seen=repr(raw[:1]),
                    expected="'{'",
                )
            )
        return header
    found = _repaired(source, length, None)
    if found is not None:
        return found
    raw = source.read(8, min(room, MAX_HEADER))
    demand_sane(source, raw)
    if length > MAX_HEADER:
        raise LimitExceeded(
            "the header's length is beyond what the format allows: the first eight bytes are damaged, or "
            "this is no safetensors",
            file=source.name,
            offset=0,
            expected=f"at most {MAX_HEADER}",
            found=length,
            remedy=_REMEDY_COPY,
        )
    return _cut(source, raw, length)


def demand_sane(source: Source, raw: bytes) -> None:
    """Refuse JSON whose parse would cost far more memory than the file has bytes (millions of zeros).

    Raises :class:`LimitExceeded`.
    """
    cost = 90 * raw.count(b",") + 60 * raw.count(b"[") + 60 * raw.count(b"{")
    if cost > 3 * source.size + _SLACK:
        raise LimitExceeded(
            "the JSON holds more values than any honest one of its size",
            file=source.name,
            offset=8,
            found=f"about {cost >> 20} MiB once parsed",
            expected=f"at most {(3 * source.size + _SLACK) >> 20} MiB",
        )


def _parse(source: Source, raw: bytes, start: int) -> Header:
    """The header as parsed; raises ``ValueError`` where it is not one JSON object in UTF-8."""
    texts = raw.count(b'"') // 2 - 5 * raw.count(
        b'"data_offsets"'
    )  # a tensor has five: name, three keys, dtype
    if texts > 2 * _MOST_METADATA:
        return _without_metadata(source, raw, start)
    entries: list[tuple[str, Any]]
    twice: list[str] = []
    document = None
    if b"\\" not in raw:
        # Fast path. Without escapes every entry's "data_offsets" stands literally in the text, so a name that
        # occurs twice shows as one key fewer than there are such words.
        document = msgspec.json.decode(raw)
        if isinstance(document, dict) and raw.count(b'"data_offsets"') == len(document) - (
            "__metadata__" in document
        ):
            entries = list(document.items())
        else:
            document = None
    if document is None:
        pairs = json.loads(raw.decode("utf-8"), object_pairs_hook=_Pairs, parse_constant=_no_constant)
        if not isinstance(pairs, _Pairs):
            raise ValueError("the header is no JSON object")
        entries, twice = _plain(pairs)
    metadata = None
    tensors = []
    for name, value in entries:
        if name == "__metadata__":
            metadata = value
        else:
            tensors.append((name, value))
    header = Header(tensors, metadata, start)
    if twice:
        names = sorted(set(twice))
        header.faults.append(
            Fault(
                "duplicate-key",
                f"the header holds {names[0]!r} more than once; readers take the last"
                + (f" ({len(names) - 1} further names too)" if len(names) > 1 else ""),
                file=source.name,
                offset=8,
                seen=", ".join(names[:5]),
                expected="every name once",
                attributes={"names": names[:100]},
            )
        )
    return header


def _without_metadata(source: Source, raw: bytes, start: int) -> Header:
    """The tensors alone: entries of ``__metadata__`` cost six times their text, and these are too many."""
    parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    metadata = parts.pop("__metadata__", msgspec.Raw(b""))
    fault = Fault(
        "limit",
        "__metadata__ holds more entries than anything writes; they were left out",
        file=source.name,
        offset=8,
        seen=f"{len(bytes(metadata)):,} bytes",
        expected=f"at most {_MOST_METADATA:,} entries",
        attributes={"severity": "note", "remedy": "Keep tables of that size in a file of their own."},
    )
    return Header([(name, msgspec.json.decode(part)) for name, part in parts.items()], None, start, [fault])


class _Pairs(tuple[Any, ...]):
    """A JSON object as its pairs, told apart from arrays (lists)."""

    __slots__ = ()


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _plain(pairs: _Pairs) -> tuple[list[tuple[str, Any]], list[str]]:
    """The top level as pairs, everything below as dicts; and the names that stood twice anywhere."""
    twice: list[str] = []
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if isinstance(value, _Pairs):
            inner = dict(value)
            if len(inner) != len(value):
                twice.append(name)
            value = inner
        if name in seen:
            twice.append(name)
        seen[name] = value
    return list(seen.items()), twice


# -- damage
# ------------------------------------------------------------------------------------------------------------
def _repaired(source: Source, length: int, error: Exception | None) -> Header | None:
    """The header where only its length field is wrong and the rest of the file proves the right one, else
    ``None``.

    Proof: the JSON object ends at some place, only spaces follow up to where the buffer must begin, and the
    buffer that the entries describe fills the rest of the file to the byte.
    """
    end = _object_end(source, 8)
    if end is None:
        return None
    raw = source.read(8, end - 8)
    demand_sane(source, raw)
    try:
        header = _parse(source, raw, 0)
    except (ValueError, RecursionError):
        return None
    total = 0
    for _, entry in header.entries:
        offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
        if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(v) is int for v in offsets)):
            return None
        total = max(total, offsets[1])
    start = source.size - total
    if start < end or start - end > _WINDOW or source.read(end, start - end).strip(b" "):
        return None
    header.start = start
    header.faults.append(
        Fault(
            "malformed",
            "the header's length field is wrong; where the header ends and the buffer begins is proved by "
            "the rest of the file",
            file=source.name,
            offset=0,
            seen=length,
            expected=start - 8,
            attributes={"repair": {"offset": 0, "bytes": struct.pack("<Q", start - 8).hex()}},
        )
    )
    return header


_TOKEN = re.compile(rb'["\\{}]')


def _object_end(source: Source, start: int) -> int | None:
    """Where the JSON object that begins at ``start`` ends, told by quotes and braces alone."""
    depth, quoted, skip = 0, False, -1
    offset = start
    stop = min(source.size, start + MAX_HEADER)
    while offset < stop:
        chunk = source.read(offset, min(1 << 20, stop - offset))
        if offset == start and chunk[:1] != b"{":
            return None
        for token in _TOKEN.finditer(chunk):
            place = offset + token.start()
            if place == skip:
                continue
            char = token.group()
            if quoted:
                if char == b"\\":
                    skip = place + 1
                elif char == b'"':
                    quoted = False
            elif char == b'"':
                quoted = True
            elif char == b"{":
                depth += 1
            elif char == b"}":
                depth -= 1
                if depth == 0:
                    return place + 1
        offset += len(chunk)
    return None


def _salvaged(source: Source, raw: bytes, length: int, error: Exception) -> Header:
    """What can still be listed of a header that is no valid JSON. Raises :class:`DamagedCheckpoint` where
    nothing can.
    """
    place = _place_of(raw, error)
    entries = _pick_entries(raw)
    what = f"the header is not valid JSON: {_reason(error)}"
    if not entries:
        raise DamagedCheckpoint(
            what, file=source.name, offset=8 + place, found=repr(raw[place : place + 16]), remedy=_REMEDY_COPY
        )
    fault = Fault(
        "malformed",
        f"{what}; {plural(len(entries), 'tensor')} could be picked out of it",
        file=source.name,
        offset=8 + place,
        seen=repr(raw[max(0, place - 8) : place + 8]),
        expected="a JSON object",
    )
    return Header(entries, None, 8 + length, [fault])


def _cut(source: Source, raw: bytes, length: int) -> Header:
    """A file that ends inside its header: names and shapes may be known, bytes there are none."""
    entries = _pick_entries(raw)
    missing = 8 + length - source.size
    message = f"the file ends inside its header; at least {plural(missing, 'byte')} missing"
    if not entries:
        raise Truncated(
            message,
            file=source.name,
            offset=source.size,
            expected=f"a header of {length} bytes",
            found=f"{source.size - 8}",
            remedy=_REMEDY_COPY,
        )
    names = tuple(name for name, _ in entries)
    fault = Fault(
        "truncated",
        message,
        file=source.name,
        offset=source.size,
        seen=source.size,
        expected=f"more than {8 + length}",
        tensors=names,
        attributes={"missing": missing},
    )
    return Header(entries, None, 8 + length, [fault], cut=True)


def _pick_entries(raw: bytes) -> list[tuple[str, Any]]:
    """Entries that are whole in themselves, found by the word that each must hold. Linear in the header's
    length.
    """
    found: dict[str, Any] = {}
    at = raw.find(b'"data_offsets"')
    while at >= 0:
        low = max(0, at - _WINDOW)
        left = raw.rfind(b"{", low, at)
        right = raw.find(b"}", at, at + _WINDOW)
        if left > 0 and right > 0:
            before = raw[max(0, left - _WINDOW) : left].rstrip()
            if before.endswith(b":"):
                name = _name_before(before[:-1].rstrip())
                try:
                    entry = json.loads(raw[left : right + 1].decode("utf-8"))
                except (ValueError, RecursionError):
                    entry = None
                if name is not None and isinstance(entry, dict):
                    found[name] = entry
        at = raw.find(b'"data_offsets"', at + 1)
    return list(found.items())


def _name_before(text: bytes) -> str | None:
    """The JSON string that ends ``text``."""
    if not text.endswith(b'"'):
        return None
    start = len(text) - 1
    while True:
        start = text.rfind(b'"', 0, start)
        if start < 0:
            return None
        slashes = len(text[:start]) - len(text[:start].rstrip(b"\\"))
        if slashes % 2 == 0:
            break
    try:
        name = json.loads(text[start:].decode("utf-8"))
    except ValueError:
        return None
    return name if isinstance(name, str) else None


def _place_of(raw: bytes, error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        return error.start
    if isinstance(error, json.JSONDecodeError):
        return len(error.doc[: error.pos].encode("utf-8", "surrogatepass"))
    found = re.search(r"\(byte (\d+)\)", str(error))  # msgspec's wording
    return min(int(found.group(1)), len(raw)) if found else 0


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error).split(" (byte")[0].split(": line")[0][:120]
