"""``holdfast check [CKPT] MODULE:FACTORY``: the factory, what it may return, every way to get it wrong, output and exit
codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner, Result

import holdfast
from cli.test_process import command, environment, safetensors
from holdfast._cli.group import main

Run = Callable[..., Result]

TRAIN = """
import numpy as np


def make(width=4):
    return {"enc": {"w": np.ones((8, width), "f4"), "b": np.ones(width, "f4")},
            "head": {"w": np.ones((width, 2), "f4"), "b": np.ones(2, "f4")}}


def pair(width=4):
    return make(width), {"m": make(width), "v": make(width), "step": np.zeros((), "i8")}


def parts():
    model, optimizer = pair()
    return {"model": model, "optimizer": optimizer}


tree = make()


def loud():
    print("building the model")
    return make()


def required(width, depth):
    return make(width)


def boom():
    return deeper()


def deeper():
    raise ValueError("no data folder")


def inner_type_error():
    return len(3)


def leave():
    raise SystemExit(3)


def none():
    make()


def nones():
    return None, None


class Net:
    pass


def a_class():
    return Net


def unknown():
    return Net()


def a_path():
    return "model.pt"


def five():
    return 1, 2, 3, 4, 5


class Config:
    width = 4

    @classmethod
    def build(cls):
        return make(cls.width)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with ``train.py`` and a checkpoint that fits it, as the working folder; what is imported from it is
    forgotten afterwards."""
    (tmp_path / "train.py").write_text(TRAIN)
    model = {"enc.w": np.ones((8, 4), "f4"), "enc.b": np.ones(4, "f4")}
    model |= {"head.w": np.ones((4, 2), "f4"), "head.b": np.ones(2, "f4")}
    np.savez(tmp_path / "w.npz", **model)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    before, paths = set(sys.modules), list(sys.path)
    yield tmp_path
    for name in set(sys.modules) - before:
        spec = getattr(sys.modules[name], "__spec__", None)
        places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]
    sys.path[:] = paths


@pytest.fixture
def run(project: Path) -> Run:
    return lambda *args: CliRunner().invoke(main, ["check", *args])


def refused(result: Result, *said: str) -> None:
    """Exit code 2, nothing on standard output, and one clear sentence without a frame of ours."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    unwrapped = " ".join(result.stderr.split())
    for text in said:
        assert text in result.stderr or text in unwrapped, result.stderr
    assert "holdfast/_" not in result.stderr
    assert "bug of Holdfast" not in result.stderr


# -- what fits ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["make", "tree", "loud", "Config.build"])
def test_a_function_an_object_and_a_method(run: Run, name: str) -> None:
    for factory in (f"train:{name}", f"train.py:{name}", f"./train.py:{name}"):
        result = run("w.npz", factory)
        assert result.exit_code == 0, result.output
        assert "fits · file sound" in result.stdout
        assert "4 of 4 live tensors would be restored" in result.stdout


def test_what_the_factory_prints_is_not_our_output(run: Run) -> None:
    result = run("w.npz", "train:loud", "--format", "json")
    document = json.loads(result.stdout)
    assert document["checkpoints"][0]["attributes"]["fits"] is True
    assert "building the model" in result.stderr


def test_arguments_reach_the_factory(run: Run) -> None:
    result = run("w.npz", "train:make", "--arg", "width=5", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["checkpoints"][0]
    assert {f["code"] for f in found["findings"] if f["severity"] == "error"} == {"T203"}
    assert found["attributes"]["restores"] == 1
    assert found["attributes"]["of"] == 4
    assert run("w.npz", "train:make", "--arg", "width=4").exit_code == 0


@pytest.mark.parametrize("name", ["pair", "parts"])
def test_a_tuple_and_a_dict_are_parts(run: Run, name: str) -> None:
    result = run("w.npz", f"train:{name}")
    assert result.exit_code == 1
    assert (
        "the checkpoint holds no optimizer state; the live optimizer wants 9 tensors of it" in result.stdout
    )
    assert run("w.npz", f"train:{name}", "--allow", "reset-slots:*").exit_code == 0


def test_without_a_checkpoint(run: Run) -> None:
    result = run("train:pair")
    assert result.exit_code == 0
    assert "train:pair  ready" in result.stdout
    assert "the next step will run" in result.stdout


# -- files and packages ------------------------------------------------------------------------------------
def test_a_file_of_a_package_imports_what_lies_beside_it(project: Path, run: Run) -> None:
    for folder in ("pkg", "pkg/models"):
        (project / folder).mkdir()
        (project / folder / "__init__.py").touch()
    (project / "pkg" / "sizes.py").write_text("WIDTH = 4\n")
    text = "from ..sizes import WIDTH\nimport train\n\ndef make():\n    return train.make(WIDTH)\n"
    (project / "pkg" / "models" / "net.py").write_text(text)
    for factory in ("pkg.models.net:make", "pkg/models/net.py:make", str(project / "pkg/models/net.py:make")):
        assert run("w.npz", factory).exit_code == 0


def test_relative_imports_of_a_folder_that_is_no_package(project: Path, run: Run) -> None:
    (project / "loose").mkdir()
    (project / "loose" / "sizes.py").write_text("WIDTH = 4\n")
    (project / "loose" / "net.py").write_text(
        "import train\nfrom .sizes import WIDTH\n\ndef make():\n    return train.make(WIDTH)\n"
    )
    assert run("w.npz", "loose/net.py:make").exit_code == 0


def test_a_file_is_the_file_that_was_named(project: Path, run: Run) -> None:
    """Not a module of the same name that is loaded already, or lies nearer; nor need its name be an identifier."""
    other = TRAIN.replace("width=4", "width=7")
    (project / "sub").mkdir()
    for name in ("json.py", "train.py", "my-train.py"):
        (project / "sub" / name).write_text(other)
    assert run("w.npz", "train.py:make").exit_code == 0
    for name in ("json.py", "train.py", "my-train.py"):
        result = run("w.npz", f"sub/{name}:make")
        assert result.exit_code == 1, result.output
        assert "(8, 7) in the model" in result.stdout
    assert run("w.npz", "train.py:make").exit_code == 0
    assert sys.modules["json"] is json


# -- a wrong factory -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("train", "the last argument names no factory"),
        ("train:", "the last argument names no factory"),
        (":make", "the last argument names no factory"),
        ("train:make()", "Without the brackets: train:make"),
        ("train:make:x", "the last argument names no factory"),
        ("train:ma ke", "the last argument names no factory"),
        ("w.npz", "`holdfast doctor` examines a checkpoint alone"),
        ("nosuch:make", "no module named nosuch"),
        ("train.nosuch:make", "no module named train.nosuch"),
        ("nosuch.py:make", "no such file: nosuch.py"),
        ("trian.py:make", "Did you mean train.py?"),
        ("train:maek", "Did you mean train:make?"),
        ("train:Config.bulid", "train has no Config.bulid"),
        ("os:path", "is a module, no factory"),
        ("train:none", "returned None"),
        ("train:nones", "nothing but None"),
        ("train:a_class", "model= is a class, not an object made of it"),
        ("train:unknown", "model= is of a kind that is not known"),
        ("train:a_path", "model= is a text"),
        ("train:five", "a tuple of too many parts"),
        ("train:required", "cannot be called so"),
    ],
)
def test_a_wrong_factory(run: Run, factory: str, said: str) -> None:
    refused(run("w.npz", factory), said)


def test_the_arguments_that_a_factory_wants_are_told(run: Run) -> None:
    refused(run("w.npz", "train:required"), "expected  required(width, depth)", "--arg NAME=VALUE")
    refused(
        run("w.npz", "train:make", "--arg", "depth=3"), "unexpected keyword argument 'depth'", "make(width=4)"
    )
    refused(run("w.npz", "train:make", "--arg", "width"), "has the form NAME=VALUE")


def test_a_factory_that_raises_shows_the_users_frames_alone(run: Run) -> None:
    result = run("w.npz", "train:boom")
    refused(result, "train:boom raised ValueError", "no data folder", "in boom", "in deeper")
    refused(run("w.npz", "train:inner_type_error"), "raised TypeError", "in inner_type_error")
    refused(run("w.npz", "train:leave"), "train:leave raised SystemExit", "in leave")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "def f():\n    raise RuntimeError('no GPU')\nf()\n",
            ["importing broken raised RuntimeError", "in f", "no GPU"],
        ),
        ("def make(:\n", ["importing broken raised SyntaxError", "broken.py", "def make(:"]),
        (
            "import a_module_that_is_not_there\n",
            ["needs the module a_module_that_is_not_there", "pip install"],
        ),
        ("raise SystemExit(2)\n", ["importing broken raised SystemExit"]),
        ("from train import nothing\n", ["importing broken raised ImportError", "nothing"]),
    ],
)
def test_a_module_that_cannot_be_imported(project: Path, run: Run, text: str, said: list[str]) -> None:
    (project / "broken.py").write_text(text)
    for factory in ("broken:make", "broken.py:make"):
        refused(run("w.npz", factory), *said)
        assert "importlib" not in run("w.npz", factory).stderr
        assert "broken" not in sys.modules


@pytest.mark.parametrize(
    ("framework", "extra"), [("torch", "torch"), ("keras", "tensorflow"), ("optax", "jax")]
)
def test_a_framework_that_is_not_installed(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch, framework: str, extra: str
) -> None:
    (project / "needy.py").write_text(f"import {framework}\n")
    monkeypatch.setitem(sys.modules, framework, None)  # as the import system remembers that it is not there
    result = run("w.npz", "needy:make")
    refused(result, f"needs the module {framework}, which is not installed", f"holdfast[{extra}]")


def test_the_order_of_the_arguments(run: Run) -> None:
    refused(run("train:make", "w.npz"), "The checkpoint comes first: holdfast check w.npz train:make")
    refused(run("w.npz", "w.npz", "train:make"), "one checkpoint and one factory")
    assert run().exit_code == 2


# -- a wrong checkpoint --------------------------------------------------------------------------------------
def test_a_path_that_is_not_there(run: Run) -> None:
    refused(run("v.npz", "train:make"), "nothing lies at that path", "Did you mean w.npz?")


def test_several_checkpoints_in_a_folder(project: Path, run: Run) -> None:
    safetensors(project / "other.safetensors", {"a": 4})
    refused(run(".", "train:make"), "2 checkpoints lie in this folder")


def test_the_checkpoint_of_another_model_is_one_sentence(project: Path, run: Run) -> None:
    safetensors(project / "other.safetensors", {f"block.{i}.attn": 9 for i in range(10)})
    result = run("other.safetensors", "train:make", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["checkpoints"][0]
    assert [f["code"] for f in found["findings"]] == ["T223"]
    assert "this is a checkpoint of another model: none of the 4 weights" in found["findings"][0]["message"]
    assert found["attributes"]["plan"] == [], "there is no plan that makes this model of that"


def test_a_file_that_is_cut_off(project: Path, run: Run) -> None:
    whole = safetensors(project / "cut.safetensors", {"enc.b": 4, "head.b": 2})
    whole.write_bytes(whole.read_bytes()[:-6])
    (project / "small.py").write_text(
        "import numpy as np\n\ndef make():\n    return {'enc': {'b': np.ones(4, 'f4')}, 'head': {'b': np.ones(2, 'f4')}}\n"
    )
    result = run("cut.safetensors", "small:make")
    assert result.exit_code == 1
    assert "fits · file damaged" in result.stdout
    assert "1 of 2 live tensors would be restored; 1 more is lost in the file" in result.stdout


@pytest.mark.parametrize(
    ("content", "verdict", "slug"),
    [
        (bytes(200), "lost", "zero-file"),
        (b"<!DOCTYPE html><html></html>", "lost", "html-page"),
        (b"hello world, this is text\n" * 10, "unknown", "not-recognised"),
        (b"", "lost", "empty-file"),
    ],
)
def test_what_is_no_checkpoint(project: Path, run: Run, content: bytes, verdict: str, slug: str) -> None:
    (project / "x.pt").write_bytes(content)
    result = run("x.pt", "train:make", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)["checkpoints"][0]
    assert (found["verdict"], [f["slug"] for f in found["findings"]]) == (verdict, [slug])
    assert "the live model: there is nothing here to hold against it" in found["not_looked_at"]


# -- plans ---------------------------------------------------------------------------------------------------
def test_a_plan_is_written_and_taken(project: Path, run: Run) -> None:
    result = run("w.npz", "train:make", "--arg", "width=5", "--write-plan", "plan.toml")
    assert result.exit_code == 1
    assert "settled by" in result.stdout
    text = (project / "plan.toml").read_text()
    assert "target = 'train:make'" in text
    assert "'pad:enc/b:(5)'" in text
    assert run("w.npz", "train:make", "--arg", "width=5", "--plan", "plan.toml").exit_code == 0
    printed = run("w.npz", "train:make", "--arg", "width=5", "--write-plan", "-")
    assert printed.stdout == text
    assert printed.exit_code == 1


def test_edits_and_plans_that_make_no_sense(project: Path, run: Run) -> None:
    (project / "bad.toml").write_text("junk [")
    (project / "bytes.toml").write_bytes(b"\xff\xfe")
    refused(run("w.npz", "train:make", "--allow", "nonsense"), "cannot read the edit 'nonsense'")
    refused(run("w.npz", "train:make", "--plan", "bad.toml"), "bad.toml", "cannot read the edit")
    refused(run("w.npz", "train:make", "--plan", "bytes.toml"), "bytes.toml", "the file is not text")
    refused(run("w.npz", "train:make", "--plan", "gone.toml"), "gone.toml", "No such file")
    refused(run("w.npz", "train:make", "--write-plan", "p", "--output", "p"), "name one file")
    note = run("w.npz", "train:make", "--allow", "drop:zzz*")
    assert note.exit_code == 0
    assert "the edit `drop:zzz*` covers nothing" in note.stdout


@pytest.mark.parametrize(
    "option", [("--allow", "drop:x"), ("--plan", "p"), ("--write-plan", "-"), ("--target", "keras==3.15")]
)
def test_what_speaks_of_a_checkpoint_needs_one(run: Run, option: tuple[str, str]) -> None:
    refused(run("train:make", *option), f"{option[0]} speaks of a checkpoint, and none is named")


# -- other readers -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["keras", "keras==", "keras==new", "kears==3.15.0", "keras>=3", "==3"])
def test_a_reader_that_is_none(run: Run, text: str) -> None:
    refused(run("w.npz", "train:make", "--target", text), "no reader of that form", "keras==3.15")


def test_another_reader_is_judged(project: Path, run: Run) -> None:
    """A file of the zip container, under a torch that does not know it, and under one that does."""
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(3)}, project / "w.pt")
    (project / "one.py").write_text("import torch\n\ndef make():\n    return {'w': torch.ones(3)}\n")
    old = run("w.pt", "one:make", "--target", "torch==1.5.0", "--format", "json")
    new = run("w.pt", "one:make", "--target", "torch==2.5.0", "--format", "json")
    told = [{f["code"] for f in json.loads(r.stdout)["checkpoints"][0]["findings"]} for r in (old, new)]
    assert any(code.startswith("E") for code in told[0]), told
    assert not told[1]


# -- output and exit codes -----------------------------------------------------------------------------------
@pytest.mark.parametrize("format", ["text", "json", "sarif", "github"])
def test_every_format(run: Run, format: str) -> None:
    for arguments in (("w.npz", "train:make", "--arg", "width=5"), ("w.npz", "train:make"), ("train:pair",)):
        result = run(*arguments, "--format", format)
        assert result.exit_code == ("width=5" in arguments), result.output
        if format in ("json", "sarif"):
            json.loads(result.stdout)
        if format == "github" and "width=5" in arguments:
            assert result.stdout.startswith("::error file=w.npz,title=T203 other-shape::")
            assert result.stdout.count("\n") == len(result.stdout.splitlines()) >= 3


def test_annotations_of_live_objects_stand_at_the_factorys_file(project: Path, run: Run) -> None:
    (project / "fixed.py").write_text(
        "import numpy as np\n\ndef make():\n    w = np.ones(3)\n    w.flags.writeable = False\n    return {'w': w}\n"
    )
    for factory in ("fixed:make", "fixed.py:make"):
        result = run(factory, "--format", "github")
        assert result.exit_code == 1
        assert result.stdout.startswith("::error file=fixed.py,title=T222 not-writable::")
        sarif = json.loads(run(factory, "--format", "sarif").stdout)
        place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "fixed.py"


def test_select_ignore_and_fail_on(run: Run) -> None:
    misfit = ("w.npz", "train:make", "--arg", "width=5")
    assert run(*misfit).exit_code == 1
    assert run(*misfit, "--ignore", "T203").exit_code == 0
    assert run(*misfit, "--ignore", "other-shape").exit_code == 0
    assert run(*misfit, "--select", "O").exit_code == 0
    assert run(*misfit, "--select", "T2").exit_code == 1
    assert run(*misfit, "--fail-on", "never").exit_code == 0
    unused = ("w.npz", "train:make", "--allow", "drop:zzz")
    assert run(*unused, "--fail-on", "note").exit_code == 1
    assert run(*unused, "--fail-on", "warning").exit_code == 0
    assert run("w.npz", "train:make", "--fail-on", "note").exit_code == 0, "dots and slashes are one name"
    refused(run(*misfit, "--ignore", "Q999"), "Q999")


# -- frameworks ----------------------------------------------------------------------------------------------
TORCH = """
import torch


class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.a, self.b = torch.nn.Linear(8, width), torch.nn.Linear(width, 2)

    def forward(self, x):
        return self.b(self.a(x))


def make(width=4):
    return Net(width)


def pair(width=4):
    model = make(width)
    return model, torch.optim.Adam(model.parameters(), 1e-3)


def parts():
    model, optimizer = pair()
    return {"model": model, "optimizer": optimizer, "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3)}


def optimizer():
    return pair()[1]


def stale():
    return make(), pair()[1]


def swapped():
    return pair()[::-1]


def two_models():
    return make(), make()


def gan():
    return {"generator": make(), "critic": make()}


def other_words():
    model, optimizer = pair()
    return {"net": model, "optim": optimizer}


def optimizer_class():
    return make(), torch.optim.Adam


def optimizer_text():
    return make(), "adam"


def meta():
    with torch.device("meta"):
        return Net()


def lazy():
    return torch.nn.Sequential(torch.nn.LazyLinear(4))


def trained():
    model, optimizer = pair()
    model(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    return model, optimizer
"""


@pytest.fixture
def torches(project: Path) -> ModuleType:
    torch = pytest.importorskip("torch")
    (project / "net.py").write_text(TORCH)
    space: dict = {"__name__": "net_of_the_test"}
    exec(compile(TORCH, "net.py", "exec"), space)
    model, optimizer = space["trained"]()
    torch.save(model.state_dict(), project / "w.pt")
    torch.save(optimizer.state_dict(), project / "o.pt")
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, project / "full.pt"
    )
    torch.save(torch.nn.Conv2d(3, 3, 3).state_dict(), project / "conv.pt")
    return torch


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("w.pt", "net:make"), 0, "4 of 4 live tensors"),
        (("full.pt", "net:make"), 0, "optimizer (12 tensors): not asked for"),
        (("full.pt", "net:pair"), 0, "16 of 16 live tensors"),
        (("o.pt", "net:optimizer"), 0, "12 of 12 live tensors"),
        (("w.pt", "net:pair"), 1, "the checkpoint holds no optimizer state"),
        (("full.pt", "net:parts"), 1, "settled by     keep-live:scheduler/*"),
        (("full.pt", "net:parts", "--allow", "keep-live:scheduler/*"), 0, "16 of 16 live tensors"),
        (("conv.pt", "net:make"), 1, "this is a checkpoint of another model"),
        (("o.pt", "net:make"), 1, "the checkpoint holds no weights of a model"),
        (
            ("w.pt", "net:gan"),
            1,
            "`a.weight` of the checkpoint could be `generator/a.weight`, `critic/a.weight`",
        ),
        (("w.pt", "net:lazy"), 1, "the model is not built"),
        (("w.pt", "net:meta"), 1, "on the meta device"),
        (("net:meta",), 1, "on the meta device"),
        (("net:pair",), 0, "the next step will run"),
        (("net:stale",), 0, "the next step will run, but"),
        (("net:stale", "--fail-on", "warning"), 1, "are trainable and in no optimizer"),
        (("net:lazy", "--fail-on", "warning"), 1, "without parameters until the first call"),
    ],
)
def test_torch(torches: ModuleType, run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run(*arguments)
    assert said in " ".join(result.stdout.split()) or said in result.stdout, result.output
    assert result.exit_code == code
    assert result.stdout.count("O310 not-built") == ("net:lazy" in arguments), "told once"


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("swapped", "model= is an optimizer"),
        ("two_models", "optimizer= is a model"),
        ("other_words", "a dict with an optimizer (`optim`) and no `model`"),
        ("optimizer_class", "optimizer= is a class"),
        ("optimizer_text", "optimizer= is a text"),
    ],
)
def test_torch_parts_that_are_mixed_up(torches: ModuleType, run: Run, factory: str, said: str) -> None:
    refused(run("full.pt", f"net:{factory}"), said)


# -- as a process --------------------------------------------------------------------------------------------
def process(project: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("check", *arguments), capture_output=True, text=True, cwd=project, env=environment(**more), timeout=180,
        check=False,
    )  # fmt: skip


def test_the_installed_command(project: Path) -> None:
    """Its own working folder is importable, as with ``python -m``; and no framework is imported for numpy trees."""
    (project / "quiet.py").write_text(
        "import sys\nimport train\n\ndef make():\n    assert not {'torch', 'tensorflow', 'jax'} & set(sys.modules)\n"
        "    return train.make()\n"
    )
    done = process(project, "w.npz", "quiet:make", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["checkpoints"][0]["attributes"]["restores"] == 4
    done = process(project, "w.npz", "train:boom")
    assert done.returncode == 2
    assert "holdfast/_" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(
    find_spec("keras") is None or find_spec("tensorflow") is None, reason="needs Keras and TensorFlow"
)
def test_keras(project: Path) -> None:
    """One process that saves, and one that checks: a fit, a misfit, another reader, an unbuilt model."""
    (project / "knet.py").write_text(
        """
import keras
from keras import layers


def make(units=4, built=True):
    model = keras.Sequential([layers.Dense(units, name="a"), layers.Dense(2, name="b")])
    if built:
        model.build((None, 8))
    return model


def pair(units=4, built=True):
    model = make(units, built)
    optimizer = keras.optimizers.Adam(1e-3)
    if built:
        optimizer.build(model.trainable_variables)
    return model, optimizer


def compiled(foreign=False):
    model = make()
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    model.optimizer.build(make().trainable_variables if foreign else model.trainable_variables)
    return model


if __name__ == "__main__":
    import json, sys
    from click.testing import CliRunner
    from holdfast._cli.group import main

    make().save_weights("k.weights.h5")
    make().save("k.keras")
    told = []
    for arguments in json.load(sys.stdin):
        result = CliRunner().invoke(main, ["check", *arguments])
        told.append((result.exit_code, result.stdout, result.stderr))
    sys.stdout.write("ANSWER" + json.dumps(told))
"""
    )
    asked = [
        ["k.weights.h5", "knet:make"],
        ["k.keras", "knet:make"],
        ["k.keras", "knet:make", "--target", "keras==3.15.0"],
        ["k.keras", "knet:make", "--target", "keras==2.10.0"],
        ["k.weights.h5", "knet:make", "--arg", "units=5"],
        ["k.weights.h5", "knet:make", "--arg", "built=False"],
        ["knet:pair"],
        ["k.weights.h5", "knet:pair"],
        ["knet:compiled"],
        ["k.weights.h5", "knet:compiled"],
        ["k.weights.h5", "knet:compiled", "--arg", "foreign=True"],
    ]
    done = subprocess.run(
        [sys.executable, "knet.py"], input=json.dumps(asked), capture_output=True, text=True, cwd=project,
        env=environment(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2"), timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.split("ANSWER")[1])
    assert [code for code, _, _ in told] == [0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1], told
    assert "4 of 4 live tensors" in told[0][1]
    assert "(8, 4) in the checkpoint and (8, 5) in the model" in told[4][1]
    assert "not built" in told[5][1]
    assert "the next step will run" in told[6][1]
    assert "holds no optimizer state" in told[7][1]
    assert all(
        "`model.optimizer`, found in the compiled model" in " ".join(text.split()) for _, text, _ in told[8:]
    )
    assert (
        "no optimizer was given" in " ".join(told[0][1].split())
        and "live tensors would be restored" in told[9][1]
    )
    assert "the next step will fail" in " ".join(told[10][1].split()), told[10][1]


def test_the_working_folder_is_left_alone(project: Path, run: Run) -> None:
    before = sorted(os.listdir(project))
    run("w.npz", "train:make")
    assert [name for name in sorted(os.listdir(project)) if name != "__pycache__"] == before
    assert holdfast.check("w.npz", model=__import__("train").make()).verdict == "sound"
