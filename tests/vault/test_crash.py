"""Nothing that goes wrong in a save costs a checkpoint: the sweep with doubles, and the real things."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Keep, Vault
from holdfast._core.errors import HoldfastError, SaveFailed, VaultLocked
from holdfast._storage.local_sink import LocalSink, _LocalSinkFile
from holdfast._storage.lock import Lock
from holdfast._storage.placed import LocalPlacedFile
from holdfast._vault.folder.names import step_name
from holdfast._vault.saving import commit
from holdfast.testing import DroppingSink, FaultySink, Killed
from vault.crashing import NEW, SCENARIOS, TROUBLES, Scenario, Trouble, operations, state, sweep, tag_of

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
STRIDE = 12


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# -- the sweep -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_sweep_sample(scenario: Scenario) -> None:
    """Each kind of trouble at every twelfth operation, together at all of them."""
    count = len(operations(scenario))
    stride = 2 * STRIDE if scenario.sink else STRIDE  # what they add are the writes
    for n, trouble in enumerate(TROUBLES):
        sweep(scenario, trouble, count, stride, 1 + n % STRIDE)


def test_a_state_that_is_large_of_itself(tmp_path: Path) -> None:
    """The defaults on a real disk, with a file above the limit: each of its operations goes wrong."""
    model = {"w": np.arange(3 << 20, dtype=np.float32), "b": np.arange(77, dtype=np.float32)}

    def saved(sink: FaultySink) -> BaseException | None:
        try:
            with Vault(sink.path, sink=sink) as vault:
                vault.save(2, model=model, blocking=True)
        except (SaveFailed, Killed) as failed:
            return failed
        return None

    with Vault(tmp_path / "count") as vault:
        vault.save(1, model=state(1), blocking=True)
    sink = FaultySink(tmp_path / "count")
    assert saved(sink) is None
    ours = [n for n, (_, name) in enumerate(sink.operations, 1) if name.endswith("/model.safetensors")]
    kinds = [sink.operations[n - 1][0] for n in ours]
    assert kinds.count("write") == 2, kinds  # 12 MiB in pieces of 8
    for n, at in enumerate(ours):
        for action in (("fail", "kill"), ("fill", "short"))[n % 2]:
            run = tmp_path / f"{action}{at}"
            with Vault(run) as vault:
                vault.save(1, model=state(1), blocking=True)
            sink = FaultySink(run, at=at, action=action)  # type: ignore[arg-type]
            failed = saved(sink)
            assert sink.struck
            committed = [c.step for c in Vault(run) if c.fault is None]
            if failed is not None:
                assert committed == [1]
                with Vault(run) as vault:
                    assert tag_of(vault) == 1
                    vault.save(2, model=model, blocking=True)
            else:
                assert action in ("short", "fill") or kinds[ours.index(at)] == "writeback"
            fresh = {name: np.zeros_like(value) for name, value in model.items()}
            assert Vault(run).restore(model=fresh) is not None
            assert all(fresh[name].tobytes() == value.tobytes() for name, value in model.items())
            shutil.rmtree(run)


@pytest.mark.long
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.name)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_sweep(scenario: Scenario, trouble: Trouble) -> None:
    count = len(operations(scenario))
    seen = sweep(scenario, trouble, count)
    assert sum(seen.values()) == count
    if trouble.harmless:
        assert seen == {"saved": count}
    elif trouble.fault.get("forever") and scenario.name == "plain":
        assert seen["saved"] == 0


def _nothing(*_: object) -> None: ...


def _only_cut(file: LocalPlacedFile) -> None:
    os.ftruncate(file._handle, file._size)


@pytest.mark.parametrize(
    ("owner", "method", "instead", "why", "name"),
    [
        (_LocalSinkFile, "sync", _nothing, "half-visible|holds another|holdfast.json", "plain"),
        (LocalPlacedFile, "sync", _only_cut, "the file is empty", "past the cache"),
        (LocalSink, "sync_folder", _nothing, "called saved, and is not there|lost", "plain"),
    ],
)
def test_the_sweep_sees_a_missing_fsync(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, instead: Any, why: str, name: str
) -> None:
    """The sweep is not blind: without the files' fsync, or without the folders', it finds a loss."""
    monkeypatch.setattr(owner, method, instead)
    powered = [t for t in TROUBLES if t.crash]
    scenario = next(s for s in SCENARIOS if s.name == name)
    with pytest.raises((AssertionError, HoldfastError), match=why):
        for trouble in powered:
            sweep(scenario, trouble, 60)


def test_the_sweep_sees_a_step_that_is_visible_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that writes into the step's own folder shows as half-visible."""
    real = LocalSink.rename
    monkeypatch.setattr(commit, "partial_name", step_name)
    monkeypatch.setattr(
        LocalSink, "rename", lambda self, old, new: None if old == new else real(self, old, new)
    )
    with pytest.raises(AssertionError, match="half-visible"):
        sweep(SCENARIOS[1], next(t for t in TROUBLES if t.name == "killed"), 8)


# -- told at the caller ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ask", ["save", "wait", "close", "handle", "restore"])
def test_a_failure_in_the_background_is_raised_once_at_the_next_call(tmp_path: Path, ask: str) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    vault = Vault(tmp_path, sink=FaultySink(tmp_path, at=6, error=errno.ENOSPC))
    handle = vault.save(2, model=state(2))
    calls = {
        "save": lambda: vault.save(3, model=state(3)),
        "wait": vault.wait,
        "close": vault.close,
        "handle": handle.wait,
        "restore": lambda: tag_of(vault),
    }
    with pytest.raises(SaveFailed, match=r"^the save of step 2 failed: .*the disk is full"):
        calls[ask]()
    vault.close()
    assert [c.step for c in vault] == [1]


def test_an_error_in_a_with_block_is_not_hidden_by_a_failed_save(tmp_path: Path) -> None:
    vault = Vault(tmp_path, sink=FaultySink(tmp_path, at=9, error=errno.EIO, forever=True))
    with pytest.raises(ZeroDivisionError) as found, vault:
        vault.save(1, model=state(1))
        raise ZeroDivisionError
    assert any("a save had failed" in note for note in found.value.__notes__)


def test_a_write_that_hangs_hangs_only_its_save(tmp_path: Path) -> None:
    """The loop goes on; `wait` with a limit says that it is still being written; it is whole when the disk comes back."""
    sink = FaultySink(tmp_path, at=1, action="hang", kinds={"write"}, forever=True)
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    vault = Vault(tmp_path, sink=sink, when_busy="skip")
    handle = vault.save(2, model=state(2))
    assert sink.hanging.wait(60)
    assert not handle.done
    with pytest.raises(TimeoutError, match="step 2 is still being written"):
        handle.wait(0.05)
    assert vault.save(3, model=state(3)).skipped
    assert tag_of(Vault(tmp_path)) == 1, "reading does not wait for a writer of another vault object"
    sink.release.set()
    handle.wait(60)
    vault.close()
    assert tag_of(Vault(tmp_path)) == 2


def test_a_failure_of_retention_says_that_the_step_is_saved(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    sink = FaultySink(tmp_path, at=2, kinds={"rename"}, error=errno.EACCES)
    with (
        pytest.raises(SaveFailed, match=r"^step-00000002 is saved, but an older step could not be dropped"),
        Vault(tmp_path, Keep(last=1), sink=sink) as vault,
    ):
        vault.save(2, model=state(2), blocking=True)
    assert [c.step for c in Vault(tmp_path)] == [1, 2]


def test_a_failed_save_frees_its_space_at_once_and_the_same_vault_saves_on(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, kinds={"rename"}, error=errno.EIO)
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    with Vault(tmp_path, sink=sink) as vault:
        with pytest.raises(SaveFailed, match="the disk reports an error"):
            vault.save(2, model=state(2), blocking=True)
        assert not list(tmp_path.glob(".partial-*"))
        vault.save(2, model=state(2), blocking=True)
        assert tag_of(vault) == 2


# -- real kills ------------------------------------------------------------------------------------------------------
CHILD = """
import sys, time
import numpy as np
from holdfast import Keep, Vault
from vault.crashing import state
path, tell, mode = sys.argv[1:]
keep = Keep(last=2) if mode == "prune" else Keep()
out = open(tell, "a", buffering=1)
ballast = np.zeros(2_500_000, np.float32)  # above the limit from which several threads write past the cache
with Vault(path, keep) as vault:
    newest = vault.latest
    step = newest.step + 1 if newest else 1
    print("go", flush=True)
    while True:
        vault.save(step, model=state(step % 90) | {"ballast": ballast + step % 90}, blocking=mode != "background")
        if mode == "background":
            vault.wait()
        out.write(f"{step}\\n")
        step += 1
"""


def _kill_often(tmp_path: Path, times: int, seed: int) -> None:
    """Kill a child that saves without pause, and look; the next child goes on where it was."""
    run, told = tmp_path / "run", tmp_path / "told"
    chance = random.Random(seed)
    modes = ("keep", "prune", "background")
    inside = before = 0
    for n in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(run), str(told), modes[n % 3]],
            env=ENVIRONMENT,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        time.sleep(chance.uniform(0.0, 0.08))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        inside += bool(list(run.glob(".partial-*")))
        saved = int(told.read_text().splitlines()[-1]) if told.exists() and told.read_text() else 0
        vault = Vault(run)
        found = list(vault)
        assert all(c.fault is None for c in found), f"kill {n}: half-visible {found}"
        newest = vault.latest
        # a kill between a commit and its being told leaves one more than told: then the next child begins after it
        saved = max(saved, before)
        before = newest.step if newest else 0
        assert before in (saved, saved + 1), f"kill {n}: of step {saved}, {before} is there"
        if newest is not None:
            model = {k: np.zeros_like(v) for k, v in state(0).items()} | {
                "ballast": np.ones(2_500_000, np.float32)
            }
            outcome = vault.restore(model=model)
            assert outcome is not None
            assert outcome.passed_over == ()
            for name, value in state(newest.step % 90).items():
                assert model[name].tobytes() == value.tobytes(), f"kill {n}: {name} is wrong"
            assert (model["ballast"] == newest.step % 90).all()
    assert inside, "no kill struck within a save"
    with Vault(run) as vault:
        assert vault.save(10**6, model=state(1), blocking=True).wait().endswith("step-01000000")
    assert not list(run.glob(".partial-*"))


def test_killed_at_random_moments(tmp_path: Path) -> None:
    _kill_often(tmp_path, 20, 1)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_killed_at_200_random_moments(tmp_path: Path) -> None:
    _kill_often(tmp_path, 200, 2)


@pytest.mark.parametrize("before", [20, 12, 7, 1, 0, -1], ids=lambda n: f"{n} before the rename")
def test_a_process_that_dies_in_an_operation(tmp_path: Path, before: int) -> None:
    """The double's own SIGKILL, in a real process: nothing is lost, and the lock is free."""
    kinds = [kind for kind, _ in operations(Scenario("one more", ((1, 1),), 2))]
    visible = kinds.index("rename") + 1
    at = visible - before
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    code = (
        "import sys; from vault.crashing import state; from holdfast import Vault; "
        "from holdfast.testing import FaultySink; path, at = sys.argv[1:]; "
        "Vault(path, sink=FaultySink(path, at=int(at), action='sigkill')).save(2, model=state(2), blocking=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(at)], env=ENVIRONMENT, cwd=tmp_path, check=False
    )
    assert done.returncode == -signal.SIGKILL
    with Vault(tmp_path) as vault:
        assert tag_of(vault) == (2 if at > visible else 1)
        vault.save(3, model=state(3), blocking=True)
        assert tag_of(vault) == 3


# -- real disks ------------------------------------------------------------------------------------------------------
@contextmanager
def _mounted(path: Path, *arguments: str) -> Iterator[None]:
    """A mount, as long as it lasts; skips the test where this user may not mount."""
    try:
        done = subprocess.run(["mount", *arguments, str(path)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command here")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("known", [True, False], ids=["space asked for", "space not known"])
def test_a_real_tmpfs_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    if not known:
        monkeypatch.setattr(LocalSink, "free", lambda self: None)
    place = tmp_path / "small"
    place.mkdir()
    with _mounted(place, "-t", "tmpfs", "-o", "size=8m", "none"):
        run = place / "run"
        big = {f"w{n}": np.full(100_000, n, np.float32) for n in range(4)}
        with Vault(run) as vault:
            with pytest.raises(SaveFailed, match=r"the disk (is full|has no room)") as failed:
                for step in range(1, 20):
                    vault.save(step, model=big | {"tag": np.array([step])}, blocking=True)
            assert failed.value.remedy
            last = vault.latest
            assert last is not None
            assert last.step in (4, 5), "8 MiB hold at least four saves of 1.6 MB and what belongs to them"
            assert not list(run.glob(".partial-*")), "what was written is taken away"
            with pytest.raises(SaveFailed):
                vault.save(50, model=big, blocking=True)
        model = {name: np.zeros_like(value) for name, value in big.items()} | {"tag": np.array([0])}
        vault = Vault(run)
        vault.restore(model=model)
        assert model["tag"][0] == last.step
        assert all((model[f"w{n}"] == n).all() for n in range(4))
        filler = place / "filler"
        filler.write_bytes(b"")
        try:
            with filler.open("ab", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError:
            pass
        # not one page is free, not even for the lock's text
        with pytest.raises(SaveFailed), Vault(run) as vault:
            vault.save(51, model=big, blocking=True)
        filler.unlink()
        with Vault(run, Keep(last=1)) as vault:
            small = {"tag": np.array([7])}
            vault.save(52, model=small, blocking=True)
            assert [c.step for c in vault] == [last.step, 52], "the newest of the other variant stays"


def test_a_real_read_only_folder(tmp_path: Path) -> None:
    """Saving says so at the caller; restoring goes on."""
    run = tmp_path / "run"
    with Vault(run) as vault:
        vault.save(1, model=state(1), blocking=True)
    with _mounted(run, "--bind", str(run)), _remounted(run):
        with pytest.raises(SaveFailed, match="the file system is read-only") as failed, Vault(run) as vault:
            vault.save(2, model=state(2), blocking=True)
        assert failed.value.remedy
        assert tag_of(Vault(run)) == 1
        with pytest.raises(SaveFailed), Vault(run / "inner") as vault:
            vault.save(2, model=state(2), blocking=True)
    with Vault(run) as vault:
        vault.save(2, model=state(2), blocking=True)
        assert tag_of(vault) == 2


@contextmanager
def _remounted(path: Path) -> Iterator[None]:
    done = subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("remounting is not allowed here")
    yield


def test_damage_on_a_read_only_disk_is_passed_over_though_it_cannot_be_set_aside(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Vault(run) as vault:
        for step in (1, 2):
            vault.save(step, model=state(step), blocking=True)
    data = run / "step-00000002" / "model.safetensors"
    data.write_bytes(data.read_bytes()[:-1])
    with _mounted(run, "--bind", str(run)), _remounted(run):
        model = {name: np.zeros_like(value) for name, value in state(0).items()}
        outcome = Vault(run).restore(model=model)
        assert outcome is not None
        assert [name for name, _ in outcome.passed_over] == ["step-00000002"]
        assert model["tag"][0] == 1


def test_a_sink_that_fails_when_damage_is_set_aside_does_not_fail_the_restore(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        for step in (1, 2):
            vault.save(step, model=state(step), blocking=True)
    for name in ("holdfast.json", "holdfast.json.copy"):
        (tmp_path / "step-00000002" / name).write_text("{}")
    sink = FaultySink(tmp_path, at=1, kinds={"rename"}, error=errno.EIO)
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    with Vault(tmp_path, sink=sink) as vault:
        vault.restore(model=model)
    assert sink.struck == 1
    assert model["tag"][0] == 1


# -- several at once -------------------------------------------------------------------------------------------------
RACER = """
import sys
from holdfast import Vault
from holdfast._core.errors import VaultLocked
from vault.crashing import state
path, base = sys.argv[1], int(sys.argv[2])
print("go", flush=True); sys.stdin.readline()
try:
    with Vault(path) as vault:
        for n in range(5):
            vault.save(base + n, model=state(base + n), blocking=True)
        print("saved", flush=True); sys.stdin.readline()
except VaultLocked as refused:
    print("locked", refused.message, flush=True)
"""


def test_two_processes_race_for_one_vault(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / "run"), base],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for base in ("10", "20")
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "go\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    said = [child.stdout.readline() for child in children if child.stdout is not None]
    winner = next(n for n, text in enumerate(said) if text == "saved\n")
    loser = said[1 - winner]
    assert loser.startswith("locked"), said
    owner = children[winner]
    # the race may be so close that the owner has not yet written who it is
    assert f"process {owner.pid} on" in loser or "another writer" in loser
    with pytest.raises(VaultLocked, match=f"process {owner.pid} on .*since") as failed:
        Vault(tmp_path / "run").save(99, model=state(1), blocking=True)
    assert failed.value.remedy
    assert tag_of(Vault(tmp_path / "run")) == 14 + 10 * winner, "reading needs no lock"
    owner.kill()  # a crashed owner's lock is free
    for child in children:
        child.communicate()
    with Vault(tmp_path / "run") as vault:
        assert [c.step for c in vault] == [10 + 10 * winner + n for n in range(5)]
        vault.save(99, model=state(3), blocking=True)
        assert tag_of(vault) == 3


@pytest.mark.parametrize("blocking", [True, False])
def test_four_threads_through_one_vault(tmp_path: Path, blocking: bool) -> None:
    failed: list[BaseException] = []
    with Vault(tmp_path) as vault:

        def work(base: int) -> None:
            try:
                for n in range(5):
                    handle = vault.save(base + n, model=state(base + n), blocking=blocking)
                    assert handle.wait().endswith(f"{base + n:08d}")
            except BaseException as error:  # noqa: BLE001 - shown below
                failed.append(error)

        threads = [threading.Thread(target=work, args=(base,)) for base in (10, 20, 30, 40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        found = list(vault)
        assert sorted(c.step for c in found) == [base + n for base in (10, 20, 30, 40) for n in range(5)]
        assert [c.sequence for c in found] == list(range(1, 21))
        for c in found:
            assert tag_of(vault, step=c.name) == c.step


def test_a_failure_reaches_the_thread_whose_save_it_was(tmp_path: Path) -> None:
    """Blocking saves of several threads: each hears of its own failure, no other's."""
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    sink = FaultySink(tmp_path, at=8, error=errno.EIO)
    told: list[int] = []
    with Vault(tmp_path, sink=sink) as vault:

        def work(step: int) -> None:
            try:
                vault.save(step, model=state(step), blocking=True)
            except SaveFailed:
                told.append(step)

        threads = [threading.Thread(target=work, args=(step,)) for step in (2, 3, 4, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == 1
        assert {c.step for c in vault} == {1, 2, 3, 4, 5} - set(told)


# -- the doubles themselves ------------------------------------------------------------------------------------------
def test_what_was_not_synced_is_dropped(tmp_path: Path) -> None:
    root = tmp_path / "run"
    sink = DroppingSink(root)
    sink.make_root()
    sink.make_folder("a")
    for name, synced in (("a/x", True), ("a/y", False)):
        file = sink.create(name)
        file.write(memoryview(b"first"))
        if synced:
            file.sync()
        file.write(memoryview(b"second"))
        file.close()
    sink.sync_folder("a")
    sink.sync_folder()
    sink.rename("a", "b")
    sink.crash()
    assert {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()} == {
        "a/x": b"first",
        "a/y": b"",
    }


def test_names_first_keeps_names_and_loses_what_they_stand_for(tmp_path: Path) -> None:
    sink = DroppingSink(tmp_path)
    file = sink.create("x")
    file.write(memoryview(b"data"))
    file.close()
    sink.rename("x", "y")
    sink.crash("all")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("y", b"")]


def test_a_killed_sink_does_nothing_more(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=2, action="kill")
    file = sink.create("x")
    with pytest.raises(Killed):
        file.write(memoryview(b"1234"))
    with pytest.raises(Killed):
        sink.make_folder("y")
    assert (tmp_path / "x").read_bytes() == b"12"
    assert os.listdir(tmp_path) == ["x"]


def test_transient_errors_are_tried_again_and_counted(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, error=errno.EINTR)
    sink.make_folder("x")
    assert sink.retries == 1
    lasting = FaultySink(tmp_path, at=1, error=errno.EINTR, forever=True)
    with pytest.raises(SaveFailed, match="mkdir"):
        lasting.make_folder("y")
    assert lasting.retries == 3


def test_a_failed_fsync_is_not_tried_again(tmp_path: Path) -> None:
    """The kernel may have dropped the pages: a second fsync would say yes without them."""
    sink = FaultySink(tmp_path, at=1, kinds={"fsync"}, error=errno.ESTALE)
    file = sink.create("x")
    with pytest.raises(SaveFailed, match="fsync"):
        file.sync()
    file.close()
    assert sink.retries == 0


def test_no_such_action() -> None:
    with pytest.raises(ValueError, match="no such action"):
        FaultySink(".", action="explode")  # type: ignore[arg-type]


def test_the_sweep_gives_its_locks_back(tmp_path: Path) -> None:
    sweep(SCENARIOS[0], TROUBLES[0], 2)
    assert not Lock._held, "a failed save must not keep its vault locked"
    assert NEW not in {tag for scenario in SCENARIOS for _, tag in scenario.before}
