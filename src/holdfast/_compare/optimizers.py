"""Optimizers side by side: classes, groups, order, how many updates they have made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.plan import Edit
from .._core.spec import OptimizerSpec, TensorSpec
from .._core.words import plural
from .._facts.optimizers import KERAS_SLOTS
from .hyperparameters import hyper_differences
from .names import segments

__all__ = ["KERAS_DIALECTS", "belongs_to_optimizer", "class_by_name", "optimizer_differences", "plain_class"]

KERAS_DIALECTS = frozenset({"keras", "tensorflow"})
"""Dialects in which Keras optimizers are stored."""


def belongs_to_optimizer(spec: TensorSpec) -> bool:
    """Whether a tensor is part of an optimizer's state rather than of the model."""
    return spec.role == "slot" or (
        spec.optimizer is not None and spec.role in ("counter", "hyperparameter", "other")
    )


def plain_class(optimizer: OptimizerSpec | None) -> str | None:
    """The class in lower case without package and decoration, the likely one where the file does not tell."""
    name = (optimizer.class_name or optimizer.class_likely) if optimizer else None
    return None if name is None else name.replace(">", ".").rsplit(".", 1)[-1].lower()


def class_by_name(catalog: Catalog, optimizer: OptimizerSpec) -> str | None:
    """The class in lower case that the name of a Keras optimizer tells, where the file does not record the class:
    Keras calls it after its class (``adamw_1``), and its variables after it (``adamw_1/iteration``)."""
    words = [optimizer.name]
    for spec in catalog.values():
        if spec.optimizer == optimizer.name and spec.role == "counter" and spec.dialect in KERAS_DIALECTS:
            words += segments(spec.name)[-2:-1]
    known = {name.lower() for name in KERAS_SLOTS}
    stems = [re.sub(r"_\d+$", "", word).replace("_", "").lower() for word in words]
    return next((stem for stem in stems if stem in known), None)


def _paired(a: Catalog, b: Catalog) -> list[tuple[OptimizerSpec, OptimizerSpec]]:
    if len(a.optimizers) == 1 and len(b.optimizers) == 1:
        return [(a.optimizers[0], b.optimizers[0])]
    there = {o.name: o for o in b.optimizers}
    return [(o, there[o.name]) for o in a.optimizers if o.name in there]


def optimizer_differences(
    a: Catalog, b: Catalog, to_b: Mapping[str, str], values: Mapping[tuple[str, str], Any]
) -> Iterator[Difference]:
    """Class, step, groups, order and hyperparameters of optimizers that both sides have.

    ``values``: numbers read from tensors, by (side, hyperparameter), for files that keep them as tensors
    only.
    """
    for one, other in _paired(a, b):
        class_a, class_b = plain_class(one), plain_class(other)
        if one.class_name and other.class_name and class_a != class_b:
            yield Difference(
                "O203",
                one.name,
                other.name,
                f"the optimizer is {one.class_name} in A and {other.class_name} in B",
                {"a": one.class_name, "b": other.class_name},
                Edit("reset-slots", ("*",)),
            )
        step_a = one.step if one.step is not None else values.get(("a", "step"))
        step_b = other.step if other.step is not None else values.get(("b", "step"))
        if step_a is not None and step_b is not None and step_a != step_b:
            yield Difference(
                "O208",
                one.name,
                other.name,
                f"the optimizer has made {step_a} updates in A and {step_b} in B",
                {"a": step_a, "b": step_b},
                Edit("hyper", ("step",), value="live"),
            )
        yield from _groups(one, other, to_b)
        yield from hyper_differences(one, other, values)


def _groups(one: OptimizerSpec, other: OptimizerSpec, to_b: Mapping[str, str]) -> Iterator[Difference]:
    if not one.groups or not other.groups:
        return
    if len(one.groups) != len(other.groups):
        # a Keras optimizer has one group by nature; a file that tells of none has not fewer
        yield Difference(
            "O206",
            one.name,
            other.name,
            f"{plural(len(one.groups), 'parameter group')} in A, {len(other.groups)} in B",
            {"a": len(one.groups), "b": len(other.groups)},
        )
        return
    owners_a = [tuple(to_b.get(n, n) for n in g.owners) for g in one.groups]
    owners_b = [g.owners for g in other.groups]
    if not all(owners_a) or not all(owners_b):
        sizes_a = [len(g.owners) or len(g.positions) for g in one.groups]
        sizes_b = [len(g.owners) or len(g.positions) for g in other.groups]
        if all(sizes_a) and all(sizes_b) and sizes_a != sizes_b:
            yield Difference(
                "O206",
                one.name,
                other.name,
                f"parameter groups of {sizes_a} weights in A, of {sizes_b} in B",
                {"a": sizes_a, "b": sizes_b},
            )
        return
    if [set(g) for g in owners_a] != [set(g) for g in owners_b]:
        moved = sorted(set().union(*owners_a) ^ set().union(*owners_b)) or sorted(
            {n for x, y in zip(owners_a, owners_b, strict=True) for n in set(x) ^ set(y)}
        )
        yield Difference(
            "O206",
            one.name,
            other.name,
            f"other weights are in the parameter groups: {', '.join(moved[:5])}"
            + (" …" if len(moved) > 5 else ""),
            {"weights": moved[:50], "count": len(moved)},
        )
    elif owners_a != owners_b:
        crossed = [
            (x, y)
            for g, h in zip(owners_a, owners_b, strict=True)
            for x, y in zip(g, h, strict=False)
            if x != y
        ]
        yield Difference(
            "O209",
            one.name,
            other.name,
            f"the optimizer lists {len(crossed)} weights in another order; its state is kept by position",
            {"first": list(crossed[0]), "count": len(crossed)},
        )
