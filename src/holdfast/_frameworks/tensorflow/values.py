"""Reading and setting live ``tf.Variable``, distributed ones through their strategy."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from ..._core.dtypes import carrier, dtype_of, known
from ..._core.errors import NotStored

__all__ = ["dtype_name", "read", "shape_of", "write"]


PLAIN = "ResourceVariable"
"""The class of a variable that no strategy has made (tensorflow/python/ops/resource_variable_ops.py)."""


def plain(variable: Any) -> Any:
    """The ``tf.Variable``, out of a Keras variable where one holds it."""
    if type(variable).__name__ == PLAIN:
        return variable
    inner = getattr(variable, "_value", None)  # Keras's, past what its scopes make of it
    if type(inner).__name__ == PLAIN:
        return inner
    return variable if isinstance(variable, tf.Variable) else variable.value


def dtype_name(variable: Any) -> str:
    """The variable's dtype in our words (``string`` for texts)."""
    name = str(plain(variable).dtype.base_dtype.name)
    name = {"half": "float16"}.get(name, name)
    return name if known(name) else dtype_of(np.dtype(name))


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape; dimensions that may vary are those of the value now."""
    shape = plain(variable).shape
    if shape.is_fully_defined():
        return tuple(int(n) for n in shape.as_list())
    return tuple(int(n) for n in plain(variable).read_value().shape)


def read(variable: Any) -> np.ndarray:
    """The values, zero-copy and read-only: the view keeps the buffer, and TensorFlow copies before it writes
    to a buffer that anyone holds. A distributed variable gives its primary copy (one that is summed or
    averaged on reading, the result). Raises :class:`NotStored` for one that is not initialised."""
    inner = plain(variable)
    try:
        if type(inner).__name__ == PLAIN:  # what read_value() does, without its identity op: half the time
            value = tf.raw_ops.ReadVariableOp(resource=inner.handle, dtype=inner.dtype)
        else:
            value = inner.read_value()
    except (tf.errors.FailedPreconditionError, tf.errors.NotFoundError) as error:
        raise NotStored("the variable has no value yet", tensor=inner.name, found=str(error)[:120]) from None
    array = np.asarray(value)
    if array.dtype.kind == "O" and array.size:
        return array
    array = array.view()
    array.flags.writeable = False
    return array


def write(variable: Any, values: np.ndarray) -> None:
    """Set all values; ``assign`` copies them, on every replica of a distributed variable. ``values`` of exactly
    the variable's shape and dtype."""
    inner = plain(variable)
    if values.dtype.kind != "O":
        wanted = carrier(dtype_name(inner))
        if values.dtype != wanted:
            values = values.view(wanted)
    # convert_to_tensor copies numpy memory, so that the variable never shares it
    inner.assign(tf.convert_to_tensor(values, dtype=inner.dtype))
