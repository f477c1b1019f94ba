"""docs/data-contract.md: its code runs as it stands, and its table names the rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._rules.registry import rule_named

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-contract.md"


def preprocess(values: np.ndarray) -> np.ndarray:
    return (values - 5.0) / 3.0


def test_the_code_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    raw = draw.normal(5, 3, (2000, 6)).astype("f4")
    model = {"w": np.zeros(3, "f4")}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)
    assert len(blocks) == 2
    with holdfast.Vault("runs/bert") as vault:
        names: dict[str, Any] = {
            "train_loader": [(preprocess(raw[n : n + 50]), np.arange(n, n + 50) % 3) for n in range(0, 1900, 50)],
            "preprocess": preprocess, "class_to_idx": {"cat": 0, "dog": 1, "eel": 2}, "vault": vault,
        }  # fmt: skip
        exec(compile(blocks[0], "docs/data-contract.md: first", "exec"), names)
        vault.save(1200, model=model, blocking=True)
    assert "label map: 0 cat, 1 dog, 2 eel" in capsys.readouterr().out
    labels = np.arange(64) % 3
    for batch, told in (
        ((preprocess(raw[1900:1964]), labels), ""),
        ((raw[1900:1964], labels), "D410 0 is not normalised"),
    ):
        names |= {"serving_batch": batch}
        exec(compile(blocks[1], "docs/data-contract.md: second", "exec"), names)
        out = capsys.readouterr().out
        assert out.startswith(told) and bool(out) == bool(told), out
    assert holdfast.DataContract.of("runs/bert/step-00001200").summary() == names["contract"].summary()


def test_the_table_names_the_rules() -> None:
    text = PAGE.read_text("utf-8")
    codes = set(re.findall(r"D4\d\d", text))
    assert codes == {f"D4{n:02d}" for n in range(1, 18)}
    assert all(rule_named(code) for code in codes)
