"""The rehearsal: a whole save and restore beside the run, which leaves everything as it was and names what fails."""

from __future__ import annotations

import errno
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import SaveFailed, UsageError, Vault, VaultLocked
from holdfast._frameworks import live_catalog
from holdfast._integrity.digest import digest_array
from holdfast.testing import FaultySink
from vault.crashing import state, tag_of


def _digests(**parts: Any) -> dict[str, Any]:
    live = live_catalog(**parts)
    found: dict[str, Any] = {
        name: digest_array(np.asarray(v.read())) for name, v in live.variables.items() if v.read is not None
    }
    return found | {name: repr(setting.read()) for name, setting in live.settings.items()}


def _left(run: Path) -> list[str]:
    return sorted(entry.name for entry in run.iterdir() if entry.name not in ("vault.json", "vault.lock"))


def test_arrays_and_extra(tmp_path: Path) -> None:
    run = tmp_path / "run"
    model = state(3)
    extra = {
        "epoch": 3,
        "note": "x",
        "seen": np.arange(7),
        "odd": float("nan"),
        "nest": {"none": None, "t": (1, 2)},
    }
    before = _digests(model=model)
    with Vault(run) as vault:
        told = vault.rehearse(model=model, extra=extra)
        assert _digests(model=model) == before
        assert _left(run) == []
        assert told.tensors == len(model) + 1
        assert told.nbytes == sum(v.nbytes for v in model.values()) + extra["seen"].nbytes  # type: ignore[attr-defined]
        assert told.files["model.safetensors"] > told.nbytes
        assert 0 < told.stall <= told.first_stall
        assert told.stall < told.total
        assert told.restore > 0
        text = str(told)
        assert "every value as it is in memory" in text and "durable after" in text
        with Vault(run) as other:  # the lock was given back
            other.save(1, model=model, blocking=True)
        assert tag_of(vault) == 3
    with pytest.raises(UsageError, match="closed"):
        vault.rehearse(model=model)


def test_torch_model_optimizer_and_scheduler(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    model(torch.randn(8, 6)).sum().backward()
    optimizer.step()
    scheduler.step()
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    before, gradients = _digests(**parts), [p.grad.clone() for p in model.parameters()]
    random_states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    objects = [id(p) for p in model.parameters()]
    with Vault(tmp_path) as vault:
        told = vault.rehearse(**parts)
    assert told.files.keys() >= {"model.safetensors", "optimizer.safetensors", "state.json"}
    assert _digests(**parts) == before
    assert objects == [id(p) for p in model.parameters()]
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert torch.equal(torch.get_rng_state(), random_states[0])
    assert (np.random.get_state()[1] == random_states[1]).all()
    assert random.getstate() == random_states[2]
    assert model.training
    assert not optimizer._optimizer_step_pre_hooks


def test_an_optimizer_before_its_first_step(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    with Vault(tmp_path) as vault:
        assert vault.rehearse(model=model, optimizer=optimizer).tensors == 2
    assert not optimizer.state


def test_jax_arrays(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    model = {"w": jax.numpy.arange(12.0).reshape(3, 4), "half": jax.numpy.ones(3, jax.numpy.bfloat16)}
    with Vault(tmp_path) as vault:
        assert vault.rehearse(model=model).tensors == 2
        gone = jax.numpy.ones(4)
        gone.delete()
        with pytest.raises(holdfast.HoldfastError, match="gone"):
            vault.rehearse(model=model | {"gone": gone})
    assert _left(tmp_path) == []


# -- what fails is named -----------------------------------------------------------------------------------------------
def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(UsageError, match="extra/open"):
            vault.rehearse(model=state(1), extra={"open": open})
        with pytest.raises(UsageError, match="no live object"):
            vault.rehearse()


def test_a_tensor_without_values(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2, device="meta"))
    with Vault(tmp_path) as vault, pytest.raises(holdfast.HoldfastError, match=r"1\.weight"):
        vault.rehearse(model=model)
    assert _left(tmp_path) == []


def test_an_object_that_cannot_be_described_is_named(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Stubborn(torch.nn.Module):  # type: ignore[misc, name-defined]
        def named_parameters(self, *given: Any, **named: Any) -> Any:
            raise KeyError("nothing to see")

        parameters = state_dict = named_buffers = named_modules = named_parameters

    with (
        Vault(tmp_path) as vault,
        pytest.raises(SaveFailed, match=r"model= cannot be described.*nothing to see"),
    ):
        vault.rehearse(model=Stubborn(), optimizer=None)


def test_values_that_do_not_hold_still(tmp_path: Path) -> None:
    model = {"still": np.zeros(5), "moving": np.zeros(1 << 16)}
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            model["moving"] += 1

    mover = threading.Thread(target=move)
    mover.start()
    try:
        with Vault(tmp_path) as vault, pytest.raises(SaveFailed, match="did not come back") as failed:
            vault.rehearse(model=model)
    finally:
        stop.set()
        mover.join()
    assert failed.value.tensor == "moving"
    assert "moving (float64[65536], 524 kB)" in failed.value.message
    assert "still" not in failed.value.message
    assert _left(tmp_path) == []


def test_what_the_preflight_finds(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault, pytest.raises(SaveFailed, match="no room"):
        vault.rehearse(model={"w": np.broadcast_to(np.float32(1), (1 << 40,))})
    with Vault(tmp_path) as first:
        first.save(1, model=state(1), blocking=True)
        with pytest.raises(VaultLocked):
            Vault(tmp_path).rehearse(model=state(1))


# -- nothing is left, whatever happens -----------------------------------------------------------------------------------
def _operations(run: Path) -> int:
    sink = FaultySink(run)
    with Vault(run, sink=sink) as vault:
        vault.rehearse(model=state(1))
    return len(sink.operations)


def _each(folder: Path, first: int, stride: int) -> None:
    whole = _operations(folder / "count")
    assert whole > 15
    raised = []
    for at in range(first, whole + 1, stride):
        run = folder / f"at{at}"
        sink = FaultySink(run, at=at, error=errno.EIO)
        vault = Vault(run, sink=sink)
        try:
            vault.rehearse(model=state(1))
        except SaveFailed:
            raised.append(at)
        vault.close()
        assert sink.struck == 1
        with Vault(run) as other:  # the next save clears away what could not be deleted
            other.save(1, model=state(1), blocking=True)
            assert _left(run) == ["step-00000001"]
    assert len(raised) >= (whole - 12) // stride, "only clearing away may fail without a word to the caller"


def test_some_operations_that_fail_are_told_and_nothing_is_left(tmp_path: Path) -> None:
    _each(tmp_path, 2, 5)


@pytest.mark.long
def test_each_operation_that_fails_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    _each(tmp_path, 1, 1)


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast._vault.preparing import rehearse

    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rehearse, "_came_back", interrupted)
    with Vault(tmp_path) as vault, pytest.raises(KeyboardInterrupt):
        vault.rehearse(model=state(1))
    assert _left(tmp_path) == []


def test_it_stands_beside_saves(tmp_path: Path) -> None:
    with Vault(tmp_path, holdfast.Keep(last=1)) as vault:
        handle = vault.save(1, model=state(1))
        vault.rehearse(model=state(2))
        assert handle.done
        vault.save(2, model=state(2), blocking=True)
        assert tag_of(vault) == 2
        assert [c.parent for c in vault] == ["step-00000001"]
