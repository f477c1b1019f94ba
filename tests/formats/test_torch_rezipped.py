"""Archives of ``torch.save`` that somebody unpacked and zipped again, or added a file to."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import holdfast

torch = pytest.importorskip("torch")


def rezipped(folder: Path, how: str) -> Path:
    torch.save({"w": torch.arange(6.0)}, folder / "first.pt")
    path = folder / "my model.pt"
    with zipfile.ZipFile(folder / "first.pt") as first, zipfile.ZipFile(path, "w") as made:
        for name in first.namelist():
            inner = name.partition("/")[2]
            made.writestr(inner if how == "flat" else name, first.read(name), zipfile.ZIP_DEFLATED)
            if how == "macos":
                made.writestr(f"__MACOSX/first/._{inner}", b"\0\5\x16\7")
        if how == "added":
            made.writestr("config.json", "{}")
        if how == "folders":
            made.writestr(zipfile.ZipInfo("first/data/"), b"")
    (folder / "first.pt").unlink()
    return path


@pytest.mark.parametrize("how", ["flat", "macos", "added"])
def test_what_torch_refuses_is_told_and_still_read(how: str, tmp_path: Path) -> None:
    path = rezipped(tmp_path, how)
    with pytest.raises(RuntimeError):
        torch.load(path)
    (found,) = holdfast.examine(path).checkpoints
    (finding,) = [f for f in found.findings if f.code == "F103"]
    assert finding.severity == "warning" and "torch.load refuses it" in finding.message
    with holdfast.open(path) as stored:
        assert stored.read("w").tolist() == [0, 1, 2, 3, 4, 5]
    for command in re.search(r"`(.*)`", finding.remedy)[1].split(" && "):
        subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True)
    assert torch.load(tmp_path / "my model.new.pt")["w"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("how", ["same", "folders"])
def test_what_torch_takes_is_silent(how: str, tmp_path: Path) -> None:
    path = rezipped(tmp_path, how)
    assert torch.load(path)["w"].tolist() == [0, 1, 2, 3, 4, 5]
    (found,) = holdfast.examine(path).checkpoints
    assert found.verdict == "sound" and found.findings == ()
