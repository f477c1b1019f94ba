"""The state that a Keras optimizer makes with its first step, before it has made it.

An optimizer that is not built has no slots. What it will make follows from its class, its options and the
weights (:mod:`holdfast._facts.optimizers`); ``build`` makes it, at its initial values, without a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..._facts.optimizers import slot_blocks
from . import values
from .optimizers import OwnVariable, inner_of, own_variables

__all__ = ["Virtual", "build_unforeseen", "foreseen", "virtual_variables"]


class Virtual:
    """One variable that is to be made: of which weight, which slot, its shape and dtype."""

    __slots__ = ("dtype", "own", "shape", "write")

    def __init__(
        self, own: OwnVariable, shape: tuple[int, ...], dtype: str, write: Callable[[np.ndarray], None]
    ) -> None:
        self.own, self.shape, self.dtype, self.write = own, shape, dtype, write


def _plan(optimizer: Any, weights: list[Any]) -> Iterator[tuple[str | None, Any, tuple[int, ...], str, str]]:
    """Slot word, weight, shape, dtype and path of what ``build`` will make, in its order."""
    inner = inner_of(optimizer)
    if inner is not optimizer:
        yield "step_counter", None, (), values.dtype_name(optimizer._iterations), optimizer.name
        yield "dynamic_scale", None, (), "float32", optimizer.name
    scoped = inner.name
    layouts = slot_blocks(type(inner).__name__, "keras-3", inner.get_config())
    if not layouts:
        return
    if inner is not optimizer:  # the inner optimizer's own scalars stand before its slots
        yield "iteration", None, (), "", scoped
        if hasattr(inner._learning_rate, "path"):
            yield "learning_rate", None, (), "", scoped
    for block in layouts[0]:
        rows = (
            [(weight, word) for weight in weights for word in block.names]
            if block.interleaved
            else [(weight, word) for word in block.names for weight in weights]
        )
        for weight, word in rows:
            if getattr(weight, "overwrite_with_gradient", False):
                continue
            yield word, weight, values.shape_of(weight), values.dtype_name(weight), scoped
    if type(inner).__name__ == "Nadam":
        yield "u_product", None, (), values.dtype_name(weights[0]) if weights else "float32", scoped


_UNEVEN = frozenset({"Adafactor", "Muon"})
"""Classes whose state follows from more than the weights' shapes."""


def virtual_variables(optimizer: Any, weights: list[Any]) -> list[Virtual]:
    """What the optimizer will make for these weights; empty where it is built, or where its class is not one
    whose state is known. Writing one builds the optimizer over ``weights`` (all at their initial values) and
    sets that one."""
    if optimizer.built or type(inner_of(optimizer)).__name__ in _UNEVEN:
        return []
    start = len(optimizer._variables)
    found: list[Virtual] = []
    for index, (word, weight, shape, dtype, scope) in enumerate(_plan(optimizer, weights)):
        if not dtype:  # exists already
            continue
        if weight is None:
            own = OwnVariable(
                None,
                "hyperparameter" if word == "dynamic_scale" else "counter",
                None,
                None,
                start + index,
                f"{scope}/{word}",
            )
        else:
            role = {"average": "average", "gradient_accumulator": "gradient"}.get(word or "", "slot")
            flat = str(weight.path).replace("/", "_")
            own = OwnVariable(None, role, word, weight, start + index, f"{scope}/{flat}_{word}")  # type: ignore[arg-type]
        found.append(Virtual(own, shape, dtype, _writer(optimizer, weights, word, weight)))
    return found


def foreseen(optimizer: Any, weights: list[Any]) -> bool:
    """Whether it is known before what the optimizer will make for these weights: nothing at all, for SGD without momentum."""
    inner = inner_of(optimizer)
    name = type(inner).__name__
    return bool(weights) and name not in _UNEVEN and bool(slot_blocks(name, "keras-3", inner.get_config()))


def build_unforeseen(optimizer: Any, weights: list[Any]) -> None:
    """Build an optimizer of a class whose state is not known before (Adafactor, a class of a user's own), as its first step
    with these weights would; nothing for others, and for one that is built."""
    if weights and not optimizer.built and not virtual_variables(optimizer, weights):
        with _scope(weights):
            optimizer.build(weights)


def _writer(
    optimizer: Any, weights: list[Any], word: str | None, weight: Any
) -> Callable[[np.ndarray], None]:
    def write(array: np.ndarray) -> None:
        if not optimizer.built:
            with _scope(weights):
                optimizer.build(weights)
        if weight is None:
            holder = inner_of(optimizer) if word == "u_product" else optimizer
            values.write(getattr(holder, f"_{word}" if word == "u_product" else str(word)), array)
            return
        values.write(_made(optimizer)[(word, id(weight))], array)

    return write


def _scope(weights: list[Any]) -> AbstractContextManager[Any]:
    """The scope of the strategy that spread the weights over devices: their slots are made there too, and outside of it
    TensorFlow raises ("Need to be inside with strategy.scope()"); nothing for weights of one device."""
    for weight in weights:
        value: Any = getattr(weight, "value", None)
        if hasattr(value, "distribute_strategy") and hasattr(value, "values"):
            scope: AbstractContextManager[Any] = value.distribute_strategy.scope()
            return scope
    return nullcontext()


_Made = Mapping[tuple[str | None, int], Any]


def _made(optimizer: Any) -> _Made:
    return {
        (own.slot, id(own.owner)): own.variable for own in own_variables(optimizer) if own.owner is not None
    }
