"""Orbax: leaves that it refuses, and pairs that it mixes up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("orbax.checkpoint")
ODD = (
    "a str",
    "Thing",
    "a function",
    "an array that was deleted",
    "a tracer",
    "a jax.ShapeDtypeStruct",
    "an array of dtype object",
)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """All cases, from one process."""
    tests = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "isolate.orbax_cases"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", ODD)
def test_a_leaf_that_orbax_refuses_is_named(what: str, found: dict[str, Any]) -> None:
    (culprit,) = found[what]["culprits"]
    assert culprit["path"] == "state['params']['odd'][1]" and what in culprit["what"]
    assert culprit["passes_without"] and culprit["alone_fails"] and found[what]["complete"]


def test_two_leaves_that_are_written_under_one_name_are_a_pair(found: dict[str, Any]) -> None:
    (culprit,) = found["pair"]["culprits"]
    assert found["pair"]["verdict"] == "not-read-back" and culprit["passes_without"]
    assert sorted(culprit["together"]) == ["state['a']", "state['a.b']"]


def test_right_trees_are_saved(found: dict[str, Any]) -> None:
    assert found["right"]["verdict"] == "saved" and found["right"]["saves"] == 2
    assert found["fitting"]["save"] == "orbax" and found["fitting"]["verdict"] == "saved"


def test_a_tree_that_jax_cannot_sort_is_at_fault_itself(found: dict[str, Any]) -> None:
    assert [c["path"] for c in found["unsortable"]["culprits"]] == ["state"]
