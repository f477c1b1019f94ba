"""PyTorch: copies that a thread makes while training goes on, complete before the next step of an optimizer."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Vault
from holdfast._vault.freezing import overlap as overlapping
from holdfast._vault.freezing.overlap import Overlap
from holdfast._vault.handle import SaveHandle

from .freezing import Gate, copies, frozen, same_bits

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

WIDE = 160  # a matrix of this size is large enough to be copied late


@contextmanager
def slow(monkeypatch: pytest.MonkeyPatch, seconds: float = 2.0) -> Iterator[threading.Event]:
    """Copies (or the second reading) begin a moment after somebody waits for them, when somebody waits for the save, once the
    event is set, or after so long."""
    ready = threading.Event()
    join, wait = Overlap.join, SaveHandle.wait

    def joining(self: Overlap) -> None:
        threading.Timer(0.05, ready.set).start()
        join(self)

    def waiting(self: SaveHandle, timeout: float | None = None) -> str:
        ready.set()
        return wait(self, timeout)

    monkeypatch.setattr(Overlap, "join", joining)
    monkeypatch.setattr(SaveHandle, "wait", waiting)
    for name in ("_copy", "_compare"):
        real = getattr(Overlap, name)

        def late(self: Overlap, real: Any = real) -> None:
            ready.wait(seconds)
            real(self)

        monkeypatch.setattr(Overlap, name, late)
    yield ready
    ready.set()


class Net(nn.Module):
    """Two wide layers, BatchNorm, and an embedding whose weight forward changes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.emb = nn.Embedding(300, WIDE, max_norm=1.0)
        self.one = nn.Linear(WIDE, WIDE)
        self.bn = nn.BatchNorm1d(WIDE)
        self.two = nn.Linear(WIDE, WIDE, bias=False)

    def forward(self, x: Any) -> Any:
        return self.two(torch.relu(self.bn(self.one(self.emb(x)))))


class Own(torch.optim.SGD):
    """A step that calls its base's: the hook fires twice."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


def backward(model: Any, at: int = 0, scale: Any = lambda loss: loss) -> Any:
    x = torch.randint(0, 300, (16,), generator=torch.Generator().manual_seed(at))
    model.zero_grad()
    loss = model(x).pow(2).mean()
    scale(loss).backward()
    return loss


def plainly(optimizer: Any) -> Callable[[Any, int], Any]:
    def step(model: Any, at: int) -> None:
        backward(model, at)
        optimizer.step()

    return step


def compiled(optimizer: Any) -> Callable[[Any, int], Any]:
    made = torch.compile(optimizer.step, backend="eager")

    def step(model: Any, at: int) -> None:
        backward(model, at)
        made()

    return step


def scaled(optimizer: Any) -> Callable[[Any, int], Any]:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    def step(model: Any, at: int) -> None:
        backward(model, at, scaler.scale)
        scaler.step(optimizer)
        scaler.update()

    return step


def with_closure(optimizer: Any) -> Callable[[Any, int], Any]:
    return lambda model, at: optimizer.step(lambda: backward(model, at))


def scheduled(optimizer: Any) -> Callable[[Any, int], Any]:
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)

    def step(model: Any, at: int) -> None:
        backward(model, at)
        optimizer.step()
        scheduler.step()

    return step


WAYS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Callable[[Any, int], Any]]]] = {
    "plain": (lambda p: torch.optim.AdamW(p, foreach=False), plainly),
    "foreach": (lambda p: torch.optim.AdamW(p, foreach=True), plainly),
    "fused": (lambda p: torch.optim.AdamW(p, fused=True), plainly),
    "compiled": (lambda p: torch.optim.AdamW(p, fused=True), compiled),
    "scaler": (lambda p: torch.optim.AdamW(p, fused=True), scaled),
    "scheduler": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True), scheduled),
    "super": (lambda p: Own(p, lr=0.1, momentum=0.9), plainly),
    "lbfgs": (lambda p: torch.optim.LBFGS(p, max_iter=3, history_size=2), with_closure),
}


@pytest.mark.parametrize("proof", ["protocol", "content"])
@pytest.mark.parametrize("way", WAYS)
def test_the_next_step_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, proof: Any) -> None:
    make, steps = WAYS[way]
    model = Net()
    optimizer = make(model.parameters())
    step = steps(optimizer)
    step(model, 0)
    before = copies(model=model, optimizer=optimizer)
    with slow(monkeypatch), Vault(tmp_path / "run", proof=proof, overlap=True) as vault:
        handle = vault.save(1, model=model, optimizer=optimizer)
        assert not handle.frozen
        late = handle._overlap.names
        assert {"one.weight", "two.weight"} <= late
        assert not late & {"emb.weight", "bn.running_mean", "one.bias"}
        assert way == "lbfgs" or [name for name in late if "state" in name]
        for at in range(3):
            step(model, at + 1)
            assert handle.frozen
        path = handle.wait()
        assert handle.timings["join"] > 0.02
        assert handle.timings["stall"] > handle.timings["join"]
        assert handle.timings["copy"] > 0
    same_bits(path, before)
    assert copies(model=model)["one.weight"].tobytes() != before["one.weight"].tobytes()
    assert not optimizer._optimizer_step_pre_hooks


def test_without_the_hook_the_copy_would_be_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the tests above can see a step that does not wait; a fused one moves no version counter."""
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    monkeypatch.setattr("holdfast._frameworks.torch.freezing.Watch.arm", lambda self, join: None)
    before = copies(model=model, optimizer=optimizer)
    with slow(monkeypatch) as ready, Vault(tmp_path / "run", overlap=True) as vault:
        handle = vault.save(1, model=model, optimizer=optimizer)
        plainly(optimizer)(model, 1)
        ready.set()
        path = handle.wait()
    with pytest.raises(AssertionError):
        same_bits(path, before)


def test_what_forward_moves_is_copied_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Net()
    with torch.no_grad():
        model.emb.weight.mul_(9)
    optimizer = torch.optim.AdamW(model.parameters())
    with slow(monkeypatch):
        frozen(
            tmp_path / "run", lambda: [model(torch.arange(300)) for _ in range(2)], overlap=True,
            model=model, optimizer=optimizer,
        )  # fmt: skip


def test_weights_that_no_passed_optimizer_owns_are_copied_at_once(tmp_path: Path) -> None:
    model, other = Net(), Net()
    optimizer = torch.optim.AdamW(model.two.parameters())
    stranger = torch.optim.AdamW(model.one.parameters(), fused=True)
    with Vault(tmp_path / "run", overlap=True) as vault:
        assert vault.save(1, model=model).frozen
        handle = vault.save(2, model=model, optimizer=optimizer, ema=other)
        assert handle._overlap is None or handle._overlap.names <= {"two.weight"}
        before = copies(model=model, optimizer=optimizer, ema=other)
        backward(model)
        stranger.step()
        with torch.no_grad():
            for mine, average in zip(model.parameters(), other.parameters(), strict=True):
                average.lerp_(mine, 0.5)
        path = handle.wait()
    same_bits(path, before)


def test_any_of_several_optimizers_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in (0, 1):
        model = Net()
        optimizers = {
            "a": torch.optim.AdamW(model.one.parameters(), fused=True),
            "b": torch.optim.SGD(model.two.parameters(), lr=0.1, momentum=0.9),
        }
        order = list(optimizers.values())[:: -1 if first else 1]
        before = copies(model=model, optimizer=optimizers)
        with slow(monkeypatch), Vault(tmp_path / f"run{first}", overlap=True) as vault:
            handle = vault.save(1, model=model, optimizer=optimizers)
            assert not handle.frozen
            backward(model)
            order[0].step()
            assert handle.frozen
            order[1].step()
            path = handle.wait()
        same_bits(path, before)
        assert not any(one._optimizer_step_pre_hooks for one in order)


def test_steps_whose_hooks_are_not_certain_are_not_waited_for(tmp_path: Path) -> None:
    class Wrapper:
        """Changes weights on its own before the inner step."""

        def __init__(self, optimizer: Any) -> None:
            self.optimizer = optimizer
            self.param_groups, self.state = optimizer.param_groups, optimizer.state
            self.state_dict, self.load_state_dict = optimizer.state_dict, optimizer.load_state_dict

    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    replaced = torch.optim.AdamW(model.parameters())
    replaced.step = lambda closure=None: None
    with Vault(tmp_path / "run", overlap=True) as vault:
        for number, thing in enumerate((Wrapper(optimizer), replaced)):
            assert vault.save(number, model=model, optimizer=thing).frozen
    assert not optimizer._optimizer_step_pre_hooks


# -- writes outside the protocol -------------------------------------------------------------------------------------
def _load(model: Any) -> None:
    model.load_state_dict({name: torch.ones_like(value) for name, value in model.state_dict().items()})


@torch.no_grad()
def _average(model: Any) -> None:
    model.one.weight.mul_(0.9).add_(torch.ones(()))


@torch.no_grad()
def _zero(model: Any) -> None:
    model.one.weight.zero_()


def _data(model: Any) -> None:
    model.one.weight.data.add_(1)


def _numpy(model: Any) -> None:
    model.one.weight.detach().numpy()[:] = 3


def _elsewhere(model: Any) -> None:
    model.one.weight.data = torch.zeros(WIDE, WIDE)


COUNTED = {"load": _load, "average": _average, "zero": _zero}
SILENT = {"data": _data, "numpy": _numpy}
REPLACED: dict[str, Callable[[Any], Any]] = {
    "data": _elsewhere,
    "half": lambda m: m.half(),
    "assign": lambda m: m.load_state_dict(Net().double().state_dict(), assign=True),
}


def _pair() -> dict[str, Any]:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    plainly(optimizer)(model, 0)
    return {"model": model, "optimizer": optimizer}


@pytest.mark.parametrize(
    ("write", "proof"),
    [*((write, "protocol") for write in COUNTED.values())]
    + [(write, "content") for write in (*COUNTED.values(), *SILENT.values())],
)
def test_writes_before_the_join_fail_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], Any], proof: Any
) -> None:
    live = _pair()
    with slow(monkeypatch) as ready, Vault(tmp_path / "run", proof=proof, overlap=True) as vault:
        handle = vault.save(1, **live)
        write(live["model"])
        ready.set()
        plainly(live["optimizer"])(live["model"], 1)  # raises nothing
        with pytest.raises(holdfast.SaveFailed, match="torn") as caught:
            handle.wait()
        assert "one.weight" in caught.value.message
        assert "join" in str(caught.value)
        assert [f.code for f in caught.value.findings] == ["S132"]
        assert not vault.checkpoints()
        before = copies(**live)
        path = vault.save(2, blocking=True, **live).wait()
    same_bits(path, before)


@pytest.mark.parametrize("proof", ["protocol", "content"])
@pytest.mark.parametrize("write", [*COUNTED.values(), *SILENT.values()])
def test_writes_after_the_join_are_no_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], Any], proof: Any
) -> None:
    """S132 is silent: the same writes, once everything may change again."""
    live = _pair()
    before = copies(**live)
    with slow(monkeypatch) as ready, Vault(tmp_path / "run", proof=proof, overlap=True) as vault:
        handle = vault.save(1, **live)
        ready.set()
        handle.join()
        write(live["model"])
        plainly(live["optimizer"])(live["model"], 1)
        path = handle.wait()
    same_bits(path, before)


@pytest.mark.parametrize("write", REPLACED.values(), ids=REPLACED)
def test_tensors_that_get_other_memory_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], Any]
) -> None:
    live = _pair()
    with slow(monkeypatch):
        frozen(tmp_path / "run", lambda: write(live["model"]), overlap=True, **live)


@pytest.mark.parametrize("write", [*COUNTED.values(), *SILENT.values()])
@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_a_writer_that_joins_first_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Any], Any], proof: Any
) -> None:
    live = _pair()
    before = copies(**live)
    with slow(monkeypatch, 0.05), Vault(tmp_path / "run", proof=proof, overlap=True) as vault:
        handle = vault.save(1, **live)
        handle.join()
        assert handle.frozen
        write(live["model"])
        path = handle.wait()
        handle.join()
    same_bits(path, before)


def test_a_restore_joins_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = _pair()
    with Vault(tmp_path / "run", overlap=True) as vault:
        older = vault.save(1, blocking=True, **live).wait()
        first = copies(**live)
        plainly(live["optimizer"])(live["model"], 1)
        for number, restore in enumerate((vault.restore, lambda **live: holdfast.restore(older, **live))):
            before = copies(**live)
            with slow(monkeypatch, 0.1):
                handle = vault.save(2 + number, **live)
                assert not handle.frozen
                if number:
                    restore(**live)
                else:
                    restore(step=1, **live)
                assert handle.frozen
            same_bits(handle.wait(), before)
            assert copies(**live)["one.weight"].tobytes() == first["one.weight"].tobytes()


# -- the hook, the handle, the thread --------------------------------------------------------------------------------
def test_saves_without_a_step_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = _pair()
    with slow(monkeypatch, 0.02), Vault(tmp_path / "run", overlap=True) as vault:
        handles = [vault.save(number, **live) for number in range(4)]
        vault.wait()
        assert all(handle.frozen for handle in handles)
        assert len(live["optimizer"]._optimizer_step_pre_hooks) == 1
        plainly(live["optimizer"])(live["model"], 1)
        assert not live["optimizer"]._optimizer_step_pre_hooks
    assert len(Vault(tmp_path / "run")) == 4


def test_other_hooks_stay_and_are_called_once(tmp_path: Path) -> None:
    live = _pair()
    optimizer, called = live["optimizer"], []
    with Vault(tmp_path / "run", overlap=True) as vault:
        optimizer.register_step_pre_hook(lambda *_: called.append("first"))
        handle = vault.save(1, **live)
        last = optimizer.register_step_pre_hook(lambda *_: called.append("last"))
        plainly(optimizer)(live["model"], 1)
        assert called == ["first", "last"]
        assert handle.frozen
        assert len(optimizer._optimizer_step_pre_hooks) == 3  # not the last one: it waits for its turn to go
        last.remove()
        plainly(optimizer)(live["model"], 1)
        assert called == ["first", "last", "first"]
        assert len(optimizer._optimizer_step_pre_hooks) == 1


def test_a_copy_of_the_optimizer_has_no_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = _pair()
    with slow(monkeypatch), Vault(tmp_path / "run", overlap=True) as vault:
        handle = vault.save(1, **live)
        assert live["optimizer"]._optimizer_step_pre_hooks
        twin = copy.deepcopy(live["optimizer"])
        again = pickle.loads(pickle.dumps(live["optimizer"]))
        assert not twin._optimizer_step_pre_hooks
        assert not again._optimizer_step_pre_hooks
        twin.step()
        assert not handle.frozen
        handle.wait()


def test_what_fails_in_the_copy_is_raised_by_the_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = _pair()

    def fail(*_: Any) -> None:
        raise MemoryError("no pages left")

    with Vault(tmp_path / "run", overlap=True) as vault:
        for asked in (lambda h: h.wait(), lambda _: vault.wait(), lambda _: vault.save(9, **live)):
            with monkeypatch.context() as patch:
                patch.setattr(overlapping.Overlap, "_copy", fail)
                handle = vault.save(1, **live)
                plainly(live["optimizer"])(live["model"], 1)  # the step is not where it is raised
                assert handle.frozen
                handle.join()
                while not handle.done:
                    time.sleep(0.005)
            with pytest.raises(MemoryError, match="no pages left"):
                asked(handle)
            vault._failed = None
        assert not vault.checkpoints()
        before = copies(**live)
        path = vault.save(10, **live).wait()
    same_bits(path, before)


def test_an_interrupt_while_a_step_waits_leaves_the_weights_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = _pair()
    before = copies(**live)

    def interrupted(self: Overlap) -> None:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.05)

    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    monkeypatch.setattr(overlapping.Overlap, "_copy", interrupted)
    vault = Vault(tmp_path / "run", overlap=True)
    handle = vault.save(1, **live)
    backward(live["model"])
    weights = live["model"].one.weight.clone()
    with pytest.raises(KeyboardInterrupt):
        live["optimizer"].step()
    assert torch.equal(weights, live["model"].one.weight)
    with pytest.raises(holdfast.SaveFailed, match="interrupted"):
        handle._overlap.finish()
    assert before["one.weight"].tobytes() == copies(**live)["one.weight"].tobytes()


def test_a_dropped_vault_finishes_its_save_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = _pair()
    before = copies(**live)
    with slow(monkeypatch, 0.05):
        vault = Vault(tmp_path / "run", overlap=True)
        vault.save(1, **live)
        thread = vault._thread
        gone = weakref.ref(vault)
        del vault
        plainly(live["optimizer"])(live["model"], 1)
        assert thread is not None
        thread.join()
    del thread
    gc.collect()
    assert gone() is None
    same_bits(Vault(tmp_path / "run").checkpoints()[0].path, before)
    optimizer = weakref.ref(live["optimizer"])
    live.clear()
    gc.collect()
    assert optimizer() is None


def test_a_hook_of_a_save_that_is_over_keeps_no_memory(tmp_path: Path) -> None:
    live = _pair()
    with Vault(tmp_path / "run", overlap=True) as vault:
        handle = vault.save(1, **live)
        handle.wait()
        assert live["optimizer"]._optimizer_step_pre_hooks  # no step came yet
        assert not handle._overlap._jobs
        old = weakref.ref(live["model"].one.weight)
        live["model"].one.weight = nn.Parameter(torch.zeros(WIDE, WIDE))
        live["optimizer"] = torch.optim.AdamW(live["model"].parameters())
        gc.collect()
        assert old() is None


_FORK = """
import os, sys, time, pathlib
sys.path.insert(0, {tests!r})
import pytest
from vault.test_freeze_overlap import _pair, copies, same_bits, slow, Vault
live = _pair()
before = copies(**live)
run = pathlib.Path({run!r})
with pytest.MonkeyPatch.context() as patch, slow(patch, 1.0), Vault(run, overlap=True) as vault:
    handle = vault.save(1, **live)
    time.sleep(0.05)  # the thread has the lock by now
    pid = os.fork()
    if pid == 0:
        good = False
        try:
            for group in live["optimizer"].param_groups:
                group["params"].clear()  # no threads of torch in the child
            live["optimizer"].step()
            handle.join()
            good = not live["optimizer"]._optimizer_step_pre_hooks
        finally:
            os._exit(0 if good else 1)
    deadline = time.monotonic() + 20
    while not (done := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    if not done[0]:
        os.kill(pid, 9)
        raise SystemExit("the child waits for a thread that it does not have")
    assert os.waitstatus_to_exitcode(done[1]) == 0
    path = handle.wait()
same_bits(path, before)
print("parent saved")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_of_a_fork_does_not_wait(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parent.parent)
    code = _FORK.format(tests=tests, run=str(tmp_path / "run"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "parent saved", done.stderr[-2000:]


# -- torn ------------------------------------------------------------------------------------------------------------
class Fill(torch.optim.Optimizer):
    """A step that writes one number everywhere, unseen by version counters."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {})
        self.number = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.number += 1
        for group in self.param_groups:
            for tensor in group["params"]:
                tensor.data.fill_(self.number)


@pytest.mark.parametrize("saves", [16, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_torn_with_a_loop_that_steps_on(tmp_path: Path, saves: int, proof: Any) -> None:
    """The protocol: the thread that steps is the one that saves, and it never waits for anything but the hook."""
    model = nn.ParameterList([nn.Parameter(torch.zeros(30_000)) for _ in range(8)])
    optimizer = Fill(model.parameters())
    late = 0
    with Vault(tmp_path / "run", overlap=True, proof=proof) as vault:
        for number in range(saves):
            optimizer.step()
            handle = vault.save(number, model=model, optimizer=optimizer)
            late += not handle.frozen
            optimizer.step()
            optimizer.step()
    assert late > saves / 4, "hardly anything was copied late"
    found = Vault(tmp_path / "run").checkpoints()
    assert len(found) == saves
    for number, checkpoint in enumerate(found):
        with holdfast.open(checkpoint.path) as stored:
            for name in stored:
                assert (np.asarray(stored.read(name)) == 3 * number + 1).all(), (number, name)


@pytest.mark.parametrize("saves", [12, pytest.param(200, marks=pytest.mark.long)])
def test_torn_by_a_thread_that_never_pauses(tmp_path: Path, saves: int) -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(30_000)) for _ in range(8)])
    optimizer = Fill(model.parameters())
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for tensor in model:
                tensor.data.fill_(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Vault(tmp_path / "run", overlap=True, proof="content") as vault:
            for number in range(saves):
                try:
                    vault.save(number, model=model, optimizer=optimizer)
                    vault.wait()
                except holdfast.SaveFailed as error:
                    assert "torn" in error.message
    finally:
        stop.set()
        writer.join()
    for checkpoint in Vault(tmp_path / "run"):
        with holdfast.open(checkpoint.path) as stored:
            assert len({float(v) for name in stored for v in np.unique(stored.read(name))}) == 1


# -- memory ----------------------------------------------------------------------------------------------------------
def test_one_set_of_buffers_is_kept(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        sizes = []
        for width in (200, 200, 400, 100, 100):
            vault.save(width, model=nn.Linear(width, 1000)).wait()
            vault.wait()
            sizes.append(vault._buffers.kept)
        assert sizes[0] == sizes[1]
        assert all(
            0 < size <= 2 * 4 * (width + 1) * 1000 + (2 << 20)
            for size, width in zip(sizes, (200, 200, 400, 100, 100), strict=True)
        )


def test_buffers_are_the_same_memory_again(tmp_path: Path) -> None:
    model = nn.Linear(300, 300)
    with Vault(tmp_path / "run") as vault:
        places = set()
        for number in range(4):
            handle = vault.save(number, model=model)
            vault.wait()
            assert handle.done
            places.add(vault._buffers._kept._blocks[0].ctypes.data)
        assert len(places) == 1


def test_overlapped_saves_land_late_and_whole(tmp_path: Path) -> None:
    """A disk that begins late: the copies are complete, and stay what they were."""
    live = _pair()
    sink = Gate(tmp_path / "run")
    before = copies(**live)
    with Vault(tmp_path / "run", sink=sink, overlap=True) as vault:
        handle = vault.save(1, **live)
        for at in range(3):
            plainly(live["optimizer"])(live["model"], at)
        assert handle.frozen
        assert not handle.done
        sink.open.set()
        path = handle.wait()
    same_bits(path, before)


@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_frozen_weights_and_the_native_payload_beside_late_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof: Any
) -> None:
    """What never changes is written once, the framework's own file holds the same values, and both wait for the copy."""
    live = _pair()
    live["model"].two.requires_grad_(False)
    live["optimizer"] = torch.optim.AdamW(live["model"].one.parameters(), fused=True)
    plainly(live["optimizer"])(live["model"], 0)
    with slow(monkeypatch), Vault(tmp_path / "run", overlap=True, proof=proof, payload="torch") as vault:
        for number in range(2):
            before = copies(**live)
            handle = vault.save(number, **live)
            assert "one.weight" in handle._overlap.names
            assert "two.weight" not in handle._overlap.names
            plainly(live["optimizer"])(live["model"], number + 1)
            path = handle.wait()
            same_bits(path, before)
            native = torch.load(Path(path, "checkpoint.pt"), weights_only=True)
            weights = native.get("model", native)
            assert weights["one.weight"].numpy().tobytes() == before["one.weight"].tobytes()
        assert handle.telemetry["bytes_reused"] > 0
