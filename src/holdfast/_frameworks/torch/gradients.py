"""Gradients against weights: those given, and those that the weights still hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from ..._core.fault import Fault
from .faults import are, fault, outcome, some
from .modules import Model
from .optimizers import Optimizer
from .tensors import dtype_name, is_lazy

__all__ = ["gradient_faults"]


def gradient_faults(
    models: Sequence[Model], optimizers: Sequence[Optimizer], gradients: Any, names: Mapping[int, str]
) -> list[Fault]:
    """What is wrong with the gradients: those given (see :func:`readiness`), or those that the weights hold."""
    held = {id(p) for o in optimizers for p in o.params}
    params = [
        p
        for m in models
        for p in m.listed
        if id(p) in names and p.requires_grad and (not held or id(p) in held) and not is_lazy(p)
    ]
    if gradients is None:
        return _left(params, optimizers, names)
    pairs, faults = _paired(params, gradients, names)
    none = [names[id(p)] for p, g in pairs if g is None]
    if none:
        faults.append(
            fault(
                "gradient-none",
                f"{some(none)} {'has' if len(none) == 1 else 'have'} no gradient; the next step() passes over "
                "what has none and says nothing",
                none,
                False,
                "See whether the loss depends on them; a tensor cut off by detach() or no_grad() gives none.",
            )
        )
    for p, g in pairs:
        if g is None or not isinstance(g, torch.Tensor):
            continue
        for kind, seen, expected in _apart(g, p):
            faults.append(
                fault(
                    "gradient-mismatch",
                    f"the gradient of `{names[id(p)]}` has {kind} {seen}, the weight {expected}; to give it to the "
                    "weight raises RuntimeError",
                    [names[id(p)]],
                    True,
                    "Compute it from this very weight, in the weight's dtype.",
                    seen=str(seen),
                    expected=str(expected),
                    attributes={"kind": kind},
                )
            )
    return faults


def _apart(gradient: torch.Tensor, param: torch.Tensor) -> Iterable[tuple[str, Any, Any]]:
    if tuple(gradient.shape) != tuple(param.shape):
        yield "shape", list(gradient.shape), list(param.shape)
    elif gradient.dtype != param.dtype:
        yield "dtype", dtype_name(gradient.dtype), dtype_name(param.dtype)
    elif gradient.device != param.device:
        yield "device", str(gradient.device), str(param.device)


def _left(
    params: Sequence[torch.Tensor], optimizers: Sequence[Optimizer], names: Mapping[int, str]
) -> list[Fault]:
    """Gradients that the parameters still hold: zeros are nothing, and ones that no longer fit fail."""
    faults: list[Fault] = []
    left = []
    for p in params:
        if p.grad is None:
            continue
        for kind, seen, expected in _apart(p.grad, p):
            raised = "RuntimeError: tensors on two devices" if kind == "device" else _tried(optimizers, p)
            then = (
                f"the next step() raises {raised}" if raised else "the next step() runs with it all the same"
            )
            faults.append(
                fault(
                    "gradient-mismatch",
                    f"`{names[id(p)]}` holds a gradient of {kind} {seen} and is itself {expected}; {then}",
                    [names[id(p)]],
                    raised is not None,
                    "Clear it: optimizer.zero_grad(set_to_none=True).",
                    seen=str(seen),
                    expected=str(expected),
                    attributes={"kind": kind},
                )
            )
        values = p.grad.coalesce().values() if p.grad.layout == torch.sparse_coo else p.grad
        if values.device.type != "meta" and bool(values.detach().any()):
            left.append(names[id(p)])
    if left:
        faults.append(
            fault(
                "gradient-left",
                f"{some(left)} {are(left)} still holding a gradient; the next backward() adds to it unless "
                "zero_grad() comes first",
                left,
                False,
                "Call optimizer.zero_grad() where no accumulation is meant.",
            )
        )
    return faults


def _tried(optimizers: Sequence[Optimizer], param: torch.Tensor) -> str | None:
    """What the optimizer that holds this weight raises with the gradient it has."""
    for optimizer in optimizers:
        for number, group in enumerate(optimizer.live.param_groups):
            if any(p is param for p in group["params"]):
                return outcome(optimizer, number, param)
    return None


def _paired(
    params: Sequence[torch.Tensor], gradients: Any, names: Mapping[int, str]
) -> tuple[list[tuple[torch.Tensor, Any]], list[Fault]]:
    if isinstance(gradients, Mapping):
        return [(p, gradients[names[id(p)]]) for p in params if names[id(p)] in gradients], []
    given = list(gradients)
    if given and all(isinstance(item, tuple) and len(item) == 2 for item in given):
        known = {id(p) for p in params}
        return [(p, g) for g, p in given if id(p) in known], []
    faults = []
    if len(given) != len(params):
        told = [names[id(p)] for p in params]
        faults.append(
            fault(
                "gradient-mismatch",
                f"{len(given)} gradients were given for {len(params)} trainable weights; they belong together by "
                "position, so some weight would get another's",
                told,
                True,
                "Give one gradient (or None) for each trainable weight, in the order of model.parameters().",
                seen=str(len(given)),
                expected=str(len(params)),
                attributes={"kind": "count"},
            )
        )
        return [], faults
    return list(zip(params, given, strict=True)), faults
