"""flax nnx: objects, Variables and optimizers, as far as they can be had without importing flax.

Sources: flax/nnx/variablelib.py (``get_raw_value``, ``set_raw_value``; older versions: ``raw_value``),
flax/nnx/graphlib.py (``iter_graph``; until 0.11 flax/nnx/graph.py), flax/nnx/training/optimizer.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

__all__ = [
    "is_object",
    "is_optimizer",
    "is_variable",
    "leaves",
    "flax_nnx",
    "other_paths",
    "set_value",
    "value_of",
    "variable_kind",
]

_REFERENCES = frozenset({"Ref", "ArrayRef", "MutableArray"})
_INNER = frozenset({"_pytree__state", "_pytree__nodes", "_object__state", "_object__nodes"})
_DEPTH = 200


def flax_nnx() -> Any:
    """``flax.nnx`` where it is loaded already, else ``None``: without it no nnx object can exist."""
    return sys.modules.get("flax.nnx")


def _classes(*names: str) -> tuple[type, ...]:
    nnx = flax_nnx()
    return _named(nnx, names) if nnx is not None else ()


@lru_cache(maxsize=16)
def _named(nnx: Any, names: tuple[str, ...]) -> tuple[type, ...]:
    return tuple(getattr(nnx, name) for name in names if hasattr(nnx, name))


def is_variable(thing: Any) -> bool:
    """Whether it is an nnx Variable (``Param``, ``BatchStat``, ``RngKey`` ...), or a state of one (flax < 0.11)."""
    return isinstance(thing, _classes("Variable", "VariableState"))


def is_object(thing: Any) -> bool:
    """Whether it is an nnx Module, Rngs, Optimizer or another object of nnx's graph."""
    return isinstance(thing, _classes("Module", "Object", "Pytree")) and not is_variable(thing)


def is_optimizer(thing: Any) -> bool:
    """Whether it is an ``nnx.Optimizer`` (``ModelAndOptimizer`` is one)."""
    return isinstance(thing, _classes("Optimizer"))


def _raw(variable: Any) -> Any:
    if hasattr(variable, "get_raw_value"):
        return variable.get_raw_value()
    return variable.raw_value if hasattr(variable, "raw_value") else variable.value


def value_of(variable: Any) -> Any:
    """What a Variable holds, without its ``on_get_value`` hooks; an array in a mutable reference is read out."""
    raw = _raw(variable)
    return raw[...] if type(raw).__name__ in _REFERENCES else raw


def set_value(variable: Any, value: Any) -> None:
    """Set what a Variable holds, past its ``on_set_value`` hooks, which could change it."""
    raw = _raw(variable)
    if type(raw).__name__ in _REFERENCES:
        raw[...] = value
    elif hasattr(variable, "set_raw_value"):
        variable.set_raw_value(value)
    elif hasattr(variable, "raw_value"):
        variable.raw_value = value
    else:
        variable.value = value


def variable_kind(variable: Any) -> tuple[str, ...]:
    """The names of a Variable's class and its bases, the nearest first (``("LoRAParam", "Param", "Variable")``)."""
    kind = getattr(variable, "type", None) if type(variable).__name__ == "VariableState" else type(variable)
    return tuple(base.__name__ for base in (kind or type(variable)).__mro__)


def leaves(thing: Any) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """(path, Variable or plain value, the object or container it is in) for everything in an object's graph, a
    shared one once, in nnx's own order (attributes sorted by name)."""
    nnx = flax_nnx()
    found: dict[tuple[Any, ...], Any] = {}
    order: list[tuple[tuple[Any, ...], Any]] = []
    for path, node in nnx.iter_graph(thing):
        found[tuple(path)] = node
        if path and not _INNER & set(map(str, path)):
            order.append((tuple(path), node))
    for path, node in order:
        yield path, node, found.get(path[:-1])


def other_paths(thing: Any) -> dict[int, list[tuple[Any, ...]]]:
    """id of a Variable -> every path that leads to it, for those that several lead to (tied weights)."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    _visit(thing, (), found, ())
    return {key: paths for key, paths in found.items() if len(paths) > 1}


def _visit(
    node: Any, path: tuple[Any, ...], found: dict[int, list[tuple[Any, ...]]], above: tuple[int, ...]
) -> None:
    if is_variable(node):
        found.setdefault(id(node), []).append(path)
        return
    if id(node) in above or len(path) > _DEPTH:
        return
    inner = (*above, id(node))
    if is_object(node):
        for word, value in vars(node).items():
            if word not in _INNER:
                _visit(value, (*path, int(word) if word.isdigit() else word), found, inner)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            _visit(value, (*path, key), found, inner)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            _visit(value, (*path, index), found, inner)
