"""Describing: names under wrappers, odd dtypes and layouts, what is recognised, and that nothing changes."""

from __future__ import annotations

import copy
import gc
import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import holdfast
from holdfast._compare.compare import compare_catalogs
from torch_models import described, mlp, same, state_of, tied, train


# -- nothing changes ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [0, 2])
def test_describing_and_readiness_change_nothing(steps):
    model = tied()
    optimizer = torch.optim.Adam(model.parameters(), lr=torch.tensor(0.1))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 20)
    scaler = torch.amp.GradScaler("cpu")
    train(model, optimizer, steps, scheduler=scheduler)
    versions = [p._version for p in model.parameters()]
    before = state_of(model, optimizer, scheduler, scaler)
    groups = [dict(g) for g in optimizer.param_groups]
    live = described(model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler)
    live.readiness()
    live.readiness([torch.zeros_like(p) for p in model.parameters()])
    for name, variable in live.variables.items():
        if not variable.virtual:
            assert not live.read(name).flags.writeable
    for setting in live.settings.values():
        setting.read()
    assert same(before, state_of(model, optimizer, scheduler, scaler))
    assert versions == [p._version for p in model.parameters()]
    assert all(p.grad is None for p in model.parameters())
    assert [list(g) for g in groups] == [list(g) for g in optimizer.param_groups]
    assert len(optimizer.state) == (len(list(model.parameters())) if steps else 0)


def test_a_virtual_slot_has_no_value_and_says_so():
    model = mlp()
    live = described(model=model, optimizer=torch.optim.Adam(model.parameters()))
    with pytest.raises(holdfast.NotStored, match="first step"):
        live.read("optimizer/state/0/exp_avg")


# -- wrappers ----------------------------------------------------------------------------------------------


def _wrapped(kind: str, model: nn.Module) -> nn.Module:
    if kind == "DataParallel":
        return nn.DataParallel(model)
    if kind == "compile":
        return torch.compile(model)
    if kind == "compile of DataParallel":
        return torch.compile(nn.DataParallel(model))
    assert kind == "checkpoint wrapper"
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    model[0] = checkpoint_wrapper(model[0])
    return model


@pytest.mark.parametrize("kind", ["DataParallel", "compile", "compile of DataParallel", "checkpoint wrapper"])
def test_names_are_those_of_the_bare_model(tmp_path, kind):
    bare = list(mlp().state_dict())
    model = _wrapped(kind, mlp())
    torch.save(model.state_dict(), tmp_path / "wrapped.pt")
    torch.save(mlp().state_dict(), tmp_path / "bare.pt")
    live = described(model=model)
    assert list(live) == bare
    assert [s.key for s in live.values()] == list(model.state_dict())
    assert live["0.weight"].attributes["wrappers"]
    for file in ("wrapped.pt", "bare.pt"):
        with holdfast.open(tmp_path / file) as stored:
            assert compare_catalogs(stored, live, depth="full").differences == (), file
    live.variables["0.weight"].write(np.full((4, 3), 7, np.float32))
    assert all(float(v.sum()) == 84 for k, v in model.state_dict().items() if k.endswith("0.weight"))


def test_a_module_that_is_only_called_module_is_no_wrapper():
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(2, 2)

    assert list(described(model=Head())) == ["module.weight", "module.bias"]


def test_peft_like_prefixes():
    class BaseTuner(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

    class PeftModel(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.base_model = BaseTuner(model)

    live = described(model=PeftModel(mlp()))
    assert list(live) == list(mlp().state_dict())
    assert live["0.weight"].key == "base_model.model.0.weight"
    assert list(described(model=BaseTuner(mlp()))) == list(mlp().state_dict())


def test_ddp(tmp_path):
    if not torch.distributed.is_available():
        pytest.skip("this torch has no distributed package")
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    try:
        _described_in_ddp()
    finally:
        # The group must outlive the model: where a reducer is the last to hold it, torch waits in its destructor, with the
        # interpreter's lock, for a thread of gloo's that waits for that lock.
        gc.collect()
        torch.distributed.destroy_process_group()


def _described_in_ddp():
    model = nn.parallel.DistributedDataParallel(mlp())
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, 1)
    live = described(model=model, optimizer=optimizer)
    assert live["optimizer/state/0/exp_avg"].owner == "0.weight" and live["0.weight"].key == "module.0.weight"
    assert live.readiness() == []


def test_an_averaged_copy():
    model = mlp()
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, 1)
    average.update_parameters(model)
    live = described(model=model, optimizer=optimizer, ema=average)
    assert live["ema/n_averaged"].role == "counter"
    spec = live["ema/0.weight"]
    assert (spec.role, spec.owner, spec.key) == ("average", "0.weight", "ema/module.0.weight")
    assert live.readiness() == []  # the copy's weights are in no optimizer, and need not be
    twin = described(model=model, ema=copy.deepcopy(model))
    assert (twin["ema/0.weight"].role, twin["ema/0.weight"].owner) == ("average", "0.weight")


def test_what_the_reader_says_of_an_averaged_copy(tmp_path):
    model = mlp()
    average = torch.optim.swa_utils.AveragedModel(model)
    torch.save({"model": model.state_dict(), "ema": average.state_dict()}, tmp_path / "c.pt")
    with holdfast.open(tmp_path / "c.pt") as stored:
        live = described(model=model, ema=average)
        assert compare_catalogs(stored, live, depth="full").differences == ()


# -- dtypes and layouts -------------------------------------------------------------------------------------
FLOATS = [
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.complex32,
    torch.complex64,
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_every_dtype_reads_and_writes_to_the_bit(tmp_path, dtype):
    torch.manual_seed(0)
    values = torch.randn(3, 4, dtype=torch.complex64 if dtype.is_complex else torch.float32)
    module = nn.Module()
    module.register_buffer("b", values.to(dtype))
    torch.save(module.state_dict(), tmp_path / "c.pt")
    live = described(model=module)
    with holdfast.open(tmp_path / "c.pt") as stored:
        assert stored["b"].dtype == live["b"].dtype
        array = stored.read("b")
        assert array.tobytes() == live.read("b").tobytes()
        assert np.shares_memory(live.read("b"), live.read("b"))
        expected = module.b.clone()
        for fill in (live.variables["b"].write, lambda a: np.copyto(live.variables["b"].memory(), a)):
            with torch.no_grad():
                module.b.zero_()
            fill(array)
            width = torch.uint8
            assert torch.equal(module.b.view(width), expected.view(width))


def test_integers_and_booleans():
    module = nn.Module()
    for number, dtype in enumerate(
        (torch.bool, torch.uint8, torch.int8, torch.int64, torch.uint16, torch.uint64)
    ):
        module.register_buffer(f"b{number}", torch.tensor([0, 1, 1]).to(dtype))
    live = described(model=module)
    for name, tensor in module.state_dict().items():
        live.variables[name].write(live.read(name)[::-1].copy())
        assert [int(v) for v in tensor.tolist()] == [1, 1, 0]


def test_strided_weights_are_read_as_they_lie_and_written_by_value():
    model = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
    live = described(model=model)
    variable = live.variables["weight"]
    assert variable.memory() is None and list(variable.spec.attributes["stride"]) == list(
        model.weight.stride()
    )
    strides, values = model.weight.stride(), np.arange(48, dtype=np.float32).reshape(4, 3, 2, 2)
    variable.write(values)
    assert model.weight.stride() == strides and np.array_equal(model.weight.detach().numpy(), values)
    assert np.shares_memory(variable.read(), model.weight.detach().numpy())


def test_memory_is_the_live_memory_and_moves_the_version():
    model = mlp()
    memory = described(model=model).variables["0.bias"].memory()
    assert memory is not None and np.shares_memory(memory, model[0].bias.detach().numpy())
    loss = (model[0](torch.ones(1, 3)) * model[0].bias).sum()
    described(model=model).variables["0.bias"].memory()[...] = 5
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert model[0].bias.tolist() == [5] * 4


def test_write_keeps_nothing_and_checks_what_it_gets():
    model = mlp()
    variable = described(model=model).variables["0.bias"]
    values = np.ones(4, np.float32)
    values.flags.writeable = False
    variable.write(values)
    copied = np.ones(4, np.float32)
    variable.write(copied)
    copied[:] = 9
    assert model[0].bias.tolist() == [1] * 4
    for wrong in (np.ones(3, np.float32), np.ones(4, np.float64), np.ones((1, 4), np.float32)):
        with pytest.raises(holdfast.UsageError, match="do not fit"):
            variable.write(wrong)


def test_inference_tensors_are_written_too():
    with torch.inference_mode():
        model = mlp()
    live = described(model=model)
    assert live.variables["0.bias"].memory() is None
    live.variables["0.bias"].write(np.full(4, 3, np.float32))
    assert model[0].bias.tolist() == [3] * 4


def test_meta_tensors_have_no_values():
    with torch.device("meta"):
        model = nn.Linear(2, 2)
    live = described(model=model)
    assert [f.slug for f in live.faults] == ["not-writable"] and live.faults[0].tensors == ("weight", "bias")
    assert live.variables["weight"].write is None and live.variables["weight"].memory() is None
    with pytest.raises(holdfast.NotStored, match="meta"):
        live.read("weight")


def test_extra_state_and_state_that_only_hooks_make():
    class Counted(nn.Linear):
        count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2.0
            self._register_state_dict_hook(
                lambda m, d, p, _: d.__setitem__(p + "scale", torch.tensor(m.scale))
            )

        def _load_from_state_dict(self, state, prefix, *rest):
            self.scale = float(state.pop(prefix + "scale"))

    model = nn.Sequential(Counted(2, 2), Packed())
    live = described(model=model)
    live.settings["0._extra_state"].write({"count": 3})
    assert model[0].count == 3
    live.variables["1.scale"].write(np.float32(7).reshape(()))
    assert model[1].scale == 7.0 and float(live.read("1.scale")) == 7.0


def test_a_quantised_weight_is_named_and_read_as_in_the_file(tmp_path):
    module = nn.Module()
    values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    module.register_buffer("q", torch.quantize_per_tensor(values, 0.5, 3, torch.qint8))
    torch.save(module.state_dict(), tmp_path / "c.pt")
    live = described(model=module)
    with holdfast.open(tmp_path / "c.pt") as stored:
        assert compare_catalogs(stored, live, depth="full").differences == ()
        assert stored["q.int_repr"].attributes["scale"] == live["q.int_repr"].attributes["scale"]


# -- what is recognised -------------------------------------------------------------------------------------
def test_other_things_that_keep_state():
    generator = torch.Generator().manual_seed(3)
    live = described(model=mlp(), generator=generator)
    state = live.read("generator").copy()
    torch.randn(5, generator=generator)
    live.variables["generator"].write(state)
    assert live["generator"].role == "rng" and np.array_equal(generator.get_state().numpy(), state)

    tensors = {"a": torch.ones(2), "b": {"c": torch.zeros(3)}}
    held = described(model=tensors)
    held.variables["b/c"].write(np.ones(3, np.float32))
    assert list(held) == ["a", "b/c"] and tensors["b"]["c"].tolist() == [1, 1, 1]


def test_an_unknown_part_is_refused_by_name():
    with pytest.raises(holdfast.UsageError, match="optimizer= is of a kind that is not known"):
        described(model=mlp(), optimizer=object())
    with pytest.raises(holdfast.UsageError):
        described(model=nn.Linear)


def test_a_keras_model_on_torch_is_left_to_keras():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    code = (
        "import keras, torch\n"
        "from holdfast._frameworks.torch.live import recognises\n"
        "model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "assert isinstance(model, torch.nn.Module) and not recognises(model)\n"
        "assert recognises(torch.nn.Linear(1, 1))\n"
    )
    import os

    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "KERAS_BACKEND": "torch"})
