"""How a fault of readiness is worded, and what an optimizer's own step raises when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..._core.fault import Fault
from .first_step import dry_step
from .optimizers import Optimizer

__all__ = ["are", "fault", "outcome", "some"]


def some(names: Sequence[str]) -> str:
    """The first three names in words, and how many more there are."""
    return ", ".join(f"`{n}`" for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def are(names: Sequence[str]) -> str:
    """``is`` or ``are``, as there are names."""
    return "is" if len(names) == 1 else "are"


def fault(slug: str, message: str, names: Sequence[str], fails: bool, remedy: str, **more: Any) -> Fault:
    """A fault of readiness; ``fails`` tells whether the step raises, ``more`` are further fields of it."""
    attributes = {"fails": fails, "remedy": remedy, "count": len(names), **more.pop("attributes", {})}
    return Fault(
        slug, message, tensor=names[0] if names else None, tensors=tuple(names), attributes=attributes, **more
    )


def outcome(optimizer: Optimizer, number: int, param: torch.Tensor) -> str | None:
    """What the optimizer's own step raises for that weight, tried on stand-ins without memory."""
    stand_in = _stand_in(param, param.grad)
    state = {}
    for word, value in optimizer.live.state.get(param, {}).items():
        if isinstance(value, torch.Tensor):
            value = value.detach().clone() if value.dim() == 0 else value.detach().to("meta")
        state[word] = value
    group = optimizer.live.param_groups[number]
    _, raised = dry_step(optimizer.live, group, stand_in, state)
    if raised is None:
        return None
    text = str(raised).strip().splitlines()
    return f"{type(raised).__name__}: {text[0][:160]}" if text else type(raised).__name__


def _stand_in(param: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor:
    """A weight like ``param`` with a gradient like ``gradient`` on the meta device. torch refuses to set a gradient
    that does not fit; it comes about when a weight's ``data`` is replaced, and so it does here."""
    like = param if gradient is None else gradient
    made = torch.zeros(like.shape, dtype=like.dtype, device="meta", requires_grad=True)
    made.grad = torch.zeros_like(made)
    if like is not param and (like.shape != param.shape or like.dtype != param.dtype):
        made.data = torch.zeros(param.shape, dtype=param.dtype, device="meta")
    return made
