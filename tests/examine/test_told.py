"""What a report, an outcome and a diagnosis look like where a person prints them, or ends a notebook's cell with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import holdfast

pytest.importorskip("safetensors")
from safetensors.numpy import save_file


class Printer:
    """As IPython's: it is given the text."""

    def __init__(self, thing: object) -> None:
        self.shown = ""
        thing._repr_pretty_(self, False)  # type: ignore[attr-defined]

    def text(self, text: str) -> None:
        self.shown += text


def test_a_report_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": np.ones((3, 2), np.float32)}, path)
    live = {"w": np.zeros((4, 2), np.float32), "b": np.zeros(4, np.float32)}
    report = holdfast.check(path, model=live)
    lines = str(report).splitlines()
    assert lines[0].startswith(f"{path} (safetensors): does not fit, file sound")
    assert ": fits, file sound" in str(holdfast.check(path, model={"w": np.zeros((3, 2), np.float32)}))
    assert str(holdfast.examine(path)).startswith(f"{path} (safetensors): sound")
    errors = [f for f in report.findings if f.severity == "error"]
    assert errors and lines[1] == f"  error {errors[0].code}: {errors[0].message}"
    assert all(f.message in str(report) for f in report.findings)
    assert Printer(report).shown == Printer(report.checkpoints[0]).shown == str(report)
    both = holdfast.examine([path, path])
    assert str(both).count(str(path)) >= 2


def test_an_outcome_and_a_diagnosis_are_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": np.ones((3, 2), np.float32)}, path)
    outcome = holdfast.restore(path, model={"w": np.zeros((3, 2), np.float32)})
    assert Printer(outcome).shown == outcome.summary
    found = holdfast.diagnose("_pickle.UnpicklingError: invalid load key, 'v'.")
    assert Printer(found).shown == found.summary
