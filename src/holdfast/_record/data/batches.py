"""Batches of any framework as named numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ..._core.errors import UsageError

__all__ = ["batches_of", "fields_of"]


def batches_of(source: Any, most: int | None = None) -> Iterator[dict[str, np.ndarray]]:
    """The batches of ``source``, each as field name -> array with the samples along the first axis.

    An array, a tuple or a mapping is one batch; anything else that can be iterated (a list, a generator, a
    ``torch.utils.data.DataLoader``, a ``tf.data.Dataset``, a ``keras.utils.PyDataset``) gives several. ``most`` ends
    after so many. Raises :class:`UsageError` for what has no fields.
    """
    if isinstance(source, (tuple, Mapping)) or _is_array(source):
        yield fields_of(source)
        return
    if hasattr(source, "__getitem__") and hasattr(
        source, "num_batches"
    ):  # keras.utils.PyDataset is no iterator
        whole = source
        source = (whole[n] for n in range(whole.num_batches))
    if not isinstance(source, Iterable):
        raise UsageError(
            "no batches can be read from this", found=type(source).__name__,
            expected="an array, a tuple or dict of arrays, or something that gives such batches one by one",
        )  # fmt: skip
    for batch in islice(source, most):
        yield fields_of(batch)


def fields_of(batch: Any) -> dict[str, np.ndarray]:
    """The arrays of one batch by name: keys of mappings and positions in sequences, joined by ``/``. A lone array is
    ``data``. Raises :class:`UsageError` where arrays do not have the same number of samples."""
    found: dict[str, np.ndarray] = {}
    _gather(batch, "", found)
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(
            "the fields of a batch have different numbers of samples",
            found=", ".join(f"{n}: {k}" for n, k in lengths.items()),
            expected="the samples along the first axis of each",
        )
    return found


def _gather(value: Any, path: str, found: dict[str, np.ndarray]) -> None:
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            _gather(item, f"{path}/{key}" if path else str(key), found)
    elif isinstance(value, (tuple, list)) and not _is_numbers(value):
        for number, item in enumerate(value):
            _gather(item, f"{path}/{number}" if path else str(number), found)
    else:
        array = _array(value, path or "data")
        if array.ndim == 0:
            raise UsageError(
                "a field of a batch has no samples", found=f"{path or 'data'}: {array!r}",
                expected="the samples along the first axis",
            )  # fmt: skip
        found[path or "data"] = array


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_numbers(value: Any) -> bool:
    return len(value) > 0 and all(
        isinstance(item, (int, float, bool, str, bytes, np.generic)) for item in value
    )


def _array(value: Any, path: str) -> np.ndarray:
    if hasattr(value, "detach"):  # torch; numpy knows no bfloat16 of its
        tensor = value.detach().cpu()
        value = tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
    elif hasattr(value, "to_tensor") and hasattr(value, "row_splits"):
        value = value.to_tensor()  # tf.RaggedTensor: padded, as a model is fed
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError("a field of a batch is no array", found=f"{path}: {type(value).__name__}") from error
    if array.dtype.name == "bfloat16" or array.dtype.name.startswith("float8"):
        array = array.astype(np.float32)
    return array
