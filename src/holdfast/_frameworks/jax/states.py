"""The optimizers of a live jax catalog: what each piece of state is, and what each optimizer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..._core.errors import NotStored
from ..._core.spec import OptimizerSpec, ParamGroup, Role
from ..._facts.optax_states import CLASS_OF_STATE, GRADIENTS, HYPERPARAMETERS, STEP, role_of_field
from ..._facts.optax_trees import Field, Place, Weights, Words
from . import arrays
from .owners import place_of
from .parts import Entry, Parts
from .trees import is_array

__all__ = ["States"]

_SCHEDULES = "hyperparams_states"


class States:
    """State of all optimizers, by field.

    Attributes
    ----------
    places: entry name -> where in the state it is. fields: every field of every state tuple.
    weights: the model's weights by path.
    """

    def __init__(self, parts: Parts, weights: Mapping[str, Words]) -> None:
        self.weights = Weights(weights)
        self.places: dict[str, Place] = {}
        self._schedules: set[tuple[str | None, Words]] = set()
        self.fields: dict[tuple[str, Words, str, str], Field] = {}
        self._entries = [entry for entry in parts.entries if entry.inner is not None]
        for entry in self._entries:
            place = place_of(entry.inner or ())
            self.places[entry.name] = place
            self._field(entry.optimizer or "optimizer", place).leaves[place.below] = entry.name
            if _SCHEDULES in place.above:
                whose = place.above[: place.above.index(_SCHEDULES) + 2]
                self._schedules.add((entry.optimizer, whose))
        for optimizer, inner in parts.masked:
            place = place_of(inner)
            self._field(optimizer, place).masked.append(place.below)
        for found in self.fields.values():
            found.find_root(self.weights)

    def _field(self, optimizer: str, place: Place) -> Field:
        key = (optimizer, place.above, place.state, place.field)
        if key not in self.fields:
            self.fields[key] = Field(optimizer, Place(place.above, place.state, place.field, ()))
        return self.fields[key]

    def field_of(self, entry: Entry) -> Field:
        """The field that an entry is a leaf of."""
        place = self.places[entry.name]
        return self.fields[entry.optimizer or "optimizer", place.above, place.state, place.field]

    def owner_of(self, entry: Entry) -> str | None:
        """The weight that an entry is state of, proved by its place in a tree like the parameters'."""
        root = self.field_of(entry).root
        if root is None:
            return None
        return self.weights.names.get((*root, *self.places[entry.name].below))

    def scheduled(self, entry: Entry) -> bool:
        """Whether a schedule sets this hyperparameter at each update: it has a state of its own beside it
        (``InjectStatefulHyperparamsState`` of ``optax/schedules/_inject.py``)."""
        place = self.places[entry.name]
        return (entry.optimizer, (*place.above, _SCHEDULES, *place.below[:1])) in self._schedules

    def meaning(
        self, entry: Entry, shape: tuple[int, ...], dtype: str, key: bool
    ) -> tuple[Role, str | None, str | None]:
        """Role, owner and slot of one tensor of an optimizer's state."""
        place = self.places[entry.name]
        if key:
            return "rng", None, None
        found = self.field_of(entry)
        owner = self.owner_of(entry)
        if place.field in GRADIENTS:
            return "gradient", owner, None
        if owner is not None or found.elementwise or found.factored:
            return "slot", owner, place.field
        return role_of_field(place.field, shape, dtype), None, None

    def optimizers(self) -> Iterator[OptimizerSpec]:
        """One spec an optimizer, in the order of its first tensor."""
        names = dict.fromkeys(entry.optimizer or "optimizer" for entry in self._entries)
        for name in names:
            mine = [entry for entry in self._entries if entry.optimizer == name]
            classes = dict.fromkeys(p.state for p in (self.places[e.name] for e in mine) if p.state)
            likely = next((CLASS_OF_STATE[c] for c in CLASS_OF_STATE if c in classes), None)
            owners: dict[str, None] = {}
            slots: dict[str, None] = {}
            for entry in mine:
                owner = self.owner_of(entry)
                place = self.places[entry.name]
                if owner is not None and place.field not in GRADIENTS:
                    owners[owner] = slots[place.field] = None
            yield OptimizerSpec(
                name,
                class_likely=likely,
                groups=(ParamGroup(owners=tuple(owners), current=self._hyperparameters(mine)),),
                slots=tuple(slots),
                step=self._step(mine),
                attributes={"transforms": list(classes)},
            )

    def _hyperparameters(self, entries: list[Entry]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in entries:
            place = self.places[entry.name]
            if place.field in HYPERPARAMETERS and place.below:
                value = _scalar(entry)
                if value is not None:
                    found["/".join(place.below)] = value
        return found

    def _step(self, entries: list[Entry]) -> int | None:
        for word in STEP:
            for entry in entries:
                if self.places[entry.name].field == word:
                    value = _scalar(entry)
                    if isinstance(value, int):
                        return value
        return None


def _scalar(entry: Entry) -> Any:
    """The one value of an entry, ``None`` where it is none or cannot be read."""
    value = entry.cell.get()
    if not is_array(value):
        return value.item() if isinstance(value, np.generic) else value
    if value.size != 1 or arrays.is_key(value):
        return None
    try:
        return arrays.read(value, entry.name).reshape(()).item()
    except NotStored:
        return None
