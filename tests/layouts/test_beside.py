"""What misleads beside checkpoints: links that lead nowhere, copies in progress, AppleDouble files, a second save."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import holdfast
from holdfast import CheckpointNotFound, HoldfastError
from holdfast._layouts import discover, resolve
from holdfast._layouts.leftovers import is_copy, is_leftover

save = pytest.importorskip("safetensors.numpy").save_file
W = {"w": np.arange(3, dtype="f4")}


def slugs(target):
    return [f.slug for f in target.faults]


def codes(report):
    return [f.code for c in report.checkpoints for f in c.findings]


def sharded(folder, count, value=1.0):
    """A folder of shards with their index, as the hub's tools write it."""
    folder.mkdir(exist_ok=True)
    names = {f"w{i}": f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)}
    for name, file in names.items():
        save({name: np.full(4, value, "f4")}, folder / file)
    index = {"metadata": {"total_size": 16 * count}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


# -- links -----------------------------------------------------------------------------------------------------------
def test_a_link_that_leads_nowhere_is_named(tmp_path):
    save(W, tmp_path / "step-1.safetensors")
    (tmp_path / "last.safetensors").symlink_to("/old/cluster/step-2.safetensors")
    (tmp_path / "latest").symlink_to("step-9")
    found = {t.path.rsplit("/", 1)[-1]: t for t in discover(tmp_path)}
    assert set(found) == {"step-1.safetensors", "last.safetensors", "latest"}
    (fault,) = found["last.safetensors"].faults
    assert fault.slug == "part-missing" and "/old/cluster/step-2.safetensors" in fault.message
    assert codes(holdfast.examine(tmp_path, recursive=True)) == ["F111", "F111"]
    with holdfast.open(tmp_path / "step-1.safetensors") as whole:
        assert list(whole) == ["w"]


def test_a_typed_link_that_leads_nowhere(tmp_path):
    (tmp_path / "last.pt").symlink_to("gone.pt")
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    for name, target in (("last.pt", "gone.pt"), ("loop.pt", "loop.pt")):
        with pytest.raises(CheckpointNotFound, match=f"symbolic link to '{target}'") as raised:
            resolve(tmp_path / name)
        assert "Did you mean" not in raised.value.remedy and "ln -sfn" in raised.value.remedy


def test_a_hub_cache_whose_blobs_were_not_copied(tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/" + "ab" * 32)
    (snapshot / "config.json").symlink_to("../../blobs/" + "cd" * 20)
    (target,) = discover(tmp_path)
    assert slugs(target) == ["part-missing"] and "blobs" in target.faults[0].message
    with pytest.raises(HoldfastError, match="symbolic link"):
        holdfast.open(snapshot)


def cached(folder):
    """A repository in the hub's cache, as huggingface_hub lays it out: contents by their hashes, links by their names."""
    plain = sharded(folder / "plain", 2)
    blobs, snapshot = folder / "models--a--b" / "blobs", folder / "models--a--b" / "snapshots" / ("cd" * 20)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in sorted(plain.iterdir()):
        raw = file.read_bytes()
        plain_hash = file.suffix == ".safetensors"
        name = hashlib.sha256(raw) if plain_hash else hashlib.sha1(b"blob %d\0" % len(raw) + raw)
        (blobs / name.hexdigest()).write_bytes(raw)
        (snapshot / file.name).symlink_to(f"../../blobs/{name.hexdigest()}")
    shutil.rmtree(plain)
    return folder / "models--a--b"


def test_a_hub_cache_is_one_checkpoint_for_each_snapshot(tmp_path):
    repository = cached(tmp_path)
    report = holdfast.examine(tmp_path, recursive=True)
    (found,) = report.checkpoints
    assert found.path.endswith("model.safetensors.index.json") and found.verdict == "sound"
    assert found.proof == "checksums"  # the names of the blobs are hashes
    with holdfast.open(repository) as whole:
        assert list(whole) == ["w0", "w1"]


def test_a_blob_that_no_snapshot_links_is_looked_at(tmp_path):
    repository = cached(tmp_path)
    link = next((repository / "snapshots").glob("*/model-00002-*"))
    link.unlink()
    (repository / "blobs" / ("ef" * 32 + ".incomplete")).write_bytes(b"\x08\0\0\0\0\0\0\0{")
    found = {t.path.rsplit("/", 1)[-1] for t in discover(tmp_path)}
    assert len(found) == 3 and "ef" * 32 + ".incomplete" in found and "model.safetensors.index.json" in found
    (repository / "blobs").rename(
        tmp_path / "models--a--b" / "files"
    )  # another layout: nothing is passed over
    assert len(discover(tmp_path)) > 3


# -- unpacked archives ------------------------------------------------------------------------------------------------
def test_an_unpacked_torch_file_is_packed_again_by_the_command_that_is_told(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.arange(6.0)}, tmp_path / "whole.pt")
    folder = tmp_path / "un packed"
    with zipfile.ZipFile(tmp_path / "whole.pt") as archive:
        archive.extractall(folder)
    (tmp_path / "whole.pt").unlink()
    (inner,) = folder.iterdir()
    (inner / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    for named in (folder, inner, inner / "data.pkl"):
        (found,) = holdfast.examine(named, recursive=True).checkpoints
        assert found.verdict == "unknown" and [f.code for f in found.findings] == ["E101"]
    command = re.search(r"`python (-m zipfile .*?)`", found.findings[0].remedy)[1]
    subprocess.run([sys.executable, *shlex.split(command)], check=True)
    with holdfast.open(folder / f"{inner.name}.pt") as whole:
        assert whole.read("w").tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.load(folder / f"{inner.name}.pt")["w"].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_pickle_called_data_is_a_pickle(tmp_path):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps({"w": np.arange(3.0)}))
    (found,) = holdfast.examine(tmp_path, recursive=True).checkpoints
    assert found.format == "pickle" and found.verdict == "sound"


def test_links_of_other_things_and_good_links_are_silent(tmp_path):
    save(W, tmp_path / "step-1.safetensors")
    (tmp_path / "last.safetensors").symlink_to("step-1.safetensors")
    for name in ("debug.log", "latest-run", "data", "config.json"):
        (tmp_path / name).symlink_to("/nowhere/at/all")
    assert sorted(t.path.rsplit("/", 1)[-1] for t in discover(tmp_path)) == [
        "last.safetensors",
        "step-1.safetensors",
    ]
    assert not codes(holdfast.examine(tmp_path))


# -- copies ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "who"),
    [
        (".last.pt.Xy12Zq", "rsync"),
        (".model-00002-of-00003.safetensors.k3Jd9A", "rsync"),
        (".ckpt-3.data-00000-of-00001.aB3dEf", "rsync"),
        (".~tmp~/", "rsync"),
        ("last.pt.6eF4A3bC", "the AWS tools"),
        ("last.pt_.gstmp", "gsutil"),
    ],
)
def test_copies_in_progress(name, who):
    assert is_copy(name) == who == is_leftover(name)


@pytest.mark.parametrize(
    "name",
    [
        ".last.pt.backup",
        ".last.pt.sha256",
        ".last.pt.202401",
        "last.pt.deadbeef",
        "last.pt.20240101",
        "last.pt.Xy12Zq",
        ".notes.Xy12Zq",
        ".env.local1",
    ],
)
def test_names_of_people_are_no_copies(name):
    assert is_copy(name) is None and is_leftover(name) is None


def test_a_copy_in_progress_stands_beside_what_it_is_a_copy_of(tmp_path):
    folder = sharded(tmp_path / "m", 3)
    shard = folder / "model-00002-of-00003.safetensors"
    shard.rename(folder / ".model-00002-of-00003.safetensors.k3Jd9A")
    (target,) = discover(folder)
    assert slugs(target) == ["leftover"] and "rsync" in target.faults[0].message
    assert codes(holdfast.examine(folder)) == ["F111", "F116"]


def test_a_shard_that_is_still_downloaded_is_no_checkpoint_of_its_own_shards(tmp_path):
    folder = sharded(tmp_path / "m", 3)
    shard = folder / "model-00002-of-00003.safetensors"
    shard.rename(folder / "model-00002-of-00003.safetensors.incomplete")
    found = {t.path.rsplit("/", 1)[-1]: slugs(t) for t in discover(folder)}
    assert found == {
        "model.safetensors.index.json": [],
        "model-00002-of-00003.safetensors.incomplete": ["half-download"],
    }


def test_what_macos_puts_beside_files(tmp_path):
    save(W, tmp_path / "m.safetensors")
    double = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(200)
    for name in ("._m.safetensors", "._ckpt-1.index", "._model-00001-of-00002.safetensors"):
        (tmp_path / name).write_bytes(double)
    (target,) = discover(tmp_path)
    assert target.main == "m.safetensors"
    (typed,) = resolve(tmp_path / "._m.safetensors")
    assert "AppleDouble" in typed.faults[0].message
    shutil.copy(tmp_path / "m.safetensors", tmp_path / "._real.safetensors")  # a checkpoint all the same
    assert len(discover(tmp_path)) == 2


# -- two saves -------------------------------------------------------------------------------------------------------
def test_shards_of_another_save_beside_an_index(tmp_path):
    folder = sharded(tmp_path / "m", 3)
    for file in sharded(tmp_path / "new", 4, 2.0).glob("*-of-00004.safetensors"):
        shutil.copy(file, folder)
    index = next(t for t in discover(folder) if t.path.endswith(".index.json"))
    assert slugs(index) == ["two-saves"] and "4 shards of another save" in index.faults[0].message
    report = holdfast.examine(folder)
    assert codes(report) == ["F117"] and report.checkpoints[0].verdict == "sound"


def test_a_restore_tells_that_there_was_a_second_save(tmp_path):
    folder = sharded(tmp_path / "m", 3)
    live = {f"w{i}": np.zeros(4, "f4") for i in range(3)}
    assert not holdfast.restore(folder, model=live).findings
    for file in sharded(tmp_path / "new", 4, 2.0).glob("*-of-00004.safetensors"):
        shutil.copy(file, folder)
    outcome = holdfast.restore(folder, model=live)
    assert [f.code for f in outcome.findings] == ["F117"] and live["w0"].tolist() == [1.0] * 4


def test_a_whole_file_beside_its_index(tmp_path):
    folder = sharded(tmp_path / "m", 2)
    save({"w0": np.full(4, 7.0, "f4")}, folder / "model.safetensors")
    report = holdfast.examine(folder)
    assert codes(report) == ["F117"] and report.checkpoints[0].verdict == "sound"
    with holdfast.open(folder) as found:  # what transformers would load
        assert found.read("w0").tolist() == [7.0] * 4


def test_one_save_is_silent(tmp_path):
    folder = sharded(tmp_path / "m", 3)
    save(W, folder / "consolidated.safetensors")
    save(W, folder / "adapter_model.safetensors")
    save(W, folder / "model.fp16.safetensors")
    assert codes(holdfast.examine(folder)) == []
