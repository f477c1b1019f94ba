"""JAX: views of immutable arrays are held, also when they are donated; what is not JAX's own memory is copied."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import holdfast
from holdfast import Vault

from .freezing import Gate, copies, frozen, same_bits, torn_saves

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
nnx = pytest.importorskip("flax.nnx")
from jax import numpy as jnp  # noqa: E402


def _params() -> dict[str, Any]:
    key = jax.random.key(0)
    kinds = ("bfloat16", "float8_e4m3fn", "int4", "bool", "complex64", "int8")
    return {
        "w": jax.random.normal(key, (6, 4)),
        "kinds": {kind: jnp.arange(3).astype(kind) for kind in kinds},
        "empty": jnp.zeros((0, 3)),
        "scalar": jnp.float32(2.5),
        "host": np.arange(5.0, dtype="f4"),
    }


@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_donation_and_numpy_leaves(tmp_path: Path, proof: str) -> None:
    params = _params()
    twice = jax.jit(
        lambda tree: jax.tree.map(lambda x: x if x.dtype == bool else x + x, tree), donate_argnums=0
    )
    device = {k: v for k, v in params.items() if k not in ("host", "kinds")}
    before = copies(model=params)
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink, proof=proof) as vault:
        handle = vault.save(1, model=params)
        for _ in range(3):
            device = twice(device)
        params["host"][:] = -1
        made = [jnp.full((6, 4), float(n)) for n in range(8)]  # fresh memory would land where old was let go
        jax.block_until_ready((device, made))
        sink.open.set()
        path = handle.wait()
    same_bits(path, before)


def test_read_only_views_of_host_memory_are_copied(tmp_path: Path) -> None:
    """A numpy leaf is described by a read-only view; whoever holds the array can still write."""
    owner = np.arange(64.0, dtype="f4")
    view = owner.view()
    view.flags.writeable = False
    frozen(tmp_path / "run", lambda: owner.fill(0), model={"w": jnp.ones(3), "view": view})


def test_memory_that_the_framework_shares_is_seen_by_the_content_proof(tmp_path: Path) -> None:
    """``device_put`` keeps aligned numpy memory: a later numpy write reaches an "immutable" array."""
    raw = np.zeros(4096 + 16, "f4")
    start = (-raw.ctypes.data % 64) // 4
    owner = raw[start : start + 4096]
    array = jax.device_put(owner)
    owner[0] = 5
    if float(array[0]) != 5:
        pytest.skip("this version of JAX copies")
    sink = Gate(tmp_path / "run")
    vault = Vault(tmp_path / "run", sink=sink, proof="content")
    handle = vault.save(1, model={"w": array})
    owner[:] = 9
    sink.open.set()
    with pytest.raises(holdfast.SaveFailed, match="before they were written") as caught:
        handle.wait()
    assert caught.value.tensor == "w"
    assert not vault.checkpoints()
    vault.save(2, model={"w": array}, blocking=True)
    vault.close()


def _train() -> tuple[Any, Any, Any]:
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 20)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))
    params = {"a": {"kernel": jax.random.normal(jax.random.key(1), (4, 4)), "bias": jnp.zeros(4)}}

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any) -> Any:
        def loss(p: Any) -> Any:
            return jnp.sum((jnp.ones((2, 4)) @ p["a"]["kernel"] + p["a"]["bias"] - 1) ** 2)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return params, tx.init(params), step


@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_trains_on_bit_for_bit_with_donation(tmp_path: Path, proof: Any) -> None:
    params, state, step = _train()
    for _ in range(4):
        params, state, _ = step(params, state)
    sink, losses = Gate(tmp_path / "run"), []
    with Vault(tmp_path / "run", sink=sink, proof=proof) as vault:
        vault.save(4, model=params, optimizer=state)
        for _ in range(6):
            params, state, loss = step(params, state)
            losses.append(loss.item())
        sink.open.set()
    fresh, fresh_state, step = _train()
    outcome = Vault(tmp_path / "run").restore(model=fresh, optimizer=fresh_state)
    assert outcome is not None
    fresh, fresh_state, again = outcome.model, outcome.optimizer, []
    for _ in range(6):
        fresh, fresh_state, loss = step(fresh, fresh_state)
        again.append(loss.item())
    assert again == losses
    assert copies(model=fresh, optimizer=fresh_state).keys() == copies(model=params, optimizer=state).keys()


def test_an_array_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = jnp.ones(3)
    gone.delete()
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(holdfast.HoldfastError, match="gone"):
            vault.save(1, model={"ok": jnp.ones(2), "gone": gone})
        assert not vault.checkpoints()


def test_nnx_modules_are_held(tmp_path: Path) -> None:
    model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.BatchNorm(4, rngs=nnx.Rngs(0)))
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit
    def train(model: Any, optimizer: Any) -> None:
        grads = nnx.grad(lambda m: jnp.sum(m(jnp.arange(6.0).reshape(2, 3)) ** 2))(model)
        optimizer.update(model, grads)

    train(model, optimizer)
    frozen(
        tmp_path / "run", lambda: [train(model, optimizer) for _ in range(3)], model=model, optimizer=optimizer,
        proof="content",
    )  # fmt: skip


def test_int4_and_float8_are_restored(tmp_path: Path) -> None:
    params = _params()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=params, blocking=True)
        outcome = vault.restore(model=jax.tree.map(lambda x: x * 0 if x.dtype != bool else x & False, params))
    assert outcome is not None
    made = outcome.model["kinds"]
    for kind, array in params["kinds"].items():
        assert made[kind].dtype == array.dtype
        assert np.asarray(made[kind]).tobytes() == np.asarray(array).tobytes(), kind
    assert made["int4"].dtype == ml_dtypes.int4


@pytest.mark.parametrize("saves", [16, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("pausing", [False, True])
def test_torn(tmp_path: Path, saves: int, pausing: bool) -> None:
    """Arrays cannot be torn, the tree that holds them can."""
    params = {f"t{n}": jnp.zeros(2000) for n in range(8)}

    def update(k: int) -> None:
        for name in params:
            params[name] = jnp.full(2000, float(k))

    committed, torn = torn_saves(tmp_path / "run", saves, {"model": params}, update, pausing=pausing)
    assert torn == 0
    assert not pausing or committed >= saves * 0.99


def test_memory_is_the_runtimes_again_once_it_is_written(tmp_path: Path) -> None:
    """While it is held, donation is silently refused; afterwards the runtime may use the memory again."""
    double = jax.jit(lambda x: x * 2, donate_argnums=0)
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink) as vault:
        array = jnp.arange(50_000.0)
        vault.save(1, model={"w": array})
        after = double(array)
        assert not array.is_deleted()
        sink.open.set()
        vault.wait()
        del array
        again = double(after)
        assert after.is_deleted()
        assert vault._buffers.kept == 0
        handle = vault.save(2, model={"w": again})
        handle.wait()
        double(again)
        assert again.is_deleted()  # though the handle is still there


_SHARDED = """
import sys, pathlib, threading
sys.path.insert(0, {tests!r})
import jax, numpy as np
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from vault.freezing import Gate, copies, same_bits
from holdfast import Vault
assert jax.device_count() == 4
mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("a", "b"))
def put(x, *spec):
    return jax.device_put(x, NamedSharding(mesh, P(*spec)))
key = jax.random.key(0)
tree = {{"rows": put(jax.random.normal(key, (8, 6)), "a"), "both": put(jnp.arange(32.0).reshape(8, 4), "a", "b"),
        "columns": put(jnp.arange(24).reshape(3, 8), None, "b"), "whole": put(jnp.ones((4, 4))),
        "half": put(jnp.arange(8, dtype="bfloat16"), ("a", "b")), "one": jnp.arange(5.0)}}
before = {{name: np.array(x, copy=True) for name, x in tree.items()}}
tree = jax.tree.map(lambda x: x + 0, tree)  # arrays that numpy has not looked at: no copy is kept with them
for proof in ("protocol", "content"):
    run = pathlib.Path({run!r}, proof)
    sink = Gate(run)
    donate = jax.jit(lambda t: jax.tree.map(lambda x: x * 0 + 1, t), donate_argnums=0)
    with Vault(run, sink=sink, proof=proof) as vault:
        live = jax.tree.map(lambda x: x + 0, tree)
        handle = vault.save(1, model=live)
        if proof == "protocol":
            assert getattr(live["rows"], "_npy_value", None) is None, "numpy copied a sharded array in save()"
        now = donate(live)
        made = [put(jnp.full((8, 6), float(n)), "a") for n in range(8)]
        jax.block_until_ready((now, made))
        sink.open.set()
        path = handle.wait()
        assert vault._buffers.kept == 0
    same_bits(path, before)
print("held")
"""


def test_sharded_arrays_are_held_shard_by_shard(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parent.parent)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", _SHARDED.format(tests=tests, run=str(tmp_path))],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.stdout.strip().endswith("held"), done.stderr[-2000:]


def test_arrays_that_were_donated_before_the_save_are_told_as_that(tmp_path: Path) -> None:
    params = {"w": jnp.ones((6, 4)), "b": jnp.ones(4)}
    jax.jit(lambda tree: jax.tree.map(lambda x: x + x, tree), donate_argnums=0)(params)
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(
            holdfast.UsageError, match="2 tensors cannot be saved: the array was donated"
        ) as told:
            vault.save(1, model=params)
        assert "Pass what that function returned" in str(told.value) and "extra=" not in str(told.value)
        with pytest.raises(holdfast.UsageError, match="1 tensor cannot be saved: this is the description"):
            vault.save(1, model={"w": jax.ShapeDtypeStruct((2,), "float32"), "b": jnp.ones(4)})
        assert not vault.checkpoints()
