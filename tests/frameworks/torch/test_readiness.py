"""Every fault of readiness says what the next step really does: the step is run and asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from torch_models import described, mlp, slugs, state_of, tied, train

OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p),
    "RMSprop": lambda p: torch.optim.RMSprop(p),
    "LBFGS": lambda p: torch.optim.LBFGS(p),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
}


def _step(model: nn.Module, optimizer: Any) -> None:
    train(model, optimizer, 1, seed=70)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("make", [mlp, tied])
def test_a_sound_pair_has_no_fault_and_steps(make, kind, steps):
    model = make()
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer, steps)
    live = described(model=model, optimizer=optimizer)
    assert live.readiness() == [] and live.faults == ()
    gradients = [torch.zeros_like(p) for p in model.parameters()]
    assert live.readiness(gradients) == []
    _step(model, optimizer)


def test_groups_in_model_order_zero_gradients_and_frozen_ones_left_out_are_sound():
    model = tied()
    model.conv.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1 and p.requires_grad]},
            {
                "params": [p for p in model.parameters() if p.dim() < 2 and p.requires_grad],
                "weight_decay": 0.0,
            },
        ]
    )
    train(model, optimizer, 1)
    optimizer.zero_grad(set_to_none=False)
    for p in model.parameters():
        if p.requires_grad:
            p.grad = torch.zeros_like(p)
    assert described(model=model, optimizer=optimizer).readiness() == []


def test_a_model_replaced_after_the_optimizer_was_made():
    old, new = mlp(), mlp()
    optimizer = torch.optim.Adam(old.parameters())
    found = described(model=new, optimizer=optimizer).readiness()
    assert slugs(found) == {"foreign-variable": False, "unknown-variable": False}
    assert found[0].attributes["stale"] and found[0].attributes["count"] == 4
    before = state_of(new)[0]
    _step(new, optimizer)
    assert all(torch.equal(before[k], v) for k, v in new.state_dict().items())  # it ran and did nothing


def test_a_tensor_of_its_own_that_is_passed_too_is_known():
    model, log_alpha = mlp(), torch.zeros(1, requires_grad=True)
    optimizers = {"actor": torch.optim.Adam(model.parameters()), "alpha": torch.optim.Adam([log_alpha])}
    assert described(model=model, optimizer=optimizers, log_alpha=log_alpha).readiness() == []
    assert described(model=model, optimizer=optimizers, temperatures={"alpha": log_alpha}).readiness() == []
    assert slugs(described(model=model, optimizer=optimizers).readiness()) == {"foreign-variable": False}
    loaded = (
        log_alpha.detach().clone().requires_grad_()
    )  # put in its place, and the optimizer keeps the one before
    found = described(model=model, optimizer=optimizers, log_alpha=loaded).readiness()
    assert slugs(found) == {"foreign-variable": False}


def test_a_layer_added_after_the_optimizer_was_made():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.append(nn.Linear(2, 2))
    (fault,) = described(model=model, optimizer=optimizer).readiness()
    assert (fault.slug, fault.tensors) == ("unknown-variable", ("3.weight", "3.bias"))
    kept = model[3].weight.clone()
    _step(model, optimizer)
    assert torch.equal(kept, model[3].weight)


def test_a_frozen_weight_in_the_optimizer_and_one_that_still_moves():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[0].weight.requires_grad_(False)
    (fault,) = described(model=model, optimizer=optimizer).readiness()
    assert (fault.slug, fault.tensor, fault.attributes["moves"]) == ("frozen-in-optimizer", "0.weight", [])
    kept = model[0].weight.clone()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    (fault,) = described(model=model, optimizer=optimizer).readiness()
    assert fault.attributes["moves"] == ["0.weight"] and "will be changed" in fault.message
    optimizer.step()
    assert not torch.equal(kept, model[0].weight)


def test_weights_in_another_order():
    model = mlp()
    optimizer = torch.optim.Adam(reversed(list(model.parameters())))
    (fault,) = described(model=model, optimizer=optimizer).readiness()
    assert (fault.slug, fault.attributes["count"], fault.attributes["fails"]) == ("optimizer-order", 4, False)
    _step(model, optimizer)


def test_one_weight_twice():
    model = mlp()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = torch.optim.SGD([*model.parameters(), model[0].bias], lr=0.1)
    found = slugs(described(model=model, optimizer=optimizer).readiness())
    assert found["duplicate-variable"] is False
    kept = model[0].bias.detach().clone()
    model[0].bias.grad = torch.ones_like(kept)
    optimizer.step()
    assert torch.allclose(model[0].bias, kept - 0.2)


def _mismatched(kind: str, word: str, value: Any) -> tuple[Any, Any]:
    model = mlp()
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer, 1)
    optimizer.state[model[0].weight][word] = value
    return model, optimizer


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        ("Adam", "exp_avg", torch.zeros(2, 3)),
        ("Adam", "exp_avg_sq", torch.zeros(3, 4)),
        ("Adam", "exp_avg", torch.zeros(4, 3, dtype=torch.float64)),
        ("Adam", "exp_avg_sq", torch.zeros(4, 3, dtype=torch.float64)),
        ("Adam", "exp_avg_sq", torch.zeros(4, 3, dtype=torch.float16)),
        ("SGD", "momentum_buffer", torch.zeros(5)),
        ("SGD", "momentum_buffer", torch.zeros(4, 3, dtype=torch.float64)),
        ("SGD", "momentum_buffer", torch.zeros(4, 3, dtype=torch.int64)),
        ("RMSprop", "square_avg", torch.zeros(1, 7)),
        ("RMSprop", "square_avg", torch.zeros(4, 3, dtype=torch.float64)),
    ],
)
def test_a_slot_that_does_not_fit(kind, word, value):
    model, optimizer = _mismatched(kind, word, value)
    (fault,) = described(model=model, optimizer=optimizer).readiness()
    assert (fault.slug, fault.tensor, fault.attributes["slot"]) == ("slot-mismatch", "0.weight", word)
    if fault.attributes["fails"]:
        with pytest.raises((RuntimeError, TypeError)):
            _step(model, optimizer)
        assert "raises" in fault.message
    else:
        _step(model, optimizer)
        assert "runs" in fault.message


def test_the_state_of_another_class():
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    for p in model.parameters():
        optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    found = described(model=model, optimizer=optimizer).readiness()
    assert slugs(found) == {"slot-mismatch": True}
    assert found[0].attributes["kind"] == "lacks" and "KeyError" in found[0].message
    with pytest.raises(KeyError):
        _step(model, optimizer)


def test_amsgrad_switched_on_later():
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, 1)
    optimizer.param_groups[0]["amsgrad"] = True
    (fault,) = described(model=model, optimizer=optimizer).readiness()
    assert (fault.expected, fault.attributes["fails"]) == ("max_exp_avg_sq", True)
    with pytest.raises(KeyError):
        _step(model, optimizer)


def test_gradients_left_and_gradients_given():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    live = described(model=model, optimizer=optimizer)
    (fault,) = live.readiness()
    assert fault.slug == "gradient-left" and len(fault.tensors) == 4
    optimizer.zero_grad()
    shapes = [torch.zeros_like(p) for p in model.parameters()]
    none = live.readiness([None, *shapes[1:]])
    assert slugs(none) == {"gradient-none": False} and none[0].tensor == "0.weight"
    wrong = live.readiness({"0.bias": torch.zeros(3), "2.bias": torch.zeros(2, dtype=torch.float64)})
    assert [(f.slug, f.tensor, f.attributes["fails"]) for f in wrong] == [
        ("gradient-mismatch", "0.bias", True),
        ("gradient-mismatch", "2.bias", True),
    ]
    with pytest.raises(RuntimeError):
        model[0].bias.grad = torch.zeros(3)
    with pytest.raises((RuntimeError, TypeError)):
        model[2].bias.grad = torch.zeros(2, dtype=torch.float64)
    pairs = list(zip(shapes, model.parameters(), strict=True))
    assert live.readiness(pairs) == []
    assert slugs(live.readiness(shapes[:2])) == {"gradient-mismatch": True}


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.complex64])
def test_a_weight_of_another_dtype_since_its_gradient_came(kind, dtype):
    model = mlp()
    optimizer = OPTIMIZERS[kind](model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    for p in model.parameters():
        p.data = p.data.to(dtype)
    found = [
        f for f in described(model=model, optimizer=optimizer).readiness() if f.slug == "gradient-mismatch"
    ]
    assert len(found) == 4 and len({f.attributes["fails"] for f in found}) == 1
    if found[0].attributes["fails"]:
        with pytest.raises(RuntimeError):
            optimizer.step()
    else:
        optimizer.step()


def test_a_lazy_module_is_told_and_its_optimizer_still_runs():
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters())
    live = described(model=model, optimizer=optimizer)
    assert live.unbuilt == ("0",) and "0.weight" not in live and "1.weight" in live
    assert slugs(live.readiness()) == {"not-built": False}
    assert [f.slug for f in live.faults] == ["not-built"]
    _step(model, optimizer)
    assert described(model=model, optimizer=optimizer).readiness() == []


def test_a_scheduler_of_another_optimizer():
    model = mlp()
    old, new = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    scheduler = torch.optim.lr_scheduler.StepLR(old, 1, 0.1)
    live = described(model=model, optimizer=new, scheduler=scheduler)
    assert [f.slug for f in live.faults] == ["foreign-scheduler"]
    assert not live.settings["optimizer/param_groups/0/lr"].scheduled
    old.step()
    scheduler.step()
    assert new.param_groups[0]["lr"] == 0.1
