"""State of optax's optimizers, from each kind of file that people keep it in: all of it comes back, numbers that training
moves are no hyperparameters, each transformation has its own, and what starts anew begins as ``init`` makes it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
flax = pytest.importorskip("flax")
optax = pytest.importorskip("optax")
pytest.importorskip("safetensors")

from flax.traverse_util import flatten_dict  # noqa: E402
from jax import numpy as jnp  # noqa: E402
from optax import contrib  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

import holdfast  # noqa: E402

LABELS = {"body": "a", "head": "b"}


def injected(a: Any = 0.1, b: Any = 0.01) -> Any:
    return optax.multi_transform(
        {
            "a": optax.inject_hyperparams(optax.sgd)(learning_rate=a),
            "b": optax.inject_hyperparams(optax.adamw)(b),
        },
        LABELS,
    )


OPTIMIZERS = {
    "schedule-free": lambda: contrib.schedule_free_adamw(0.1),
    "prodigy": contrib.prodigy,
    "dog": lambda: contrib.dog(1.0),
    "plateau": lambda: optax.chain(optax.adam(0.1), contrib.reduce_on_plateau(patience=2)),
    "adan": lambda: optax.adan(0.1),
    "cocob": contrib.cocob,
    "mechanic": lambda: contrib.mechanize(optax.adam(0.1)),
    "adafactor": lambda: optax.adafactor(0.1, min_dim_size_to_factor=2),
    "lbfgs": optax.lbfgs,
    "schedule": lambda: optax.inject_hyperparams(optax.adamw)(optax.cosine_decay_schedule(1e-3, 100)),
    "two": injected,
    "networks": lambda: {"g": optax.adam(0.1), "d": optax.adan(0.1)},
}


def params(classes: int = 6, seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    shapes = {"body": {"kernel": (4, 5), "bias": (5,)}, "head": {"kernel": (5, classes), "bias": (classes,)}}
    return {
        layer: {name: jnp.asarray(draw.normal(size=shape), "float32") for name, shape in all_of.items()}
        for layer, all_of in shapes.items()
    }


def loss(values: Any) -> Any:
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(values))


def begun(tx: Any, values: Any) -> Any:
    return (
        {name: one.init(values[name]) for name, one in tx.items()}
        if isinstance(tx, dict)
        else tx.init(values)
    )


def trained(tx: Any, values: Any, steps: int = 3) -> tuple[Any, Any]:
    if isinstance(tx, dict):
        made = {name: trained(one, values[name], steps) for name, one in tx.items()}
        return {name: one[0] for name, one in made.items()}, {name: one[1] for name, one in made.items()}
    tx = optax.with_extra_args_support(tx)
    state = tx.init(values)
    for _ in range(steps):
        value, grad = jax.value_and_grad(loss)(values)
        updates, state = tx.update(grad, state, values, value=value, grad=grad, value_fn=loss)
        values = optax.apply_updates(values, updates)
    return values, state


def model_for(tx: Any, seed: int = 0) -> Any:
    return {name: params(seed=seed) for name in tx} if isinstance(tx, dict) else params(seed=seed)


def written(kind: str, folder: Path, values: Any, state: Any) -> Path:
    path = folder / f"run.{kind}"
    plain = jax.tree.map(np.asarray, {"params": values, "opt_state": flax.serialization.to_state_dict(state)})
    flat = {
        name: value for name, value in flatten_dict(plain, sep="/").items() if isinstance(value, np.ndarray)
    }
    if kind == "vault":
        with holdfast.Vault(path) as vault:
            vault.save(3, model=values, optimizer=state)
    elif kind == "npz":
        np.savez(path, **flat)
    elif kind == "safetensors":
        save_file(flat, path)
    else:
        content = plain if kind == "state-dict.pkl" else {"params": values, "opt_state": state}
        path.write_bytes(pickle.dumps(content))
    return path


def same(a: Any, b: Any) -> bool:
    mine, yours = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(mine) == len(yours) and all(map(np.array_equal, mine, yours))


@pytest.mark.parametrize("kind", ["vault", "npz", "safetensors", "state-dict.pkl", "pkl"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_of_the_state_comes_back(tmp_path: Path, name: str, kind: str) -> None:
    tx = OPTIMIZERS[name]()
    values, state = trained(tx, model_for(tx))
    path = written(kind, tmp_path, values, state)
    live = model_for(tx, seed=1)
    outcome = holdfast.restore(path, model=live, optimizer=begun(tx, live))
    assert same(outcome.model, values) and same(outcome.optimizer, state)
    assert not [f for f in outcome.findings if f.severity != "note"]


def rate(state: Any, label: str) -> Any:
    return state.inner_states[label].inner_state.hyperparams


@pytest.mark.parametrize(
    ("allow", "kept"),
    [
        (["hyper:learning_rate=checkpoint"], (0.05, 0.005)),
        (["hyper:learning_rate=live"], (0.1, 0.01)),
        (["hyper:a/learning_rate=checkpoint", "hyper:b/learning_rate=live"], (0.05, 0.01)),
        (["hyper:a/learning_rate=0.07", "hyper:b/learning_rate=checkpoint"], (0.07, 0.005)),
    ],
)
def test_each_transformation_has_its_own_learning_rate(
    tmp_path: Path, allow: list[str], kept: tuple[float, float]
) -> None:
    values, state = trained(injected(), params())
    rate(state, "a")["learning_rate"], rate(state, "b")["learning_rate"] = (
        jnp.float32(0.05),
        jnp.float32(0.005),
    )
    path = written("pkl", tmp_path, values, state)
    live = params(seed=1)
    report = holdfast.check(path, model=live, optimizer=injected().init(live))
    told = [f for f in report.findings if f.severity == "error"]
    assert [f.edit for f in told] == ["hyper:a/learning_rate=live", "hyper:b/learning_rate=live"]
    outcome = holdfast.restore(path, model=live, optimizer=injected().init(live), allow=allow)
    got = tuple(float(rate(outcome.optimizer, label)["learning_rate"]) for label in "ab")
    assert got == tuple(map(float, np.float32(kept)))
    changed = {name for name, value in zip(("a", "b"), kept, strict=True) if value not in (0.1, 0.01)}
    assert set(outcome.values) == {f"{name}/learning_rate" for name in changed}


def test_a_constant_that_the_code_says_otherwise_is_asked_about(tmp_path: Path) -> None:
    values, state = trained(injected(b=0.02), params())
    live = params(seed=1)
    path = written("vault", tmp_path, values, state)
    report = holdfast.check(path, model=live, optimizer=injected().init(live))
    (error,) = [f for f in report.findings if f.severity == "error"]
    assert error.code == "O207" and error.message.startswith(
        "b/learning_rate is 0.02 in the checkpoint and 0.01"
    )


def test_hyperparameters_of_several_values_are_restored(tmp_path: Path) -> None:
    def scaled(by: Any) -> Any:
        return optax.GradientTransformation(lambda _: optax.EmptyState(), lambda g, s, p=None: (g, s))

    tx = optax.inject_hyperparams(scaled)(by=jnp.arange(3.0))
    state = tx.init(params())
    state.hyperparams["by"] = jnp.asarray([5.0, 6.0, 7.0])
    path = written("vault", tmp_path, params(), state)
    outcome = holdfast.restore(path, model=params(seed=1), optimizer=tx.init(params()))
    assert outcome.optimizer.hyperparams["by"].tolist() == [5.0, 6.0, 7.0]


BEGINNINGS = {
    "adam": lambda: optax.adam(0.1),
    "adagrad": lambda: optax.adagrad(0.1),
    "yogi": lambda: optax.yogi(0.1),
    "rprop": lambda: optax.rprop(0.1),
    **{name: OPTIMIZERS[name] for name in ("schedule-free", "prodigy", "plateau", "adafactor")},
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_state_that_starts_anew_begins_as_it_is_made(tmp_path: Path, name: str) -> None:
    tx = BEGINNINGS[name]()
    path = written("pkl", tmp_path, *trained(tx, params()))
    live = params(seed=1)
    outcome = holdfast.restore(path, model=live, optimizer=tx.init(live), allow=["reset-slots:*"])
    assert same(outcome.optimizer, tx.init(outcome.model))


def test_moments_of_a_trained_optimizer_start_at_zero(tmp_path: Path) -> None:
    path = written("pkl", tmp_path, *trained(optax.adam(0.1), params()))
    live, state = trained(optax.adam(0.1), params(seed=1))
    outcome = holdfast.restore(path, model=live, optimizer=state, allow=["reset-slots:*"])
    assert same(outcome.optimizer, optax.adam(0.1).init(live))


def test_state_begins_anew_where_only_shapes_were_passed(tmp_path: Path) -> None:
    path = written("pkl", tmp_path, *trained(optax.adam(0.1), params()))
    shapes = jax.eval_shape(params), jax.eval_shape(optax.adam(0.1).init, params())
    outcome = holdfast.restore(path, model=shapes[0], optimizer=shapes[1], allow=["reset-slots:*"])
    assert same(outcome.optimizer, optax.adam(0.1).init(params()))


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_new_head_keeps_its_state_with_its_values(tmp_path: Path, name: str) -> None:
    tx = BEGINNINGS[name]()
    values, state = trained(tx, params())
    path = written("pkl", tmp_path, values, state)
    live = params(classes=3, seed=1)
    fresh = tx.init(params(classes=3, seed=1))
    report = holdfast.check(path, model=live, optimizer=tx.init(live))
    (error,) = [f for f in report.findings if f.severity == "error"]
    assert error.edit == "keep-live:head/*"
    outcome = holdfast.restore(path, model=live, optimizer=tx.init(live), allow=[error.edit])
    assert same(outcome.model["body"], values["body"]) and same(outcome.model["head"], params(3, 1)["head"])
    leaves = zip(
        *(jax.tree_util.tree_leaves_with_path(one) for one in (outcome.optimizer, fresh, state)), strict=True
    )
    for (path_of, got), (_, new), (_, old) in leaves:
        assert np.array_equal(got, new if "head" in str(path_of) else old), path_of
    assert "`head/*` kept their initial values, with" in str(outcome)
    assert outcome.next_step == "the next step will run"


def test_an_average_that_begins_as_the_parameters_themselves(tmp_path: Path) -> None:
    values, state = trained(optax.adam(0.1), params())
    average = jax.tree.map(lambda leaf: leaf / 2, values)
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=values, optimizer=state, ema=average)
    live = params(seed=1)
    outcome = holdfast.restore(tmp_path / "run", model=live, optimizer=optax.adam(0.1).init(live), ema=live)
    assert outcome.model is live and same(live, values) and same(outcome.objects["ema"], average)
    both = params(seed=1)
    (tmp_path / "both.pkl").write_bytes(pickle.dumps({"params": values, "ema_params": average}))
    other = holdfast.restore(tmp_path / "both.pkl", model={"params": both, "ema_params": both})
    assert same(other.model, {"params": values, "ema_params": average})


def test_raw_bytes_in_an_npz_are_told_as_what_numpy_made_of_them(tmp_path: Path) -> None:
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), params())
    np.savez(tmp_path / "m.npz", **flatten_dict(jax.tree.map(np.asarray, half), sep="/"))
    report = holdfast.check(tmp_path / "m.npz", model=half)
    (error,) = [f for f in report.findings if f.severity == "error"]
    assert error.code == "T204" and ".view(ml_dtypes.bfloat16)" in (error.remedy or "")
