"""Who reads a step keeps it: retention, also another process's, lets it be until the reader is done."""

from __future__ import annotations

import errno
import gc
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Vault
from holdfast._core.errors import CheckpointNotFound, UsageError
from holdfast._storage import reading
from holdfast._storage.reading import ReadLock, StepGone
from holdfast._vault.folder import steps
from holdfast._vault.folder.reading_lock import unread
from vault.crashing import state, tag_of

fcntl = pytest.importorskip("fcntl")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _saved(run: Path, *steps: int, keep: Keep | None = None) -> None:
    with Vault(run, keep) as vault:
        for step in steps:
            vault.save(step, model=state(step), blocking=True)


def _names(run: Path) -> list[str]:
    return [c.name for c in Vault(run)]


# -- the lock --------------------------------------------------------------------------------------------------------
def test_readers_share_and_whoever_wants_it_alone_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    lock_of_system = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda file, how: (asked.append(how), lock_of_system(file, how))[1])
    _saved(tmp_path, 1)
    step = tmp_path / "step-00000001"
    with unread(step) as free:
        assert free
    first, second = ReadLock(step), ReadLock(step)
    assert first.held
    assert second.held
    for lock in (first, second):
        asked.clear()
        with unread(step) as free:
            assert not free
        assert asked == [fcntl.LOCK_EX | fcntl.LOCK_NB]
        lock.release()
        lock.release()
        assert not lock.held
    with unread(step) as free:
        assert free


def test_a_reader_that_was_forgotten_or_died_holds_nothing(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    step = tmp_path / "step-00000001"
    ReadLock(step)
    catalog = holdfast.open(step)
    with unread(step) as free:
        assert not free
    del catalog
    gc.collect()
    with unread(step) as free:
        assert free
    code = (
        "import sys, time; from holdfast._storage.reading import ReadLock; "
        "held = ReadLock(sys.argv[1]); print(1, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(step)], stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"1\n"
    with unread(step) as free:
        assert not free
    child.kill()
    child.communicate()
    with unread(step) as free:
        assert free


def test_a_step_that_is_moved_away_while_its_reader_waits(tmp_path: Path) -> None:
    """It has the record open and asks for the lock; what it then gets is no longer in the vault."""
    _saved(tmp_path, 1)
    step = tmp_path / "step-00000001"
    told: list[BaseException] = []

    def read() -> None:
        try:
            ReadLock(step)
        except StepGone as gone:
            told.append(gone)

    with unread(step) as free:
        assert free
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.05)
        assert thread.is_alive(), "it waits for whoever has the step alone"
        step.rename(tmp_path / ".partial-gone")
    thread.join(60)
    assert len(told) == 1
    assert isinstance(told[0], CheckpointNotFound)
    with pytest.raises(StepGone):
        ReadLock(step)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks_hinders_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _saved(tmp_path, 1)

    def flock(handle: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", flock)
        with holdfast.open(tmp_path / "step-00000001") as held, unread(tmp_path / "step-00000001") as free:
            assert free
            assert held.read("tag")[0] == 1
    assert tag_of(Vault(tmp_path)) == 1


def test_an_exclusive_lock_that_needs_a_file_open_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS has it: EBADF for a descriptor that only reads."""
    _saved(tmp_path, 1)
    step = tmp_path / "step-00000001"
    real = fcntl.flock

    def flock(handle: int, kind: int) -> None:
        if kind & fcntl.LOCK_EX and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(handle, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    with ReadLock(step), unread(step) as free:
        assert not free
    with unread(step) as free:
        assert free


def test_a_forked_child_neither_keeps_nor_frees_its_parents_hold(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    step = tmp_path / "step-00000001"
    lock = ReadLock(step)
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock.release()
        os.read(ready, 1)
        os._exit(0)
    with unread(step) as free:
        assert not free, "the child's release freed nothing"
    lock.release()
    with unread(step) as free:
        assert free, "the child's copy of the descriptor holds nothing"
    os.write(go, b"x")
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(go)


# -- retention -------------------------------------------------------------------------------------------------------
def test_what_is_open_is_dropped_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.vault")
    with Vault(tmp_path, Keep(last=1)) as vault:
        vault.save(1, model=state(1), blocking=True)
        with holdfast.open(tmp_path / "step-00000001") as held:
            vault.save(2, model=state(2), blocking=True)
            assert _names(tmp_path) == ["step-00000001", "step-00000002"]
            assert "step-00000001 is being read; it is dropped after a later save" in caplog.text
            assert held.read("w").tobytes() == state(1)["w"].tobytes()
        vault.save(3, model=state(3), blocking=True)
        assert _names(tmp_path) == ["step-00000003"]
    assert not list(tmp_path.glob(".partial-*"))


READER = """
import sys, time, numpy as np
import holdfast
from holdfast import Vault
from vault.crashing import state
run, how = sys.argv[1:]
if how == "open":
    with holdfast.open(run + "/step-00000001") as held:
        print("reads", flush=True)
        sys.stdin.readline()
        good = all(held.read(n).tobytes() == v.tobytes() for n, v in state(1).items())
else:
    from holdfast._storage.local import LocalFile
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    real, told = LocalFile.readinto, []
    def readinto(self, offset, buffer):
        if not told:
            told.append(1); print("reads", flush=True); sys.stdin.readline()
        real(self, offset, buffer)
    LocalFile.readinto = readinto
    read = LocalFile._read
    def _read(self, offset, length):
        if "safetensors" in self.path and not told:
            told.append(1); print("reads", flush=True); sys.stdin.readline()
        return read(self, offset, length)
    LocalFile._read = _read
    if how == "vault":
        Vault(run).restore(model=model)
    else:
        holdfast.restore(run + "/step-00000001", model=model)
    good = all(model[n].tobytes() == v.tobytes() for n, v in state(1).items())
print("good" if good else "wrong", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["open", "vault", "restore"])
def test_a_reader_in_another_process_holds_what_a_writer_would_drop(tmp_path: Path, how: str) -> None:
    _saved(tmp_path, 1)
    child = subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path), how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "reads\n"
    with Vault(tmp_path, Keep(last=1)) as vault:
        for step in (2, 3):
            vault.save(step, model=state(step), blocking=True)
            assert _names(tmp_path) == ["step-00000001", f"step-{step:08d}"]
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "good\n"
        vault.save(4, model=state(4), blocking=True)
        assert _names(tmp_path) == ["step-00000004"], "the reader is done, and still lives"
    child.communicate("\n")


def test_a_step_that_is_dropped_before_it_is_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits a newer step and drops the one that was just chosen: the newer one is restored."""
    _saved(tmp_path, 1)
    chosen: list[str] = []
    real = reading.ReadLock.__init__

    def init(self: ReadLock, folder: str | os.PathLike[str]) -> None:
        if not chosen:
            chosen.append(os.fspath(folder))
            _saved(tmp_path, 2, keep=Keep(last=1))
        real(self, folder)

    monkeypatch.setattr(reading.ReadLock, "__init__", init)
    vault = Vault(tmp_path)
    assert tag_of(vault) == 2
    assert chosen == [str(tmp_path / "step-00000001")]
    monkeypatch.setattr(reading.ReadLock, "__init__", real)
    _saved(tmp_path, 3)
    chosen.clear()

    def drop(self: ReadLock, folder: str | os.PathLike[str]) -> None:
        if not chosen:
            chosen.append(os.fspath(folder))
            _saved(tmp_path, 5, keep=Keep(last=1))
        real(self, folder)

    monkeypatch.setattr(reading.ReadLock, "__init__", drop)
    with pytest.raises(UsageError, match="no such step"):
        vault.restore(step=3, model=state(0))


def test_a_step_that_is_dropped_while_steps_are_listed_is_no_damage_and_no_empty_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed, then dropped for a newer one that was not there yet: a resumed run must not begin anew."""
    _saved(tmp_path, 1)
    real, looked = steps.look_at, list[str]()

    def look_at(run: str, name: str, *given: object) -> object:
        if not looked:
            looked.append(name)
            _saved(tmp_path, 2, keep=Keep(last=1))
        return real(run, name, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(steps, "look_at", look_at)
    vault = Vault(tmp_path)
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = vault.restore(model=model, or_start_fresh=True)
    assert outcome is not None
    assert (outcome.step, outcome.passed_over) == (2, ())
    assert looked == ["step-00000001"]


def test_a_damaged_step_that_is_read_is_not_moved_from_under_its_reader(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _saved(tmp_path, 1, 2)
    data = tmp_path / "step-00000002" / "model.safetensors"
    raw = bytearray(data.read_bytes())
    raw[-3] ^= 1
    data.write_bytes(raw)
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    with holdfast.open(tmp_path / "step-00000002"), Vault(tmp_path) as vault:
        outcome = vault.restore(model=model)
        assert outcome is not None
        assert [name for name, _ in outcome.passed_over] == ["step-00000002"]
        assert "is damaged and is being read" in caplog.text
        assert _names(tmp_path) == ["step-00000001", "step-00000002"]
    with Vault(tmp_path) as vault:
        vault.restore(model=model)
    assert _names(tmp_path) == ["step-00000001"]


# -- threads of one vault --------------------------------------------------------------------------------------------
def test_four_threads_save_and_restore_through_one_vault(tmp_path: Path) -> None:
    """Each restore gives one whole save that was committed; nothing is passed over, and no save is lost."""
    failed: list[BaseException] = []
    seen: list[int] = []
    with Vault(tmp_path, Keep(last=2)) as vault:
        vault.save(99, model=state(99), blocking=True)

        def save(base: int) -> None:
            try:
                for n in range(4):
                    vault.save(base + n, model=state(base + n), blocking=bool(n % 2)).wait()
            except BaseException as error:  # noqa: BLE001 - shown below
                failed.append(error)

        def restore() -> None:
            try:
                for _ in range(4):
                    seen.append(tag_of(vault))
            except BaseException as error:  # noqa: BLE001 - shown below
                failed.append(error)

        threads = [threading.Thread(target=save, args=(base,)) for base in (10, 20)]
        threads += [threading.Thread(target=restore) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert set(seen) <= {99, *range(10, 14), *range(20, 24)}
        found = list(vault)
        assert [c.sequence for c in found] == [8, 9], "each save had a place of its own"


def test_a_waiter_does_not_lose_sight_of_the_next_save(tmp_path: Path) -> None:
    """`wait` in one thread while another starts the next save: that one is still known to be in flight."""
    with Vault(tmp_path) as vault:
        stop = threading.Event()

        def wait() -> None:
            while not stop.is_set():
                vault.wait()

        thread = threading.Thread(target=wait)
        thread.start()
        handles = [vault.save(step, model=state(step)) for step in range(1, 20)]
        vault.wait()
        assert all(handle.done for handle in handles)
        stop.set()
        thread.join()
        assert [c.sequence for c in vault] == list(range(1, 20))


def test_another_process_restores_while_steps_come_and_go(tmp_path: Path) -> None:
    """A reader without pause in a child, a writer that keeps only the newest: each restore is whole."""
    _saved(tmp_path, 1)
    code = """
import sys
from holdfast import Vault
from vault.crashing import tag_of
print("go", flush=True)
vault = Vault(sys.argv[1])
for count in range(30):
    tag_of(vault)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    with Vault(tmp_path, Keep(last=1)) as vault:
        step = 2
        while child.poll() is None:
            vault.save(step, model=state(step % 90), blocking=True)
            step += 1
        _, err = child.communicate()
        assert child.returncode == 0, err
        assert step > 3, "it never read beside a save"
        vault.save(step, model=state(1), blocking=True)
        assert len(vault) == 1


def test_a_step_that_goes_as_soon_as_it_may_is_restored_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention of another process waits for the reading lock, and not a moment longer."""
    with holdfast.Vault(tmp_path / "run") as vault:
        for step in (1, 2):
            vault.save(step, model={"w": np.full(4, float(step))}, blocking=True)
    leave = reading.ReadLock.__exit__

    def and_gone(self: reading.ReadLock, *given: object) -> None:
        leave(self, *given)  # type: ignore[arg-type]
        shutil.rmtree(tmp_path / "run" / "step-00000002", ignore_errors=True)

    monkeypatch.setattr(reading.ReadLock, "__exit__", and_gone)
    model = {"w": np.zeros(4)}
    with holdfast.Vault(tmp_path / "run") as vault:
        outcome = vault.restore(model=model)
    assert outcome.step == 2 and model["w"].tolist() == [2.0] * 4
