"""Optimizer state that a Keras file keeps by position alone, against a live optimizer of the same model.

``model.weights.h5`` numbers an optimizer's variables (``optimizer/vars/7``) and says neither class nor slot;
a TensorFlow bundle has names for most and only ``_variables/7`` for some (Adafactor's factors). The live optimizer
numbers its variables in the same way. Which weight a number belongs to follows from the weights' own places
(``layers/dense_1/vars/0``), which file and live model count alike too, and not from what the weights are called:
a layer that bears another's name now has that one's values, and its state with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .._core.catalog import Catalog
from .._core.spec import TensorSpec
from .._facts.optimizers import KERAS_SLOTS
from .optimizers import class_by_name, plain_class
from .pool import Pool

__all__ = ["match_places"]

_PLACE = re.compile(r"^(?:.*:)?((?:\w+/)*?\w+/(?:vars|_variables))/(\d+)(?:/\.ATTRIBUTES/VARIABLE_VALUE)?$")


def match_places(slots: Pool, a: Catalog, b: Catalog, to_b: Mapping[str, str]) -> None:
    """Pair the state of A that is not proved otherwise with B's at the same place.

    Only where A and B have state at the very same places, of the same shapes, all weights of B's optimizer have a
    counterpart in A (``to_b``: A's names -> B's), no owner that A does prove contradicts, and the optimizer's name in
    A is not that of another class.
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
    owners = list(dict.fromkeys(spec.owner for spec in theirs.values() if spec.owner is not None))
    if not set(to_b.values()).issuperset(owners):
        return
    meant = _meant(owners, a, b, to_b)
    if meant is None:
        return
    states = {_state(spec): spec for spec in theirs.values() if spec.owner is not None}
    targets: dict[int, TensorSpec] = {}
    for at, spec in mine.items():
        other: TensorSpec | None = theirs[at]
        if theirs[at].owner is not None:
            other = states.get(_state(theirs[at])._replace(owner=meant[theirs[at].owner or ""]))
        if other is None or other.shape != spec.shape:
            return
        proved = spec.owner is not None and not spec.attributes.get("slot_likely")
        if proved and to_b.get(spec.owner or "") != other.owner:
            return
        targets[at] = other
    for at, spec in mine.items():
        if _unproved(spec) and spec.name in slots.a and targets[at].name in slots.b:
            slots.take(spec.name, targets[at].name, "owner")


_KNOWN = frozenset(name.lower() for name in KERAS_SLOTS)


class _State(NamedTuple):
    """What a variable of an optimizer is."""

    owner: str | None
    role: str
    slot: str | None


def _state(spec: TensorSpec) -> _State:
    return _State(spec.owner, spec.role, spec.slot)


def _meant(owners: list[str], a: Catalog, b: Catalog, to_b: Mapping[str, str]) -> dict[str, str] | None:
    """For each weight that B's optimizer has: the weight of B whose state A has at that place.

    A's optimizer was built in the model's order, as ``compile`` and a first step do; B's may have been built in
    another one, so that its first place is A's first weight all the same. Where A has every weight's own place in the
    same shape, that place tells which weight of A it is; else the order alone does.
    """
    order = {name: b[name].order for name in owners}
    if None in order.values():
        return None
    listed = [name for name in b.optimizers[0].groups[0].owners if name in order]
    by_model = dict(zip(listed, sorted(listed, key=lambda name: order[name] or 0), strict=True))
    if len(by_model) != len(owners):
        return None
    if not all(
        b[n].key in a and a[b[n].key].shape == b[n].shape and a[b[n].key].name in to_b for n in owners
    ):
        return by_model if listed == list(by_model.values()) else None
    found = {name: to_b[a[b[place].key].name] for name, place in by_model.items()}
    return found if len(set(found.values())) == len(found) else None


def _unproved(spec: TensorSpec) -> bool:
    told = spec.attributes
    return bool(spec.role == "other" or told.get("slot_likely") or told.get("owner_unproved"))


def _may_be(a: Catalog, b: Catalog) -> bool:
    """Whether A's optimizer, by its class or the name that Keras gave it, can be of B's class."""
    stored: Catalog = getattr(a, "base", a)  # seen through a plan, optimizers are called as the live ones are
    only = stored.optimizers[0] if len(stored.optimizers) == 1 else a.optimizers[0]
    told = plain_class(only) if only.class_name else class_by_name(stored, only)
    return told is None or told not in _KNOWN or told == plain_class(b.optimizers[0])


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
