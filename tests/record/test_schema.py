"""The record: canonical text, own digest, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from holdfast._core.errors import SealError
from holdfast._record.canonical import parse_text, plain, record_digest, write_text
from holdfast._record.schema import (
    SCHEMA_VERSION,
    FileRecord,
    Record,
    RegionRecord,
    StoredRecord,
    TensorRecord,
    dump_record,
    load_record,
)


def record(**changes: Any) -> Record:
    given: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "seal",
        "holdfast": "0",
        "format": "safetensors",
        "created": "2025-01-01T00:00:00Z",
        "name": "m",
        "algorithm": "blake3",
        "leaf_bytes": 4096,
        "files": (
            FileRecord(
                "m",
                5000,
                "0" * 64,
                (
                    RegionRecord(0, 10, "header", ("1" * 64,)),
                    RegionRecord(10, 4990, "tensor", ("2" * 64, "3" * 64)),
                ),
            ),
        ),
        "tensors": (
            TensorRecord("wör/\ud800", "k", "float32", (2, 3), 24, None, stored=(StoredRecord("m", 10, 24),)),
        ),
        "attributes": {"writer": "x", "lr": 0.1},
    }
    given.update(changes)
    return Record(**given)


def text_of(made: Record) -> bytes:
    return write_text(dump_record(made))


def test_round_trip_also_for_a_name_that_is_no_valid_unicode() -> None:
    made = record(tensors=(TensorRecord("wör\n", "k", "float32", (2, 3), 24, None),))
    back = load_record(text_of(made), "f")
    assert back.tensors == made.tensors
    assert back.files == made.files
    assert len(back.digest) == 64


def test_layout_is_free_and_meaning_is_not() -> None:
    document = dump_record(record(tensors=()))
    loose = json.dumps(document, indent=3, ensure_ascii=False).encode()
    assert load_record(loose, "f").name == "m"
    document["name"] = "n"
    with pytest.raises(SealError, match="own digest"):
        load_record(json.dumps(document).encode(), "f")


def test_every_flip_that_changes_the_meaning_is_found() -> None:
    data = text_of(record(tensors=()))
    meaning = parse_text(data, "f")
    missed = 0
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            try:
                load_record(bytes(flipped), "f")
            except SealError:
                continue
            assert parse_text(bytes(flipped), "f") == meaning
            missed += 1
    assert missed < len(data) // 4  # white space turned into other white space


def test_unknown_fields_of_later_versions_count_for_the_digest() -> None:
    document = dump_record(record(tensors=()))
    document["later"] = [1, 2]
    with pytest.raises(SealError):
        load_record(json.dumps(document).encode(), "f")
    document["digest"] = record_digest(document)
    assert load_record(json.dumps(document).encode(), "f").kind == "seal"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "newer"),
        ({"kind": "other"}, "unknown kind"),
        ({"algorithm": "md5"}, "algorithm"),
        ({"leaf_bytes": 1}, "absurd"),
        ({"leaf_bytes": 1 << 40}, "absurd"),
        ({"files": (FileRecord("../m", 0, "0" * 64),)}, "outside"),
        ({"files": (FileRecord("m", 0, "0" * 64), FileRecord("m", 0, "0" * 64))}, "twice"),
        ({"files": (FileRecord("m", 1 << 60, "0" * 64),)}, "tile"),
        ({"files": (FileRecord("m", 5, "0" * 64, (RegionRecord(1, 4, "file", ("1" * 64,)),)),)}, "tile"),
        (
            {
                "files": (
                    FileRecord("m", 1 << 50, "0" * 64, (RegionRecord(0, 1 << 50, "file", ("1" * 64,)),)),
                )
            },
            "leaves",
        ),
        ({"files": (FileRecord("m", 5, "0" * 64, (RegionRecord(0, 5, "file", ("1",)),)),)}, "malformed"),
        *(
            (
                {"files": (FileRecord("m", 5, "0" * 64, (RegionRecord(0, 5, "file", ("1" * 64,), sums),)),)},
                "malformed checksums",
            )
            for sums in [("2",), ("2" * 32, "3" * 32)]
        ),
        (
            {"tensors": (TensorRecord("a", "a", "f", (), 0, None, stored=(StoredRecord("z", 0, 1),)),)},
            "not listed",
        ),
        (
            {"tensors": (TensorRecord("a", "a", "f", (), 0, None, stored=(StoredRecord("m", -1, 1),)),)},
            "negative",
        ),
    ],
)
def test_what_a_hostile_record_is_refused_for(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"tensors": (), **changes}
    with pytest.raises(SealError, match=message):
        load_record(text_of(record(**given)), "f")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"a":1,"a":2}',
        b'{"schema_version": NaN}',
        b'{"schema_version": true}',
        b"[" * 100_000,
        b'{"schema_version": 1, "digest": null}',
        b"<html></html>",
    ],
)
def test_junk_is_a_seal_error(data: bytes) -> None:
    with pytest.raises(SealError):
        load_record(data, "f")


def test_plain_makes_anything_json() -> None:
    value = {
        "a": np.float32(0.5),
        3: (1, {2}),
        "n": float("nan"),
        "b": b"x\xff",
        "o": object,
        "z": np.array([7]),
    }
    text = json.loads(json.dumps(plain(value), allow_nan=False))
    assert text["a"] == 0.5
    assert text["3"] == [1, [2]]
    assert text["n"] == "nan"
    deep: list = []
    for _ in range(500):
        deep = [deep]
    json.dumps(plain(deep))


def test_rows_stand_one_to_a_line() -> None:
    lines = text_of(
        record(tensors=(TensorRecord("a", "a", "f", (), 0, None), TensorRecord("b", "b", "f", (), 0, None)))
    ).splitlines()
    assert sum(b'"key": ' in line for line in lines) == 2
    assert sum(b'"leaves"' in line for line in lines) == 2
