"""The tables of optimizer state against the installed frameworks."""

from __future__ import annotations

import pytest

from holdfast._facts.optimizers import (
    KERAS_SLOTS,
    TORCH_SLOTS,
    Block,
    likely_class,
    likely_classes,
    slot_blocks,
)

OPTIONS = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {"amsgrad": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
}


@pytest.mark.parametrize("name", [n for n in KERAS_SLOTS if n not in ("Adafactor", "Muon")])
def test_keras_slots_against_keras(name):
    """All slots on: the names, and the order in which the newest Keras makes them."""
    keras = pytest.importorskip("keras", minversion="3.0")
    if not hasattr(keras.optimizers, name):
        pytest.skip(f"this Keras has no {name}")
    optimizer = getattr(keras.optimizers, name)(**OPTIONS.get(name, {}))
    variables = [keras.Variable([[1.0, 2.0]], name="w0"), keras.Variable([1.0], name="w1")]
    optimizer.build(variables)
    made = [v.path.split("/")[-1] for v in optimizer.variables[2:] if "w" in v.path.split("/")[-1][:1]]
    (layout, *_) = slot_blocks(name, "keras-3", optimizer.get_config())
    expected = []
    for block in layout:
        pairs = (
            [(n, i) for i in range(2) for n in block.names]
            if block.interleaved
            else [(n, i) for n in block.names for i in range(2)]
        )
        expected += [f"w{i}_{n}" for n, i in pairs]
    assert made == expected


@pytest.mark.parametrize("name", [n for n in TORCH_SLOTS if n not in ("LBFGS", "SparseAdam", "Muon")])
def test_torch_slots_against_torch(name):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, name):
        pytest.skip(f"this PyTorch has no {name}")
    options = {
        "SGD": {"momentum": 0.9},
        "Adam": {"amsgrad": True},
        "AdamW": {"amsgrad": True},
        "RMSprop": {"momentum": 0.9, "centered": True},
    }
    weight = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = getattr(torch.optim, name)([weight], **{"lr": 1e-3, **options.get(name, {})})
    weight.grad = torch.ones(2, 3)
    optimizer.step()
    seen = {k for k, v in optimizer.state[weight].items() if k != "step" and isinstance(v, torch.Tensor)}
    assert seen <= set(TORCH_SLOTS[name])
    assert name in likely_classes(seen, TORCH_SLOTS) or not seen


def test_likely_class():
    assert likely_class({"exp_avg", "exp_avg_sq", "step"}) == "Adam"
    assert likely_class({"momentum_buffer"}) == "SGD"
    assert likely_class({"momentum", "velocity"}) == "Adam"
    assert likely_class({"square_avg"}) in ("RMSprop", "Adadelta")
    assert likely_class({"unheard_of"}) is None
    assert likely_class(()) is None


def test_layouts():
    assert slot_blocks("Custom>Adam", "keras-3", {"amsgrad": False})[0] == (Block(("momentum", "velocity")),)
    assert slot_blocks("Adam", "keras-3", {"use_ema": True})[0][0] == Block(("average",))
    assert (Block(("momentum",)),) in slot_blocks("SGD", "keras-3")
    assert slot_blocks("SGD", "keras-3", {"momentum": 0.0})[0] == ()
    assert slot_blocks("Nobody", "keras-3") == []
    with_place_holders = (Block(("m",)), Block(("v",)), Block(("vhat",), scalars=True))
    assert with_place_holders in slot_blocks("Adam", "keras-1")
