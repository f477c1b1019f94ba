"""A Keras model run on a batch in inference mode, watched, and held in a mode.

Keras has no hooks. ``Layer.__call__`` looks ``self.call`` up on the object (keras/src/ops/operation.py), so that an attribute of
the object's own stands before the class's method; it is put there past ``__setattr__``, which would track it, and taken away.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ..module_specs import walk_layers

__all__ = ["can_force", "flags", "forced", "put_flags", "run", "watched"]

_MOST_OUTPUTS = 16
_NONE = object()


def run(
    model: Any,
    batch: Any,
    tell: Callable[..., None],
    apply: Callable[..., Any] | None,
    settings: dict[str, Any],
) -> Any:
    """Outputs for ``batch``; statistics and generators that a layer moves even in inference mode are put back.
    ``settings`` stays as it is: the record of the architecture has them."""
    before = [(v, np.array(keras.ops.convert_to_numpy(v))) for v in model.non_trainable_variables]
    given = _nested(batch, keras.ops.convert_to_tensor)

    def wrapper(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            for name, tensor in list(_tensors(output, ""))[:_MOST_OUTPUTS]:
                if not _symbolic(tensor):  # within a loop of a recurrent layer: its own output tells
                    kind = keras.backend.standardize_dtype(tensor.dtype)
                    tell(path, type(layer).__name__, name, _array(tensor), kind)
            return output

        return called

    try:
        with _shadowed(dict(walk_layers(model)), wrapper), _eagerly():
            output = apply(model, given) if apply is not None else model(given, training=False)
        return _nested(output, _array)
    finally:
        for variable, value in before:
            if not np.array_equal(
                keras.ops.convert_to_numpy(variable), value, equal_nan=value.dtype.kind == "f"
            ):
                variable.assign(value)


def _array(tensor: Any) -> np.ndarray:
    from ..probing import as_numpy

    return as_numpy(keras.ops.convert_to_numpy(tensor))


def _symbolic(tensor: Any) -> bool:
    if isinstance(tensor, keras.KerasTensor):
        return True
    if keras.backend.backend() == "tensorflow":
        return not hasattr(tensor, "numpy")
    return "Tracer" in type(tensor).__name__


def _tensors(output: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(output, Mapping):
        for key, item in output.items():
            yield from _tensors(item, f"{path}.{key}" if path else str(key))
    elif isinstance(output, (tuple, list)):
        for n, item in enumerate(output):
            yield from _tensors(item, f"{path}.{n}" if path else str(n))
    elif hasattr(output, "shape") and hasattr(output, "dtype"):
        yield path, output


def _nested(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _nested(item, change) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_nested(item, change) for item in value)
    return change(value)


@contextmanager
def _shadowed(
    layers: Mapping[str, Any], wrapper: Callable[[str, Any, Callable[..., Any]], Any]
) -> Iterator[None]:
    put: list[tuple[Any, Any]] = []
    try:
        for path, layer in layers.items():
            before = vars(layer).get("call", _NONE)  # a program may have put its own there, and so may we
            put.append((layer, before))
            vars(layer)["call"] = wrapper(path, layer, layer.call)
        yield
    finally:
        for layer, before in reversed(put):
            if before is _NONE:
                vars(layer).pop("call", None)
            else:
                vars(layer)["call"] = before


@contextmanager
def _eagerly() -> Iterator[None]:
    """Compiled functions, which hold what was traced before, run anew meanwhile."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tf = sys.modules["tensorflow"]
        was = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            with warnings.catch_warnings():  # that tf.data's own functions stay compiled is as it should be
                warnings.filterwarnings("ignore", message=".*experimental_run_functions_eagerly")
                yield
        finally:
            tf.config.run_functions_eagerly(was)
    elif backend == "jax":
        with sys.modules["jax"].disable_jit():
            yield
    else:
        yield


def flags(model: Any) -> None:
    """Keras keeps no training flags; the mode is an argument of each call."""


def put_flags(model: Any, held: None) -> None:
    """Nothing to put back."""


def can_force(model: Any) -> bool:
    """Whether a mode can be forced: of any Keras model."""
    return isinstance(model, keras.Layer)


@contextmanager
def forced(model: Any, training: bool) -> Iterator[Callable[[], bool]]:
    """Every layer that takes ``training`` gets this one."""
    inner = {path: layer for path, layer in walk_layers(model) if layer is not model and _takes(layer)}

    def wrapper(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **{**kwargs, "training": training})

        return called

    with _shadowed(inner, wrapper), _eagerly():
        yield lambda: True


def _takes(layer: Any) -> bool:
    return bool(getattr(layer, "_call_has_training_arg", False))


@contextmanager
def watched(model: Any, see: Callable[..., None]) -> Iterator[None]:
    """``see`` is told of every call of the model; its mode is what the layers that act otherwise in training are given."""
    modes: list[bool] = []
    acting = {p: x for p, x in walk_layers(model) if x is not model and _acts(x)}

    def inner(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            modes.append(bool(kwargs.get("training", args[1] if len(args) > 1 else False)))
            return call(*args, **kwargs)

        return called

    def outer(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            modes.clear()
            fields = {
                name or "0": _array(tensor)
                for given in args[:1]
                for name, tensor in _tensors(given, "")
                if not _symbolic(tensor)
            }
            if not fields:
                return call(*args, **kwargs)
            see(fields, None)  # before the call, which may move statistics; the mode is known after it
            output = call(*args, **kwargs)
            see({}, any(modes) if modes else bool(kwargs.get("training")))
            return output

        return called

    with _shadowed(acting, inner), _shadowed({"": model}, outer), _eagerly():
        yield


def _acts(layer: Any) -> bool:
    return _takes(layer) and (
        bool(getattr(layer, "rate", 0)) or type(layer).__name__.endswith("BatchNormalization")
    )
