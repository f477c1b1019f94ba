"""Restoring live JAX objects: exact, in the same containers, in memory of their own, and training goes on as if
never interrupted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("optax")
pytest.importorskip("safetensors")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import jax
import ml_dtypes
import numpy as np
import optax
from flax import nnx
from flax.core import FrozenDict, freeze
from flax.training import train_state
from jax import numpy as jnp
from jax_models import Layers, Net, bits, gradients, nnx_flat, save, variables
from safetensors.numpy import save_file

import holdfast
from holdfast._core.errors import NotStored, UsageError
from holdfast._frameworks import live_catalog


def copy_over(live: Any, stored: Any) -> None:
    """Write every live tensor from the file, by name."""
    for name, variable in live.variables.items():
        variable.write(np.ascontiguousarray(stored.read(name)).reshape(variable.spec.shape))


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_linen_training_goes_on_bit_identical(tmp_path: Path, suffix: str) -> None:
    tx = optax.inject_hyperparams(optax.adamw)(optax.cosine_decay_schedule(1e-2, 20))

    def train(found: Any, state: Any, first: int, last: int) -> tuple[Any, Any]:
        for step in range(first, last):
            updates, state = tx.update(gradients(found, step), state, found["params"])
            found = {**found, "params": optax.apply_updates(found["params"], updates)}
        return found, state

    begun = variables()
    half = train(begun, tx.init(begun["params"]), 0, 3)
    path = save(tmp_path / f"m.{suffix}", {**half[0], "opt_state": half[1]})
    whole = train(*half, 3, 6)
    other = variables(5)
    live = live_catalog(model=other, optimizer=tx.init(other["params"]))
    with holdfast.open(path) as stored:
        copy_over(live, stored)
    live.finish()
    result = live.result()
    assert bits((result["model"], result["optimizer"])) == bits(half)
    assert jax.tree.structure(result["optimizer"]) == jax.tree.structure(half[1])
    assert bits(train(result["model"], result["optimizer"], 3, 6)) == bits(whole)
    assert live.readiness(gradients(result["model"], 3)) == []


def test_restore_through_the_front_door(tmp_path: Path) -> None:
    tx = optax.adam(1e-3)
    found = variables()
    state = tx.init(found["params"])
    updates, state = tx.update(gradients(found, 0), state, found["params"])
    found["params"] = optax.apply_updates(found["params"], updates)
    path = save(tmp_path / "m.safetensors", {**found, "opt_state": state})
    other = variables(3)
    outcome = holdfast.restore(path, model=other, optimizer=tx.init(other["params"]))
    assert bits(outcome.objects["model"]) == bits(found)
    assert bits(outcome.objects["optimizer"]) == bits(state)
    assert outcome.objects["model"] is other  # dicts change in place


def test_nnx_training_goes_on_bit_identical_with_dropout(tmp_path: Path) -> None:
    def make(seed: int) -> tuple[Any, Any]:
        model = Layers(nnx.Rngs(seed))
        return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    def train(model: Any, optimizer: Any, first: int, last: int) -> None:
        for step in range(first, last):
            x = jax.random.normal(jax.random.fold_in(jax.random.key(1), step), (8, 3))
            grads = nnx.grad(lambda m, x=x: jnp.mean((m(x) - 1.0) ** 2))(model)
            optimizer.update(model, grads)

    model, optimizer = make(0)
    train(model, optimizer, 0, 3)
    save_file(nnx_flat(("model", model), ("optimizer", optimizer)), tmp_path / "m.safetensors")
    train(model, optimizer, 3, 6)
    other, other_optimizer = make(9)
    kernel = other.a.kernel
    outcome = holdfast.restore(tmp_path / "m.safetensors", model=other, optimizer=other_optimizer)
    assert outcome.objects["model"] is other
    assert other.a.kernel is kernel
    train(other, other_optimizer, 3, 6)
    assert bits(nnx.state(other)) == bits(nnx.state(model))
    assert bits(nnx.state(other_optimizer)) == bits(nnx.state(optimizer))


def test_describing_changes_nothing() -> None:
    model = Layers(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    before = bits((nnx.state(model), nnx.state(optimizer)))
    live = live_catalog(model=model, optimizer=optimizer)
    live.readiness()
    for name in live:
        live.read(name)
    assert bits((nnx.state(model), nnx.state(optimizer))) == before
    found = variables()
    state = optax.adam(1e-3).init(found["params"])
    arrays = jax.tree.leaves((found, state))
    live_catalog(model=found, optimizer=state, tx=optax.adam(1e-3)).readiness(found["params"])
    assert all(a is b for a, b in zip(arrays, jax.tree.leaves((found, state)), strict=True))


class Pair(NamedTuple):
    left: Any
    right: Any


def test_containers_keep_their_types_and_memory_is_not_shared() -> None:
    tree: Any = freeze(
        {"a": {"w": jnp.ones((64, 64))}, "p": Pair(jnp.zeros(3), [jnp.ones(2), (jnp.ones(1),)])}
    )
    live = live_catalog(model=tree)
    assert list(live) == ["a/w", "p/left", "p/right/0", "p/right/1/0"]
    assert live.attributes["in_place"] == {"model": False}
    values = np.full((64, 64), 2.0, np.float32)
    live.variables["a/w"].write(values)
    values[:] = 9  # what was given must not be kept
    result = live.result()["model"]
    assert isinstance(result, FrozenDict)
    assert isinstance(result["p"], Pair)
    assert float(result["a"]["w"].sum()) == 2.0 * 64 * 64
    assert float(tree["a"]["w"].sum()) == 64 * 64  # the original stays
    assert live.read("a/w")[0, 0] == 2.0


def test_dtypes_keys_weak_types_scalars_and_numpy() -> None:
    key = jax.random.key(3)
    tree = {
        "b": jnp.ones(3, jnp.bfloat16),
        "f": jnp.ones(3, jnp.float8_e4m3fn),
        "key": key,
        "keys": jax.random.split(key, 4),
        "rng": jax.random.PRNGKey(0),
        "weak": jnp.asarray(2.0),
        "n": np.arange(3),
        "epochs": 4,
        "rate": np.float32(0.5),
    }
    live = live_catalog(model=tree)
    assert live["b"].dtype == "bfloat16"
    assert live["f"].dtype == "float8_e4m3fn"
    assert (live["key"].shape, live["keys"].shape, live["key"].dtype) == ((2,), (4, 2), "uint32")
    assert {live[name].role for name in ("key", "keys", "rng")} == {"rng"}
    assert live.read("b").dtype == ml_dtypes.bfloat16
    assert tree["weak"].weak_type
    for name, variable in live.variables.items():
        variable.write(live.read(name).copy() if name != "weak" else np.float32(7.0).reshape(()))
    live.settings["epochs"].write(np.asarray([9]))
    live.settings["rate"].write(0.25)
    assert tree["weak"].weak_type
    assert float(tree["weak"]) == 7.0
    assert jax.random.key_impl(tree["key"]) == jax.random.key_impl(key)
    assert np.array_equal(jax.random.normal(tree["key"], (3,)), jax.random.normal(key, (3,)))
    assert tree["epochs"] == 9
    assert type(tree["epochs"]) is int
    assert type(tree["rate"]) is np.float32
    assert isinstance(tree["n"], np.ndarray)


def test_donated_arrays_are_told_and_can_be_restored(tmp_path: Path) -> None:
    path = save(tmp_path / "m.safetensors", variables(1))
    found = variables()
    jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)(found)
    live = live_catalog(model=found)
    assert [fault.slug for fault in live.faults] == ["not-stored"]
    assert [f.code for f in holdfast.examine(model=found).findings] == ["F131"]
    with pytest.raises(NotStored, match="donated"):
        live.read("params/Dense_0/kernel")
    (fault,) = live.readiness()
    assert (fault.slug, fault.attributes["fails"]) == ("not-stored", True)
    with pytest.raises(RuntimeError, match="deleted"):
        found["params"]["Dense_0"]["kernel"] + 1
    holdfast.restore(path, model=found)
    assert bits(found) == bits(variables(1))


def test_descriptions_of_arrays_are_filled(tmp_path: Path) -> None:
    path = save(tmp_path / "m.safetensors", variables(1))
    abstract = jax.eval_shape(variables)
    live = live_catalog(model=abstract)
    assert [fault.slug for fault in live.readiness()] == ["not-built"]
    with pytest.raises(NotStored, match="no values"):
        live.read("params/Dense_0/kernel")
    outcome = holdfast.restore(path, model=abstract)
    assert bits(outcome.objects["model"]) == bits(variables(1))


def test_train_state_keeps_its_static_fields(tmp_path: Path) -> None:
    tx = optax.sgd(0.1, momentum=0.9)
    state = train_state.TrainState.create(apply_fn=Net().apply, params=variables()["params"], tx=tx)
    state = state.apply_gradients(grads=gradients(variables(), 0))
    path = save(tmp_path / "m.safetensors", state)
    other = train_state.TrainState.create(apply_fn=Net().apply, params=variables(2)["params"], tx=tx)
    result = holdfast.restore(path, model=other).objects["model"]
    assert isinstance(result, train_state.TrainState)
    assert result.tx is tx
    assert bits((result.params, result.opt_state)) == bits((state.params, state.opt_state))
    assert bits(other.params) == bits(variables(2)["params"])  # a frozen state is not half changed


def test_shared_and_tied_variables_stand_once() -> None:
    class Tied(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.encoder = nnx.Linear(3, 3, rngs=rngs)
            self.decoder = self.encoder

    live = live_catalog(model=Tied(nnx.Rngs(0)))
    assert list(live) == ["decoder/bias", "decoder/kernel"]
    assert live["encoder/kernel"].name == "decoder/kernel"


def test_averaged_weights_have_owners() -> None:
    found = variables()
    live = live_catalog(model=found, ema=found["params"])
    assert live["ema/Dense_0/kernel"].role == "average"
    assert live["ema/Dense_0/kernel"].owner == "params/Dense_0/kernel"


def test_a_transformation_alone_is_no_model() -> None:
    with pytest.raises(UsageError):
        live_catalog(model=optax.adam(1e-3))


_SHARDED = """
import jax, numpy as np
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from holdfast._frameworks import live_catalog
mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))
split = NamedSharding(mesh, P("x", None))
tree = (jax.device_put(jnp.arange(32.0).reshape(8, 4), split), jax.device_put(jnp.ones(3), NamedSharding(mesh, P())),
        jax.device_put(jnp.ones(2), jax.devices()[3]))
live = live_catalog(model=tree)
told = live["0"].attributes["sharding"]
assert told["mesh"] == {"x": 2, "y": 2} and told["partition"] == ["x", None] and not told["replicated"], told
assert told["shards"] == [[[0, 4], [0, 4]], [[4, 4], [0, 4]]], told
assert live["1"].attributes["sharding"]["replicated"]
assert live.attributes["topology"] == {"processes": 1, "devices": 4, "mesh": {"x": 2, "y": 2}}
assert np.array_equal(live.read("0"), np.arange(32.0).reshape(8, 4))
for name, variable in live.variables.items():
    variable.write(live.read(name) + 1)
new = live.result()["model"]
assert new[0].sharding == split and new[2].devices() == {jax.devices()[3]} and new[2].committed
assert new[1].sharding == tree[1].sharding
assert np.array_equal(new[0], np.arange(32.0).reshape(8, 4) + 1)
"""


def test_sharded_arrays_on_four_devices() -> None:
    import os

    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SHARDED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
