"""``holdfast audit``: arguments, outputs, exit codes; on nested numpy arrays, without a framework."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import holdfast
from cli.test_process import command, environment
from holdfast._cli.group import main

CODE = """
import numpy as np

X = np.random.default_rng(0).normal(size=(40, 3))


def make(scale=1.0):
    return {"w": np.full(3, scale)}


def evaluate(model):
    return {"val_loss": float(((X @ model["w"]) ** 2).mean())}


def both(shift=0.0):
    return make(), lambda model: {"val_loss": evaluate(model)["val_loss"] + shift}


def words():
    return {"model": make(), "evaluate": evaluate, "metrics": {"val_loss": 1.0}}


def wrong():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audited_code.py").write_text(CODE)
    space: dict = {}
    exec(CODE, space)
    model = {"w": np.array([1.0, -2.0, 0.5])}
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, metrics=space["evaluate"](model), blocking=True)
    yield tmp_path
    sys.modules.pop("audited_code", None)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["audit", "run", *arguments])
    return result.exit_code, result.output


def test_reproduced(folder: Path) -> None:
    code, text = run("audited_code:both")
    assert code == 0 and "✔ reproduced: 1 metric" in text
    code, text = run("audited_code:evaluate", "--model", "audited_code:make", "--arg", "scale=2.0")
    assert code == 0 and "reproduced" in text


def test_what_the_evaluation_prints_is_not_our_output(folder: Path) -> None:
    """By `print`, or by a program that it starts."""
    (folder / "loud_code.py").write_text(
        CODE
        + """
import os


def loud():
    os.system("echo said by a child")
    def told(model):
        print("evaluating")
        os.system("echo said by another")
        return evaluate(model)
    return make(), told
"""
    )
    done = subprocess.run(
        command("audit", "run", "loud_code:loud", "--format", "json"),
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["command"] == "audit"
    for words in ("said by a child", "evaluating", "said by another"):
        assert words in done.stderr and words not in done.stdout


def test_a_difference_exits_with_1_and_says_what_was_tried(folder: Path) -> None:
    code, text = run("audited_code:both", "--arg", "shift=0.5")
    assert code == 1
    assert "val_loss differs" in text and "Ruled out:" in text and "M101" in text
    code, text = run("audited_code:both", "--arg", "shift=0.5", "--format", "json")
    document = json.loads(text)
    assert code == 1 and document["command"] == "audit" and document["schema_version"] == 1
    assert document["metrics"][0]["verdict"] == document["verdict"] == "differs"
    assert [f["code"] for f in document["findings"]] == ["M101"]
    assert run("audited_code:both", "--arg", "shift=0.5", "--ignore", "M101")[0] == 0


def test_numbers_that_were_logged_elsewhere(folder: Path) -> None:
    code, text = run("audited_code:both", "--metric", "val_loss=1.5", "--metric", "val_acc=0.5")
    assert code == 1 and "not measured" in text
    assert run("audited_code:words")[0] == 1


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("audited_code:evaluate",), "what makes the model is not known"),
        (("audited_code:wrong",), "neither (model, evaluate)"),
        (("audited_code:both", "--metric", "val_loss"), "NAME=VALUE"),
        (("audited_code:nothing",), "has no nothing"),
        (("audited_code:X", "--model", "audited_code:make"), "no function"),
    ],
)
def test_what_makes_no_sense_exits_with_2(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(main, ["audit", "run", *arguments], standalone_mode=False)
    error = result.exception
    assert error is not None and said in str(error.__cause__)
