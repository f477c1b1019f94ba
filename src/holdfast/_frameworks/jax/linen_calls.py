"""Calls of flax linen modules, seen and changed on their way.

``flax.linen.intercept_methods`` (flax/linen/module.py) hands every method call to an interceptor while it lasts, also those
that a program makes deep in code of its own; what was compiled before calls nothing, so that compiled functions are run
eagerly where every call must be seen. A layer knows its mode by ``deterministic`` or ``use_running_average``, given to the
layer or to the call (flax/linen/stochastic.py, normalization.py).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from .modules import linen_spec

__all__ = ["MODES", "concrete", "forced", "is_loaded", "layers_told", "mode_of", "watched"]

MODES = ("deterministic", "use_running_average")


def is_loaded() -> bool:
    """Whether this process has linen."""
    return "flax.linen" in sys.modules


def concrete(tree: Any) -> bool:
    """Whether a tree holds values, and no placeholders of a function that is being traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(tree))


@contextmanager
def layers_told(told: Callable[[str, Any, Any], None], settings: dict[str, Any]) -> Iterator[None]:
    """While it lasts, ``told(path, module, output)`` is called as each module's ``__call__`` ends; ``settings`` gets, by
    path, class, configuration and digest of the code of each."""

    def seen(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        output = call(*args, **kwargs)
        if context.method_name == "__call__":
            path = ".".join(context.module.path)
            spec = linen_spec(path, context.module)
            settings[path] = {"class": spec.class_name, "config": dict(spec.config), "code": spec.code}
            told(path, context.module, output)
        return output

    with _intercepted(seen):
        yield


@contextmanager
def watched(model: Any, see: Callable[..., None]) -> Iterator[None]:
    """``see`` is told, before it runs, what every outermost module is called with and the variables that it is bound to;
    afterwards its mode: training where any layer within it acts so."""
    inside: list[list[bool]] = []
    whole = isinstance(model, Mapping) and "params" in model

    def seen(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name != "__call__" or context.module.is_initializing():
            return call(*args, **kwargs)
        mode = mode_of(context.module, args, kwargs)
        if inside:
            if mode is not None:
                inside[0].append(mode)
            return call(*args, **kwargs)
        given = {str(n): a for n, a in enumerate(args)} | kwargs
        fields = {n: np.asarray(a) for n, a in given.items() if hasattr(a, "shape") and concrete(a)}
        bound = context.module.variables
        if not fields or not bound or not concrete(bound):
            return call(*args, **kwargs)
        see(fields, None, bound if whole else bound.get("params"))
        inside.append([] if mode is None else [mode])
        try:
            return call(*args, **kwargs)
        finally:
            see({}, any(inside.pop()))

    with jax.disable_jit(), _intercepted(seen):
        yield


@contextmanager
def forced(training: bool) -> Iterator[Callable[[], bool]]:
    """While it lasts every layer with a mode acts in this one; gives whether any did. Statistics that it moves and numbers
    that it draws come from outside of the program and go nowhere."""
    acted: list[bool] = []
    within: list[bool] = []

    def seen(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if within or context.method_name != "__call__" or mode_of(module, args, kwargs) is None:
            return call(*args, **kwargs)
        acted.append(True)
        names = [name for name in MODES if hasattr(module, name)]
        other = module.clone(parent=None, **dict.fromkeys(names, not training))
        kwargs = {k: v for k, v in kwargs.items() if k not in names}
        key = jax.random.key(int(np.random.randint(1 << 31)))
        within.append(True)
        try:
            output, _ = other.apply(
                module.variables, *args[:1], **kwargs, mutable=True, rngs={"dropout": key, "params": key}
            )
        finally:
            within.pop()
        return output

    with jax.disable_jit(), _intercepted(seen):
        yield lambda: bool(acted)


def mode_of(module: Any, args: Any, kwargs: Any) -> bool | None:
    """Whether a layer is called in training mode; ``None`` where it acts alike in both."""
    names = [name for name in MODES if hasattr(module, name)]
    if not names or not any(f.name in names for f in dataclasses.fields(module)):
        return None
    rate = getattr(module, "rate", getattr(module, "dropout_rate", None))
    if isinstance(rate, (int, float)) and not rate:
        return None
    for name in names:
        given = kwargs.get(name)
        given = args[1] if given is None and len(args) > 1 and isinstance(args[1], bool) else given
        given = getattr(module, name) if given is None else given
        if isinstance(given, (bool, np.bool_)):
            return not given
    return None


@contextmanager
def _intercepted(seen: Callable[..., Any]) -> Iterator[None]:
    with sys.modules["flax.linen"].intercept_methods(seen):
        yield
