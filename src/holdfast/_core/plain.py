"""Values that are no tensors, as JSON holds them and back, exactly: numbers, texts, bytes, small arrays, and lists and
mappings of these.

What JSON cannot say is a mapping with one ``$`` key: ``$float`` (NaN, infinities), ``$complex``, ``$bytes``,
``$array`` (little-endian bytes in C order, hex, with dtype and shape), ``$texts`` (an array of texts, with shape) and
``$map`` (pairs, for mappings whose keys are not all texts, or look like ours). Tuples come back as lists, but for those
that are keys.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from .dtypes import carrier, dtype_of, known
from .errors import HoldfastError

__all__ = ["DEPTH", "identical", "masked", "pack", "texts_of", "unpack"]

_LARGEST = 4096
DEPTH = 100
"""How deep lists and mappings may lie in each other."""


def pack(value: Any, name: str, bad: list[str], depth: int = 0) -> Any:
    """``value`` as JSON holds it; what cannot be is told in ``bad``, by ``name`` and the reason. Arrays of numbers up
    to 4096 elements are values; larger ones belong into a tensor file."""
    if isinstance(value, np.generic):
        value = value.item() if dtype_of(value.dtype) in _BUILT_IN else np.asarray(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, complex):
        return {"$complex": [repr(value.real), repr(value.imag)]}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": bytes(value).hex()}
    if depth > DEPTH:
        bad.append(f"{_start(name)}: nested too deeply, or in a circle")
        return None
    if isinstance(value, (list, tuple)):
        return [pack(item, name, bad, depth + 1) for item in value]
    if isinstance(value, Mapping):
        pairs = [(key, pack(item, f"{name}/{key}", bad, depth + 1)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return dict(pairs)
        return {"$map": [[pack(key, name, bad, depth + 1), item] for key, item in pairs]}
    if isinstance(value, np.ndarray):
        packed = None if masked(value) else _array(value)
        if packed is not None:
            return packed
        bad.append(f"{name}: {_why_not(value)}")
        return None
    bad.append(f"{name}: {type(value).__module__}.{type(value).__qualname__}")
    return None


def _start(name: str) -> str:
    """The beginning of a long path."""
    return name if name.count("/") < 8 else "/".join([*name.split("/")[:4], "..."])


def masked(value: np.ndarray) -> bool:
    """Whether an array has a mask beside its values, which no file of ours would have."""
    return isinstance(value, np.ma.MaskedArray)


def _why_not(value: np.ndarray) -> str:
    if masked(value):
        return "a masked array (save its data and its mask)"
    dtype = dtype_of(value.dtype)
    if not known(dtype) or value.dtype.hasobject:
        return f"an array of {dtype}"
    return (
        f"an array of {value.size:,} elements (up to {_LARGEST:,} within a list or another object's state; "
        "extra={'name': array} takes any)"
    )


_BUILT_IN = frozenset({"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16"}
                      | {"float32", "float64", "complex64", "complex128", "string", "object"})  # fmt: skip
"""Dtypes whose scalars are Python's own numbers and texts, exactly."""


def _array(value: np.ndarray) -> Any:
    texts = texts_of(value)
    if texts is not None:
        return {"$texts": [pack(text, "", []) for text in texts], "shape": list(value.shape)}
    dtype = dtype_of(value.dtype)
    if value.size > _LARGEST or not known(dtype) or value.dtype.hasobject:
        return None
    plain = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<"), copy=False))
    return {"$array": plain.tobytes().hex(), "dtype": dtype, "shape": list(value.shape)}


def texts_of(values: np.ndarray) -> list[str | bytes] | None:
    """The elements of an array of texts (``U``, ``S``, or objects that all are texts or bytes) in C order; ``None``
    for every other array."""
    if values.dtype.kind in "US":
        return list(values.reshape(-1).tolist())
    if not values.dtype.hasobject or values.dtype.names:
        return None
    found = values.reshape(-1).tolist()
    return found if all(isinstance(item, (str, bytes)) for item in found) else None


def unpack(value: Any) -> Any:
    """The inverse of :func:`pack`. Raises :class:`HoldfastError` for what that never makes."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    word = next((key for key in value if key.startswith("$")), None)
    if word is None:
        return {key: unpack(item) for key, item in value.items()}
    try:
        return _UNPACK[word](value)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise HoldfastError("a value that no save of Holdfast writes", found=str(value)[:80]) from error


def _key(value: Any) -> Any:
    """A key as it was: of what JSON has for lists, only a tuple can be one."""
    return tuple(map(_key, value)) if isinstance(value, list) else value


def _from_array(value: dict[str, Any]) -> np.ndarray:
    kind = carrier(value["dtype"])
    if kind.hasobject:
        raise ValueError("objects have no bytes")
    array: np.ndarray = np.frombuffer(bytes.fromhex(value["$array"]), kind).reshape(_shape(value)).copy()
    return array


def _from_texts(value: dict[str, Any]) -> np.ndarray:
    texts = [unpack(item) for item in value["$texts"]]
    if not all(isinstance(item, (str, bytes)) for item in texts):
        raise ValueError("not all are texts")
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(_shape(value))


def _shape(value: dict[str, Any]) -> tuple[int, ...]:
    shape = tuple(int(n) for n in value["shape"])
    if min(shape, default=0) < 0:
        raise ValueError("a negative length")
    return shape


_UNPACK: dict[str, Any] = {
    "$float": lambda value: float(value["$float"]),
    "$complex": lambda value: complex(*map(float, value["$complex"])),
    "$bytes": lambda value: bytes.fromhex(value["$bytes"]),
    "$array": _from_array,
    "$texts": _from_texts,
    "$map": lambda value: {_key(unpack(key)): unpack(item) for key, item in value["$map"]},
}


def identical(a: Any, b: Any) -> bool:
    """Whether two such values are one and the same, bit for bit and kind for kind; of other objects nothing is known, so
    that they are not."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        kinds = a.dtype == b.dtype and a.shape == b.shape and not a.dtype.hasobject
        return kinds and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return identical([a.real, a.imag], [b.real, b.imag])
    return a is None or (isinstance(a, (bool, int, str, bytes)) and a == b)
