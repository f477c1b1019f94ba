"""safetensors: the zoo and public files, fresh files of the real writer, and every kind of damage to the
header."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast
from holdfast import DamagedCheckpoint, HoldfastError, LimitExceeded, Truncated
from holdfast._core.dtypes import carrier
from holdfast._formats.safetensors.catalog import (
    DTYPE_NAMES,
    open_safetensors,
    recognise_safetensors,
    unpack_bits,
)
from holdfast._storage import BytesSource, open_local
from shared import FILES, ZOO, file_cases, needs_files, needs_shared, same_bits, truth_of, zoo_cases
from work import calls_of, page_faults_of


def build(entries: dict, data: bytes, pad: bool = False) -> bytes:
    text = json.dumps(entries, separators=(",", ":")).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def catalog(raw: bytes):
    source = BytesSource(raw, "m.safetensors")
    assert recognise_safetensors(source)
    return open_safetensors(source, None)


def slugs(found) -> list[str]:
    return [fault.slug for fault in found.faults]


TWO = {
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "I64", "shape": [3], "data_offsets": [16, 40]},
}
DATA = np.arange(4, dtype="<f4").tobytes() + np.arange(3, dtype="<i8").tobytes()


@needs_shared
@pytest.mark.parametrize("case", zoo_cases("safetensors"), ids=lambda c: c["id"])
def test_zoo(case):
    source, store, _ = open_local(ZOO / case["folder"] / case["files"][0])
    truth, values = truth_of(case)
    with open_safetensors(source, store) as found:
        assert set(found) == set(truth["names"])
        assert not found.faults
        for name, entry in truth["names"].items():
            assert same_bits(found.read(name), entry, values[name]), name


@needs_files
@pytest.mark.parametrize("case", file_cases("safetensors"), ids=lambda c: c["id"])
def test_public_files(case):
    source, store, _ = open_local(FILES / case["paths"][0])
    truth = json.loads((FILES / case["truth"]["all"]).read_text())
    truth = truth.get("tensors", truth)
    with open_safetensors(source, store) as found:
        assert len(found) == case["truth"]["n_tensors"]
        assert not found.faults
        for name, entry in truth.items():
            bits = np.ascontiguousarray(found.read(name)).tobytes()
            assert hashlib.sha256(bits).hexdigest() == entry["sha256"], name


def test_values_and_zero_copy():
    found = catalog(build(TWO, DATA))
    assert list(found) == ["a", "b"] and not found.faults
    assert found.read("a").tolist() == [[0, 1], [2, 3]]
    assert not found.read("a").flags.owndata and not found.read("a").flags.writeable
    assert found["b"].nbytes == 24 and found["b"].dtype == "int64"
    assert list(found.checks()) == []


def test_metadata_and_aliases():
    entries = {"__metadata__": {"format": "pt", "tied": "a", "note": "é"}, **TWO}
    found = catalog(build(entries, DATA))
    assert found.attributes["note"] == "é" and found["a"].dialect == "torch"
    assert found["a"].aliases == ("tied",) and found.read("tied").shape == (2, 2)


def test_real_writer_agrees():
    writer = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    arrays = {
        f"layer.{i}.{d}": rng.integers(0, 2, size=(3, i + 1)).astype(d)
        for i in range(3)
        for d in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
    }
    arrays |= {"scalar": np.full((), 3, "f4"), "empty": np.zeros((0, 5), "f4")}
    found = catalog(writer.save(arrays, metadata={"step": "3"}))
    assert set(found) == set(arrays) and found.attributes["step"] == "3" and not found.faults
    for name, value in arrays.items():
        got = found.read(name)
        assert got.dtype == value.dtype and got.shape == value.shape and np.array_equal(got, value), name


def test_torch_writer_agrees_on_small_floats():
    torch = pytest.importorskip("torch")
    writer = pytest.importorskip("safetensors.torch")
    kinds = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"]
    tensors = {k: torch.arange(6, dtype=torch.float32).reshape(2, 3).to(getattr(torch, k)) for k in kinds}
    found = catalog(writer.save(tensors))
    for kind in kinds:
        got = found.read(kind)
        assert found[kind].dtype == kind
        bits = tensors[kind].contiguous().view(torch.uint8).numpy()
        assert np.ascontiguousarray(got).view(np.uint8).tobytes() == bits.tobytes()


@pytest.mark.parametrize("word", sorted(DTYPE_NAMES))
def test_every_dtype_reads(word):
    bits = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}.get(word, 8 * carrier(DTYPE_NAMES[word]).itemsize)
    data = bytes(range(1, 1 + bits)) if word != "BOOL" else b"\1\0\1\1\0\0\1\0"
    found = catalog(build({"x": {"dtype": word, "shape": [8], "data_offsets": [0, len(data)]}}, data))
    assert not found.faults
    value = found.read("x")
    assert value.shape == (8,) and value.dtype == carrier(DTYPE_NAMES[word])
    if bits >= 8:
        assert value.tobytes() == data


def test_bits_are_taken_lowest_first():
    assert unpack_bits(np.array([0x21, 0x43], np.uint8), 4, 4).tolist() == [1, 2, 3, 4]
    assert unpack_bits(np.array([0b01_000001, 0b0000_0000, 0], np.uint8), 6, 2).tolist() == [1, 1]


def test_truncated_data_names_the_lost():
    raw = build(TWO, DATA)
    found = catalog(raw[:-1])
    (fault,) = found.faults
    assert fault.slug == "truncated" and fault.tensors == ("b",) and fault.attributes["missing"] == 1
    assert found.read("a").tolist() == [[0, 1], [2, 3]]
    with pytest.raises(Truncated):
        found.read("b")


def test_truncated_header_lists_what_it_can():
    raw = build(TWO, DATA)
    found = catalog(raw[: raw.index(b',"b"') + 3])
    assert slugs(found) == ["truncated"] and list(found) == ["a"]
    with pytest.raises(Truncated):
        found.read("a")
    with pytest.raises(Truncated):
        open_safetensors(BytesSource(raw[:30], "m"), None)


def test_trailing_bytes_holes_overlaps():
    assert slugs(catalog(build(TWO, DATA + b"xyz"))) == ["trailing-bytes"]
    hole = {"a": TWO["a"], "b": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]}}
    found = catalog(build(hole, DATA))
    assert slugs(found) == ["hole"] and found.faults[0].seen == 8
    over = {"a": TWO["a"], "b": {"dtype": "F32", "shape": [7], "data_offsets": [12, 40]}}
    found = catalog(build(over, DATA))
    assert slugs(found) == ["overlap"] and found.faults[0].attributes["pairs"] == [["a", "b"]]


def test_one_bad_entry_leaves_the_others():
    entries = {
        "a": TWO["a"],
        "odd": {"dtype": "F99", "shape": [3], "data_offsets": [16, 28]},
        "wrong": {"dtype": "F32", "shape": [4], "data_offsets": [28, 40]},
        "none": {"dtype": "F32"},
        "minus": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        "text": "no object",
    }
    found = catalog(build(entries, DATA))
    assert {f.tensor for f in found.faults} == {"odd", "wrong", "none", "minus", "text"}
    assert set(slugs(found)) == {"malformed"}
    assert found.read("a").tolist() == [[0, 1], [2, 3]]
    for name in ("odd", "wrong"):
        with pytest.raises(DamagedCheckpoint):
            found.read(name)


@pytest.mark.parametrize("escaped", [False, True])
def test_duplicate_keys(escaped):
    second = '"\\u0061"' if escaped else '"a"'
    text = (
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        + second
        + ':{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    ).encode()
    found = catalog(struct.pack("<Q", len(text)) + text + bytes(8))
    assert "duplicate-key" in slugs(found) and found["a"].stored[0].offset == 8 + len(text) + 4


def test_wrong_header_length_is_repaired_where_the_rest_proves_it():
    raw = bytearray(build(TWO, DATA, pad=True))
    right = struct.unpack_from("<Q", raw)[0]
    for wrong in (right ^ 1, right ^ 16, right | 1 << 40, right | 1 << 63):
        raw[:8] = struct.pack("<Q", wrong)
        found = catalog(bytes(raw))
        fault = found.faults[0]
        assert fault.slug == "malformed" and fault.expected == right and fault.seen == wrong
        assert found.read("b").tolist() == [0, 1, 2]


def test_broken_json_is_salvaged():
    raw = build(TWO, DATA)
    at = raw.index(b',"b"')
    found = catalog(raw[:at] + b";" + raw[at + 1 :])
    assert "malformed" in slugs(found) and set(found) == {"a", "b"}
    assert found.read("b").tolist() == [0, 1, 2]


def test_hostile_headers():
    many = b'{"a":[' + b"0," * 40_000_000 + b"0]}"
    with pytest.raises(LimitExceeded):
        open_safetensors(BytesSource(struct.pack("<Q", len(many)) + many, "m"), None)
    deep = b'{"data_offsets":' + b"[" * 100_000
    with pytest.raises(DamagedCheckpoint):
        open_safetensors(BytesSource(struct.pack("<Q", len(deep)) + deep, "m"), None)
    huge = {"x": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]}}
    found = catalog(build(huge, bytes(4)))
    with pytest.raises(DamagedCheckpoint):
        found.read("x")
    empty = {"x": {"dtype": "F32", "shape": [0, 1 << 62, 1 << 62], "data_offsets": [0, 0]}}
    with pytest.raises(DamagedCheckpoint):
        catalog(build(empty, b"")).read("x")


def test_metadata_must_be_strings():
    found = catalog(build({"__metadata__": {"n": 3, "s": "x"}, **TWO}, DATA))
    assert slugs(found) == ["malformed"] and found.attributes["s"] == "x"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_flipped_header_never_escapes(data):
    raw = bytearray(build({"__metadata__": {"format": "pt"}, **TWO}, DATA, pad=True))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    source = BytesSource(bytes(raw[:cut] if data.draw(st.booleans()) else raw), "m")
    recognise_safetensors(source)
    try:
        found = open_safetensors(source, None)
        for name in found:
            found.read(name)
    except HoldfastError:
        pass


def test_the_work_of_opening_grows_with_the_tensors_and_no_faster():
    def source(n):
        entries = {
            f"layers.{i // 8}.part{i % 8}.weight": {
                "dtype": "F32",
                "shape": [4],
                "data_offsets": [i * 16, i * 16 + 16],
            }
            for i in range(n)
        }
        return BytesSource(build(entries, bytes(16 * n)), "big")

    few, many = source(2_000), source(20_000)
    found = open_safetensors(many, None)
    assert len(found) == 20_000 and not found.faults
    calls = calls_of(lambda: open_safetensors(many, None))
    assert calls < 11 * calls_of(lambda: open_safetensors(few, None))
    assert calls < 40 * 20_000  # 24 each when this was written


def test_huge_sparse_file_costs_only_its_header(tmp_path):
    size = 10 << 30
    entries = {"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    path = tmp_path / "big.safetensors"
    with open(path, "wb") as file:
        raw = build(entries, b"")
        file.write(raw)
        file.truncate(len(raw) + size)

    def look():
        with holdfast.open(path) as found:
            assert found["w"].nbytes == size and not found.faults
            assert found.read("w")[-1] == 0  # mapped, not read

    look()  # what is imported for it counts once
    assert page_faults_of(look) < 1_000  # reading it through takes about ten thousand


def test_endless_metadata_is_left_out_and_the_tensors_read(tmp_path):
    """It is told as a note: the file reads elsewhere too."""
    for count, told in ((1_000, []), (100_001, ["limit"])):
        entries = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
        header = json.dumps({"__metadata__": {f"k{i}": "v" for i in range(count)}, **entries}).encode()
        path = tmp_path / f"{count}.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + np.ones(2, "<f4").tobytes())
        with holdfast.open(path) as catalog:
            assert [fault.slug for fault in catalog.faults] == told
            assert catalog.read("w").tolist() == [1, 1] and len(catalog.attributes) == (0 if told else count)
        report = holdfast.examine(path)
        assert report.verdict == "sound" and [f.severity for f in report.findings] == ["note"] * len(told)
