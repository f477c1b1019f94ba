"""Checkpoints as they reach a person: sent in text mode, under another ending, with a note in a shard's place."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast._core.finding import CheckpointReport

save = pytest.importorskip("safetensors.numpy").save_file


def report(path: Path) -> CheckpointReport:
    (found,) = holdfast.examine(path, recursive=True).checkpoints
    return found


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for number in range(3):
            raw = np.random.default_rng(number).bytes(8192)
            with made.open(f"w{number}.npy", "w") as member:
                np.save(member, np.frombuffer(raw, np.uint8))
    return path


def test_an_archive_sent_in_text_mode_is_told_as_that(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.npz")
    assert report(path).verdict == "sound"
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\n", b"\r\n"))
    found = report(path)
    assert [f.code for f in found.findings if f.severity == "error"] == ["F126"] and found.verdict == "lost"
    assert "text" in found.findings[0].message


def test_an_archive_that_is_broken_otherwise_is_none(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.npz")
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 2] = 9
    path.write_bytes(raw)
    assert "F126" not in [f.code for f in report(path).findings]


def test_hdf5_under_the_ending_of_keras_three(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        layers = file.create_group("model_weights")
        layers.attrs["layer_names"] = [b"d"]
        layers.attrs["backend"] = b"tensorflow"
        layers.attrs["keras_version"] = b"2.8.0"
        layer = layers.create_group("d")
        layer.attrs["weight_names"] = [b"d/kernel:0"]
        layer["d/kernel:0"] = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
    assert [f.code for f in report(tmp_path / "m.h5").findings] == []
    shutil.copy(tmp_path / "m.h5", tmp_path / "m.keras")
    found = report(tmp_path / "m.keras")
    (finding,) = found.findings
    assert (finding.code, finding.severity, found.format) == ("F129", "warning", "keras-h5-legacy")
    assert "File not found" in finding.message and ".h5" in finding.remedy


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"Ask Anna for the rest of it, it was too large.", "F128"), (b"<html><title>404</title>", "F122")],
)
def test_the_tensors_of_a_shard_that_is_something_else_are_lost(
    raw: bytes, code: str, tmp_path: Path
) -> None:
    names = {f"w{i}": f"model-{i + 1:05d}-of-00002.safetensors" for i in range(2)}
    for key, file in names.items():
        save({key: np.arange(4.0)}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 64}, "weight_map": names})
    )
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(raw)
    found = report(tmp_path)
    assert [f.code for f in found.findings if f.severity == "error"] == [code]
    assert (found.verdict, found.loads, found.lost) == ("damaged", ("w0",), ("w1",))
