"""A seal written with the model at hand tells a changed function and changed code later on."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast._compare.compare import compare_catalogs
from holdfast._core.errors import SealError
from holdfast._core.modules import ModuleSpec
from holdfast._frameworks import live_catalog
from holdfast._integrity.architecture import architecture_record, modules_of, modules_of_record
from holdfast._integrity.seal import find_seal, read_seal
from holdfast._layouts.resolve import resolve
from holdfast._record.canonical import write_text
from holdfast._record.schema import dump_record

torch = pytest.importorskip("torch")
nn = torch.nn


def net(stride: int = 1, p: float = 0.1) -> Any:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=stride), nn.ReLU(), nn.Dropout(p), nn.BatchNorm2d(4))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(net().state_dict(), tmp_path / "w.pt")
    return tmp_path / "w.pt"


def against(path: Path, model: Any) -> list[Any]:
    """What comparing the file, with what its seal says, to a live model tells about modules."""
    (target,) = resolve(path)
    with holdfast.open(path) as stored:
        stored.modules = modules_of(stored, find_seal(target))
        delta = compare_catalogs(stored, live_catalog(model=model), depth="header")
    return [d for d in delta.differences if d.code in ("T218", "T219")]


def test_a_bare_state_dict_tells_nothing_and_its_seal_does(weights: Path) -> None:
    assert against(weights, net(stride=2)) == []
    holdfast.seal(weights, model=net())
    assert against(weights, net()) == []
    (found,) = against(weights, net(stride=2))
    assert (found.code, found.b, found.evidence["severity"]) == ("T218", "0", "error")
    (found,) = against(weights, net(p=0.5))
    assert found.evidence["severity"] == "warning"


def test_a_seal_without_architecture_gets_it_and_another_is_refused(weights: Path) -> None:
    first = holdfast.seal(weights)
    bare = Path(first).read_bytes()
    assert holdfast.seal(weights, model=net()) == first
    rich = Path(first).read_bytes()
    assert rich != bare and json.loads(rich)["architecture"]["modules"][1]["class"] == "Conv2d"
    assert holdfast.seal(weights) == first and Path(first).read_bytes() == rich, "the richer one stays"
    with pytest.raises(SealError, match="disagrees") as caught:
        holdfast.seal(weights, model=net(p=0.5))
    assert caught.value.found == "another architecture"
    holdfast.seal(weights, model=net(p=0.5), overwrite=True)
    assert len(against(weights, net())) == 1
    assert holdfast.verify(weights).checkpoints[0].proof == "sealed"


def test_another_model_is_not_vouched_for(weights: Path) -> None:
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(0.1), nn.BatchNorm2d(8), nn.Linear(3, 3))
    with pytest.raises(SealError, match="not the one that was saved"):
        holdfast.seal(weights, model=other)
    assert not Path(str(weights) + ".holdfast.json").exists()
    holdfast.seal(weights, model=other, force=True)


def test_rows_survive_and_nonsense_is_left_out() -> None:
    rows = (
        ModuleSpec("", "Net", "mine", {"scale": 0.5, "sizes": [1, 2]}, "ast1-" + "0" * 64, 0),
        ModuleSpec("a", "ReLU", "torch", {}, None, 1),
    )
    section = json.loads(json.dumps(architecture_record(rows)))
    assert modules_of_record(section) == rows
    section["modules"][1:1] = [None, {"path": 3, "class": "X"}, {"path": "b"}, "text"]
    assert [m.path for m in modules_of_record(section)] == ["", "a"]
    for nonsense in (None, {}, {"modules": 3}, {"modules": {"a": 1}}):
        assert modules_of_record(nonsense) == ()


def test_older_seals_are_read(weights: Path) -> None:
    seal = find_seal(resolve(weights)[0]) or read_seal(holdfast.seal(weights), resolve(weights)[0].store)
    assert seal.record is not None
    document = dump_record(seal.record)
    assert "architecture" not in document
    Path(seal.path).write_bytes(write_text(document))
    assert modules_of(holdfast.open(weights), find_seal(resolve(weights)[0])) == ()


def test_the_files_own_modules_come_first_and_take_the_seals_digests(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "m.pt")
    with holdfast.open(tmp_path / "m.pt") as stored:
        assert [m.class_name for m in stored.modules] == [
            "Sequential",
            "Conv2d",
            "ReLU",
            "Dropout",
            "BatchNorm2d",
        ]
        assert modules_of(stored, None) == stored.modules


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.lin = nn.Linear(3, width)

    def forward(self, x):
        return torch.{activation}(self.lin(x))

def build(width=4):
    return Net(width)

def broken():
    raise RuntimeError("no data today")

def nothing():
    Net()
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdfast", *words], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(textwrap.dedent(MODEL).format(activation="relu"))
    torch.save({"lin.weight": torch.zeros(4, 3), "lin.bias": torch.zeros(4)}, tmp_path / "w.pt")
    return tmp_path


def test_the_command_records_the_users_code(project: Path) -> None:
    done = run(project, "seal", "w.pt", "--for", "shop:build", "--arg", "width=4")
    assert done.returncode == 0, done.stderr
    before = json.loads((project / "w.pt.holdfast.json").read_text())["architecture"]["modules"]
    assert [(m["path"], m["class"]) for m in before] == [("", "Net"), ("lin", "Linear")]
    assert before[0]["code"].startswith("ast1-") and "code" not in before[1]

    (project / "shop.py").write_text("# moved\n" + textwrap.dedent(MODEL).format(activation="relu"))
    done = run(project, "seal", "w.pt", "--for", "shop:build")
    assert done.returncode == 0, "a comment is no other architecture"

    (project / "shop.py").write_text(textwrap.dedent(MODEL).format(activation="sigmoid"))
    done = run(project, "seal", "w.pt", "--for", "shop:build")
    assert done.returncode == 2 and "another architecture" in done.stderr


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("shop:biuld", "Did you mean shop:build?"),
        ("shap:build", "no module named shap"),
        ("shop:broken", "no data today"),
        ("shop:nothing", "returned None"),
        ("shop", "not the name of a factory"),
    ],
)
def test_a_wrong_factory_is_told(project: Path, factory: str, said: str) -> None:
    done = run(project, "seal", "w.pt", "--for", factory)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "holdfast: internal error" not in done.stderr
    assert not (project / "w.pt.holdfast.json").exists()
    if factory == "shop:broken":
        assert 'shop.py", line' in done.stderr and "_cli/factory.py" not in done.stderr
