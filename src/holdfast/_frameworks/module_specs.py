"""Live modules as :class:`ModuleSpec`, in the same words as the readers give those of a file.

For the framework packages: ``torch_modules(model)`` and ``keras_live_modules(model)`` give all modules of a live
model with configuration and digest of user-written code; ``object_spec`` makes one of any object with attributes
(a flax module). Nothing is imported and nothing of the model is changed or called but Keras's own ``get_config``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from blake3 import blake3

from .._core.modules import ModuleSpec
from .._facts.keras_config import keras_module_config
from .._facts.keras_modules import keras_modules
from .._facts.module_config import object_config
from .code import callable_digest, code_digest, is_user_code
from .keras_terms import digest_of, looks_up, terms_of

__all__ = [
    "code_of",
    "keras_live_modules",
    "object_spec",
    "torch_module_config",
    "torch_modules",
    "walk_layers",
]

_FUNCTIONS = (FunctionType, MethodType, functools.partial)
_MADE_BY_LIBRARIES = frozenset({"torch.nn.utils.parametrize", "torch.fx.graph_module"})
"""Modules that make a class for each object; the class it is made of is the next one."""


def code_of(thing: Any, attributes: Mapping[str, Any] | None = None) -> str | None:
    """The digest of the user's code that an object runs: its class's, and that of user-written functions and
    lambdas among its attributes (``self.activation = swish``); ``None`` where there is none to be had."""
    found = [digest] if (digest := code_digest(type(thing))) is not None else []
    given = [(str(key), value) for key, value in (attributes or {}).items() if isinstance(value, _FUNCTIONS)]
    for key, value in sorted(given, key=lambda pair: pair[0]):
        if isinstance(value, functools.partial) or is_user_code(value):
            digest = callable_digest(value)
            if digest is not None:
                found.append(f"{key}={digest}")
    if len(found) < 2 and "=" not in "".join(found):
        return found[0] if found else None
    scheme = found[0].rpartition("=")[2].partition("-")[0]
    return f"{scheme}-{blake3(chr(0).join(found).encode()).hexdigest()}"


def object_spec(
    path: str, thing: Any, attributes: Mapping[str, Any], order: int, *, library: Iterable[str] = ()
) -> ModuleSpec:
    """The spec of a module object; ``attributes`` are those that may decide its function, ``library`` the packages
    whose classes are the framework's own."""
    cls = type(thing)
    if cls.__module__ in _MADE_BY_LIBRARIES and len(cls.__mro__) > 1:
        cls = cls.__mro__[1]
    package = cls.__module__.partition(".")[0]
    config = object_config(cls.__name__, attributes, known=package in set(library))
    return ModuleSpec(path, cls.__name__, package, config, code_of(thing, attributes), order)


# -- torch -------------------------------------------------------------------------------------------------
def torch_module_config(module: Any) -> dict[str, Any]:
    """What decides the function of one ``torch.nn.Module``, its tensors and submodules aside."""
    known = type(module).__module__.partition(".")[0] == "torch"
    return object_config(type(module).__name__, vars(module), known=known)


def torch_modules(model: Any, prefix: str = "") -> tuple[ModuleSpec, ...]:
    """Every module of a live ``torch.nn.Module``, each once, in the order of ``named_modules()``; ``prefix`` (with its
    dot) stands before the paths."""
    return tuple(
        object_spec(
            f"{prefix}{path}" if path else prefix.rstrip("./"),
            module,
            vars(module),
            order,
            library=("torch",),
        )
        for order, (path, module) in enumerate(model.named_modules())
    )


# -- Keras -------------------------------------------------------------------------------------------------
_REFUSES = (NotImplementedError, TypeError, ValueError, AttributeError, KeyError)
"""What ``get_config`` of a class without one raises, and what serialising its result may."""


def keras_live_modules(model: Any) -> tuple[ModuleSpec, ...]:
    """Every layer of a live Keras model, in the order of its configuration where it has one; layers that the
    configuration does not list (those of subclassed models) follow, named by their own names.

    Reads configurations only; nothing is built.
    """
    import sys

    keras = sys.modules.get("keras")
    listed: tuple[ModuleSpec, ...] = ()
    if keras is not None:
        try:
            listed = keras_modules(keras.saving.serialize_keras_object(model))
        except _REFUSES:
            listed = ()
    live = dict(walk_layers(model))
    found = [_as_it_is(spec, live[spec.path]) if spec.path in live else spec for spec in listed]
    known = {spec.path for spec in found}
    for path, layer in live.items():
        if path in known or type(layer).__name__ == "InputLayer":
            continue
        above = path.rpartition("/")[0]
        holder = live.get(above) if path else None
        if listed and (above not in known or not is_user_code(type(holder))):
            # what a library's layer makes within itself follows from its configuration; and of a layer whose configuration
            # leaves out its name (``**kwargs`` that Keras recorded by itself) no path is known
            continue
        try:
            config = keras_module_config(layer.get_config())
        except _REFUSES:
            config = {}
        spec = ModuleSpec(path, type(layer).__name__, "keras", config, None, len(found))
        found.append(_as_it_is(spec, layer))
        known.add(path)
    return tuple(found)


def _as_it_is(spec: ModuleSpec, layer: Any) -> ModuleSpec:
    """With what a configuration does not tell: the code of the class, the vocabulary that the layer looks up."""
    functions = {key: value for key, value in vars(layer).items() if not key.startswith("_")}
    package, code = type(layer).__module__.partition(".")[0], code_of(layer, functions)
    if not looks_up(layer):
        return replace(spec, package=package, code=code, terms=None)
    config, digest = dict(spec.config), digest_of(layer)
    config.pop("vocabulary", None)  # what the constructor was given: set_vocabulary may have come after it
    terms = None
    if digest is not None:
        config["vocabulary"] = digest
        terms = partial(terms_of, layer)
    return replace(spec, package=package, code=code, config=config, terms=terms)


def walk_layers(
    layer: Any, path: str = "", active: frozenset[int] = frozenset(), depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """A Keras layer and those within it, by the path of their names (a model's own path is empty)."""
    if id(layer) in active or depth > 40:
        return
    yield path, layer
    inside = getattr(layer, "layers", None)
    if not isinstance(inside, (list, tuple)):
        flatten = getattr(layer, "_flatten_layers", None)
        inside = list(flatten(include_self=False, recursive=False)) if callable(flatten) else []
    for inner in inside:
        name = str(getattr(inner, "name", type(inner).__name__))
        yield from walk_layers(inner, f"{path}/{name}" if path else name, active | {id(layer)}, depth + 1)
