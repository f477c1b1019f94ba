"""The last word on a program that failed: said where its loads were right, and not where anything was wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from holdfast._guard.closing import closing
from holdfast._guard.seen import Seen

WHOLE = {"restored": 4, "of": 4, "unused": []}


def calls(**facts):
    return [
        Seen("torch.save", "save", "train.py:7", "m.pt"),
        Seen("torch.load", "read", "train.py:9", "m.pt"),
        Seen("Module.load_state_dict", "assign", "train.py:9", "m.pt", facts={**WHOLE, **facts}),
    ]


def test_a_metric_that_differs():
    said = closing(calls(), SystemExit("the loss is another"))
    assert said.startswith("The failure is not the checkpoint's: the one load gave back every tensor")
    assert "as train.py:7 saved them" in said
    assert "of the weights before the step's update" in said


def test_another_error_gets_no_word_on_metrics():
    said = closing(calls(), MemoryError("no room"))
    assert "not the checkpoint's" in said
    assert "update" not in said


def test_a_checkpoint_of_another_run():
    said = closing(calls()[1:], AssertionError())
    assert "not the checkpoint's" in said
    assert "saved them" not in said


@pytest.mark.parametrize("ended", [None, SystemExit(), SystemExit(0)])
def test_nothing_of_a_program_that_ended_well(ended):
    assert closing(calls(), ended) == ""


@pytest.mark.parametrize("facts", [{"restored": 3}, {"unused": ["head.bias"]}, {"of": 0, "restored": 0}])
def test_nothing_where_a_load_was_not_whole(facts):
    assert closing(calls(**facts), AssertionError()) == ""


def test_nothing_where_a_call_raised():
    seen = calls()
    seen[1].error = "OSError: no"
    assert closing(seen, AssertionError()) == ""


def test_it_is_printed(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "a.py").write_text(
        textwrap.dedent("""
        import torch
        torch.save(torch.nn.Linear(3, 3).state_dict(), "m.pt")
        torch.nn.Linear(3, 3).load_state_dict(torch.load("m.pt"))
        raise SystemExit("the loss is another")
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "run", "a.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "The failure is not the checkpoint's" in done.stderr
    assert "a.py:3" in done.stderr
