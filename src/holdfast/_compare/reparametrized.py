"""Weights kept in parts (weight norm, spectral norm, pruning): the parts under both generations of names, and kept apart from
whole weights, which none of them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._core.spec import TensorSpec
from .._facts.reparametrized import KEEPERS, Part, parts_of
from .names import canonical
from .pool import Pool

__all__ = ["Apart", "in_parts_on_one_side", "kept_in_parts", "pair_parts"]

_ENDINGS = tuple(
    {*(e for k in KEEPERS for e in k.endings), *(below[-1] for k in KEEPERS for below in k.below)}
)
Apart = tuple[list[TensorSpec], list[TensorSpec]]
"""Parts of A and of B that no tensor of the other side is."""


def kept_in_parts(names: Iterable[str]) -> dict[str, Part]:
    """The names that are parts of a weight, and of which; empty for nearly all models, at the cost of a look at each
    name's end."""
    paths = {name: canonical(name) for name in names if name.endswith(_ENDINGS)}
    if not paths:
        return {}
    found = parts_of(paths.values())
    return {name: found[path] for name, path in paths.items() if path in found}


def pair_parts(pool: Pool) -> Apart:
    """Pair the parts that bear the older names on one side and the newer on the other; returns those of a kind that the
    other side has none of, taken out of the pool: by its shape a direction would pass for the weight itself."""
    here, there = kept_in_parts(pool.a), kept_in_parts(pool.b)
    if here and there:
        at = {part: name for name, part in there.items()}
        for name, part in here.items():
            other = at.get(part)
            if other is not None and pool.a[name].shape == pool.b[other].shape:
                pool.take(name, other, "wrapper")
    return _alone(pool.a, here, there), _alone(pool.b, there, here)


def _alone(
    specs: dict[str, TensorSpec], parts: Mapping[str, Part], others: Mapping[str, Part]
) -> list[TensorSpec]:
    kinds = {(part.keeper.name, part.number) for part in others.values()}
    return [
        specs.pop(name)
        for name, part in parts.items()
        if name in specs and (part.keeper.name, part.number) not in kinds
    ]


def in_parts_on_one_side(pool: Pool) -> dict[tuple[str, str], dict[str, str]]:
    """Of what stays free: the weights that one side keeps in parts and the other whole, and the parts. By side and name:
    ``keeper``, ``parts_in``, the side that keeps them so, and the ``weight``, as the side that has it whole calls it."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for side, specs, other, others in (("a", pool.a, "b", pool.b), ("b", pool.b, "a", pool.a)):
        parts = kept_in_parts(specs) if others else {}
        whole = {canonical(name): name for name in others} if parts else {}
        for name, part in parts.items():
            weight = whole.get(part.weight)
            if weight is not None:
                told = {"keeper": part.keeper.name, "parts_in": side, "weight": weight}
                found[side, name] = found[other, weight] = told
    return found
