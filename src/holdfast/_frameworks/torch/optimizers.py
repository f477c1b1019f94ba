"""A torch optimizer's state as variables, its groups' options as settings.

Names are those of its ``state_dict()``: ``optimizer/state/3/exp_avg``, ``optimizer/param_groups/0/lr``; the
position counts the weights through all groups in order (torch/optim/optimizer.py, ``state_dict``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from ..._core.dtypes import nbytes_of
from ..._core.fault import Fault
from ..._core.spec import OptimizerSpec, ParamGroup, Role, SpecDraft, TensorSpec
from ..live import Setting, Variable
from .first_step import FirstSteps, New
from .slots import Slot
from .tensors import dtype_name, is_lazy, memory_of, put, to_numpy
from .values import keep_kind, plain

__all__ = ["Optimizer", "describe_optimizer", "is_optimizer", "unwrapped"]

_COUNTERS = frozenset({"step", "n_iter"})


@dataclass(slots=True)
class Optimizer:
    """One optimizer described; ``params``: all its weights by position; ``other_names``: of a slot's spec, how else files
    call it."""

    live: Any
    spec: OptimizerSpec
    other_names: Callable[[TensorSpec], tuple[str, ...]]
    variables: list[Variable] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    params: list[torch.Tensor] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    first: FirstSteps | None = None


def is_optimizer(thing: Any) -> bool:
    """Whether it is an optimizer of torch, or quacks like one (Apex, bitsandbytes, Accelerate's wrapper)."""
    if isinstance(thing, torch.optim.Optimizer):
        return True
    return isinstance(getattr(thing, "param_groups", None), list) and hasattr(thing, "state")


def unwrapped(thing: Any) -> Any:
    """The optimizer within a wrapper that keeps it as ``.optimizer`` (Accelerate, Lightning)."""
    seen = 0
    while not isinstance(thing, torch.optim.Optimizer) and is_optimizer(getattr(thing, "optimizer", None)):
        thing, seen = thing.optimizer, seen + 1
        if seen > 8:
            break
    return thing


def _leaves(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items: Any = state.items() if isinstance(state, Mapping) else enumerate(state)
    for word, value in items:
        if isinstance(value, (Mapping, list)) and len(path) < 8:
            yield from _leaves(value, (*path, word))
        else:
            yield (*path, word), value


def describe_optimizer(
    optimizer: Any, name: str, part: str, owners: Mapping[int, str], order: int, scheduled: frozenset[str]
) -> Optimizer:
    """Describe one optimizer. ``owners``: a parameter's id -> its name in the catalog; ``scheduled``: the options that a
    scheduler passed along sets."""
    optimizer = unwrapped(optimizer)
    first = FirstSteps(optimizer)
    made = Optimizer(optimizer, OptimizerSpec(name), partial(_other_names, len(name) + 1), first=first)
    words: dict[str, None] = {}
    unknown = False
    groups: list[ParamGroup] = []
    position = 0
    step: int | None = None
    for number, group in enumerate(optimizer.param_groups):
        start = position
        for param in group["params"]:
            made.params.append(param)
            state = optimizer.state.get(param)
            found: list[tuple[tuple[Any, ...], Any]] = list(_leaves(state)) if state else []
            for path, value in found:
                words.setdefault("/".join(map(str, path)))
                if isinstance(value, torch.Tensor):
                    _add_slot(made, name, part, position, param, path, value, None, owners, order)
                    if step is None and path == ("step",):
                        step = _count(value)
                else:
                    _add_number(made, name, part, position, param, path, value, number)
                    if path == ("step",) and isinstance(value, int):
                        step = max(step or 0, value)
            if not state and param.requires_grad and not is_lazy(param):
                news = first.of(number, group, param)
                unknown |= news is None
                for new in news or ():
                    words.setdefault("/".join(map(str, new.path)))
                    if new.number is None:
                        _add_slot(made, name, part, position, param, new.path, None, new, owners, order)
                    else:
                        _add_number(made, name, part, position, param, new.path, None, number)
            position += 1
        groups.append(_group(group, range(start, position), optimizer, owners))
        _add_options(made, name, part, number, group, scheduled, order)
    for key, state in optimizer.state.items():
        if not isinstance(key, torch.Tensor) and isinstance(state, (Mapping, list)):
            for path, value in _leaves(state):
                if isinstance(value, torch.Tensor):
                    _add_shared(made, name, key, path, value, order)
    cls = type(optimizer)
    attributes: dict[str, Any] = {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "defaults": {k: plain(v) for k, v in getattr(optimizer, "defaults", {}).items()},
        "owners_by": "the same tensor",
    }
    names = [group.get("param_names") for group in optimizer.param_groups]
    if not any(group.owners for group in groups) and all(isinstance(found, list) for found in names):
        attributes["recorded_names"] = tuple(str(name) for found in names for name in found)
    if unknown:
        attributes["slots_unknown"] = True  # nobody can say what the first step makes
    made.spec = OptimizerSpec(
        name,
        class_name=cls.__name__,
        groups=tuple(groups),
        slots=tuple(word for word in words if word != "step"),
        step=step,
        attributes=attributes,
    )
    return made


def _other_names(start: int, spec: TensorSpec) -> tuple[str, ...]:
    """With dots; and as in a file of the optimizer alone."""
    return spec.name.replace("/", "."), spec.name[start:]


def _count(value: torch.Tensor) -> int | None:
    if value.numel() != 1 or value.device.type == "meta":
        return None
    number = float(value)
    return int(number) if number == number and 0 <= number < 1 << 62 else None


def _group(
    group: Mapping[str, Any], positions: range, optimizer: Any, owners: Mapping[int, str]
) -> ParamGroup:
    """Options now in force, and those known to be as constructed: ``initial_lr``, and whatever still is the
    constructor's own default."""
    defaults = getattr(optimizer, "defaults", {})
    current = {
        k: plain(v)
        for k, v in group.items()
        if k not in ("params", "param_names") and not k.startswith("initial_")
    }
    configured = {k: v for k, v in current.items() if k in defaults and plain(defaults[k]) == v}
    configured |= {k[8:]: plain(v) for k, v in group.items() if k.startswith("initial_") and k[8:] in group}
    names = [owners.get(id(p)) for p in group["params"]]
    known = tuple(n for n in names if n is not None)
    return ParamGroup(known if len(known) == len(names) else (), tuple(positions), configured, current)


def _role(path: tuple[Any, ...]) -> Role:
    return "counter" if len(path) == 1 and path[0] in _COUNTERS else "slot"


def _add_slot(
    made: Optimizer,
    name: str,
    part: str,
    position: int,
    param: torch.Tensor,
    path: tuple[Any, ...],
    value: torch.Tensor | None,
    new: New | None,
    owners: Mapping[int, str],
    order: int,
) -> None:
    local = "/".join(map(str, path))
    role = _role(path)
    owner = owners.get(id(param))
    attributes: dict[str, Any] = {"position": position}
    device = value.device if value is not None else new.device if new is not None else torch.device("cpu")
    if owner is None and role == "slot":
        attributes["owner_unproved"] = True
    if device.type != "cpu":
        attributes["device"] = str(device)
    if new is not None:
        attributes["virtual"] = True
        if new.optional:
            attributes["optional"] = True
    elif len(path) == 2 and isinstance(path[1], int):
        attributes["optional"] = True  # one of a history that grows step by step (LBFGS)
    if value is not None and not value.is_contiguous():
        attributes["stride"] = list(value.stride())
    shape = tuple(value.shape) if value is not None else new.shape if new is not None else ()
    dtype = value.dtype if value is not None else new.dtype if new is not None else torch.float32
    if shape == ():
        attributes["number"] = True  # older writers keep it as a plain number
    full = f"{name}/state/{position}/{local}"
    draft = SpecDraft()
    draft.name = draft.key = full
    draft.shape, draft.dtype = shape, dtype_name(dtype)
    draft.nbytes = nbytes_of(shape, draft.dtype)
    draft.role, draft.owner, draft.optimizer = role, owner, name
    draft.slot = local if role == "slot" else None
    draft.aliases = made.other_names
    draft.dialect = "torch"
    draft.order = order + len(made.variables)
    draft.path = draft.stored = ()
    draft.layout = draft.trainable = draft.shares = draft.extent = None
    draft.attributes = attributes
    spec = draft.done()
    slot = Slot(made.live, param, path, new)
    settable = value is None or value.device.type != "meta"
    slot.variable = Variable(
        spec, None if value is None else slot.read, slot.write if settable else None, slot.memory, slot.clear
    )
    made.slots.append(slot)
    made.variables.append(slot.variable)


def _add_number(
    made: Optimizer,
    name: str,
    part: str,
    position: int,
    param: torch.Tensor,
    path: tuple[Any, ...],
    value: Any,
    group: int,
) -> None:
    """State that is a plain number (SparseAdam's step, LBFGS's counts); unmade ones read as ``None``."""
    slot = Slot(made.live, param, path, None)
    made.slots.append(slot)

    def write(given: Any) -> None:
        if given is None:
            slot.unset()
        else:
            slot.set(keep_kind(slot.get(), given, f"{name}/state/{position}/{path[0]}"))

    made.settings.append(
        Setting(
            f"{name}/state/{position}/{'/'.join(map(str, path))}",
            "counter" if path[-1] in ("step", "n_iter", "func_evals") else "other",
            slot.get,
            write,
            part,
            optimizer=name,
            group=group,
            key="/".join(map(str, path)),
        )
    )


def _add_shared(
    made: Optimizer, name: str, key: Any, path: tuple[Any, ...], value: torch.Tensor, order: int
) -> None:
    """State that belongs to no weight (``optimizer.state["global"]``)."""
    local = "/".join(map(str, path))
    made.variables.append(
        Variable(
            TensorSpec(
                f"{name}/state/{key}/{local}",
                tuple(value.shape),
                dtype_name(value.dtype),
                role=_role(path),
                slot=local if _role(path) == "slot" else None,
                optimizer=name,
                dialect="torch",
                order=order + len(made.variables),
            ),
            lambda: to_numpy(value),
            lambda array: put(value, array),
            lambda: memory_of(value),
        )
    )


def _add_options(
    made: Optimizer,
    name: str,
    part: str,
    number: int,
    group: dict[str, Any],
    scheduled: frozenset[str],
    order: int,
) -> None:
    for key, value in list(group.items()):
        if key in ("params", "param_names"):
            continue
        full = f"{name}/param_groups/{number}/{key}"
        made.settings.append(_option(full, group, key, name, part, number, key in scheduled))
        if isinstance(value, torch.Tensor):
            made.variables.append(
                Variable(
                    TensorSpec(
                        full,
                        tuple(value.shape),
                        dtype_name(value.dtype),
                        role="hyperparameter",
                        optimizer=name,
                        aliases=(full.replace("/", "."), f"param_groups/{number}/{key}"),
                        dialect="torch",
                        order=order + len(made.variables),
                        attributes={"number": True},
                    ),
                    partial(_read_option, group, key),
                    partial(_put_option, group, key),
                )
            )


def _read_option(group: Mapping[str, Any], key: str) -> np.ndarray:
    return to_numpy(group[key])


def _put_option(group: Mapping[str, Any], key: str, array: np.ndarray) -> None:
    put(group[key], array)


def _option(
    full: str, group: dict[str, Any], key: str, name: str, part: str, number: int, scheduled: bool
) -> Setting:
    def read() -> Any:
        return plain(group.get(key))

    def write(value: Any) -> None:
        group[key] = keep_kind(group.get(key), value, full)

    return Setting(
        full,
        "hyperparameter",
        read,
        write,
        part,
        optimizer=name,
        group=number,
        key=key,
        scheduled=scheduled,
    )
