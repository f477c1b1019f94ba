"""A state dict in memory as a catalog: what a file of it would hold, over the tensors' own memory.

The structure is pickled as ``torch.save`` does it, with a persistent id in place of every storage, and read back by the same
machine that reads files; no value is copied. Facts: torch/serialization.py ``_save`` (``persistent_id``).
"""

from __future__ import annotations

import ctypes
import io
import operator
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from ..._core.catalog import Catalog
from ..._core.collector import collector_paused
from ..._core.errors import NotStored
from ..._formats.pickles.machine import read_pickle
from ..._formats.torch.catalog import open_torch
from ..._formats.torch.read import Bank
from ..._frameworks.torch.tensors import part_here
from ..._storage.source import BytesSource

__all__ = ["skeleton", "state_catalog"]


def state_catalog(state: Any, name: str) -> Catalog:
    """``state`` (a state dict, or a nested mapping of several) as a catalog; ``name`` is what it is called.

    The catalog reads from the tensors: it is to be let go of before they change. Raises what pickling raises.
    """
    held: dict[str, Any] = {}
    with collector_paused():
        file = io.BytesIO()
        _Pickler(file, held).dump(_here(state))
        data = file.getvalue()
        whole = sum(storage.nbytes() for storage in held.values()) + len(data) + 4096 * (len(held) + 1)
        found = read_pickle(BytesSource(data, name), whole=whole, window=64 << 20)
        return open_torch(
            found, _Memory(held), format="torch-zip", file=name, label=name, base=0, file_size=whole,
            pickle_size=len(data), attributes={"writer": "this program"}, faults=[], close=held.clear,
        )  # fmt: skip


def skeleton(state: Mapping[str, Any]) -> dict[str, Any]:
    """A module's state dict without its values: names, shapes and dtypes, to be kept without holding memory."""
    return {
        name: torch.empty_like(part_here(value), device="meta")
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and not is_lazy(value) and value.layout is torch.strided
    }


def _here(value: Any) -> Any:
    """The same with this rank's parts in place of tensors that are split over ranks; the same object where there are none."""
    if isinstance(value, torch.Tensor):
        return part_here(value)
    if isinstance(value, Mapping):
        found = {key: _here(inner) for key, inner in value.items()}
        return value if all(found[key] is inner for key, inner in value.items()) else found
    if type(value) in (list, tuple):
        items = [_here(inner) for inner in value]
        return value if all(map(operator.is_, items, value)) else type(value)(items)
    return value


class _Pickler(pickle.Pickler):
    """Writes storages as ids, and what cannot be pickled as a word: it is no state of a tensor."""

    def __init__(self, file: io.BytesIO, held: dict[str, Any]) -> None:
        super().__init__(file, protocol=2)
        self.held = held
        self._keys: dict[int, str] = {}

    def persistent_id(self, obj: Any) -> Any:
        typed = isinstance(obj, torch.storage.TypedStorage)
        if not typed and not isinstance(obj, torch.UntypedStorage):
            return None
        storage = obj._untyped_storage if typed else obj
        kind = torch.storage._dtype_to_storage_type_map()[obj.dtype] if typed else "UntypedStorage"
        count = obj._size() if typed else storage.nbytes()
        key = self._keys.setdefault(storage._cdata, str(len(self._keys)))
        self.held.setdefault(key, storage)
        return ("storage", getattr(torch, kind, torch.UntypedStorage), key, str(storage.device), count)

    def reducer_override(self, obj: Any) -> Any:
        """Functions, locks and the like by their names, and tensors without memory as nothing."""
        if isinstance(obj, torch.Tensor) and is_lazy(obj):
            return (str, ("lazy",))
        if (
            callable(obj)
            and not isinstance(obj, type)
            and getattr(obj, "__module__", "").partition(".")[0] != "torch"
        ):
            return (str, (getattr(obj, "__qualname__", type(obj).__name__),))
        return NotImplemented


class _Memory(Bank):
    """Storages where they lie. On another device they are copied when they are read."""

    def __init__(self, held: Mapping[str, Any]) -> None:
        self._held = held

    def size(self, key: str) -> int | None:
        storage = self._held.get(key)
        return None if storage is None else int(storage.nbytes())

    def place(self, key: str) -> int | None:
        return None

    def view(self, key: str, start: int, length: int) -> memoryview:
        storage = self._held[key]
        if storage.device.type == "meta":
            raise NotStored("the tensor has a shape and no values")
        if storage.device.type != "cpu":
            storage = storage.cpu()
        memory = (ctypes.c_ubyte * length).from_address(storage.data_ptr() + start)
        memory.held = storage  # type: ignore[attr-defined] # for as long as anybody looks at it
        return memoryview(memory).cast("B").toreadonly()
