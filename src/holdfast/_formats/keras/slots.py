"""Which weight each optimizer variable of a Keras file belongs to.

Keras stores optimizer state by position. The class (``compile_config``, ``training_config``, the ``name`` of
the group)
gives the slots, the model gives the trainable weights in order; a layout that explains every shape is taken,
and only
that proves an owner. Facts: :mod:`holdfast._facts.optimizers`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._core.errors import HoldfastError
from ..._core.spec import OptimizerSpec, ParamGroup, Role
from ..._facts.optimizers import GENERATIONS, plain_class, slot_blocks
from ..hdf5.file import Dataset
from .names import Weight
from .slot_layouts import Match, match

__all__ = ["Slot", "State", "optimizer_config", "role_of_slot", "state_of", "spec_of", "scalar"]

_GUESSES = ("Adam", "SGD", "RMSprop", "Adadelta", "Ftrl", "Adafactor")


def role_of_slot(slot: str) -> Role:
    """What a variable of an optimizer is by its slot's name: averages and accumulated gradients stand apart."""
    if slot == "average":
        return "average"
    return "gradient" if slot == "gradient_accumulator" else "slot"


@dataclass(slots=True)
class Slot:
    """What one optimizer variable is. ``owner`` is a weight's name; ``proved`` whether the file proves it."""

    dataset: Dataset
    role: Role
    name: str = ""
    slot: str | None = None
    owner: str | None = None
    proved: bool = True
    aliases: tuple[str, ...] = ()


@dataclass(slots=True)
class State:
    """An optimizer's variables in recorded order, and what they prove of it."""

    slots: list[Slot] = field(default_factory=list)
    class_likely: str | None = None
    fitted: bool = False


def optimizer_config(node: Any) -> tuple[str | None, dict[str, Any] | None]:
    """Class and configuration of a serialised optimizer (``{"class_name", "config"}``); ``(None, None)``
    without one.
    """
    if isinstance(node, dict) and isinstance(node.get("class_name"), str):
        config = node.get("config")
        return node["class_name"].rsplit(">", 1)[-1], config if isinstance(config, dict) else {}
    if isinstance(node, str):
        return plain_class(node), None
    return None, None


def scalar(dataset: Dataset) -> Any:
    """The value of a tiny numeric dataset, or ``None`` where it has more than one element or cannot be
    read.
    """
    if dataset.shape not in ((), (1,)) or dataset.problem is not None:
        return None
    try:
        value = dataset.file.read(dataset).reshape(-1)[0]
    except HoldfastError:
        return None
    return (
        value.item()
        if hasattr(value, "item") and dataset.raw is not None and dataset.raw.kind in "iufb"
        else None
    )


def state_of(
    variables: Sequence[Dataset],
    weights: list[Weight],
    class_name: str | None,
    config: Mapping[str, Any] | None,
    generation: str | None,
    label: str | None = None,
    by_name: bool | None = None,
) -> State:
    """Tell counters, hyperparameters and slots apart, and find the slots' owners.

    ``generation`` is one of :data:`holdfast._facts.optimizers.GENERATIONS` or ``None``; ``label`` the
    optimizer's
    name where the file has it. ``by_name``: whether the optimizer sorts its weights by name (Keras 1 and 2.0
    do),
    ``None`` where it never does.
    """
    state = State()
    names = _leading(variables)
    hint = plain_class(class_name or re.sub(r"_\d+$", "", label or ""))
    generations = (generation,) if generation else GENERATIONS
    classes = [hint] if hint and any(slot_blocks(hint, g) for g in generations) else list(_GUESSES)
    end = len(variables)
    if end > len(names) and variables[-1].shape == () and hint == "Nadam":
        end -= 1  # the product of the momentum schedule (keras/src/optimizers/nadam.py)
    found: Match | None = None
    for lead in (len(names), *range(len(names) - 1, 0, -1)):
        shapes = [d.shape for d in variables[lead:end]]
        if shapes and found is None:
            found = match(
                shapes, weights, lead, classes, generations, config if class_name else None, by_name
            )
    lead = found.lead if found else len(names)
    for dataset, name in zip(variables[:lead], names[:lead], strict=False):
        counts = name.endswith(("iteration", "step_counter"))
        state.slots.append(Slot(dataset, "counter" if counts else "hyperparameter", slot=name))
    if found:
        state.fitted = True
        state.class_likely = None if class_name else found.kind
        for dataset, (slot, index) in zip(variables[lead:end], found.pairs, strict=True):
            owner = found.weights[index].name
            state.slots.append(
                Slot(dataset, role_of_slot(slot), slot=slot, owner=owner, proved=owner in found.sure)
            )
    else:
        state.class_likely = None if class_name else hint
        state.slots.extend(Slot(dataset, "slot", proved=False) for dataset in variables[lead:end])
    state.slots.extend(Slot(dataset, "counter", slot="u_product") for dataset in variables[end:])
    return state


def _leading(variables: Sequence[Dataset]) -> list[str]:
    """The names of the scalars that open an optimizer's variables.

    Keras 3: iteration, then the learning rate unless a schedule gives it; a loss scale wrapper has its own
    two, then
    ``step_counter`` and ``dynamic_scale``, then those of the optimizer inside it
    (``loss_scale_optimizer.py``).
    """
    kinds = ""
    for dataset in variables[:8]:
        if dataset.shape != () or dataset.raw is None:
            break
        kinds += "i" if dataset.raw.kind in "iu" else "f"
    outer = ["iteration", "learning_rate"]
    if kinds.startswith("ifif"):
        names = [*outer, "step_counter", "dynamic_scale"]
        rest = kinds[4:]
        prefix = "inner/"
    elif kinds.startswith("iif"):
        names, rest, prefix = ["iteration", "step_counter", "dynamic_scale"], kinds[3:], "inner/"
    else:
        names, rest, prefix = [], kinds, ""
    if rest.startswith("i"):
        names.append(prefix + "iteration")
        if rest.startswith("if"):
            names.append(prefix + "learning_rate")
    elif not names and rest.startswith("f") and len(rest) == 1:
        names.append("iteration")  # Keras 1 counts in floats
    return names


# -- the optimizer -------------------------------------------------------------------------------------------
def spec_of(
    name: str, class_name: str | None, config: Mapping[str, Any] | None, state: State, **attributes: Any
) -> OptimizerSpec:
    """The optimizer as the catalog tells it: configured values from ``config``, current ones from stored
    scalars.
    """
    current: dict[str, Any] = {}
    step: int | None = None
    for slot in state.slots:
        if slot.role not in ("counter", "hyperparameter") or slot.slot is None:
            continue
        value = scalar(slot.dataset)
        plain = slot.slot.removeprefix("inner/")
        if plain in ("iteration", "iterations", "iter"):
            if value is not None:
                step = int(value)
        elif value is not None and slot.role == "hyperparameter":
            current[plain] = value
    configured = {k: v for k, v in (config or {}).items() if k not in ("name", "is_legacy_optimizer")}
    owned = [s for s in state.slots if s.role == "slot"]
    sure = all(
        s.owner and s.proved for s in owned
    )  # half a list of owners would say that the others have none
    owners = tuple(dict.fromkeys(s.owner for s in owned if s.owner)) if sure else ()
    names = tuple(dict.fromkeys(s.slot for s in state.slots if s.slot and s.role == "slot"))
    return OptimizerSpec(
        name=name,
        class_name=class_name,
        class_likely=state.class_likely,
        groups=(ParamGroup(owners=owners, configured=configured, current=current),),
        slots=names,
        step=step,
        attributes=attributes,
    )
