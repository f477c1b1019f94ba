"""Optimizers in an object graph: which nodes they are, which variables they made, and for whom."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .describe import CLASSES
from .object_graph import Node, ObjectGraph

__all__ = ["Optimizer", "OwnVariable", "find_optimizers"]

_STEP = {"iter", "_iterations", "iterations"}
_MARKS = {
    "learning_rate",
    "_learning_rate",
    "_current_learning_rate",
    "decay",
    "beta_1",
    "momentum",
    "rho",
    "_variables",
    "_momentums",
    "_velocities",
    "_trainable_variables",
    "hyper",
}
_WRAPPED = ("inner_optimizer", "base_optimizer")
_NOT_OWN = {"_trainable_variables", "_trainable_variables_indices", "_model_variables", "_tracked"}
# Slot names as Keras writes them; longest first, so that "average_gradient" is not taken for "gradient".
SLOTS = sorted(
    [
        "momentum",
        "velocity",
        "average_gradient",
        "accumulator",
        "velocity_hat",
        "m",
        "v",
        "vhat",
        "u",
        "norm",
        "linear",
        "accumulated_grad",
        "accumulated_delta_var",
        "accumulated_gradient",
        "average",
        "gradient_accumulator",
        "r",
        "c",
        "rms",
        "mg",
        "accum_grad",
        "accum_var",
        "exp_avg",
        "delta",
        "squared_gradient",
        "inf_norm",
    ],
    key=len,
    reverse=True,
)


@dataclass(slots=True)
class OwnVariable:
    """A variable that an optimizer made.

    ``kind``: ``slot``, ``average``, ``gradient``, or ``own`` (iterations, learning rate, loss scale).
    ``owner`` is the weight's node where it is proved; ``owner_hint`` the owner's name as the slot's name
    spells it.
    """

    node: int
    full: str
    kind: str = "own"
    slot: str | None = None
    owner: int | None = None
    owner_hint: str | None = None


@dataclass(slots=True)
class Optimizer:
    """One optimizer, wrappers (loss scaling) included: ``root`` is the outermost node, ``name`` its object
    path.
    """

    name: str
    root: int
    scope: str | None = None
    variables: list[OwnVariable] = field(default_factory=list)
    trainable: list[int] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


def _is_optimizer(node: Node) -> bool:
    names = {name for name, _ in node.children}
    return (
        bool(node.slots)
        or bool(names & _STEP and names & _MARKS)
        or bool(names & set(_WRAPPED) and "loss_scale" in names)
    )


def find_optimizers(
    graph: ObjectGraph, full: Mapping[int, str], shapes: Mapping[int, tuple[int, ...] | None]
) -> list[Optimizer]:
    """All optimizers of a graph, each with what it made.

    ``full``: node -> the variable's own name. ``shapes``: node -> shape, for variables that are stored.
    """
    nodes = [index for index, node in enumerate(graph.nodes) if _is_optimizer(node)]
    inner = {child for index in nodes for name, child in graph.nodes[index].children if name in _WRAPPED}
    claimed: set[int] = set()
    found = []
    for root in nodes:
        if root in inner:
            continue
        path = graph.paths[root]
        optimizer = Optimizer("/".join(path) if path else "optimizer", root)
        chain = [root]
        while True:
            below = [c for name, c in graph.nodes[chain[-1]].children if name in _WRAPPED and c not in chain]
            if not below:
                break
            chain.append(below[0])
        if len(chain) > 1 or any(name == "loss_scale" for name, _ in graph.nodes[root].children):
            optimizer.attributes["wrapped"] = "loss scaling"
        for index in chain:
            _read(graph, index, full, shapes, optimizer, claimed, chain)
        optimizer.scope = _scope(optimizer)
        found.append(optimizer)
    return found


def _read(
    graph: ObjectGraph,
    index: int,
    full: Mapping[int, str],
    shapes: Mapping[int, tuple[int, ...] | None],
    optimizer: Optimizer,
    claimed: set[int],
    chain: list[int],
) -> None:
    node = graph.nodes[index]
    children = dict(node.children)
    trainable = _listed(graph, children.get("_trainable_variables"))
    if trainable:
        optimizer.trainable = trainable
    weights = set(shapes) - claimed
    own: dict[int, OwnVariable] = {}
    for slot in node.slots:
        kind = "average" if slot.name == "average" else "slot"
        own[slot.node] = OwnVariable(slot.node, full.get(slot.node, ""), kind, slot.name, slot.original)
    for variable in _made(graph, index, set(trainable), chain):
        if variable in shapes or full.get(variable):
            own.setdefault(variable, OwnVariable(variable, full.get(variable, "")))
    own = {n: what for n, what in own.items() if n not in claimed}
    claimed.update(own)
    weights -= set(own)
    flat = _listed(graph, children.get("_variables"))
    special = {
        children.get(name) for name in (*_STEP, "_learning_rate", "learning_rate", "_current_learning_rate")
    }
    slots = [own[n] for n in flat if n in own and n not in special and own[n].kind == "own"]
    by_list = _by_list(graph, node, trainable, shapes)
    exact: dict[str, list[int]] = defaultdict(list)
    mangled: dict[str, list[int]] = defaultdict(list)
    for weight in sorted(weights):
        if full.get(weight):
            exact[full[weight]].append(weight)
            mangled[full[weight].replace("/", "_")].append(weight)
    for what in slots:
        _settle(what, by_list.get(what.node), exact, mangled, full)
    _by_order(slots, trainable, shapes)
    optimizer.variables.extend(own[n] for n in _ordered(own, flat))


def _ordered(own: Mapping[int, OwnVariable], flat: list[int]) -> list[int]:
    place = {node: i for i, node in enumerate(flat)}
    return sorted(own, key=lambda n: (place.get(n, -1), n))


def _listed(graph: ObjectGraph, node: int | None) -> list[int]:
    """The members of a tracked list, by index."""
    if node is None:
        return []
    members = [
        (int(name), child) for name, child in graph.nodes[node].children if name.isdecimal() and len(name) < 9
    ]
    return [child for _, child in sorted(members)]


def _made(graph: ObjectGraph, index: int, trainable: set[int], chain: list[int]) -> list[int]:
    """Nodes below an optimizer that are its own: not the weights, not another optimizer, nothing nearer to
    the root.
    """
    base = graph.paths[index]
    found, seen, stack = [], {index, *chain}, [index]
    while stack:
        at = stack.pop()
        for name, child in reversed(graph.nodes[at].children):
            path = graph.paths[child]
            if child in seen or child in trainable or name in _NOT_OWN:
                continue
            if base is not None and (path is None or path[: len(base)] != base):
                continue
            seen.add(child)
            if graph.nodes[child].attributes:
                found.append(child)
            stack.append(child)
    return found


def _by_list(
    graph: ObjectGraph, node: Node, trainable: list[int], shapes: Mapping[int, tuple[int, ...] | None]
) -> dict[int, tuple[int | None, str]]:
    """Slot node -> (weight node, list name) from lists such as ``_momentums`` that run beside
    ``_trainable_variables``.
    """
    found: dict[int, tuple[int | None, str]] = {}
    for name, child in node.children:
        if name in ("_variables", *_NOT_OWN):
            continue
        members = _listed(graph, child)
        for position, member in enumerate(members):
            owner = None
            if len(members) == len(trainable) and shapes.get(member) == shapes.get(trainable[position]):
                owner = trainable[position]
            found.setdefault(member, (owner, name))
    return found


def _settle(
    what: OwnVariable,
    listed: tuple[int | None, str] | None,
    exact: Mapping[str, list[int]],
    mangled: Mapping[str, list[int]],
    full: Mapping[int, str],
) -> None:
    """Slot name and owner of one variable of the flat list, from lists and names."""
    words = what.full.split("/")
    for cut in range(1, len(words)):  # Keras 2.11+: [scope/]slot/owner
        owner = exact.get("/".join(words[cut:]))
        if owner is not None:
            what.kind, what.slot = "slot", words[cut - 1]
            what.owner = owner[0] if len(owner) == 1 else None
            what.owner_hint = "/".join(words[cut:])
            break
    else:
        last = words[-1]  # Keras 3: owner_with_underscores_slot
        for cut in reversed([i for i, letter in enumerate(last) if letter == "_"]):
            owner = mangled.get(last[:cut])
            if owner is not None:
                what.kind, what.slot, what.owner_hint = "slot", last[cut + 1 :], last[:cut]
                what.owner = owner[0] if len(owner) == 1 else None
                break
        else:
            slot = next((s for s in SLOTS if last.endswith(f"_{s}")), None)
            if slot is not None:
                what.kind, what.slot, what.owner_hint = "slot", slot, last[: -len(slot) - 1]
    if listed is not None:
        node, name = listed
        if what.kind == "own":
            what.kind, what.slot = "slot", _singular(name)
        if node is not None:
            what.owner = node
            hint = full.get(node, "").replace("/", "_")
            last = words[-1]
            if hint and last.startswith(f"{hint}_"):
                what.slot = last[len(hint) + 1 :]
    if what.slot == "average":
        what.kind = "average"
    elif what.slot in ("gradient_accumulator", "accumulated_gradient") and what.kind == "slot":
        what.kind = "gradient"


def _singular(name: str) -> str:
    name = name.strip("_")
    return {"velocities": "velocity", "momentums": "momentum"}.get(name, name.removesuffix("s"))


def _by_order(
    slots: list[OwnVariable], trainable: list[int], shapes: Mapping[int, tuple[int, ...] | None]
) -> None:
    """Slots of one kind in recorded order beside the weights in recorded order, when count and every shape
    agree.
    """
    groups: dict[str, list[OwnVariable]] = defaultdict(list)
    for what in slots:
        if what.slot:
            groups[what.slot].append(what)
    for group in groups.values():
        if len(group) == len(trainable) and all(
            shapes.get(what.node) is not None and shapes.get(what.node) == shapes.get(weight)
            for what, weight in zip(group, trainable, strict=True)
        ):
            for what, weight in zip(group, trainable, strict=True):
                if what.owner is None:
                    what.owner = weight


def _scope(optimizer: Optimizer) -> str | None:
    """The optimizer's own name, which is the class name unless its author gave another."""
    for what in sorted(optimizer.variables, key=lambda own: own.kind != "slot"):
        words = what.full.split("/")
        if (
            what.kind == "slot"
            and what.owner_hint is None
            and what.slot
            and len(words) > 2
            and words[-1] == what.slot
        ):
            return words[0]  # legacy: Adam/conv/kernel/m
        if len(words) > 1:
            for word in words[:2]:
                if re.sub(r"_\d+$", "", word).lower() in CLASSES and word.lower() != "loss_scale_optimizer":
                    return word
    return None
