"""Writes one safetensors file, hashing while writing: header first, then the tensors in order, each byte once.

Format facts: huggingface/safetensors, README "Format": 8 bytes little-endian length, a JSON header padded with spaces,
then the data without holes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from blake3 import blake3

from .._core.errors import SaveFailed
from .._integrity.digest import LEAF, LeafHasher, canonical_bytes, file_digest, region_digest
from .._record.schema import FileRecord, RegionRecord, StoredRecord
from .._storage.sink import Sink
from .payload import Item, stored_bytes

__all__ = ["Written", "write_tensors"]

_CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32",
    "int64": "I64", "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
"""Dtypes that every version of safetensors reads (safetensors/src/tensor.rs, ``Dtype``); others are stored as plain
bytes (U8), and the record says what they are."""
_ALIGN = 64


class Written(NamedTuple):
    """A file as written: its record, and of each tensor (by name) where it lies and its digest."""

    record: FileRecord
    places: dict[str, tuple[StoredRecord, str]]


def write_tensors(
    sink: Sink, name: str, items: Sequence[Item], *, shown: str, tell: Callable[[int], None] = lambda _: None
) -> Written:
    """Write ``items`` as the file ``name`` of the sink, and bring it to the medium.

    ``shown`` is the file's name in the record. Each item's values are read when its turn comes and let go of after.
    ``tell`` gets byte counts. Raises :class:`SaveFailed`.
    """
    head = _header(items)
    file = sink.create(name)
    rows: list[RegionRecord] = []
    places: dict[str, tuple[StoredRecord, str]] = {}
    at = 0
    try:
        file.write(memoryview(head))
        rows.append(RegionRecord(0, len(head), "header", _leaves(head)))
        at = len(head)
        for item in items:
            data = canonical_bytes(np.asarray(item.read()))
            if len(data) != stored_bytes(
                item.spec
            ):  # the header is written: other bytes would shift all that follow
                raise SaveFailed(
                    "a tensor changed its shape or dtype while it was saved", tensor=item.spec.name,
                    expected=f"{stored_bytes(item.spec):,} bytes", found=f"{len(data):,}",
                )  # fmt: skip
            hasher = LeafHasher()
            for start in range(0, len(data), LEAF):
                piece = data[start : start + LEAF]
                hasher.update(piece)
                file.write(piece)
                tell(len(piece))
            digest = hasher.digest()
            if len(data):
                rows.append(RegionRecord(at, len(data), "tensor", tuple(hasher.leaves)))
            place = StoredRecord(shown, at, len(data))
            for spec in (item.spec, *item.others):
                places[spec.name] = (place, digest)
            at += len(data)
            del data
        file.sync()
    finally:
        file.close()
    sums = [(row.length, region_digest(row.length, row.leaves)) for row in rows]
    return Written(FileRecord(shown, at, file_digest(at, sums), tuple(rows)), places)


def _leaves(data: bytes) -> tuple[str, ...]:
    return tuple(blake3(data[start : start + LEAF]).hexdigest() for start in range(0, len(data), LEAF))


def _header(items: Iterable[Item]) -> bytes:
    document: dict[str, object] = {"__metadata__": {"format": "pt", "writer": "holdfast"}}
    at = 0
    for item in items:
        spec = item.spec
        code = _CODES.get(spec.dtype)
        length = stored_bytes(spec)
        shape = list(spec.shape) if code else [length]
        document[spec.name] = {"dtype": code or "U8", "shape": shape, "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGN)
    return len(text).to_bytes(8, "little") + text
