"""A write that hangs is named, given up, and can never become visible afterwards."""

from __future__ import annotations

import errno
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import Keep, Vault
from holdfast._core.errors import SaveFailed, UsageError, VaultLocked
from holdfast._record.schema import load_record
from holdfast._storage.local_sink import LocalSink
from holdfast.testing import FaultySink
from vault.crashing import state, tag_of

DEADLINE = 1.0
"""Seconds: no sound operation on a busy machine takes as long."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    return tmp_path


def _ended(sink: FaultySink) -> None:
    """Let the hung operation return, and wait for its thread."""
    sink.release.set()
    for thread in threading.enumerate():
        if thread.name == "holdfast-write":
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("kind", ["mkdir", "open", "write", "fsync", "close", "rename"])
def test_a_write_that_hangs_is_named_and_never_becomes_visible(run: Path, kind: str, blocking: bool) -> None:
    sink = FaultySink(run, at=1, kinds={kind}, action="hang")
    vault = Vault(run, sink=sink, deadline=DEADLINE)
    began = time.monotonic()
    with pytest.raises(SaveFailed, match=rf"saving hangs: {kind} has not returned for \d") as failed:
        vault.save(2, model=state(2), blocking=blocking).wait()
    assert DEADLINE <= time.monotonic() - began < 60
    assert failed.value.number == errno.ETIMEDOUT
    assert failed.value.remedy
    assert "step-00000002" in str(failed.value.file), "it names the file"
    assert tag_of(Vault(run)) == 1
    with pytest.raises(VaultLocked):  # the hung thread may still write: nobody else gets the lock
        Vault(run).save(3, model=state(3), blocking=True)
    with pytest.raises(
        SaveFailed, match=f"an earlier save still hangs in {kind} of .*nothing is saved meanwhile"
    ):
        vault.save(3, model=state(3), blocking=True)
    _ended(sink)
    assert [c.step for c in Vault(run)] == [1], "what was given up became visible"
    vault.save(3, model=state(3), blocking=True)
    vault.close()
    assert [c.step for c in Vault(run)] == [1, 3]
    assert tag_of(Vault(run)) == 3
    assert not list(run.glob(".partial-*"))


@pytest.mark.parametrize("ask", ["save", "wait", "close", "handle", "restore"])
def test_a_hang_in_the_background_is_raised_at_every_place_instead_of_hanging(run: Path, ask: str) -> None:
    sink = FaultySink(run, at=2, kinds={"fsync"}, action="hang")
    vault = Vault(run, sink=sink, deadline=DEADLINE)
    handle = vault.save(2, model=state(2))
    calls = {
        "save": lambda: vault.save(3, model=state(3)),
        "wait": vault.wait,
        "close": vault.close,
        "handle": handle.wait,
        "restore": lambda: tag_of(vault),
    }
    with pytest.raises(SaveFailed, match="saving hangs: fsync"):
        calls[ask]()
    assert handle.done
    assert isinstance(handle.error, SaveFailed)
    _ended(sink)
    vault.close()
    assert tag_of(Vault(run)) == 1


def test_closing_keeps_the_lock_until_the_hung_thread_has_ended(run: Path) -> None:
    sink = FaultySink(run, at=1, kinds={"write"}, action="hang")
    vault = Vault(run, sink=sink, deadline=DEADLINE)
    with pytest.raises(SaveFailed, match="saving hangs"):
        vault.save(2, model=state(2), blocking=True)
    vault.close()
    del vault
    with pytest.raises(VaultLocked):
        Vault(run).save(3, model=state(3), blocking=True)
    _ended(sink)
    with Vault(run) as other:
        other.save(3, model=state(3), blocking=True)
        assert tag_of(other) == 3


def test_a_hang_before_anything_is_frozen_is_named(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path / "run", at=1, action="hang")
    vault = Vault(tmp_path / "run", sink=sink, deadline=DEADLINE)
    with pytest.raises(SaveFailed, match="saving hangs: mkdir"):
        vault.save(1, model=state(1))
    _ended(sink)
    vault.save(1, model=state(1), blocking=True)
    vault.close()
    assert tag_of(Vault(tmp_path / "run")) == 1


def test_a_thread_among_several_that_hangs(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written by two threads; one hangs, and the other ends."""
    monkeypatch.setattr(LocalSink, "large", 0)
    sink = FaultySink(run, at=1, kinds={"write"}, action="hang")
    vault = Vault(run, sink=sink, deadline=DEADLINE)
    with pytest.raises(SaveFailed, match="saving hangs: write"):
        vault.save(2, model=state(2), blocking=True)
    _ended(sink)
    vault.close()
    assert [c.step for c in Vault(run)] == [1]


def test_retention_that_hangs_leaves_what_is_saved(run: Path) -> None:
    sink = FaultySink(run, at=1, kinds={"unlink"}, action="hang")
    vault = Vault(run, Keep(last=1), sink=sink, deadline=DEADLINE)
    with pytest.raises(SaveFailed, match="saving hangs: unlink"):
        vault.save(2, model=state(2), blocking=True)
    assert tag_of(Vault(run)) == 2
    _ended(sink)
    vault.close()
    with Vault(run, Keep(last=1)) as other:
        other.save(3, model=state(3), blocking=True)
        assert [c.step for c in other] == [3]
    assert not list(run.glob(".partial-*"))


def test_an_interrupt_gives_the_save_up(run: Path) -> None:
    """Ctrl-C while the caller waits: it is heard at once, and the thread that writes ends without a commit."""
    sink = FaultySink(run, at=1, action="slow", seconds=0.05, forever=True)
    vault = Vault(run, sink=sink, deadline=10)
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        vault.save(2, model=state(2), blocking=True)
    sink.forever = False
    vault.save(3, model=state(3), blocking=True)
    vault.close()
    assert [c.step for c in Vault(run)] == [1, 3]


def test_what_is_slow_but_goes_on_is_left_alone(run: Path) -> None:
    """Longer than the deadline in all, and no operation longer than it."""
    sink = FaultySink(run, at=1, action="slow", seconds=0.15, forever=True)
    with Vault(run, sink=sink, deadline=1) as vault:
        began = time.monotonic()
        vault.save(2, model=state(2), blocking=True)
        assert time.monotonic() - began > 1
        assert tag_of(vault) == 2


def test_a_failure_within_the_deadline_is_raised_as_ever(run: Path) -> None:
    sink = FaultySink(run, at=3, kinds={"write"}, error=errno.ENOSPC)
    with Vault(run, sink=sink, deadline=5) as vault:
        with pytest.raises(SaveFailed, match="the disk is full"):
            vault.save(2, model=state(2), blocking=True)
        vault.save(3, model=state(3))
    assert [c.step for c in Vault(run)] == [1, 3]


def test_a_second_vault_is_refused_within_the_deadline_too(run: Path) -> None:
    with Vault(run) as owner:
        owner.save(2, model=state(2), blocking=True)
        with pytest.raises(VaultLocked, match="another Vault object"):
            Vault(run, deadline=5).save(3, model=state(3))


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_no_such_deadline(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(UsageError, match="a deadline is a number of seconds above 0"):
        Vault(tmp_path, deadline=seconds)


def test_retries_are_counted_in_the_record(run: Path) -> None:
    sink = FaultySink(run, at=2, kinds={"write"}, error=errno.EINTR)
    with Vault(run, sink=sink) as vault:
        first = vault.save(2, model=state(2))
        first.wait()
        second = vault.save(3, model=state(3))
        second.wait()
    assert (first.timings["retries"], second.timings["retries"]) == (1, 0)
    for step, retries in ((2, 1), (3, 0)):
        record = load_record((run / f"step-{step:08d}" / "holdfast.json").read_bytes(), "holdfast.json")
        assert record.timings is not None
        assert record.timings["retries"] == retries
        assert record.timings["fsync"] > 0
        assert record.timings["hash"] > 0
