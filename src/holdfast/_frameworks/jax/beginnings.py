"""What an optimizer's state begins with, for state that a restore starts anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from ..._core.dtypes import carrier, is_integer
from ..._core.errors import NotStored
from ..._core.spec import TensorSpec
from ..._facts.optax_states import COPIES
from ..._facts.optax_trees import Field
from . import arrays
from .parts import Entry
from .states import States

__all__ = ["Beginnings"]

Get = Callable[[], Any]


class Beginnings:
    """Values that state of all optimizers begins with, asked for when it starts anew.

    optax begins it with what it was constructed with (zeros, ``initial_accumulator_value``, the smallest step size), which
    nothing tells but live state before its first step. After that, or where no count says, a slot that holds one
    number throughout is taken for one that has made none, and what is no slot stays, but for whole numbers: these
    count. Some fields begin as the weights.
    """

    def __init__(self, entries: Sequence[Entry], states: States, steps: Mapping[str, int | None]) -> None:
        """``steps``: optimizer -> how many updates it has made."""
        self._states, self._steps = states, steps
        self._cells: dict[str, Get] = {entry.name: entry.cell.get for entry in entries}
        self._fields: dict[int, list[Get]] = {}

    def of(self, entry: Entry, spec: TensorSpec) -> Callable[[], np.ndarray] | None:
        """Gives the values of one piece of state; ``None`` where they are zeros."""
        if spec.optimizer is None or spec.role not in ("slot", "counter"):
            return None
        field, get = self._states.field_of(entry), entry.cell.get
        if field.place.field in COPIES and spec.owner is not None:
            return partial(_of_weight, self._cells[spec.owner], spec.owner)
        step = self._steps.get(spec.optimizer)
        if step == 0 or not _has_values(get()) or (spec.owner is None and not is_integer(spec.dtype)):
            return partial(_as_it_is, spec, get)
        if step is None and spec.role == "slot":
            return partial(_filled, spec, get, self._beside(field))
        return None

    def _beside(self, field: Field) -> list[Get]:
        found = self._fields.get(id(field))
        if found is None:
            found = self._fields[id(field)] = [self._cells[name] for name in field.leaves.values()]
        return found


def _has_values(value: Any) -> bool:
    return not isinstance(value, jax.ShapeDtypeStruct) and not arrays.is_deleted(value)


def _as_it_is(spec: TensorSpec, get: Get) -> np.ndarray:
    try:
        return arrays.read(get(), spec.name)
    except NotStored:
        return np.zeros(spec.shape, carrier(spec.dtype))


def _of_weight(weight: Get, name: str) -> np.ndarray:
    return arrays.read(weight(), name)


def _filled(spec: TensorSpec, get: Get, beside: Sequence[Get]) -> np.ndarray:
    fill = _number(get, spec.name)
    if fill is not None and int(np.prod(spec.shape)) == 1 and fill not in _numbers(beside):
        fill = None  # one element is one number whatever was done
    return np.full(spec.shape, 0 if fill is None else fill, carrier(spec.dtype))


def _numbers(cells: Sequence[Get]) -> Iterator[Any]:
    for get in cells:
        if int(np.prod(arrays.shape_of(get()))) > 1:
            yield _number(get, "")


def _number(get: Get, name: str) -> Any:
    """The one number that a slot holds throughout; ``None`` where it holds several, or no values."""
    try:
        values = arrays.read(get(), name)
    except NotStored:
        return None
    flat = values.reshape(-1)
    return flat[0] if flat.size and bool((flat == flat[0]).all()) else None
