"""The environment as it is kept: what is there, what never is, and that asking changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast._record.code_state import LARGEST_DIFF, code_state
from holdfast._record.environment import environment

pytestmark = pytest.mark.filterwarnings("ignore")


def test_it_is_json_and_holds_no_variable_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET_THING", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--api-key", "hunter2"])
    found = environment()
    text = json.dumps(found, allow_nan=False)
    assert "hunter2" not in text
    assert found["variables"]["OMP_NUM_THREADS"] == "2"
    assert found["python"]["version"] == sys.version.split()[0]
    assert found["libraries"]["numpy"]
    assert found["command"][:2] == ["python", "train.py"]
    assert "incomplete" not in found, found["incomplete"]


_FRAMEWORKS = """
import json, sys
import {0}
from holdfast._record.environment import environment
frameworks = lambda: [m for m in ("torch", "tensorflow", "jax", "keras") if m in sys.modules]
before = frameworks()
found = environment()
assert frameworks() == before, "one was imported"
assert "incomplete" not in found, found["incomplete"]
print(json.dumps(found["{0}"]))
print(json.dumps([m for m in ("torch", "tensorflow", "jax", "keras") if m in found] == before))
"""


@pytest.mark.parametrize("name", ["torch", "tensorflow", "jax"])
def test_each_framework_that_is_loaded_and_no_other(name: str) -> None:
    pytest.importorskip(name)
    done = subprocess.run(
        [sys.executable, "-c", _FRAMEWORKS.format(name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, each = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    assert said["version"]
    assert "devices" not in said, "asking started the runtime"
    assert each, "every loaded framework is told of, and no other"


def test_settings_that_change_numbers_are_told() -> None:
    torch = pytest.importorskip("torch")
    before = environment()["torch"]
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    try:
        after = environment()["torch"]
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision("highest")
    assert {name for name in after if after[name] != before[name]} >= {
        "deterministic_algorithms",
        "float32_matmul_precision",
    }


git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@git
def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    assert code_state(tmp_path) is None


@git
def test_the_commit_and_what_is_not_committed(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q", "-b", "work")
    (tmp_path / "train.py").write_text("lr = 0.1\n")
    started = code_state(tmp_path)
    assert started is not None
    assert "commit" not in started
    assert started["untracked"] == ["train.py"]
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "one")
    clean = code_state(tmp_path)
    assert clean is not None
    assert clean["commit"] == _git(tmp_path, "rev-parse", "HEAD")
    assert clean["branch"] == "work"
    assert clean["dirty"] is False
    assert "diff" not in clean
    (tmp_path / "train.py").write_text('lr = 0.2\npassword = "hunter2"\n')
    (tmp_path / "new.py").write_text("x\n")
    dirty = code_state(tmp_path)
    assert dirty is not None
    assert dirty["dirty"] is True
    assert "+lr = 0.2" in dirty["diff"]
    assert "hunter2" not in dirty["diff"]
    assert dirty["untracked"] == ["new.py"]
    assert clean["commit"] == dirty["commit"]


@git
def test_a_large_difference_is_cut_and_says_so(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / "data.txt").write_text("a\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "data.txt").write_text("line\n" * LARGEST_DIFF)
    found = code_state(tmp_path)
    assert found is not None
    assert len(found["diff"]) <= LARGEST_DIFF
    assert found["diff_cut"] > 5 * LARGEST_DIFF
