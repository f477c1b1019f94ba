"""Layers that differ in the number of their outputs alone, as the head of a model with other classes does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._core.difference import Difference
from .._core.pattern import escape
from .._core.plan import Edit
from .fitted import Fit

__all__ = ["new_heads", "outputs_of"]


def new_heads(differences: list[Difference], found: Fit) -> list[Difference]:
    """The differences, those of a new head settled by the live model's own values: no value of the old head says what
    a class that it did not have should score, and none of the others can be told apart from those that went.

    A layer is taken for a head where each of its tensors, two at least, differs along one axis, by the same sizes, and
    nothing else does by these: where the layer behind it differs too, the whole model is wider, and no layer's end.
    """
    reshaped = {d.b: d for d in differences if d.code == "T203" and d.b is not None}
    layers: dict[str, list[str]] = {}
    if reshaped:
        for spec in found.live.values():
            if spec.role in ("weight", "buffer"):
                layers.setdefault(_layer(spec.name), []).append(spec.name)
    sizes = {layer: _sizes(names, reshaped) for layer, names in layers.items() if len(names) > 1 and layer}
    heads = {layer: both for layer, both in sizes.items() if both is not None}
    within = {name: layer for layer in heads for name in layers[layer]}
    elsewhere = {both for name, d in reshaped.items() if name not in within for both in _changes(d)}
    return [_afresh(d, within[d.b]) if d.b in within and heads[within[d.b]] not in elsewhere
            and d.code == "T203" else d for d in differences]  # fmt: skip


def outputs_of(difference: Difference) -> tuple[int, int]:
    """How many outputs a head has in the checkpoint and in the model."""
    return _changes(difference)[0]


def _layer(name: str) -> str:
    return name[: max(name.rfind("."), name.rfind("/"), 0)]


def _sizes(names: Sequence[str], reshaped: Mapping[str, Difference]) -> tuple[int, int] | None:
    """The sizes by which all of a layer's tensors differ, each along one axis; ``None`` where they do not."""
    if any(name not in reshaped for name in names):
        return None
    changes = [_changes(reshaped[name]) for name in names]
    return changes[0][0] if all(len(each) == 1 and each == changes[0] for each in changes) else None


def _changes(difference: Difference) -> list[tuple[int, int]]:
    """The sizes of each axis that differs; none where the number of axes does."""
    a, b = difference.evidence.get("a", ()), difference.evidence.get("b", ())
    return [(x, y) for x, y in zip(a, b, strict=True) if x != y] if len(a) == len(b) else []


def _afresh(difference: Difference, layer: str) -> Difference:
    """``otherwise``: the edit that would carry over what can be."""
    evidence = {**difference.evidence, "head": layer, "otherwise": str(difference.edit)}
    return replace(
        difference, evidence=evidence, edit=Edit("keep-live", (escape(difference.b or difference.name),))
    )
