"""Keras layers that preprocess (and any other): variables, random seeds included, vocabularies, bins and settings.

Facts of Keras 3 (keras/src/layers/preprocessing): a vocabulary lies in a lookup table and is no variable (index_lookup.py;
``save_assets`` writes one term a line, which a term with a line break does not survive); ``Discretization`` keeps its bins as
an attribute; ``Normalization`` computes with constants that ``finalize_state`` makes of its variables.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .nest import Captured, Draft

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "keras-layer"
_NO_SETTING = frozenset(
    {
        "name",
        "trainable",
        "dtype",
        "vocabulary",
        "vocabulary_size",
        "idf_weights",
        "bin_boundaries",
        "build_config",
        "layers",
    }
)


def recognises(thing: Any) -> bool:
    """Whether it is a layer or a model of Keras."""
    keras = sys.modules.get("keras")
    cls = getattr(getattr(keras, "layers", None), "Layer", None)
    return isinstance(cls, type) and isinstance(thing, cls)


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Variables in Keras's order, and what each layer within keeps besides."""
    return {
        "variables": [draft.add(_array(v), f"{path}/{n}/{v.path}") for n, v in enumerate(thing.variables)],
        "names": [str(v.path) for v in thing.variables],
        "layers": [_layer(layer, draft, f"{path}/{layer.name}") for layer in _layers(thing)],
    }


def against(thing: Any, captured: Captured) -> list[str]:
    """Other layers or settings; other variables, where it is built."""
    layers, rows = _layers(thing), captured.about["layers"]
    classes = [type(layer).__name__ for layer in layers], [row["class"] for row in rows]
    if classes[0] != classes[1]:
        return [f"its layers were {', '.join(classes[1])}, and are {', '.join(classes[0])}"]
    found = []
    for layer, row in zip(layers, rows, strict=True):
        then, now = row["settings"], _settings(layer)
        found += [
            f"{row['name']}: {key} was {then.get(key)!r}, and is {now.get(key)!r}"
            for key in sorted({*then, *now})
            if then.get(key) != now.get(key)
        ]
    shapes = [tuple(np.shape(captured.value(v))) for v in captured.about["variables"]]
    if (
        thing.variables
        and len(thing.variables) == len(shapes)
        and [tuple(v.shape) for v in thing.variables] != shapes
    ):
        found.append(
            f"its variables had shapes {shapes}, and have {[tuple(v.shape) for v in thing.variables]}"
        )
    return found


def put(thing: Any, captured: Captured) -> Any:
    """Built where it is not, then everything set."""
    rows = captured.about["layers"]
    layers = _layers(thing)
    for layer, row in zip(layers, rows, strict=True):
        if row["build"] and not layer.built:
            layer.build_from_config(captured.value(row["build"]))
    for variable, saved in zip(thing.variables, captured.about["variables"], strict=True):
        variable.assign(captured.value(saved))
    for layer, row in zip(layers, rows, strict=True):
        if "vocabulary" in row:
            idf = captured.value(row["idf"]) if "idf" in row else None
            layer.set_vocabulary(
                captured.value(row["vocabulary"]), **({} if idf is None else {"idf_weights": idf})
            )
        if "bins" in row:
            layer.bin_boundaries = captured.value(row["bins"])
            layer.summary = captured.value(row["summary"])
        elif "vocabulary" not in row and hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return thing


def _layer(layer: Any, draft: Draft, path: str) -> dict[str, Any]:
    build = layer.get_build_config() if hasattr(layer, "get_build_config") and layer.built else None
    row: dict[str, Any] = {
        "class": type(layer).__name__,
        "name": str(layer.name),
        "settings": _settings(layer),
        "build": draft.add(build, f"{path}/build") if build else None,
    }
    if hasattr(layer, "get_vocabulary") and hasattr(layer, "set_vocabulary"):
        words = [word.item() if isinstance(word, np.generic) else word for word in layer.get_vocabulary()]
        lookup = getattr(layer, "_lookup_layer", layer)
        special = [
            t
            for t in (getattr(lookup, "oov_token", None), getattr(lookup, "mask_token", None))
            if t is not None
        ]
        if [word for word in words if word not in ("", *special)]:
            row["vocabulary"] = draft.add(words, f"{path}/vocabulary")
            idf = getattr(lookup, "idf_weights_const", None)
            if idf is not None:
                row["idf"] = draft.add(np.asarray(idf), f"{path}/idf")
    if getattr(layer, "bin_boundaries", None) is not None:
        row["bins"] = draft.add([float(b) for b in layer.bin_boundaries], f"{path}/bins")
        row["summary"] = draft.add(np.asarray(getattr(layer, "summary", [])), f"{path}/summary")
    return row


def _layers(thing: Any) -> list[Any]:
    found = list(thing._flatten_layers(include_self=True, recursive=True))
    inner = {id(layer._lookup_layer) for layer in found if hasattr(layer, "_lookup_layer")}
    return [layer for layer in found if id(layer) not in inner]


def _settings(layer: Any) -> dict[str, Any]:
    """What of its configuration decides what it computes, as texts and numbers."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a class of the user's own need not say
        return {}
    return {key: _word(value) for key, value in config.items() if key not in _NO_SETTING}


def _word(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [_word(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _word(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return _word(value.item())
    return _word(np.asarray(value).tolist()) if hasattr(value, "shape") else type(value).__name__


def _array(variable: Any) -> np.ndarray:
    keras = sys.modules["keras"]
    return np.asarray(keras.ops.convert_to_numpy(variable))
