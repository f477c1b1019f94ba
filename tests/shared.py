"""The shared folder of real checkpoints: where it is, its cases, and the skip where it is not there.

Found by the environment variable ``HOLDFAST_SHARED``, else as ``../shared`` beside the repository.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("HOLDFAST_SHARED", ROOT.parent / "shared"))
ZOO = SHARED / "zoo"
FILES = SHARED / "files"

needs_shared = pytest.mark.skipif(not (ZOO / "INDEX.jsonl").exists(), reason="shared/zoo is not there")
needs_files = pytest.mark.skipif(not (FILES / "INDEX.jsonl").exists(), reason="shared/files is not there")


@cache
def _index(folder: Path) -> tuple[dict[str, Any], ...]:
    index = folder / "INDEX.jsonl"
    if not index.exists():
        return ()
    return tuple(json.loads(line) for line in index.read_text(encoding="utf-8").splitlines())


def zoo_cases(*formats: str) -> list[dict[str, Any]]:
    """Cases of the version zoo, of the formats named (as its index calls them) or all; empty without the folder."""
    return [case for case in _index(ZOO) if not formats or case["format"] in formats]


def file_cases(*formats: str) -> list[dict[str, Any]]:
    """Cases of the public files, of the formats named or all; empty without the folder."""
    return [case for case in _index(FILES) if not formats or case["format"] in formats]


def truth_of(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The truth of a zoo case: its JSON, and the arrays by *name* as stored in truth.npz (see the zoo's README)."""
    folder = ZOO / case["folder"]
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    with np.load(folder / "truth.npz", allow_pickle=False) as arrays:
        values = {
            name: arrays[entry.get("npz_key", name)]
            for name, entry in truth["names"].items()
            if entry.get("npz_key", name) in arrays.files
        }
    return truth, values


def same_bits(found: np.ndarray, entry: dict[str, Any], value: np.ndarray) -> bool:
    """Whether an array that Holdfast read equals a truth value bit for bit, given the truth's entry for it."""
    encoding = entry.get("npz_encoding")
    if encoding == "hex":
        texts = [
            bytes.fromhex(v.decode() if isinstance(v, bytes) else str(v))
            for v in np.asarray(value).reshape(-1)
        ]
        got = [
            v.encode() if isinstance(v, str) else bytes(v)
            for v in np.asarray(found, dtype=object).reshape(-1)
        ]
        return got == texts and list(np.shape(found)) == list(entry["shape"])
    if list(np.shape(found)) != list(entry["shape"]):
        return False
    plain = np.ascontiguousarray(found)
    if encoding == "bits":
        raw = plain.view(f"u{plain.dtype.itemsize}") if plain.dtype.itemsize in (1, 2, 4, 8) else plain
        if plain.dtype.itemsize == 1 and entry["dtype"] in ("int4", "uint4", "int2", "uint2"):
            raw = plain.astype(np.int8).view(np.uint8)
            mask = 0x0F if "4" in entry["dtype"] else 0x03
            return bool(np.array_equal(raw & mask, value.reshape(raw.shape) & mask))
        return bool(np.array_equal(raw, value.reshape(raw.shape)))
    if value.dtype.kind in "SU":
        got, want = ([_as_bytes(v) for v in np.asarray(a, dtype=object).reshape(-1)] for a in (found, value))
        return got == want
    little = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<")))
    plain = np.ascontiguousarray(plain.astype(plain.dtype.newbyteorder("<")))
    return plain.dtype.itemsize == little.dtype.itemsize and plain.tobytes() == little.tobytes()


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")
