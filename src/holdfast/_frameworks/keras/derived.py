"""What layers make of their variables once, and compute with from then on.

``Normalization`` that was adapted keeps mean and variance as constants beside its variables; ``finalize_state`` makes them
anew, as its ``load_own_variables`` does (``keras/src/layers/preprocessing/normalization.py``), and as neither
``tf.train.Checkpoint.restore`` nor ``set_weights`` does. A lookup with ``output_mode="tf_idf"`` keeps its weights so
(``index_lookup.py``). Functions that Keras has compiled hold them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from ..._core.fault import Fault
from .objects import Holder, holders

__all__ = ["Compiled", "called", "compile_anew", "derive_anew", "stale"]

_MADE_OF = {"mean": "adapt_mean", "variance": "adapt_variance", "idf_weights_const": "idf_weights"}
"""Attribute of a layer that is a constant -> the attribute that is its variable."""
_COMPILED = ("train_function", "test_function", "predict_function")
_ANEW = "model.train_function = model.test_function = model.predict_function = None"


def derive_anew(known: Iterable[Holder]) -> bool:
    """Make the constants of all layers of a model out of their variables; whether one of them became another one."""
    changed = False
    for holder in _deriving(known):
        layer = holder.layer
        before = _constants(layer)
        if _pairs(layer).get("idf_weights_const") is not None:
            layer.idf_weights_const = layer.idf_weights.value()  # its finalize_state may adapt it anew
        else:
            layer.finalize_state()
        changed |= not _all_same(before, _constants(layer))
    return changed


def compile_anew(model: Any, names: Iterable[str] = _COMPILED) -> None:
    """Let the model trace these functions again when it next needs them."""
    for name in names:
        if getattr(model, name, None) is not None:
            setattr(model, name, None)


def stale(known: Iterable[Holder]) -> list[Fault]:
    """Layers that compute with other constants than their variables give."""
    found = []
    for holder in _deriving(known):
        layer = holder.layer
        apart = {
            word: (now, given)
            for word, variable in _pairs(layer).items()
            if (now := _value(getattr(layer, word))) is not None
            and (given := _given(getattr(layer, word), variable)) is not None
            and not _same(now, given)
        }
        for word, (now, given) in [*apart.items()][:1]:
            name, words = called(holder), " and ".join(word.removesuffix("_const") for word in apart)
            found.append(
                Fault(
                    "stale-constants",
                    f"the layer {name!r} computes with the {words} that it had before: its variables were set since, and it has "
                    "made no new constants of them",
                    tensor=f"{name}/{word}",
                    seen=f"{word} {_shown(now)}",
                    expected=_shown(given),
                    attributes={
                        "fails": False,
                        "remedy": f"Make them anew: {_reached(holder)}.finalize_state(); and where the model has been "
                        f"used before, let it compile its functions anew: {_ANEW}.",
                    },
                )
            )
    return found


class Compiled:
    """What a model's compiled functions hold of its layers' constants: made before a load, asked after it."""

    def __init__(self, model: Any) -> None:
        self._before: list[tuple[Any, str, list[np.ndarray | None]]] = []
        self._model = model
        self._functions = {n: f for n in _COMPILED if _traced(f := getattr(model, n, None))}
        if self._functions:
            self._before = [(h.layer, called(h), _constants(h.layer)) for h in _deriving(holders(model))]

    def outdated(self) -> tuple[str, ...]:
        """Layers whose constants have become others, where a function that holds the earlier ones will be called again."""
        if not any(
            getattr(self._model, name, None) is function for name, function in self._functions.items()
        ):
            return ()
        return tuple(name for layer, name, before in self._before if not _all_same(before, _constants(layer)))


def _deriving(known: Iterable[Holder]) -> Iterator[Holder]:
    for holder in known:
        if callable(getattr(holder.layer, "finalize_state", None)) and _pairs(holder.layer):
            yield holder


def _pairs(layer: Any) -> dict[str, Any]:
    """The attribute that is a constant -> the variable that it is made of."""
    own = vars(layer)
    return {word: own[name] for word, name in _MADE_OF.items() if own.get(name) is not None and word in own}


def called(holder: Holder) -> str:
    """The names of a layer and those around it; of a ``TextVectorization`` with what looks terms up in it, its own."""
    way = [*holder.above[1:], holder.layer]
    return "/".join(item.name for item in way if item is not _inner(holder))


def _inner(holder: Holder) -> Any:
    """The layer itself, where the one around it keeps it to look terms up."""
    around = holder.above[-1] if holder.above else None
    return holder.layer if getattr(around, "_lookup_layer", None) is holder.layer else None


def _reached(holder: Holder) -> str:
    """The expression that gives a layer."""
    way = [one for one in (*holder.above[1:], holder.layer) if one is not _inner(holder)]
    if all(isinstance(one, keras.Model) for one in (*holder.above[:1], *way[:-1])):
        return "model" + "".join(f'.get_layer("{one.name}")' for one in way)
    return f"the layer {called(holder)!r}"


def _given(constant: Any, variable: Any) -> np.ndarray | None:
    """What the layer would make of its variable, in the shape and type of the constant that it has."""
    if not isinstance(variable, keras.Variable):
        return _value(variable)
    try:
        made = keras.ops.reshape(variable, tuple(constant.shape))
        return _value(keras.ops.cast(made, keras.backend.standardize_dtype(constant.dtype)))
    except (TypeError, ValueError, RuntimeError):
        return None  # of another shape: a class of somebody's own


def _constants(layer: Any) -> list[np.ndarray | None]:
    return [_value(getattr(layer, word)) for word in _pairs(layer)]


def _value(constant: Any) -> np.ndarray | None:
    """``None`` too for a tensor of a graph, or of a trace: it has no value."""
    try:
        if type(constant).__module__.startswith("tensorflow."):  # on every backend
            return np.asarray(constant)
        return np.asarray(keras.ops.convert_to_numpy(constant))
    except (TypeError, ValueError, NotImplementedError, AttributeError, RuntimeError):
        return None


def _traced(function: Any, depth: int = 6) -> bool:
    """Whether a function of Keras's holds something compiled that was called: Keras wraps it in functions of its own."""
    for ask in ("experimental_get_tracing_count", "_cache_size"):  # tf.function's; jax.jit's
        counted = getattr(function, ask, None)
        if callable(counted):
            return bool(counted())
    if not depth:
        return False
    for cell in getattr(function, "__closure__", None) or ():
        try:
            inner = cell.cell_contents
        except ValueError:
            continue  # not filled yet
        if callable(inner) and _traced(inner, depth - 1):
            return True
    return False


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True)


def _all_same(a: list[np.ndarray | None], b: list[np.ndarray | None]) -> bool:
    return len(a) == len(b) and all(_same(one, two) for one, two in zip(a, b, strict=True))


def _shown(array: np.ndarray | None) -> str:
    values: Sequence[Any] = () if array is None else tuple(array.reshape(-1)[:4])
    some = ", ".join(f"{float(value):.6g}" for value in values[:3])
    return some + (" …" if len(values) > 3 else "")
