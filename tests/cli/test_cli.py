"""The commands in this process, the rooms behind them replaced by doubles: parsing, settings, exit codes,
errors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from holdfast import _api
from holdfast._cli.entry import run as run_process
from holdfast._cli.group import COMMANDS, LATER, main
from holdfast._core.errors import CheckpointNotFound, Truncated
from holdfast._core.finding import Report
from render.builders import checkpoint, finding

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return lambda *args: CliRunner().invoke(main, list(args))


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """``holdfast.examine`` replaced: what lies at a path is told by its name. Gives the calls."""
    calls: list[dict[str, Any]] = []
    findings = {
        "bad": (finding(),),
        "odd": (finding(severity="warning", code="N102", slug="infinite"),),
        "note": (finding(severity="note", code="F116", slug="leftover"),),
    }

    def examine(path: str, **options: Any) -> Report:
        calls.append({"path": path, **options})
        if path == "gone":
            raise CheckpointNotFound("nothing is there", file=path)
        if path == "denied":
            raise PermissionError(13, "Permission denied", "denied")
        return Report((checkpoint(*findings.get(path, ()), path=path),))

    monkeypatch.setattr(_api, "examine", examine)
    monkeypatch.setattr(_api, "verify", lambda path, **options: examine(path, command="verify"))
    return calls


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["good"], 0),
        (["bad"], 1),
        (["odd"], 0),
        (["odd", "--fail-on", "warning"], 1),
        (["note", "--fail-on", "warning"], 0),
        (["note", "--fail-on", "note"], 1),
        (["bad", "--fail-on", "never"], 0),
        (["bad", "good"], 1),
        (["gone"], 2),
        (["bad", "gone"], 2),
        (["denied", "good"], 2),
        (["--no-such-option", "good"], 2),
        (["--fail-on", "sometimes", "good"], 2),
        (["doctor"], 2),
        (["bad", "--ignore", "F102"], 0),
        (["bad", "--ignore", "F"], 0),
        (["bad", "--select", "N"], 0),
        (["bad", "--ignore", "checksum"], 0),
        (["bad", "--ignore", "f1,N"], 0),
        (["bad", "--ignore", "Q999"], 2),
        (["bad", "-q", "-v"], 2),
    ],
)
def test_exit_codes(run: Run, examined: list, args: list[str], code: int) -> None:
    result = run(*args)
    assert result.exit_code == code, result.output
    for command in ("doctor", "verify"):
        if args[0] != "doctor":
            assert run(command, *args).exit_code == code


def test_a_bare_path_means_doctor_and_options_may_stand_first(run: Run, examined: list) -> None:
    assert run("good").output == run("doctor", "good").output
    assert run("--format", "json", "good").output == run("doctor", "good", "--format", "json").output
    assert run("--", "verify").exit_code == 0
    assert examined[-1]["path"] == "verify"
    run("./doctor")
    assert examined[-1]["path"] == "./doctor"


def test_options_are_handed_on(run: Run, examined: list) -> None:
    run("doctor", "good", "--depth", "header", "--jobs", "3", "--select", "F,N102", "--ignore", "T101")
    call = examined[-1]
    assert call["depth"] == "header"
    assert call["jobs"] == 3
    assert call["select"] == ("F", "N102")
    assert call["ignore"] == ("T101",)
    run("good")
    assert examined[-1]["depth"] == "full"


def test_a_path_that_fails_does_not_hide_the_others(run: Run, examined: list) -> None:
    result = run("gone", "good", "denied", "bad")
    assert "good" in result.stdout
    assert "bad" in result.stdout
    assert "nothing is there" in result.stderr
    assert "Permission denied" in result.stderr
    document = json.loads(run("gone", "good", "--format", "json").stdout)
    assert [c["path"] for c in document["checkpoints"]] == ["good"]
    assert document["errors"][0]["path"] == "gone"


def test_the_same_checkpoint_is_told_once(run: Run, examined: list) -> None:
    document = json.loads(run("good", "good", "bad", "--format", "json").stdout)
    assert [c["path"] for c in document["checkpoints"]] == ["good", "bad"]


@pytest.mark.parametrize("format", ["text", "json", "sarif", "github"])
def test_every_format_and_output_file(run: Run, examined: list, format: str) -> None:
    shown = run("bad", "--format", format)
    assert shown.exit_code == 1
    written = run("bad", "--format", format, "--output", "out.txt")
    assert written.exit_code == 1
    assert written.stdout == ""
    assert Path("out.txt").read_text(encoding="utf-8") == shown.stdout
    assert os.listdir() == ["out.txt"]
    if format in ("json", "sarif"):
        json.loads(shown.stdout)


def test_an_output_file_that_cannot_be_written(run: Run, examined: list) -> None:
    result = run("good", "--output", "no/such/folder/out.txt")
    assert result.exit_code == 2
    assert "no/such/folder" in result.stderr
    assert "Traceback" not in result.stderr


def test_colour_only_where_it_is_wanted(run: Run, examined: list, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("bad").stdout
    assert "\x1b[" in run("bad", "--color").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run("bad").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("bad").stdout


def test_commands_of_later_versions_say_so_and_what_there_is(run: Run) -> None:
    for name in LATER:
        result = run(name, "x")
        assert result.exit_code == 2
        assert "expected  doctor, inspect" in result.stderr
        assert "holdfast --help" in result.stderr
        assert f"no command '{name}' yet" in result.stderr
    assert not set(LATER) & set(COMMANDS)
    shown = run("--help").output
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert not any(f"\n  {name} " in shown for name in LATER)


def test_a_mistyped_command_is_recognised(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(path: str, **options: Any) -> Report:
        raise CheckpointNotFound("nothing is there", file=path)

    monkeypatch.setattr(_api, "examine", examine)
    assert "`holdfast inspect`" in run("inspct", "x.pt").stderr


def test_errors_tell_what_where_expected_found_and_next(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(path: str, **options: Any) -> Report:
        raise Truncated(
            "bytes are missing",
            file="a\x1b[31m.pt",
            offset=1234567,
            tensor="w",
            expected="8",
            found="7",
            remedy="Fetch it.",
        )

    monkeypatch.setattr(_api, "examine", examine)
    result = run("x")
    assert result.exit_code == 2
    assert result.stderr.startswith("holdfast: error: bytes are missing\n")
    for word in (
        "a\\x1b[31m.pt, byte 1,234,567, tensor w",
        "expected  8",
        "found     7",
        "next      Fetch it.",
    ):
        assert word in result.stderr


# -- configuration -------------------------------------------------------------------------------------------
def configure(text: str) -> None:
    Path("pyproject.toml").write_text(text, encoding="utf-8")


def test_configuration_is_read_from_the_nearest_pyproject(
    run: Run, examined: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(
        '[tool.holdfast]\nfail-on = "never"\nformat = "json"\nignore = ["F116"]\nselect = ["F"]\n'
        'depth = "header"\n'
    )
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    result = run("bad")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["command"] == "doctor"
    assert examined[-1]["depth"] == "header"
    assert examined[-1]["select"] == ("F",)
    assert examined[-1]["ignore"] == ("F116",)
    assert run("bad", "--fail-on", "error", "--format", "text").exit_code == 1  # the command line wins


@pytest.mark.parametrize(
    "table",
    [
        'fail_on = "error"',
        'fail-on = "sometimes"',
        "select = [1]",
        'ignore = "F101"',
        "format = 3",
        "depth = [1",
    ],
)
def test_configuration_that_makes_no_sense_is_told(run: Run, examined: list, table: str) -> None:
    configure(f"[tool.holdfast]\n{table}\n")
    result = run("good")
    assert result.exit_code == 2
    assert "pyproject.toml" in result.stderr
    assert "holdfast: error:" in result.stderr


def test_foreign_pyprojects_do_not_matter(run: Run, examined: list) -> None:
    for text in ("", "[tool.other]\nx = 1\n", "not toml at all [", "tool = 3 # holdfast\n"):
        configure(text)
        assert run("good").exit_code == 0, text


# -- rule ----------------------------------------------------------------------------------------------------
def test_rules_are_listed_and_explained(run: Run) -> None:
    listed = run("rule")
    assert listed.exit_code == 0
    assert "F102" in listed.output
    assert "files and integrity" in listed.output
    by_code, by_slug = run("rule", "f102"), run("rule", "checksum")
    assert by_code.exit_code == 0
    assert by_code.output == by_slug.output
    document = json.loads(run("rule", "F102", "--format", "json").output)
    assert document["rules"][0]["slug"] == "checksum"
    assert "failing disk" in document["rules"][0]["cause_explanation"]  # of the cause that the rule names
    assert "cause  The bytes are not those that were written." in by_code.output
    assert {r["code"][0] for r in json.loads(run("rule", "N", "--format", "json").output)["rules"]} == {"N"}
    missing = run("rule", "cheksum")
    assert missing.exit_code == 2
    assert "checksum" in missing.stderr


def test_a_bug_of_ours_is_one_message_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine(path: str, **options: Any) -> Report:
        raise RuntimeError("oh\x1b[31m no")

    monkeypatch.setattr(_api, "examine", examine)
    monkeypatch.delenv("HOLDFAST_DEBUG", raising=False)
    assert run_process(["x"]) == 2
    told = capsys.readouterr().err
    assert "internal error: RuntimeError: oh\\x1b[31m no" in told
    assert "Traceback" not in told
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    with pytest.raises(RuntimeError):
        run_process(["x"])
