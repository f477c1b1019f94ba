"""The slots foretold are those that the first step makes: names, shapes, dtypes, devices, order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.optim as opt
from torch import nn

from torch_models import described, mlp, same, state_of, train

KINDS: dict[str, Any] = {
    "SGD": lambda p: opt.SGD(p, lr=0.1),
    "SGD momentum": lambda p: opt.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: opt.Adam(p),
    "Adam amsgrad": lambda p: opt.Adam(p, amsgrad=True),
    "Adam fused": lambda p: opt.Adam(p, fused=True),
    "AdamW": lambda p: opt.AdamW(p, amsgrad=True),
    "Adamax": lambda p: opt.Adamax(p),
    "NAdam": lambda p: opt.NAdam(p),
    "RAdam": lambda p: opt.RAdam(p),
    "Adagrad": lambda p: opt.Adagrad(p),
    "Adadelta": lambda p: opt.Adadelta(p),
    "RMSprop": lambda p: opt.RMSprop(p),
    "RMSprop full": lambda p: opt.RMSprop(p, momentum=0.9, centered=True),
    "Rprop": lambda p: opt.Rprop(p),
    "ASGD": lambda p: opt.ASGD(p),
    "Adafactor": lambda p: opt.Adafactor(p),
    "Muon": lambda p: opt.Muon([q for q in p if q.dim() == 2]),
}


class Lion(opt.Optimizer):
    """A user's own class, with a buffer of the weight's shape, a small one and a count."""

    def __init__(self, params: Any, lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                    state["norm"] = torch.zeros(1)
                    state["count"] = 0
                state["count"] += 1
                state["exp_avg"].lerp_(p.grad, 0.1)
                p.add_(state["exp_avg"].sign(), alpha=-group["lr"])


class Subclass(opt.Adam):
    """Changes nothing that matters."""


class Asks(Lion):
    """Needs real values: a stand-in without memory cannot answer."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        if all(
            float(p.grad.sum()) > -1e9 for g in self.param_groups for p in g["params"] if p.grad is not None
        ):
            Lion.step.__wrapped__(self) if hasattr(Lion.step, "__wrapped__") else Lion.step(self)


KINDS |= {"Lion": Lion, "Subclass": Subclass, "Asks": Asks}


def _listed(live: Any) -> list[tuple[Any, ...]]:
    return [
        (s.name, s.shape, s.dtype, s.role, s.owner, s.slot, s.attributes.get("device"))
        for s in live.values()
        if s.name.startswith("optimizer/state/")
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_the_slots_foretold_are_those_made(kind, dtype):
    if dtype != torch.float32 and kind in ("Muon", "Adam fused"):
        pytest.skip("one dtype is enough where the class takes few")
    model = mlp().to(dtype)
    optimizer = KINDS[kind](model.parameters())
    before = state_of(model, optimizer)
    foretold = described(model=model, optimizer=optimizer)
    assert same(before, state_of(model, optimizer))
    assert all(v.virtual for n, v in foretold.variables.items() if "/state/" in n) or kind == "Adagrad"
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    made = described(model=model, optimizer=optimizer)
    assert _listed(foretold) == _listed(made)
    assert foretold.optimizers[0].slots == made.optimizers[0].slots
    assert foretold.settings.keys() == made.settings.keys()


def test_only_weights_that_may_get_a_gradient_are_foretold():
    model = mlp()
    model[0].requires_grad_(False)
    live = described(model=model, optimizer=opt.Adam(model.parameters()))
    assert {n.split("/")[2] for n in live if "/state/" in n} == {"2", "3"}


def test_a_weight_that_never_got_a_gradient_keeps_none():
    model = mlp()
    optimizer = opt.Adam(model.parameters())
    model[0](torch.ones(1, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    live = described(model=model, optimizer=optimizer)
    virtual = {n for n, v in live.variables.items() if v.virtual}
    assert virtual == {f"optimizer/state/{p}/{w}" for p in (2, 3) for w in ("step", "exp_avg", "exp_avg_sq")}
    assert live.readiness() == []
    live.finish()
    assert model[2].weight not in optimizer.state


def test_lbfgs_may_or_may_not_make_its_history():
    model = mlp()
    optimizer = opt.LBFGS(model.parameters(), history_size=3)
    live = described(model=model, optimizer=optimizer)
    total = sum(p.numel() for p in model.parameters())
    assert live["optimizer/state/0/d"].shape == (total,)
    assert all(s.attributes["optional"] for n, s in live.items() if "old_dirs" in n)
    train(model, optimizer, 1)
    made = {n for n, v in described(model=model, optimizer=optimizer).variables.items() if not v.virtual}
    assert made <= set(live.variables)


def test_a_class_whose_step_raises_is_said_to_be_unknown():
    class Broken(Lion):
        def step(self, closure: Any = None) -> None:
            raise ValueError("no")

    live = described(model=mlp(), optimizer=Broken(mlp().parameters()))
    assert live.optimizers[0].attributes["slots_unknown"] is True
    assert not any("/state/" in n for n in live)


def test_hooks_and_random_numbers_are_left_alone():
    calls: list[int] = []

    class Noisy(Lion):
        def step(self, closure: Any = None) -> None:
            torch.randn(1)
            Lion.step(self)

    model = mlp()
    optimizer = Noisy(model.parameters())
    optimizer.register_step_post_hook(lambda *a: calls.append(1))
    before = torch.get_rng_state()
    live = described(model=model, optimizer=optimizer)
    assert "optimizer/state/0/exp_avg" in live
    assert calls == [] and torch.equal(before, torch.get_rng_state())


def test_complex_weights():
    p = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = opt.Adam([p])
    foretold = described(optimizer=optimizer)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert _listed(foretold) == _listed(described(optimizer=optimizer))
