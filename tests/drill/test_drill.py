"""``holdfast drill`` on real scripts: right ones pass, of the others it names the cause. All of them: ``-m long``, or
``drill_table.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from drill.cases import CASES, SCRIPTS, Case
from holdfast._cli.group import main
from holdfast._core.errors import UsageError
from holdfast._drill.drill import drill
from holdfast._drill.report import DrillReport

BRIEF = ("torch right", "torch accumulation", "keras vault", "jax pickle sampler")


def of(case: Case) -> DrillReport:
    pytest.importorskip({"torch": "torch", "keras": "keras", "jax_d": "optax"}[case.script[:5].rstrip("_")])
    pytest.importorskip("sklearn")
    return drill(case.script, case.arguments, workdir=SCRIPTS, kills=case.kills)


def judged(case: Case) -> None:
    report = of(case)
    codes = [finding.code for finding in report.findings]
    assert (codes[0] if codes else "") == case.first, (report.summary, [f.message for f in report.findings])
    grave = case.first not in ("", "R316")
    assert report.exit_code == (0 if not grave else 2 if case.first == "R315" else 1)
    if not grave:
        assert all(row.differs is None for row in report.rows) or case.first == "R316"
        assert {"random state", "final state"} <= {row.what for row in report.rows}


@pytest.mark.parametrize("case", [c for c in CASES if c.name in BRIEF], ids=lambda c: c.name)
def test_right_scripts_pass_and_planted_causes_are_named(case: Case) -> None:
    judged(case)


@pytest.mark.long
@pytest.mark.parametrize("case", [c for c in CASES if c.name not in BRIEF], ids=lambda c: c.name)
def test_the_whole_table(case: Case) -> None:
    judged(case)


def numpy_loop(plant: str = "", **given: Any) -> DrillReport:
    given = {"kills": 1, **given}
    arguments = ("--plant", plant) if plant else ()
    return drill("numpy_loop.py", arguments, workdir=SCRIPTS, exclude=("torch_*", "keras_*"), **given)


def test_a_loop_of_ones_own_resumes_exactly() -> None:
    report = numpy_loop(kills=3, seed=5)
    assert report.exact and report.steps == 10 and not report.findings
    assert len(report.resumptions) == 3
    again = numpy_loop(kills=3, seed=5)
    assert again.resumptions == report.resumptions, "a seed gives the same kill points"


@pytest.mark.parametrize(
    ("plant", "code", "exit_code"),
    [("anew", "R315", 2), ("own-generator", "R314", 1), ("key-error", "R318", 1), ("length", "R312", 1)],
)
def test_what_is_wrong_with_a_loop(plant: str, code: str, exit_code: int) -> None:
    report = numpy_loop(plant)
    assert [f.code for f in report.findings][:1] == [code], [f.message for f in report.findings]
    assert report.exit_code == exit_code
    if plant == "anew":  # what it writes with json is no save that is seen
        assert "Save within the loop" in str(report.findings[0].remedy)


@pytest.mark.parametrize(
    ("plant", "text"), [("silent", "holdfast.drill.step"), ("short", "2 optimizer steps")]
)
def test_what_cannot_be_drilled(plant: str, text: str) -> None:
    report = numpy_loop(plant)
    assert report.exit_code == 2
    assert [f.code for f in report.findings] == ["R317"] and text in report.findings[0].message


def test_a_flag_that_resuming_needs_is_given() -> None:
    assert numpy_loop("flag").exit_code == 2
    assert numpy_loop("flag", resume_arguments=("--resume",)).exact


def test_chosen_kills_and_a_number_of_steps() -> None:
    report = numpy_loop(kill_at=(3, 6), steps=8)
    assert report.exact and report.steps == 8
    assert [r.killed_at for r in report.resumptions] == [3, 6]
    with pytest.raises(UsageError, match="before the last step"):
        numpy_loop(kill_at=(10,))


def test_a_run_that_is_not_reproducible_is_said_to_be_and_its_resuming_judged() -> None:
    report = numpy_loop("unseeded")
    assert [f.code for f in report.findings] == ["R316"]
    assert report.exact and report.tolerance is not None


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.py").write_bytes((SCRIPTS / "numpy_loop.py").read_bytes())

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["drill", *arguments], standalone_mode=False, catch_exceptions=True)

    shown = run("loop.py", "--kills", "1")
    assert "resumes exactly: 10 steps, killed and resumed 1 time, bit for bit" in shown.output
    assert [p.name for p in tmp_path.iterdir()] == ["loop.py"], "nothing is left in the working folder"
    document = json.loads(
        run("loop.py", "--format", "json", "--kills", "1", "--", "--plant", "own-generator").output
    )
    assert document["verdict"] == "differs" and document["findings"][0]["code"] == "R314"
    assert document["command"] == "drill" and document["resumptions"][0]["resumed_after"] is not None
    assert next(row for row in document["compared"] if row["what"] == "loss")["differs_at"] is not None
    shown = run("loop.py", "--kills", "1", "--", "--plant", "own-generator")
    assert "Cause: R314 drill-unexplained (error)" in shown.output


def test_what_a_failing_script_said_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with pytest.raises(UsageError, match="fails by itself") as failed:
        numpy_loop("fails", tell=told.append)
    assert failed.value.found == "ValueError: no data here"
    assert any("Traceback" in text for text in told)


def test_what_is_not_there() -> None:
    with pytest.raises(UsageError, match="no such script"):
        drill("nowhere.py", workdir=SCRIPTS)
    with pytest.raises(UsageError, match="no such folder"):
        drill("x.py", workdir=SCRIPTS / "nowhere")
    with pytest.raises(UsageError, match="no such script"):
        drill("numpy_loop.py:main.x y", workdir=SCRIPTS)


def test_a_function_of_a_module(tmp_path: Path) -> None:
    text = (SCRIPTS / "numpy_loop.py").read_text().replace("sys.argv", "['', '']")
    body = "".join(f"    {line}\n" for line in text.splitlines())
    (tmp_path / "mine.py").write_text(f"def train():\n{body}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.bin").write_bytes(b"x")
    report = drill("mine:train", workdir=tmp_path, kills=1, links=("data",), keep=tmp_path / "kept")
    assert report.exact
    assert (tmp_path / "kept" / "uninterrupted" / "work" / "data").is_symlink()
    with pytest.raises(UsageError, match="not empty"):
        drill("mine:train", workdir=tmp_path, keep=tmp_path / "kept")


def test_checkpoints_outside_the_folder_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    report = drill("numpy_loop.py", ("--plant", "outside", str(tmp_path / "last.pt")), workdir=SCRIPTS)
    assert report.exit_code == 2 and "outside its working folder" in report.summary
