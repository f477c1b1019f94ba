"""A JAX array that lies on several devices, held without a copy.

``np.asarray`` of such an array copies, and keeps the copy with the array; of one shard it is a read-only view, and while
that lives the runtime does not donate the shard's memory (measured).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .arrays import is_deleted, is_key

__all__ = ["pieces"]


def pieces(value: Any) -> Callable[[], np.ndarray] | None:
    """Puts the array together from views of its shards, as they are now; ``None`` where numpy's own view does as well
    (one device, or every device with the whole array), and where not every shard is here."""
    if not isinstance(value, jax.Array) or is_key(value) or isinstance(value, jax.core.Tracer):
        return None
    if is_deleted(value) or not value.is_fully_addressable or len(value.sharding.device_set) < 2:
        return None
    shards: dict[Any, tuple[Any, np.ndarray]] = {}
    for shard in value.addressable_shards:
        if shard.replica_id == 0:
            shards[str(shard.index)] = (shard.index, np.asarray(shard.data))
    shape, dtype = value.shape, np.dtype(value.dtype)
    views = list(shards.values())

    def together() -> np.ndarray:
        if len(views) == 1 and views[0][1].shape == shape:
            return views[0][1]
        whole = np.empty(shape, dtype)
        for index, view in views:
            whole[index] = view
        return whole

    return together
