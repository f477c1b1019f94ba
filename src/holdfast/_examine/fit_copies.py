"""One axis more in front of every tensor on one side: copies for each device (pmap), or members that were made by ``vmap``."""

from __future__ import annotations

from dataclasses import replace

from .._core.difference import Difference
from .._core.finding import Finding
from .fit_making import of_kind
from .fitted import Fit

__all__ = ["of_copies"]

_FEW = 3
_OF_SHAPE = frozenset({"T203", "O204", "O205", "O206"})


def of_copies(found: Fit, made: list[Finding]) -> list[Finding]:
    """Where all weights of one name differ by the same axis in front, that is the one thing to say, and no other model."""
    if found.live.framework != "jax":
        return made
    shapes = {
        d.b: d for d in found.delta.differences if d.code == "T203" and d.b is not None and d.a is not None
    }
    weights = [name for name, spec in found.live.items() if spec.role == "weight" and name in found.pairs]
    more = {_more(shapes[name]) if name in shapes else None for name in weights}
    if len(weights) < _FEW or len(more) != 1 or None in more:
        return made
    side, count = more.pop() or ("", 0)
    alike = {name for d in shapes.values() if _more(d) == (side, count) for name in (d.a, d.b)}
    errors = [f for f in made if f.severity == "error" and f.code in _OF_SHAPE and set(f.tensors) <= alike]
    if not errors:
        return made
    stored = side == "a"
    sides = ("checkpoint", "model") if stored else ("model", "checkpoint")
    text = (
        f"every weight has one axis more in the {sides[0]}, of {count} in front: {count} copies for as many devices "
        f"(`flax.jax_utils.replicate`, pmap), or members that `vmap` made; the {sides[1]} has one"
    )
    if stored:
        remedy = (
            f"Restore into `jax.tree.map(lambda x: jnp.stack([x] * {count}), state)`, and take "
            "`jax.tree.map(lambda x: x[0], restored)` of what comes, if all are copies. Save `flax.jax_utils.unreplicate(state)`."
        )
    else:
        remedy = "Restore into the state before it is replicated, then `flax.jax_utils.replicate` what comes."
    told = of_kind("T203", text, remedy=remedy, tensors=tuple(weights))
    one = shapes[weights[0]].evidence
    evidence = {"copies": count, "seen": str(tuple(one["a"])), "expected": str(tuple(one["b"]))}
    told = replace(told, evidence=evidence, related=tuple(errors))
    return [told, *(f for f in made if f not in errors)]


def _more(difference: Difference) -> tuple[str, int] | None:
    """The side that has one axis more in front, and how long that is."""
    a, b = tuple(difference.evidence["a"]), tuple(difference.evidence["b"])
    for side, long, short in (("a", a, b), ("b", b, a)):
        if len(long) == len(short) + 1 and long[1:] == short:
            return side, long[0]
    return None
