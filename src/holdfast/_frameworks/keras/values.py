"""Reading and setting live Keras variables, on whichever backend Keras runs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..._core.dtypes import carrier, dtype_of, known

__all__ = ["backend", "dtype_name", "read", "shape_of", "write"]


def backend() -> str:
    """``tensorflow``, ``jax``, ``torch`` or ``numpy``."""
    return str(keras.config.backend())


def dtype_name(variable: Any) -> str:
    """The dtype of a Keras variable in our words."""
    name = str(variable.dtype)
    return name if known(name) else dtype_of(np.dtype(name))


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a Keras variable."""
    return tuple(int(n) for n in variable.shape)


def read(variable: Any) -> np.ndarray:
    """The values of a Keras variable, read-only; zero-copy on TensorFlow and JAX, a copy on PyTorch (whose
    memory would change with the next step)."""
    kind = backend()
    if kind == "tensorflow":
        from ..tensorflow import values

        return values.read(variable)
    if kind == "torch":
        return _of_torch(variable.value)
    array = np.asarray(variable.value).view()
    array.flags.writeable = False
    return array


def _of_torch(tensor: Any) -> np.ndarray:
    import torch

    tensor = tensor.detach().cpu().contiguous()
    name = str(tensor.dtype).removeprefix("torch.")
    if tensor.dtype == torch.bfloat16 or name.startswith("float8"):
        raw = tensor.view({1: torch.uint8, 2: torch.int16}[tensor.element_size()])
        copy: np.ndarray = raw.numpy().copy().view(carrier(name))
    else:
        copy = tensor.numpy().copy()
    copy.flags.writeable = False
    return copy


def write(variable: Any, values: np.ndarray) -> None:
    """Set all values of a Keras variable from an array of exactly its shape and dtype; the array is copied.

    The variable object stays, so that optimizers and compiled functions keep theirs.
    """
    kind = backend()
    if kind == "tensorflow":
        from ..tensorflow import values as tensors

        tensors.write(variable, values)
        return
    if kind == "jax":
        import jax

        old = variable.value
        # device_put may keep the numpy memory it is given (measured on CPU): a copy of its own for it
        variable.assign(jax.device_put(np.array(values, copy=True), getattr(old, "sharding", None)))
        return
    if kind == "torch":
        import torch

        name = str(variable.value.dtype).removeprefix("torch.")
        plain = np.array(values, copy=True)
        if plain.dtype.kind == "V" or name == "bfloat16" or name.startswith("float8"):
            raw = torch.from_numpy(plain.view({1: np.uint8, 2: np.int16}[plain.dtype.itemsize]))
            tensor = raw.view(variable.value.dtype)
        else:
            tensor = torch.from_numpy(plain)
        with torch.no_grad():
            variable.value.copy_(tensor)
        return
    variable.assign(np.array(values, copy=True))
