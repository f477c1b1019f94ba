"""Lone numpy arrays: the zoo, fresh arrays of the installed numpy, headers of old and hostile writers,
pickled objects."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import DamagedCheckpoint, HoldfastError, NotStored, Truncated
from holdfast._formats.numpy.npy import open_npy, recognise_npy
from holdfast._storage import BytesSource, open_local
from shared import ZOO, needs_shared, same_bits, truth_of, zoo_cases


def saved(value, name="w.npy", **options) -> BytesSource:
    out = io.BytesIO()
    np.save(out, value, **options)
    return BytesSource(out.getvalue(), name)


def with_header(text: str, data: bytes = b"", version: int = 1) -> BytesSource:
    raw = text.encode("utf-8" if version == 3 else "latin-1") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(raw))
    return BytesSource(b"\x93NUMPY" + bytes([version, 0]) + length + raw + data, "w.npy")


@needs_shared
def test_zoo():
    (case,) = zoo_cases("npy")
    truth, values = truth_of(case)
    seen = set()
    for file in case["files"]:
        source, store, _ = open_local(ZOO / case["folder"] / file)
        assert recognise_npy(source)
        with open_npy(source, store) as found:
            assert not found.faults
            for name in found:
                if name in truth["names"]:
                    assert same_bits(found.read(name), truth["names"][name], values[name]), name
                    seen.add(name)
    assert seen == set(truth["names"])


@pytest.mark.parametrize(
    "dtype",
    ["f2", "f4", ">f4", "f8", ">i2", "i8", "u1", "?", "c8", ">c16", "M8[ns]", "m8[s]", "S5", "U3", ">U2"],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_agrees(dtype, order):
    value = np.arange(12).reshape(3, 4).astype(dtype, order=order)
    found = open_npy(saved(value), None)
    assert not found.faults and found["w"].shape == (3, 4)
    got = found.read("w")
    if value.dtype.kind in "SU":
        want = [[x if isinstance(x, bytes) else x.encode() for x in row] for row in value.tolist()]
        assert found["w"].dtype == "string" and got.tolist() == want
    else:
        assert got.dtype == value.dtype.newbyteorder("<") and np.array_equal(got, value)


def test_plain_arrays_are_views():
    got = open_npy(saved(np.arange(6.0).reshape(2, 3)), None).read("w")
    assert not got.flags.owndata


def test_structured_fields_are_tensors():
    kind = np.dtype([("a", "<i4"), ("b", ">f8", (2,)), ("c", [("x", "u1"), ("y", "<f2")])])
    value = np.zeros((3,), kind)
    value["a"], value["b"], value["c"]["y"] = [1, 2, 3], [[1, 2], [3, 4], [5, 6]], [7, 8, 9]
    found = open_npy(saved(value), None)
    assert list(found) == ["w.a", "w.b", "w.c.x", "w.c.y"]
    assert found.read("w.b").tolist() == [[1, 2], [3, 4], [5, 6]] and found["w.b"].shape == (3, 2)
    assert found.read("w.c.y").tolist() == [7, 8, 9]


def test_versions_and_python2_headers():
    found = open_npy(
        with_header("{'descr': '<i2', 'fortran_order': False, 'shape': (3L,), }", b"\1\0\2\0\3\0"), None
    )
    assert found.read("w").tolist() == [1, 2, 3]
    found = open_npy(
        with_header("{'descr': [('é', '<i2')], 'fortran_order': False, 'shape': (1,)}", b"\5\0", 3), None
    )
    assert found.read("w.é").tolist() == [5]
    found = open_npy(with_header("{'descr': '<i2', 'fortran_order': True, 'shape': ()}", b"\5\0", 2), None)
    assert found.read("w").tolist() == 5


def test_object_arrays_list_the_arrays_inside():
    value = np.array({"w": np.arange(3.0), "deep": [np.ones((2, 2), ">i4"), "text"], "n": 3}, dtype=object)
    found = open_npy(saved(value, allow_pickle=True), None)
    assert list(found) == ["w.w", "w.deep.0"] and not found.faults
    assert found.read("w.w").tolist() == [0, 1, 2] and found.read("w.deep.0").tolist() == [[1, 1], [1, 1]]


def test_object_arrays_run_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    found = open_npy(saved(np.array([Evil()], dtype=object), allow_pickle=True), None)
    assert {f.slug for f in found.faults} == {"pickle-global", "not-stored"}
    assert not (tmp_path / "pwned").exists()
    with pytest.raises(NotStored):
        found.read("w")


def test_damage():
    raw = bytes(saved(np.arange(10.0)).data)
    found = open_npy(BytesSource(raw[:-3], "w.npy"), None)
    assert [f.slug for f in found.faults] == ["truncated"] and found.faults[0].tensors == ("w",)
    with pytest.raises(Truncated):
        found.read("w")
    assert [f.slug for f in open_npy(BytesSource(raw + b"x", "w.npy"), None).faults] == ["trailing-bytes"]
    with pytest.raises(DamagedCheckpoint):
        open_npy(BytesSource(raw[:40], "w.npy"), None)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': 'V1,V2', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a',)], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': " + "[" * 5000,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1",
        "{'descr': [('a','<f4'),('a','<f4')], 'fortran_order': False, 'shape': (1,)}",
    ],
)
def test_bad_headers(text):
    with pytest.raises(DamagedCheckpoint):
        open_npy(with_header(text, bytes(8)), None)


def test_absurd_shapes_cost_nothing():
    for shape in ("(1000000000, 1000000000)", f"({'9' * 25},)"):
        found = open_npy(
            with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}", bytes(8)), None
        )
        assert found.faults[0].slug == "truncated"
        with pytest.raises(HoldfastError):
            found.read("w")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_flips_never_escape(data):
    raw = bytearray(saved(np.zeros(2, [("a", "<i4"), ("b", "S2")])).data)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, 90))] = data.draw(st.integers(0, 255))
    try:
        found = open_npy(BytesSource(bytes(raw), "w.npy"), None)
        for name in found:
            found.read(name)
    except HoldfastError:
        pass
