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
from .values import PLAIN, dtype_name, plain, shape_of

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
    shape, wanted = shape_of(variable), carrier(dtype_name(variable))
    if max(shape, default=0) > np.iinfo(np.int32).max:  # more than the op can say
        return None
    with tf.device(inner.device):
        # a tensor for the shape: of a tuple, this op makes one in Python, at four times the cost of all the rest
        value = tf.raw_ops.Empty(
            shape=tf.constant(shape, tf.int32, (len(shape),)), dtype=inner.dtype.base_dtype
        )
    if not hasattr(value, "_numpy"):
        return None
    array, other = value._numpy(), value._numpy()
    if not (
        isinstance(array, np.ndarray)
        and dtype_of(array.dtype) == dtype_of(wanted)
        and array.flags.writeable
        and array.flags.c_contiguous
        and array.ctypes.data == other.ctypes.data  # the tensor's own memory, no copy of it
    ):
        return None
    if type(inner).__name__ == PLAIN:  # what assign() does, once it has looked at the shape
        return array, lambda: tf.raw_ops.AssignVariableOp(resource=inner.handle, value=value)
    return array, lambda: inner.assign(value, read_value=False)
