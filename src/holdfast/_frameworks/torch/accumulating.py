"""Whether gradients were gathered since an optimizer's last step: sums that are in no state dict.

A hook after each step keeps the gradient of one small weight, with PyTorch's count of writes to it. Another tensor, or another
count, and values that are not zero: ``backward`` has run since, and no step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch

from .live import _unfold
from .optimizers import is_optimizer, unwrapped

__all__ = ["gathered", "look_on"]

_LAST: WeakKeyDictionary[torch.optim.Optimizer, tuple[torch.Tensor, torch.Tensor, int] | None] = (
    WeakKeyDictionary()
)
"""Optimizer -> a weight of its, the gradient that its last step used, and how often that had been written to."""


def look_on(parts: Mapping[str, Any]) -> None:
    """Begin to look at the steps of these optimizers."""
    for optimizer in _optimizers(parts):
        if optimizer not in _LAST and hasattr(
            optimizer, "_optimizer_step_post_hooks"
        ):  # PyTorch 2.0; no bare wrapper
            _LAST[optimizer] = None
            optimizer.register_step_post_hook(_stepped)


def gathered(parts: Mapping[str, Any]) -> str | None:
    """How many optimizers have gradients that were gathered since their last step, in words; ``None`` where none is seen to."""
    if _skipped(parts):
        return None
    count = sum(_pending(optimizer) for optimizer in _optimizers(parts))
    return (
        f"gradients of {count} optimizer{'s' * (count != 1)} changed after the last step" if count else None
    )


def _stepped(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    if torch.compiler.is_compiling():  # what a compiled step does is not looked at, nor traced
        return
    held = _LAST.get(optimizer)
    weight = held[0] if held is not None and held[0].grad is not None else _smallest(optimizer)
    grad = weight.grad if weight is not None else None
    _LAST[optimizer] = None if weight is None or grad is None else (weight, grad, grad._version)


def _pending(optimizer: torch.optim.Optimizer) -> bool:
    held = _LAST.get(optimizer)
    if held is None:
        return False
    weight, used, version = held
    grad = weight.grad
    if grad is None or (grad is used and grad._version == version) or grad.is_sparse:
        return False
    values = grad.detach()
    return bool(torch.isfinite(values).all()) and bool((values != 0).any())


def _skipped(parts: Mapping[str, Any]) -> bool:
    """A loss scaler that has just met infinities left a step out: its gradients stand there unused, on purpose."""
    tracker = getattr(parts.get("scaler"), "_growth_tracker", None)
    return tracker is not None and int(tracker) == 0


def _smallest(optimizer: torch.optim.Optimizer) -> torch.Tensor | None:
    weights = [w for group in optimizer.param_groups for w in group["params"] if w.grad is not None]
    return min(weights, key=lambda w: w.numel(), default=None)


def _optimizers(parts: Mapping[str, Any]) -> list[torch.optim.Optimizer]:
    found = []
    for part, given in parts.items():
        if given is None:
            continue
        for _, _, thing in _unfold(part, given):
            inner = unwrapped(thing) if is_optimizer(thing) else None
            if isinstance(inner, torch.optim.Optimizer):
                found.append(inner)
    return found
