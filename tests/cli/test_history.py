"""``holdfast history`` on real vaults: table, blocks, one step in detail, code, the report."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from holdfast import Keep, Metric, Vault
from holdfast._cli.group import main
from holdfast._vault.folder.names import COPY, RECORD

DIFF = "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-lr = 1\n+lr\t= 2 \x1b[31m\u202e<b>\n"


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "root": "/home/me/net",
        "commit": "c0ffee",
        "branch": "main",
        "dirty": True,
        "diff": DIFF,
        "untracked": ["x.py"],
    }
    monkeypatch.setattr("holdfast._record.environment._code_at_first", lambda: found)


def model(step: int) -> dict[str, Any]:
    return {
        "encoder": {"kernel": np.full((40, 30), 1 + step / 10, np.float32), "bias": np.zeros(30, np.float32)},
        "head": {"kernel": np.ones((30, 2), np.float32)},
    }


def save(vault: Vault, step: int, **metrics: float) -> None:
    given = [
        Metric(name, value, kind="evaluation" if name == "val_loss" else "unspecified")
        for name, value in metrics.items()
    ]
    vault.save(step, model=model(step), metrics=given, blocking=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Nine saves, six of them there; two lineages; one step damaged; a metric that was NaN once, one that came later."""
    path = tmp_path / "run"
    with Vault(path, Keep(last=4)) as vault:
        for step in range(1, 7):
            save(vault, step, val_loss=math.nan if step == 2 else 1 / step, accuracy=step / 10)
        vault.annotate(5, metrics={"bleu": 20.5})
        vault.restore(model=model(0), step=4)
        vault.keep = vault._writer.keep = Keep(last=6)
        for step in (5, 6, 7):
            save(vault, step, val_loss=0.2 - step / 100, accuracy=0.9)
    return path


def damage(step: Path) -> None:
    for name in (RECORD, COPY):
        (step / name).chmod(0o644)
        (step / name).write_text("{")


def call(*arguments: str, code: int = 0, **given: Any) -> Result:
    result = CliRunner().invoke(main, ["history", *map(str, arguments)], **given)
    assert result.exit_code == code, result.output
    return result


def document(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(call(*arguments, "--format", "json").stdout))


# -- the run ---------------------------------------------------------------------------------------------------------
def test_the_table_stays_and_the_blocks_come(run: Path) -> None:
    text = call(str(run)).stdout
    lines = text.splitlines()
    assert lines[0].endswith("6 checkpoints, 3 more dropped")
    assert "✔ step-00000007" in text and "latest" in text and "stall" in text
    assert "new lineage" in text and "continues step-00000004" in text
    assert "step-00000001" not in text
    (loss,) = [line for line in lines if line.strip().startswith("val_loss ")]
    assert "█×" in loss and "best 0.13 at 7" in loss and "1 not finite" in loss and "last 0.13" in loss
    (accuracy,) = [line for line in lines if line.strip().startswith("accuracy ")]
    assert accuracy.split()[1] == "▁▂▃▄███", "1, 2, 3, 4 and then the newest line's own 5, 6, 7"
    assert "metrics over 7 checkpoints, step 1 to 7, newest lineage" in text
    assert "(best)" in text
    assert "saves, median:" in text


def test_dropped_ones_are_listed_where_asked(run: Path) -> None:
    text = call(str(run), "-v").stdout
    assert "step-00000001" in text and "dropped" in text
    assert text.index("step-00000001") < text.index("step-00000004")


def test_a_terminal_without_unicode(run: Path) -> None:
    result = CliRunner(charset="ascii").invoke(main, ["history", str(run)], env={"COLUMNS": "70"})
    text = result.stdout_bytes.decode("utf-8")
    assert result.exit_code == 0 and text.isascii()
    assert "#!" in text and "_" in text


def test_quiet_is_the_table_alone(run: Path) -> None:
    assert "metrics over" not in call(str(run), "-q").stdout


def test_the_document(run: Path) -> None:
    damage(run / "step-00000006")
    found = document(str(run))
    assert [c["name"].removeprefix("step-0000000") for c in found["checkpoints"]] == [
        "4",
        "5",
        "5.2",
        "6",
        "6.2",
        "7",
    ]
    assert [(c["step"], c["why"]) for c in found["dropped"]] == [(1, "keep"), (2, "keep"), (3, "keep")]
    assert found["dropped"][1]["metrics"]["val_loss"] == "NaN"
    assert sorted(c["place"] for c in [*found["checkpoints"], *found["dropped"]]) == list(range(9))
    assert found["line"]["steps"] == [1, 2, 3, 4, 5, 6, 7] and found["line"]["gaps"] == []
    series = {m["name"]: m for m in found["metrics"]}
    assert series["val_loss"]["best"] == {"value": 0.13, "step": 7, "mode": "min"}
    assert series["val_loss"]["kinds"] == ["evaluation"] and series["accuracy"]["kinds"] == ["unspecified"]
    assert series["val_loss"]["values"][:2] == [1.0, "NaN"] and "bleu" not in series
    assert [entry["continues"] for entry in found["lineages"]] == [None, "step-00000004"]
    assert found["saves"]["stall"]["median"] > 0 and found["saves"]["bytes"] > 0
    broken = [c for c in found["checkpoints"] if c["fault"]]
    assert len(broken) == 1 and "record" in broken[0]["fault"] and broken[0]["metrics"] == {}


def test_a_vault_of_one_step_and_an_empty_one(tmp_path: Path) -> None:
    with Vault(tmp_path / "one") as vault:
        save(vault, 1, val_loss=0.5)
    assert "metrics over" not in call(str(tmp_path / "one")).stdout
    with Vault(tmp_path / "none") as vault:
        vault._writer.open()
    assert "No checkpoint is committed here yet." in call(str(tmp_path / "none")).stdout
    shown = tmp_path / "none.html"
    call(str(tmp_path / "none"), "--html", str(shown))
    assert "No checkpoint has a metric" in shown.read_text()


def test_what_is_no_vault(tmp_path: Path) -> None:
    assert "no such folder" in call(str(tmp_path / "nowhere"), code=2).output
    assert "no vault" in call(str(tmp_path), code=2).output
    file = tmp_path / "best model.pt"
    file.write_bytes(b"")
    told = " ".join(call(str(file), code=2).output.split())
    assert "this is a file" in told and f"`holdfast '{file}'` looks at it" in told


# -- one step --------------------------------------------------------------------------------------------------------
def test_one_step_in_detail(run: Path) -> None:
    for name in ("5", "step-00000005.2"):
        text = call(str(run), name).stdout
        assert "step-00000005.2  step 5" in text
    assert "continues step-00000004" in text and "continued by step-00000006" in text
    assert "4 steps before it, from step-00000001" in text
    assert "val_loss 0.15 · evaluation" in text
    assert "it is not known of which state" in text  # the accuracy
    for word in (
        "random state",
        "probe",
        "data contract",
        "environment",
        "libraries",
        "numpy",
        "python",
        "never since it was saved",
    ):
        assert word in text, word
    assert "commit" in text and "c0ffee · main · with uncommitted changes" in text
    assert "--code shows it" in text and "lr = 1" not in text


def test_the_code_of_a_step(run: Path) -> None:
    text = call(str(run), "latest", "--code").stdout
    assert "-lr = 1\n+lr = 2 \\x1b[31m\\u202e<b>\n" in text
    assert "\x1b" not in text and "untracked" in text and "x.py" in text
    found = document(str(run), "latest", "--code")
    assert found["code"]["diff"] == DIFF and found["code"]["commit"] == "c0ffee"
    assert document(str(run), "latest")["code"]["diff"] is None


def test_the_document_of_a_step(run: Path) -> None:
    Vault(run).scrub()
    found = document(str(run), "7")
    assert found["step"]["name"] == "step-00000007" and found["step"]["last_verified"]["verdict"] == "sound"
    (loss,) = [m for m in found["metrics"] if m["name"] == "val_loss"]
    assert (loss["value"], loss["kind"], loss["why_not"]) == (0.13, "evaluation", None)
    assert found["line"][0] == "step-00000001" and found["line"][-1] == "step-00000007"
    assert found["environment"]["python"]["version"] and "code" not in found["environment"]
    assert "python" in found["recorded"]["random_state"] and found["recorded"]["probe"] is None
    assert found["tensors"]["weight"]["tensors"] == 3
    assert {file["name"] for file in found["files"]} >= {"model.safetensors", "state.json", "code.diff"}


def test_a_step_that_was_dropped(run: Path) -> None:
    text = call(str(run), "2").stdout
    assert "its tensors are gone" in text and "val_loss NaN" in text and "continued by step-00000003" in text
    assert "c0ffee" in text and "numpy" in text, "what it was made with is known"
    assert "was dropped" in call(str(run), "2", "--code", code=2).output


def test_a_step_whose_file_was_not_copied(run: Path) -> None:
    """Seen without reading a tensor: it is not shown as the latest, and keeps what it measured."""
    before = document(str(run))
    assert not any(c["fault"] for c in before["checkpoints"])
    newest = run / "step-00000007"
    size = (newest / "model.safetensors").stat().st_size
    (newest / "model.safetensors").chmod(0o644)
    os.truncate(newest / "model.safetensors", size - 8)
    text = call(str(run)).stdout
    (row,) = [line for line in text.splitlines() if "step-00000007" in line]
    assert "✘" in row and f"model.safetensors has {size - 8:,} of {size:,} bytes" in row and "val_loss" in row
    (latest,) = [line for line in text.splitlines() if "latest" in line]
    assert "step-00000006" in latest
    (newest / "model.safetensors").unlink()
    found = {c["name"]: c["fault"] for c in document(str(run))["checkpoints"]}
    assert found.pop("step-00000007") == "model.safetensors is not there" and not any(found.values())
    assert "step 6" in call(str(run), "latest").stdout
    assert "c0ffee" in call(str(run), "7").stdout, "its record is whole"


def test_a_step_that_is_damaged(run: Path) -> None:
    damage(run / "step-00000007")
    text = call(str(run), "step-00000007").stdout
    assert "record" in text and "metrics        none" in text
    assert "no record that can be used" in call(str(run), "7", "--code", code=2).output


@pytest.mark.parametrize("arguments", [["99"], ["-1"], ["step-1"], ["--code"], ["4", "--html", "x.html"]])
def test_what_makes_no_sense(run: Path, arguments: list[str]) -> None:
    assert call(str(run), *arguments, code=2).output


def test_probe_contract_and_configuration_are_named(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.record(
            probe=np.ones((4, 3), np.float32),
            apply=lambda m, x: x @ m["w"],
            config={"lr": 0.1, "layers": [1, 2]},
        )
        vault.save(1, model={"w": np.ones((3, 2), np.float32)}, blocking=True)
    text = call(str(tmp_path), "1").stdout
    assert "restore(prove=True) replays it" in text and "lr: 0.1" in text


# -- the report ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("depth", ["header", "structure", "full"])
def test_the_report(run: Path, tmp_path: Path, depth: str) -> None:
    place = tmp_path / "report.html"
    damage(run / "step-00000005")
    said = call(str(run), "--html", str(place), "--depth", depth)
    assert f"report: {place}" in said.stdout
    text = place.read_text()
    assert text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    assert ("Norms of weights" in text) == (depth != "header")
    assert f"depth {depth}" in text and "1 not sound" in text
    assert ("--depth full" in text) == (depth == "structure")
    assert "3 dropped checkpoints: they are gone" in text


def test_the_report_as_a_document(run: Path, tmp_path: Path) -> None:
    with Vault(run, Keep()) as vault:
        poor = model(8)
        poor["head"]["kernel"][0, 0] = np.nan
        poor["encoder"]["kernel"][:] = 0
        vault.save(8, model=poor, blocking=True)
    found = document(str(run), "--html", str(tmp_path / "report.html"))
    assert found["written"] == str(tmp_path / "report.html")
    report = found["report"]
    assert report["layers"] == ["encoder", "head"]
    seven, eight = report["numbers"]["step-00000007"], report["numbers"]["step-00000008"]
    kernel = model(7)["encoder"]["kernel"].astype(np.float64)
    assert seven["layers"]["encoder"] == pytest.approx(np.linalg.norm(kernel), rel=1e-6)
    assert seven["norm"] == pytest.approx(math.hypot(np.linalg.norm(kernel), math.sqrt(60)), rel=1e-6)
    assert seven["nan"]["count"] == 0 and seven["still"]["tensors"] == ["encoder/bias", "head/kernel"]
    assert eight["nan"]["tensors"] == ["head/kernel"] and eight["dead"]["tensors"] == ["encoder/kernel"]
    assert eight["layers"]["encoder"] == 0.0
    assert report["findings"]["step-00000008"]["verdict"] == "sound"
    full = document(str(run), "--html", str(tmp_path / "report.html"), "--depth", "full")["report"]
    assert any(f["code"] == "N101" for f in full["findings"]["step-00000008"]["findings"])
    assert full["findings"]["step-00000007"]["verdict"] == "sound"


def test_what_changed_between_two_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter(
        [
            {"commit": "aaa", "dirty": False},
            {"commit": "bbb", "dirty": True, "diff": "x"},
            {"commit": "bbb", "dirty": True, "diff": "y"},
        ]
    )
    monkeypatch.setattr("holdfast._record.environment._code_at_first", lambda: next(states))
    with Vault(tmp_path / "run", Keep(last=1)) as vault:  # the first two are dropped
        for step in (1, 2, 3):
            save(vault, step, val_loss=1.0)
    place = tmp_path / "report.html"
    changes = document(str(tmp_path / "run"), "--html", str(place))["report"]["changes"]
    assert [(c["from"], c["to"]) for c in changes] == [
        ("step-00000001", "step-00000002"),
        ("step-00000002", "step-00000003"),
    ]
    assert {c["name"]: (c["then"], c["now"]) for c in changes[0]["changes"]} == {
        "code.commit": ("aaa", "bbb"), "code.dirty": (False, True),
    }  # fmt: skip
    assert [c["name"] for c in changes[1]["changes"]] == ["code.diff"]
    assert "other uncommitted changes" in place.read_text()


def test_a_report_that_cannot_be_written(run: Path, tmp_path: Path) -> None:
    assert (
        "folder does not exist"
        in call(str(run), "--html", str(tmp_path / "nowhere" / "r.html"), code=2).output
    )


def test_forty_steps_with_names_that_mean_harm(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\u202e"
    with Vault(tmp_path / "run", Keep(last=20)) as vault:
        for step in range(40):
            vault.save(
                step,
                model={hostile: np.full(3, step, np.float32)},
                metrics={hostile: step, "loss": 1.0},
                blocking=True,
            )
    place = tmp_path / "report.html"
    text = call(str(tmp_path / "run"), "--html", str(place)).stdout
    assert "\x1b" not in text and "\u202e" not in text and "<script>alert(1)</script>\\x1b[31m\\u202e" in text
    page = place.read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\u202e" in page
    assert "\x1b" not in page and "\u202e" not in page
    assert (
        json.loads(call(str(tmp_path / "run"), "39", "--format", "json").stdout)["metrics"][0]["value"] == 39
    )


def test_every_field_is_described(run: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
    tables = text.split("| field | meaning |\n|---|---|\n")[1:]
    whole, each, one = (set(re.findall(r"^\| `(\w+)` \|", table.split("\n\n")[0], re.M)) for table in tables)
    found = document(str(run), "--html", str(tmp_path / "report.html"))
    assert set(found) == whole
    assert set(found["checkpoints"][0]) == each == set(found["dropped"][0])
    assert set(document(str(run), "latest")) == one


def test_what_a_resumed_run_needs_is_named(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=model(1), data={"samples": 640}, blocking=True)
        vault.save(2, model=model(2), blocking=True)
    assert "samples = 640" in call(str(tmp_path), "1").stdout
    assert "data position  none" in call(str(tmp_path), "2").stdout
    assert document(str(tmp_path), "1")["recorded"]["states"]["data"]["samples"]["value"] == 640


def test_a_step_that_a_restore_set_aside(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        for step in (1, 2):
            save(vault, step, val_loss=1 / step)
    tensors = tmp_path / "run" / "step-00000002" / "model.safetensors"
    tensors.chmod(0o644)
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 0xFF
    tensors.write_bytes(data)
    with Vault(tmp_path / "run") as vault:
        vault.restore(model=model(0))
        save(vault, 2, val_loss=0.4)
    text = call(str(tmp_path / "run"), "-v").stdout
    assert "2 checkpoints" in text and "more dropped" not in text
    assert "damaged, set aside" in text and "new lineage" in text
    place = tmp_path / "report.html"
    found = document(str(tmp_path / "run"), "--html", str(place))
    assert [(c["why"], c["metrics"]["val_loss"]) for c in found["dropped"]] == [("damaged", 0.5)]
    assert found["metrics"][0]["values"] == [1.0, 0.4]
    page = place.read_text()
    assert (
        "Lines of training" in page and "training went on from here" in page and "damaged, set aside" in page
    )
