"""Where the tensors of a state dict come from: a file, or the very module that it is loaded into.

Programs put state dicts together (``own = model.state_dict(); own.update(those of the file that fit)``) or leave some of a file's
tensors out. A tensor that came from no file is the module's own where it is its memory or a copy of its values, and is not what
the file has under that name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..._compare.content import equal_values
from ..._core.catalog import Catalog
from ..._core.errors import HoldfastError
from ..._core.spec import TensorSpec
from ..._frameworks.torch.owning import living
from ..._frameworks.torch.tensors import is_lazy, is_split, storage_of, to_numpy
from ..._layouts.opening import open_path
from .torch_known import own, was_set

if TYPE_CHECKING:
    from ..origins import Origins

__all__ = ["Sources", "sources_of"]

_HELD = frozenset({"weight", "buffer", "average"})
"""Roles of a file's tensors that a module's state dict may hold: averages of the weights are loaded as the weights."""


@dataclass(frozen=True, slots=True)
class Sources:
    """``path``: the file that the state dict is of; ``None`` where there is none, or several. ``own``: keys whose values are the
    module's own. ``left_out``: keys of the module for which the file has a tensor that is not given -> what the file has.
    ``unused``: names of the file's tensors, of the part that the state dict is of, that are not given -> their keys.
    ``nothing``: no tensor of the state dict is the file's. ``alike``: keys of the module's buffers that are not given and have
    the file's values already (anchors, masks)."""

    path: str | None
    own: frozenset[str] = frozenset()
    left_out: Mapping[str, TensorSpec] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    nothing: bool = False
    alike: frozenset[str] = frozenset()


def sources_of(
    state: Mapping[str, Any], module: torch.nn.Module, origins: Origins, *, filling: bool = False
) -> Sources:
    """Where the tensors of ``state`` come from, before it is loaded into ``module``. ``filling``: what is not given is to come.

    A state dict that is the module's own memory throughout, or a copy of it, sets nothing by itself: it is held against the file
    that was read last, which its values may have come from all the same (``own[name].copy_(...)``).
    """
    mine = {key: t for key, t in own(module).items() if isinstance(t, torch.Tensor) and not is_lazy(t)}
    tensors = {key: t for key, t in state.items() if isinstance(t, torch.Tensor) and not is_lazy(t)}
    path = origins.of(state)
    if any(map(is_split, (*mine.values(), *tensors.values()))):
        return Sources(path)  # torch itself fills the module's own with what it hands out to the ranks
    given = [key for key, t in tensors.items() if origins.file_of(t) is not None]
    if given:
        if len(given) == len(tensors) and (filling or mine.keys() <= tensors.keys()):
            return Sources(path)
    elif (
        origins.last is not None
        and not any(map(was_set, mine.values()))
        and (_is_memory_of(tensors, mine) or _is_copy_of(tensors, mine))
    ):
        path = origins.last
    else:
        return Sources(path)
    with _opened(path) as file:
        weights = {} if file is None else {n: spec for n, spec in file.items() if spec.role in _HELD}
        if not given and not _of_a_module(weights, mine):
            return Sources(None)
        fronts = _fronts(given or [*mine], weights)
        front = fronts[0] if fronts else None
        if len(fronts) > 1:  # a model and its average, say: the values tell which
            told = next((key for key in given if _tells(tensors[key])), None)
            front = next((f for f in fronts if told and _is_of(file, f + told, tensors[told])), front)
        kept = {
            key
            for key in tensors.keys() - {*given}
            if _is_own(tensors[key], mine.get(key))
            and not (front is not None and front + key in weights and _is_of(file, front + key, tensors[key]))
        }
        buffers = [k for k, t in mine.items() if k not in tensors and not isinstance(t, torch.nn.Parameter)]
        alike = frozenset(
            k
            for k in buffers
            if front is not None and front + k in weights and _is_of(file, front + k, mine[k])
        )
    arrived = tensors.keys() - kept
    if not given and not any(_tells(tensors[key]) for key in arrived):
        kept, arrived = {*tensors}, set()
    there = {} if front is None else {key: weights[front + key] for key in mine if front + key in weights}
    keys: dict[str, str] = {}
    if front is None and not given:
        keys = {n: n for n in weights}
    elif front is not None and all(front + key in weights for key in given):  # none was renamed
        keys = {n: n[len(front) :] for n in weights if n.startswith(front)}
    return Sources(
        path, frozenset(kept), {key: spec for key, spec in there.items() if key not in arrived},
        {n: key for n, key in keys.items() if key not in arrived}, nothing=not given and not arrived,
        alike=alike,
    )  # fmt: skip


def _opened(path: str | None) -> AbstractContextManager[Catalog | None]:
    """The file, ``None`` where there is none, or it cannot be opened any more."""
    try:
        return nullcontext() if path is None else open_path(path)
    except HoldfastError:
        return nullcontext()


def _is_memory_of(tensors: Mapping[str, torch.Tensor], mine: Mapping[str, torch.Tensor]) -> bool:
    return bool(tensors) and all(
        key in mine and (t.numel() == 0 or _shares(t, mine[key])) for key, t in tensors.items()
    )


def _is_copy_of(tensors: Mapping[str, torch.Tensor], mine: Mapping[str, torch.Tensor]) -> bool:
    """Whether all of it has the module's own values already, and is no other module's memory (a second network that is kept in
    step with the first)."""
    if not tensors or not tensors.keys() <= mine.keys():
        return False
    try:
        same = all(
            t.shape == mine[key].shape
            and t.dtype == mine[key].dtype
            and equal_values(to_numpy(t), to_numpy(mine[key]))
            for key, t in tensors.items()
        )
        if not same or not any(map(_tells, tensors.values())):
            return False
    except HoldfastError:  # no values to compare
        return False
    places = {storage_of(t) for t in tensors.values()} - {None}
    others = (
        t for module in living(torch.nn.Module) for t in module.__dict__.get("_parameters", {}).values()
    )
    return not any(storage_of(t) in places for t in others if t is not None and not is_lazy(t))


def _shares(tensor: torch.Tensor, live: torch.Tensor) -> bool:
    place = storage_of(tensor)
    return place is not None and place == storage_of(live)


def _is_own(tensor: torch.Tensor, live: torch.Tensor | None) -> bool:
    """Whether it is the live tensor's memory, or a copy of its values."""
    if live is None or tensor.shape != live.shape or tensor.dtype != live.dtype:
        return False
    if _shares(tensor, live):
        return True
    try:
        return _tells(tensor) and equal_values(to_numpy(tensor), to_numpy(live))
    except HoldfastError:  # no values to compare
        return False


def _tells(tensor: torch.Tensor) -> bool:
    """Whether its values say where it comes from: zeros and ones are alike everywhere."""
    values = to_numpy(tensor)
    return bool(np.any(values != values.reshape(-1)[:1]))


def _is_of(file: Catalog | None, name: str, tensor: torch.Tensor) -> bool:
    """Whether the file has these values under that name, however they came into memory."""
    if file is None or tuple(file[name].shape) != tuple(tensor.shape):
        return False
    try:
        return equal_values(np.asarray(file.read(name)), to_numpy(tensor))
    except HoldfastError:
        return False


def _of_a_module(names: Collection[str], mine: Collection[str]) -> bool:
    """Whether a file's names are those of a module's tensors, of whatever module."""
    return bool({n.rpartition(".")[2] for n in names} & {n.rpartition(".")[2] for n in mine if "." in n})


def _fronts(keys: list[str], names: Collection[str]) -> list[str]:
    """What stands in the file before the keys, or before the most of them; several where as many stand behind each."""
    found = dict.fromkeys(name[: -len(key)] for key in keys[:8] for name in names if name.endswith(key))
    have = {*names}
    counts = {front: sum(front + key in have for key in keys) for front in found}
    return [front for front, count in counts.items() if count == max(counts.values())]
