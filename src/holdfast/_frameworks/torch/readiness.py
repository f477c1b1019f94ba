"""What stands against the next step: the optimizers' weights and state against the model's.

Each fault says what torch will do; ``attributes["fails"]`` whether ``step()`` raises. Where that depends on the
optimizer's class, its own ``step`` is asked, on stand-ins without memory (:func:`first_step.dry_step`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..._core.fault import Fault
from .faults import are, fault, outcome, some
from .gradients import gradient_faults
from .modules import Model
from .optimizers import Optimizer
from .tensors import dtype_name, is_lazy

__all__ = ["readiness"]


def readiness(
    models: Sequence[Model], optimizers: Sequence[Optimizer], gradients: Any, alone: Collection[int] = ()
) -> list[Fault]:
    """All faults of one set of models and optimizers.

    ``gradients``: ``None`` (what the parameters hold is looked at), or a list in the order of the trainable
    parameters, or a mapping of names to gradients, or a list of (gradient, parameter). ``alone``: ids of tensors that
    are passed by themselves and may be an optimizer's too.
    """
    trained = [model for model in models if not model.average]
    names = {pid: name for model in trained for pid, name in model.parameters.items()}
    faults = [fault for model in trained for fault in _unbuilt(model)]
    if optimizers and trained:
        faults += _membership(trained, optimizers, names, alone)
    for optimizer in optimizers:
        faults += _twice(optimizer, names)
        faults += _options(optimizer)
        faults += _slots(optimizer, names)
    faults += gradient_faults(trained, optimizers, gradients, names)
    return faults


def _unbuilt(model: Model) -> Iterable[Fault]:
    if model.unbuilt:
        yield fault(
            "not-built",
            f"{some(model.unbuilt)} {are(model.unbuilt)} lazy and without parameters until the first call; the "
            "next step skips what has none",
            model.unbuilt,
            False,
            "Call the model once on a batch of the right shape, before the optimizer is made or anything is restored.",
        )


# -- which weights --------------------------------------------------------------------------------------
def _membership(
    models: Sequence[Model], optimizers: Sequence[Optimizer], names: Mapping[int, str], alone: Collection[int]
) -> list[Fault]:
    faults: list[Fault] = []
    held = {id(p) for o in optimizers for p in o.params}
    unknown = [
        p for m in models for p in m.listed if p.requires_grad and id(p) not in held and id(p) in names
    ]
    known = {*names, *alone}
    foreign = [(o, place, p) for o in optimizers for place, p in enumerate(o.params) if id(p) not in known]
    stale = bool(foreign) and sorted(tuple(p.shape) for _, _, p in foreign if not is_lazy(p)) == sorted(
        tuple(p.shape) for p in unknown if not is_lazy(p)
    )
    if foreign:
        told = [f"{o.spec.name}/{place}" for o, place, _ in foreign]
        why = (
            "; they have the shapes of the model's own weights that it lacks: the model's parameters were replaced "
            "after the optimizer was made"
            if stale
            else ""
        )
        faults.append(
            fault(
                "foreign-variable",
                f"the optimizer holds {len(told)} parameters that are none of the model's ({some(told)}){why}; the "
                "next step() says nothing and never changes the model by them",
                told,
                False,
                "Make the optimizer anew from model.parameters(), after the model has its final device, dtype and "
                "layers; or pass what owns these parameters too.",
                attributes={
                    "stale": stale,
                    "shapes": [list(p.shape) for _, _, p in foreign[:8] if not is_lazy(p)],
                },
            )
        )
    if unknown:
        told = [names[id(p)] for p in unknown]
        faults.append(
            fault(
                "unknown-variable",
                f"{some(told)} {are(told)} trainable and in no optimizer; the next step() says nothing and leaves "
                "what it does not hold as it is",
                told,
                False,
                "Add them with optimizer.add_param_group, or set requires_grad to False where that is meant.",
            )
        )
    frozen = [names[id(p)] for o in optimizers for p in o.params if id(p) in names and not p.requires_grad]
    if frozen:
        moving = [
            names[id(p)]
            for o in optimizers
            for p in o.params
            if id(p) in names and not p.requires_grad and p.grad is not None
        ]
        then = (
            f"{some(moving)} still hold a gradient and will be changed by the next step()"
            if moving
            else "they get no gradient, and the next step() passes them over"
        )
        faults.append(
            fault(
                "frozen-in-optimizer",
                f"{some(frozen)} {are(frozen)} frozen and in the optimizer; {then}",
                frozen,
                False,
                "Set their .grad to None."
                if moving
                else "Nothing needs to be done; leave them out to save memory.",
                attributes={"moves": moving},
            )
        )
    faults += _order(models, optimizers, names)
    return faults


def _order(models: Sequence[Model], optimizers: Sequence[Optimizer], names: Mapping[int, str]) -> list[Fault]:
    place = {id(p): n for n, p in enumerate(p for m in models for p in m.listed)}
    faults = []
    for optimizer in optimizers:
        crossed: list[str] = []
        start = 0
        for group in optimizer.spec.groups:
            members = optimizer.params[start : start + len(group.positions)]
            start += len(group.positions)
            ranks = [place[id(p)] for p in members if id(p) in place]
            if ranks != sorted(ranks):
                wanted = sorted((p for p in members if id(p) in place), key=lambda p: place[id(p)])
                have = [p for p in members if id(p) in place]
                crossed += [
                    names[id(p)] for p, q in zip(have, wanted, strict=True) if p is not q and id(p) in names
                ]
        if crossed:
            faults.append(
                fault(
                    "optimizer-order",
                    f"the optimizer lists {len(crossed)} weights in another order than model.parameters() does "
                    f"({some(crossed)}); the next step() runs, but its state is saved by position, and a program "
                    "that lists them otherwise gives each weight another's state",
                    crossed,
                    False,
                    "Give the optimizer its weights in the order of model.parameters() (a set has no order), or its "
                    "named parameters.",
                    attributes={"optimizer": optimizer.spec.name},
                )
            )
    return faults


def _twice(optimizer: Optimizer, names: Mapping[int, str]) -> Iterable[Fault]:
    seen: set[int] = set()
    twice: dict[str, None] = {}
    for place, param in enumerate(optimizer.params):
        if id(param) in seen:
            twice.setdefault(names.get(id(param), f"{optimizer.spec.name}/{place}"))
        seen.add(id(param))
    if twice:
        yield fault(
            "duplicate-variable",
            f"{some(list(twice))} {are(list(twice))} in the optimizer more than once; the next step() updates "
            "once for each time",
            list(twice),
            False,
            "Give every parameter once.",
        )


# -- their options ---------------------------------------------------------------------------------------
def _options(optimizer: Optimizer) -> Iterable[Fault]:
    """Groups without an option that the class's ``step`` reads: the groups of another class were loaded
    (torch/optim/optimizer.py, ``load_state_dict``: the stored groups replace the live ones, their weights apart)."""
    live = optimizer.live
    for number, group in enumerate(getattr(live, "param_groups", ())):
        lacking = [word for word in getattr(live, "defaults", {}) if word not in group]
        param = next((p for p in group["params"] if p.requires_grad and not is_lazy(p)), None)
        if not lacking or param is None:
            continue
        raised = outcome(optimizer, number, param)
        if raised is None or not raised.startswith("KeyError"):
            continue  # an option of a newer version, for which the class has a value of its own
        yield fault(
            "option-missing",
            f"the next step() raises {raised}: parameter group {number} has no {', '.join(f'`{w}`' for w in lacking[:3])}, which "
            f"{optimizer.spec.class_name} reads; its groups are those of another class",
            [f"{optimizer.spec.name}/param_groups/{number}/{word}" for word in lacking],
            True,
            "Make the optimizer of the class that was saved, or start it fresh and leave its state out of the load.",
            seen=", ".join(sorted(k for k in group if k != "params")),
            expected=", ".join(lacking),
            attributes={"optimizer": optimizer.spec.name, "group": number},
        )
        return


# -- their state -----------------------------------------------------------------------------------------
def _slots(optimizer: Optimizer, names: Mapping[int, str]) -> list[Fault]:
    """Slots that do not fit their weight, or that the class needs and the state lacks. One fault a kind."""
    found: dict[tuple[str, ...], list[tuple[str, Any, Any, torch.Tensor, int]]] = {}
    position = 0
    live = optimizer.live
    assert optimizer.first is not None
    for number, group in enumerate(live.param_groups):
        for param in group["params"]:
            state = live.state.get(param)
            at, position = position, position + 1
            if not state or is_lazy(param) or optimizer.first.known == "LBFGS":
                continue
            news = {new.path[0]: new for new in optimizer.first.of(number, group, param) or ()}
            name = names.get(id(param), f"{optimizer.spec.name}/{at}")
            for word, new in news.items():
                value = state.get(word)
                if value is None:
                    if new.number is None and not new.optional:
                        found.setdefault(("lacks", word), []).append((name, None, new, param, number))
                elif isinstance(value, torch.Tensor) and new.number is None:
                    if value.shape == new.shape and value.dtype == new.dtype and value.device == new.device:
                        continue
                    for kind, seen, expected in _unfit(value, new, param, word):
                        found.setdefault((kind, word), []).append((name, seen, expected, param, number))
    return [_slot_fault(optimizer, kind, word, places) for (kind, word), places in found.items()]


def _unfit(value: torch.Tensor, new: Any, param: torch.Tensor, word: str) -> Iterable[tuple[str, Any, Any]]:
    if tuple(value.shape) != new.shape and not (value.numel() == 1 and new.shape in ((), (1,))):
        yield "shape", list(value.shape), list(new.shape)
    elif value.dtype != new.dtype and new.shape == tuple(param.shape) and new.shape:
        yield "dtype", dtype_name(value.dtype), dtype_name(new.dtype)
    elif value.device != new.device and new.shape == tuple(param.shape) and new.shape:
        yield "device", str(value.device), str(new.device)


def _slot_fault(
    optimizer: Optimizer, kind: str, word: str, places: list[tuple[str, Any, Any, torch.Tensor, int]]
) -> Fault:
    _, seen, expected, param, number = places[0]
    owners = [place[0] for place in places]
    if kind == "device":
        raised: str | None = "RuntimeError: tensors on two devices"
    else:
        raised = outcome(optimizer, number, param)
    what = {
        "lacks": f"the state of {some(owners)} has no `{word}`, which {optimizer.spec.class_name} needs",
        "shape": f"`{word}` of {some(owners)} has shape {seen} where {expected} fits",
        "dtype": f"`{word}` of {some(owners)} is {seen} where {expected} fits",
        "device": f"`{word}` of {some(owners)} is on {seen}, the weight on {expected}",
    }[kind]
    then = f"the next step() raises {raised}" if raised else "the next step() runs with it all the same"
    return fault(
        "slot-mismatch",
        f"{what}; {then}",
        owners,
        raised is not None,
        "Restore the optimizer's state from a checkpoint of this optimizer and these weights, or start it fresh: "
        "optimizer.state.clear().",
        seen=None if seen is None else str(seen),
        expected=word if kind == "lacks" else str(expected),
        attributes={"slot": word, "kind": kind, "optimizer": optimizer.spec.name},
    )
