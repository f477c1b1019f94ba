"""``keras.metrics.Metric``: its variables, in the order that Keras makes them (keras/src/metrics/metric.py)."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .nest import Captured, Draft

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "keras-metric"


def recognises(thing: Any) -> bool:
    """Whether it is one."""
    keras = sys.modules.get("keras")
    cls = getattr(getattr(keras, "metrics", None), "Metric", None)
    return isinstance(cls, type) and isinstance(thing, cls)


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Each variable by its number and name."""
    return {
        "variables": [draft.add(_array(v), f"{path}/{n}/{v.name}") for n, v in enumerate(thing.variables)],
        "names": [str(v.name) for v in thing.variables],
    }


def against(thing: Any, captured: Captured) -> list[str]:
    """Other variables: thresholds, classes, another averaging; or none yet."""
    then = [np.shape(captured.value(v)) for v in captured.about["variables"]]
    now = [tuple(v.shape) for v in thing.variables]
    if then and not now:
        return ["it has no variables yet: update it once before it is restored"]
    return [] if then == now else [f"its variables had shapes {then}, and have {now}"]


def put(thing: Any, captured: Captured) -> Any:
    """Each variable assigned."""
    for variable, saved in zip(thing.variables, captured.about["variables"], strict=True):
        variable.assign(captured.value(saved))
    return thing


def _array(variable: Any) -> np.ndarray:
    keras = sys.modules["keras"]
    return np.asarray(keras.ops.convert_to_numpy(variable))
