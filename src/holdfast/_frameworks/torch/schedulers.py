"""Schedulers, scalers and anything else with a ``state_dict`` as settings, named as their state dict is.

A scheduler's state is its own attributes (torch/optim/lr_scheduler.py, ``state_dict``: all but the optimizer;
functions are not stored, callable objects by their attributes; nested schedulers by their states). Those are
read and set one by one, so that a restore needs no whole state dict. Everything else (GradScaler, EMA helpers, loaders) is
set through its own ``load_state_dict``.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..._core.spec import Role, TensorSpec
from ..live import Setting, Variable
from .tensors import dtype_name, from_numpy, memory_of, put, to_numpy
from .values import keep_kind, plain

__all__ = [
    "describe_scheduler",
    "describe_stateful",
    "ending",
    "is_scheduler",
    "is_stateful",
    "scheduled_options",
]

_WORDS: Mapping[str, tuple[str, ...]] = {
    "scheduler": (
        "scheduler",
        "lr_scheduler",
        "sched",
        "scheduler_state_dict",
        "lr_scheduler_state_dict",
        "lr_schedulers/0",
        "",
    ),
    "scaler": ("scaler", "grad_scaler", "scaler_state_dict", "amp_scaler", "MixedPrecision", ""),
}
"""Part -> the keys under which checkpoints keep its state: PyTorch's tutorials, Lightning
(``lr_schedulers``, ``MixedPrecision``), timm (``amp_scaler``); bare in files of its own (transformers)."""

_COUNTERS = frozenset(
    {
        "last_epoch",
        "_step_count",
        "_growth_tracker",
        "T_cur",
        "num_bad_epochs",
        "cooldown_counter",
        "epoch",
        "step",
    }
)
_RATES = frozenset({"lr", "initial_lr", "max_lr", "min_lr", "swa_lr"})
_MOMENTA = frozenset({"momentum", "betas", "base_momentum", "max_momentum"})
"""Options of a group that schedulers set or put there (torch/optim/lr_scheduler.py, swa_utils.py)."""
_MOST = 64
"""A longer list of numbers is one setting, as our readers list it."""
_DEEPEST = 12


def is_scheduler(thing: Any) -> bool:
    """Whether it is a learning-rate scheduler: torch's, or another that drives an optimizer and can be
    stored."""
    if isinstance(thing, torch.optim.lr_scheduler.LRScheduler):
        return True
    return (
        is_stateful(thing)
        and hasattr(getattr(thing, "optimizer", None), "param_groups")
        and hasattr(thing, "step")
    )


def scheduled_options(scheduler: Any) -> frozenset[str]:
    """The options of a parameter group that this scheduler sets: rates, and with ``cycle_momentum`` (OneCycleLR,
    CyclicLR) the momentum, whichever of the two words the optimizer has for it."""
    found = _RATES
    if getattr(scheduler, "cycle_momentum", False):
        found |= _MOMENTA
    for inner in getattr(scheduler, "_schedulers", ()):
        found |= scheduled_options(inner)
    return found


def ending(scheduler: Any, name: str) -> Iterator[str]:
    """Of schedules that refuse a step beyond their last, the names: those of ``OneCycleLR`` (torch/optim/lr_scheduler.py,
    ``get_lr``), by itself or in a ``ChainedScheduler``, which steps all of its own each time."""
    if isinstance(scheduler, torch.optim.lr_scheduler.OneCycleLR):
        yield name
    elif isinstance(scheduler, torch.optim.lr_scheduler.ChainedScheduler):
        for number, inner in enumerate(scheduler._schedulers):
            yield from ending(inner, f"{name}/_schedulers/{number}")


def is_stateful(thing: Any) -> bool:
    """Whether it has ``state_dict`` and ``load_state_dict``."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


def _aliases(name: str, part: str, local: str) -> tuple[str, ...]:
    """Other paths of the same value; only where ``name`` is the part itself and not one of several."""
    if name != part:
        return ()
    words = next((w for key, w in _WORDS.items() if part in w or part == key), (part, f"{part}_state_dict"))
    return tuple(f"{word}/{local}" if word else local for word in words if word != part)


def _role(path: tuple[Any, ...], otherwise: Role) -> Role:
    if path[-1] in _COUNTERS:
        return "counter"
    return "metric" if path[-1] == "best" else otherwise


# -- paths through live objects --------------------------------------------------------------------------
def _step(thing: Any, key: Any) -> Any:
    if isinstance(thing, (Mapping, list, tuple)):
        return thing[key]
    return thing.__dict__[key]


def _fetch(root: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        root = _step(root, key)
    return root


def _assign(root: Any, path: tuple[Any, ...], value: Any) -> None:
    """Set what lies at ``path``. The list or tuple that holds it is made anew: tuples cannot change, and
    SequentialLR shares one list of rates with the scheduler whose turn it is."""
    key, rest = path[0], path[1:]
    if rest:
        inner = _step(root, key)
        if not isinstance(inner, (list, tuple)) or len(rest) > 1:
            _assign(inner, rest, value)
            return
        items = [value if index == rest[0] else item for index, item in enumerate(inner)]
        value = tuple(items) if isinstance(inner, tuple) else items
    if isinstance(root, (dict, list)):
        root[key] = value
    else:
        root.__dict__[key] = value


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every plain value and tensor below, with its path through the live objects."""
    if len(path) > _DEEPEST:
        return
    if value is None or isinstance(value, (bool, int, float, str, np.generic, torch.Tensor)):
        yield path, value
    elif isinstance(value, (list, tuple)):
        if len(value) > _MOST and all(isinstance(item, (int, float)) for item in value):
            yield path, value
            return
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif is_scheduler(value):
        for key in _stored(value):
            yield from _leaves(value.__dict__[key], (*path, key))
    elif path and path[0] == "lr_lambdas" and hasattr(value, "__dict__") and not hasattr(value, "__code__"):
        for key, item in value.__dict__.items():
            yield from _leaves(item, (*path, key))


def _stored(scheduler: Any) -> list[str]:
    """The attributes that the scheduler's own ``state_dict`` stores."""
    state = scheduler.state_dict()
    return [key for key in state if key in scheduler.__dict__] if isinstance(state, Mapping) else []


def describe_scheduler(
    scheduler: Any, name: str, part: str, order: int
) -> tuple[list[Setting], list[Variable]]:
    """A scheduler's values as settings, its tensors (a learning rate kept as a tensor) as variables."""
    settings: list[Setting] = []
    variables: list[Variable] = []
    kept = _stored(scheduler)
    seen: dict[int, str] = {}
    twice: set[str] = set()
    for word in kept:
        for path, value in _leaves(scheduler.__dict__[word], (word,)):
            local = "/".join(map(str, path))
            if isinstance(value, torch.Tensor):
                first = seen.setdefault(id(value), f"{name}/{local}")
                variables.append(_tensor(scheduler, name, local, path, value, order + len(variables), first))
                if first != f"{name}/{local}":
                    twice.add(first)
            else:
                settings.append(_setting(scheduler, name, part, local, path))
    for variable in variables:  # schedulers within one hand the very same tensor on
        if variable.spec.shares is not None and variable.spec.shares[7:] not in twice:
            variable.spec = variable.spec.with_(shares=None)
    rest = {k: v for k, v in scheduler.state_dict().items() if k not in kept and v is not None}
    if rest:  # what only its own methods make
        more, tensors = describe_stateful(scheduler, name, part, order + len(variables), only=set(rest))
        settings += more
        variables += tensors
    return settings, variables


def _setting(root: Any, name: str, part: str, local: str, path: tuple[Any, ...]) -> Setting:
    full = f"{name}/{local}"

    def write(value: Any) -> None:
        _assign(root, path, keep_kind(_fetch(root, path), value, full))

    return Setting(
        full,
        _role(path, "hyperparameter"),
        lambda: plain(_fetch(root, path)),
        write,
        part,
        aliases=_aliases(name, part, local),
        key=local,
        configured=_fetch(root, path) is not None and _is_argument(root, path),
        made_from=_made_from(name, path),
    )


def _made_from(name: str, path: tuple[Any, ...]) -> str | None:
    """The name of the length that the phases of a ``OneCycleLR`` are computed from."""
    if "_schedule_phases" not in path:
        return None
    return "/".join(map(str, (name, *path[: path.index("_schedule_phases")], "total_steps")))


def _is_argument(root: Any, path: tuple[Any, ...]) -> bool:
    """Whether it is kept under the name of an argument of the constructor of the scheduler that holds it
    (``T_max``, ``milestones``, ``min_lrs`` of ``min_lr``): what the code asks for, and no state."""
    word, holder = path[0], root
    for place, key in enumerate(path[:-1]):
        root = _step(root, key)
        if is_scheduler(root):
            word, holder = path[place + 1], root
    if not isinstance(word, str) or word in _COUNTERS:
        return False
    arguments = _arguments(type(holder))
    return any(form in arguments for form in (word, word.lstrip("_"), word.lstrip("_").removesuffix("s")))


_NOT_KEPT = frozenset({"optimizer", "schedulers", "last_epoch", "verbose"})
_ARGUMENTS: dict[type, frozenset[str]] = {}


def _arguments(cls: type) -> frozenset[str]:
    """What the class is constructed with, looked up once."""
    if cls not in _ARGUMENTS:
        try:
            _ARGUMENTS[cls] = frozenset(inspect.signature(cls).parameters) - _NOT_KEPT
        except (TypeError, ValueError):
            _ARGUMENTS[cls] = frozenset()  # written in C, or hidden: nothing is known of it
    return _ARGUMENTS[cls]


def _tensor(
    root: Any, name: str, local: str, path: tuple[Any, ...], value: torch.Tensor, order: int, first: str
) -> Variable:
    spec = TensorSpec(
        f"{name}/{local}",
        tuple(value.shape),
        dtype_name(value.dtype),
        role="hyperparameter",
        aliases=(f"{name}/{local}".replace("/", "."),),
        dialect="torch",
        order=order,
        shares=f"memory:{first}",
        attributes={"number": True} if value.dim() == 0 else {},
    )
    return Variable(spec, lambda: to_numpy(_fetch(root, path)), lambda array: put(_fetch(root, path), array))


# -- through load_state_dict ------------------------------------------------------------------------------
def describe_stateful(
    thing: Any, name: str, part: str, order: int, only: set[str] | None = None
) -> tuple[list[Setting], list[Variable]]:
    """Any object with a state dict: plain values as settings that are set through ``load_state_dict`` of the
    whole state; tensors as variables, in place where ``state_dict`` gives the live ones."""
    settings: list[Setting] = []
    variables: list[Variable] = []
    state = thing.state_dict()
    if not isinstance(state, Mapping):
        return settings, variables
    for path, value in _leaves(state, ()):
        if not path or (only is not None and path[0] not in only):
            continue
        local = "/".join(map(str, path))
        if isinstance(value, torch.Tensor):
            variables.append(_state_tensor(thing, name, local, path, value, order + len(variables)))
        else:
            settings.append(_state_setting(thing, name, part, local, path))
    return settings, variables


def _load(thing: Any, path: tuple[Any, ...], value: Any) -> None:
    state = copy.copy(thing.state_dict())
    if len(path) > 1:
        state[path[0]] = copy.deepcopy(state[path[0]])
    _assign(state, path, value)
    thing.load_state_dict(state)


def _state_setting(thing: Any, name: str, part: str, local: str, path: tuple[Any, ...]) -> Setting:
    full = f"{name}/{local}"

    def write(value: Any) -> None:
        _load(thing, path, keep_kind(_fetch(thing.state_dict(), path), value, full))

    otherwise: Role = "hyperparameter" if part in _WORDS["scaler"] else "other"
    return Setting(
        full,
        _role(path, otherwise),
        lambda: plain(_fetch(thing.state_dict(), path)),
        write,
        part,
        aliases=_aliases(name, part, local),
        key=local,
    )


def _state_tensor(
    thing: Any, name: str, local: str, path: tuple[Any, ...], value: torch.Tensor, order: int
) -> Variable:
    spec = TensorSpec(
        f"{name}/{local}",
        tuple(value.shape),
        dtype_name(value.dtype),
        role="rng" if "rng" in local.lower() or "generator" in local.lower() else "other",
        aliases=(f"{name}/{local}".replace("/", "."),),
        dialect="torch",
        order=order,
    )

    def write(array: np.ndarray) -> None:
        live = _fetch(thing.state_dict(), path)
        again = _fetch(thing.state_dict(), path)
        if live is again or live.data_ptr() == again.data_ptr():
            put(live, array)
        else:
            _load(thing, path, from_numpy(array, value.dtype).clone())

    def memory() -> np.ndarray | None:
        live, again = _fetch(thing.state_dict(), path), _fetch(thing.state_dict(), path)
        return memory_of(live) if live is again else None

    return Variable(spec, lambda: to_numpy(_fetch(thing.state_dict(), path)), write, memory)
