"""One jax array (or what stands for one): its spec's facts, its values, and a fresh array in its place.

``np.asarray`` of an array on one device is zero-copy and read-only, and while the view lives the runtime does
not donate the buffer. ``jax.device_put`` may keep the numpy memory it is given, so that memory is always made
for it and never used again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from ..._core.dtypes import dtype_of
from ..._core.errors import NotStored

__all__ = ["description", "dtype_text", "fresh", "is_deleted", "is_key", "placement", "read", "shape_of"]


description: Any = jax.ShapeDtypeStruct
"""Shape and dtype in the place of an array."""


def is_key(value: Any) -> bool:
    """Whether it is an array of typed PRNG keys (``jax.random.key``)."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and _of_keys(dtype)


@lru_cache(maxsize=256)
def _of_keys(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def _key_data(value: Any) -> Any:
    """Shape and dtype of the key data, without computing any."""
    return jax.eval_shape(jax.random.key_data, description(value.shape, value.dtype))


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape; of typed keys, that of their data (``(..., 2)`` for threefry)."""
    return tuple(_key_data(value).shape if is_key(value) else value.shape)


def dtype_text(value: Any) -> str:
    """The dtype's name; typed keys are ``uint32``."""
    return dtype_of(np.dtype(_key_data(value).dtype if is_key(value) else value.dtype))


def is_deleted(value: Any) -> bool:
    """Whether its buffer was donated or deleted; shape, dtype and sharding are still known then."""
    return isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.is_deleted()


def read(value: Any, name: str) -> np.ndarray:
    """The values as numpy, read-only where they are a view.

    Raises :class:`NotStored` for an array that was donated or deleted, for an abstract one, and for one whose
    shards are not all on this process's devices.
    """
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if isinstance(value, (jax.ShapeDtypeStruct, jax.core.Tracer)):
        raise NotStored(
            "this is the description of an array (shape and dtype), it has no values",
            tensor=name,
            found=type(value).__name__,
        )
    if is_deleted(value):
        raise NotStored(
            "the array was donated to a compiled function (or deleted); its values are gone",
            tensor=name,
            remedy="Pass what that function returned; an argument of donate_argnums is used up by the call.",
        )
    if not value.is_fully_addressable:
        raise NotStored(
            "parts of the array lie on devices of other processes",
            tensor=name,
            found=f"{len(value.addressable_shards)} shards here",
            remedy="Gather it first: jax.experimental.multihost_utils.process_allgather.",
        )
    return np.asarray(jax.random.key_data(value) if is_key(value) else value)


def placement(value: Any) -> dict[str, Any] | None:
    """Mesh, partition and number of devices of an array on several devices; ``None`` for one device.

    ``shards``: [start, length] per dimension of each different shard on this process, in order of devices.
    """
    sharding = getattr(value, "sharding", None)
    if not isinstance(value, jax.Array) or sharding is None or len(sharding.device_set) < 2:
        return None
    found: dict[str, Any] = {
        "devices": len(sharding.device_set),
        "replicated": bool(sharding.is_fully_replicated),
        "addressable": bool(sharding.is_fully_addressable),
    }
    if isinstance(sharding, jax.sharding.NamedSharding):
        found["mesh"] = {str(axis): int(size) for axis, size in sharding.mesh.shape.items()}
        found["partition"] = [list(axes) if isinstance(axes, tuple) else axes for axes in sharding.spec]
    shards: list[list[list[int]]] = []
    for index in sharding.addressable_devices_indices_map(value.shape).values():
        ranges = [s.indices(n) for s, n in zip(index or (), value.shape, strict=True)]
        one = [[start, stop - start] for start, stop, _ in ranges]
        if one not in shards:
            shards.append(one)
    found["shards"] = shards
    return found


def fresh(values: np.ndarray, like: Any) -> Any:
    """A new array with these values: same dtype, sharding, weak type and key implementation as ``like``.

    The values are copied into memory of their own first. A numpy array gives a numpy array.
    """
    copied = np.array(values, copy=True, order="C").reshape(shape_of(like))
    if isinstance(like, np.ndarray):
        return copied.astype(like.dtype, copy=False)
    if is_key(like):
        impl = jax.random.key_impl(
            jnp.empty((), like.dtype)
        )  # of the type: a description is no array of keys
        keys = jax.random.wrap_key_data(jnp.array(copied), impl=impl)
        return _placed(keys, like)
    if getattr(like, "weak_type", False):
        # only jax makes weakly typed arrays: one is filled and the values set, which keeps its type
        weak = jnp.full(copied.shape, copied.dtype.type(0).item())
        if weak.dtype == copied.dtype:
            return _placed(weak.at[...].set(copied), like)
    return _placed(copied, like)


def _placed(values: Any, like: Any) -> Any:
    sharding = getattr(like, "sharding", None)
    if sharding is None:
        return jax.device_put(values).block_until_ready()
    if isinstance(values, np.ndarray) and not sharding.is_fully_addressable:
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
    if not isinstance(like, jax.Array) or getattr(like, "committed", True):
        return jax.device_put(values, sharding).block_until_ready()
    # an uncommitted array goes where its company is; device_put with a device would pin the new one
    with jax.default_device(next(iter(sharding.device_set))):
        return jax.device_put(values).block_until_ready()
