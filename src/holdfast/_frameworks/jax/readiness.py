"""Will the next ``tx.update`` and ``apply_updates`` run? Parameters, state and gradients held against each other.

Three sources: the paths and shapes of what is there; the gradients, where they were given; and, where the optax
transformation is known (``tx=``, a ``TrainState``, an ``nnx.Optimizer``), the update itself under
``jax.eval_shape``: it runs on shapes alone, computes nothing and decides what ``fails`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ..._core.fault import Fault
from . import arrays, nnx
from .gradients import gradient_faults
from .parts import Parts
from .states import States
from .trees import is_array
from .trial import attempt

__all__ = ["examine"]


def examine(parts: Parts, states: States, gradients: Any = None) -> list[Fault]:
    """What stands against the next update, as faults with the slugs of the readiness rules; empty for a sound
    model and state."""
    found = [*_unusable(parts), *_foreign_model(parts)]
    wanted = _wanted(parts)
    found += _fields(parts, states, wanted)
    if gradients is not None:
        found += gradient_faults(parts, states, gradients, wanted)
    if any(fault.slug in ("not-built", "not-stored") for fault in found):
        return found
    trials = attempt(parts, states, gradients)
    if trials is None:
        return found
    if trials.error is None:
        # it was tried: nothing of this stops the update
        return [_harmless(fault) for fault in found]
    if not any(fault.attributes["fails"] for fault in found):
        found.append(
            Fault(
                "slot-mismatch",
                f"the next update raises {trials.error}: the state does not fit the parameters or the "
                "transformation",
                seen=trials.error,
                attributes={
                    "fails": True,
                    "remedy": "Make the state with this transformation's own init(params), or restore the one "
                    "saved with these parameters.",
                },
            )
        )
    return found


def _harmless(fault: Fault) -> Fault:
    """The fault as it stands once the update was tried and ran."""
    if not fault.attributes["fails"] or not fault.attributes.get("tried", True):
        return fault
    told = fault.message.split(": the next update", 1)[0]
    return replace(
        fault,
        message=f"{told}: the next update, tried on shapes, runs nevertheless",
        attributes={**fault.attributes, "fails": False},
    )


def _unusable(parts: Parts) -> list[Fault]:
    """Arrays that have no values: donated ones, and mere descriptions."""
    gone, abstract = [], []
    for entry in parts.entries:
        value = entry.cell.get()
        if arrays.is_deleted(value):
            gone.append(entry.name)
        elif isinstance(value, jax.ShapeDtypeStruct):
            abstract.append(entry.name)
    found = []
    if gone:
        found.append(
            Fault(
                "not-stored",
                f"{_some(gone)} were donated to a compiled function: the next use of them raises RuntimeError "
                '"Array has been deleted"',
                tensor=gone[0],
                tensors=tuple(gone),
                seen=f"{len(gone)} deleted arrays",
                expected="live arrays",
                attributes={"fails": True, "remedy": "Go on with what the donating function returned."},
            )
        )
    if abstract:
        found.append(
            Fault(
                "not-built",
                f"{_some(abstract)} are descriptions (jax.ShapeDtypeStruct) without values: the next step raises "
                "TypeError",
                tensor=abstract[0],
                tensors=tuple(abstract),
                seen=f"{len(abstract)} descriptions",
                expected="arrays",
                attributes={"fails": True, "remedy": "Restore into them, or run the model's init."},
            )
        )
    return found


def _foreign_model(parts: Parts) -> list[Fault]:
    """A ``ModelAndOptimizer`` that updates another model than the one that was passed."""
    model = parts.given.get("model")
    found = []
    for name, optimizer in parts.nnx_optimizers.items():
        own = getattr(optimizer, "model", None)
        if not nnx.is_object(own) or not nnx.is_object(model) or nnx.is_optimizer(model):
            continue
        if own is not model:
            mine = {id(v) for _, v, _ in nnx.leaves(model) if nnx.is_variable(v)}
            theirs = [p for p, v, _ in nnx.leaves(own) if nnx.is_variable(v) and id(v) not in mine]
            if theirs:
                word = "/".join(map(str, theirs[0]))
                found.append(
                    Fault(
                        "foreign-variable",
                        f"{name} updates a model of its own, not the one that was passed: update() runs, and this "
                        "model's weights stay as they are",
                        tensor=word,
                        tensors=tuple("/".join(map(str, path)) for path in theirs),
                        attributes={"fails": False, "tried": False, "remedy": f"Use {name}.model."},
                    )
                )
    return found


def _wanted(parts: Parts) -> Callable[[str], bool]:
    """Whether a weight is one that the nnx optimizer was made for (its ``wrt`` filter)."""
    filters = [o.wrt for o in parts.nnx_optimizers.values() if hasattr(o, "wrt")]
    if not filters:
        return lambda name: True
    chosen: set[int] = set()
    for prefix, thing in parts.objects:
        del prefix
        for wrt in filters:
            state = nnx.flax_nnx().state(thing, wrt)
            leaves = jax.tree_util.tree_leaves(state, is_leaf=nnx.is_variable)
            chosen |= {id(leaf) for leaf in leaves}
    names = {e.name for e in parts.entries if e.cell.variable is not None and id(e.cell.variable) in chosen}
    return names.__contains__ if names else lambda name: True


def _fields(parts: Parts, states: States, wanted: Callable[[str], bool]) -> list[Fault]:
    """State that mirrors the parameters against the parameters: paths, then shapes. One fault a weight."""
    by_name = {entry.name: entry for entry in parts.entries}
    unknown: dict[str, list[str]] = {}
    foreign: dict[str, list[str]] = {}
    found: list[Fault] = []
    for held in states.fields.values():
        if not held.elementwise or not states.weights.names:
            continue
        where = "/".join((*held.place.above, held.place.field))
        if held.root is None:
            if states.weights.fit_anywhere(held.leaves):
                continue  # under several trees alike (a copy of the weights, a target network): it is one of them
            for leaf in held.leaves.values():
                foreign.setdefault(leaf, []).append(where)
            continue
        below = {path: n for path, n in states.weights.below(held.root).items() if wanted(n)}
        for path, name in below.items():
            if path not in held.leaves and not held.covers(path):
                unknown.setdefault(name, []).append(where)
        for path, leaf in held.leaves.items():
            weight = below.get(path)
            if weight is None:
                foreign.setdefault(leaf, []).append(where)
                continue
            one, other = by_name[leaf].cell.get(), by_name[weight].cell.get()
            if is_array(one) and is_array(other):
                fault = _shape_fault(leaf, weight, tuple(one.shape), tuple(other.shape))
                found += [fault] if fault is not None else []
    for name, fields in unknown.items():
        found.append(
            Fault(
                "unknown-variable",
                f"the optimizer's state has no entry for {name} ({', '.join(fields)}): the next update raises "
                "ValueError, as the trees of parameters and state differ",
                tensor=name,
                seen="no state",
                expected=", ".join(fields),
                attributes={
                    "fails": True,
                    "remedy": "Make the state anew with init(params) and restore the old entries into it, or mask "
                    "this weight (optax.masked, optax.partition).",
                },
            )
        )
    for name, fields in foreign.items():
        found.append(
            Fault(
                "foreign-variable",
                f"the optimizer's state holds {name}, and the model has no such weight: the next update raises "
                "ValueError, as the trees of parameters and state differ",
                tensor=name,
                seen=", ".join(fields),
                expected="entries of the model's weights only",
                attributes={
                    "fails": True,
                    "remedy": "Drop the entry, or make the state anew with init(params).",
                },
            )
        )
    return found


def _shape_fault(leaf: str, weight: str, here: tuple[int, ...], there: tuple[int, ...]) -> Fault | None:
    if here == there:
        return None
    try:
        joined: tuple[int, ...] | None = np.broadcast_shapes(here, there)
    except ValueError:
        joined = None
    if joined is None:
        what = "the next update raises TypeError, incompatible shapes for broadcasting"
    elif joined == there:
        what = "the next update runs, and one value is used for many elements (broadcasting)"
    else:
        what = f"the next update runs, and the weight itself becomes {joined} (broadcasting)"
    return Fault(
        "slot-mismatch",
        f"{leaf} is {here}, its weight {weight} {there}: {what}",
        tensor=leaf,
        tensors=(leaf, weight),
        seen=str(here),
        expected=str(there),
        attributes={"fails": joined is None, "remedy": "Restore the state that was saved with this weight."},
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
