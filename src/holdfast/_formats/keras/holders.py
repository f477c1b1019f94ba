"""The objects that a Keras weights file holds, each with its class, its options and its name as the configuration tells them.

Keras stores a list of layers in groups that are numbered by class (``keras/src/saving/saving_lib.py``,
``_save_container_state``): in the order of their numbers they are the list's items of that class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..._facts.keras_layers import CHILDREN, CONTAINERS, snake_case
from ..hdf5.file import Dataset

__all__ = ["METRICS", "Holder", "bind", "holders_of", "is_node", "numbered", "root_class"]

_NUMBERED = re.compile(r"^(.*?)(?:_(\d+))?$")
METRICS = (
    "metrics",
    "_metrics",
    "_compile_metrics",
    "_loss_tracker",
    "compiled_metrics",
    "_unconditional_dependency_names",
)
"""Attributes of a model that hold its metrics."""


@dataclass(slots=True)
class Holder:
    """An object that Keras saved: its group path, the ``name`` attribute of its ``vars``, its variables by
    index.
    """

    path: str
    label: str | None = None
    variables: dict[int, Dataset] = field(default_factory=dict)
    class_name: str | None = None
    config: Mapping[str, Any] | None = None
    name: str | None = None
    trainable: bool | None = None
    rank: tuple[int, ...] = ()
    bound: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.path.split("/")) if self.path else ()

    @property
    def place(self) -> tuple[int, int]:
        """Part and address of its first variable: objects are written in the order in which Keras visits
        them.

        The header's address, not that of the data: small data fills gaps that were left before.
        """
        return min(((d.file.position, d.address) for d in self.variables.values()), default=(1 << 62, 0))


def holders_of(
    groups: Iterable[str], datasets: Mapping[str, Dataset], label: Any
) -> tuple[dict[str, Holder], list[Dataset]]:
    """The objects of a weights file by path, and the datasets that belong to none.

    ``label(path)`` gives the ``name`` attribute of a group, or ``None``.
    """
    holders: dict[str, Holder] = {}
    for group in groups:
        if group == "vars" or group.endswith("/vars"):
            path = group[:-5] if group != "vars" else ""
            holders[path] = Holder(path, label(group))
    stray: list[Dataset] = []
    for key, dataset in datasets.items():
        group, _, index = key.rpartition("/")
        owner = (
            holders.get(group[:-5] if group != "vars" else "")
            if group == "vars" or group.endswith("/vars")
            else None
        )
        if owner is not None and index.isdecimal() and len(index) < 10:
            owner.variables[int(index)] = dataset
        else:
            stray.append(dataset)
    return holders, stray


def is_node(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is a serialised object: ``{"class_name": ..., "config": ...}``."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str)


def _config_of(node: Mapping[str, Any]) -> dict[str, Any]:
    config = node.get("config")
    if isinstance(config, list):  # Sequential of Keras 1 and early 2: the list of layers is the configuration
        return {"layers": config}
    return config if isinstance(config, dict) else {}


def bind(
    holders: Mapping[str, Holder],
    children: Mapping[str, list[str]],
    path: str,
    node: Mapping[str, Any],
    rank: tuple[int, ...] = (),
    trainable: bool = True,
    depth: int = 0,
) -> None:
    """Tell the holder at ``path`` and those below it their class, configuration and name out of ``node``."""
    if depth > 32:
        return
    config = _config_of(node)
    class_name = str(node["class_name"]).rsplit(">", 1)[-1]
    trainable = trainable and config.get("trainable", True) is not False
    holder = holders.get(path)
    if holder is not None:
        holder.class_name, holder.config, holder.rank, holder.trainable = class_name, config, rank, trainable
        name = config.get("name", node.get("name"))
        holder.name = name if isinstance(name, str) else None
        holder.bound = True
    for attribute in children.get(path, ()):
        inner = f"{path}/{attribute}" if path else attribute
        if attribute in CONTAINERS and isinstance(config.get("layers"), list):
            nodes = [n for n in config["layers"] if is_node(n)]
            if class_name == "Sequential":
                nodes = [n for n in nodes if n["class_name"] != "InputLayer"]
            _bind_list(holders, children, inner, nodes, rank, trainable, depth)
        elif class_name == "Bidirectional" and attribute in ("forward_layer", "backward_layer"):
            side = attribute.split("_")[0]
            given = config.get("backward_layer") if side == "backward" else None
            child = given if is_node(given) else config.get("layer")
            if is_node(child):
                wrapped = dict(_config_of(child))
                plain = str(wrapped.get("name", "")).removeprefix("forward_").removeprefix("backward_")
                if not is_node(given):  # newer releases write the forward layer with its own name
                    wrapped["name"] = f"{side}_{plain}"
                child = {"class_name": child["class_name"], "config": wrapped}
                bind(holders, children, inner, child, (*rank, side == "backward"), trainable, depth + 1)
        elif is_node(config.get(attribute)):
            bind(holders, children, inner, config[attribute], (*rank, 0), trainable, depth + 1)
        elif isinstance(config.get(attribute), list):
            nodes = [n for n in config[attribute] if is_node(n)]
            _bind_list(holders, children, inner, nodes, rank, trainable, depth)
        elif attribute in CHILDREN.get(class_name, {}):
            name, kind = CHILDREN[class_name][attribute]
            shown = holders[inner].label if inner in holders and holders[inner].label else name
            # A cell takes its options from the layer around it; a projection's own options are not recorded.
            options = (
                dict(config, name=shown)
                if attribute == "cell"
                else {"name": shown, "dtype": config.get("dtype")}
            )
            if attribute != "cell":
                options["bias_axes"] = config.get("use_bias", True)
            place = list(CHILDREN[class_name]).index(attribute)
            bind(
                holders,
                children,
                inner,
                {"class_name": kind, "config": options},
                (*rank, place),
                trainable,
                depth + 1,
            )


def _bind_list(
    holders: Mapping[str, Holder],
    children: Mapping[str, list[str]],
    path: str,
    nodes: list[dict[str, Any]],
    rank: tuple[int, ...],
    trainable: bool,
    depth: int,
) -> None:
    """Groups of a list are numbered by class; in the order of their numbers they are the list's items of
    that class.
    """
    present: dict[str, list[tuple[int, str]]] = {}
    for key in children.get(path, ()):
        stem, number = numbered(key)
        present.setdefault(stem, []).append((number, key))
    wanted: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for place, node in enumerate(nodes):
        wanted.setdefault(snake_case(str(node["class_name"])), []).append((place, node))
    for base, items in wanted.items():
        # A class name may itself end in a number: its groups split at another place.
        stem, first = numbered(base)
        keys = (
            sorted(present.get(stem, ()))
            if first == 0
            else [(0, base)]
            if base in children.get(path, ())
            else []
        )
        if first:
            keys += sorted(
                (numbered(k[len(base) + 1 :])[1], k)
                for k in children.get(path, ())
                if k.startswith(base + "_")
            )
        exact = len(keys) != len(items)
        for index, (place, node) in enumerate(items):
            if exact:
                key = base if index == 0 else f"{base}_{index}"
                if key not in children.get(path, ()):
                    continue
            else:
                key = keys[index][1]
            bind(holders, children, f"{path}/{key}", node, (*rank, place), trainable, depth + 1)


def numbered(key: str) -> tuple[str, int]:
    """A group's key as stem and number: ``dense_1`` is ``("dense", 1)``, ``dense`` is ``("dense", 0)``."""
    match = _NUMBERED.match(key)
    assert match is not None
    return match.group(1), int(match.group(2) or 0)


def root_class(holders: Mapping[str, Holder], children: Mapping[str, list[str]]) -> str | None:
    """What the groups alone say of the root: ``Functional`` (it keeps its input layers), ``Sequential``, or
    ``None``.
    """
    for container in CONTAINERS:
        inside = children.get(container, ())
        if any(numbered(key)[0] == "input_layer" for key in inside):
            return "Functional"
    own = [p for p, h in holders.items() if p and h.variables and not p.startswith(("optimizer", *METRICS))]
    root = holders.get("")
    if own and root is not None and not root.variables and all(p.split("/")[0] in CONTAINERS for p in own):
        # Subclassed models keep what they did not reach by attribute in a list of layers too.
        return "Sequential" if (root.label or "sequential").startswith("sequential") else None
    return None
