"""One slot of one weight in a live optimizer: looked up, made, set and unmade where ``optimizer.state`` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..live import Variable
from .first_step import New
from .tensors import memory_of, put, to_numpy

__all__ = ["Slot", "fill"]


class Slot:
    """One slot of one weight, looked up each time: steps and restores may replace the tensor."""

    __slots__ = ("new", "optimizer", "param", "path", "variable")

    def __init__(self, optimizer: Any, param: torch.Tensor, path: tuple[Any, ...], new: New | None) -> None:
        self.optimizer, self.param, self.path, self.new = optimizer, param, path, new
        self.variable: Variable | None = None

    def get(self) -> Any:
        """The value, or ``None`` where it is not made."""
        if self.param not in self.optimizer.state:
            return None
        value = self.optimizer.state[self.param]
        for word in self.path:
            if isinstance(value, Mapping):
                value = value.get(word)
            elif isinstance(value, list):
                value = value[word] if word < len(value) else None
            else:
                return None
        return value

    def set(self, value: Any) -> None:
        """Put a value there, with the lists and dicts it lies in."""
        holder = self.optimizer.state[self.param]
        for word, after in zip(self.path, (*self.path[1:], None), strict=True):
            if isinstance(holder, list):
                holder.extend([None] * (word + 1 - len(holder)))
            if after is None:
                holder[word] = value
                return
            inner = holder[word] if isinstance(holder, list) else holder.get(word)
            if inner is None:
                inner = [] if isinstance(after, int) else {}
                holder[word] = inner
            holder = inner

    def unset(self) -> None:
        """Take it away again; a weight without any slot has no state at all."""
        state = self.optimizer.state
        if self.param not in state:
            return
        holders: list[Any] = [state[self.param]]
        for word in self.path[:-1]:
            inner = holders[-1].get(word) if isinstance(holders[-1], Mapping) else None
            if inner is None:
                return
            holders.append(inner)
        word = self.path[-1]
        if isinstance(holders[-1], list):
            if self.path[0] == "al":  # a list of fixed length, with nothing where there is nothing
                if word < len(holders[-1]):
                    holders[-1][word] = None
            else:
                del holders[-1][word:]
        else:
            holders[-1].pop(word, None)
        for index in range(len(holders) - 1, 0, -1):
            if not any(item is not None for item in holders[index]):
                holders[index - 1].pop(self.path[index - 1], None)
        if not state[self.param]:
            del state[self.param]

    # -- as a variable ----------------------------------------------------------------------------------
    def read(self) -> np.ndarray:
        return to_numpy(self.get())

    def write(self, array: np.ndarray) -> None:
        value = self.get()
        if isinstance(value, torch.Tensor):
            put(value, array)
            return
        new = self.new
        assert new is not None  # only virtual slots are not there
        made = _blank(new, self.param)
        put(made, array)
        self.set(made)
        self._now(virtual=False)

    def memory(self) -> np.ndarray | None:
        value = self.get()
        return memory_of(value) if isinstance(value, torch.Tensor) else None

    def clear(self) -> None:
        value = self.get()
        if isinstance(value, torch.Tensor) and self.new is None:
            self.new = New(self.path, tuple(value.shape), value.dtype, value.device)
        self.unset()
        self._now(virtual=True)

    def _now(self, *, virtual: bool) -> None:
        if self.variable is None:
            return
        self.variable.read = None if virtual else self.read
        attributes = {k: v for k, v in self.variable.spec.attributes.items() if k != "virtual"}
        if virtual:
            attributes["virtual"] = True
        self.variable.spec = self.variable.spec.with_(attributes=attributes)


def _blank(new: New, param: torch.Tensor) -> torch.Tensor:
    """A tensor for a new slot, laid out as the weight is (``memory_format=preserve_format``)."""
    if new.shape == tuple(param.shape):
        return torch.empty_like(param, dtype=new.dtype, device=new.device, requires_grad=False)
    return torch.empty(new.shape, dtype=new.dtype, device=new.device)


def fill(slots: list[Slot]) -> None:
    """Give what a restore made for a weight the rest of its state, at the values that the first step starts
    from: a weight with half a state makes the next step fail."""
    started = {id(slot.param) for slot in slots if slot.get() is not None}
    for slot in slots:
        new = slot.new
        if new is None or new.optional or id(slot.param) not in started or slot.get() is not None:
            continue
        blank = _blank(new, slot.param)
        with torch.no_grad():
            blank.fill_(new.start)
        slot.set(blank)
        slot._now(virtual=False)
    for slot in slots:
        state = slot.optimizer.state.get(slot.param)
        if slot.path[0] == "al" and state and isinstance(state.get("al"), list):
            state["al"].extend(
                [None] * (slot.path[1] + 1 - len(state["al"]))
            )  # LBFGS takes its length for granted
    _in_order(slots)


def _in_order(slots: list[Slot]) -> None:
    """The words of each state in the order in which the optimizer makes them, whichever came first."""
    wanted: dict[int, tuple[Any, dict[Any, None]]] = {}
    for slot in slots:
        state = slot.optimizer.state.get(slot.param)
        if state:
            wanted.setdefault(id(slot.param), (state, {}))[1].setdefault(slot.path[0])
    for state, words in wanted.values():
        order = [word for word in words if word in state]
        if [word for word in state if word in words] != order:
            kept = dict(state)
            state.clear()
            state.update({word: kept[word] for word in (*order, *(w for w in kept if w not in words))})
