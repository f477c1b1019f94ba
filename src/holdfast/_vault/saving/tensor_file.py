"""Writes safetensors files, hashing while writing: header first, then the tensors in order, each byte once.

Format facts: huggingface/safetensors, README "Format": 8 bytes little-endian length, a JSON header padded with spaces,
then the data without holes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ..._core.errors import SaveFailed
from ..._integrity.digest import canonical_bytes, file_digest, region_digest
from ..._record.schema import FileRecord, RegionRecord, StoredRecord
from ..._storage.placed import PlacedFile
from ..._storage.sink import Sink
from ..contents.payload import Item, stored_bytes
from ..freezing.held import let_go
from .runs import Appended, Hashed, Run, write_runs

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
    """A file as written: its record, of each tensor (by name) where it lies and its digest, and seconds: ``hash`` (of all
    threads together), ``fsync``."""

    record: FileRecord
    places: dict[str, tuple[StoredRecord, str]]
    seconds: Mapping[str, float] = MappingProxyType({})


def write_tensors(
    sink: Sink,
    files: Mapping[str, Sequence[Item]],
    *,
    folder: str = "",
    tell: Callable[[int], None] = lambda _: None,
    release: bool = False,
) -> dict[str, Written]:
    """Write each file's items into ``folder`` of the sink, all files at a time, and bring them to the medium.

    Each item's values are read when its turn comes and let go of after. ``tell`` gets byte counts. ``release``: nobody reads
    the items again, and what they hold may go. Raises :class:`SaveFailed`.
    """
    runs = {name: _runs_of(items, release) for name, items in files.items()}
    done: dict[str, Written] = {}
    with ExitStack() as opened:
        together: dict[str, PlacedFile] = {}
        for name in files:
            place = f"{folder}/{name}" if folder else name
            size = runs[name][-1].offset + runs[name][-1].length
            placed = sink.create_placed(place, size)
            file = placed or Appended(sink.create(place))
            opened.callback(file.close)
            if placed is not None:
                together[name] = placed
                continue
            (hashed,) = write_runs([(file, runs[name])], threads=1, tell=tell)
            done[name] = _written(name, files[name], runs[name], hashed, _forced(file))
        both = [(file, runs[name]) for name, file in together.items()]
        all_hashed = write_runs(both, threads=sink.threads, tell=tell) if both else []
        for (name, file), hashed in zip(together.items(), all_hashed, strict=True):
            done[name] = _written(name, files[name], runs[name], hashed, _forced(file))
    return {name: done[name] for name in files}


def _runs_of(items: Sequence[Item], release: bool) -> list[Run]:
    """The header and the tensors behind it."""
    head = _header(items)
    runs = [Run(0, len(head), lambda: memoryview(head))]
    for item in items:
        last = runs[-1]
        runs.append(
            Run(last.offset + last.length, stored_bytes(item.spec), partial(_bytes_of, item, release))
        )
    return runs


def _forced(file: PlacedFile) -> float:
    """Bring a file to the medium; gives the seconds."""
    begin = perf_counter()
    file.sync()
    return perf_counter() - begin


def _written(
    name: str, items: Sequence[Item], runs: Sequence[Run], hashed: Hashed, forcing: float
) -> Written:
    leaves = hashed.leaves
    sums = [
        (run.length, region_digest(run.length, (leaf.digest for leaf in found)))
        for run, found in zip(runs, leaves, strict=True)
    ]
    places: dict[str, tuple[StoredRecord, str]] = {}
    for item, run, (_, digest) in zip(items, runs[1:], sums[1:], strict=True):
        place = StoredRecord(name, run.offset, run.length)
        for spec in (item.spec, *item.others):
            places[spec.name] = (place, digest)
    rows = tuple(
        RegionRecord.of(run.offset, run.length, "tensor" if number else "header", found)
        for number, (run, found) in enumerate(zip(runs, leaves, strict=True))
        if run.length
    )
    size = runs[-1].offset + runs[-1].length
    whole = file_digest(size, [(length, digest) for length, digest in sums if length])
    record = FileRecord(name, size, whole, rows)
    return Written(record, places, {"hash": hashed.seconds, "fsync": forcing})


def _bytes_of(item: Item, release: bool) -> memoryview:
    data = canonical_bytes(np.asarray(item.read()))
    if len(data) != stored_bytes(item.spec):  # the header is written: other bytes would shift all that follow
        raise SaveFailed(
            "a tensor changed its shape or dtype while it was saved", tensor=item.spec.name,
            expected=f"{stored_bytes(item.spec):,} bytes", found=f"{len(data):,}",
        )  # fmt: skip
    if release:
        let_go(item)
    return data


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
