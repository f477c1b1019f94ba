"""The lock: one holder at a time, named, and free once its owner is gone."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Vault
from holdfast._core.errors import SaveFailed, VaultLocked
from holdfast._storage.lock import Lock, owner_of

MODEL = {"w": np.arange(3.0)}
HOLDER = """if True:
    import sys, time
    from holdfast._storage.lock import Lock
    lock = Lock(sys.argv[1])
    print("go", flush=True)
    time.sleep(60)
"""


def _holder(path: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"go\n"
    return child


def test_the_owner_is_named(tmp_path: Path) -> None:
    child = _holder(tmp_path / "lock")
    try:
        with pytest.raises(VaultLocked) as refused:
            Lock(tmp_path / "lock")
        text = str(refused.value)
        assert f"process {child.pid} on {socket.gethostname()}, since 20" in text
        assert refused.value.remedy
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_owner_leaves_the_lock_free(tmp_path: Path, how: signal.Signals) -> None:
    child = _holder(tmp_path / "lock")
    child.send_signal(how)
    child.communicate()
    told = owner_of(tmp_path / "lock")
    assert told is not None
    assert told["pid"] == child.pid, "its text is still there"
    with Lock(tmp_path / "lock") as lock:
        assert lock.held
        told = owner_of(tmp_path / "lock")
        assert told is not None
        assert told["pid"] == os.getpid()
    assert not lock.held
    assert owner_of(tmp_path / "lock") is None


def test_two_objects_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock"), pytest.raises(VaultLocked, match="another Vault object of this process"):
        Lock(tmp_path / "lock")
    Lock(tmp_path / "lock").release()


def test_two_names_of_one_folder_are_one_lock(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    with Lock(real / "lock"), pytest.raises(VaultLocked):
        Lock(tmp_path / "link" / "lock")


def test_release_twice_and_a_lock_that_was_dropped(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    lock.release()
    lock.release()
    lock = Lock(tmp_path / "lock")
    del lock
    gc.collect()
    Lock(tmp_path / "lock").release()


def test_a_vault_that_was_dropped_without_close_is_free(tmp_path: Path) -> None:
    """As when a notebook's cell is run again."""
    vault = Vault(tmp_path)
    vault.save(1, model=MODEL, blocking=True)
    vault = Vault(tmp_path)
    gc.collect()
    vault.save(2, model=MODEL, blocking=True)
    assert len(vault) == 2
    vault.close()


def test_a_fork_neither_holds_nor_frees_its_parents_lock(tmp_path: Path) -> None:
    """A data loader's worker: it may not save, its end frees nothing, and it does not outlive its parent as the owner."""
    code = """if True:
        import os, sys, time, numpy as np
        from holdfast import Vault
        from holdfast._core.errors import VaultLocked
        vault = Vault(sys.argv[1])
        vault.save(1, model={"w": np.arange(3.)}, blocking=True)
        child = os.fork()
        if child == 0:
            try:
                vault.save(2, model={"w": np.arange(3.)}, blocking=True)
                os.write(1, b"saved\\n")
            except VaultLocked as refused:
                os.write(1, (refused.message + "\\n").encode())
            if os.fork() == 0:
                os.close(1); time.sleep(20); os._exit(0)  # outlives all
            os._exit(0)
        os.waitpid(child, 0)
        print(os.getpid(), flush=True)
        sys.stdin.readline()
        vault.save(3, model={"w": np.arange(3.)}, blocking=True)
        print("saved", flush=True)
        time.sleep(20)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    assert f"process {parent.pid} on" in parent.stdout.readline()
    assert parent.stdout.readline() == f"{parent.pid}\n"
    with pytest.raises(VaultLocked):
        Vault(tmp_path).save(9, model=MODEL, blocking=True)
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "saved\n"
    parent.kill()
    parent.wait()
    with Vault(tmp_path) as vault:  # a grandchild lives on
        vault.save(4, model=MODEL, blocking=True)
        assert [c.step for c in vault] == [1, 3, 4]
    parent.stdin.close()
    parent.stdout.close()


def _no_kernel_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(handle: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize(
    ("owner", "free"),
    [
        ({"host": socket.gethostname(), "pid": os.getppid()}, False),
        ({"host": socket.gethostname(), "pid": 2**22 + 5}, True),
        ({"host": "elsewhere", "pid": 2**22 + 5}, False),
        (None, True),
    ],
    ids=["alive", "dead", "on another host", "nobody"],
)
def test_without_kernel_locks_the_text_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any] | None, free: bool
) -> None:
    _no_kernel_locks(monkeypatch)
    path = tmp_path / "lock"
    if owner is not None:
        path.write_text(json.dumps(owner))
    if free:
        Lock(path).release()
    else:
        with pytest.raises(VaultLocked):
            Lock(path)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_a_lock_whose_text_says_nothing(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "lock"
    path.write_bytes(text)
    assert owner_of(path) is None
    with Lock(path):
        assert owner_of(path) is not None


def test_a_full_disk_does_not_keep_a_lock_that_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with Lock(tmp_path / "lock") as lock:  # the kernel's lock holds without the text
            assert lock.held
        _no_kernel_locks(patched)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            Lock(tmp_path / "lock")
    Lock(tmp_path / "lock").release()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "run"
    with pytest.raises(SaveFailed) as failed:
        Vault(path).save(1, model=MODEL, blocking=True)
    assert str(path) in str(failed.value)


def test_many_threads_one_holder(tmp_path: Path) -> None:
    inside, most, refused = [], [], []

    def work() -> None:
        for _ in range(30):
            try:
                with Lock(tmp_path / "lock"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except VaultLocked:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) + len(refused) == 120
