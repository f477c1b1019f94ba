"""A process that is told to end: the save in flight is finished or abandoned, and a checkpoint is made at a boundary."""

from __future__ import annotations

import errno
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from holdfast import Vault
from holdfast._core.errors import SaveFailed, UsageError
from holdfast._storage.local_sink import LocalSink
from holdfast.testing import FaultySink
from vault.crashing import state, tag_of
from vault.freezing import Gate

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Every test leaves the handlers as they were."""
    watched = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in watched]
    yield
    after = [signal.getsignal(number) for number in watched]
    for number, handler in zip(watched, before, strict=True):
        signal.signal(number, handler)
    assert after == before


def _child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


# -- preemption, in real processes -----------------------------------------------------------------------------------
LOOP = """
import atexit, signal, sys, time
from holdfast import Vault
from vault.crashing import state
path, every = sys.argv[1], int(sys.argv[2])
vault = Vault(path)
step = vault.latest.step if vault.latest else 0
atexit.register(lambda: print("left at", step, flush=True))
vault.save_on_signal()
print("go", flush=True)
while True:
    step += 1
    time.sleep(0.001)
    if every and step % every == 0:
        vault.save(step, model=state(step % 90))
    vault.step_boundary(step, model=state(step % 90))
"""


def _preempt(tmp_path: Path, times: int, seed: int) -> None:
    """SIGTERM at a random moment of a loop that saves; the next child goes on where it was."""
    chance = random.Random(seed)
    before = 0
    for n in range(times):
        child = _child(LOOP, tmp_path, (0, 1, 3)[n % 3])
        assert _line(child) == "go"
        time.sleep(chance.uniform(0.0, 0.1))
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=120)
        assert child.returncode == 143, err
        left = int(out.split()[-1])
        assert left > before
        with Vault(tmp_path) as vault:
            assert not [c.name for c in vault if c.fault]
            assert vault.latest is not None
            assert vault.latest.step == left, "the boundary at which it left is saved"
            assert tag_of(vault) == left % 90
            assert len([c for c in vault if c.step == left]) == 1, "and once"
        assert not list(tmp_path.glob(".partial-*"))
        before = left


def test_sigterm_at_random_moments(tmp_path: Path) -> None:
    _preempt(tmp_path, 3, 1)


@pytest.mark.long
def test_sigterm_at_20_random_moments(tmp_path: Path) -> None:
    _preempt(tmp_path, 20, 2)


def test_more_signals_do_not_break_the_save_off(tmp_path: Path) -> None:
    code = """
import signal, sys
from holdfast import Vault
from holdfast.testing import FaultySink
from vault.crashing import state
vault = Vault(sys.argv[1], sink=FaultySink(sys.argv[1], at=1, action="slow", seconds=0.05, forever=True))
vault.save_on_signal((signal.SIGTERM, signal.SIGINT), state=lambda: {"step": 7, "model": state(7)})
print("go", flush=True)
while True:
    vault.step_boundary()
"""
    child = _child(code, tmp_path)
    assert _line(child) == "go"
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        child.send_signal(number)
        end = time.monotonic() + 60
        while not list(tmp_path.glob(".partial-step*")) and child.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(0.02)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 143, err
    with Vault(tmp_path) as vault:
        assert [c.step for c in vault] == [7]
        assert tag_of(vault) == 7


@pytest.mark.parametrize(
    ("handler", "code"),
    [("lambda *_: sys.exit(7)", 7), ("lambda *_: print('before')", 143), ("signal.SIG_IGN", 143)],
)
def test_the_handler_before_is_asked_for_the_exit_code(tmp_path: Path, handler: str, code: int) -> None:
    child = _child(
        f"""
import signal, sys, os
from holdfast import Vault
from vault.crashing import state
signal.signal(signal.SIGTERM, {handler})
with Vault(sys.argv[1]) as vault:
    vault.save_on_signal()
    os.kill(os.getpid(), signal.SIGTERM)
    assert vault.preempted
    vault.step_boundary(3, model=state(3))
    print("not reached")
""",
        tmp_path,
    )
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (code, "before\n" if "before" in handler else ""), err
    assert tag_of(Vault(tmp_path)) == 3


def test_a_loop_in_another_thread(tmp_path: Path) -> None:
    child = _child(
        """
import signal, sys, threading, time
from holdfast import Vault
from vault.crashing import state
vault = Vault(sys.argv[1])
vault.save_on_signal()
def loop():
    step = 0
    while True:
        step += 1
        time.sleep(0.01)
        vault.step_boundary(step, model=state(step % 90))
threading.Thread(target=loop, daemon=True).start()
print("go", flush=True)
time.sleep(60)
""",
        tmp_path,
    )
    assert _line(child) == "go"
    time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGTERM, err
    with Vault(tmp_path) as vault:
        assert vault.latest is not None
        assert tag_of(vault) == vault.latest.step % 90


def test_a_torch_loop_is_preempted_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """SIGTERM at random moments of a real loop, also within an optimizer's step; what continues is as if nothing was."""
    torch = pytest.importorskip("torch")

    def train(run: Path, last: int, after: float | None) -> dict[str, Any]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 1))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        with Vault(run) as vault:
            outcome = vault.restore(model=model, optimizer=optimizer, or_start_fresh=True)
            step = 0 if outcome is None else outcome.step
            assert step is not None
            vault.save_on_signal(state=lambda: {"step": step, "model": model, "optimizer": optimizer})
            timer = threading.Timer(after or 0, os.kill, (os.getpid(), signal.SIGTERM))
            if after is not None:
                timer.start()
            while step < last:
                step += 1
                data = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
                optimizer.zero_grad()
                model(data).square().mean().backward()
                optimizer.step()
                vault.step_boundary()
        return {name: value.clone() for name, value in model.state_dict().items()}

    chance = random.Random(6)
    for _ in range(4):
        with pytest.raises(SystemExit) as left:
            train(tmp_path / "a", 10**9, chance.uniform(0.005, 0.06))
        assert left.value.code == 143
    latest = Vault(tmp_path / "a").latest
    assert latest is not None
    assert len(Vault(tmp_path / "a")) == 4
    continued = train(tmp_path / "a", latest.step + 25, None)
    whole = train(tmp_path / "b", latest.step + 25, None)
    for name, value in whole.items():
        assert torch.equal(continued[name], value), name


# -- preemption, in this process -------------------------------------------------------------------------------------
def test_checkpoints_on_demand_at_random_moments(tmp_path: Path) -> None:
    """``then="continue"``: each signal is answered at the next boundary, and the loop goes on."""
    pid, sent, chance = os.getpid(), [0], random.Random(4)

    def send() -> None:
        for _ in range(20):
            time.sleep(chance.uniform(0.0, 0.03))
            sent[0] += 1
            os.kill(pid, signal.SIGUSR1)

    with Vault(tmp_path) as vault:
        vault.save_on_signal(state=lambda: {"model": state(step % 90)}, then="continue")
        thread = threading.Thread(target=send)
        step = answered = 0
        thread.start()
        while thread.is_alive() or vault.preempted:
            step += 1
            answered += vault.step_boundary(step)
        assert 1 <= answered <= sent[0] == 20
        assert len(vault) == answered
        for c in vault:
            assert tag_of(vault, step=c.name) == c.step % 90


def test_a_signal_during_the_save_asks_for_another_one(tmp_path: Path) -> None:
    class Again(LocalSink):
        told = 0

        def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
            if kind == "fsync" and not self.told:
                self.told = 1
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().call(kind, name, call)

    with Vault(tmp_path, sink=Again(tmp_path)) as vault:
        vault.save_on_signal(then="continue")
        signal.raise_signal(signal.SIGUSR1)
        assert vault.step_boundary(1, model=state(1))
        assert vault.preempted
        assert vault.step_boundary(2, model=state(2))
        assert not vault.preempted
        assert not vault.step_boundary(3, model=state(3))
        assert [c.step for c in vault] == [1, 2]


def test_without_a_signal_a_boundary_does_nothing(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        assert not vault.preempted
        assert not vault.step_boundary(1, model=state(1))
        vault.save_on_signal()
        assert not vault.step_boundary(1, model=state(1))
        assert not vault.step_boundary()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [{}, {"step": 3}, {"model": {"a": 1}}])
def test_nothing_to_save_is_said_and_the_signal_stays(tmp_path: Path, given: dict[str, Any]) -> None:
    with Vault(tmp_path) as vault:
        vault.save_on_signal(then="continue")
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(UsageError, match="SIGTERM came, and nothing says what to save"):
            vault.step_boundary(**given)
        assert vault.preempted
        vault.step_boundary(4, model=state(4))
        assert tag_of(vault) == 4


def test_a_step_that_was_just_saved_is_not_saved_again_unless_there_is_more(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save_on_signal(then="continue")
        vault.save(1, model=state(1), extra={"note": "x"})
        signal.raise_signal(signal.SIGUSR1)
        assert vault.step_boundary(1, model=state(1))
        assert [c.name for c in vault] == ["step-00000001"]
        signal.raise_signal(signal.SIGUSR1)
        assert vault.step_boundary(1, model=state(1), other=state(2))
        assert [c.name for c in vault] == ["step-00000001", "step-00000001.2"]


def test_a_save_that_failed_before_does_not_keep_the_last_one_from_being_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    with Vault(tmp_path, sink=FaultySink(tmp_path, at=1, kinds={"rename"}, error=errno.EIO)) as vault:
        vault.save_on_signal(then="continue")
        vault.save(2, model=state(2))
        signal.raise_signal(signal.SIGTERM)
        assert vault.step_boundary(2, model=state(2))
        assert tag_of(vault) == 2
    assert "the save before had failed" in caplog.text


def test_a_preempted_save_that_fails_is_raised_and_the_handlers_stay(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=4, error=errno.ENOSPC, forever=True)
    with Vault(tmp_path, sink=sink) as vault, vault.save_on_signal():
        watching = signal.getsignal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SaveFailed):
            vault.step_boundary(2, model=state(2))
        assert vault.preempted, "nothing has answered it"
        assert signal.getsignal(signal.SIGTERM) == watching
        sink.at = 0
        with pytest.raises(SystemExit):
            vault.step_boundary(3, model=state(3))
        assert tag_of(vault) == 3


# -- handlers --------------------------------------------------------------------------------------------------------
def test_handlers_are_put_back_and_a_signal_that_nobody_answered_is_delivered(tmp_path: Path) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        with Vault(tmp_path) as vault:
            with vault.save_on_signal() as watch:
                assert signal.getsignal(signal.SIGTERM) != mine
            assert signal.getsignal(signal.SIGTERM) is mine
            watch.release()
            vault.save_on_signal()
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert signal.getsignal(signal.SIGTERM) is mine
        assert heard == [signal.SIGTERM], "closing is no boundary: who sent it is not ignored"
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_vault_that_was_dropped_swallows_no_signal(tmp_path: Path) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    vault = Vault(tmp_path)
    vault.save_on_signal((signal.SIGTERM,))
    del vault
    gc.collect()
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_what_cannot_be_watched_is_refused_and_nothing_stays_set(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        with pytest.raises(UsageError, match="cannot be watched"):
            vault.save_on_signal((signal.SIGTERM, signal.SIGKILL))
        with pytest.raises(UsageError, match="no such then"):
            vault.save_on_signal(then="stop")  # type: ignore[arg-type]
        told: list[BaseException] = []

        def elsewhere() -> None:
            try:
                vault.save_on_signal()
            except UsageError as error:
                told.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "main thread" in str(told[0])


def test_a_person_who_insists_interrupts(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save_on_signal((signal.SIGINT,), then="continue")
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_two_vaults_both_save_before_the_process_leaves(tmp_path: Path) -> None:
    with Vault(tmp_path / "a") as a, Vault(tmp_path / "b") as b:
        a.save_on_signal((signal.SIGTERM,))
        b.save_on_signal((signal.SIGTERM,))
        signal.raise_signal(signal.SIGTERM)
        assert a.preempted
        assert b.preempted
        assert b.step_boundary(1, model=state(1))
        with pytest.raises(SystemExit) as left:
            a.step_boundary(2, model=state(2))
        assert left.value.code == 143
    assert (tag_of(Vault(tmp_path / "a")), tag_of(Vault(tmp_path / "b"))) == (2, 1)


def test_a_forked_child_dies_of_the_signal_as_ever(tmp_path: Path) -> None:
    """A data loader's worker that its parent terminates."""
    with Vault(tmp_path) as vault:
        vault.save_on_signal()
        pid = os.fork()
        if pid == 0:
            time.sleep(20)
            os._exit(0)
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGTERM
        assert not vault.preempted


# -- interrupts in the middle of things ------------------------------------------------------------------------------
class Interrupting(LocalSink):
    """Ctrl-C at the ``at``-th operation."""

    def __init__(self, path: Path, at: int) -> None:
        super().__init__(path)
        self.at, self.count = at, 0

    def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        self.count += 1
        if self.count == self.at:
            signal.raise_signal(signal.SIGINT)
        return super().call(kind, name, call)


def test_ctrl_c_at_every_operation_of_a_save(tmp_path: Path) -> None:
    """It reaches the caller; nothing is half-visible; the same vault saves on."""
    counting = Interrupting(tmp_path / "count", 0)
    with Vault(tmp_path / "count", sink=counting) as vault:
        vault.save(1, model=state(1), blocking=True)
    logging.disable(logging.CRITICAL)
    try:
        for at in range(1, counting.count + 1):
            run = tmp_path / f"run{at}"
            with Vault(run, sink=Interrupting(run, at)) as vault:
                with pytest.raises(KeyboardInterrupt):
                    vault.save(1, model=state(1), blocking=True)
                assert all(c.fault is None for c in vault)
                there = len(vault)
                assert there in (0, 1)
                vault.save(2, model=state(2), blocking=True)
                assert tag_of(vault) == 2
                assert len(vault) == there + 1
            assert not list(run.glob(".partial-*"))
    finally:
        logging.disable(logging.NOTSET)


def test_ctrl_c_at_random_moments_of_a_loop(tmp_path: Path) -> None:
    pid, chance = os.getpid(), random.Random(5)
    caught = 0
    logging.disable(logging.CRITICAL)
    try:
        with Vault(tmp_path) as vault:
            step = 0
            for n in range(20):
                timer = threading.Timer(chance.uniform(0.0, 0.02), os.kill, (pid, signal.SIGINT))
                try:
                    timer.start()
                    while True:
                        step += 1
                        vault.save(step, model=state(step % 90), blocking=bool(n % 2))
                except KeyboardInterrupt:
                    caught += 1
                timer.join()
            assert caught == 20
            vault.wait()
            for c in vault:
                assert c.fault is None
                assert tag_of(vault, step=c.name) == c.step % 90
            vault.save(10**6, model=state(3), blocking=True)
            assert tag_of(vault) == 3
    finally:
        logging.disable(logging.NOTSET)
    assert not list(tmp_path.glob(".partial-*"))


def test_ctrl_c_while_waiting_leaves_the_save_in_flight_alone(tmp_path: Path) -> None:
    sink = Gate(tmp_path)
    with Vault(tmp_path, sink=sink) as vault:
        handle = vault.save(1, model=state(1))
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            vault.wait()
        timer.join()
        assert not handle.done
        sink.open.set()
        vault.wait()
        assert tag_of(vault) == 1


ENDS = {
    "end of the program": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise ZeroDivisionError", 1),
    "an exception in a with block": ("with vault: raise ZeroDivisionError", 1),
    "an interrupt": ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
}


@pytest.mark.parametrize(("ending", "code"), ENDS.values(), ids=ENDS.keys())
def test_a_save_in_flight_is_finished_when_the_program_ends(tmp_path: Path, ending: str, code: int) -> None:
    child = _child(
        f"""
import atexit, signal, sys
from holdfast import Vault
from holdfast.testing import FaultySink
from vault.crashing import state
vault = Vault(sys.argv[1], sink=FaultySink(sys.argv[1], at=1, action="slow", seconds=0.01, forever=True))
atexit.register(lambda: print([c.step for c in vault], flush=True))
vault.save(1, model=state(1), blocking=True)
vault.save(2, model=state(2))
{ending}
""",
        tmp_path,
    )
    out, err = child.communicate(timeout=120)
    assert child.returncode == code, err
    assert out == "[1, 2]\n", "what is registered to run at exit runs after the save"
    assert tag_of(Vault(tmp_path)) == 2


def test_a_large_save_with_frozen_tensors_is_finished_when_the_program_ends(tmp_path: Path) -> None:
    """It needs threads of its own after the main thread has ended; executors then take no work."""
    child = _child(
        """
import sys
import numpy as np
from holdfast import Vault
from holdfast.testing import FaultySink
vault = Vault(sys.argv[1], sink=FaultySink(sys.argv[1], at=1, action="slow", seconds=0.01, forever=True))
model = {"a": np.ones(1_200_000, np.float32), "b": np.ones(1_200_000, np.float32), "c": np.ones(2_500_000, np.float32)}
vault.save(1, model=model, frozen=["a", "b"], blocking=True)
model["c"] += 1
vault.save(2, model=model, frozen=["a", "b"])
""",
        tmp_path,
    )
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert not err
    with Vault(tmp_path) as vault:
        assert [c.step for c in vault] == [1, 2]
        assert not vault.scrub().damaged


def test_a_failure_that_nobody_asks_for_is_told_at_the_end(tmp_path: Path) -> None:
    child = _child(
        """
import errno, sys
from holdfast import Vault
from holdfast.testing import FaultySink
from vault.crashing import state
Vault(sys.argv[1]).save(1, model=state(1), blocking=True)
vault = Vault(sys.argv[1], sink=FaultySink(sys.argv[1], at=2, kinds={"fsync"}, error=errno.EIO))
vault.save(2, model=state(2))
""",
        tmp_path,
    )
    _, err = child.communicate(timeout=120)
    assert "the save of step 2 failed" in err
    assert tag_of(Vault(tmp_path)) == 1


def test_a_thread_that_cannot_be_started_writes_in_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of the interpreter (Python 3.12), or with too many threads."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Vault(tmp_path) as vault:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            handle = vault.save(1, model=state(1))
            assert handle.done
        assert tag_of(vault) == 1
