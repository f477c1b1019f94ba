"""What live objects are made of beside their values: which containers hold what, to be put back by identity.

Values are put back through the catalog. What a restore *makes* is not among them: a Keras optimizer that was built,
a slot of Adam that was not there, a list that grew. Lists, mappings and sets of optimizers (schedulers, scalers) are
noted before anything changes; putting them back gives the same containers with the same objects in them, in the same
order. No tensor is copied.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["structure"]

_DEEPEST = 12
_OURS = ("keras", "torch.optim", "torch.amp", "torch.cuda.amp", "tensorflow.python.trackable")
"""Modules whose objects are looked into: what optimizers keep their variables in (Keras's ``Tracker``, the lists that
TensorFlow wraps). Models and tensors are not: nothing is made there."""


def structure(parts: Mapping[str, Any]) -> Callable[[], None]:
    """Note what the optimizers, schedulers and scalers among ``parts`` are made of, and what the lists and mappings
    hold that were passed (trees of arrays, several models by name).

    Returns a function that puts all of it back; it draws nothing and makes nothing. Models and ``tf.train.Checkpoint``
    are left alone: a restore sets values there and makes no variable.
    """
    found = _Found()
    found.look(dict(parts), 0)
    return found.put_back


def _makes_state(thing: Any) -> bool:
    """An object whose state is not all tensors that are there: torch's optimizers, schedulers and scalers, and what
    wraps them, have ``load_state_dict`` and are no modules; Keras's optimizers have ``apply_gradients``."""
    if hasattr(thing, "named_parameters") or hasattr(thing, "trainable_weights"):
        return False
    return hasattr(thing, "__dict__") and (
        hasattr(thing, "load_state_dict") or hasattr(thing, "apply_gradients")
    )


class _Found:
    """Containers with what they held."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.alive: list[Any] = []  # so that no id is used again
        self.undo: list[Callable[[], None]] = []

    def look(self, thing: Any, depth: int) -> None:
        kind = type(thing)
        if kind in _PLAIN or depth > _DEEPEST or id(thing) in self.seen:
            return
        inner: list[Any] = []
        if issubclass(kind, dict):
            items = dict(thing)
            self.undo.append(lambda: _fill(thing, items))
            inner += items.values()
        elif issubclass(kind, list):
            held = list.copy(thing)
            self.undo.append(lambda: _refill(thing, held))
            inner += held
        elif issubclass(kind, set):
            members = frozenset(thing)
            self.undo.append(lambda: _regather(thing, members))
        elif issubclass(kind, tuple):
            inner += thing
        elif not (_ours(kind) or _makes_state(thing)):
            return
        self.seen.add(id(thing))
        self.alive.append(thing)
        own = getattr(thing, "__dict__", None)
        if type(own) is dict:
            inner.append(own)
        for one in inner:
            if type(one) not in _PLAIN:
                self.look(one, depth + 1)

    def put_back(self) -> None:
        for undo in self.undo:
            undo()


_PLAIN = frozenset({int, float, bool, str, bytes, type(None), complex})


def _ours(kind: type) -> bool:
    """Whether an object of this class is looked into: an optimizer's helper, and no variable, tensor or layer."""
    if any(hasattr(kind, word) for word in ("shape", "named_parameters", "trainable_weights", "numpy")):
        return False
    return any((cls.__module__ or "").startswith(_OURS) for cls in kind.__mro__)


def _fill(mapping: dict[Any, Any], items: dict[Any, Any]) -> None:
    if len(mapping) == len(items) and all(
        a is b and x is y for (a, x), (b, y) in zip(mapping.items(), items.items(), strict=True)
    ):
        return
    base: Any = (
        OrderedDict if isinstance(mapping, OrderedDict) else dict
    )  # past what a subclass does on setting
    base.clear(mapping)
    base.update(mapping, items)


def _regather(gathered: set[Any], members: frozenset[Any]) -> None:
    set.clear(gathered)
    set.update(gathered, members)


def _refill(held: list[Any], items: list[Any]) -> None:
    if list.__len__(held) == len(items) and all(a is b for a, b in zip(list.copy(held), items, strict=True)):
        return
    list.clear(held)
    list.extend(held, items)
