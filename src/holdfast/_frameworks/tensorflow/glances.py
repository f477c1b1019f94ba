"""A glance at a variable of TensorFlow's or Keras's: some of its elements."""

from __future__ import annotations

import sys
from typing import Any

from ..sampling import Glance, of_array
from ..sampling import glance as of_any

__all__ = ["glance"]


def glance(value: Any) -> Glance | None:
    """A glance at a ``tf.Variable`` or a Keras variable of any backend; ``None`` for tensors, which do not change."""
    inner = getattr(value, "_value", None) if _of_keras(value) else value
    if inner is None:
        return None
    top = type(inner).__module__.partition(".")[0]
    if top == "torch":
        return of_any(inner)
    if top in ("jax", "jaxlib"):
        import numpy as np

        return Glance(None, of_array(np.asarray(inner)))
    if "tensorflow" not in sys.modules or not hasattr(inner, "assign") or not hasattr(inner, "read_value"):
        return None
    import tensorflow as tf

    from .values import read

    if not tf.executing_eagerly():
        return None
    array = read(inner)
    return Glance(None, of_array(array)) if array.dtype.kind != "O" else None


def _of_keras(value: Any) -> bool:
    return any(cls.__module__.partition(".")[0] == "keras" for cls in type(value).__mro__)
