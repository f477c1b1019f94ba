"""A JAX model run on a batch: an nnx Module by its own call, anything else by ``apply``.

A linen module as ``apply`` is asked for its intermediates (flax/linen/module.py, ``capture_intermediates``); nnx Modules have no
hooks, so the class's ``__call__`` is replaced for the time of one call, as ``flax.nnx.tabulate`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from . import nnx

__all__ = ["can_force", "flags", "forced", "put_flags", "run", "watched"]

_MODES = ("deterministic", "use_running_average")
"""Attributes by which flax's layers know their mode (flax/nnx/nn/stochastic.py, normalization.py)."""


def run(model: Any, batch: Any, tell: Callable[..., None], apply: Callable[..., Any] | None) -> Any:
    """Outputs for ``batch``. Raises ``TypeError`` for a tree without ``apply``."""
    if nnx.is_object(model):
        modes = flags(model)
        _set_modes(model, training=False)
        try:
            with _called(model, lambda path, it, output: _tell(tell, path, type(it).__name__, output)):
                return apply(model, batch) if apply is not None else _call(model, batch)
        finally:
            put_flags(model, modes)
    if apply is None:
        raise TypeError(
            "a tree of parameters is no function: pass apply=, a function of the tree and the batch"
        )
    if hasattr(apply, "apply") and hasattr(apply, "init"):  # a linen module
        given = (batch,) if not isinstance(batch, (tuple, list)) else tuple(batch)
        variables = model if isinstance(model, Mapping) and "params" in model else {"params": model}
        output, state = apply.apply(variables, *given, capture_intermediates=True, mutable=["intermediates"])
        _tell_tree(tell, state["intermediates"], "")
        return output
    return apply(model, batch)


def _call(model: Any, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


def _tell(tell: Callable[..., None], path: str, name: str, output: Any) -> None:
    for n, leaf in enumerate(leaves := jax.tree_util.tree_leaves(output)):
        if hasattr(leaf, "dtype") and not isinstance(leaf, jax.core.Tracer):
            array = np.asarray(leaf.astype(np.float32) if leaf.dtype.name == "bfloat16" else leaf)
            tell(path, name, str(n) if len(leaves) > 1 else "", array, leaf.dtype.name)


def _tell_tree(tell: Callable[..., None], tree: Mapping[str, Any], path: str) -> None:
    """Linen keeps what a module called ``name`` gave under ``name/__call__``; inner ones are told before outer ones."""
    for name, item in tree.items():
        if isinstance(item, Mapping):
            _tell_tree(tell, item, f"{path}.{name}" if path else name)
    if "__call__" in tree:
        _tell(tell, path, path.rpartition(".")[2].rstrip("0123456789").rstrip("_"), tree["__call__"])


@contextmanager
def _called(model: Any, seen: Callable[[str, Any, Any], None]) -> Iterator[None]:
    paths = {id(thing): path for path, thing in _modules(model)}
    classes = {type(thing) for _, thing in _modules(model) if callable(thing)}
    olds = {kind: kind.__dict__.get("__call__") for kind in classes}

    def around(call: Any) -> Any:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            output = call(self, *args, **kwargs)
            if id(self) in paths:
                seen(paths[id(self)], self, output)
            return output

        return called

    try:
        for kind, old in olds.items():
            if old is not None:
                setattr(kind, "__call__", around(old))  # noqa: B010 - a class's own method
        yield
    finally:
        for kind, old in olds.items():
            if old is not None:
                setattr(kind, "__call__", old)  # noqa: B010


def _modules(model: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """The modules within an nnx module, by the path of attributes."""
    seen = set() if seen is None else seen
    if id(model) in seen:
        return
    seen.add(id(model))
    if nnx.is_object(model):
        yield path, model
        inside = list(vars(model).items())
    elif isinstance(model, (list, tuple)):
        inside = [(str(n), item) for n, item in enumerate(model)]
    elif isinstance(model, Mapping):
        inside = [(str(key), item) for key, item in model.items()]
    else:
        return
    for name, item in inside:
        if nnx.is_object(item) or isinstance(item, (list, tuple, Mapping)):
            yield from _modules(item, f"{path}.{name}" if path else name, seen)


def _set_modes(model: Any, *, training: bool) -> None:
    for thing, name, _ in flags(model):
        setattr(thing, name, not training)


def flags(model: Any) -> list[tuple[Any, str, Any]]:
    """The mode attributes of an nnx module's parts; none of a tree."""
    if not nnx.is_object(model):
        return []
    return [
        (thing, name, vars(thing)[name])
        for _, thing in _modules(model)
        for name in _MODES
        if name in vars(thing)
    ]


def put_flags(model: Any, held: list[tuple[Any, str, Any]]) -> None:
    """Set them as they were."""
    for thing, name, value in held:
        setattr(thing, name, value)


def can_force(model: Any) -> bool:
    """A tree of parameters has no mode: the program's own ``apply`` decides."""
    return False


@contextmanager
def forced(model: Any, training: bool) -> Iterator[None]:
    """Never called, see :func:`can_force`."""
    yield


@contextmanager
def watched(model: Any, see: Callable[..., None]) -> Iterator[None]:
    """Calls of an nnx module; a tree is not called."""
    yield
