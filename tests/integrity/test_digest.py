"""Digests of leaves, regions, tensors and files."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from holdfast._core.errors import NotStored, Truncated
from holdfast._integrity.digest import (
    LeafHasher,
    canonical_bytes,
    digest_array,
    digest_pieces,
    file_digest,
    hash_leaves,
    region_digest,
)
from holdfast._integrity.regions import leaves_of
from holdfast._storage import BytesSource, LocalFile


def by_hand(data: bytes, leaf: int) -> str:
    whole = blake3(derive_key_context="holdfast tensor v1")
    whole.update(len(data).to_bytes(8, "little"))
    for at in range(0, len(data), leaf):
        whole.update(blake3(data[at : at + leaf]).digest())
    return whole.hexdigest()


@given(st.binary(max_size=300), st.lists(st.integers(1, 90), max_size=8), st.integers(1, 100))
def test_the_cut_into_pieces_does_not_matter(data: bytes, cuts: list[int], leaf: int) -> None:
    hasher = LeafHasher(leaf)
    rest = data
    for cut in cuts:
        hasher.update(rest[:cut])
        rest = rest[cut:]
    hasher.update(rest)
    assert hasher.digest() == by_hand(data, leaf)
    assert len(hasher.leaves) == -(-len(data) // leaf)


def test_a_tensor_and_a_region_of_its_bytes_have_one_digest() -> None:
    array = np.arange(1000, dtype="<i4").reshape(10, 100)
    leaves = [blake3(array.tobytes()[at : at + 1024]).hexdigest() for at in range(0, 4000, 1024)]
    assert digest_array(array, 1024) == region_digest(4000, leaves)


def test_length_and_purpose_are_part_of_it() -> None:
    leaf = blake3(b"x").hexdigest()
    assert len({region_digest(1, [leaf]), region_digest(2, [leaf]), file_digest(1, [(1, leaf)]), leaf}) == 4
    assert file_digest(2, [(1, leaf), (1, leaf)]) != file_digest(2, [(2, leaf)])


@pytest.mark.parametrize(
    "dtype", [np.float32, np.int64, np.complex64, np.bool_, ml_dtypes.bfloat16, ml_dtypes.int4]
)
def test_canonical_is_independent_of_order_and_strides(dtype: type) -> None:
    array = (np.arange(24).reshape(4, 6) % 7).astype(dtype)
    want = digest_array(array)
    assert digest_array(np.asfortranarray(array)) == want
    assert digest_array(np.repeat(array, 2, axis=1)[:, ::2]) == want
    assert digest_array(array.T.copy().T) == want
    assert digest_array(array.T) != want
    if array.dtype.kind in "fic":
        assert digest_array(array.astype(array.dtype.newbyteorder(">"))) == want
    assert digest_pieces([array[:1], array[1:]]) == want


def test_strings_are_told_apart_by_their_lengths() -> None:
    assert digest_array(np.array([b"ab", b"c"], object)) != digest_array(np.array([b"a", b"bc"], object))
    assert digest_array(np.array([b"ab"], object)) == digest_array(np.array(["ab"], object))
    with pytest.raises(NotStored):
        canonical_bytes(np.array([{}], object))


def test_empty_and_scalar() -> None:
    assert digest_array(np.zeros((0, 3), np.float32)) == by_hand(b"", 16)
    assert digest_array(np.array(5, "<u2")) == by_hand(b"\5\0", 16)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("window", [1000, 1 << 16])
def test_leaves_of_a_file_whatever_the_window(mapped: bool, window: int, tmp_path: Path, monkeypatch) -> None:
    data = np.random.default_rng(0).bytes(300_001)
    path = tmp_path / "file"
    path.write_bytes(data)
    monkeypatch.setattr("holdfast._integrity.digest._WORTH_MAPPING", 0 if mapped else 1 << 60)
    leaves = leaves_of(5, 70_000, 4096) + leaves_of(70_005, 3, 4096) + leaves_of(70_008, 229_993, 4096)
    found = hash_leaves(LocalFile(path), leaves, memoryview(bytearray(window)))
    assert found == [blake3(data[at : at + n]).hexdigest() for at, n in leaves]
    assert found == hash_leaves(BytesSource(data), leaves, memoryview(bytearray(window)))


@pytest.mark.parametrize("worth", [0, 1 << 60])
def test_a_file_that_shrinks_meanwhile_is_truncated_not_a_crash(
    worth: int, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    source = LocalFile(path)
    path.open("r+b").truncate(10_000)
    monkeypatch.setattr("holdfast._integrity.digest._WORTH_MAPPING", worth)
    with pytest.raises(Truncated):
        hash_leaves(source, [(0, 1 << 20)], memoryview(bytearray(1 << 16)))
