"""Whose a parameter is: the living modules and optimizers that hold it.

An optimizer knows tensors and no names (torch/optim/optimizer.py, ``param_groups``); the module that names them is looked for
among everything that lives. That walks over all objects once, which takes tens of milliseconds in a large program.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import torch

__all__ = ["holders", "living", "modules_of", "parameters_of"]


def parameters_of(optimizer: Any) -> list[torch.Tensor]:
    """All that an optimizer moves, in order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def living(kind: type) -> Iterator[Any]:
    """All objects of a class. ``type`` is asked and not the object: a proxy may do anything when it is asked."""
    for thing in gc.get_objects():
        if issubclass(type(thing), kind):
            yield thing


def modules_of(params: Collection[torch.Tensor], among: Iterable[Any] | None = None) -> list[torch.nn.Module]:
    """The living modules (of those ``among``) that hold all of ``params``, each within the one before it; empty where there is
    none."""
    wanted = {id(p) for p in params}
    if not wanted:
        return []
    modules = [m for m in (living(torch.nn.Module) if among is None else among) if _whole(m)]
    within = {id(child) for m in modules for child in m._modules.values() if child is not None}
    for root in modules:
        if id(root) not in within and wanted <= _held(root):
            return _chain(root, wanted)
    return []


def holders(ids: Collection[int]) -> list[Any]:
    """The living optimizers that hold one of the parameters with these ids."""
    return [
        o
        for o in living(torch.optim.Optimizer)
        if "param_groups" in o.__dict__ and any(id(p) in ids for p in parameters_of(o))
    ]


def _whole(module: Any) -> bool:
    """Whether its constructor has been at work: one that is being unpickled has nothing yet."""
    return "_modules" in module.__dict__ and "_parameters" in module.__dict__


def _held(module: torch.nn.Module) -> set[int]:
    found: set[int] = set()
    stack, seen = [module], {id(module)}
    while stack:
        one = stack.pop()
        found |= {id(p) for p in one._parameters.values() if p is not None}
        for child in one._modules.values():
            if child is not None and id(child) not in seen and _whole(child):
                seen.add(id(child))
                stack.append(child)
    return found


def _chain(module: torch.nn.Module, wanted: set[int]) -> list[torch.nn.Module]:
    found: list[torch.nn.Module] = []
    inner: torch.nn.Module | None = module
    while inner is not None and inner not in found:
        found.append(inner)
        inner = next((c for c in inner._modules.values() if c is not None and wanted <= _held(c)), None)
    return found
