"""Each script of ``examples/failures`` under `holdfast run`: the true cause is told, and nothing of its repaired twin.

A few are run in `make test`, all in `make test-long`; the pages in ``docs/failures`` must hold the telling words of every one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "examples" / "failures"
PAGES = ROOT / "docs" / "failures"
ALL = [pytest.mark.long]


def _generator():
    spec = importlib.util.spec_from_file_location("generate_failures", ROOT / "docs" / "generate_failures.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pages = _generator()


class Expect(NamedTuple):
    """``code``: the program's own exit code. ``says``: words that what is printed must hold. ``findings``: codes of errors and
    warnings, all of them. ``label``: of the first cause of the error, where one is told."""

    code: int
    says: tuple[str, ...]
    findings: tuple[str, ...] = ()
    label: str = ""


EXPECTED = {
    "add_layer_then_restore": Expect(1, ("puts a number behind the name", "ckpt-1"), label="not-found"),
    "add_layer_then_restore_by_number": Expect(1, ("this comes from tf.train.Checkpoint.restore",), ("T201", "O301")),
    "layer_dtype": Expect(1, ("this is no checkpoint failure: the dtype of a Keras layer is fixed",)),
    "layer_dtype_float16_model": Expect(1, ("TensorFlow casts nothing", "mixed_float16"), ("T204",), "dtype-mismatch"),
    "learning_rate_then_restore": Expect(0, ("0.1", "0.001", "the checkpoint's value replaced it"), ("O207",)),
    "torch_upgrade": Expect(1, ("argparse.Namespace", "vars(args)"), label="unsafe-pickle"),
    "missing_layer": Expect(0, ("2 tensors of the checkpoint went nowhere", "linear2")),
    "normalized_data": Expect(0, ("normalized already", "bit for bit", "a batch's own mean")),
    "training_loss_then_save": Expect(1, ("The failure is not the checkpoint's", "before the step's update")),
    "validation_loss_then_save": Expect(1, ("nothing was saved", "checkpoint_epoch_1.weights.h5"), label="format-mismatch"),
    "model_checkpoint": Expect(1, ("ModelCheckpoint refuses the name", ".weights.h5"), label="format-mismatch"),
    "mirrored_strategy": Expect(1, ("this is no checkpoint failure", "strategy.run")),
    "layer_added_assert_consumed": Expect(0, ("puts a number behind the name", "ckpt-1"), label="not-found"),
    "async_checkpoint": Expect(1, ("no public module", "experimental_enable_async_checkpoint"), label="version-mismatch"),
    "threads_save_one_checkpoint": Expect(0, ("while another thread was in tf.train.Checkpoint.save",), ("S144",)),
    "deferred_restore_subclassed": Expect(
        0, ("was put off until the variables exist", "has 2 variables called 'kernel'"), ("T232", "O303")
    ),
    "optimizer_order_restore": Expect(0, ("a/kernel holds the values of sequential/b/kernel",), ("T231",)),
    "layer_names_ignored": Expect(0, ("decoder/kernel holds the values of sequential/encoder/kernel",), ("T231",)),
}  # fmt: skip
IN_EVERY_RUN = ("torch_upgrade", "missing_layer", "deferred_restore_subclassed")


class Run(NamedTuple):
    """What a guarded run gave."""

    code: int
    said: str
    document: dict


def guarded(name: str, folder: Path) -> Run:
    """Run a script under `holdfast run` in ``folder``."""
    if "torch" not in (source := (SCRIPTS / f"{name}.py").read_text()):
        pytest.importorskip("tensorflow")
    elif "import torch" in source:
        pytest.importorskip("torch")
    shutil.copy(SCRIPTS / f"{name}.py", folder)
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "run", "--json", "seen.json", f"{name}.py"],
        cwd=folder, env={**os.environ, **pages.QUIET}, text=True, capture_output=True, timeout=280, check=False,
    )  # fmt: skip
    return Run(done.returncode, " ".join(done.stderr.split()), json.loads((folder / "seen.json").read_text()))


def scripts(names):
    return [pytest.param(name, marks=[] if name in IN_EVERY_RUN else ALL) for name in names]


@pytest.mark.parametrize("name", scripts(EXPECTED))
def test_the_true_cause_is_told(name, tmp_path):
    expected, run = EXPECTED[name], guarded(name, tmp_path)
    assert run.code == expected.code, run.said
    for words in expected.says:
        assert words in run.said
    found = {f["code"] for call in run.document["calls"] for f in call["findings"] if f["severity"] != "note"}
    assert found >= set(expected.findings)
    if expected.label:
        told = [call["facts"].get("diagnosis", [""])[0] for call in run.document["calls"] if call["error"]]
        assert expected.label in told or f"holdfast: {expected.label} (" in run.said


@pytest.mark.parametrize("name", scripts(EXPECTED))
def test_the_repaired_twin_runs_clean(name, tmp_path):
    if name in pages.TWINS:
        pytest.skip(f"shares the twin of {pages.TWINS[name]}")
    run = guarded(f"{name}_repaired", tmp_path)
    found = [
        f["message"] for call in run.document["calls"] for f in call["findings"] if f["severity"] != "note"
    ]
    assert (run.code, found) == (0, [])
    assert [call["error"] for call in run.document["calls"] if call["error"]] == []
    assert "Traceback" not in run.said
    assert run.document["summary"]["closing"] == ""


def test_every_script_has_a_story_and_a_twin():
    names = {path.stem for path in SCRIPTS.glob("*.py")}
    assert set(EXPECTED) == set(pages.ORDER)
    assert names == set(pages.ORDER) | {pages.story(name).twin for name in pages.ORDER}
    for name in pages.ORDER:
        told = pages.story(name)
        assert all((told.title, told.do, told.told, told.true))


def test_the_pages_are_of_these_scripts():
    assert pages.stale() == [], "run `python docs/generate_failures.py`"


@pytest.mark.parametrize("name", EXPECTED)
def test_the_page_holds_what_the_run_says(name):
    text = " ".join((PAGES / f"{name}.md").read_text().split())
    for words in EXPECTED[name].says:
        assert words in text


def test_what_differs_from_machine_to_machine_is_left_out():
    text = (
        "I0000 00:00:1795269089.680667 15802 port.cc:153] oneDNN custom operations are on.\n"
        "Traceback (most recent call last):\n"
        '  File "/some/where/x.py", line 3, in <module>\n'
        "    load()\n"
        "ValueError: no /some/where/ckpt in <Thing object at 0x7f232d348b50>\n"
    )
    assert pages.neutral(text, "/some/where") == (
        "Traceback (most recent call last):\n  ...\nValueError: no ./ckpt in <Thing object at 0x…>"
    )
