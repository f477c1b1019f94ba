"""Gradients against the weights: one for each, of its shape, and numbers that an update can use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from jax import dtypes, numpy, tree_util

from ..._core.fault import Fault
from ..._facts.optax_trees import Words
from . import nnx
from .parts import Parts
from .states import States
from .trees import is_array

__all__ = ["gradient_faults", "gradient_leaves"]


def gradient_leaves(gradients: Any) -> dict[Words, Any]:
    """Path -> gradient, ``None`` among them, of a pytree or an ``nnx.State`` of gradients."""
    flat, _ = tree_util.tree_flatten_with_path(
        gradients, is_leaf=lambda one: one is None or nnx.is_variable(one)
    )
    found: dict[Words, Any] = {}
    for path, leaf in flat:
        words = tuple(str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path)
        found[words] = nnx.value_of(leaf) if nnx.is_variable(leaf) else leaf
    return found


def gradient_root(states: States, leaves: dict[Words, Any]) -> Words:
    """Where in the model the gradients' tree begins: as the optimizer's, else where most of it fits."""
    roots = Counter(field.root for field in states.fields.values() if field.root is not None)
    for root, _ in roots.most_common():
        below = states.weights.below(root)
        if any(path in below for path in leaves):
            return root
    return states.weights.root(leaves, "params") or ()


def gradient_faults(
    parts: Parts, states: States, gradients: Any, wanted: Callable[[str], bool]
) -> list[Fault]:
    """Missing, extra, ``None`` and misshapen gradients; what the update does with each is said."""
    leaves = gradient_leaves(gradients)
    root = gradient_root(states, leaves)
    below = {path: name for path, name in states.weights.below(root).items() if wanted(name)}
    by_name = {entry.name: entry for entry in parts.entries}
    found: list[Fault] = []
    for path, name in below.items():
        if path not in leaves:
            found.append(
                _fault(
                    "gradient-mismatch",
                    f"the gradients' tree has no entry for {name}: the next update raises ValueError, as the trees "
                    "of gradients and parameters differ",
                    name,
                    "no entry",
                    "one gradient a weight",
                )
            )
            continue
        gradient = leaves[path]
        if gradient is None:
            found.append(
                _fault(
                    "gradient-none",
                    f"the gradient of {name} is None: the next update raises (None is an empty tree to jax)",
                    name,
                    "None",
                    "an array of the weight's shape, of zeros where the weight is not to move",
                )
            )
            continue
        found += _one(name, gradient, by_name[name].cell.get())
    for path in leaves:
        if path not in below:
            word = "/".join(path)
            found.append(
                _fault(
                    "gradient-mismatch",
                    f"there is a gradient {word}, and no such weight: the next update raises ValueError, as the "
                    "trees of gradients and parameters differ",
                    word,
                    word,
                    "gradients of the model's weights only",
                )
            )
    return found


def _one(name: str, gradient: Any, weight: Any) -> list[Fault]:
    if not is_array(gradient) or not is_array(weight):
        return []
    here, there = tuple(gradient.shape), tuple(weight.shape)
    if here != there:
        try:
            joined: tuple[int, ...] | None = np.broadcast_shapes(here, there)
        except ValueError:
            joined = None
        does = (
            "raises TypeError, incompatible shapes for broadcasting"
            if joined is None
            else "runs, and spreads one value over many elements (broadcasting)"
        )
        return [
            _fault(
                "gradient-mismatch",
                f"the gradient of {name} is {here}, the weight {there}: the next update {does}",
                name,
                str(here),
                str(there),
                joined is None,
            )
        ]
    if gradient.dtype == dtypes.float0:
        return [
            _fault(
                "gradient-mismatch",
                f"the gradient of {name} is float0 (the derivative of an integer): the next update raises TypeError",
                name,
                "float0",
                str(weight.dtype),
            )
        ]
    kinds = [_kind(one.dtype) for one in (gradient, weight)]
    if kinds[0] != kinds[1]:
        return [
            _fault(
                "gradient-mismatch",
                f"the gradient of {name} is {gradient.dtype}, the weight {weight.dtype}: the next update runs, and "
                "casts",
                name,
                str(gradient.dtype),
                str(weight.dtype),
                False,
            )
        ]
    return []


def _kind(dtype: Any) -> str:
    for word, kind in (("float", np.floating), ("complex", np.complexfloating), ("int", np.integer)):
        if numpy.issubdtype(dtype, kind):
            return word
    return str(dtype)


def _fault(slug: str, message: str, name: str, seen: str, expected: str, fails: bool = True) -> Fault:
    return Fault(
        slug,
        message,
        tensor=name,
        seen=seen,
        expected=expected,
        attributes={
            "fails": fails,
            "remedy": "Differentiate with respect to the very tree of parameters that the optimizer was made for.",
        },
    )
