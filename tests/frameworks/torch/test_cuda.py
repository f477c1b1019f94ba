"""Live tensors on a GPU: read through a copy, written in place, slots foretold on the right device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import holdfast
from torch_models import described, mlp, restore, same, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_weights_on_a_gpu():
    model = mlp().cuda()
    live = described(model=model)
    variable = live.variables["0.bias"]
    assert variable.memory() is None and live["0.bias"].attributes["device"].startswith("cuda")
    variable.write(np.arange(4, dtype=np.float32))
    assert model[0].bias.is_cuda and model[0].bias.tolist() == [0, 1, 2, 3]
    assert variable.read().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"capturable": True}], ids=str)
def test_a_fresh_pair_goes_on_on_a_gpu(tmp_path, options):
    def make():
        model = mlp().cuda()
        return model, torch.optim.Adam(model.parameters(), **options)

    def run(model, optimizer, steps, seed):
        for number in range(steps):
            torch.manual_seed(seed + number)
            optimizer.zero_grad()
            model(torch.randn(5, 3).cuda()).square().mean().backward()
            optimizer.step()

    model, optimizer = make()
    run(model, optimizer, 3, 0)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    again, fresh = make()
    foretold = described(model=again, optimizer=fresh)
    made = described(model=model, optimizer=optimizer)
    assert {n: s.attributes.get("device") for n, s in foretold.items()} == {
        n: s.attributes.get("device") for n, s in made.items()
    }
    with holdfast.open(tmp_path / "c.pt") as stored:
        restore(stored, foretold)
    run(model, optimizer, 3, 9)
    run(again, fresh, 3, 9)
    assert same(model.state_dict(), again.state_dict())


def test_state_left_on_the_cpu_makes_the_next_step_fail():
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, 1)
    model.cuda()
    found = described(model=model, optimizer=optimizer).readiness()
    assert {(f.slug, f.attributes["kind"], f.attributes["fails"]) for f in found} == {
        ("slot-mismatch", "device", True)
    }
    model(torch.ones(1, 3).cuda()).sum().backward()
    with pytest.raises(RuntimeError):
        optimizer.step()
