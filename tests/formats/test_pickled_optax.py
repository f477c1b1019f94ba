"""Pickles of JAX's users: arrays of JAX's own, and optax's states under the names of their fields."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from holdfast._facts.optax_states import _FIELDS, ELEMENTWISE, FACTORED, fields_of_state

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

import holdfast  # noqa: E402


def _weights(seed: int) -> Any:
    keys = jax.random.split(jax.random.PRNGKey(seed))
    return {
        "body": {"kernel": jax.random.normal(keys[0], (4, 8)), "bias": jnp.zeros(8)},
        "head": {"kernel": jax.random.normal(keys[1], (8, 3)), "bias": jnp.zeros(3)},
    }


def _trained(tx: Any) -> tuple[Any, Any]:
    weights = _weights(0)
    state = tx.init(weights)
    for _ in range(3):
        grads = jax.tree.map(lambda w: w * 0.5 + 1.0, weights)
        updates, state = tx.update(grads, state, weights)
        weights = optax.apply_updates(weights, updates)
    return weights, state


def _chain() -> Any:
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.linear_schedule(1e-3, 1e-4, 9)))


def _same(a: Any, b: Any) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("fetched", [False, True], ids=["jax-arrays", "numpy-arrays"])
@pytest.mark.parametrize("form", ["dict", "tuple", "own-words"])
@pytest.mark.parametrize(
    "made", [_chain, lambda: optax.MultiSteps(optax.sgd(0.1, momentum=0.9), 2)], ids=["adamw", "multi-steps"]
)
def test_weights_and_state_come_back(
    tmp_path: Path, protocol: int, fetched: bool, form: str, made: Any
) -> None:
    tx = made()
    weights, state = _trained(tx)
    kept = jax.device_get((weights, state)) if fetched else (weights, state)
    whole = {
        "dict": {"params": kept[0], "opt_state": kept[1], "step": 3},
        "tuple": kept,
        "own-words": {"net": kept[0], "tx_now": kept[1]},
    }[form]
    path = tmp_path / "run.pkl"
    path.write_bytes(pickle.dumps(whole, protocol))
    fresh = _weights(1)
    report = holdfast.check(path, model=fresh, optimizer=tx.init(fresh)).checkpoints[0]
    assert report.attributes["fits"] and report.attributes["restores"] == report.attributes["of"]
    found = holdfast.restore(path, model=fresh, optimizer=tx.init(fresh)).objects
    assert _same(found["model"], weights) and _same(found["optimizer"], state)


def test_a_train_state_of_flax(tmp_path: Path) -> None:
    pytest.importorskip("flax")
    from flax.training.train_state import TrainState

    tx = _chain()
    weights, state = _trained(tx)
    made = TrainState(step=3, apply_fn=None, params=weights, tx=None, opt_state=state)  # type: ignore[arg-type]
    path = tmp_path / "state.pkl"
    path.write_bytes(pickle.dumps(made))
    fresh = _weights(1)
    found = holdfast.restore(path, model=fresh, optimizer=tx.init(fresh)).objects
    assert _same(found["model"], weights) and _same(found["optimizer"], state)


def test_bfloat16(tmp_path: Path) -> None:
    weights = jax.tree.map(lambda w: w.astype(jnp.bfloat16), _weights(0))
    path = tmp_path / "half.pkl"
    path.write_bytes(pickle.dumps(weights))
    fresh = jax.tree.map(jnp.zeros_like, weights)
    assert _same(holdfast.restore(path, model=fresh).objects["model"], weights)


def test_another_optimizer_is_told_as_that(tmp_path: Path) -> None:
    weights, state = _trained(_chain())
    path = tmp_path / "run.pkl"
    path.write_bytes(pickle.dumps({"params": weights, "opt_state": state}))
    fresh = _weights(1)
    other = optax.sgd(0.1, momentum=0.9).init(fresh)
    findings = holdfast.check(path, model=fresh, optimizer=other).checkpoints[0].findings
    codes = [f.code for f in findings if f.severity == "error"]
    assert codes and "O201" not in codes and all(code.startswith("O2") for code in codes)


class Pair(NamedTuple):
    count: Any
    mu: Any


def test_other_tuples_are_no_state(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    arrays = (np.ones((2, 3), np.float32), np.zeros(3, np.float32))
    path.write_bytes(pickle.dumps({"pair": Pair(*arrays), "two": arrays}))
    with holdfast.open(path) as found:
        assert not found.optimizers
        assert {*found} == {"pair/0", "pair/1", "two/0", "two/1"}


def test_a_state_of_other_fields_keeps_its_numbers() -> None:
    assert fields_of_state("optax._src.transform", "ScaleByAdamState", 3) == ("count", "mu", "nu")
    assert fields_of_state("optax._src.transform", "ScaleByAdamState", 4) is None
    assert fields_of_state("mine.transform", "ScaleByAdamState", 3) is None


def test_the_fields_are_those_of_the_installed_optax() -> None:
    importlib.import_module("optax.contrib")
    there = {
        kind.__name__: kind._fields
        for name, module in [*sys.modules.items()]
        if name.startswith("optax.")
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, tuple) and kind.__module__.startswith("optax")
        if hasattr(kind, "_fields")
    }
    known = {name: tuple(text.split()) for name, text in _FIELDS.items()}
    assert {name: there[name] for name in known if name in there} == {
        name: fields for name, fields in known.items() if name in there
    }
    states = {
        name for name in there if name.endswith("State") and not name.startswith(("Zoom", "PerElement"))
    }
    assert states - known.keys() - {"AccumulateAvgUpdatesState"} == set()
    fields = {field for names in known.values() for field in names}
    assert ELEMENTWISE - fields == set() and {field for _, field in FACTORED} - fields == set()
