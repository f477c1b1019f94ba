"""The next update, tried on shapes alone (``jax.eval_shape``): nothing is computed and nothing changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax import tree_util

from ..._facts.optax_trees import Words
from . import nnx
from .arrays import description
from .gradients import gradient_leaves, gradient_root
from .parts import Parts
from .states import States
from .trees import is_array, is_masked

__all__ = ["Trial", "attempt"]


_MOST = 1500
"""Leaves of parameters above which the update is not tried: tracing it would take longer than a second or two."""


class Trial(NamedTuple):
    """What the update raised (class and first line), ``None`` where it runs."""

    error: str | None


def attempt(parts: Parts, states: States, gradients: Any) -> Trial | None:
    """Try ``tx.update`` and ``optax.apply_updates`` of every known transformation; the first error counts.

    Without gradients the parameters stand for them. ``None`` where nothing could be tried: no transformation is
    known, it wants arguments or values that only the training loop has, or the model has more than 1,500 weights
    (the comparison of paths and shapes, which has no such limit, then stands alone).
    """
    tried = False
    if len(states.weights.names) > _MOST:
        return None
    for transformation, gradient, state, params in _trials(parts, states, gradients):
        error = _try(transformation, gradient, state, params)
        if error is not None and error.error is None:
            tried = True
        elif error is not None:
            return error
    return Trial(None) if tried else None


def _try(transformation: Any, gradient: Any, state: Any, params: Any) -> Trial | None:
    optax = sys.modules["optax"]

    def step(gradient: Any, state: Any, params: Any) -> Any:
        updates, after = transformation.update(gradient, state, params)
        return optax.apply_updates(params, updates), after

    try:
        jax.eval_shape(step, gradient, state, params)
    except jax.errors.JAXTypeError:
        return None  # it looks at values, which shapes do not have
    except Exception as error:  # noqa: BLE001 - whatever the user's update raises is the answer
        first = str(error).strip().split("\n", 1)[0]
        if isinstance(error, TypeError) and "required keyword-only argument" in first:
            return None
        return Trial(f"{type(error).__name__}: {first}"[:300])
    return Trial(None)


def _trials(parts: Parts, states: States, gradients: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    for name, transformation in parts.transformations.items():
        if "optax" not in sys.modules:
            return
        if name in parts.nnx_optimizers:
            yield from _of_nnx(parts, parts.nnx_optimizers[name], gradients)
            continue
        state = _state_of(parts, name)
        tree = parts.trees.get("model")
        if state is None or tree is None:
            continue
        roots = {f.root for f in states.fields.values() if f.optimizer == name and f.root is not None}
        if len(roots) != 1 and gradients is None:
            continue
        root = roots.pop() if len(roots) == 1 else gradient_root(states, gradient_leaves(gradients))
        params = _shapes(_below(tree.result(), root))
        yield transformation, params if gradients is None else _shapes(gradients), _shapes(state), params


def _of_nnx(parts: Parts, optimizer: Any, gradients: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    model = parts.given.get("model")
    own = getattr(optimizer, "model", None)
    target = own if nnx.is_object(own) else model
    if not nnx.is_object(target) or nnx.is_optimizer(target) or not hasattr(optimizer, "wrt"):
        return
    params = _shapes(nnx.flax_nnx().state(target, optimizer.wrt))
    gradient = params if gradients is None else _shapes(gradients)
    yield optimizer.tx, gradient, _shapes(optimizer.opt_state), params


def _state_of(parts: Parts, name: str) -> Any:
    """The optimizer's state as it is now."""
    if "optimizer" in parts.trees:
        state = parts.trees["optimizer"].result()
        return state.get(name) if isinstance(state, dict) and name in state else state
    return getattr(parts.trees["model"].result(), "opt_state", None) if "model" in parts.trees else None


def _below(tree: Any, root: Words) -> Any:
    for word in root:
        if hasattr(tree, "keys"):
            tree = next(value for key, value in tree.items() if str(key) == word)
        elif isinstance(tree, (list, tuple)) and not hasattr(tree, "_fields"):
            tree = tree[int(word)]
        else:
            tree = getattr(tree, word)
    return tree


def _shapes(tree: Any) -> Any:
    """The same tree with descriptions in place of arrays, and arrays in place of nnx Variables."""

    def one(leaf: Any) -> Any:
        if is_masked(leaf):
            return leaf
        value = nnx.value_of(leaf) if nnx.is_variable(leaf) else leaf
        if not is_array(value):
            return _shapes(value) if nnx.is_variable(leaf) else value
        return description(value.shape, value.dtype)

    return tree_util.tree_map(one, tree, is_leaf=lambda leaf: nnx.is_variable(leaf) or is_masked(leaf))
