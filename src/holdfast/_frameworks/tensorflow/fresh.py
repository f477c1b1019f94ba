"""New memory of TensorFlow's own for a variable's next value: read into it, then let the variable take it over.

``tf.raw_ops.Empty`` gives a tensor whose buffer nobody else holds; what is written there through numpy is the tensor's
value, and ``assign`` of it hands the buffer over without a copy (a dense assignment keeps a reference to the value's
buffer: tensorflow/core/kernels/resource_variable_ops.cc, ``AssignVariableOp``). The old value stays what it was until
then, also for those who hold it. ``assign`` of a numpy array copies it instead, into memory that is new each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ..._core.dtypes import carrier, dtype_of
from .values import dtype_name, plain, shape_of

__all__ = ["fresh"]


def fresh(variable: Any) -> tuple[np.ndarray, Callable[[], None]] | None:
    """``(array, commit)`` for a ``tf.Variable`` (or a Keras variable that holds one): ``array`` is new memory of its
    shape and dtype, writable, with unspecified contents; ``commit()`` makes it the value. ``None`` where that cannot
    be had: not on a CPU, spread over replicas, texts, not initialised, inside a ``tf.function``."""
    inner = plain(variable)
    if not tf.executing_eagerly() or (hasattr(inner, "distribute_strategy") and hasattr(inner, "values")):
        return None
    if not str(getattr(inner, "device", "")).upper().endswith("CPU:0") or inner.dtype in (
        tf.string,
        tf.variant,
    ):
        return None
    with tf.device(inner.device):
        value = tf.raw_ops.Empty(shape=shape_of(variable), dtype=inner.dtype.base_dtype)
    if not hasattr(value, "_numpy"):
        return None
    array, other = value._numpy(), value._numpy()
    wanted = carrier(dtype_name(variable))
    if not (
        isinstance(array, np.ndarray)
        and dtype_of(array.dtype) == dtype_of(wanted)
        and array.flags.writeable
        and array.flags.c_contiguous
        and array.ctypes.data == other.ctypes.data  # the tensor's own memory, no copy of it
    ):
        return None
    return array, lambda: inner.assign(value, read_value=False)
