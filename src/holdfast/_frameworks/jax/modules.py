"""Modules of a live flax model: class, what decides its function, and the digest of user-written code.

An nnx model is its own module graph. A linen model is known only where it was passed (``module=``) or is bound
to a train state's ``apply_fn``; its fields tell the submodules that are given as fields, not those made inline.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..._core.modules import ModuleSpec
from ..code import callable_digest, code_digest
from . import nnx
from .trees import is_array

__all__ = ["is_linen", "linen_modules", "linen_spec", "nnx_modules"]

_NOT_FUNCTION = frozenset(
    {
        "dtype", "param_dtype", "precision", "promote_dtype", "preferred_element_type", "dot_general", "rngs",
        "deterministic", "use_running_average", "decode", "name", "parent", "rng_collection", "sharding", "scope",
        "dot_general_cls", "conv_general_dilated", "einsum_cls", "axis_name", "axis_index_groups", "cached_key",
        "cached_value", "cache_index", "keep_rngs",
    }
)  # fmt: skip
"""Attributes that say nothing of the function: dtypes, modes switched between training and use, placement."""

_CONTAINERS = frozenset({"List", "Dict", "Rngs", "RngStream"})
_MODES = ("_init", "_metadata", "_promote")


def is_linen(thing: Any) -> bool:
    """Whether it is a flax linen module (which holds no variables itself)."""
    linen = sys.modules.get("flax.linen")
    return linen is not None and isinstance(thing, linen.Module)


def nnx_modules(thing: Any, start: str = "") -> Iterator[ModuleSpec]:
    """Every module of an nnx object's graph, the outermost first; containers are left out."""
    objects = [
        (tuple(map(str, path)), node)
        for path, node in nnx.flax_nnx().iter_graph(thing)
        if nnx.is_object(node) and type(node).__name__ not in _CONTAINERS
    ]
    for order, (path, node) in enumerate(sorted(objects, key=lambda item: len(item[0]))):
        name = "/".join((start, *path) if start else path)
        yield _spec(name, node, vars(node), order)


def linen_modules(module: Any) -> Iterator[ModuleSpec]:
    """A linen module and those given as its fields."""
    found: list[tuple[str, Any]] = [("", module)]
    for order, (path, node) in enumerate(found):
        fields = {f.name: getattr(node, f.name, None) for f in dataclasses.fields(node)}
        yield linen_spec(path, node, order)
        for word, value in fields.items():
            if word == "parent":
                continue
            inner = value if isinstance(value, (list, tuple)) else (value,)
            for index, one in enumerate(inner):
                if is_linen(one):
                    step = word if one is value else f"{word}_{index}"
                    found.append((f"{path}/{one.name or step}".lstrip("/"), one))


def linen_spec(path: str, module: Any, order: int = 0) -> ModuleSpec:
    """One linen module by itself."""
    fields = {f.name: getattr(module, f.name, None) for f in dataclasses.fields(module)}
    return _spec(path, module, fields, order)


def _spec(path: str, node: Any, values: Mapping[str, Any], order: int) -> ModuleSpec:
    kind = type(node)
    config = {}
    for word, value in values.items():
        if word.startswith("_") or word in _NOT_FUNCTION or word.endswith(_MODES):
            continue
        told = _told(value)
        if told is not None:
            config[word] = told[0]
    return ModuleSpec(path, kind.__name__, kind.__module__.split(".")[0], config, code_digest(kind), order)


def _told(value: Any) -> tuple[Any] | None:
    """A value as JSON can hold it, in a tuple; ``None`` where it is no configuration (tensors, modules)."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return (value,)
    if isinstance(value, np.generic):
        return (value.item(),)
    if isinstance(value, (list, tuple)):
        items = [_told(one) for one in value]
        return None if any(one is None for one in items) else ([one[0] for one in items if one is not None],)
    if is_array(value) or nnx.is_variable(value) or nnx.is_object(value) or is_linen(value):
        return None
    if callable(value) and not isinstance(value, type):
        inner = getattr(value, "__wrapped__", value)
        word = (
            getattr(inner, "__qualname__", None) or getattr(inner, "__name__", None) or type(value).__name__
        )
        digest = callable_digest(inner)
        return (f"{word}:{digest}" if digest is not None else word,)
    return None
