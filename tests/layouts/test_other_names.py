"""A part that is missing under its own name and lies beside under another."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast._layouts.other_names import lies_as
from holdfast._storage import LocalFolder

save = pytest.importorskip("safetensors.numpy").save_file
PART = "model-00002-of-00002.safetensors"


def lying(folder: Path, name: str, part: str, **options: object) -> str | None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x" * 40)
    found = lies_as(LocalFolder(folder), part, **options)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model-00002-of-00002 (1).safetensors", PART),
        ("model-00002-of-00002(2).safetensors", PART),
        ("model-00002-of-00002 - Copy.safetensors", PART),
        ("model-00002-of-00002 copy.safetensors", PART),
        ("model-00002-of-00002 2.safetensors", PART),
        ("Copy of model-00002-of-00002.safetensors", PART),
        ("model-00002-of-00002.safetensors.txt", PART),
        ("model-00002-of-00002.safetensors.crdownload", PART),
        (".model-00002-of-00002.safetensors.icloud", PART),
        ("Model-00002-of-00002.safetensors", PART),
        ("ckpt-3 (1).data-00000-of-00001", "ckpt-3.data-00000-of-00001"),
        ("ckpt-3.data-00000-of-00001 (1)", "ckpt-3.data-00000-of-00001"),
    ],
)
def test_names_that_others_give(name: str, part: str, tmp_path: Path) -> None:
    assert lying(tmp_path, name, part) == name


@pytest.mark.parametrize(
    "name",
    [
        "model-00001-of-00002.safetensors",
        "model-00001-of-00002 (1).safetensors",
        "other-00002-of-00002 (1).safetensors",
        "model-00002-of-00002.safetensors.bak",  # as likely an older one
        "model-00002-of-00003.safetensors",
        "model-00002-of-00002 best.safetensors",
        "model-00002-of-00002.safetensors.index.json",
    ],
)
def test_other_files_are_not_taken_for_it(name: str, tmp_path: Path) -> None:
    assert lying(tmp_path, name, PART) is None


def test_another_count_of_shards_is_believed_where_the_size_proves_it(tmp_path: Path) -> None:
    name, part = "c.data-00000-of-00002", "c.data-00000-of-00001"
    assert lying(tmp_path, name, part) is None
    assert lying(tmp_path, name, part, size=41) is None
    assert lying(tmp_path, name, part, size=40, not_among=(name,)) == name
    assert lying(tmp_path, "c.data-00001-of-00002", "d", size=40) is None


def test_the_command_that_is_told_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    names = {f"w{i}": f"model-{i + 1:05d}-of-00002.safetensors" for i in range(2)}
    for key, file in names.items():
        save({key: np.arange(4.0)}, folder / file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 64}, "weight_map": names})
    )
    (folder / PART).rename(folder / "model-00002-of-00002 (1).safetensors")
    found = {c.path.rsplit("/", 1)[-1]: c for c in holdfast.examine(folder, recursive=True).checkpoints}
    (finding,) = found["model.safetensors.index.json"].findings
    assert finding.code == "F111" and "(1).safetensors' beside it is likely that file" in finding.message
    command = finding.remedy.split("`")[1]
    if shutil.which("mv"):
        subprocess.run(shlex.split(command), check=True)
        assert holdfast.examine(folder).verdict == "sound"


def test_a_part_that_lies_nowhere_is_to_be_fetched(tmp_path: Path) -> None:
    save({"w": np.arange(4.0)}, tmp_path / "model-00001-of-00002.safetensors")
    findings = holdfast.examine(tmp_path).checkpoints[0].findings
    assert [f.code for f in findings] == ["F111", "F111"]
    assert "Fetch" in findings[1].remedy and "beside it" not in findings[1].message
