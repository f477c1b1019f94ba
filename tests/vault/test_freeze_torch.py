"""PyTorch: what a background save holds is what was there, whatever is written after ``save()`` returned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Vault

from .freezing import Gate, copies, frozen, settings, torn_saves

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


class Net(nn.Module):
    """Embedding (max_norm: changed in forward), BatchNorm, a tied head, and buffers of many kinds."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.emb = nn.Embedding(12, 8, max_norm=1.0)
        self.enc = nn.Linear(8, 8)
        self.bn = nn.BatchNorm1d(8)
        self.free = nn.Linear(8, 12, bias=False)
        self.head = nn.Linear(8, 12, bias=False)
        self.head.weight = self.free.weight
        self.register_buffer("brain", torch.randn(3, 4).to(torch.bfloat16))
        self.register_buffer("eighth", torch.randn(5).to(torch.float8_e4m3fn))
        self.register_buffer("cplx", torch.randn(2, 2, dtype=torch.complex64))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("count", torch.tensor(7))

    def forward(self, x: Any) -> Any:
        hidden = torch.relu(self.bn(self.enc(self.emb(x))))
        return self.head(hidden) + self.free(hidden)


def step(model: Any, optimizer: Any, scheduler: Any = None, scaler: Any = None, at: int = 0) -> float:
    x = torch.randint(0, 12, (16,), generator=torch.Generator().manual_seed(at))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), x)
    if scaler is None:
        loss.backward()
        optimizer.step()
    else:
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    if scheduler is not None:
        scheduler.step()
    return loss.item()


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda p: torch.optim.AdamW(p, foreach=False),
    "foreach": lambda p: torch.optim.AdamW(p, foreach=True, amsgrad=True),
    "fused": lambda p: torch.optim.AdamW(p, fused=True),
    "fused-sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, momentum=0.5, centered=True),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_steps_after_the_save_do_not_reach_it(tmp_path: Path, kind: str, proof: str) -> None:
    model = Net()
    optimizer = OPTIMIZERS[kind](model.parameters())
    step(model, optimizer)

    def mutate() -> None:
        for at in range(3):
            step(model, optimizer, at=at + 1)

    frozen(tmp_path / "run", mutate, model=model, optimizer=optimizer, proof=proof)


def _data(model: Any) -> None:
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.copy_(torch.ones_like(tensor.data))
        tensor.data = torch.zeros_like(tensor.data)


def _views(model: Any) -> None:
    with torch.no_grad():
        model.enc.weight.T[1:3].neg_()
        model.emb.weight.view(-1)[::2].zero_()
        model.cplx.real.add_(1)
        model.free.weight.index_add_(0, torch.tensor([1]), torch.ones(1, 8))
        model.enc.bias.scatter_(0, torch.tensor([2]), 5.0)


def _numpy(model: Any) -> None:
    model.enc.weight.detach().numpy()[:] = 3
    model.brain.view(torch.int16).numpy()[:] = 0


def _storage(model: Any) -> None:
    model.enc.weight.untyped_storage().copy_(torch.zeros(8, 8).untyped_storage())
    torch.utils.dlpack.from_dlpack(model.enc.bias.detach()).zero_()


MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "data": _data,
    "views": _views,
    "numpy": _numpy,
    "storage": _storage,
    "half": lambda m: m.half(),
    "double": lambda m: m.double(),
    "forward": lambda m: m(torch.arange(12)),
    "load": lambda m: m.load_state_dict(Net(5).state_dict()),
    "inference": lambda m: torch.inference_mode()(lambda: m.enc.weight.add_(1))(),
}


@pytest.mark.parametrize("kind", MUTATIONS)
def test_writes_that_no_version_counter_shows(tmp_path: Path, kind: str) -> None:
    model = Net()
    with torch.no_grad():
        model.emb.weight.mul_(9)  # beyond max_norm: the next forward changes it
    frozen(tmp_path / "run", lambda: MUTATIONS[kind](model), model=model)


def _parts(seed: int) -> dict[str, Any]:
    model = Net(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01 * (seed + 1), fused=True)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20),
        ],
        [4],
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=3)
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}


@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_trains_on_bit_for_bit(tmp_path: Path, proof: Any) -> None:
    live = _parts(0)
    for at in range(6):
        step(**live, at=at)
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink, proof=proof) as vault:
        handle = vault.save(6, **live)
        kept = settings(**live)
        losses = [step(**live, at=at) for at in range(6, 12)]
        sink.open.set()
        handle.wait()
    fresh = _parts(0)
    with torch.no_grad():
        for tensor in fresh["model"].parameters():
            tensor.fill_(0.5)
    Vault(tmp_path / "run").restore(**fresh)
    assert settings(**fresh) == kept
    assert [step(**fresh, at=at) for at in range(6, 12)] == losses
    for name, values in copies(**live).items():
        assert values.tobytes() == copies(**fresh)[name].tobytes(), name
    assert fresh["model"].head.weight is fresh["model"].free.weight


def test_an_optimizer_before_its_first_step(tmp_path: Path) -> None:
    live, fresh = _parts(0), _parts(0)
    with Vault(tmp_path / "run", proof="content") as vault:
        handle = vault.save(0, **live)
        losses = [step(**live, at=at) for at in range(3)]
        handle.wait()
        step(**fresh, at=50)  # the state that this makes must go
        assert fresh["optimizer"].state
        vault.restore(**fresh)
        assert not fresh["optimizer"].state
    assert [step(**fresh, at=at) for at in range(3)] == losses


def test_a_plateau_scheduler_whose_best_is_infinite(tmp_path: Path) -> None:
    def make() -> dict[str, Any]:
        model = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return {
            "model": model, "optimizer": optimizer,
            "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
        }  # fmt: skip

    live, fresh = make(), make()
    fresh["scheduler"].step(1.0)
    with Vault(tmp_path / "run") as vault:
        vault.save(0, blocking=True, **live)
        vault.restore(**fresh)
    assert fresh["scheduler"].best == float("inf")
    fresh["scheduler"].step(0.5)


def test_several_models_and_optimizers(tmp_path: Path) -> None:
    torch.manual_seed(0)

    def make() -> dict[str, Any]:
        gen, critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        return {
            "model": {"gen": gen, "critic": critic},
            "optimizer": {
                "gen": torch.optim.Adam(gen.parameters()),
                "critic": torch.optim.SGD(critic.parameters(), lr=0.1, momentum=0.9),
            },
        }

    def train(parts: dict[str, Any]) -> float:
        for optimizer in parts["optimizer"].values():
            optimizer.zero_grad()
        loss = parts["model"]["critic"](parts["model"]["gen"](torch.ones(5, 3))).pow(2).sum()
        loss.backward()
        for optimizer in parts["optimizer"].values():
            optimizer.step()
        return loss.item()

    live, fresh = make(), make()
    train(live)
    losses: list[float] = []
    frozen(tmp_path / "run", lambda: losses.extend([train(live), train(live)]), **live)
    Vault(tmp_path / "run").restore(**fresh)
    assert [train(fresh), train(fresh)] == losses


@pytest.mark.parametrize("saves", [16, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("pausing", [False, True])
def test_torn(tmp_path: Path, saves: int, pausing: bool) -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(30_000)) for _ in range(8)])

    @torch.no_grad()
    def update(k: int) -> None:
        for n, tensor in enumerate(model):
            tensor.data.fill_(k) if n % 2 else tensor.fill_(k)

    committed, torn = torn_saves(tmp_path / "run", saves, {"model": model}, update, pausing=pausing)
    assert torn == 0
    assert not pausing or committed >= saves * 0.99


def test_a_structure_that_changes_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in (lambda m: m.half(), lambda m: m.append(nn.Linear(1, 1)), lambda m: m.__delitem__(1)):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        monkeypatch.setattr("holdfast._vault.freezing.snapshot.pause", lambda *_, m=model, c=change: c(m))
        with Vault(tmp_path / "run", proof="content") as vault:
            with pytest.raises(holdfast.SaveFailed, match="structure changed") as caught:
                vault.save(1, model=model)
            assert [f.code for f in caught.value.findings] == ["S131"]
            assert not vault.checkpoints()


def test_a_structure_that_changes_between_saves_is_none(tmp_path: Path) -> None:
    """S131 is silent: nothing changes while a save is taken, however much does before and after."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with Vault(tmp_path / "run", proof="content") as vault:
        for step, change in enumerate(
            (lambda m: m.half(), lambda m: m.append(nn.Linear(1, 1)), lambda m: m), 1
        ):
            vault.save(step, model=model)
            change(model)  # while it is written
        vault.wait()
        assert len(vault.checkpoints()) == 3
        assert not [f for f in vault.preflight(model=model).findings if f.code == "S131"]


def test_reused_buffers_are_not_shared_by_saves_in_flight(tmp_path: Path) -> None:
    model = nn.Linear(20, 20)
    sink = Gate(tmp_path / "run")
    wanted = []
    with Vault(tmp_path / "run", sink=sink) as vault:
        for number in range(4):
            with torch.no_grad():
                model.weight.fill_(number)
            sink.open.clear()
            threading.Timer(0.05, sink.open.set).start()
            vault.save(number, model=model)
            wanted.append(number)
    for number, checkpoint in zip(wanted, Vault(tmp_path / "run"), strict=True):
        with holdfast.open(checkpoint.path) as stored:
            assert (np.asarray(stored.read("weight")) == number).all()


@pytest.mark.parametrize("part", ["model", "layer"])
def test_a_tensor_without_memory_is_named(tmp_path: Path, part: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    (model if part == "model" else model[1]).to("meta")
    with Vault(tmp_path / "run") as vault, pytest.raises(holdfast.UsageError, match="meta device") as caught:
        vault.save(1, model=model, blocking=True)
    told = str(caught.value)
    assert ("0.weight" in told) is (part == "model") and "1.weight, 1.bias" in told
    assert not (tmp_path / "run" / "step-00000001").exists()
