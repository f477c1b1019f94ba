"""A JAX model run on a batch: an nnx Module by its own call, anything else by ``apply``.

Linen's calls are intercepted (:mod:`.linen_calls`); nnx Modules have no hooks, so the class's ``__call__`` is replaced for the
time of one call, as ``flax.nnx.tabulate`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from ..._core.errors import UsageError
from . import linen_calls, nnx
from .modules import is_linen

__all__ = ["can_force", "flags", "forced", "put_flags", "run", "watched"]

_MODES = ("deterministic", "use_running_average")
"""Attributes by which flax's layers know their mode (flax/nnx/nn/stochastic.py, normalization.py)."""


def run(
    model: Any,
    batch: Any,
    tell: Callable[..., None],
    apply: Callable[..., Any] | None,
    settings: dict[str, Any],
) -> Any:
    """Outputs for ``batch``; ``settings`` gets those of linen modules, which a tree says nothing of. Raises
    :class:`UsageError` for a tree without ``apply``."""
    if nnx.is_object(model):
        modes = flags(model)
        _set_modes(model, training=False)
        try:
            with _called(model, lambda path, it, output: _tell(tell, path, type(it).__name__, output)):
                return apply(model, batch) if apply is not None else _call(model, batch)
        finally:
            put_flags(model, modes)
    if apply is None:
        raise UsageError(
            "a tree of parameters computes nothing by itself", found=type(model).__name__,
            expected="apply=, a flax linen module or a function of tree and batch",
            remedy='A factory of `holdfast audit` may return it: {"model": ..., "evaluate": ..., "apply": ...}.',
        )  # fmt: skip
    if not linen_calls.is_loaded():
        return apply(model, batch)
    with linen_calls.layers_told(
        lambda path, it, output: _tell(tell, path, type(it).__name__, output), settings
    ):
        if not is_linen(apply):
            return apply(model, batch)
        given = (batch,) if not isinstance(batch, (tuple, list)) else tuple(batch)
        variables = model if isinstance(model, Mapping) and "params" in model else {"params": model}
        module: Any = apply
        if isinstance(batch, Mapping):
            return module.apply(variables, **batch)
        return module.apply(variables, *given)


def _call(model: Any, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


def _tell(tell: Callable[..., None], path: str, name: str, output: Any) -> None:
    for n, leaf in enumerate(leaves := jax.tree_util.tree_leaves(output)):
        if hasattr(leaf, "dtype") and not isinstance(leaf, jax.core.Tracer):
            array = np.asarray(leaf.astype(np.float32) if leaf.dtype.name == "bfloat16" else leaf)
            tell(path, name, str(n) if len(leaves) > 1 else "", array, leaf.dtype.name)


@contextmanager
def _called(model: Any, seen: Callable[[str, Any, Any], None]) -> Iterator[None]:
    paths = {id(thing): path for path, thing in _modules(model)}

    def told(call: Any, module: Any, args: Any, kwargs: Any) -> Any:
        output = call(module, *args, **kwargs)
        if id(module) in paths:
            seen(paths[id(module)], module, output)
        return output

    with _around_calls(model, told):
        yield


@contextmanager
def _around_calls(model: Any, around: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, calls of modules of the classes within ``model`` go through ``around(call, module, args, kwargs)``:
    what is compiled by nnx is handed copies of them."""
    kinds = {type(thing) for _, thing in _modules(model) if callable(thing)}
    olds = {kind: kind.__dict__.get("__call__") for kind in kinds}

    def wrapped(call: Any) -> Any:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            return around(call, self, args, kwargs)

        return called

    try:
        for kind, old in olds.items():
            if old is not None:
                setattr(kind, "__call__", wrapped(old))  # noqa: B010 - a class's own method
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
    """Whether layers can be held in a mode: those of flax. A tree of parameters has none, its program's modules have."""
    return nnx.is_object(model) or linen_calls.is_loaded()


@contextmanager
def forced(model: Any, training: bool) -> Iterator[Callable[[], bool]]:
    """Every layer of flax is in this mode; gives whether there was one."""
    if not nnx.is_object(model):
        with linen_calls.forced(training) as acted:
            yield acted
        return
    modes = flags(model)

    def held(call: Any, module: Any, args: Any, kwargs: Any) -> Any:
        for name in _MODES:
            if name in vars(module):
                setattr(module, name, not training)
        return call(module, *args, **{k: v for k, v in kwargs.items() if k not in _MODES})

    with jax.disable_jit(), _around_calls(model, held):
        yield lambda: bool(modes)
    put_flags(model, modes)


@contextmanager
def watched(model: Any, see: Callable[..., None]) -> Iterator[None]:
    """Calls of an nnx module, or of the linen modules of the program; compiled functions run eagerly meanwhile."""
    if not nnx.is_object(model):
        if linen_calls.is_loaded():
            with linen_calls.watched(model, see):
                yield
        else:
            yield
        return

    inside: list[bool] = []

    def seen(call: Any, module: Any, args: Any, kwargs: Any) -> Any:
        given = {str(n): a for n, a in enumerate(args)} | kwargs
        arrays = {n: a for n, a in given.items() if hasattr(a, "shape") and linen_calls.concrete(a)}
        if inside or type(module) is not type(model) or not arrays:
            return call(module, *args, **kwargs)
        see(
            {n: np.asarray(a) for n, a in arrays.items()},
            any(value is False for _, _, value in flags(module)),
            None if module is model else module,
        )
        inside.append(True)
        try:
            return call(module, *args, **kwargs)
        finally:
            inside.pop()

    with jax.disable_jit(), _around_calls(model, seen):
        yield
