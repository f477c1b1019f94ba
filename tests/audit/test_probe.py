"""The probe: nothing is changed by it, and what is changed is found."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from holdfast._core.errors import UsageError
from holdfast._facts.tolerances import layer_tolerance
from holdfast._record.probe import Probe, make_probe, replay
from holdfast._record.sketch import differs, sketch

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


class Twice(nn.Module):
    """A shared layer, several outputs, statistics of its own, two arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor, shift: torch.Tensor) -> dict[str, torch.Tensor]:
        self.calls += 1
        hidden = self.shared(self.drop(self.norm(self.shared(x))))
        return {"hidden": hidden, "sum": (hidden + shift).sum(1)}


def batch() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    return {"x": draw.normal(size=(8, 6)).astype(np.float32), "shift": np.ones((8, 1), np.float32)}


def test_the_model_is_bit_identical_afterwards() -> None:
    torch.manual_seed(0)
    model = Twice().train()
    model.norm.eval()
    model.shared.weight.grad = torch.ones(6, 6)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    versions = [p._version for p in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    probe = make_probe(model, batch())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert versions == [p._version for p in model.parameters()]
    assert model.training and model.drop.training and not model.norm.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(model.shared.weight.grad, torch.ones(6, 6))
    assert torch.is_grad_enabled()
    assert torch.equal(states[0], torch.get_rng_state()) and states[1] == random.getstate()
    assert (states[2] == np.random.get_state()[1]).all()
    assert [row.path for row in probe.layers] == ["shared", "norm", "drop", "shared", "", ""]
    assert list(probe.outputs) == ["hidden", "sum"]
    assert replay(probe, model).agrees


def test_a_model_that_raises_is_put_back_and_the_error_says_what() -> None:
    model = Twice().train()
    with pytest.raises(UsageError, match="cannot be run on the probe's batch"):
        make_probe(model, np.ones((3, 5), np.float32))
    assert model.training and not any(m._forward_hooks for m in model.modules())


def test_documents_are_json_and_arrays() -> None:
    model = Twice()
    probe = make_probe(model, batch())
    document = probe.as_document()
    again = Probe.from_document({"about": json.dumps(document["about"]), "arrays": document["arrays"]})
    assert again.layers == probe.layers and again.form == "dict"
    assert replay(again, model).agrees
    with pytest.raises(UsageError, match="no probe"):
        Probe.from_document({"about": {}, "arrays": {}})


@pytest.mark.parametrize(
    "change, path",
    [
        (lambda m: setattr(m.norm, "eps", 1e-6), "norm"),
        (lambda m: m.norm.running_mean.add_(1e-4), "norm"),
        (lambda m: m.shared.weight.data[2, 3].mul_(1.001), "shared"),
        (lambda m: m.shared.weight.data.copy_(m.shared.weight.data.flip(0)), "shared"),
    ],
)
def test_the_first_diverging_layer_is_named(change: Any, path: str) -> None:
    torch.manual_seed(1)
    model = Twice()
    probe = make_probe(model, batch())
    change(model)
    first = replay(probe, model).first
    assert first is not None and first.path == path


def test_a_wrapped_model_is_the_same_model() -> None:
    model = Twice()
    probe = make_probe(model, batch())

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model

        def forward(self, **given: torch.Tensor) -> Any:
            return self.module(**given)

    assert replay(probe, Wrapped()).agrees


def test_rounding_is_no_divergence_and_a_narrow_type_is() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 8))
    values = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    probe = make_probe(model, values)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert replay(probe, model).agrees
    finally:
        torch.set_num_threads(before)
    assert replay(probe, model.double(), same_setup=False).first is not None  # it says float64
    narrow = replay(probe, model.float().bfloat16())
    assert narrow.first is not None and "bfloat16" in narrow.first.message


def test_numpy_trees_need_apply_and_have_outputs() -> None:
    tree = {"w": np.eye(3, dtype=np.float32)}
    with pytest.raises(UsageError, match="cannot be called"):
        make_probe(tree, np.ones((2, 3), np.float32))

    def run(model: Any, x: np.ndarray) -> np.ndarray:
        return x @ model["w"]

    probe = make_probe(tree, np.ones((2, 3), np.float32), apply=run)
    assert replay(probe, tree, apply=run).agrees
    tree["w"] = tree["w"] * 1.01
    first = replay(probe, tree, apply=run).first
    assert first is not None and first.where == "output"


def test_jax_models() -> None:
    jax = pytest.importorskip("jax")
    linen = pytest.importorskip("flax.linen")
    nnx = pytest.importorskip("flax.nnx")

    class Net(linen.Module):
        slope: float = 0.1

        @linen.compact
        def __call__(self, x: Any) -> Any:
            return linen.Dense(3, name="out")(linen.leaky_relu(linen.Dense(5, name="inner")(x), self.slope))

    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    variables = Net().init(jax.random.key(0), x)
    probe = make_probe(variables, x, apply=Net())
    assert {row.path for row in probe.layers} == {"inner", "out", ""}
    assert replay(probe, variables, apply=Net()).agrees
    assert not replay(probe, variables, apply=Net(slope=0.2)).agrees

    class Block(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.inner = nnx.Linear(6, 5, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.drop(self.inner(x))

    block = Block(nnx.Rngs(0))
    call = nnx.Linear.__call__
    probe = make_probe(block, x)
    assert nnx.Linear.__call__ is call and not block.drop.deterministic
    assert [row.path for row in probe.layers] == ["inner", "drop", ""]
    assert replay(probe, block).agrees
    block.inner.kernel[...] = block.inner.kernel[...] * 1.001
    first = replay(probe, block).first
    assert first is not None and first.path == "inner"


# -- sketches --------------------------------------------------------------------------------------------------------
def test_a_sketch_sees_what_moments_do_not() -> None:
    """A permutation leaves mean, deviation and extremes as they are."""
    values = np.random.default_rng(0).normal(size=(16, 32))
    tolerance = layer_tolerance("float32", same_setup=True)
    one = sketch("a", "Linear", "", values, "float32")
    assert differs(one, sketch("a", "Linear", "", values.copy(), "float32"), tolerance) is None
    other = sketch("a", "Linear", "", values[:, ::-1], "float32")
    assert (one.low, one.high) == (other.low, other.high)
    assert (one.mean, one.std) == pytest.approx((other.mean, other.std))
    found = differs(one, other, tolerance)
    assert found is not None and "differs by" in found[1] and "mean" not in found[1]


@pytest.mark.parametrize(
    "values", [np.zeros((0, 3)), np.full(4, np.nan), np.array([True, False]), np.array(["a"])]
)
def test_odd_arrays_have_sketches(values: np.ndarray) -> None:
    one = sketch("a", "X", "", values, str(values.dtype))
    assert (
        differs(
            one, sketch("a", "X", "", values, str(values.dtype)), layer_tolerance("float32", same_setup=True)
        )
        is None
    )


def test_nan_in_a_layer_is_told() -> None:
    values = np.ones(10)
    one = sketch("a", "X", "", values, "float32")
    values[3] = np.nan
    found = differs(one, sketch("a", "X", "", values, "float32"), layer_tolerance("float32", same_setup=True))
    assert found is not None and "not finite" in found[1]
