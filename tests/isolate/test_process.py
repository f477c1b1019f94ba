"""``holdfast isolate`` as it is typed: exit codes, saves that hang or end the process, factories that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import holdfast

pytest.importorskip("torch")
TESTS = Path(__file__).resolve().parents[1]


def _typed(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "isolate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )


def _document(*arguments: str, folder: Path | None = None) -> tuple[int, dict[str, Any]]:
    done = _typed(*arguments, "--format", "json", folder=folder)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_what_is_right_gives_0_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = _typed("isolate.torch_faults:right", "--folder", str(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torch.save passes, and what it wrote reads back" in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_hangs_is_named_by_where_it_stands() -> None:
    code, found = _document("isolate.torch_faults:hanging", "--timeout", "3")
    (culprit,) = found["culprits"]
    assert code == 1 and found["verdict"] == "not-saved" and found["complete"]
    assert culprit["path"] == 'checkpoint["x"][1]' and culprit["kind"] == "hang"
    assert "`__getstate__` (torch_faults.py:" in culprit["what"] and "does not come back" in culprit["what"]
    assert (
        culprit["passes_without"]
        and "in __getstate__" in culprit["trace"]
        and "_isolate" not in culprit["trace"]
    )


def test_a_save_that_ends_the_process_hides_nothing_else() -> None:
    code, found = _document("isolate.torch_faults:crashing", "--save", "torch")
    crash, function = found["culprits"]
    assert code == 1 and found["complete"]
    assert (crash["path"], crash["kind"], function["path"]) == (
        'checkpoint["x"][1]',
        "crash",
        'checkpoint["f"]',
    )
    assert "`__reduce__`" in crash["what"] and "SIGABRT" in crash["error"]


def test_a_factory_that_fails_gives_2_and_its_traceback() -> None:
    done = _typed("isolate.torch_faults:failing", "--save", "torch")
    assert done.returncode == 2 and done.stdout == ""
    assert "no data here" in done.stderr and "in failing" in done.stderr


def test_a_factory_that_ends_the_process_gives_2(tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text("import os\n\n\ndef make():\n    os.abort()\n")
    done = _typed("dies:make", "--save", "torch", folder=tmp_path)
    assert (
        done.returncode == 2 and "while the factory ran (SIGABRT)" in done.stderr and "in make" in done.stderr
    )


def test_arguments_go_to_the_factory_and_its_own_output_nowhere(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(
        "print('importing')\n\n\ndef make(width, deep):\n    print('making')\n"
        "    return {'n': [0] * width, 'f': (lambda: 0) if deep else None}\n"
    )
    code, found = _document(
        "made.py:make", "-s", "torch", "--arg", "width=2", "--arg", "deep=True", folder=tmp_path
    )
    assert code == 1 and [c["path"] for c in found["culprits"]] == ['checkpoint["f"]']
    assert found["schema_version"] and found["command"] == "isolate"


def test_from_python_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("def make():\n    return {'a': 1}\n")
    monkeypatch.chdir(tmp_path)
    assert holdfast.isolate("plain:make", "torch").saved
    with pytest.raises(holdfast.UsageError, match="which save"):
        holdfast.isolate("plain:make")
    with pytest.raises(holdfast.UsageError, match="no such save"):
        holdfast.isolate({"a": 1}, "floppy")


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of the size of files")
def test_a_disk_that_refuses_is_not_blamed_on_the_objects(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text(
        "import torch\n\n\ndef make():\n    return {'a': torch.ones(2_000_000), 'b': 1}\n"
    )
    script = "ulimit -f 1000; exec " + " ".join([sys.executable, "-m", "holdfast", "isolate", "large:make"])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and "the scratch folder does not take it" in " ".join(done.stderr.split())


@pytest.mark.long
@pytest.mark.parametrize(
    ("factory", "path", "kind", "method"),
    [
        ("aborting", "model.layers[1]", "crash", "save_own_variables"),
        ("waiting", "model.layers[2]", "hang", "get_config"),
    ],
)
def test_a_layer_that_ends_or_holds_up_the_process(factory: str, path: str, kind: str, method: str) -> None:
    pytest.importorskip("keras")
    code, found = _document(f"isolate.keras_faults:{factory}", "--timeout", "20")
    (culprit,) = found["culprits"]
    assert code == 1 and found["complete"]
    assert (culprit["path"], culprit["kind"]) == (path, kind) and f"`{method}`" in culprit["what"] + culprit[
        "why"
    ]


def test_the_command_offers_every_save_there_is() -> None:
    from holdfast._cli.isolate import command
    from holdfast._isolate.savers import SAVES

    (option,) = [p for p in command.params if p.name == "save"]
    assert tuple(option.type.choices) == SAVES  # type: ignore[attr-defined]
