"""What a cast would do to values: how many would leave the range of the new dtype."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import carrier, is_float, is_integer, known

__all__ = ["Overflow", "overflow"]


class Overflow(NamedTuple):
    """``values`` finite values lie beyond ``limit``, the largest of the new dtype; ``largest`` is the greatest of
    all by size."""

    values: int
    largest: float
    limit: float


def overflow(catalog: Catalog, name: str, dtype: str) -> Overflow | None:
    """Finite values of a tensor that a cast to ``dtype`` would make infinite (or wrap around, for integers).

    ``None`` where there are none, and where the new dtype is as wide. Reads the tensor, in pieces. Raises what
    reading raises.
    """
    was = catalog[name].dtype
    if not all(map(known, (was, dtype))) or not (is_float(was) or is_integer(was)):
        return None
    limit = _limit(dtype)
    if limit is None or limit >= (_limit(was) or 0.0):
        return None
    count, largest = 0, 0.0
    for piece in catalog.pieces(name):
        sizes = np.abs(np.asarray(piece).astype(np.float64))
        finite = sizes[np.isfinite(sizes)]
        if finite.size:
            largest = max(largest, float(finite.max()))
            count += int(np.count_nonzero(finite > limit))
    return Overflow(count, largest, limit) if count else None


def _limit(dtype: str) -> float | None:
    if is_float(dtype):
        kind = carrier(dtype)
        if kind.kind == "f":
            return float(np.finfo(kind).max)
        import ml_dtypes

        return float(ml_dtypes.finfo(kind).max)  # type: ignore[no-untyped-call]
    if is_integer(dtype):
        kind = carrier(dtype)
        return float(np.iinfo(kind).max) if kind.kind in "iu" else None
    return None
