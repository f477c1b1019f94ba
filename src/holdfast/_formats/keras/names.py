"""What the weights of a Keras file are called, from its configuration and the names its groups bear.

Keras stores variables by position (``layers/dense_1/vars/0``); the names that people know (``head/kernel``)
follow from

- ``config.json`` (or ``model_config``), which lists the layers with class, name and options in the order in
which their
  groups are numbered (``keras/src/saving/saving_lib.py``, ``_save_container_state``);
- the attribute ``name`` of ``vars`` groups, written since Keras 3.4;
- the variables each class has, in order (:mod:`holdfast._facts.keras_layers`);
- how Keras builds variable paths: Keras 3 puts the names of the enclosing layers before a variable's own,
starting anew
  at a functional model, whose layers are built when they are called one by one; Keras 2 starts anew at a
  ``Sequential``
  too and appends ``:0``.

What none of these proves keeps a positional name, marked by ``attributes["name_unproved"]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..._core.spec import Role
from ..._facts.keras_layers import (
    CHILDREN,
    CONTAINERS,
    MODELS,
    SUBLAYERS,
    class_of_group,
    likely_variables,
    role_of,
    snake_case,
    variable_names,
)
from ..hdf5.file import Dataset

__all__ = ["Holder", "Weight", "holders_of", "name_weights", "root_class"]

_NUMBERED = re.compile(r"^(.*?)(?:_(\d+))?$")
_METRICS = (
    "metrics",
    "_metrics",
    "_compile_metrics",
    "_loss_tracker",
    "compiled_metrics",
    "_unconditional_dependency_names",
)


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


@dataclass(slots=True)
class Weight:
    """One named variable. ``proved`` tells whether the file itself proves the name."""

    dataset: Dataset
    name: str
    role: Role
    aliases: tuple[str, ...]
    trainable: bool | None
    proved: bool
    ordered: bool
    class_name: str | None = None
    variable: str = ""


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


# -- configuration -------------------------------------------------------------------------------------------
def _is_node(value: Any) -> TypeGuard[dict[str, Any]]:
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
            nodes = [n for n in config["layers"] if _is_node(n)]
            if class_name == "Sequential":
                nodes = [n for n in nodes if n["class_name"] != "InputLayer"]
            _bind_list(holders, children, inner, nodes, rank, trainable, depth)
        elif class_name == "Bidirectional" and attribute in ("forward_layer", "backward_layer"):
            side = attribute.split("_")[0]
            given = config.get("backward_layer") if side == "backward" else None
            child = given if _is_node(given) else config.get("layer")
            if _is_node(child):
                wrapped = dict(_config_of(child))
                plain = str(wrapped.get("name", "")).removeprefix("forward_").removeprefix("backward_")
                if not _is_node(given):  # newer releases write the forward layer with its own name
                    wrapped["name"] = f"{side}_{plain}"
                child = {"class_name": child["class_name"], "config": wrapped}
                bind(holders, children, inner, child, (*rank, side == "backward"), trainable, depth + 1)
        elif _is_node(config.get(attribute)):
            bind(holders, children, inner, config[attribute], (*rank, 0), trainable, depth + 1)
        elif isinstance(config.get(attribute), list):
            nodes = [n for n in config[attribute] if _is_node(n)]
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
        stem, number = _split(key)
        present.setdefault(stem, []).append((number, key))
    wanted: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for place, node in enumerate(nodes):
        wanted.setdefault(snake_case(str(node["class_name"])), []).append((place, node))
    for base, items in wanted.items():
        # A class name may itself end in a number: its groups split at another place.
        stem, first = _split(base)
        keys = (
            sorted(present.get(stem, ()))
            if first == 0
            else [(0, base)]
            if base in children.get(path, ())
            else []
        )
        if first:
            keys += sorted(
                (_split(k[len(base) + 1 :])[1], k) for k in children.get(path, ()) if k.startswith(base + "_")
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


def _split(key: str) -> tuple[str, int]:
    match = _NUMBERED.match(key)
    assert match is not None
    return match.group(1), int(match.group(2) or 0)


def root_class(holders: Mapping[str, Holder], children: Mapping[str, list[str]]) -> str | None:
    """What the groups alone say of the root: ``Functional`` (it keeps its input layers), ``Sequential``, or
    ``None``.
    """
    for container in CONTAINERS:
        inside = children.get(container, ())
        if any(_split(key)[0] == "input_layer" for key in inside):
            return "Functional"
    own = [p for p, h in holders.items() if p and h.variables and not p.startswith(("optimizer", *_METRICS))]
    root = holders.get("")
    if own and root is not None and not root.variables and all(p.split("/")[0] in CONTAINERS for p in own):
        # Subclassed models keep what they did not reach by attribute in a list of layers too.
        return "Sequential" if (root.label or "sequential").startswith("sequential") else None
    return None


# -- names ---------------------------------------------------------------------------------------------------
def name_weights(
    groups: Iterable[str],
    holders: Mapping[str, Holder],
    node: Mapping[str, Any] | None,
    generation: int | None,
) -> list[Weight]:
    """The variables of all holders but the optimizer's, named, in the recorded order.

    ``node`` is the model's configuration (``{"class_name", "config"}``) or ``None``; ``generation`` 2 or 3,
    ``None``
    where the file does not tell.
    """
    children: dict[str, list[str]] = {}
    for group in groups:
        if group:
            parent, _, key = group.rpartition("/")
            children.setdefault(parent, []).append(key)
    if node is not None and _is_node(node):
        bind(holders, children, "", node)
    root = holders.get("")
    if root is not None and root.class_name is None:
        root.class_name = root_class(holders, children)
    known = root is not None and root.class_name in MODELS
    found: list[Weight] = []
    ordered = _in_order(holders)
    known = known and _counters_agree(ordered)
    for holder in ordered:
        found.extend(_named(holder, holders, generation, known))
    return found


def _in_order(holders: Mapping[str, Holder]) -> list[Holder]:
    """The holders in the order in which Keras lists a model's variables, metrics last.

    That is the configuration's order where there is one, the class's own order of its sub-layers where that
    is known
    (attributes are stored by name), and the order of storage else; a layer's own variables come before its
    sub-layers'.
    """
    first: dict[str, tuple[int, int]] = {}
    for holder in holders.values():
        segments, place = holder.segments, holder.place
        for depth in range(len(segments) + 1):
            above = "/".join(segments[:depth])
            first[above] = min(first.get(above, place), place)

    def key(holder: Holder) -> tuple[Any, ...]:
        found: list[tuple[int, int, tuple[int, int]]] = []
        path = ""
        for segment in holder.segments:
            above, path = path, f"{path}/{segment}" if path else segment
            one = holders.get(path)
            if one is not None and one.bound and one.rank:
                found.append((0, one.rank[-1], (0, 0)))
                continue
            outer = holders.get(above)
            known = SUBLAYERS.get(_guess_class(outer, holders) or "", ()) if outer is not None else ()
            rank = known.index(segment) if segment in known else -1
            found.append((0, rank, (0, 0)) if rank >= 0 else (1, 0, first[path]))
        return (holder.path.split("/")[0] in _METRICS, found)

    chosen = [h for p, h in holders.items() if p.split("/")[0] != "optimizer"]
    return sorted(chosen, key=key)


def _counters_agree(ordered: list[Holder]) -> bool:
    """Whether the order found is that of the counters too (``dense``, ``dense_1``, …), which follow the list
    of layers.
    """
    last: dict[tuple[str, str], int] = {}
    for holder in ordered:
        segments = holder.segments
        for depth in range(1, len(segments)):
            if segments[depth - 1] in CONTAINERS and not holder.bound:
                stem, number = _split(segments[depth])
                where = ("/".join(segments[:depth]), stem)
                if number < last.get(where, 0):
                    return False
                last[where] = number
    return True


def _guess_class(holder: Holder, holders: Mapping[str, Holder]) -> str | None:
    """The class, as configured, or as the group's key, the label or the object around it suggest."""
    if holder.class_name:
        return holder.class_name
    above = holders.get(holder.path.rpartition("/")[0]) if "/" in holder.path else None
    inner = CHILDREN.get(_guess_class(above, holders) or "", {}) if above is not None else {}
    if holder.segments and holder.segments[-1] in inner:
        return inner[holder.segments[-1]][1]
    last = holder.segments[-1] if holder.path else ""
    stem = _split(last)[0]
    if stem in ("sequential", "functional", "model"):
        return "Functional" if stem != "sequential" else "Sequential"
    return class_of_group(last) or (class_of_group(holder.label) if holder.label else None)


def _shown(holder: Holder, holders: Mapping[str, Holder]) -> str:
    if holder.label or holder.name:  # what the object was called, before what its configuration says
        return holder.label or holder.name or ""
    if holder.path and "/" in holder.path:
        above = holders.get(holder.path.rpartition("/")[0])
        known = CHILDREN.get(_guess_class(above, holders) or "", {}) if above else {}
        if holder.segments[-1] in known:
            return known[holder.segments[-1]][0]
    return holder.segments[-1] if holder.path else ""


def _chain(
    holder: Holder, holders: Mapping[str, Holder], generation: int | None
) -> tuple[list[str], list[str]]:
    """The names before a variable's own, and all names of the enclosing objects."""
    chain: list[str] = []
    whole: list[str] = []
    segments = holder.segments
    pending: list[str] = []
    for depth in range(len(segments) + 1):
        path = "/".join(segments[:depth])
        if depth and segments[depth - 1] not in CONTAINERS:
            pending.append(segments[depth - 1])
        above = holders.get(path)
        if above is None:
            continue
        shown = _shown(above, holders)
        pending = []
        if shown:
            whole.append(shown)
        kind = _guess_class(above, holders)
        if above is not holder and kind in MODELS:
            # A Sequential's layers are built within it, and it within the layers around it; a functional
            # model's
            # when they were first called, outside.
            inside = kind == "Sequential" and bool(shown) and (generation != 2 or bool(chain))
            chain = [*chain, shown] if inside else []
        elif shown:
            chain.append(shown)
    return chain + pending, whole + pending


def _named(
    holder: Holder, holders: Mapping[str, Holder], generation: int | None, known: bool
) -> Iterator[Weight]:
    chain, whole = _chain(holder, holders, generation)
    indices = sorted(holder.variables)
    class_name = _guess_class(holder, holders)
    names = (
        variable_names(class_name, holder.config, len(indices))
        if indices == list(range(len(indices)))
        else None
    )
    proved = names is not None and bool(holder.name or holder.label)
    if names is None and indices == list(range(len(indices))):
        names = likely_variables([holder.variables[i].shape for i in indices])
    metric = holder.path.split("/")[0] in _METRICS
    if metric:
        chain = list(holder.segments)
    suffix = ":0" if generation == 2 else ""
    plain = [s for s in holder.segments if s not in CONTAINERS]
    for place, index in enumerate(indices):
        variable = names[place] if names is not None else f"vars/{index}"
        base = "/".join([*chain, variable])
        others = ["/".join([*whole[i:], variable]) for i in range(len(whole) + 1)][:-1]
        others.append("/".join([*plain, variable]))
        if names is None:
            others = []
        role = "metric" if metric else role_of(variable)
        data = holder.variables[index]
        quantised = role == "weight" and (data.raw is None or data.raw.kind in "iub")
        trainable: bool | None = None
        if role != "weight" or quantised or variable.endswith(("_scale", "_zero", "_amax_history")):
            trainable = False
        elif holder.trainable is False or (holder.trainable and proved):
            trainable = holder.trainable  # of a user's own class nothing tells which variables are trained
        name = base + (suffix if names is not None else "")
        aliases = tuple(dict.fromkeys(a for a in (*others, base) if a != name))
        yield Weight(data, name, role, aliases, trainable, proved, known, class_name, variable)
