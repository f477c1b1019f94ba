"""What is wrong with a part of a Keras model."""

from __future__ import annotations

import re
import types
from typing import Any

from .failure import Failure, passes_through
from .node import Node
from .pickle_why import Told, a, in_pickle, place_of

__all__ = ["told"]

_REGISTER = "@keras.saving.register_keras_serializable()"
_HOOKS = (
    "get_config",
    "from_config",
    "__init__",
    "build",
    "build_from_config",
    "get_build_config",
    "save_own_variables",
    "load_own_variables",
    "save_assets",
    "load_assets",
    "call",
    "compute_output_shape",
)


def told(nodes: tuple[Node, ...], failure: Failure, ending: str) -> Told | None:
    """What it is, why, what to do, and the cause's label; ``None`` where nothing special is known of it."""
    node = nodes[0]
    text = failure.gist or failure.message
    kind = node.data.kind if node.data is not None else "layer"
    name = _named(node)
    if failure.kind != "error":
        return _own_method(node, failure, name)
    if "already exists" in text and len(nodes) > 1:
        what = "layers" if kind == "layer" else "variables"
        shown = getattr(node.thing, "name", "?")
        return (
            f"{len(nodes)} {what} of the name {shown!r}",
            f"a legacy {ending} file has one group or data set for each name",
            "Give them names of their own (`name=`), or save as `.keras` or `.weights.h5`, which go by place.",
            "renamed",
        )
    if "HDF5" in text and "larger than 64512" in text:
        return (
            f"{name} with a name of {len(str(getattr(node.thing, 'name', ''))):,} letters",
            "HDF5 holds the list of names in an attribute, which takes 64 KB",
            "Give it a shorter name, or save as `.keras` or `.weights.h5`.",
            "size-limit",
        )
    if "not yet been built" in text:
        return (
            name,
            "it is not built: it has no variables to save",
            "Call the model on a batch, or model.build(shape), first.",
            "lazy-build",
        )
    if "comes back as what stands" in text:
        entry = re.search(r'get_config\(\)\["(.+?)"\]', text)
        word, klass = entry[1] if entry else "?", type(node.thing).__qualname__
        return (
            f"the argument `{word}` of {name}",
            "get_config returns the object, which is written as its name, or a dict of its "
            "class and config; and `__init__` is given that when "
            "the model is loaded",
            f"In `{klass}.get_config`: keras.saving.serialize_keras_object(self.{word}); in "
            f"`{klass}.from_config`: "
            f"keras.saving.deserialize_keras_object(config['{word}']).",
            "custom-object",
        )
    if failure.phase == "values":
        return (
            name,
            "the file loads, and this layer's values are not those that were saved: its "
            "`save_own_variables` or `load_own_variables` leaves "
            "some out, or `from_config` makes a layer with others",
            "Let both methods handle every variable of the layer, and get_config every argument.",
            "missing-tensor",
        )
    if kind in ("argument", "compile") and ending == ".h5":
        word = f"the argument `{node.data.key}`" if kind == "argument" else "what the model was compiled with"
        return (
            f"{word} of model.compile ({_in_short(node.thing)})" if kind == "argument" else word,
            "this version of Keras writes it into a legacy .h5 file in a form that it does not read back",
            "Save as `.keras`; or load_model(path, compile=False), and compile again.",
            "custom-object",
        )
    if kind in ("entry", "argument"):
        return _value(node, failure, text)
    if ending == ".h5" and failure.phase == "load":
        legacy = _legacy(node, text, name)
        if legacy is not None:
            return legacy
    return _layer(node, failure, text, name)


def _legacy(node: Node, text: str, name: str) -> Told | None:
    """What a legacy ``.h5`` file cannot say."""
    kind = type(node.thing).__name__
    unknown = re.search(r"Unknown layer: '(\w+)'", text)
    if unknown and unknown[1] != kind:
        return (
            name,
            f"it holds a `{unknown[1]}` that is no layer (an operation of keras.ops on its tensors, or a class that is not "
            "registered), and a legacy .h5 file is read as layers alone",
            "Save as `.keras`.",
            "format-mismatch",
        )
    if unknown:
        return (
            name,
            "a legacy .h5 file has the name of its class alone, without the package that it is registered in; load_model "
            "does not know it by that",
            f"Save as `.keras`, with the class registered; or load_model(path, custom_objects={{'{kind}': {kind}}}).",
            "custom-object",
        )
    if node.parent is None:
        first = (text.splitlines() or [""])[0]
        return (
            name,
            f"a legacy .h5 file does not say enough to make it again: {first[:160]}",
            "Save as `.keras`.",
            "format-mismatch",
        )
    return None


def _layer(node: Node, failure: Failure, text: str, name: str) -> Told | None:
    kind = type(node.thing)
    klass = kind.__qualname__
    if re.search(r"Could not locate class|Unknown (?:layer|object)", text):
        return (
            name,
            "the file has the name of its class alone, and load_model does not know it: it is not registered",
            f"Write `{_REGISTER}` over the class and import its module before loading; or "
            f"load_model(path, custom_objects={{'{kind.__name__}': "
            f"{kind.__name__}}}).",
            "custom-object",
        )
    if re.search(r"Could not locate function '?([\w<>]+)", text):
        return (
            name,
            "one of its arguments is a function that is not registered",
            f"Write `{_REGISTER}` over the function.",
            "custom-object",
        )
    if "Lambda" in text and "eserialization" in text:
        function = getattr(node.thing, "function", None)
        at = place_of(function)
        return (
            f"{name}, a Lambda layer{f' ({at})' if at else ''}",
            "the file holds its Python byte code, which load_model refuses to run",
            "Write a layer of its own with `call`, registered; or, where you trust the file, "
            "load_model(path, safe_mode=False).",
            "unsafe-pickle",
        )
    argument = re.search(r"Could not interpret (\w+)(?: function| object)? identifier", text)
    if argument:
        return (
            name,
            f"its argument `{argument[1]}` is a lambda or a function that is not registered: "
            "the file has its byte code or its name, which "
            "load_model does not take",
            f"Write it with `def` and `{_REGISTER}` over it.",
            "custom-object",
        )
    if "Python lambda" in text:
        return (
            name,
            "one of its arguments is a lambda: the file holds its byte code, which load_model refuses to run",
            f"Write a function with `def` and `{_REGISTER}` over it.",
            "unsafe-pickle",
        )
    if "non-serializable argument values" in text or (
        failure.type == "NotImplementedError" and "get_config" in text
    ):
        return (
            name,
            "its `__init__` takes arguments, and without a `get_config` of its own Keras "
            "cannot write them down",
            f"Give {klass} a get_config: `return {{**super().get_config(), 'units': self.units}}`, "
            "with each argument of `__init__`.",
            "unserialisable",
        )
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unexpected or "Unrecognized keyword arguments" in text:
        word = unexpected[1] if unexpected else "name"
        return (
            name,
            f"loading calls {klass}(**get_config()), and its `__init__` does not take `{word}`",
            f"Let `{klass}.__init__` take `**kwargs` and pass them to `super().__init__(**kwargs)`.",
            "custom-object",
        )
    missing = re.search(r"missing \d+ required (?:positional|keyword-only) arguments?: (.+)", text)
    if missing:
        return (
            name,
            f"loading calls {klass}(**get_config()), and the config has no {missing[1].splitlines()[0][:120]}",
            f"Let `{klass}.get_config` return every argument of `__init__`.",
            "custom-object",
        )
    if re.search(r"expected \d+ variables?, (?:but )?(?:received|found)", text) or "was never built" in text:
        return (
            name,
            "what was saved has variables that the layer does not make again when it is "
            "loaded: they are made in `call`, or "
            "its `build` does not build the layers inside",
            f"Make all layers in `{klass}.__init__`, all variables in `build`, and let "
            "`build` call `build` of each inner layer.",
            "lazy-build",
        )
    return _own_method(node, failure, name)


def _own_method(node: Node, failure: Failure, name: str) -> Told | None:
    kind = type(node.thing)
    for hook in _HOOKS:
        method = getattr(kind, hook, None)
        if not getattr(method, "__module__", "").startswith("keras.") and passes_through(
            failure.trace, method, hook
        ):
            verb = {"hang": "does not come back", "crash": "ends the process"}.get(
                failure.kind, f"raises {failure.type}"
            )
            return (
                name,
                f"its `{hook}` ({place_of(getattr(method, '__wrapped__', method))}) {verb}"
                + (
                    f": {(failure.gist or failure.message).splitlines()[0][:200]}"
                    if failure.kind == "error" and failure.message
                    else ""
                ),
                f"Mend `{kind.__qualname__}.{hook}`.",
                "unserialisable" if failure.phase == "save" else "custom-object",
            )
    return None


def _value(node: Node, failure: Failure, text: str) -> Told | None:
    thing = node.thing
    kind = type(thing)
    owner = type(node.data.owner).__qualname__
    at = place_of(thing) if isinstance(thing, (types.FunctionType, type)) else ""
    where = f" ({at})" if at else ""
    entry = node.data.kind == "entry"
    if isinstance(thing, types.FunctionType):
        what = f"a lambda{where}" if thing.__name__ == "<lambda>" else f"the function {thing.__name__}{where}"
        why = (
            "the file holds its byte code, which load_model refuses to run"
            if thing.__name__ == "<lambda>"
            else "the file has its name alone, and load_model does not know it: it is not registered"
        )
        return (
            what,
            why,
            f"Write it with `def`, and `{_REGISTER}` over it."
            if thing.__name__ == "<lambda>"
            else f"Write `{_REGISTER}` over it and import its module before loading; or "
            f"load_model(path, custom_objects={{'{thing.__name__}': "
            f"{thing.__name__}}}), or compile=False.",
            "custom-object" if thing.__name__ != "<lambda>" else "unsafe-pickle",
        )
    if re.search(r"Could not locate (?:class|function)|Unknown ", text):
        return (
            f"an object of {kind.__qualname__}",
            "the file has the name of its class alone, and load_model does not know it: it is not registered",
            f"Write `{_REGISTER}` over the class and import its module before loading.",
            "custom-object",
        )
    known = in_pickle(node, failure)
    shown = a(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
    if kind.__name__ in ("TrackedSet", "set", "frozenset"):
        shown, remedy = (
            "a set",
            f"Return `sorted(...)` of it in `{owner}.get_config`, and make it a set again in `__init__`.",
        )
    elif entry:
        remedy = (
            f"Let `{owner}.get_config` return plain values (numbers, texts, lists, Keras objects), or leave it "
            "out and make it anew in `__init__`."
        )
    else:
        remedy = "Give it a `get_config` and `from_config`, and register its class."
    return (
        known[0] if known is not None and kind.__module__ != "builtins" else shown,
        "a config is written as JSON: plain values and what has a `get_config` of its own"
        + (f" ({text.splitlines()[0][:160]})" if text and not entry else ""),
        remedy,
        "unserialisable",
    )


def _in_short(thing: Any) -> str:
    if isinstance(thing, str):
        return repr(thing)
    return str(getattr(thing, "__name__", type(thing).__qualname__))


def _named(node: Node) -> str:
    thing: Any = node.thing
    if thing is None:
        return "what the model was compiled with"
    kind = type(thing)
    stood = getattr(kind, "_holdfast_stands_for", kind)
    at = place_of(stood) if not stood.__module__.startswith("keras.") else ""
    name = getattr(thing, "name", None)
    shown = f" {name[:40]!r}" if isinstance(name, str) else ""
    return f"the {stood.__qualname__}{shown}{f' ({at})' if at else ''}"
