"""A failure at any stage leaves torch, JAX and numpy objects as they were: values, and what optimizers are made of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from failing import bits, each_failure_is_undone, failing, interrupted_reading_is_undone
from torch import nn


def made(seed: int, *, stepped: int = 0, kind: str = "Adam", rate: float = 0.1) -> dict[str, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    if kind == "Adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    elif kind == "LBFGS":
        optimizer = torch.optim.LBFGS(model.parameters(), lr=rate, max_iter=3, history_size=4)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for number in range(stepped):

        def closure(number: int = number) -> Any:
            torch.manual_seed(number)
            optimizer.zero_grad()
            loss = model(torch.randn(8, 4)).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        scheduler.step()
    optimizer.zero_grad()
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler}


def of_torch(live: dict[str, Any], same: bool = True) -> Any:
    """Everything of torch objects; with ``same`` also which objects they are."""

    def told(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return (*bits(value.detach().numpy()), id(value) if same else 0)
        if isinstance(value, dict):
            return [(str(k), told(v)) for k, v in value.items()]
        if isinstance(value, (list, tuple)):
            return [told(v) for v in value]
        return repr(value)

    model, optimizer, scheduler = live["model"], live["optimizer"], live["scheduler"]
    places = [id(p) for group in optimizer.param_groups for p in group["params"]]
    return [
        told(dict(model.state_dict()))
        if not same
        else [told(p) for p in (*model.parameters(), *model.buffers())],
        sorted_unless(same, [(places.index(id(p)), told(state)) for p, state in optimizer.state.items()]),
        [told({k: v for k, v in g.items() if k != "params"}) for g in optimizer.param_groups],
        told(scheduler.state_dict()),
    ]


def sorted_unless(same: bool, items: list[Any]) -> list[Any]:
    """Which weight's state was made first is no matter between two restores, and is one for putting back."""
    return items if same else sorted(items, key=lambda item: item[0])


def saved(folder: Path, live: dict[str, Any]) -> str:
    torch.save({name: part.state_dict() for name, part in live.items()}, folder / "c.pt")
    return str(folder / "c.pt")


@pytest.mark.parametrize("kind", ["Adam", "SGD", "LBFGS"])
@pytest.mark.parametrize("stepped", [0, 1], ids=["fresh", "stepped"])
def test_torch_objects_are_as_they_were_whatever_fails(tmp_path: Path, kind: str, stepped: int) -> None:
    path = saved(tmp_path, made(1, stepped=3, kind=kind))
    times = stepped * (3 if kind == "LBFGS" else 1)  # as long a history as the checkpoint's
    each_failure_is_undone(path, lambda: made(2, stepped=times, kind=kind), of_torch, values=True)


def test_state_that_was_taken_away_comes_back_as_it_was(tmp_path: Path) -> None:
    """The checkpoint was saved before the first step: the live slots are cleared, and put back as the same tensors."""
    path = saved(tmp_path, made(1))
    live = made(2, stepped=2)
    before = of_torch(live)
    with failing("readiness", 0), pytest.raises(Exception, match="injected"):
        holdfast.restore(path, rollback=True, **live)
    assert of_torch(live) == before
    holdfast.restore(path, **live)
    assert not live["optimizer"].state


def test_state_that_a_finish_fills_in_goes_again(tmp_path: Path) -> None:
    """An empty state of a weight stays there, empty; others stay absent."""
    origin = made(1, stepped=2)
    path = saved(tmp_path, origin)
    live = made(2)
    first = next(live["model"].parameters())
    live["optimizer"].state[first] = {}
    with failing("finish", 0), pytest.raises(Exception, match="injected"):
        holdfast.restore(path, rollback=True, **live)
    assert list(live["optimizer"].state) == [first]
    assert live["optimizer"].state[first] == {}


def test_an_interrupt_while_torch_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, made(1, stepped=3))
    interrupted_reading_is_undone(path, lambda: made(2), of_torch)


def test_without_rollback_the_names_are_told_at_every_stage(tmp_path: Path) -> None:
    path = saved(tmp_path, made(1, stepped=3))
    for stage in ("finish", "proof", "readiness"):
        with failing(stage, 0), pytest.raises(holdfast.RestoreInterrupted) as caught:
            holdfast.restore(path, rollback=False, **made(2))
        assert "0.weight" in caught.value.changed


# -- numpy --------------------------------------------------------------------------------------------------
def tree(seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed).normal
    return {"a": {"kernel": draw(size=(6, 4)), "bias": draw(size=4)}, "b": {"kernel": draw(size=(4, 3))}}


def of_numpy(live: dict[str, Any], same: bool = True) -> Any:
    inner = live["model"]
    return [(m, n, bits(v), id(v) if same else 0) for m, layer in inner.items() for n, v in layer.items()]


def test_numpy_trees_are_as_they_were_whatever_fails(tmp_path: Path) -> None:
    stored = {f"{m}/{n}": v for m, layer in tree(1).items() for n, v in layer.items()}
    np.savez(tmp_path / "t.npz", **stored)
    each_failure_is_undone(str(tmp_path / "t.npz"), lambda: {"model": tree(2)}, of_numpy, values=False)


# -- JAX ----------------------------------------------------------------------------------------------------
def test_jax_trees_are_as_they_were_whatever_fails(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    pytest.importorskip("flax")
    from flax import serialization, traverse_util

    def trees(seed: int) -> dict[str, Any]:
        model = jax.tree.map(jax.numpy.asarray, tree(seed))
        return {"model": model, "optimizer": optax.adam(0.1).init(model)}

    def told(live: dict[str, Any], same: bool = True) -> Any:
        return [
            (jax.tree_util.keystr(path), bits(leaf), id(leaf) if same else 0)
            for path, leaf in jax.tree_util.tree_leaves_with_path(live)
        ]

    origin = trees(1)
    content = serialization.to_state_dict({**origin["model"], "opt_state": origin["optimizer"]})
    np.savez(tmp_path / "t.npz", **traverse_util.flatten_dict(content, sep="/"))
    path = str(tmp_path / "t.npz")
    with failing("write", -1) as writes:
        outcome = holdfast.restore(path, **trees(2))
    assert writes.count >= 9
    assert [b for _, b, _ in told({k: outcome.objects[k] for k in origin}, same=False)] == [
        b for _, b, _ in told(origin, same=False)
    ]
    for stage, at in (("write", 0), ("write", 4), ("finish", 0), ("proof", 0), ("readiness", 0)):
        for error in (RuntimeError, KeyboardInterrupt):
            live = trees(2)
            before = told(live)
            with failing(stage, at, error), pytest.raises(error, match="injected"):
                holdfast.restore(path, rollback=True, **live)
            assert told(live) == before


def test_nnx_modules_are_as_they_were_whatever_fails(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, seed: int) -> None:
            rngs = nnx.Rngs(seed)
            self.first, self.second = nnx.Linear(4, 3, rngs=rngs), nnx.Linear(3, 2, rngs=rngs)

    def told(live: dict[str, Any], same: bool = True) -> Any:
        state = nnx.to_flat_state(nnx.state(live["model"], nnx.Param))
        return [(path, bits(variable.get_value())) for path, variable in state]

    content = {".".join(map(str, path)): values for path, values in (
        (path, variable.get_value()) for path, variable in nnx.to_flat_state(nnx.state(Net(1), nnx.Param))
    )}  # fmt: skip
    np.savez(tmp_path / "n.npz", **content)
    each_failure_is_undone(str(tmp_path / "n.npz"), lambda: {"model": Net(2)}, told, values=False)
