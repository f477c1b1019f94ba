"""numpy archives: the zoo, fresh archives, checks of every byte, damage and bombs."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from holdfast import DamagedCheckpoint, HoldfastError
from holdfast._formats.numpy.npz import open_npz, recognise_npz
from holdfast._storage import BytesSource, open_local
from shared import ZOO, needs_shared, same_bits, truth_of, zoo_cases


def archive(compressed: bool = False, **arrays) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def failures(found) -> list:
    return [fault for check in found.checks() if (fault := check.run(lambda n: None)) is not None]


@needs_shared
@pytest.mark.parametrize("case", zoo_cases("npz"), ids=lambda c: c["id"])
def test_zoo(case):
    source, store, _ = open_local(ZOO / case["folder"] / case["files"][0])
    truth, values = truth_of(case)
    assert recognise_npz(source)
    with open_npz(source, store) as found:
        assert list(found) and set(found) == set(truth["names"]) and not found.faults
        for name, entry in truth["names"].items():
            assert same_bits(found.read(name), entry, values[name]), name
        assert not failures(found) and sum(1 for _ in found.checks()) == len(found)


@pytest.mark.parametrize("compressed", [False, True])
def test_numpy_agrees(compressed):
    rng = np.random.default_rng(1)
    arrays = {
        "a": rng.normal(size=(50, 7)),
        "b/c": np.asfortranarray(rng.normal(size=(3, 4))),
        "n": np.int64(4),
    }
    found = open_npz(BytesSource(archive(compressed, **arrays), "w.npz"), None)
    assert list(found) == ["a", "b/c", "n"] and found.attributes["compressed"] is compressed
    for name, value in arrays.items():
        assert np.array_equal(found.read(name), value)
    assert found.read("a").flags.owndata is False
    assert not failures(found)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_flip_in_the_data_is_found(compressed):
    rng = np.random.default_rng(2)
    arrays = {"a": rng.normal(size=(400,)), "b": rng.normal(size=(300,))}
    raw = archive(compressed, **arrays)
    harmless = 0
    start, end = raw.index(b".npy") + 200, raw.index(b"PK\x01\x02") - 10
    for place in rng.integers(start, end, size=40):
        bad = bytearray(raw)
        bad[place] ^= 1 << int(rng.integers(8))
        try:
            found = open_npz(BytesSource(bytes(bad), "w.npz"), None)
        except DamagedCheckpoint:
            continue
        if not (failures(found) or found.faults):
            # A time stamp of the second member, or the padding of a deflate block: nothing is changed by it.
            assert all(np.array_equal(found.read(name), value) for name, value in arrays.items()), place
            harmless += 1
    assert harmless <= 2


def test_structured_and_object_members():
    found = open_npz(
        BytesSource(
            archive(s=np.zeros(2, [("a", "i4"), ("b", "f4")]), o=np.array([{"x": np.ones(2)}], object)),
            "w.npz",
        ),
        None,
    )
    assert list(found) == ["s.a", "s.b", "o.0.x"]


def test_other_members_are_named():
    out = io.BytesIO(archive(a=np.ones(2)))
    with zipfile.ZipFile(out, "a") as both:
        both.writestr("readme.txt", "hello")
    found = open_npz(BytesSource(out.getvalue(), "w.npz"), None)
    assert list(found) == ["a"] and found.attributes["other_members"] == ["readme.txt"]


def test_cut_off():
    raw = archive(a=np.ones(200))
    source = BytesSource(raw[:700], "w.npz")
    assert recognise_npz(source)
    with pytest.raises(DamagedCheckpoint, match="directory"):
        open_npz(source, None)


def test_broken_member_leaves_the_others():
    raw = bytearray(archive(a=np.ones(20), b=np.zeros(20)))
    place = raw.index(b"'descr'")
    raw[place] = 0x00
    found = open_npz(BytesSource(bytes(raw), "w.npz"), None)
    assert list(found) == ["b"] and found.faults[0].tensors == ("a",)


def test_bomb_opens_cheaply():
    import tracemalloc

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bombs:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f8", "fortran_order": False, "shape": (6_000_000,)}
        )
        member = header.getvalue() + bytes(48_000_000)
        for i in range(4):
            bombs.writestr(f"b{i}.npy", member)
    del member
    tracemalloc.start()
    found = open_npz(BytesSource(out.getvalue(), "w.npz"), None)
    assert len(found) == 4 and found["b0"].shape == (6_000_000,)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_random_damage_never_escapes():
    rng = np.random.default_rng(3)
    for compressed in (False, True):
        raw = archive(compressed, a=np.ones(30), o=np.array([None, {"x": np.ones(2)}], object))
        for _ in range(150):
            bad = bytearray(raw)
            for place in rng.integers(0, len(raw), size=3):
                bad[place] = rng.integers(256)
            try:
                found = open_npz(BytesSource(bytes(bad), "w.npz"), None)
                failures(found)
                for name in found:
                    found.read(name)
            except HoldfastError:
                pass
