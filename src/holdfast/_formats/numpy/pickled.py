"""Plain arrays inside a pickled object array, listed by the inert machine; nothing is imported or called.

Format facts: numpy/core/src/multiarray/methods.c (``array_reduce``: ``_reconstruct(ndarray, (0,), b'b')``
with the state ``(version, shape, dtype, is_fortran, bytes or list)``), descriptor.c (``dtype(text, align,
copy)`` with the state ``(version, byteorder, subarray, names, fields, itemsize, alignment, flags)``),
numpy/core/numeric.py (``_frombuffer``).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..._core.fault import Fault
from ..._storage import Source
from ..pickles.machine import read_pickle
from ..pickles.nodes import Dict, Made, as_text, function_of, pairs_of
from .header import plain_dtype

__all__ = ["array_of", "arrays_in_pickle"]

_MAX_DEPTH = 40
_MULTIARRAY = ("numpy.core.multiarray.", "numpy._core.multiarray.")
_NUMERIC = ("numpy.core.numeric.", "numpy._core.numeric.")


def arrays_in_pickle(source: Source, faults: list[Fault]) -> list[tuple[str, np.ndarray]]:
    """``(path, array)`` of the plain arrays in the pickle; what is outside the allow-list is added to
    ``faults``.

    Paths are keys and positions joined by dots; numbers and texts of Python are not listed. Raises
    :class:`DamagedCheckpoint` where the pickle is none.
    """
    done = read_pickle(source)
    faults.extend(done.faults(source.name))
    found: dict[str, np.ndarray] = {}
    seen: set[int] = set()
    stack: list[tuple[str, Any, int]] = [("", done.value, 0)]
    while stack:
        path, node, depth = stack.pop()
        if depth > _MAX_DEPTH or id(node) in seen:
            continue
        if isinstance(node, (Dict, Made, list, tuple)):
            seen.add(id(node))
        inner = _children(node)
        if inner is None:
            array = array_of(node)
            if array is not None:
                found.setdefault(path, array)
            continue
        # Reversed, so that what comes first is taken from the stack first.
        stack.extend(
            (f"{path}.{key}" if path and key else path or key, value, depth + 1)
            for key, value in reversed(inner)
            if isinstance(value, (Dict, Made, list, tuple))  # nothing else can be, or hold, an array
        )
    return list(found.items())


def _children(node: Any) -> list[tuple[str, Any]] | None:
    """What a container holds, by key or position; ``None`` for what is none."""
    objects = _objects_of(node)
    if objects is not None:
        # An object array without dimensions is what numpy.save makes of a dict; its one item stands for it.
        shape, items = objects
        return [
            ("" if shape == () else str(i), item)
            for i, item in enumerate(items)
            if isinstance(item, (Dict, Made, list, tuple))
        ]
    pairs = pairs_of(node)
    if pairs is not None:
        return [
            (text if (text := as_text(key)) is not None else repr(key)[:80], value) for key, value in pairs
        ]
    if isinstance(node, (list, tuple)):
        return [(str(index), item) for index, item in enumerate(node)]
    return None


def _objects_of(node: Any) -> tuple[tuple[int, ...], list[Any]] | None:
    """Shape and items of an object array."""
    state = _state_of_array(node)
    if state is None or not isinstance(state[4], list):
        return None
    shape = state[1]
    return (shape, state[4]) if isinstance(shape, tuple) else None


def _state_of_array(node: Any) -> tuple[Any, ...] | None:
    text = function_of(node)
    if text is None or not text.startswith(_MULTIARRAY) or not text.endswith("._reconstruct"):
        return None
    state = node.state
    return state if isinstance(state, tuple) and len(state) == 5 else None


def array_of(node: Any) -> np.ndarray | None:
    """The plain array that a node describes (an array or a numpy scalar), or ``None``; copies nothing but
    texts.
    """
    text = function_of(node)
    if text is None:
        return None
    try:
        if text.startswith(_MULTIARRAY) and text.endswith(".scalar"):
            kind, raw = _dtype_of(node.args[0]), _bytes_of(node.args[1])
            return None if kind is None or raw is None else np.frombuffer(raw, kind, 1).reshape(())
        if text.startswith(_NUMERIC) and text.endswith("._frombuffer"):
            raw, kind = _bytes_of(node.args[0]), _dtype_of(node.args[1])
            shape, order = node.args[2], as_text(node.args[3]) or "C"
            return None if raw is None or kind is None else _shaped(raw, kind, shape, order == "F")
        state = _state_of_array(node)
        if state is None:
            return None
        kind, raw = _dtype_of(state[2]), _bytes_of(state[4])
        return None if kind is None or raw is None else _shaped(raw, kind, state[1], bool(state[3]))
    except (ValueError, TypeError, IndexError):
        return None  # no array that anyone could rebuild; the object stays unlisted


def _shaped(raw: bytes, kind: np.dtype, shape: Any, fortran: bool) -> np.ndarray:
    if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("no shape")
    if prod(shape) * kind.itemsize != len(raw):
        raise ValueError("bytes and shape disagree")
    flat = np.frombuffer(raw, kind) if raw else np.empty(0, kind)
    return flat.reshape(shape, order="F" if fortran else "C")


def _dtype_of(node: Any) -> np.dtype | None:
    if function_of(node) != "numpy.dtype" or not node.args:
        return None
    text = as_text(node.args[0])
    if text is None:
        return None
    state = node.state
    order = as_text(state[1]) if isinstance(state, tuple) and len(state) > 1 else None
    if isinstance(state, tuple) and len(state) > 3 and state[3] is not None:
        return None  # fields: not rebuilt
    kind = plain_dtype(text)
    if order == "<":
        return kind.newbyteorder("<")
    return kind.newbyteorder(">") if order == ">" else kind


def _bytes_of(value: Any) -> bytes | None:
    """Bytes, also where an old protocol wrote them as text: ``_codecs.encode(text, 'latin1')``."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("latin-1")
    if function_of(value) == "_codecs.encode" and value.args and isinstance(value.args[0], str):
        return value.args[0].encode("latin-1")
    return None
