"""Seals: what they hold, where they are written, and when they are not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from xxhash import xxh3_128_hexdigest

from holdfast._core.errors import HoldfastError, SealError
from holdfast._examine.verifying import verify_target
from holdfast._integrity import seal as sealing
from holdfast._integrity.digest import LEAF, digest_array
from holdfast._integrity.seal import find_seal, write_seal
from holdfast._layouts.target import Target
from holdfast._record.schema import SUMMED_FROM
from integrity import making
from integrity.making import MAKERS, arrays, target_of
from shared import needs_shared, truth_of, zoo_cases

pytest.importorskip("safetensors")


def sealed(target: Target, **options: object) -> str:
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        return write_seal(target, catalog, **options)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return target_of(MAKERS["safetensors"](tmp_path))


def test_a_seal_tiles_every_file_and_names_every_tensor(target: Target) -> None:
    path = sealed(target)
    assert path == target.path + ".holdfast.json"
    record = find_seal(target).record
    assert (record.kind, record.format, record.name) == ("seal", "safetensors", "model.safetensors")
    entry = record.files[0]
    assert entry.size == Path(target.path).stat().st_size
    assert sum(r.length for r in entry.regions) == entry.size
    assert [t.name for t in record.tensors] == list(
        target.format.read(target.store.open(target.main), target.store)
    )
    for tensor in record.tensors:
        assert tensor.digest == digest_array(arrays()[tensor.name])


@pytest.mark.parametrize("name", MAKERS)
def test_tensor_digests_are_of_the_values_whatever_the_format(name: str, tmp_path: Path) -> None:
    target = target_of(MAKERS[name](tmp_path))
    if target is None:
        pytest.fail(f"no reader opens {name}")
    sealed(target)
    tensors = find_seal(target).record.tensors
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        assert len(tensors) == len(catalog) > 0
        for tensor in tensors:
            assert tensor.digest == digest_array(catalog.read(tensor.name)), tensor.name


def test_one_content_has_one_tensor_digest_across_formats(tmp_path: Path) -> None:
    found = []
    for name in ("safetensors", "npz", "npz-deflated"):
        (tmp_path / name).mkdir()
        target = target_of(MAKERS[name](tmp_path / name))
        sealed(target)
        found.append({t.name: t.digest for t in find_seal(target).record.tensors})
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("name", ["safetensors", "torch-zip", "npz", "npz-deflated", "tf-bundle"])
def test_it_says_which_tensors_are_finite(name: str, mapped: bool, tmp_path: Path, monkeypatch) -> None:
    """Where the stored bytes are the values; of deflated ones nothing is said."""
    if name not in MAKERS:
        pytest.skip("its framework is not installed")
    values = {
        "encoder.weight": np.ones(
            (300, 1001), np.float32
        ),  # more than a window, and no whole number of pages
        "encoder.bias": np.array([1, 2, -np.inf] * 99, np.float32),
        "head.weight": np.array([3, np.nan] * 5, np.float16),
        "steps": np.array(17, np.int64),
    }
    monkeypatch.setattr(making, "arrays", lambda: values)
    if not mapped:
        monkeypatch.setattr("holdfast._integrity.digest._WORTH_MAPPING", 1 << 60)
    target = target_of(MAKERS[name](tmp_path))
    sealed(target)
    found = {t.name.rpartition("/")[2].replace("_", "."): t.finite for t in find_seal(target).record.tensors}
    expected = dict.fromkeys(values) | (
        {}
        if name == "npz-deflated"
        else {"encoder.weight": True, "encoder.bias": False, "head.weight": False}
    )
    names = {known: next(n for n in found if n.endswith(known)) for known in values}
    assert {known: found[n] for known, n in names.items()} == expected
    if name == "torch-zip":
        assert found["tied"] is True
        assert found["turned"] is None  # its values lie in another order


def test_an_equal_seal_is_left_alone_and_another_is_not_replaced(target: Target) -> None:
    path = Path(sealed(target))
    before = path.stat().st_mtime_ns
    assert sealed(target) == str(path)
    assert path.stat().st_mtime_ns == before
    data = bytearray(Path(target.path).read_bytes())
    data[-1] ^= 1
    Path(target.path).write_bytes(data)
    with pytest.raises(SealError, match="disagrees") as caught:
        sealed(target)
    assert "--overwrite" in caught.value.remedy
    assert path.stat().st_mtime_ns == before
    sealed(target, overwrite=True)
    assert not verify_target(target).findings


def test_a_damaged_seal_is_replaced_only_when_told(target: Target) -> None:
    path = Path(sealed(target))
    path.write_text("{")
    with pytest.raises(SealError, match="damaged"):
        sealed(target)
    sealed(target, overwrite=True)
    assert find_seal(target).fault is None


def test_damage_is_not_sealed_unless_forced(tmp_path: Path) -> None:
    target = target_of(MAKERS["npz"](tmp_path))
    data = bytearray(Path(target.path).read_bytes())
    data[5000] ^= 4
    Path(target.path).write_bytes(data)
    with pytest.raises(SealError, match="damaged"):
        sealed(target)
    assert find_seal(target) is None
    sealed(target, force=True)
    record = find_seal(target).record
    assert "checksum" in record.damage[0]
    report = verify_target(target)
    assert report.proof == "sealed"
    assert [f.slug for f in report.findings] == ["checksum"]  # a forced seal vouches for nothing


def test_free_evidence_counts_as_damage_too(target: Target) -> None:
    Path(target.path + ".sha256").write_text("0" * 64)
    with pytest.raises(SealError):
        sealed(target)


def test_a_file_that_changes_meanwhile_is_not_sealed(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sealing.make_record

    def touched(*args: object, **options: object) -> object:
        record = real(*args, **options)
        with Path(target.path).open("ab") as file:
            file.write(b"more")
        return record

    monkeypatch.setattr(sealing, "make_record", touched)
    with pytest.raises(SealError, match="changed while"):
        sealed(target)
    assert os.listdir(Path(target.path).parent) == ["model.safetensors"]


def test_it_never_replaces_a_file_of_the_checkpoint(target: Target) -> None:
    with pytest.raises(SealError, match="itself"):
        sealed(target, seal_file=target.path)


def test_elsewhere_with_seal_file(target: Target, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    place = tmp_path / "else" / "s.json"
    assert sealed(target, seal_file=place) == str(place)
    assert find_seal(target) is None
    assert verify_target(target, seal_file=place).proof == "sealed"
    with pytest.raises(SealError, match="no such seal"):
        verify_target(target, seal_file=tmp_path / "none.json")


def test_a_place_that_cannot_be_written_is_named(target: Target) -> None:
    with pytest.raises(HoldfastError) as caught:
        sealed(target, seal_file=Path(target.path).parent / "no" / "such" / "folder.json")
    assert "--seal-file" in caught.value.remedy


def test_no_leftovers_beside_the_seal(target: Target) -> None:
    sealed(target)
    assert sorted(os.listdir(Path(target.path).parent)) == [
        "model.safetensors",
        "model.safetensors.holdfast.json",
    ]


def test_large_tensors_have_several_leaves(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(
        {"w": np.arange((9 << 20) // 4, dtype=np.float32), "b": np.ones(3, np.float32)},
        tmp_path / "m.safetensors",
    )
    target = target_of(tmp_path / "m.safetensors")
    sealed(target)
    record = find_seal(target).record
    assert sorted(len(r.leaves) for r in record.files[0].regions) == [1, 1, 3]
    path = Path(target.path)
    data = bytearray(path.read_bytes())
    for row in record.files[0].regions:
        leaves = [
            data[row.offset : row.offset + row.length][at : at + LEAF] for at in range(0, row.length, LEAF)
        ]
        assert row.leaves == tuple(blake3(leaf).hexdigest() for leaf in leaves)
        sums = tuple(xxh3_128_hexdigest(bytes(leaf)) for leaf in leaves)
        assert row.checksums == (sums if row.length >= SUMMED_FROM else ())
    at = (5 << 20) + 12345
    data[at] ^= 8
    path.write_bytes(data)
    (finding,) = verify_target(target).findings
    assert finding.where.tensor == "w"
    assert finding.where.offset <= at < finding.where.offset + (4 << 20)


def test_the_seal_is_json_that_others_can_read(target: Target) -> None:
    document = json.loads(Path(sealed(target)).read_text())
    assert document["schema_version"] == 1
    assert document["kind"] == "seal"


@needs_shared
def test_tensor_digests_equal_those_of_the_truth() -> None:
    checked = 0
    for case in zoo_cases("safetensors", "npz", "tf_checkpoint_v2")[:12]:
        truth, values = truth_of(case)
        folder = Path(zoo_folder(case))
        if len(list(folder.rglob("*.index"))) > 1:  # the truth is of one of them
            continue
        for path in sorted(folder.rglob("*")):
            if path.suffix not in (".safetensors", ".npz", ".index") or path.name == "truth.npz":
                continue
            target = target_of(path)
            with target.format.read(target.store.open(target.main), target.store) as catalog:
                names = sealing.Names(target, catalog)
                record = sealing.make_record(target, catalog, names)
            for tensor in record.tensors:
                entry = truth["names"].get(tensor.name)
                if entry is None or entry.get("npz_encoding") or values[tensor.name].dtype.kind in "SU":
                    continue
                assert tensor.digest == digest_array(values[tensor.name]), (case["id"], tensor.name)
                checked += 1
    assert checked > 50


def zoo_folder(case: dict) -> Path:
    from shared import ZOO

    return ZOO / case["folder"]
