"""Short digests of live values, by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from blake3 import blake3

__all__ = ["SAMPLED_ABOVE", "array_digest", "digest_of", "leaves", "random_digests"]

SAMPLED_ABOVE = 1 << 22
"""Bytes; of a larger tensor evenly spaced elements are digested, always the same ones."""
_SAMPLES = 1 << 18
_DEEPEST = 20


def array_digest(array: np.ndarray) -> str:
    """16 hexadecimal digits of an array's dtype, shape and content."""
    hasher = blake3(f"{array.dtype}{array.shape}".encode())
    if array.dtype.kind == "O":
        hasher.update(repr(array.tolist()).encode())
        return hasher.hexdigest()[:16]
    if array.nbytes > SAMPLED_ABOVE:
        array = array.reshape(-1)[:: max(1, array.size // _SAMPLES)]
    hasher.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b"")
    return hasher.hexdigest()[:16]


def as_array(value: Any) -> np.ndarray:
    """A tensor of any framework, a typed JAX key, or a number as an array; no copy where none is needed."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(value, torch.Tensor):
        held = value.detach()
        if held.numel() * held.element_size() > SAMPLED_ABOVE and held.layout == torch.strided:
            held = held.reshape(-1)[:: max(1, held.numel() // _SAMPLES)]
        held = (held.to_dense() if held.layout != torch.strided else held).cpu()
        if held.dtype in (torch.bfloat16, *_narrow(torch)):
            held = held.view(torch.int16 if held.element_size() == 2 else torch.uint8)
        return np.asarray(held.numpy())
    if jax is not None and isinstance(value, jax.Array):
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        return np.asarray(value)
    if hasattr(value, "numpy") and callable(value.numpy):
        return np.asarray(value.numpy())
    return np.asarray(value)


def _narrow(torch: Any) -> list[Any]:
    return [getattr(torch, name) for name in ("float8_e4m3fn", "float8_e5m2") if hasattr(torch, name)]


def digest_of(value: Any) -> str:
    """One digest of a nest of tensors, numbers and texts."""
    found = list(leaves(value))
    if len(found) == 1 and not found[0][0]:
        return _leaf(found[0][1])
    return blake3("\n".join(f"{name}={_leaf(leaf)}" for name, leaf in found).encode()).hexdigest()[:16]


def _leaf(value: Any) -> str:
    if value is None or isinstance(value, (str, bytes, bool)):
        return blake3(repr(value).encode()).hexdigest()[:16]
    try:
        return array_digest(as_array(value))
    except (TypeError, ValueError, RuntimeError):
        return f"?{type(value).__name__}"  # what cannot be read counts by its type alone


def leaves(tree: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Leaves of a nest with their names, joined by ``/``; nodes that JAX knows are taken apart as it does."""
    jax = sys.modules.get("jax")
    if depth == 0 and jax is not None and not isinstance(tree, (Mapping, list)):
        flat = jax.tree_util.tree_flatten_with_path(tree)[0]
        if len(flat) != 1 or flat[0][1] is not tree:
            for path, leaf in flat:
                yield prefix + "/".join(_key(part) for part in path), leaf
            return
    join = f"{prefix}/" if prefix else ""
    if depth > _DEEPEST:
        yield prefix, repr(type(tree))
    elif isinstance(tree, Mapping):
        for key in tree:
            yield from leaves_in(tree[key], f"{join}{key}", depth + 1)
    elif isinstance(tree, tuple) and hasattr(tree, "_fields"):
        for key in tree._fields:
            yield from leaves_in(getattr(tree, key), f"{join}{key}", depth + 1)
    elif isinstance(tree, (list, tuple)):
        for n, value in enumerate(tree):
            yield from leaves_in(value, f"{join}{n}", depth + 1)
    else:
        yield prefix, tree


def leaves_in(tree: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The same within a nest; other nodes of JAX's are asked of it."""
    jax = sys.modules.get("jax")
    if jax is not None and not isinstance(
        tree, (Mapping, list, tuple, np.ndarray, str, int, float, type(None))
    ):
        flat = jax.tree_util.tree_flatten_with_path(tree)[0]
        if len(flat) != 1 or flat[0][1] is not tree:
            for path, leaf in flat:
                yield "/".join([prefix, *(_key(part) for part in path)]), leaf
            return
    yield from leaves(tree, prefix, depth)


def _key(part: Any) -> str:
    for word in ("key", "idx", "name"):
        if hasattr(part, word):
            return str(getattr(part, word))
    return str(part)


def random_digests() -> dict[str, str]:
    """The global generators of Python, NumPy and each loaded framework: name -> digest. Nothing is drawn."""
    from .._record.random_state import random_state

    found: dict[str, str] = {}
    for library, state in random_state().items():
        if library == "incomplete":
            continue
        if library in ("torch", "tensorflow"):  # several generators each
            found |= {f"{library} {name}": digest_of(value) for name, value in state.items()}
        else:
            found[library] = digest_of(state)
    return found
