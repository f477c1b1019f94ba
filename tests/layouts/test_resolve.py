"""What a typed path means, and what lies in a folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast import (
    AmbiguousPath,
    CheckpointNotFound,
    DamagedCheckpoint,
    NotReadable,
    NotRecognised,
    PartMissing,
)
from holdfast._formats.registry import suffix_of
from holdfast._layouts import discover, resolve
from holdfast._layouts.folders import age
from holdfast._layouts.leftovers import is_leftover
from holdfast._layouts.opening import the_one
from shared import FILES, ZOO, file_cases, needs_files, needs_shared, zoo_cases

save = pytest.importorskip("safetensors.numpy").save_file
W = {"w": np.arange(3, dtype="f4")}


def names(targets):
    return [os.path.basename(t.path) for t in targets]


def slugs(target):
    return [f.slug for f in target.faults]


def test_file(tmp_path):
    save(W, tmp_path / "m.safetensors")
    (target,) = resolve(tmp_path / "m.safetensors")
    assert target.format.name == "safetensors" and target.main == "m.safetensors" and not target.faults
    with holdfast.open(tmp_path / "m.safetensors") as found:
        assert found.read("w").tolist() == [0, 1, 2]


def test_relative_paths(tmp_path, monkeypatch):
    save(W, tmp_path / "m.safetensors")
    monkeypatch.chdir(tmp_path)
    for path in ("m.safetensors", "./m.safetensors", "."):
        with holdfast.open(path) as found:
            assert list(found) == ["w"]


def test_a_slash_behind_a_file(tmp_path):
    save(W, tmp_path / "m.safetensors")
    (target,) = resolve(f"{tmp_path}/m.safetensors/")
    assert target.main == "m.safetensors" and target.path == f"{tmp_path}/m.safetensors" and not target.faults
    with holdfast.open(f"{tmp_path}/m.safetensors//") as found:
        assert list(found) == ["w"]


@pytest.mark.parametrize(
    ("typed", "said", "next_"),
    [
        ("s3://bucket/run/last.pt", "an address", "Copy it here first"),
        ("https://host/last.pt", "an address", "Copy it here first"),
        ("file:///data/last.pt", "an address", "/data/last.pt"),
        ("~/nowhere/at/all.pt", "stands in it as it is", "outside of quotes"),
        ("-", "standard input", "Save the stream"),
        ("no/such/last.pt", "its folder is not there", "the folder that you are in"),
    ],
)
def test_what_is_no_path(typed, said, next_):
    with pytest.raises(CheckpointNotFound, match=said) as raised:
        resolve(typed)
    assert next_ in raised.value.remedy


def test_nothing_there(tmp_path):
    save(W, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointNotFound, match=r"model\.safetensors"):
        holdfast.open(tmp_path / "modle.safetensors")
    with pytest.raises(CheckpointNotFound):
        holdfast.open(tmp_path / "no" / "such" / "folder")
    with pytest.raises(CheckpointNotFound):
        holdfast.open("bad\0path")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointNotFound, match="no checkpoint"):
        holdfast.open(tmp_path / "empty")


def test_hugging_face_folder(tmp_path):
    save(W, tmp_path / "model.safetensors")
    np.savez(tmp_path / "extra.npz", a=np.ones(2))
    (tmp_path / "config.json").write_text("{}")
    (target,) = resolve(tmp_path)
    assert target.main == "model.safetensors" and "extra.npz" in target.note
    assert sorted(names(discover(tmp_path))) == ["extra.npz", "model.safetensors"]


def test_run_folder_newest_first(tmp_path):
    for step in (5, 100, 20):
        (tmp_path / f"checkpoint-{step}").mkdir()
        save(W, tmp_path / f"checkpoint-{step}" / "model.safetensors")
    found = resolve(tmp_path)
    assert [t.path.split(os.sep)[-2] for t in found] == ["checkpoint-100", "checkpoint-20", "checkpoint-5"]
    with holdfast.open(tmp_path) as catalog:
        assert "checkpoint-100" in catalog.files[0]
    assert len(discover(tmp_path)) == 3


def test_files_of_a_run_newest_first(tmp_path):
    for step in (9, 10, 1):
        save(W, tmp_path / f"step_{step}.safetensors")
    assert names(resolve(tmp_path)) == ["step_10.safetensors", "step_9.safetensors", "step_1.safetensors"]


def test_shard_named_instead_of_the_whole(tmp_path):
    a, b = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    save(W, tmp_path / a)
    save({"v": W["w"]}, tmp_path / b)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": a, "v": b}}))
    (target,) = resolve(tmp_path / b)
    assert target.main == "model.safetensors.index.json" and b in target.note and set(target.parts) >= {a, b}
    assert len(discover(tmp_path)) == 1


def test_wrong_extension(tmp_path):
    save(W, tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").rename(tmp_path / "m.h5")
    (target,) = resolve(tmp_path / "m.h5")
    assert slugs(target) == ["wrong-extension"]
    with holdfast.open(tmp_path / "m.h5") as found:
        assert [f.slug for f in found.faults] == ["wrong-extension"] and list(found) == ["w"]


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (b"", DamagedCheckpoint, "empty"),
        (bytes(5000), DamagedCheckpoint, "zero"),
        (b"<!doctype html><title>No</title>", NotRecognised, "HTML page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 7\n",
            NotRecognised,
            "git lfs pull",
        ),
    ],
)
def test_open_says_what_it_really_is(tmp_path, raw, error, words):
    path = tmp_path / "m.pkl"
    path.write_bytes(raw)
    with pytest.raises(error, match=words):
        holdfast.open(path)
    assert len(discover(tmp_path)) == 1


def test_unfinished_downloads(tmp_path):
    save(W, tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").unlink()
    (tmp_path / "m.safetensors.part").write_bytes(raw[:-4])
    (target,) = resolve(tmp_path / "m.safetensors.part")
    assert slugs(target) == ["half-download"]
    with holdfast.open(tmp_path / "m.safetensors.part") as found:
        assert [f.slug for f in found.faults] == ["half-download", "truncated"]


def test_leftovers(tmp_path):
    save(W, tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors.tmp8fa1").write_bytes(b"x" * 50)
    (tmp_path / ".partial-step-00000010-ab").mkdir()
    (target,) = resolve(tmp_path)
    assert slugs(target) == ["leftover", "leftover"]
    assert is_leftover("ckpt-3_temp/") and not is_leftover("my_temp") and not is_leftover("model.safetensors")
    only = tmp_path / "only"
    only.mkdir()
    (only / "m.keras.tmp").write_bytes(b"x")
    (target,) = discover(only)
    assert target.format is None and slugs(target) == ["leftover"]


def test_links_are_followed_once(tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    save(W, blobs / "aabb.safetensors")
    (blobs / "aabb.safetensors").rename(blobs / "aabb")
    snapshot = tmp_path / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    try:
        (snapshot / "model.safetensors").symlink_to("../../blobs/aabb")
        (snapshot / "loop").symlink_to(tmp_path, target_is_directory=True)
        (snapshot / "gone.safetensors").symlink_to("nowhere")
    except OSError:
        pytest.skip("no symbolic links here")
    with holdfast.open(snapshot) as found:
        assert list(found) == ["w"]
    assert len(discover(tmp_path)) <= 3


def test_folder_formats(tmp_path):
    for form, files in {
        "torch-dcp": [".metadata", "__0_0.distcp"],
        "orbax": ["_CHECKPOINT_METADATA", "_METADATA"],
        "deepspeed": ["mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"],
        "megatron": ["common.pt", "metadata.json", "__0_0.distcp"],
    }.items():
        folder = tmp_path / form
        folder.mkdir()
        for name in files:
            (folder / name).write_bytes(b"x")
        (target,) = resolve(folder)
        assert target.format.name == form and target.main is None and slugs(target) == ["not-readable"]
        with pytest.raises(NotReadable, match="Holdfast"):
            holdfast.open(folder)


def test_folders_without_reader_are_told_with_commands_for_this_very_folder(tmp_path, monkeypatch):
    for name, file in (("step 3", ".metadata"), ("global_step7", "mp_rank_00_model_states.pt")):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / file).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)

    def remedy(path):
        (target,) = resolve(path)
        with pytest.raises(NotReadable) as raised:
            holdfast.open(path)
        assert raised.value.remedy == target.faults[0].attributes["remedy"]
        return raised.value.remedy

    assert "dcp_to_torch 'run/step 3' 'run/step 3.pt'`" in remedy("run/step 3")
    assert "python run/zero_to_fp32.py run run/global_step7.pt --tag global_step7`" in remedy(
        "run/global_step7/"
    )
    monkeypatch.chdir(tmp_path / "run" / "step 3")
    assert f"dcp_to_torch . '{tmp_path.resolve()}/run/step 3.pt'`" in remedy(".")


SAVED_MODEL = Path(__file__).parent.parent / "zoo" / "tf_saved_model" / "sm"


def test_variables_of_a_saved_model_without_its_program(tmp_path):
    shutil.copytree(SAVED_MODEL / "variables", tmp_path / "sm" / "variables")
    home = tmp_path / "sm"
    for path in (
        home,
        home / "variables",
        home / "variables" / "variables",
        home / "variables" / "variables.index",
    ):
        (found,) = resolve(path)
        (fault,) = found.faults
        assert (fault.slug, fault.attributes["severity"]) == ("part-missing", "note")
        assert os.path.normpath(fault.file) == str(home / "saved_model.pb")
    (found,) = discover(tmp_path)
    assert slugs(found) == ["part-missing"]
    shutil.copy(
        SAVED_MODEL / "fingerprint.pb", home
    )  # more of it is left: the program was lost, not left out
    (found,) = resolve(home)
    assert found.faults[0].attributes["severity"] == "warning"
    with holdfast.open(home) as catalog:
        assert len(catalog) > 0 and [f.slug for f in catalog.faults] == ["part-missing"]
    report = holdfast.examine(home)
    assert [(f.code, f.severity) for f in report.findings] == [
        ("F111", "warning")
    ] and report.verdict == "sound"
    for name in ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"):
        (home / name).write_bytes(b"x")
        assert all(not t.faults for t in resolve(home / "variables" / "variables.index")), name
        (home / name).unlink()


def test_plain_checkpoints_are_no_saved_model(tmp_path):
    """A folder called ``variables`` with another prefix, and the prefix in another folder."""
    for folder, prefix in (("variables", "ckpt-1"), ("weights", "variables"), ("variables", "variables-1")):
        home = tmp_path / f"{folder}-{prefix}" / folder
        home.mkdir(parents=True)
        (home.parent / "assets").mkdir()
        for suffix in (".index", ".data-00000-of-00001"):
            shutil.copy(SAVED_MODEL / "variables" / f"variables{suffix}", home / f"{prefix}{suffix}")
        (found,) = resolve(home)
        assert found.main == f"{prefix}.index" and not found.faults
    assert not holdfast.examine(tmp_path / "variables-ckpt-1").findings


def test_tensorflow_prefix_without_index(tmp_path):
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"x" * 9)
    (target,) = resolve(tmp_path / "ckpt-1")
    assert target.main is None and slugs(target) == ["part-missing"]
    with pytest.raises(PartMissing, match="index"):
        holdfast.open(tmp_path / "ckpt-1")
    (tmp_path / "ckpt-1.index").write_bytes(b"<html>")
    with pytest.raises(NotRecognised, match="HTML"):
        holdfast.open(tmp_path / "ckpt-1")


def test_state_file_of_nothing(tmp_path):
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-7"\n'
    )
    for path in (tmp_path, tmp_path / "checkpoint"):
        (target,) = resolve(path)
        assert "state-file-dangling" in slugs(target)
        with pytest.raises(PartMissing):
            holdfast.open(path)


def test_age_and_suffixes():
    order = ["best.pt", "e1.pt", "e2.pt", "e10.pt"]
    assert sorted(order, key=age) == order
    assert suffix_of("a.b/m.weights.h5") == ".weights.h5" and suffix_of("M.PT") == ".pt"


@needs_files
def test_public_files_are_claimed_once_and_sensibly():
    found = discover(FILES)
    paths = [t.path for t in found]
    assert len(set(paths)) == len(paths)
    claimed = [t.store.shown(p) for t in found for p in t.parts]
    assert len(set(claimed)) == len(claimed)
    for case in file_cases():
        if case["format"] in (
            "dcp",
            "orbax",
            "gguf",
            "flax-msgpack",
            "tf-v1",
            "safetensors",
            "savedmodel",
            "tf-bundle",
        ):
            roots = {os.path.join(FILES, *p.split("/")[:2]) for p in case["paths"]}
            hits = [t for t in found if any(str(t.path).startswith(r) for r in roots)]
            assert hits, case["id"]
            wanted = {"dcp": "torch-dcp"}.get(case["format"], case["format"])
            if case["format"] == "gguf":
                assert all("text-mode-copy" in slugs(t) for t in hits)
            else:
                assert {t.format.name for t in hits if t.format} == {wanted}, case["id"]


@needs_shared
def test_zoo_folders_resolve_to_their_format():
    wanted = {
        "orbax": "orbax",
        "torch_dcp": "torch-dcp",
        "tf_savedmodel": "savedmodel",
        "safetensors": "safetensors",
    }
    for case in zoo_cases(*wanted):
        hits = [t for t in discover(ZOO / case["folder"]) if os.path.basename(t.path) != "truth.npz"]
        assert hits, case["id"]
        kinds = {t.format.name for t in hits if t.format is not None}
        assert kinds <= {wanted[case["format"]]}, (case["id"], kinds)


def test_a_run_folder_opens_its_newest_and_says_so(tmp_path):
    for step in (9, 10, 2):
        save({"w": np.full(3, step, "f4")}, tmp_path / f"step-{step}.safetensors")
    with holdfast.open(tmp_path) as catalog:
        assert catalog.read("w")[0] == 10
    target = the_one(tmp_path)
    assert "newest of 3" in target.note and "step-9" in target.note
    save(W, tmp_path / "other.safetensors")
    with pytest.raises(AmbiguousPath, match="4 checkpoints"):
        holdfast.open(tmp_path)
