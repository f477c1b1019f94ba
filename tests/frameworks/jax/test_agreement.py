"""A file that was just written agrees with the live objects it was written from: no difference at full depth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("optax")
pytest.importorskip("safetensors")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import jax
import optax
from flax import nnx
from flax.training import train_state
from jax import numpy as jnp
from jax_models import Layers, Net, gradients, nnx_flat, save, variables
from safetensors.numpy import save_file

import holdfast
from holdfast._compare.compare import compare_catalogs
from holdfast._frameworks import live_catalog

FILES = [(suffix, sep) for suffix in ("safetensors", "npz") for sep in ("/", ".")]


def _dense(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: "Dense_0" in str(path), params)


def _labels(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: "a" if "Dense_0" in str(path) else "b", params)


OPTIMIZERS = {
    "adam": lambda: optax.adam(1e-3),
    "adamw-schedule": lambda: optax.adamw(optax.cosine_decay_schedule(1e-3, 10)),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "sgd": lambda: optax.sgd(0.1),
    "inject": lambda: optax.inject_hyperparams(optax.adamw)(1e-3),
    "multi-steps": lambda: optax.MultiSteps(optax.adam(1e-3), 2).gradient_transformation(),
    "masked": lambda: optax.masked(optax.adam(1e-3), _dense),
    "partition": lambda: optax.partition({"a": optax.adam(1e-3), "b": optax.sgd(0.1, momentum=0.9)}, _labels),
    "adafactor": lambda: optax.adafactor(1e-3),
    "lion": lambda: optax.lion(1e-3),
    "if-finite": lambda: optax.apply_if_finite(optax.rmsprop(1e-3), 3),
    "amsgrad": lambda: optax.amsgrad(1e-3),
    "noisy": lambda: optax.noisy_sgd(0.1),
    "bf16-moment": lambda: optax.adam(1e-3, mu_dtype=jnp.bfloat16),
}


def differences(path: Path, **parts: Any) -> list[str]:
    with holdfast.open(path) as stored:
        delta = compare_catalogs(stored, live_catalog(**parts), depth="full")
    return [f"{one.code} {one.message}" for one in delta.differences]


@pytest.mark.parametrize(("suffix", "sep"), FILES)
def test_linen_variables(tmp_path: Path, suffix: str, sep: str) -> None:
    found = variables()
    path = save(tmp_path / f"m.{suffix}", found, sep)
    assert differences(path, model=found) == []
    params_only = save(tmp_path / f"p.{suffix}", found["params"], sep)
    assert differences(params_only, model=found["params"]) == []
    assert differences(params_only, model={"params": found["params"]}) == []


@pytest.mark.parametrize(("suffix", "sep"), FILES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_optax_state(tmp_path: Path, name: str, suffix: str, sep: str) -> None:
    if sep == "." and suffix == "npz" and name not in ("adam", "partition"):
        pytest.skip("the same names as in safetensors")
    if suffix == "npz" and name == "bf16-moment":
        pytest.skip("numpy writes bfloat16 as raw bytes; the file does not tell the dtype")
    found, tx = variables(), OPTIMIZERS[name]()
    state = tx.init(found["params"])
    updates, state = tx.update(gradients(found, 0), state, found["params"])
    found["params"] = optax.apply_updates(found["params"], updates)
    path = save(tmp_path / f"m.{suffix}", {**found, "opt_state": state}, sep)
    assert differences(path, model=found, optimizer=state) == []
    live = live_catalog(model=found, optimizer=state, tx=tx)
    assert live.readiness() == []
    assert live.readiness(gradients(found, 1)) == []
    assert live_catalog(model=found, optimizer=state).readiness() == []


def test_an_optimizer_of_other_weights_is_seen(tmp_path: Path) -> None:
    found = variables()
    state = optax.adam(1e-3).init(found["params"])
    path = save(tmp_path / "m.safetensors", {**found, "opt_state": state})
    other = optax.sgd(0.1, momentum=0.9).init(found["params"])
    assert any(text.startswith("O") for text in differences(path, model=found, optimizer=other))
    moved = {**found, "params": {**found["params"], "Dense_9": found["params"]["Dense_1"]}}
    del moved["params"]["Dense_1"]
    assert any(text.startswith("T") for text in differences(path, model=moved, optimizer=state))


@pytest.mark.parametrize("jitted", [False, True])
def test_train_state(tmp_path: Path, jitted: bool) -> None:
    found = variables()
    state = train_state.TrainState.create(apply_fn=Net().apply, params=found["params"], tx=optax.adam(1e-3))
    if jitted:
        state = jax.jit(lambda s, g: s.apply_gradients(grads=g))(state, gradients(found, 0))
    path = save(tmp_path / "m.safetensors", state)
    assert differences(path, model=state) == []
    assert differences(path, model=state.params, optimizer=state.opt_state, step=state.step) == []
    live = live_catalog(model=state)
    assert live.readiness() == []
    assert [module.class_name for module in live.modules] == ["Net"]
    assert live.modules[0].config["width"] == 4
    assert live.modules[0].code is not None


def test_nnx(tmp_path: Path) -> None:
    model = Layers(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    path = tmp_path / "m.safetensors"
    save_file(nnx_flat(("model", model), ("optimizer", optimizer)), path)
    assert differences(path, model=model, optimizer=optimizer) == []
    save_file(nnx_flat(("", model)), path)
    assert differences(path, model=model) == []
    assert differences(path, model=nnx.state(model)) == []
    live = live_catalog(model=model, optimizer=optimizer)
    assert live.readiness() == []
    assert {m.path: m.class_name for m in live.modules} == {
        "": "Layers",
        "a": "Linear",
        "bn": "BatchNorm",
        "drop": "Dropout",
        "rest/0": "Linear",
    }
    assert live["bn/mean"].role == "buffer"
    assert live["drop/rngs/key"].role == "rng"
    assert live["opt_state/0/mu/a/kernel"].owner == "a/kernel"


def test_two_optimizers_by_name(tmp_path: Path) -> None:
    models = {"gen": variables(0)["params"], "disc": variables(1)["params"]}
    states = {name: optax.adam(1e-3).init(params) for name, params in models.items()}
    live = live_catalog(model=models, optimizer=states)
    assert live["opt_state/gen/0/mu/Dense_0/kernel"].owner == "gen/Dense_0/kernel"
    assert live["opt_state/disc/0/nu/Dense_0/kernel"].owner == "disc/Dense_0/kernel"
    assert [one.name for one in live.optimizers] == ["disc", "gen"]
    assert live.readiness() == []
    path = save(tmp_path / "m.safetensors", {**models, "opt_state": states})
    assert differences(path, model=models, optimizer=states) == []
