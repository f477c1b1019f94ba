"""Before the first save: what makes it impossible raises before anything is frozen, what is risky is said once."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, SaveFailed, UsageError, Vault, VaultLocked
from holdfast._render import render
from holdfast._storage.local_sink import LocalSink
from holdfast.events import Dropped, Failed, Frozen, SaveStarted
from holdfast.testing import FaultySink, Killed
from vault.crashing import state, tag_of

ROOT = Path(__file__).resolve().parents[2]


def _model(nbytes: int, tag: int = 0) -> dict[str, np.ndarray]:
    return {"w": np.full(nbytes // 4, tag, np.float32), "tag": np.array([tag])}


def _codes(report: holdfast.Report) -> set[str]:
    return {f.slug for f in report.findings if f.severity != "note"}


# -- a sound folder --------------------------------------------------------------------------------------------------
def test_nothing_stands_against_saving(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vault = Vault(tmp_path / "run", Keep(last=3))
    report = vault.preflight(model=state(1), extra={"note": "x"})
    assert report.verdict == "sound"
    assert _codes(report) == set()
    (one,) = report.checkpoints
    assert one.tensors == len(state(1))
    assert one.attributes["steps_at_once"] == 4
    assert "ready" in render(report)
    assert [c.step for c in vault] == []
    assert not list((tmp_path / "run").glob(".*"))
    with Vault(tmp_path / "run") as other:  # the lock was given back
        with caplog.at_level(logging.WARNING):
            other.save(1, model=state(1), blocking=True)
        assert not caplog.records
        assert tag_of(other) == 1
    vault.close()
    with pytest.raises(UsageError, match="closed"):
        vault.preflight()


def test_a_report_renders_in_every_format(tmp_path: Path) -> None:
    huge = {"w": np.broadcast_to(np.float32(1), (1 << 40,))}
    with Vault(tmp_path) as vault:
        report = vault.preflight(model=huge)
    text = render(report)
    assert "S101 disk-full" in text and "not ready" in text
    assert "errno" not in text, "for programs only"
    (one,) = json.loads(render(report, "json"))["checkpoints"]
    assert {f["code"] for f in one["findings"]} >= {"S101", "S104"}
    assert all(f["cause"] and f["remedy"] for f in one["findings"])


def test_what_a_runtime_lets_us_hold_is_not_counted_as_copied(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    with Vault(tmp_path) as vault:
        (one,) = vault.preflight(model={"w": jax.numpy.ones(1000)}).checkpoints
        assert one.attributes["copied_bytes"] == 0
        (one,) = vault.preflight(model={"w": np.ones(1000)}).checkpoints
        assert one.attributes["copied_bytes"] == 8000


def test_frozen_patterns_are_taken_as_save_takes_them(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        assert _codes(vault.preflight(model=state(1), frozen="w")) == set()
        (finding,) = vault.preflight(model=state(1), frozen="nothing*").findings
        assert finding.slug == "unserialisable"
        vault.save(1, model=state(1), frozen="w", blocking=True)


def test_a_trial_that_hangs_is_named_within_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast._vault.preparing import preflight

    waiting, real = threading.Event(), preflight.probe
    monkeypatch.setattr(preflight, "probe", lambda *given: waiting.wait(20) and real(*given))
    with Vault(tmp_path, deadline=1) as vault:
        with pytest.raises(SaveFailed, match="saving hangs: preflight"):
            vault.save(1, model=state(1))
        waiting.set()
        for _ in range(100):
            try:
                vault.save(2, model=state(2), blocking=True)
                break
            except SaveFailed:
                time.sleep(0.02)
        assert tag_of(vault) == 2


def test_a_trial_that_was_killed_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".partial-probe-0badcafe"
    left.mkdir()
    (left / "file").write_bytes(bytes(4096))
    with Vault(tmp_path) as vault:
        vault.preflight()
    assert not left.exists()


def test_without_live_objects_the_folder_is_looked_at(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        (one,) = vault.preflight().checkpoints
    assert one.verdict == "sound"
    assert any("no live objects" in text for text in one.not_looked_at)


def test_it_keeps_the_lock_that_a_save_has_taken(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
        vault.preflight(model=state(1))
        with pytest.raises(VaultLocked), Vault(tmp_path) as other:
            other.save(2, model=state(2))


# -- who else is there, and what cannot be saved ----------------------------------------------------------------------
def test_a_second_writer(tmp_path: Path) -> None:
    with Vault(tmp_path) as first:
        first.save(1, model=state(1), blocking=True)
        second = Vault(tmp_path)
        report = second.preflight(model=state(2))
        assert _codes(report) == {"second-writer"}
        assert report.verdict == "damaged" and "not ready" in render(report)
        assert any("another writer has it" in text for text in report.checkpoints[0].not_looked_at)
        with pytest.raises(VaultLocked):
            second.save(2, model=state(2))


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        (finding,) = vault.preflight(model=state(1), extra={"loader": lambda: 0}).findings
        assert finding.slug == "unserialisable"
        assert "extra/loader" in finding.evidence["seen"]
        with pytest.raises(UsageError, match="extra/loader"):
            vault.save(1, model=state(1), extra={"loader": lambda: 0})


def test_a_failed_save_that_nobody_heard_of_is_told_and_still_raised(tmp_path: Path) -> None:
    vault = Vault(tmp_path, sink=FaultySink(tmp_path, at=1, kinds={"rename"}, error=errno.EIO))
    (tmp_path / "vault.json").write_text("{}")
    vault.save(1, model=state(1))
    vault._join()
    report = vault.preflight(model=state(1))
    assert _codes(report) == {"background-error"}
    with pytest.raises(SaveFailed, match="the disk reports an error"):
        vault.wait()
    assert _codes(vault.preflight(model=state(1))) == set()
    vault.close()


def test_a_save_in_flight_is_waited_for(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, action="slow", kinds={"write"}, seconds=0.2)
    with Vault(tmp_path, sink=sink) as vault:
        (tmp_path / "vault.json").write_text("{}")
        handle = vault.save(1, model=state(1))
        report = vault.preflight(model=state(1))
        assert {f.slug for f in report.findings} >= {"still-busy"}
        assert handle.done
        assert tag_of(vault) == 1


# -- too much --------------------------------------------------------------------------------------------------------
def test_a_state_of_terabytes_is_refused_with_all_reasons_before_it_is_frozen(tmp_path: Path) -> None:
    events: list[Any] = []
    huge = {"w": np.broadcast_to(np.float32(1), (1 << 40,))}
    with Vault(tmp_path, Keep(last=2), on_event=events.append) as vault:
        assert {"disk-full", "snapshot-memory"} <= _codes(vault.preflight(model=huge))
        with pytest.raises(SaveFailed) as failed:
            vault.save(1, model=huge)
        assert {f.slug for f in failed.value.findings if f.severity == "error"} == {
            "disk-full",
            "snapshot-memory",
        }
        assert "S101" in str(failed.value) and "S104" in str(failed.value)
        assert failed.value.remedy
        assert [type(e) for e in events] == [SaveStarted, Failed]
        assert list(vault) == [] and not list(tmp_path.glob(".partial-*"))
        vault.save(1, model=state(1), blocking=True)  # the next one is asked anew
        assert tag_of(vault) == 1
    assert sum(isinstance(e, Frozen) for e in events) == 1


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    deep = str(tmp_path)
    while len(deep) < 4040:
        deep = f"{deep}/{'d' * min(200, 4045 - len(deep))}"
    try:
        Path(deep).mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no such depth here: {error}")
    try:
        vault = Vault(f"{deep}/run")
        with pytest.raises(SaveFailed, match=r"the longest path of a save has 4[01]\d\d bytes") as failed:
            vault.save(1, model=state(1))
        assert failed.value.number == errno.ENAMETOOLONG
        assert _codes(vault.preflight(model=state(1))) >= {"path-too-long"}
        vault.close()
        with Vault(tmp_path / ("n" * 300)) as vault:
            assert _codes(vault.preflight(model=state(1))) == {"path-too-long"}
            with pytest.raises(SaveFailed) as failed:
                vault.save(1, model=state(1))
            assert "path-too-long" in {f.slug for f in failed.value.findings}
    finally:
        shutil.rmtree(tmp_path / deep[len(str(tmp_path)) + 1 :].split("/")[0])


# -- real disks, in a child of its own mounts ---------------------------------------------------------------------------
_HEAD = """
import json, logging, sys
import numpy as np
sys.path[:0] = json.loads(sys.argv[2])
from holdfast import Keep, SaveFailed, Vault
run = sys.argv[1] + "/run"
def model(nbytes, tag=0):
    return {"w": np.full(nbytes // 4, tag, np.float32), "tag": np.array([tag])}
def tell(**found):
    print(json.dumps(found))
def slugs(findings):
    return sorted(f"{f.severity} {f.slug}" for f in findings if f.severity != "note")
"""


def _on_tmpfs(options: str, body: str, after: str = "") -> dict[str, Any]:
    """What a child prints that runs ``body`` on a tmpfs of its own; skips where that is not allowed."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("no unshare or mount command here")
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    with tempfile.TemporaryDirectory() as place:
        if subprocess.run(
            [*own, "mount", "-t", "tmpfs", "none", place], capture_output=True, check=False
        ).returncode:
            pytest.skip("mounting is not allowed here")
        script = f'mount -t tmpfs -o {options} none {place} {after} && exec "$@"'
        done = subprocess.run(
            [*own, "sh", "-c", script, "sh", sys.executable, "-c", _HEAD + body, place, _paths()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _paths() -> str:
    return json.dumps([str(ROOT / "src"), *(path for path in sys.path if path)])


def test_a_state_too_large_for_a_real_tmpfs() -> None:
    found = _on_tmpfs(
        "size=8m",
        """
events = []
vault = Vault(run, Keep(last=3), on_event=events.append)
report = vault.preflight(model=model(12 << 20))
try:
    vault.save(1, model=model(12 << 20))
except SaveFailed as failed:
    error = failed
tell(report=slugs(report.findings), error=slugs(error.findings), number=error.number,
     events=[type(e).__name__ for e in events], steps=len(vault))
""",
    )
    assert found == {
        "report": ["error disk-full"],
        "error": ["error disk-full"],
        "number": errno.ENOSPC,
        "events": ["SaveStarted", "Failed"],
        "steps": 0,
    }


def test_a_tmpfs_too_small_for_keep_and_one_more_is_warned_of_once() -> None:
    found = _on_tmpfs(
        "size=8m",
        """
logged = []
class Note(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())
logging.getLogger("holdfast.vault").addHandler(Note(logging.WARNING))
with Vault(run, Keep(last=3)) as vault:
    for step in range(2):
        vault.save(step, model=model(3 << 19, step), blocking=True)
    first = list(logged)
    vault.save(2, model=model(3 << 19, 2), blocking=True)
with Vault(run, Keep(last=3)) as vault:
    small = slugs(vault.preflight(model=model(1 << 18)).findings)
tell(first=first, all=len(logged), small=small, steps=[c.step for c in vault])
""",
    )
    assert found["all"] == 0, "four saves of 1.5 MB fit into 8 MB"
    tight = _on_tmpfs(
        "size=8m",
        """
logged = []
class Note(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())
logging.getLogger("holdfast.vault").addHandler(Note(logging.WARNING))
with Vault(run, Keep(last=3)) as vault:
    for step in range(2):
        vault.save(step, model=model(3 << 20, step), blocking=True)
tell(logged=logged, steps=[c.step for c in vault])
""",
    )
    (warning,) = tight["logged"]
    assert warning.startswith("S102 the disk has no room for 4 steps of this size")
    assert tight["steps"] == [0, 1]


def test_a_file_system_without_inodes_left() -> None:
    found = _on_tmpfs(
        "size=8m,nr_inodes=12",
        """
vault = Vault(run)
report = vault.preflight(model=model(1 << 10))
try:
    vault.save(1, model=model(1 << 10))
except SaveFailed as failed:
    error = failed
tell(report=slugs(report.findings), error=slugs(error.findings), steps=len(vault))
""",
    )
    assert found == {"report": ["error no-inodes"], "error": ["error no-inodes"], "steps": 0}


def test_a_real_read_only_file_system() -> None:
    found = _on_tmpfs(
        "size=8m",
        """
import subprocess
with Vault(run) as vault:
    vault.save(1, model=model(1 << 10, 7), blocking=True)
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
vault = Vault(run)
report = vault.preflight(model=model(1 << 10))
try:
    vault.save(2, model=model(1 << 10))
except SaveFailed as failed:
    error = failed
fresh = model(1 << 10)
vault.restore(model=fresh)
tell(report=slugs(report.findings), error=slugs(error.findings), tag=int(fresh["tag"][0]))
""",
    )
    assert found == {"report": ["error read-only"], "error": ["error read-only"], "tag": 7}


def test_a_folder_that_this_user_may_not_write_to() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        run = Path(place, "run")
        run.mkdir(mode=0o755)
        run.chmod(0o555)
        body = """
import os
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
vault = Vault(run)
report = vault.preflight(model=model(1 << 10))
try:
    vault.save(1, model=model(1 << 10))
except SaveFailed as failed:
    error = failed
tell(report=slugs(report.findings), error=slugs(error.findings), remedy=error.remedy)
"""
        # once as the user that we are: what is imported later may not be readable by the other
        imports = """
with Vault(sys.argv[1] + "/other") as vault:
    vault.save(1, model=model(1 << 10), blocking=True)
    vault.preflight(model={"w": np.broadcast_to(np.float32(1), (1 << 40,))}, extra={"f": print})
"""
        done = subprocess.run(
            [sys.executable, "-c", _HEAD + imports + body, place, _paths()],
            capture_output=True,
            text=True,
            check=False,
        )
        if "PermissionError" in done.stderr and str(ROOT) in done.stderr:
            pytest.skip("another user may not read the project here")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["report"] == found["error"] == ["error permission-denied"]
        assert "may write to" in found["remedy"]


# -- pruning where the disk is full ----------------------------------------------------------------------------------------
class _Disk:
    """A disk of so many bytes."""

    size = 1 << 30
    path: str

    def free(self) -> int | None:
        used = sum(f.stat().st_size for f in Path(self.path).rglob("*") if f.is_file())
        return max(0, self.size - used)


class _Small(_Disk, LocalSink):
    """A folder on a small disk."""


class _SmallAndFaulty(_Disk, FaultySink):
    """The same, and its operations go wrong."""


SIZE = 1 << 20


def _four_steps(run: Path) -> Iterator[int]:
    with Vault(run) as vault:
        for step in range(4):
            vault.save(step, model=_model(SIZE, step), blocking=True)
    yield from range(4)


def _small(run: Path) -> _Small:
    """A disk that holds five steps, but for a little."""
    sink = _Small(run)
    used = sum(f.stat().st_size for f in run.rglob("*") if f.is_file())
    sink.size = used + SIZE // 2
    return sink


def test_a_full_disk_raises_and_nothing_is_dropped(tmp_path: Path) -> None:
    list(_four_steps(tmp_path))
    with Vault(tmp_path, Keep(last=2), sink=_small(tmp_path)) as vault:
        with pytest.raises(SaveFailed, match="the disk has no room"):
            vault.save(9, model=_model(SIZE, 9), blocking=True)
        assert [c.step for c in vault] == [0, 1, 2, 3]


def test_with_prune_what_keep_would_drop_goes_first_and_no_more(tmp_path: Path) -> None:
    list(_four_steps(tmp_path))
    events: list[Any] = []
    sink = _small(tmp_path)
    with Vault(tmp_path, Keep(last=3), on_full="prune", on_event=events.append, sink=sink) as vault:
        vault.save(9, model=_model(SIZE, 9), blocking=True)
        assert [e for e in events if isinstance(e, Dropped)] == [
            Dropped("step-00000000", "full"),
            Dropped("step-00000001", "keep"),
        ]
        assert [c.step for c in vault] == [2, 3, 9]
        with pytest.raises(SaveFailed, match="the disk has no room"):  # nothing is left that may go
            vault.save(10, model=_model(3 * SIZE, 10), blocking=True)
        assert [c.step for c in vault] == [2, 3, 9]
    with pytest.raises(UsageError, match="on_full"):
        Vault(tmp_path, on_full="hope")  # type: ignore[arg-type]


def test_pruning_leaves_pinned_steps_and_the_newest_that_verifies(tmp_path: Path) -> None:
    list(_four_steps(tmp_path))
    for step in (2, 3):
        file = tmp_path / f"step-0000000{step}" / "model.safetensors"
        data = bytearray(file.read_bytes())
        data[-100] ^= 1
        file.write_bytes(data)
    with Vault(tmp_path) as vault:
        vault.pin(0)
    with Vault(tmp_path, Keep(last=1), on_full="prune", sink=_small(tmp_path)) as vault:
        vault.save(9, model=_model(SIZE, 9), blocking=True)
        assert 0 in [c.step for c in vault]
    events: list[Any] = []
    other = tmp_path / "other"
    list(_four_steps(other))
    for step in (2, 3):
        file = other / f"step-0000000{step}" / "model.safetensors"
        data = bytearray(file.read_bytes())
        data[-100] ^= 1
        file.write_bytes(data)
    sink = _small(other)
    sink.size -= SIZE * 2
    with Vault(other, Keep(last=1), on_full="prune", on_event=events.append, sink=sink) as vault:
        with pytest.raises(SaveFailed, match="the disk has no room"):
            vault.save(9, model=_model(2 * SIZE, 9), blocking=True)
        dropped = {e.name for e in events if isinstance(e, Dropped)}
        assert "step-00000001" not in dropped, "the newest that verifies"
        fresh = _model(SIZE)
        vault.restore(model=fresh)
        assert fresh["tag"][0] == 1


def _pruning(run: Path, **fault: Any) -> tuple[_SmallAndFaulty, BaseException | None]:
    list(_four_steps(run))
    sink = _SmallAndFaulty(run, **fault)
    sink.size = sum(f.stat().st_size for f in run.rglob("*") if f.is_file()) + SIZE // 2
    error: BaseException | None = None
    vault = Vault(run, Keep(last=2), on_full="prune", sink=sink)
    try:
        vault.save(9, model=_model(SIZE, 9), blocking=True)
    except (SaveFailed, Killed) as failed:
        error = failed
    with suppress(SaveFailed, Killed):  # told above
        vault.close()
    return sink, error


def _prune_sweep(folder: Path, action: str, stride: int, first: int = 1) -> None:
    whole = len(_pruning(folder / "count")[0].operations)
    for at in range(first, whole + 1, stride):
        run = folder / f"{action}{at}"
        sink, error = _pruning(run, at=at, action=action)
        assert sink.struck
        with Vault(run) as vault:
            steps = [c.step for c in vault]
            assert not any(c.fault for c in vault)
            assert {2, 3} <= set(steps) or (9 in steps and 3 in steps), f"{action} at {at}: {steps}"
            assert error is not None or 9 in steps
            fresh = _model(SIZE)
            vault.restore(model=fresh)
            assert fresh["tag"][0] == steps[-1] == (9 if 9 in steps else 3)
            vault.save(10, model=_model(64, 10), blocking=True)
        shutil.rmtree(run)


@pytest.mark.parametrize("action", ["kill", "fail", "fill"])
def test_what_must_stay_survives_a_pruning_that_goes_wrong(tmp_path: Path, action: str) -> None:
    _prune_sweep(tmp_path, action, 6, first=2)


@pytest.mark.long
@pytest.mark.parametrize("action", ["kill", "fail", "fill"])
def test_what_must_stay_survives_a_pruning_that_goes_wrong_anywhere(tmp_path: Path, action: str) -> None:
    _prune_sweep(tmp_path, action, 1)


def test_a_file_is_no_vault(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"PK")
    with pytest.raises(holdfast.UsageError, match="a vault is a folder") as told:
        holdfast.Vault(tmp_path / "last.pt")
    assert "holdfast.restore" in str(told.value)
