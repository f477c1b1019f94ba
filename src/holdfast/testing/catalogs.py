"""A catalog over numpy arrays in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import dtype_of
from .._core.errors import HoldfastError
from .._core.spec import OptimizerSpec, TensorSpec

__all__ = ["NumpyCatalog"]


class NumpyCatalog(Catalog):
    """A catalog whose tensors are the given arrays.

    ``specs`` gives fields of single specs (``{"w": {"role": "buffer"}}``); arrays that are one object (or
    bear the same ``shares``) are tied. ``fails`` are names whose reading raises the given error. ``read``
    counts into ``reads``.
    """

    format = "memory"

    def __init__(
        self,
        arrays: Mapping[str, Any],
        *,
        specs: Mapping[str, Mapping[str, Any]] | None = None,
        optimizers: Iterable[OptimizerSpec] = (),
        dialect: str = "",
        format: str = "memory",
        attributes: Mapping[str, Any] | None = None,
        fails: Mapping[str, HoldfastError] | None = None,
        ordered: bool = False,
    ) -> None:
        self._arrays = {name: np.asarray(value) for name, value in arrays.items()}
        self._fails = dict(fails or {})
        self.reads: list[str] = []
        self.format = format
        specs = specs or {}
        users: dict[int, list[str]] = {}
        for name, value in arrays.items():
            users.setdefault(id(value), []).append(name)
        made = []
        for position, (name, value) in enumerate(self._arrays.items()):
            fields: dict[str, Any] = {"dialect": dialect}
            tied = users[id(arrays[name])]
            if len(tied) > 1 and isinstance(arrays[name], np.ndarray):
                fields["shares"] = f"memory:{tied[0]}"
            if ordered:
                fields["order"] = position
            fields.update(specs.get(name, {}))
            made.append(TensorSpec(name, tuple(value.shape), dtype_of(value.dtype), **fields))
        super().__init__(made, optimizers=optimizers, attributes=attributes)

    def read(self, name: str) -> np.ndarray:
        spec = self[name]
        self.reads.append(spec.name)
        if spec.name in self._fails:
            raise self._fails[spec.name]
        view = self._arrays[spec.name].view()
        view.flags.writeable = False
        return view
