"""numpy arrays and scalars inside pickles, told from their nodes without numpy's unpickler.

Format facts: numpy/_core/src/multiarray/methods.c (``array_reduce``: ``_reconstruct(ndarray, (0,), b'b')``
and the state ``(version, shape, dtype, is_fortran, data)``), numpy/_core/src/multiarray/descriptor.c
(``arraydescr_reduce``: ``dtype(text, align, copy)`` and the state ``(version, order, subdtype, names, fields,
size, alignment, flags)``), numpy/_core/numeric.py (``_frombuffer``), numpy/_core/multiarray (``scalar``).
Protocol 2 and Python 3 put bytes through ``_codecs.encode(text, 'latin1')``. A ``jax.Array`` is one of numpy's taken
apart: ``_reconstruct_array(function, arguments, state, weak type)`` (jax/_src/array.py ``ArrayImpl.__reduce__``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..._core.dtypes import dtype_of
from ..._core.errors import DamagedCheckpoint
from .nodes import Global, Made, as_text, function_of, items_of

__all__ = ["NumpyArray", "numpy_array", "numpy_scalar", "raw_bytes", "numpy_dtype"]

_PLAIN = re.compile(r"[?bhilqBHILQefdFD]|[biufc](1|2|4|8|16)")
_MODULES = ("numpy.core.multiarray.", "numpy._core.multiarray.")
_OF_JAX = frozenset({"jax._src.array._reconstruct_array", "jax._src.device_array.reconstruct_device_array"})
_WIDEST = 32  # dimensions that every numpy has room for


@dataclass(slots=True)
class NumpyArray:
    """An array as the pickle holds it; ``data`` is its raw bytes node. ``problem`` says why it cannot be
    read.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    data: Any
    problem: str | None = None

    @property
    def dtype_name(self) -> str:
        return dtype_of(self.dtype)

    def read(self) -> np.ndarray:
        """The array, read-only, little-endian. Raises :class:`DamagedCheckpoint` where bytes do not fit."""
        if self.problem:
            raise DamagedCheckpoint(self.problem)
        raw = raw_bytes(self.data)
        want = prod(self.shape) * self.dtype.itemsize
        if raw is None or len(raw) != want:
            raise DamagedCheckpoint(
                "a pickled array's bytes do not fit its shape",
                expected=f"{want} bytes",
                found=None if raw is None else len(raw),
            )
        flat = np.frombuffer(raw, dtype=self.dtype)
        if self.dtype.byteorder == ">":
            flat = flat.astype(self.dtype.newbyteorder("<"))
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


def raw_length(node: Any) -> int | None:
    """Length of what :func:`raw_bytes` would give, without making it."""
    if isinstance(node, (bytes, str)):
        return len(node)
    text = _encoded(node)
    return None if text is None else len(text)


def raw_bytes(node: Any) -> bytes | None:
    """Raw bytes: as such, as a Python 2 string, or latin-1 text under ``_codecs.encode``; else ``None``."""
    if isinstance(node, bytes):
        return node
    text = node if isinstance(node, str) else _encoded(node)
    if text is None:
        return None
    try:
        return text.encode("latin1")
    except UnicodeEncodeError:
        return None


def _encoded(node: Any) -> str | None:
    if function_of(node) == "_codecs.encode" and isinstance(node.args, tuple) and node.args:
        text, *rest = node.args
        if isinstance(text, str) and (not rest or as_text(rest[0]) in ("latin1", "latin-1", "iso-8859-1")):
            return text
    if isinstance(node, Made) and function_of(node) in (
        "builtins.bytes",
        "__builtin__.bytes",
        "builtins.bytearray",
    ):
        return "" if not node.args else None
    return None


def numpy_dtype(node: Any) -> np.dtype | None:
    """The dtype of a ``numpy.dtype`` node; ``None`` for structured, object, string and datetime types."""
    if function_of(node) != "numpy.dtype" or not isinstance(node.args, tuple) or not node.args:
        return None
    kind = node.args[0]
    text = kind.name if isinstance(kind, Global) and kind.module == "ml_dtypes" else as_text(kind)
    if text is None or not _PLAIN.fullmatch(text):
        return _other_dtype(text)
    order = "<"
    if isinstance(node.state, tuple) and len(node.state) > 1:
        order = as_text(node.state[1]) or "<"
    try:
        return np.dtype(text).newbyteorder(">" if order == ">" else "<")
    except TypeError:
        return None


def _other_dtype(text: str | None) -> np.dtype | None:
    if text in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, text))
    return np.dtype(bool) if text == "bool" else None


def _dimensions(node: Any) -> tuple[int, ...] | None:
    items = items_of(node)
    if items is None or len(items) > _WIDEST:
        return None
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in items):
        return None
    return tuple(items)


def numpy_array(node: Any) -> NumpyArray | None:
    """The array a node stands for, or ``None``: not an array, or one of objects, texts or records."""
    text = function_of(node)
    if text is None:
        return None
    if text.startswith(_MODULES) and text.endswith("._reconstruct"):
        state = node.state
        if not isinstance(state, tuple) or len(state) < 5:
            return None
        shape, dtype, fortran, data = state[1:5]
    elif text in _OF_JAX:
        if not isinstance(node.args, tuple) or len(node.args) != 4:
            return None
        function, _, state, _ = node.args
        made = isinstance(function, Global) and function.text.startswith(_MODULES)
        if not made or not isinstance(state, tuple) or len(state) < 5:
            return None
        shape, dtype, fortran, data = state[1:5]
    elif text in ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"):
        if not isinstance(node.args, tuple) or len(node.args) != 4:
            return None
        data, dtype, shape, fortran = node.args
        fortran = as_text(fortran) == "F"
    else:
        return None
    sizes, found = _dimensions(shape), numpy_dtype(dtype)
    if sizes is None or found is None:
        return None
    length = raw_length(data)
    problem = None
    if length != prod(sizes) * found.itemsize:
        problem = "a pickled array's bytes do not fit its shape"
    return NumpyArray(sizes, found, bool(fortran), data, problem)


def numpy_scalar(node: Any) -> Any:
    """The Python value of a ``numpy`` scalar node (``scalar(dtype, bytes)``), or ``None``."""
    text = function_of(node)
    if text is None or not text.startswith(_MODULES) or not text.endswith(".scalar"):
        return None
    if not isinstance(node.args, tuple) or len(node.args) != 2:
        return None
    found, raw = numpy_dtype(node.args[0]), raw_bytes(node.args[1])
    if found is None or raw is None or len(raw) != found.itemsize:
        return None
    return np.frombuffer(raw, found)[0].item()
