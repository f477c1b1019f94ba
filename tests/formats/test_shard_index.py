"""Indexes and their shards: whole, incomplete, contradicting each other, of two saves, hostile."""

from __future__ import annotations

import json

import numpy as np
import pytest

import holdfast
from holdfast import DamagedCheckpoint, PartMissing
from holdfast._formats.registry import recognise
from holdfast._storage import open_local
from shared import ZOO, needs_shared, same_bits, truth_of, zoo_cases

save = pytest.importorskip("safetensors.numpy").save_file
A, B = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    save({"a.weight": np.ones((2, 3), "f4"), "a.bias": np.zeros(3, "f4")}, tmp_path / A, {"format": "pt"})
    save({"b.weight": np.arange(4, dtype="f4")}, tmp_path / B, {"format": "pt"})
    write_index(tmp_path)
    return tmp_path


def write_index(folder, total=52, **changes):
    weight_map = {"a.weight": A, "a.bias": A, "b.weight": B}
    weight_map.update(changes)
    weight_map = {k: v for k, v in weight_map.items() if v is not None}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))


def faults(folder):
    with holdfast.open(folder) as found:
        return {fault.slug: fault for fault in found.faults}


@needs_shared
@pytest.mark.parametrize(
    "case", zoo_cases("safetensors_sharded", "torch_sharded_index"), ids=lambda c: c["id"]
)
def test_zoo(case):
    name = next(f for f in case["files"] if f.endswith(".index.json"))
    source, store, _ = open_local(ZOO / case["folder"] / name)
    truth, values = truth_of(case)
    form = recognise(source)
    assert form is not None
    with form.read(source, store) as found:
        assert found.format == ("safetensors-sharded" if "safetensors" in name else "torch-sharded")
        assert set(found) == set(truth["names"]) and not found.faults
        for key, entry in truth["names"].items():
            assert same_bits(found.read(key), entry, values[key]), key


def test_whole(folder):
    with holdfast.open(folder) as found:
        assert found.format == "safetensors-sharded" and not found.faults
        assert list(found) == ["a.bias", "a.weight", "b.weight"] or set(found) == {
            "a.bias",
            "a.weight",
            "b.weight",
        }
        assert found.read("b.weight").tolist() == [0, 1, 2, 3]
        assert len(found.files) == 3 and found.attributes["total_size"] == 52
        assert [spec.order for spec in found.values()] == [0, 1, 2]


def test_shard_is_missing(folder):
    (folder / B).unlink()
    fault = faults(folder)["part-missing"]
    assert fault.tensors == ("b.weight",) and fault.attributes["part"] == B
    (folder / A).unlink()
    with pytest.raises(PartMissing):
        holdfast.open(folder / INDEX)


def test_shard_is_junk(folder):
    (folder / B).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 9\n"
    )
    fault = faults(folder)["lfs-pointer"]
    assert fault.tensors == ("b.weight",)


def test_shard_is_cut_off(folder):
    raw = (folder / B).read_bytes()
    (folder / B).write_bytes(raw[:-5])
    assert faults(folder)["truncated"].tensors == ("b.weight",)


def test_index_disagrees(folder):
    write_index(folder, **{"c.weight": B})
    assert faults(folder)["index-disagrees"].tensors == ("c.weight",)
    assert "lacks 1 tensor that the index maps to it" in faults(folder)["index-disagrees"].message
    write_index(folder, **{"a.bias": None})
    assert faults(folder)["index-disagrees"].attributes["names"] == ["a.bias"]
    assert "holds 1 tensor that the index does not name" in faults(folder)["index-disagrees"].message
    write_index(folder, total=51)
    assert faults(folder)["index-disagrees"].attributes["field"] == "total_size"


def test_shards_of_two_saves(folder):
    save({"b.weight": np.ones(4, "f4"), "a.bias": np.ones(3, "f4")}, folder / B, {"format": "pt"})
    fault = faults(folder)["shards-mixed"]
    assert fault.attributes["names"] == ["a.bias"]
    save({"b.weight": np.ones(4, "f4")}, folder / B, {"format": "pt", "step": "200"})
    save(
        {"a.weight": np.ones((2, 3), "f4"), "a.bias": np.zeros(3, "f4")},
        folder / A,
        {"format": "pt", "step": "100"},
    )
    assert faults(folder)["shards-mixed"].attributes["key"] == "step"


def test_shards_in_two_types_are_likely_mixed(folder):
    save({"layers.0.w": np.ones(3, "f4")}, folder / A)
    save({"layers.1.w": np.ones(4, "f2")}, folder / B)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"layers.0.w": A, "layers.1.w": B}}))
    assert faults(folder)["shards-mixed"].attributes["likely"] is True
    # Norms in another type, in every shard, are no mixture.
    save({"layers.0.w": np.ones(3, "f2"), "layers.0.norm": np.ones(1, "f4")}, folder / A)
    save({"layers.1.w": np.ones(4, "f2"), "layers.1.norm": np.ones(1, "f4")}, folder / B)
    (folder / INDEX).write_text(
        json.dumps({"weight_map": {f"layers.{i}.{k}": (A, B)[i] for i in (0, 1) for k in ("w", "norm")}})
    )
    assert "shards-mixed" not in faults(folder)


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "C:\\x.safetensors", "a/../../x", "x\0.safetensors"]
)
def test_names_that_climb_out(folder, name):
    save({"b.weight": np.ones(4, "f4")}, folder.parent / "secret.safetensors")
    write_index(folder, **{"b.weight": name})
    found = faults(folder)
    assert "outside" in found["malformed"].message and found["malformed"].tensors == ("b.weight",)


def test_index_that_names_an_index(folder):
    (folder / "loop.safetensors").write_text((folder / INDEX).read_text())
    write_index(folder, **{"b.weight": "loop.safetensors"})
    assert "another index" in faults(folder)["malformed"].message


@pytest.mark.parametrize(
    "text",
    [
        '{"weight_map": {"a": "x.safetensors"',
        '{"weight_map": {"a": ["x.safetensors"]}, "b": "c.safetensors"}',
    ],
)
def test_broken_index(folder, text):
    (folder / INDEX).write_text(text)
    with pytest.raises(DamagedCheckpoint):
        holdfast.open(folder / INDEX)


def test_shards_without_index(folder):
    (folder / INDEX).unlink()
    with holdfast.open(folder) as found:
        assert set(found) == {"a.weight", "a.bias", "b.weight"} and found.format == "safetensors-sharded"
        assert [f.slug for f in found.faults] == ["part-missing"]
    (folder / B).unlink()
    with holdfast.open(folder / A) as found:
        assert set(found) == {"a.weight", "a.bias"}
        assert [f.attributes["part"] for f in found.faults] == [INDEX, B]
