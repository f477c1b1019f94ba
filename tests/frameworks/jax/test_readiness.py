"""Will the next update run? Each fault is proved by really running ``update`` and ``apply_updates``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("optax")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp
from jax_models import Layers

from holdfast._frameworks import live_catalog

PARAMS = {"a": {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}, "c": {"w": jnp.ones((4, 2))}}
OPTIMIZERS = {
    "adam": optax.adam(1e-2),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "rmsprop": optax.rmsprop(1e-2),
}


def without(tree: Any, *path: str) -> Any:
    return {k: without(v, *path[1:]) if len(path) > 1 else v for k, v in tree.items() if k != path[0] or path[1:]} if (
        path[0] in tree) else dict(tree)  # fmt: skip


def replaced(tree: Any, value: Any, *path: str) -> Any:
    return {**tree, path[0]: value if len(path) == 1 else replaced(tree.get(path[0], {}), value, *path[1:])}


def raises(tx: Any, grads: Any, state: Any, params: Any) -> bool:
    """Whether the real step raises."""

    def step(g: Any, s: Any, p: Any) -> Any:
        updates, after = tx.update(g, s, p)
        return optax.apply_updates(p, updates), after

    try:
        jax.eval_shape(step, grads, state, params)
    except (ValueError, TypeError, AttributeError):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            step(grads, state, params)
        return True
    step(grads, state, params)
    return False


CASES: dict[str, tuple[Any, Any, Any, str]] = {
    # params of the model, params the state was made for, gradients (None: not given), slug
    "unknown": (PARAMS, without(PARAMS, "c"), None, "unknown-variable"),
    "foreign": (without(PARAMS, "a", "b"), PARAMS, None, "foreign-variable"),
    "slot-shape": (replaced(PARAMS, jnp.ones((5, 4)), "a", "w"), PARAMS, None, "slot-mismatch"),
    "slot-broadcasts": (replaced(PARAMS, jnp.ones((1, 4)), "a", "w"), PARAMS, None, "slot-mismatch"),
    "gradient-missing": (PARAMS, PARAMS, without(PARAMS, "a", "b"), "gradient-mismatch"),
    "gradient-extra": (PARAMS, PARAMS, replaced(PARAMS, jnp.ones(2), "d"), "gradient-mismatch"),
    "gradient-shape": (PARAMS, PARAMS, replaced(PARAMS, jnp.ones((5, 4)), "a", "w"), "gradient-mismatch"),
    "gradient-broadcasts": (
        PARAMS,
        PARAMS,
        replaced(PARAMS, jnp.ones((1, 4)), "a", "w"),
        "gradient-mismatch",
    ),
    "gradient-int": (PARAMS, PARAMS, replaced(PARAMS, jnp.ones((3, 4), int), "a", "w"), "gradient-mismatch"),
    "gradient-float0": (
        PARAMS,
        PARAMS,
        replaced(PARAMS, np.zeros((3, 4), jax.dtypes.float0), "a", "w"),
        "gradient-mismatch",
    ),
    "gradient-none": (PARAMS, PARAMS, replaced(PARAMS, None, "a", "w"), "gradient-none"),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("known", [False, True], ids=["state-only", "with-tx"])
@pytest.mark.parametrize("case", CASES)
def test_faults_are_true(case: str, known: bool, optimizer: str) -> None:
    params, made_for, grads, slug = CASES[case]
    tx = OPTIMIZERS[optimizer]
    state = tx.init(made_for)
    live = live_catalog(model=params, optimizer=state, tx=tx if known else None)
    found = live.readiness(grads)
    assert {fault.slug for fault in found} == {slug}
    assert any(fault.attributes["fails"] for fault in found) == raises(
        tx, params if grads is None else grads, state, params
    )
    for fault in found:
        assert fault.tensor
        assert fault.attributes["remedy"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_sound_pairs_are_silent(optimizer: str) -> None:
    tx = OPTIMIZERS[optimizer]
    state = tx.init(PARAMS)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    for grads in (None, PARAMS, half):
        assert live_catalog(model=PARAMS, optimizer=state, tx=tx).readiness(grads) == []
        assert live_catalog(model=PARAMS, optimizer=state).readiness(grads) == []
        if grads is not None:
            assert not raises(tx, grads, state, PARAMS)


def test_another_optimizers_state_needs_the_transformation_to_be_seen() -> None:
    state = optax.sgd(0.1, momentum=0.9).init(PARAMS)
    (fault,) = live_catalog(model=PARAMS, optimizer=state, tx=optax.adam(1e-2)).readiness()
    assert (fault.slug, fault.attributes["fails"]) == ("slot-mismatch", True)
    assert raises(optax.adam(1e-2), PARAMS, state, PARAMS)


def test_a_transformation_that_wants_more_arguments_is_not_judged() -> None:
    tx = optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau())
    assert live_catalog(model=PARAMS, optimizer=tx.init(PARAMS), tx=tx).readiness() == []


def test_an_update_that_does_not_mind_is_not_called_failing() -> None:
    """Momentum of a weight the model has not; a transformation that never looks at its state runs all the same."""
    plain = optax.sgd(0.1)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        return plain.update(updates, plain.init(params), params)[0], state

    careless = optax.GradientTransformation(optax.sgd(0.1, momentum=0.9).init, update)
    params = without(PARAMS, "c")
    found = live_catalog(model=params, optimizer=careless.init(PARAMS), tx=careless).readiness()
    assert [(fault.slug, fault.attributes["fails"]) for fault in found] == [("foreign-variable", False)]
    assert "runs nevertheless" in found[0].message
    assert not raises(careless, params, careless.init(PARAMS), params)


def test_masked_weights_are_no_fault() -> None:
    tx = optax.masked(optax.adam(1e-2), {"a": True, "c": False})
    state = tx.init(PARAMS)
    assert live_catalog(model=PARAMS, optimizer=state, tx=tx).readiness(PARAMS) == []
    assert live_catalog(model=PARAMS, optimizer=state).readiness() == []


def test_nnx_optimizer_of_some_weights_and_of_another_model() -> None:
    class Adapted(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.base = nnx.Linear(3, 4, rngs=rngs)
            self.lora = nnx.LoRA(3, 2, 4, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.base(x) + self.lora(x)

    model = Adapted(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.LoRAParam)
    assert live_catalog(model=model, optimizer=optimizer).readiness() == []
    grads = nnx.grad(lambda m: m(jnp.ones((1, 3))).sum(), argnums=nnx.DiffState(0, nnx.LoRAParam))(model)
    assert live_catalog(model=model, optimizer=optimizer).readiness(grads) == []
    optimizer.update(model, grads)

    stranger = Layers(nnx.Rngs(0))
    found = live_catalog(model=stranger, optimizer=optimizer).readiness()
    assert any(fault.attributes["fails"] for fault in found)
    every = nnx.grad(lambda m: m(jnp.ones((1, 3))).sum())(stranger)
    with pytest.raises((ValueError, TypeError, KeyError)):
        optimizer.update(stranger, every)


def test_model_and_optimizer_of_another_object() -> None:
    mine, other = Layers(nnx.Rngs(0)), Layers(nnx.Rngs(1))
    both = nnx.ModelAndOptimizer(mine, optax.sgd(0.1))
    assert live_catalog(model=mine, optimizer=both).readiness() == []
    (fault,) = live_catalog(model=other, optimizer=both).readiness()
    assert (fault.slug, fault.attributes["fails"]) == ("foreign-variable", False)
    before = np.asarray(other.a.kernel[...])
    both.update(nnx.grad(lambda m: m(jnp.ones((2, 3))).sum())(other))
    assert np.array_equal(before, np.asarray(other.a.kernel[...]))
