"""Batches of any framework as named numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import count, islice
from numbers import Number
from typing import Any, Literal

import numpy as np

from ..._core.errors import UsageError

__all__ = ["Container", "absent_of", "batches_of", "container_of", "fields_of", "raw_batches"]

Container = Literal["table", "mapping", "sequence", "array"]


def batches_of(source: Any, most: int | None = None) -> Iterator[dict[str, np.ndarray]]:
    """The batches of ``source``, each as field name -> array with the samples along the first axis.

    An array, a table (a pandas or polars data frame, a structured array), a tuple or a mapping is one batch; anything else
    that can be iterated (a list, a generator, a ``torch.utils.data.DataLoader``, a ``tf.data.Dataset``, a
    ``keras.utils.PyDataset``) gives several. ``most`` ends after so many. Raises :class:`UsageError` for what has no fields.
    """
    for batch in raw_batches(source, most):
        yield fields_of(batch)


def raw_batches(source: Any, most: int | None = None) -> Iterator[Any]:
    """The batches of ``source`` as they are, at most ``most``; no further one is asked for, so that a loader without end
    is left where it is. Raises :class:`UsageError` for what gives no batches."""
    if isinstance(source, (tuple, Mapping)) or _is_array(source) or _is_table(source):
        yield source
        return
    if hasattr(source, "__getitem__") and hasattr(source, "num_batches"):
        whole = source  # keras.utils.PyDataset is no iterator; one without an end has no number of batches
        numbers = count() if whole.num_batches is None else range(whole.num_batches)
        source = (whole[n] for n in numbers)
    if not isinstance(source, Iterable) or isinstance(source, (str, bytes)):
        loader = "torch" in {c.__module__.partition(".")[0] for c in type(source).__mro__}
        raise UsageError(
            "no batches can be read from this", found=type(source).__name__,
            expected="an array, a tuple or dict of arrays, a table, or something that gives such batches one by one",
            remedy="A data set gives single samples: wrap it in a DataLoader." if loader else None,
        )  # fmt: skip
    yield from islice(source, most)


def container_of(batch: Any) -> Container:
    """What holds the fields of a batch: whether they have an order and names of their own."""
    if _is_table(batch):
        return "table"
    if isinstance(batch, Mapping):
        return "mapping"
    return "sequence" if isinstance(batch, (tuple, list)) and not _is_numbers(batch) else "array"


def fields_of(batch: Any) -> dict[str, np.ndarray]:
    """The arrays of one batch by name, in its order: keys of mappings, columns of tables and positions in sequences, joined
    by ``/``. A lone array is ``data``; what is ``None``, and single numbers beside arrays, are no fields. Raises
    :class:`UsageError` where arrays do not have the same number of samples."""
    found: dict[str, np.ndarray] = {}
    _gather(batch, "", found, set())
    single = {name: values for name, values in found.items() if values.ndim == 0}
    if single and len(single) == len(found):
        name, values = next(iter(single.items()))
        raise UsageError(
            "a field of a batch has no samples", found=f"{name}: {values!r}",
            expected="the samples along the first axis",
        )  # fmt: skip
    found = {name: values for name, values in found.items() if name not in single}
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(
            "the fields of a batch have different numbers of samples",
            found=", ".join(f"{n}: {k}" for n, k in lengths.items()),
            expected="the samples along the first axis of each",
        )
    return found


def absent_of(batch: Any) -> set[str]:
    """Names of fields that are ``None`` in this batch."""
    none: set[str] = set()
    _gather(batch, "", {}, none)
    return none


def _gather(value: Any, path: str, found: dict[str, np.ndarray], none: set[str]) -> None:
    if value is None:
        none.add(path or "data")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _gather(item, f"{path}/{key}" if path else str(key), found, none)
    elif _is_table(value):
        names = list(value.dtype.names if isinstance(value, np.ndarray) else value.columns)
        if len(set(names)) < len(names):
            twice = sorted({str(n) for n in names if names.count(n) > 1})
            raise UsageError("columns of a table have the same name", found=", ".join(twice))
        for name in names:
            _gather(value[name], f"{path}/{name}" if path else str(name), found, none)
    elif isinstance(value, (tuple, list)) and not _is_numbers(value):
        for number, item in enumerate(value):
            _gather(item, f"{path}/{number}" if path else str(number), found, none)
    else:
        found[path or "data"] = _array(value, path or "data")


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_table(value: Any) -> bool:
    """A data frame (pandas, polars, or one that has their words), or a structured array."""
    if isinstance(value, np.ndarray):
        return value.dtype.names is not None
    return all(hasattr(value, word) for word in ("columns", "dtypes", "__getitem__", "shape"))


def _is_numbers(value: Any) -> bool:
    return any(item is not None for item in value) and all(
        item is None or isinstance(item, (Number, str, bytes, np.generic, date, timedelta)) for item in value
    )


def _array(value: Any, path: str) -> np.ndarray:
    if hasattr(value, "detach"):
        value = _of_torch(value)
    elif hasattr(value, "to_tensor") and hasattr(value, "row_splits"):
        # tf.RaggedTensor: padded as a model is fed, but so that padding of numbers can be told from them
        floating = getattr(value.dtype, "is_floating", False)
        value = value.to_tensor(default_value=float("nan")) if floating else value.to_tensor()
    elif hasattr(value, "to_numpy") and getattr(getattr(value, "dtype", None), "kind", "O") in "iufb":
        value = _of_series(value)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError("a field of a batch is no array", found=f"{path}: {type(value).__name__}") from error
    if array.dtype.kind == "O":
        array = _of_objects(array)
    if array.dtype.kind in "Mm":  # times: seconds
        there = ~np.isnat(array)
        array = np.where(
            there,
            array.astype("M8[ns]" if array.dtype.kind == "M" else "m8[ns]").astype(np.int64) / 1e9,
            np.nan,
        )
    elif array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], -1)
    elif array.dtype.name == "bfloat16" or array.dtype.name.startswith("float8"):
        array = array.astype(np.float32)
    return array


def _of_torch(value: Any) -> Any:
    tensor = value.detach().cpu()
    if getattr(tensor, "is_nested", False):
        tensor = tensor.to_padded_tensor(float("nan") if tensor.is_floating_point() else 0)
    elif getattr(tensor, "is_sparse", False):
        tensor = tensor.to_dense()
    return (
        tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
    )  # numpy has none


def _of_objects(array: np.ndarray) -> np.ndarray:
    """Numbers or times among which some are missing; everything else as it is, for texts."""
    there = [item for item in array.reshape(-1).tolist() if item is not None and item == item]
    if all(isinstance(item, (Number, np.number)) for item in there):
        numbers = [
            np.nan if item is None or item != item else float(item) for item in array.reshape(-1).tolist()
        ]
        return np.array(numbers, np.float64).reshape(array.shape)
    if all(isinstance(item, (date, np.datetime64)) for item in there):
        return array.astype("M8[ns]")
    return array


def _of_series(value: Any) -> Any:
    """A column of numbers of a table; where it has a "missing" of its own (pandas' ``Int64``) that is NaN."""
    array = np.asarray(value)
    if array.dtype.kind != "O":
        return array
    return value.to_numpy(dtype="float64", na_value=np.nan)
