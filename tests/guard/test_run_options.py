"""The options of ``holdfast run``: what is told, counted and written, and what the program does not notice."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guard.saving import state
from holdfast._frameworks.events import Call, watched
from holdfast._guard.guard import Guard, Options

torch = pytest.importorskip("torch")

PROGRAM = """
import torch
state = {"w": torch.full((100,), float("nan"))}
torch.save(state, "a.pt")
torch.save(state, "a.pt")
try:
    torch.save(lambda: 1, "b.pt")
except Exception:
    pass
print("mine")
"""


def run(folder: Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(program)
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "run", *options, "train.py"],
        cwd=folder,
        text=True,
        capture_output=True,
    )


def test_what_is_told_counted_and_written(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM, "--json", "told.json", "--ignore", "N101")
    assert (done.returncode, done.stdout) == (0, "mine\n")
    assert "S146" in done.stderr and "S141" not in done.stderr and "N101" not in done.stderr
    assert "1 note (-v shows them)" in done.stderr
    document = json.loads((tmp_path / "told.json").read_text())
    assert document["summary"]["findings"] == {"error": 1, "warning": 0, "note": 1}
    assert document["summary"]["calls"]["save"] == 3


def test_strict_raises_nothing_that_is_only_known_at_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM, "--strict", "--protect", "--seal")
    assert (done.returncode, done.stdout) == (1, "mine\n")  # S146 is an error
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.pt", "a.pt.holdfast.json", "train.py"]


def test_a_document_that_cannot_be_written(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM, "--json", "nowhere/told.json")
    assert done.returncode == 2 and "folder does not exist" in done.stderr and done.stdout == ""
    gone = "import shutil, os\nshutil.rmtree('gone')\nimport torch\nprint('mine')"
    (tmp_path / "gone").mkdir()
    done = run(tmp_path, gone, "--json", "gone/told.json")
    assert (done.returncode, done.stdout) == (0, "mine\n") and "could not be written" in done.stderr


def test_a_terminal_that_is_gone(tmp_path: Path) -> None:
    program = "import sys, torch\nsys.stderr.close()\ntorch.save({'a': torch.ones(3)}, 'a.pt')\nprint('mine')"
    done = run(tmp_path, program)
    assert (done.returncode, done.stdout) == (0, "mine\n")


def test_the_frameworks_own_log_and_nothing_more_in_the_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("torch.distributed.checkpoint.planner")
    mine = logging.getLogger("mine")

    def chatty(path: str | None) -> None:
        log.debug("planning")
        log.warning("careful")
        mine.debug("never")
        torch.save(state(), path)

    with Guard(Options(framework_log=True)) as guard:
        log.debug("before")
        watched(guard, Call("torch", "dcp.save", "save", str(tmp_path / "a")), chatty)
        log.debug("after")
    told = capsys.readouterr().err
    assert "torch.distributed.checkpoint.planner DEBUG: planning" in told and "careful" in told
    assert not any(word in told for word in ("before", "after", "never"))
    assert [r.message for r in caplog.records] == ["careful"]
    assert log.getEffectiveLevel() == logging.WARNING
