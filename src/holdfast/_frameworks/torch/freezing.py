"""What of a PyTorch state holds still until the next optimizer step, and the hook that waits before that step.

A weight and its slots are written by the step of the optimizer that owns them, and by nothing else that PyTorch itself
does between two steps, but: buffers (BatchNorm, spectral norm's u and v, observers) and the weights of an embedding with
``max_norm`` move in forward. What is not certain to hold still is left to be copied at once: small tensors, buffers,
weights that no hooked optimizer owns, other devices, tensor subclasses.

``Optimizer.register_step_pre_hook`` fires before any change for plain, foreach and fused steps, LBFGS, GradScaler and
compiled steps (torch/optim/optimizer.py, ``profile_hook_step``, which wraps the step of each class when the first
optimizer of it is made); a step that calls ``super().step()`` fires it twice.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from .live import _unfold
from .optimizers import is_optimizer, unwrapped
from .slots import Slot
from .tensors import PLAIN, to_numpy

__all__ = ["SMALLEST", "Watch", "watch"]

SMALLEST = 64 << 10
"""Bytes below which a tensor is copied at once: nothing is gained, and step counts and learned scales are small."""
_DEEPEST = 16
_SINGLE = "_holdfast_station"
_RELAYS = ("accelerate", "lightning", "pytorch_lightning")
"""Packages whose wrapper changes no weight before the inner optimizer's step."""


def watch(parts: Mapping[str, Any]) -> Watch | None:
    """What of ``parts`` may be copied while training goes on; ``None`` where no optimizer would wait for it."""
    optimizers: list[torch.optim.Optimizer] = []
    barred: set[int] = set()
    for part, given in parts.items():
        if given is None:
            continue
        for _, _, thing in _unfold(part, given):
            if isinstance(thing, torch.nn.Module):
                barred |= _moved_in_forward(thing)
            elif is_optimizer(thing) and (hooked := _hookable(thing)) is not None:
                optimizers.append(hooked)
    return Watch(optimizers, barred) if optimizers else None


class Watch:
    """The tensors that only the steps of ``optimizers`` write to; ``barred``: ids of weights that forward moves."""

    def __init__(self, optimizers: list[torch.optim.Optimizer], barred: set[int]) -> None:
        self.optimizers = optimizers
        self._ids = {id(optimizer) for optimizer in optimizers}
        owned = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
        self._owned = owned - barred
        self._stations: list[_Station] = []

    def source(self, read: Callable[[], Any]) -> Callable[[], bool] | None:
        """For the tensor behind a live variable's ``read``: tells whether PyTorch has counted a write to it since now.
        ``None``: it may move before the next step, and must be copied at once.

        The count is a hint: fused optimizers, ``.data`` and numpy writes leave it as it is.
        """
        tensor = self._tensor(read)
        if tensor is None or type(tensor) not in PLAIN or not tensor.is_cpu:
            return None
        if tensor.layout is not torch.strided or tensor.nbytes < SMALLEST or tensor.is_inference():
            return None
        if tensor.is_conj() or tensor.is_neg() or tensor.is_quantized:
            return None
        return partial(_written, tensor, tensor._version)

    def _tensor(self, read: Any) -> torch.Tensor | None:
        if isinstance(read, partial) and read.func is to_numpy:
            tensor = read.args[0]
            return tensor if id(tensor) in self._owned else None
        slot = getattr(read, "__self__", None)
        if isinstance(slot, Slot) and id(slot.optimizer) in self._ids:
            value = slot.get()
            return value if isinstance(value, torch.Tensor) else None
        return None

    def arm(self, join: Callable[[], object]) -> None:
        """Every optimizer calls ``join`` before its next step. To be called by the thread that steps."""
        for optimizer in self.optimizers:
            station = _station(optimizer)
            station.pending.append(join)
            self._stations.append(station)

    def disarm(self, join: Callable[[], object]) -> None:
        """The copy is complete: no step waits for it any more. Any thread may call it: the hook itself, which must not
        be taken away while an optimizer goes through its hooks, goes with the next step."""
        for station in self._stations:
            if join in station.pending:
                station.pending.remove(join)
        self._stations.clear()
        self.optimizers = []  # whoever keeps the handle of a save keeps no weights


def _written(tensor: torch.Tensor, version: int) -> bool:
    return bool(tensor._version != version)


def _moved_in_forward(module: torch.nn.Module) -> set[int]:
    """Ids of weights that a forward call writes to (torch/nn/functional.py, ``_no_grad_embedding_renorm_``)."""
    return {
        id(part.weight)
        for part in module.modules()
        if isinstance(part, (torch.nn.Embedding, torch.nn.EmbeddingBag)) and part.max_norm is not None
    }


def _hookable(thing: Any) -> torch.optim.Optimizer | None:
    """The optimizer whose hooks run before ``thing`` changes anything, or ``None`` where that is not certain."""
    inner = unwrapped(thing)
    if not isinstance(inner, torch.optim.Optimizer):
        return None
    if inner is not thing and type(thing).__module__.partition(".")[0] not in _RELAYS:
        return None
    make = getattr(torch.optim.Optimizer, "profile_hook_step", None)
    if make is None:
        return None
    runs_hooks = make(_hookable).__code__
    step: Any = getattr(inner.step, "__func__", inner.step)
    for _ in range(_DEEPEST):  # what a scheduler wraps around the step says what it wraps
        if getattr(step, "__code__", None) is runs_hooks:
            return inner
        step = getattr(step, "__wrapped__", None)
        if step is None:
            return None
    return None


class _Station:
    """The one hook of an optimizer, and what it has to wait for."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], object]] = []
        self.handle: Any = None

    def before_step(self, hooks: OrderedDict[int, Any]) -> None:
        for join in tuple(self.pending):
            join()
        # taking a hook away while its optimizer goes through them is an error in all places but the last
        if not self.pending and self.handle is not None and next(reversed(hooks), None) == self.handle.id:
            self.handle.remove()


def _station(optimizer: torch.optim.Optimizer) -> _Station:
    """The optimizer's hook: the one that an earlier save left, or a new one."""
    for other in tuple(optimizer._optimizer_step_pre_hooks.values()):
        known = getattr(other, _SINGLE, None)
        if isinstance(known, _Station):
            return known
    station = _Station()

    def hook(stepping: Any, args: Any, kwargs: Any) -> None:
        station.before_step(stepping._optimizer_step_pre_hooks)

    call: Any = hook
    if "torch._dynamo" in sys.modules:  # a compiled step calls it as it is
        call = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]
    setattr(call, _SINGLE, station)
    station.handle = optimizer.register_step_pre_hook(call)
    return station
