"""A glance at the values of live tensors: enough to see that somebody has written to them, at a few microseconds each.

Nothing is copied but a handful of elements, and nothing is imported: a value of a framework's is looked at by that framework's
own room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

__all__ = ["POINTS", "Glance", "glance", "named_leaves", "of_array"]

POINTS = 16
"""Elements that are looked at of one tensor: the last, and others at equal distances before it."""

_ROOMS = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow"}
_DEEPEST = 24


class Glance(NamedTuple):
    """What a tensor looked like: how many writes its framework has counted (``None``: it counts none), and the bytes of some
    of its elements (``None``: they cannot be had cheaply)."""

    version: int | None
    sample: bytes | None


def glance(value: Any) -> Glance | None:
    """A glance at one tensor, array or variable; ``None`` for what cannot change or cannot be looked at (JAX's arrays)."""
    if isinstance(value, np.ndarray):
        return Glance(None, of_array(value)) if value.dtype.kind != "O" else None
    kind = type(value)
    if kind not in _LOOKS:
        _LOOKS[kind] = _look_of(kind)
    look = _LOOKS[kind]
    return look(value) if look is not None else None


_LOOKS: dict[type, Callable[[Any], Glance | None] | None] = {}


def _look_of(kind: type) -> Callable[[Any], Glance | None] | None:
    for cls in kind.__mro__:
        room = _ROOMS.get(cls.__module__.partition(".")[0])
        if room is not None:
            look: Callable[[Any], Glance | None] = import_module(f"{__package__}.{room}.glances").glance
            return look
    return None


def of_array(array: np.ndarray) -> bytes:
    """Some elements of an array of any layout, as bytes; a copy of these alone."""
    if array.size <= POINTS:
        return array.tobytes()
    step = array.size // POINTS
    if array.flags.c_contiguous:
        return array.reshape(-1)[::-step].tobytes()
    return np.asarray(array.flat[np.arange(array.size - 1, -1, -step)]).tobytes()


def named_leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    """Everything in nested mappings, sequences, modules and optimizers that has a shape and a dtype, with its path: keys
    joined with ``/``, the names of a module's own tensors with ``.`` as its state dict has them."""
    seen: set[int] = set()
    yield from _below(tree, "", 0, seen)


def _below(thing: Any, path: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    kind = type(thing)  # asked in place of the object, whose own __getattr__ may do anything
    if hasattr(kind, "shape") and hasattr(kind, "dtype"):
        yield path, thing
        return
    if isinstance(thing, (str, bytes, int, float, complex, type(None), type)) or depth > _DEEPEST:
        return
    if id(thing) in seen:
        return
    seen.add(id(thing))
    inside: Iterator[tuple[Any, Any]]
    if isinstance(thing, Mapping):
        inside = iter(list(thing.items()))
    elif isinstance(thing, (list, tuple)):
        inside = iter(list(enumerate(thing)))
    elif any(cls.__module__.partition(".")[0] in _ROOMS for cls in kind.__mro__):
        inside = _of_object(thing)
    else:
        return
    for key, value in inside:
        yield from _below(value, f"{path}/{key}" if path else str(key), depth + 1, seen)


def _of_object(thing: Any) -> Iterator[tuple[Any, Any]]:
    """What belongs to a live object: a module's tensors, an optimizer's or a model's variables, the children of a
    ``tf.train.Checkpoint``."""
    named = getattr(thing, "named_parameters", None)
    if callable(named) and callable(getattr(thing, "named_buffers", None)):
        yield from named()
        yield from thing.named_buffers()
        return
    variables = getattr(thing, "variables", None)
    if isinstance(variables, (list, tuple)):
        for number, variable in enumerate(variables):
            yield getattr(variable, "path", None) or getattr(variable, "name", None) or number, variable
        return
    if isinstance(getattr(thing, "state", None), Mapping) and hasattr(thing, "param_groups"):
        yield "state", list(thing.state.values())
        return
    children = getattr(thing, "_trackable_children", None)  # tensorflow/python/trackable/base.py
    if callable(children) and type(thing).__name__ == "Checkpoint":
        yield from children().items()
