"""Set from a file, a fresh model and optimizer go on to the bit as the uninterrupted ones do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import holdfast
from torch_models import described, mlp, restore, same, tied, train

KINDS: dict[str, Any] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p),
    "Adam amsgrad": lambda p: torch.optim.Adam(p, amsgrad=True),
    "Adam fused": lambda p: torch.optim.Adam(p, fused=True),
    "AdamW foreach": lambda p: torch.optim.AdamW(p, foreach=True),
    "Adam tensor lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "Adamax": lambda p: torch.optim.Adamax(p),
    "NAdam": lambda p: torch.optim.NAdam(p),
    "RAdam": lambda p: torch.optim.RAdam(p),
    "Adagrad": lambda p: torch.optim.Adagrad(p, initial_accumulator_value=0.1),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "RMSprop": lambda p: torch.optim.RMSprop(p),
    "RMSprop full": lambda p: torch.optim.RMSprop(p, momentum=0.9, centered=True),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "ASGD": lambda p: torch.optim.ASGD(p, t0=1),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
    "LBFGS": lambda p: torch.optim.LBFGS(p, max_iter=3, history_size=4),
}


def _resumed(tmp_path, make, kind: str, before: int = 4) -> tuple[Any, Any, Any, Any]:
    model = make()
    optimizer = KINDS[kind](model.parameters())
    train(model, optimizer, before)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    again = make()
    with torch.no_grad():
        for p in again.parameters():
            p.mul_(0.5)
    fresh = KINDS[kind](again.parameters())
    with holdfast.open(tmp_path / "c.pt") as stored:
        restore(stored, described(model=again, optimizer=fresh))
    return model, optimizer, again, fresh


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_pair_goes_on_as_the_uninterrupted_one(tmp_path, kind):
    model, optimizer, again, fresh = _resumed(tmp_path, mlp, kind)
    assert same(model.state_dict(), again.state_dict())
    left, right = optimizer.state_dict(), fresh.state_dict()
    assert left["param_groups"] == right["param_groups"]
    assert {type(v) for v in left["param_groups"][0].values()} == {
        type(v) for v in right["param_groups"][0].values()
    }
    train(model, optimizer, 3, seed=50)
    train(again, fresh, 3, seed=50)
    assert same(model.state_dict(), again.state_dict())
    ours, theirs = fresh.state_dict()["state"], optimizer.state_dict()["state"]
    assert ours.keys() == theirs.keys()
    for position, state in theirs.items():
        assert ours[position].keys() == state.keys()
        for word, value in state.items():
            assert same(ours[position][word], value), (position, word)


@pytest.mark.parametrize("kind", ["Adam", "SGD momentum", "Rprop"])
def test_so_does_a_used_pair_and_every_object_stays_itself(tmp_path, kind):
    model, optimizer = tied(), None
    optimizer = KINDS[kind](model.parameters())
    train(model, optimizer, 2)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    expected = copy.deepcopy((model, optimizer.state_dict()))
    live = described(model=model, optimizer=optimizer)
    train(model, optimizer, 3, seed=9)
    params = list(model.parameters())
    slots = {id(p): dict(optimizer.state[p]) for p in params}
    with holdfast.open(tmp_path / "c.pt") as stored:
        restore(stored, live)
    assert same(model.state_dict(), expected[0].state_dict()) and same(optimizer.state_dict(), expected[1])
    assert all(p is q for p, q in zip(params, model.parameters(), strict=True))
    assert model.out.weight is model.emb.weight
    assert all(optimizer.state[p][w] is v for p in params for w, v in slots[id(p)].items())


def test_sparse_adam(tmp_path):
    def make() -> tuple[nn.Module, Any]:
        torch.manual_seed(0)
        model = nn.Embedding(7, 3, sparse=True)
        return model, torch.optim.SparseAdam(list(model.parameters()))

    model, optimizer = make()
    train(model, optimizer, 2)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    again, fresh = make()
    with holdfast.open(tmp_path / "c.pt") as stored:
        restore(stored, described(model=again, optimizer=fresh))
    assert same(optimizer.state_dict(), fresh.state_dict())
    train(model, optimizer, 2, seed=7)
    train(again, fresh, 2, seed=7)
    assert same(model.state_dict(), again.state_dict())


def test_muon(tmp_path):
    model, again = mlp(bias=False), mlp(bias=False)
    optimizer, fresh = torch.optim.Muon(model.parameters()), torch.optim.Muon(again.parameters())
    train(model, optimizer, 2)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    with holdfast.open(tmp_path / "c.pt") as stored:
        restore(stored, described(model=again, optimizer=fresh))
    train(model, optimizer, 2, seed=7)
    train(again, fresh, 2, seed=7)
    assert same(model.state_dict(), again.state_dict())


S = torch.optim.lr_scheduler
SCHEDULERS: dict[str, Any] = {
    "StepLR": lambda o: S.StepLR(o, 2),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [2, 5]),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: S.LambdaLR(o, lambda e: 1 / (e + 1)),
    "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda e: 0.9),
    "ConstantLR": lambda o: S.ConstantLR(o),
    "LinearLR": lambda o: S.LinearLR(o),
    "PolynomialLR": lambda o: S.PolynomialLR(o, 9),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 9),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 3),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.3, 20),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.1, 0.4, 3),
    "SequentialLR": lambda o: S.SequentialLR(o, [S.LinearLR(o), S.StepLR(o, 2)], [3]),
    "ChainedScheduler": lambda o: S.ChainedScheduler(
        [S.ConstantLR(o, total_iters=3), S.ExponentialLR(o, 0.9)]
    ),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.05),
}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_every_scheduler_goes_on(tmp_path, kind):
    def make() -> tuple[Any, Any, Any]:
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        return model, optimizer, SCHEDULERS[kind](optimizer)

    model, optimizer, scheduler = make()
    train(model, optimizer, 4, scheduler=scheduler)
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
        },
        tmp_path / "c.pt",
    )
    again, fresh, anew = make()
    live = described(model=again, optimizer=fresh, scheduler=anew)
    for number, group in enumerate(optimizer.param_groups):
        setting = live.settings[f"optimizer/param_groups/{number}/initial_lr"]
        setting.write(group["initial_lr"])  # the file's word for it is `configured`
    with holdfast.open(tmp_path / "c.pt") as stored:
        restore(stored, live)
    assert same(_plain(scheduler.state_dict()), _plain(anew.state_dict()))
    assert same(optimizer.state_dict(), fresh.state_dict())
    train(model, optimizer, 5, seed=30, scheduler=scheduler)
    train(again, fresh, 5, seed=30, scheduler=anew)
    assert [g["lr"] for g in optimizer.param_groups] == [g["lr"] for g in fresh.param_groups]
    assert same(model.state_dict(), again.state_dict())


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {k: _plain(v) if isinstance(v, dict) else v for k, v in state.items() if not callable(v)}


def test_reduce_on_plateau_and_a_callable_object_as_lambda():
    class Warm:
        def __init__(self, length: int) -> None:
            self.length = length

        def __call__(self, epoch: int) -> float:
            return min(1.0, (epoch + 1) / self.length)

    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    plateau, warm = S.ReduceLROnPlateau(optimizer, patience=1), S.LambdaLR(optimizer, Warm(5))
    live = described(optimizer=optimizer, scheduler=[plateau, warm])
    assert live.settings["scheduler/0/best"].role == "metric"
    live.settings["scheduler/0/best"].write(0.25)
    live.settings["scheduler/0/num_bad_epochs"].write(1)
    live.settings["scheduler/1/lr_lambdas/0/length"].write(9)
    assert (plateau.best, plateau.num_bad_epochs, warm.lr_lambdas[0].length) == (0.25, 1, 9)
    plateau.step(0.5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2 / 5 * 0.1)


def test_settings_keep_their_kind_and_tensors_stay_themselves():
    rate = torch.tensor(0.1)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))
    live = described(model=model, optimizer=optimizer)
    live.settings["optimizer/param_groups/0/lr"].write(0.5)
    live.settings["optimizer/param_groups/0/betas"].write([0.8, 0.7])
    group = optimizer.param_groups[0]
    assert group["lr"] is rate and float(rate) == 0.5
    assert group["betas"] == (0.8, 0.7) and type(group["betas"]) is tuple
    for value in ("fast", [1, 2], None):
        with pytest.raises(holdfast.UsageError):
            live.settings["optimizer/param_groups/0/lr"].write(value)
    with pytest.raises(holdfast.UsageError):
        live.settings["optimizer/param_groups/0/eps"].write("<torch._utils._rebuild_tensor_v2>")
    assert float(rate) == 0.5 and group["eps"] == 1e-8


def test_a_scaler_and_plain_values():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    live = described(model=mlp(), scaler=scaler, epoch=3)
    assert live.settings["scaler/scale"].read() == 8.0
    live.settings["scaler/scale"].write(1024.0)
    live.settings["scaler/_growth_tracker"].write(7)
    assert scaler.get_scale() == 1024.0 and scaler.state_dict()["_growth_tracker"] == 7
    live.settings["epoch"].write(9)
    assert live.result() == {"epoch": 9}


def test_half_a_state_is_filled_up_so_that_the_next_step_runs():
    model = mlp()
    optimizer = torch.optim.NAdam(model.parameters())
    live = described(model=model, optimizer=optimizer)
    variable = live.variables["optimizer/state/0/exp_avg"]
    assert variable.virtual and variable.read is None
    variable.write(torch.full((4, 3), 2.0).numpy())
    assert not variable.virtual and float(variable.read()[0, 0]) == 2.0
    live.finish()
    assert set(optimizer.state) == {model[0].weight}
    state = optimizer.state[model[0].weight]
    assert float(state["mu_product"]) == 1.0 and float(state["step"]) == 0.0
    train(model, optimizer, 1)


def test_clearing_unmakes_what_was_made():
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    live = described(model=model, optimizer=optimizer)
    train(model, optimizer, 1)
    live = described(model=model, optimizer=optimizer)
    for name, variable in live.variables.items():
        if name.startswith("optimizer/state/1/"):
            before = variable.read().copy()
            variable.clear()
            assert variable.virtual and variable.read is None, before
    assert model[0].bias not in optimizer.state and model[0].weight in optimizer.state
    train(model, optimizer, 1)
