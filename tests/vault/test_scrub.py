"""The scrub: the longest unchecked first, a budget, what is remembered, and what is said of damage."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Vault
from holdfast._core.errors import UsageError
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.folder.names import COPY, RECORD
from holdfast._vault.folder.steps import Steps
from holdfast._vault.operating import scrub as room
from holdfast._vault.operating.scrub import Budget, ScrubReport, last_checked
from vault.crashing import state, tag_of

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """Four steps."""
    with Vault(tmp_path / "run") as vault:
        for step in (1, 2, 3, 4):
            vault.save(step, model=state(step), blocking=True)
        yield vault


def _steps(report: ScrubReport) -> list[int]:
    return [int(Path(c.path).name[5:]) for c in report.checkpoints]


def _flip(vault: Vault, step: int, file: str = "model.safetensors") -> None:
    place = Path(vault.path, f"step-{step:08d}", file)
    raw = bytearray(place.read_bytes())
    raw[-9] ^= 8
    place.write_bytes(raw)


# -- order and budget ------------------------------------------------------------------------------------------------
def test_all_of_it_and_what_it_says(vault: Vault) -> None:
    report = vault.scrub()
    assert _steps(report) == [1, 2, 3, 4]
    assert (report.verdict, report.proof, report.damaged, report.left) == ("sound", "sealed", (), ())
    assert report.command == "scrub"
    assert report.nbytes == sum(f.stat().st_size for f in Path(vault.path).glob("step-*/*"))
    assert 0 < report.seconds < 20


def test_short_scrubs_come_round_the_longest_unchecked_first(vault: Vault) -> None:
    """A step that was never scrubbed was last known to be right when it was written."""
    assert [_steps(vault.scrub("1B")) for _ in range(6)] == [[1], [2], [3], [4], [1], [2]]
    vault.save(5, model=state(5), blocking=True)
    report = vault.scrub("1B")
    assert _steps(report) == [3]
    assert report.left == ("step-00000004", "step-00000001", "step-00000002", "step-00000005")
    assert [_steps(vault.scrub("1B")) for _ in range(5)] == [[4], [1], [2], [5], [3]]


def test_a_budget_of_bytes_and_one_of_time(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(f.stat().st_size for f in Path(vault.path, "step-00000001").iterdir())
    assert _steps(vault.scrub(f"{2 * size + 10}B")) == [1, 2]
    assert _steps(vault.scrub(timedelta(hours=1))) == [3, 4, 1, 2]
    now = [0.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    real = room.verify_path

    def verify(*given: Any, **named: Any) -> Any:
        now[0] += 25
        return real(*given, **named)

    monkeypatch.setattr(room, "verify_path", verify)
    report = vault.scrub("60s")
    assert _steps(report) == [3, 4, 1]
    assert report.seconds == 75
    assert _steps(vault.scrub(10)) == [2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, (None, None)),
        (30, (30, None)),
        (2.5, (2.5, None)),
        (timedelta(minutes=2), (120, None)),
        ("60s", (60, None)),
        ("60", (60, None)),
        ("1.5 h", (5400, None)),
        ("15min", (900, None)),
        ("15m", (900, None)),
        ("2D", (172800, None)),
        ("10GB", (None, 10e9)),
        ("10 GiB", (None, 10 * 2**30)),
        ("512b", (None, 512)),
        ("1.5TB", (None, 1.5e12)),
        ("3KiB", (None, 3072)),
    ],
)
def test_budgets(given: Any, expected: tuple[float | None, float | None]) -> None:
    assert Budget.of(given) == expected


@pytest.mark.parametrize(
    "given", ["", "x", "10 parsecs", "-3s", "0", 0, -1, True, "1e9B", "GB", "5iB", timedelta(0), "10GB 3s"]
)
def test_what_is_no_budget(vault: Vault, given: Any) -> None:
    with pytest.raises(UsageError, match="no such budget"):
        vault.scrub(given)


# -- damage ----------------------------------------------------------------------------------------------------------
def test_damage_is_listed_by_step_and_nothing_is_deleted(vault: Vault) -> None:
    _flip(vault, 2)
    Path(vault.path, "step-00000003", "state.json").unlink()
    for name in (RECORD, COPY):
        Path(vault.path, "step-00000004", name).write_text("{}")
    before = sorted(p.name for p in Path(vault.path).iterdir())
    report = vault.scrub()
    assert sorted(report.damaged) == ["step-00000002", "step-00000003", "step-00000004"]
    assert report.verdict != "sound"
    assert {f.code[0] for f in report.findings} == {"F"}
    by_step = {Path(c.path).name: c for c in report.checkpoints}
    assert by_step["step-00000001"].verdict == "sound"
    assert by_step["step-00000001"].findings == ()
    for name in report.damaged:
        errors = [f for f in by_step[name].findings if f.severity == "error"]
        assert errors
        assert all(f.where.file and name in f.where.file and f.remedy for f in errors)
    assert sorted(p.name for p in Path(vault.path).iterdir()) == sorted([*before, "scrub.json"])
    outcome = vault.restore(model={name: np.zeros_like(value) for name, value in state(0).items()})
    assert outcome is not None
    assert [name for name, _ in outcome.passed_over] == ["step-00000004", "step-00000003", "step-00000002"]


@pytest.mark.parametrize("seed", range(3))
def test_a_flip_anywhere_in_a_step_is_found(vault: Vault, seed: int) -> None:
    chance = np.random.default_rng(seed)
    for n in range(8):
        files = sorted(f for f in Path(vault.path, "step-00000002").iterdir() if f.stat().st_size)
        place = files[chance.integers(len(files))]
        raw = place.read_bytes()
        at = int(chance.integers(len(raw)))
        place.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << int(chance.integers(8))]) + raw[at + 1 :])
        report = vault.scrub()
        told = [f for c in report.checkpoints if c.path.endswith("2") for f in c.findings]
        assert told, f"{n}: a flip in {place.name} at {at} is not found"
        assert all("step-00000002" in str(f.where) for f in told)
        place.write_bytes(raw)
    assert vault.scrub().findings == ()


def test_a_step_that_may_not_be_read_is_no_damage_and_counts_as_unchecked(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self.parent.name == "step-00000002":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    report = vault.scrub()
    (finding,) = report.findings
    assert finding.slug == "unreadable"
    assert "step-00000002" not in last_checked(vault.path, vault.checkpoints())
    monkeypatch.undo()
    assert _steps(vault.scrub("1B")) == [2]


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes as files there")
def test_a_file_that_gives_no_bytes_keeps_no_other_step_from_being_read(vault: Vault) -> None:
    place = Path(vault.path, "step-00000002", "model.safetensors")
    place.unlink()
    os.mkfifo(place)
    for report in (vault.scrub(), holdfast.verify(vault.path)):
        found = {Path(c.path).name: (c.verdict, [f.slug for f in c.findings]) for c in report.checkpoints}
        assert found.pop("step-00000002") == ("unknown", ["unreadable"])
        assert len(found) == 3 and set(map(str, found.values())) == {"('sound', [])"}
    assert "step-00000002" not in last_checked(vault.path, vault.checkpoints())


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "seteuid"), reason="rights of POSIX")
def test_a_step_whose_folder_may_not_be_entered(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.scrub()  # what it imports may lie where nobody may look
    folder = Path(vault.path, "step-00000002")
    monkeypatch.chdir(vault.path)  # the folders above may be another's
    folder.chmod(0o000)
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        report = room.scrub(Steps(LocalSink(".")))
    finally:
        if mine == 0:
            os.seteuid(0)
        folder.chmod(0o755)
    assert sorted(c.verdict for c in report.checkpoints) == ["sound", "sound", "sound", "unknown"]
    (finding,) = report.findings
    assert finding.slug == "unreadable" and "Permission denied" in finding.message


def test_a_step_that_is_dropped_meanwhile_is_passed_by(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    real = room.verify_path

    def verify(path: str, **named: Any) -> Any:
        if path.endswith("1"):
            with Vault(vault.path, Keep(last=1)) as other:
                other.save(6, model=state(6), blocking=True)
        return real(path, **named)

    vault.close()
    monkeypatch.setattr(room, "verify_path", verify)
    report = vault.scrub()
    assert _steps(report) == [1], "which it held; the others went"
    assert report.verdict == "sound"
    assert [c.step for c in vault] == [1, 6]


# -- what is remembered ----------------------------------------------------------------------------------------------
def test_when_each_was_checked(vault: Vault) -> None:
    assert last_checked(vault.path, vault.checkpoints()) == {}
    before = datetime.now(timezone.utc)
    _flip(vault, 3)
    vault.scrub()
    found = last_checked(vault.path, vault.checkpoints())
    assert list(found) == [f"step-{n:08d}" for n in (1, 2, 3, 4)]
    assert {name for name, row in found.items() if row.verdict != "sound"} == {"step-00000003"}
    assert all(before <= row.at <= datetime.now(timezone.utc) for row in found.values())
    assert last_checked(vault.path) == found
    again = vault.scrub("1B")
    assert again.checkpoints[0].attributes["checked_before"] == found["step-00000001"].at.strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ"
    )


def test_a_step_saved_anew_under_a_name_was_not_checked_yet(vault: Vault) -> None:
    vault.scrub()
    vault.keep = Keep(last=1)
    vault.close()
    with Vault(vault.path, Keep(last=1)) as other:
        other.save(9, model=state(9), blocking=True)
        other.save(2, model=state(2), blocking=True)
        assert [c.name for c in other] == ["step-00000002"]
        assert last_checked(other.path, other.checkpoints()) == {}
        other.scrub()
        rows = json.loads(Path(other.path, "scrub.json").read_text())["steps"]
        assert rows.keys() == {"step-00000002"}, "what is gone is forgotten"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"steps": 3}', '{"steps": {"step-00000001": 3}}', "[" * 10**5,
             '{"steps": {"step-00000001": {"checked": "x"}}}'],
)  # fmt: skip
def test_a_damaged_scrub_json_says_nothing_and_is_written_anew(vault: Vault, text: str) -> None:
    vault.scrub()
    place = Path(vault.path, "scrub.json")
    place.write_text(text)
    assert last_checked(vault.path, vault.checkpoints()) == {}
    assert _steps(vault.scrub()) == [1, 2, 3, 4]
    assert len(last_checked(vault.path, vault.checkpoints())) == 4


def test_what_cannot_be_remembered_is_reported_all_the_same(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logging.disable(logging.NOTSET)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    _flip(vault, 1)
    monkeypatch.setattr(os, "fsync", full)
    assert vault.scrub().damaged == ("step-00000001",)
    assert "it cannot be remembered that step-00000001 was checked" in caplog.text
    assert "damaged, and passed over at restore: step-00000001" in caplog.text
    assert not list(Path(vault.path).glob("*.tmp"))


def test_a_killed_scrub_keeps_what_it_did(vault: Vault) -> None:
    vault.close()
    code = """
import os, sys
from holdfast import Vault
from holdfast._vault.operating import scrub
real, count = scrub.verify_path, []
def verify(*given, **named):
    count.append(1)
    if len(count) == 3:
        os.kill(os.getpid(), 9)
    return real(*given, **named)
scrub.verify_path = verify
Vault(sys.argv[1]).scrub()
"""
    done = subprocess.run([sys.executable, "-c", code, vault.path], env=ENVIRONMENT, check=False)
    assert done.returncode == -9
    assert _steps(vault.scrub("1B")) == [3]


def test_scrub_json_disturbs_nobody(vault: Vault) -> None:
    vault.scrub()
    assert [c.step for c in vault] == [1, 2, 3, 4]
    assert tag_of(vault) == 4
    report = holdfast.verify(vault.path, recursive=True)
    assert len(report.checkpoints) == 4
    assert report.findings == ()


def test_the_medium_is_asked_not_the_cache(tmp_path: Path) -> None:
    """After a scrub's first look nothing of the step need be in the cache; what is read there is what the disk has."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("this system does not tell what its cache holds")
    from holdfast._restore.warmth import is_cold
    from holdfast._storage import LocalFile

    with Vault(tmp_path) as vault:
        vault.save(1, model={"w": np.ones(4 << 20, np.uint8)}, blocking=True)
    file = LocalFile(tmp_path / "step-00000001" / "model.safetensors")
    file.read(0, file.size)
    if is_cold([(file, 0, file.size)]):
        pytest.skip("this file system has no page cache to ask")
    room._ask_the_medium(str(tmp_path / "step-00000001"))
    time.sleep(0.01)
    if not is_cold([(file, 0, file.size)]):
        pytest.skip("this file system keeps its pages (tmpfs)")
    assert vault.scrub().verdict == "sound"


# -- the command -----------------------------------------------------------------------------------------------------
def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "scrub", *arguments],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_and_its_exit_codes(vault: Vault, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from holdfast._cli.group import main

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["scrub", *arguments])

    whole = run(vault.path)
    assert whole.exit_code == 0, whole.output
    assert "4 checkpoints: 4 sound" in whole.output
    _flip(vault, 1)
    found = run(vault.path, "--budget", "1B")
    assert found.exit_code == 1
    assert "F102" in found.output
    assert "for a later scrub: step-00000002, step-00000003, step-00000004" in found.output
    document = json.loads(run(vault.path, "--budget", "1 h", "--format", "json").stdout)
    assert document["command"] == "scrub"
    assert document["left"] == []
    assert [c["verdict"] == "sound" for c in document["checkpoints"]] == [True, True, True, False]
    assert run(vault.path, "--fail-on", "never").exit_code == 0
    assert run(vault.path, "--ignore", "F102", "--quiet").exit_code == 0
    sarif = json.loads(run(vault.path, "--format", "sarif").stdout)
    assert [r["ruleId"] for r in sarif["runs"][0]["results"]] == ["F102"]
    (tmp_path / "empty").mkdir()


def test_the_command_fails_where_there_is_no_vault(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, text in (("nowhere", "no such folder"), ("empty", "this folder is no vault")):
        done = _run(str(tmp_path / path))
        assert done.returncode == 2
        assert text in done.stderr
