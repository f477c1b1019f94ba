"""From the optimizers a walk found to :class:`OptimizerSpec`, and from their slots to owners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._core.roles import BUFFER_WORDS
from ..._core.spec import OptimizerSpec, ParamGroup
from ..pickles.arrays import NumpyArray
from .leaves import Leaf, Optimizer
from .owners import candidates
from .views import Tensor

__all__ = ["Ownership", "optimizer_name", "owners_of", "optimizer_spec", "class_likely"]


_UNSHAPED = frozenset({"step", "mu_product", "eta", "mu", "n_iter"})


@dataclass(slots=True)
class Ownership:
    """Per position the name of its weight where proved, else the candidates; ``how`` it was proved."""

    proved: dict[int, str] = field(default_factory=dict)
    possible: dict[int, list[str]] = field(default_factory=dict)
    how: str | None = None


def optimizer_name(optimizer: Optimizer) -> str:
    """Its path in the file; a file that is nothing but an optimizer's state calls it ``optimizer``."""
    return optimizer.name or "optimizer"


def owners_of(
    index: int,
    optimizer: Optimizer,
    leaves: Sequence[Leaf],
    homes: dict[str, list[Leaf]],
    averages: set[str],
) -> Ownership:
    """Prove the owners of one optimizer's states.

    By identity where whole objects were pickled together; by name where the file records parameter names;
    else by recorded order and shapes against each state dict of the file (copies of averaged weights come
    last).
    """
    made = Ownership()
    if optimizer.count == 0:
        return made
    if optimizer.parameters:
        known: dict[tuple[Any, ...], str] = {}
        for leaf in leaves:
            if leaf.optimizer is None and isinstance(leaf.part, Tensor) and leaf.part.identity is not None:
                known.setdefault(leaf.part.identity, leaf.name)
        for position, tensor in optimizer.parameters.items():
            name = known.get(tensor.identity) if tensor.identity is not None else None
            if name is not None:
                made.proved[position] = name
        made.how = "the same tensor"
        return made
    if _by_name(optimizer, homes, averages, made):
        return made
    return _by_order(index, optimizer, leaves, homes, averages, made)


def _by_name(optimizer: Optimizer, homes: dict[str, list[Leaf]], averages: set[str], made: Ownership) -> bool:
    """Names recorded with the groups (``param_names``, torch 2.7 and later) or as state keys (FSDP full state
    dicts).
    """
    recorded: dict[int, str] = {}
    position = 0
    for members, names in zip(optimizer.members, optimizer.names, strict=True):
        for number, member in enumerate(members):
            if len(names) == len(members):
                recorded[position] = names[number]
            elif isinstance(member, str):
                recorded[position] = member
            position += 1
    if not recorded:
        return False
    for home, leaves in homes.items():
        if home in averages:
            continue
        local = {leaf.local: leaf.name for leaf in leaves if leaf.optimizer is None}
        if all(name in local for name in recorded.values()):
            made.proved = {p: local[name] for p, name in recorded.items()}
            made.how = "recorded names"
            return True
    return False


def _by_order(
    index: int,
    optimizer: Optimizer,
    leaves: Sequence[Leaf],
    homes: dict[str, list[Leaf]],
    averages: set[str],
    made: Ownership,
) -> Ownership:
    shapes = _state_shapes(index, leaves)
    groups: list[list[tuple[int, ...] | None]] = []
    position = 0
    for members in optimizer.members:
        groups.append([shapes.get(position + n) for n in range(len(members))])
        position += len(members)
    if not shapes:
        return made
    fitting: list[dict[int, list[str]]] = []
    for home, found in homes.items():
        if home in averages:
            continue
        weights = _weights(found)
        if len(weights) < optimizer.count:
            continue
        choice = candidates(groups, [leaf.part.shape for leaf in weights])
        if choice is None:
            continue
        position, possible = 0, {}
        for group in choice:
            for places in group:
                possible[position] = [weights[p].name for p in places]
                position += 1
        fitting.append(possible)
    if len(fitting) == 1:
        for position, names in fitting[0].items():
            if len(names) == 1:
                made.proved[position] = names[0]
            else:
                made.possible[position] = names
        made.how = "recorded order and shapes"
    elif fitting:
        for position in range(optimizer.count):
            made.possible[position] = [name for possible in fitting for name in possible.get(position, [])]
    return made


def _state_shapes(index: int, leaves: Sequence[Leaf]) -> dict[int, tuple[int, ...] | None]:
    """Per position the shape its slots agree on; ``None`` where they differ (factored or scalar slots tell
    nothing).
    """
    shapes: dict[int, set[tuple[int, ...]]] = {}
    for leaf in leaves:
        if leaf.optimizer != index or leaf.position is None or leaf.slot is None:
            continue
        if leaf.slot in _UNSHAPED or "row" in leaf.slot or "col" in leaf.slot or "/" in leaf.slot:
            continue
        shapes.setdefault(leaf.position, set()).add(leaf.part.shape)
    return {p: next(iter(s)) if len(s) == 1 else None for p, s in shapes.items()}


def _weights(found: Sequence[Leaf]) -> list[Leaf]:
    """What of a state dict an optimizer could hold: no known buffers, no integers, tied weights once."""
    seen: set[Any] = set()
    made = []
    for leaf in found:
        part = leaf.part
        if leaf.optimizer is not None or leaf.kind == "buffer" or isinstance(part, NumpyArray):
            continue
        if leaf.local.rsplit(".", 1)[-1] in BUFFER_WORDS or part.dtype.startswith(("int", "uint", "bool")):
            continue
        if part.identity is not None:
            if part.identity in seen:
                continue
            seen.add(part.identity)
        made.append(leaf)
    return made


# -- the class -------------------------------------------------------------------------------------------


def class_likely(slots: Sequence[str], group: dict[str, Any]) -> str | None:
    """The optimizer that writes such slots and group keys (torch/optim/*.py), or ``None``."""
    have, keys = set(slots), set(group)
    if {"exp_avg", "exp_avg_sq"} <= have:
        if "momentum_decay" in keys or "mu_product" in have:
            return "NAdam"
        if "amsgrad" not in keys:
            return (
                "RAdam"
                if "decoupled_weight_decay" in keys
                else "SparseAdam"
                if "weight_decay" not in keys
                else "Adam"
            )
        decoupled = group.get("decoupled_weight_decay")
        if isinstance(decoupled, bool):
            return "AdamW" if decoupled else "Adam"
        # Before the key existed only the default tells: 0 in Adam, 0.01 in AdamW.
        return "AdamW" if group.get("weight_decay") == 0.01 else "Adam"
    if {"exp_avg", "exp_inf"} <= have:
        return "Adamax"
    if {"square_avg", "acc_delta"} <= have:
        return "Adadelta"
    if "square_avg" in have:
        return "RMSprop"
    if {"prev", "step_size"} <= have or "etas" in keys:
        return "Rprop"
    if {"eta", "mu", "ax"} <= have:
        return "ASGD"
    if "sum" in have and "lr_decay" in keys:
        return "Adagrad"
    if "row_var" in have or "exp_avg_sq_row" in have or "exp_avg_sq_col" in have:
        return "Adafactor"
    if "old_dirs" in have or "line_search_fn" in keys:
        return "LBFGS"
    if "nesterov" in keys or "dampening" in keys:
        return "SGD"
    if "exp_avg" in have and "betas" in keys:
        return "Lion"
    return None


def optimizer_spec(optimizer: Optimizer, owners: Ownership, step: int | None) -> OptimizerSpec:
    """The spec: groups with owners where all are proved, positions always; ``initial_lr`` is the configured
    rate.
    """
    groups, position = [], 0
    for values, members in zip(optimizer.groups, optimizer.members, strict=True):
        positions = tuple(range(position, position + len(members)))
        position += len(members)
        names = tuple(owners.proved[p] for p in positions if p in owners.proved)
        current = {k: v for k, v in values.items() if not k.startswith("initial_")}
        configured = {k[8:]: v for k, v in values.items() if k.startswith("initial_")}
        groups.append(
            ParamGroup(names if len(names) == len(positions) else (), positions, configured, current)
        )
    first = optimizer.groups[0] if optimizer.groups else {}
    cls = optimizer.class_name.rsplit(".", 1)[-1] if optimizer.class_name else None
    attributes: dict[str, Any] = {}
    if optimizer.class_name:
        attributes["class"] = optimizer.class_name
    if optimizer.defaults:
        attributes["defaults"] = optimizer.defaults
    if owners.how:
        attributes["owners_by"] = owners.how
    if not owners.proved and (recorded := _recorded_names(optimizer)):
        attributes["recorded_names"] = recorded
    unproved = optimizer.count - len(owners.proved)
    if unproved:
        attributes["owners_unproved"] = unproved
    if optimizer.values:
        attributes["values"] = _values(optimizer)
    return OptimizerSpec(
        name=optimizer_name(optimizer),
        class_name=cls,
        class_likely=class_likely(optimizer.slots, first) if cls is None else None,
        groups=tuple(groups),
        slots=tuple(s for s in optimizer.slots if s != "step"),
        step=step,
        attributes=attributes,
    )


def _recorded_names(optimizer: Optimizer) -> tuple[str, ...]:
    """The names that the groups record, by position; empty where not all of them do."""
    groups = list(zip(optimizer.members, optimizer.names, strict=True))
    if any(len(members) != len(names) for members, names in groups):
        return ()
    return tuple(name for _, names in groups for name in names)


def _values(optimizer: Optimizer) -> dict[str, Any]:
    """Plain values of the states: one per slot where all agree, else by position."""
    made: dict[str, Any] = {}
    words = {word for values in optimizer.values.values() for word in values}
    for word in sorted(words):
        found = {p: v[word] for p, v in optimizer.values.items() if word in v}
        first = next(iter(found.values()))
        made[word] = (
            first if all(v == first for v in found.values()) else {str(p): v for p, v in found.items()}
        )
    return made
