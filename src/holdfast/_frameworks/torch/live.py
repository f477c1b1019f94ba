"""The way in: what is torch's, and one catalog of everything passed.

Names agree with what our readers give for the same objects saved by ``torch.save``: weights as in the bare
model's ``state_dict()`` (``encoder.0.weight``; several models as ``gen/0.weight``), optimizer state as
``optimizer/state/0/exp_avg``, options as ``optimizer/param_groups/0/lr``, a scheduler's values as
``scheduler/last_epoch``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from ..._core.errors import UsageError
from ..._core.fault import Fault
from ..._core.roles import guess_role
from ..._core.spec import TensorSpec
from ..live import LiveCatalog, Setting, Variable
from .modules import Model, describe_model
from .optimizers import Optimizer, describe_optimizer, is_optimizer, unwrapped
from .readiness import readiness
from .schedulers import (
    describe_scheduler,
    describe_stateful,
    ending,
    is_scheduler,
    is_stateful,
    scheduled_options,
)
from .slots import Slot, fill
from .tensors import dtype_name, is_split, memory_of, part_here, put, ranks_of, storage_of, to_numpy
from .values import plain

__all__ = ["describe", "recognises"]

_PLAIN = (bool, int, float, str, type(None), np.generic)


def recognises(thing: Any) -> bool:
    """Whether it is a torch module, optimizer, scheduler, scaler or generator, or a list or mapping of such, or
    a mapping of tensors. Keras models on the torch backend are Keras's."""
    if _is_keras(thing):
        return False
    if isinstance(thing, (torch.nn.Module, torch.optim.Optimizer, torch.Tensor, torch.Generator)):
        return True
    if isinstance(thing, Mapping):
        return any(recognises(value) for value in thing.values())
    if isinstance(thing, (list, tuple)):
        return any(recognises(value) for value in thing)
    if any(cls.__module__.partition(".")[0] == "torch" for cls in type(thing).__mro__):
        return is_stateful(thing)
    return is_scheduler(thing) and isinstance(thing.optimizer, torch.optim.Optimizer)


def _is_keras(thing: Any) -> bool:
    return any(cls.__module__.partition(".")[0] in ("keras", "tf_keras") for cls in type(thing).__mro__)


@dataclass(slots=True)
class _All:
    """What has been described so far."""

    variables: list[Variable] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    optimizers: list[Optimizer] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    plain: dict[str, Any] = field(default_factory=dict)
    ending: list[str] = field(default_factory=list)  # names of schedules that refuse a step beyond their last
    alone: set[int] = field(default_factory=set)  # ids of tensors passed by themselves (SAC's `log_alpha`)
    bare: dict[str, str] = field(default_factory=dict)  # bare name of a main model's weight -> its name


def describe(parts: Mapping[str, Any], *, here: bool = False) -> LiveCatalog:
    """Everything passed as one catalog; models first, then optimizers, then the rest, each in the order given.

    ``here``: of tensors that are split over ranks, this rank's part with its own shape, to be read; else they have the shape
    of the whole, and no values that one process could read.

    Raises :class:`UsageError` for a part of no known kind.
    """
    found = sorted(
        (item for part, given in parts.items() for item in _unfold(part, given)),
        key=lambda item: _rank(item[0], item[2]),
    )
    made = _All()
    driven: dict[int, frozenset[str]] = {}
    for _, _, thing in found:
        if is_scheduler(thing):
            key = id(unwrapped(thing.optimizer))
            driven[key] = driven.get(key, frozenset()) | scheduled_options(thing)
    # tens of thousands of objects without cycles: walking them again and again costs more than making them
    collecting = gc.isenabled()
    gc.disable()
    try:
        for part, name, thing in found:
            _describe_one(made, part, name, thing, driven)
    finally:
        if collecting:
            gc.enable()
    _foreign_schedulers(made, found)
    return LiveCatalog(
        [_here(variable) for variable in made.variables] if here else made.variables,
        framework="torch",
        parts=parts,
        settings=made.settings,
        modules=lambda: [spec for model in made.models for spec in model.modules()],
        unbuilt=[path for model in made.models for path in model.unbuilt],
        attributes=_attributes(made),
        optimizers=[optimizer.spec for optimizer in made.optimizers],
        faults=made.faults,
        readiness=lambda gradients: readiness(made.models, made.optimizers, gradients, made.alone),
        result=lambda: dict(made.plain),
        finish=lambda: _finish(made),
        ending=made.ending,
        split=None if here else lambda: _split(made.variables),
    )


def _behind(variable: Variable) -> Any:
    """The tensor that a variable is; of a slot that is not made yet, the weight that it will be laid out as."""
    read: Any = variable.read
    if isinstance(read, partial) and read.func is to_numpy:
        return read.args[0]
    slot = getattr(read or variable.write, "__self__", None)
    if not isinstance(slot, Slot):
        return None
    tensor = slot.get()
    return slot.param if tensor is None and variable.spec.shape == tuple(slot.param.shape) else tensor


def _split(variables: list[Variable]) -> dict[str, int]:
    """Names of the tensors that are split -> over how many ranks."""
    behind = ((v.spec.name, _behind(v)) for v in variables)
    return {name: ranks_of(tensor) for name, tensor in behind if is_split(tensor)}


def _here(variable: Variable) -> Variable:
    """The variable of this rank's part, where a tensor is split over ranks."""
    tensor = _behind(variable)
    if not is_split(tensor):
        return variable
    if variable.read is None:  # a slot that is not made yet
        return replace(variable, spec=replace(variable.spec, shape=tuple(part_here(tensor).shape)))
    part = part_here(tensor)
    return Variable(
        replace(variable.spec, shape=tuple(part.shape)), partial(to_numpy, part), partial(put, part)
    )


def _attributes(made: _All) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "writer": f"PyTorch {torch.__version__}",
        "torch_version": torch.__version__,
    }
    wrappers = {model.prefix: model.wrappers for model in made.models if model.wrappers}
    if wrappers:
        attributes["wrappers"] = wrappers
    return attributes


def _finish(made: _All) -> None:
    for optimizer in made.optimizers:
        fill(optimizer.slots)
    torch.clear_autocast_cache()  # casts of the old values


def _unfold(part: str, given: Any) -> Iterator[tuple[str, str, Any]]:
    """(part, name, object) of everything in a part: one object, or the items of a list or mapping of objects."""
    if _object(given) or (isinstance(given, Mapping) and _tensors(given)):
        yield part, part, given
        return
    if isinstance(given, Mapping) and "scheduler" in given and is_scheduler(given["scheduler"]):
        yield part, part, given["scheduler"]  # Lightning's way to say how often it steps
        return
    if isinstance(given, Mapping) and any(map(recognises, given.values())):
        for name, thing in given.items():
            yield from _named(part, f"{part}/{name}" if part != "model" else str(name), thing)
        return
    if isinstance(given, (list, tuple)) and any(map(recognises, given)):
        if len(given) == 1:
            yield from _named(part, part, given[0])
            return
        for index, thing in enumerate(given):
            yield from _named(part, f"{part}/{index}", thing)
        return
    yield part, part, given


def _named(part: str, name: str, thing: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(thing, Mapping) and is_scheduler(thing.get("scheduler")):
        thing = thing["scheduler"]
    yield part, name, thing


def _object(thing: Any) -> bool:
    return not isinstance(thing, (Mapping, list, tuple)) and (recognises(thing) or is_stateful(thing))


def _tensors(given: Mapping[Any, Any]) -> bool:
    """Whether it is a mapping (of mappings) of tensors and plain values: a state dict held by hand."""
    values = list(given.values())
    tensors = [v for v in values if isinstance(v, torch.Tensor)]
    inner = [v for v in values if isinstance(v, Mapping)]
    return (bool(tensors) or any(_tensors(v) for v in inner)) and all(
        isinstance(v, (torch.Tensor, Mapping, *_PLAIN)) for v in values
    )


def _rank(part: str, thing: Any) -> int:
    if isinstance(thing, torch.nn.Module):
        return 0 if part == "model" else 1
    if isinstance(thing, Mapping):
        return 1
    return 2 if is_optimizer(thing) and not is_scheduler(thing) else 3


def _describe_one(made: _All, part: str, name: str, thing: Any, driven: Mapping[int, frozenset[str]]) -> None:
    order = len(made.variables)
    if isinstance(thing, torch.nn.Module):
        # an averaged copy belongs to the model whose names it bears
        copy = part in ("ema", "swa", "average", "averaged") and bool(made.bare)
        owners = made.bare if copy or type(thing).__name__ == "AveragedModel" else None
        prefix = "" if name == "model" else f"{name}/"
        model = describe_model(thing, part, prefix, owners, order)
        if not model.average:
            for known in model.parameters.values():
                made.bare.setdefault(known[len(prefix) :], known)
        made.models.append(model)
        made.variables += model.variables
        made.settings += model.settings
        made.faults += model.faults
    elif isinstance(thing, Mapping) and _tensors(thing):
        made.alone |= {id(tensor) for _, tensor in _walk(thing, ())}
        made.variables += list(_state_dict(thing, "" if name == "model" else f"{name}/", order))
    elif isinstance(thing, torch.Generator):
        made.variables.append(_generator(thing, name, order))
    elif isinstance(thing, torch.Tensor):
        made.alone.add(id(thing))
        made.variables += list(_state_dict({name: thing}, "", order))
    elif is_optimizer(thing) and not is_scheduler(thing):
        owners_of = {pid: known for model in made.models for pid, known in reversed(model.parameters.items())}
        optimizer = describe_optimizer(
            thing, name, part, owners_of, order, driven.get(id(unwrapped(thing)), frozenset())
        )
        made.optimizers.append(optimizer)
        made.variables += optimizer.variables
        made.settings += optimizer.settings
        made.faults += optimizer.faults
    elif is_scheduler(thing) or is_stateful(thing):
        describe_any = describe_scheduler if is_scheduler(thing) else describe_stateful
        settings, variables = describe_any(thing, name, part, order)
        made.settings += settings
        made.variables += variables
        made.ending += ending(thing, name)
    elif isinstance(thing, _PLAIN):
        made.settings.append(_value(made, name, part, thing))
    else:
        raise UsageError(
            f"{part}= is of a kind that is not known",
            found=f"{type(thing).__module__}.{type(thing).__qualname__}",
            expected="a torch module, optimizer or scheduler, anything with state_dict and load_state_dict, or a "
            "number or text",
            remedy="Pass the object itself, not its class; leave out what holds no state.",
        )


def _foreign_schedulers(made: _All, found: list[tuple[str, str, Any]]) -> None:
    """A scheduler that drives an optimizer other than those passed."""
    passed = {id(optimizer.live) for optimizer in made.optimizers}
    for _, name, thing in found:
        if passed and is_scheduler(thing) and id(unwrapped(thing.optimizer)) not in passed:
            made.faults.append(
                Fault(
                    "foreign-scheduler",
                    f"{name} drives another optimizer than the one passed: its steps change nothing here",
                    tensor=name,
                    attributes={
                        "fails": False,
                        "remedy": "Make the scheduler anew from this optimizer.",
                    },
                )
            )


def _state_dict(tree: Mapping[Any, Any], prefix: str, order: int) -> Iterator[Variable]:
    """Tensors held by hand in nested mappings, named by their path."""
    seen: dict[Any, str] = {}
    for path, tensor in _walk(tree, ()):
        name = prefix + "/".join(path)
        place = storage_of(tensor) or id(tensor)
        first = seen.setdefault(place, name)
        yield Variable(
            TensorSpec(
                name,
                tuple(tensor.shape),
                dtype_name(tensor.dtype),
                role=guess_role(name, dtype_name(tensor.dtype), tuple(tensor.shape)),
                aliases=(name.replace("/", "."),) if "/" in name else (),
                dialect="torch",
                order=order,
                shares=f"memory:{first}" if first != name else None,
                trainable=tensor.requires_grad if isinstance(tensor, torch.nn.Parameter) else None,
            ),
            partial(to_numpy, tensor),
            partial(put, tensor),
            partial(memory_of, tensor),
        )
        order += 1


def _walk(tree: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
    for key, value in tree.items():
        if isinstance(value, torch.Tensor):
            yield (*path, str(key)), value
        elif isinstance(value, Mapping) and len(path) < 100:
            yield from _walk(value, (*path, str(key)))


def _generator(generator: torch.Generator, name: str, order: int) -> Variable:
    state = generator.get_state()

    def write(array: np.ndarray) -> None:
        generator.set_state(torch.from_numpy(np.array(array, copy=True)))

    spec = TensorSpec(name, tuple(state.shape), "uint8", role="rng", dialect="torch", order=order)
    return Variable(spec, lambda: to_numpy(generator.get_state()), write)


def _value(made: _All, name: str, part: str, value: Any) -> Setting:
    """A plain value passed along: it cannot be changed in place, so the restored one is in ``result()``."""
    made.plain[name] = value
    word = name.rsplit("/", 1)[-1]
    role = guess_role(word, "int64", ())

    def write(given: Any) -> None:
        made.plain[name] = given

    return Setting(
        name,
        role if role in ("counter", "rng") else "other",
        lambda: plain(made.plain[name]),
        write,
        part,
        key=word,
    )
