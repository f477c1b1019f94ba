"""Optimizer state that a Keras file keeps by position alone, against a live optimizer of the same model.

``model.weights.h5`` numbers an optimizer's variables (``optimizer/vars/7``) and says neither class nor slot;
a TensorFlow bundle has names for most and only ``_variables/7`` for some (Adafactor's factors). The live optimizer
numbers its variables in the same way, so that the places tell which is which, where everything agrees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .._core.catalog import Catalog
from .._core.spec import TensorSpec
from .._facts.optimizers import KERAS_SLOTS, plain_class
from .pool import Pool

__all__ = ["match_places"]

_PLACE = re.compile(r"^(?:.*:)?((?:\w+/)*?\w+/(?:vars|_variables))/(\d+)(?:/\.ATTRIBUTES/VARIABLE_VALUE)?$")


def match_places(slots: Pool, a: Catalog, b: Catalog, to_b: Mapping[str, str]) -> None:
    """Pair the state of A that is not proved otherwise with B's at the same place.

    Only where A and B have state at the very same places, of the same shapes, all weights of B's optimizer have a
    counterpart in A (``to_b``: A's names -> B's), B's optimizer has them in the model's order, no owner that A does
    prove contradicts, and the optimizer's name in A is not that of another class.
    """
    if b.format != "live" or len(a.optimizers) != 1 or len(b.optimizers) != 1:
        return
    if not any(_unproved(spec) for spec in slots.a.values()) or not _may_be(a, b):
        return
    here, there = _places(a), _places(b)
    head = next((h for h in here if h in there and here[h].keys() == there[h].keys()), None)
    if head is None:
        return
    mine, theirs = here[head], there[head]
    if any(mine[at].shape != theirs[at].shape for at in mine):
        return
    owners = list(dict.fromkeys(spec.owner for spec in theirs.values() if spec.owner is not None))
    matched = set(to_b.values())
    order = [b[name].order for name in b.optimizers[0].groups[0].owners if name in b]
    if not matched.issuperset(owners) or None in order or order != sorted(order, key=lambda n: n or 0):
        return
    for at, spec in mine.items():
        proved = spec.owner is not None and not spec.attributes.get("slot_likely")
        if proved and to_b.get(spec.owner or "") != theirs[at].owner:
            return
    for at, spec in mine.items():
        other = theirs[at]
        if _unproved(spec) and spec.name in slots.a and other.name in slots.b:
            slots.take(spec.name, other.name, "alias")


def _unproved(spec: TensorSpec) -> bool:
    told = spec.attributes
    return bool(spec.role == "other" or told.get("slot_likely") or told.get("owner_unproved"))


def _may_be(a: Catalog, b: Catalog) -> bool:
    """Whether A's optimizer, by the name that Keras gave it, can be of B's class."""
    told = plain_class(a.optimizers[0].class_name or re.sub(r"_\d+$", "", a.optimizers[0].name))
    return told not in KERAS_SLOTS or told == plain_class(b.optimizers[0].class_name)


def _places(catalog: Catalog) -> dict[str, dict[int, TensorSpec]]:
    """List -> number -> the variable there."""
    found: dict[str, dict[int, TensorSpec]] = {}
    for spec in catalog.values():
        if spec.optimizer is None and spec.role not in ("slot", "average", "gradient"):
            continue
        for name in (spec.key, *spec.aliases):
            match = _PLACE.match(name)
            if match is not None:
                found.setdefault(match.group(1), {}).setdefault(int(match.group(2)), spec)
    return found
