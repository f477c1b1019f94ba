"""What is told where one side keeps weights in parts (weight norm, spectral norm, pruning) and the other keeps them whole."""

from __future__ import annotations

from .._core.difference import Difference
from .._facts.reparametrized import KEEPERS
from .fitted import Fit
from .told import Told, names_text

__all__ = ["in_parts"]

_UNDO = {keeper.name: keeper.undo for keeper in KEEPERS}


def in_parts(same: list[Difference], pattern: str, found: Fit) -> Told:
    """No tensor of the one side is a tensor of the other: the parts are made from the weight, or the weight from them."""
    keeper, stored = str(same[0].evidence["keeper"]), same[0].evidence["parts_in"] == "a"
    weights = list(dict.fromkeys(str(d.evidence["weight"]) for d in same))
    those = [
        d.name
        for d in found.delta.differences
        if d.code == ("T202" if stored else "T201") and d.evidence.get("weight") == weights[0]
    ]
    it = "it" if len(weights) == 1 else "them"
    sides = ("checkpoint", "model") if stored else ("model", "checkpoint")
    text = (
        f"the {sides[0]} keeps {names_text(weights)} in parts, as {keeper} does ({names_text(those)}); the {sides[1]} has "
        f"{it} whole"
    )
    if stored:
        remedy = (
            f"Restore into a model with {keeper} on the same layers, and take it off afterwards: {_UNDO[keeper]}. "
            "None of the parts is the weight, so no renaming makes it."
        )
    else:
        remedy = f"Restore into the model before {keeper} is put on its layers: the parts are then made of the weights."
    return Told("error", text, None, None, remedy)
