"""What a save records besides the values, and gives back: metrics with meaning, environment, code, random state."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Metric, Vault
from holdfast._record.random_state import random_state
from holdfast._vault.contents.recording import CODE
from holdfast._vault.folder.listing import record_of


def model() -> dict[str, np.ndarray]:
    return {"w": np.arange(6, dtype="f4")}


def saved(run: Path, **given: Any) -> Any:
    with Vault(run) as vault:
        vault.save(3, model=model(), blocking=True, **given)
        (step,) = vault.checkpoints()
        return record_of(step.path)


def test_environment_and_metrics_stand_in_the_record(tmp_path: Path) -> None:
    metrics = {
        "val_loss": Metric("val_loss", 0.5, kind="evaluation", step=3, data="val"),
        "loss": 1,
        "bad": np.nan,
    }
    record = saved(tmp_path / "run", metrics=metrics)
    assert record.metrics == {"val_loss": 0.5, "loss": 1.0, "bad": "nan"}
    assert record.measured == {"val_loss": {"kind": "evaluation", "step": 3, "data": "val"}}
    assert record.environment["python"]["version"] == sys.version.split()[0]
    assert "code" not in record.environment, "where git tells nothing, nothing is said of the code"


def test_later_metrics_keep_their_meaning(tmp_path: Path) -> None:
    saved(tmp_path / "run")
    vault = Vault(tmp_path / "run")
    vault.annotate(3, metrics=[Metric("f1", 0.9, kind="evaluation", step=3, weights="ema")])
    row = json.loads((tmp_path / "run/step-00000003/metrics.jsonl").read_text())
    assert row["metrics"] == {"f1": 0.9}
    assert row["measured"] == {"f1": {"kind": "evaluation", "step": 3, "weights": "ema"}}
    assert vault.checkpoints()[0].metrics == {"f1": 0.9}


def test_a_metric_of_another_step_that_retention_goes_by_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Vault(tmp_path / "run", keep=Keep(best=1, by="val_loss")) as vault, caplog.at_level(logging.WARNING):
        vault.save(
            3, model=model(), metrics=[Metric("val_loss", 1, kind="evaluation", step=3)], blocking=True
        )
        assert not caplog.records
        vault.save(
            4, model=model(), metrics=[Metric("val_loss", 1, kind="evaluation", step=3)], blocking=True
        )
    assert "measured at step 3" in caplog.text


_TRAIN = """
import json, os, random, sys, traceback
import numpy as np
import torch
from holdfast import Vault

def train(folder, word):
    torch.manual_seed(0); random.seed(0); np.random.seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters())
    vault = Vault(folder)
    start = 0
    if word == "resume":
        torch.rand(7); np.random.rand(3); random.random()
        outcome = vault.restore(model=model, optimizer=optimizer)
        assert [f.code for f in outcome.findings if f.code == "R202"] == [], outcome.findings
        start = outcome.step
    for step in range(start, 6):
        x = torch.randn(16, 4) * random.random() + float(np.random.rand())
        optimizer.zero_grad(); model(x).pow(2).mean().backward(); optimizer.step()
        if step + 1 == 3 and word == "stop":
            vault.save(3, model=model, optimizer=optimizer); vault.close()
            return
    vault.close()
    print(json.dumps([word, *(float(p.double().sum()) for p in model.parameters())]), flush=True)

for folder, word in (("a", "whole"), ("b", "stop"), ("b", "resume")):  # processes of their own, after one import
    child = os.fork()
    if child == 0:
        try:
            train(f"{sys.argv[1]}/{folder}", word)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, word
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_dropout_and_shuffles_go_on_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (first, *whole), (second, *resumed) = map(json.loads, done.stdout.splitlines())
    assert (first, second) == ("whole", "resume")
    assert resumed == whole


def test_random_state_is_put_back_where_training_goes_on(tmp_path: Path) -> None:
    saved(tmp_path / "run")
    expected = random.random(), np.random.rand()
    vault = Vault(tmp_path / "run")
    vault.restore(model=model(), random_state=True)
    assert (random.random(), np.random.rand()) == expected
    vault.restore(model=model())
    assert (random.random(), np.random.rand()) != expected, (
        "a restore for evaluation leaves the generators alone"
    )


def test_saving_draws_nothing(tmp_path: Path) -> None:
    before = random_state()
    saved(tmp_path / "run")
    after = random_state()
    assert np.array_equal(before["python"][1], after["python"][1])
    assert np.array_equal(before["numpy"]["state"]["key"], after["numpy"]["state"]["key"])
    assert before["numpy"]["state"]["pos"] == after["numpy"]["state"]["pos"]


_SAVE = """
import sys, {0}, numpy as np, holdfast
with holdfast.Vault(sys.argv[1]) as vault:
    vault.save(3, model={{'w': np.ones(6, 'f4')}})
"""
_LOAD = """
import sys, numpy as np, holdfast
outcome = holdfast.Vault(sys.argv[1]).restore(model={'w': np.zeros(6, 'f4')}, random_state=True)
assert "torch" not in sys.modules
print([f.message for f in outcome.findings if f.code == "R202"])
"""


@pytest.mark.parametrize(("loaded", "told"), [("torch", True), ("json", False)])
def test_what_could_not_be_put_back_is_a_note(tmp_path: Path, loaded: str, told: bool) -> None:
    """Saved with PyTorch loaded and restored without: told. Saved without: nothing is said."""
    pytest.importorskip(loaded)

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run(_SAVE.format(loaded))
    assert json.loads((tmp_path / "run/step-00000003/state.json").read_text())["resume"]["random"]
    found = run(_LOAD)
    assert ("torch: not imported here" in found) if told else found == "[]"


def test_code_that_is_not_committed_lies_beside(tmp_path: Path) -> None:
    repository = tmp_path / "repo"
    repository.mkdir()

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True)

    git("init", "-q")
    (repository / "train.py").write_text(
        "import numpy as np, holdfast\n"
        "with holdfast.Vault('../run') as vault:\n    vault.save(1, model={'w': np.zeros(3)})\n"
    )
    git("add", ".")
    git("commit", "-qm", "one")
    with (repository / "train.py").open("a") as file:
        file.write("# tried by hand\n")
    subprocess.run([sys.executable, "train.py"], cwd=repository, check=True)
    step = tmp_path / "run/step-00000001"
    assert "+# tried by hand" in (step / CODE).read_text()
    assert record_of(str(step)).environment["code"]["dirty"] is True
    assert holdfast.verify(step).checkpoints[0].verdict == "sound"
    (step / CODE).write_text((step / CODE).read_text().replace("by hand", "by hang"))
    assert holdfast.verify(step).checkpoints[0].verdict != "sound"
