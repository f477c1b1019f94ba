"""A save as ``torch.save`` would have written it, from the frozen values: ``checkpoint.pt``.

The file holds a dict: ``step``, then a state dict for each part by its word (``model``, ``optimizer``, ``scheduler`` ...),
and ``extra``. Only tensors, numbers, texts and containers of these stand in it, so that ``torch.load(weights_only=True)``
takes it (torch/_weights_only_unpickler.py has the list).
"""

from __future__ import annotations

import copy
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ..._core.dtypes import dtype_of, known
from ..._core.errors import HoldfastError, UsageError
from ..live import LiveCatalog
from ..native import Prepared, Reader, Stream
from .tensors import dtype_name, from_numpy, to_numpy

__all__ = ["FILE", "prepare"]

FILE = "checkpoint.pt"
_DEPTH = 100
_ATOMS = (bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype, torch.device)


class _Frozen(NamedTuple):
    """Stands for a tensor whose values are frozen by the save: its name there, and its dtype."""

    name: str
    dtype: torch.dtype


def prepare(
    parts: Mapping[str, Any], live: LiveCatalog, step: int, extra: Mapping[str, Any] | None
) -> Prepared:
    """Take the state dicts now, with a stand-in for every tensor that the save freezes anyway; a tensor that it does not
    know is copied. Raises :class:`UsageError` naming what the file could not hold."""
    skeleton = _Skeleton(live)
    tree: dict[str, Any] = {"step": step}
    for part, thing in parts.items():
        tree[part] = skeleton.part(thing, part)
    if extra:
        tree["extra"] = skeleton.copy(dict(extra), "extra")
    if skeleton.bad:
        raise UsageError(
            'payload="torch" cannot hold everything here',
            found="; ".join(skeleton.bad[:8]),
            expected="tensors, numbers, texts, and lists and dicts of these",
        )

    def write(stream: Stream, read: Reader) -> None:
        torch.save(_filled(tree, read, {}), stream)  # type: ignore[arg-type]

    return Prepared("torch", {FILE: write}, skeleton.nbytes + 4096)


class _Skeleton:
    """Copies of state dicts with stand-ins."""

    def __init__(self, live: LiveCatalog) -> None:
        self.live = live
        self.bad: list[str] = []
        self.nbytes = 0
        self.counted: set[str] = set()

    def part(self, thing: Any, path: str) -> Any:
        """The state of one object, or of each in a list or mapping of objects."""
        if isinstance(thing, torch.Generator):
            return thing.get_state()
        if not isinstance(thing, (Mapping, list, tuple)) and callable(getattr(thing, "state_dict", None)):
            return self.copy(thing.state_dict(), path)
        if isinstance(thing, Mapping):
            return {key: self.part(item, f"{path}/{key}") for key, item in thing.items()}
        if isinstance(thing, (list, tuple)):
            return [self.part(item, f"{path}/{n}") for n, item in enumerate(thing)]
        return self.copy(thing, path)

    def copy(self, value: Any, path: str, depth: int = 0) -> Any:
        """``value`` with no tie to anything live."""
        if depth > _DEPTH:
            self.bad.append(f"{path}: nested too deeply, or in a circle")
            return None
        if isinstance(value, torch.Tensor):
            return self.tensor(value, path)
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject or not known(dtype_of(value.dtype)):
                self.bad.append(f"{path}: an array of {value.dtype}")
                return None
            return self.array(value, path)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, _ATOMS):
            return value
        if isinstance(value, Mapping):
            pairs = [(self.key(k, path), self.copy(v, f"{path}/{k}", depth + 1)) for k, v in value.items()]
            return Counter(dict(pairs)) if isinstance(value, Counter) else _kind(value)(pairs)
        if isinstance(value, (list, tuple, set)):
            items = [self.copy(item, f"{path}/{n}", depth + 1) for n, item in enumerate(value)]
            return (
                set(items) if isinstance(value, set) else tuple(items) if isinstance(value, tuple) else items
            )
        self.bad.append(f"{path}: {type(value).__module__}.{type(value).__qualname__}")
        return None

    def key(self, key: Any, path: str) -> Any:
        if isinstance(key, np.generic):
            key = key.item()
        if not isinstance(key, (*_ATOMS, tuple)):
            self.bad.append(f"{path}: a key of {type(key).__qualname__}")
        return key

    def array(self, value: np.ndarray, path: str) -> torch.Tensor | None:
        name = dtype_of(value.dtype)
        dtype = getattr(torch, name, None)
        if not isinstance(dtype, torch.dtype):
            self.bad.append(f"{path}: {name}")
            return None
        self.nbytes += value.nbytes
        return from_numpy(np.array(value, copy=True), dtype)

    def tensor(self, tensor: torch.Tensor, path: str) -> Any:
        name = self.frozen(tensor, path)
        if name is None:
            self.nbytes += tensor.numel() * tensor.element_size()
            return tensor.detach().to("cpu", copy=True)
        if name not in self.counted:
            self.counted.add(name)
            self.nbytes += tensor.numel() * tensor.element_size()
        return _Frozen(name, tensor.dtype)

    def frozen(self, tensor: torch.Tensor, path: str) -> str | None:
        """The name under which the save freezes this very tensor: found by the path of the state dict, believed where
        shape, dtype and (on the CPU) memory agree."""
        if tensor.layout != torch.strided or tensor.is_quantized or type(tensor) not in _PLAIN:
            return None
        for wanted in (path, path.removeprefix("model/")):
            if wanted not in self.live:
                continue
            spec = self.live[wanted]
            variable = self.live.variables[spec.name]
            if variable.virtual or variable.read is None:
                return None
            if spec.dtype != dtype_name(tensor.dtype) or tuple(spec.shape) != tuple(tensor.shape):
                return None
            if tensor.device.type == "cpu":
                try:
                    mine, its = to_numpy(tensor), np.asarray(variable.read())
                except HoldfastError:
                    return None
                if mine.ctypes.data != its.ctypes.data or mine.strides != its.strides:
                    return None
            return spec.name
        return None


_PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})


def _kind(value: Mapping[Any, Any]) -> type[dict[Any, Any]]:
    return OrderedDict if isinstance(value, OrderedDict) else dict


def _filled(tree: Any, read: Reader, made: dict[int, tuple[torch.Tensor, np.ndarray]]) -> Any:
    """The tree with tensors for stand-ins; what lies in one place is one tensor, so that ties stay ties."""
    if isinstance(tree, _Frozen):
        values = read(tree.name)
        if not values.size:
            return from_numpy(values, tree.dtype)
        place = values.ctypes.data
        if place not in made:
            made[place] = from_numpy(values, tree.dtype), values  # held: its place must not become another's
        return made[place][0]
    if isinstance(tree, Counter):
        return copy.copy(tree)
    if isinstance(tree, dict):
        return type(tree)((key, _filled(item, read, made)) for key, item in tree.items())
    if isinstance(tree, (list, tuple)) and not isinstance(tree, torch.Size):
        items = [_filled(item, read, made) for item in tree]
        return tuple(items) if isinstance(tree, tuple) else items
    return tree
