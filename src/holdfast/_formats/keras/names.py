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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..._core.spec import Role
from ..._facts.keras_layers import (
    CHILDREN,
    CONTAINERS,
    MODELS,
    SUBLAYERS,
    class_of_group,
    likely_variables,
    role_of,
    variable_names,
)
from ..hdf5.file import Dataset
from .holders import METRICS, Holder, bind, is_node, numbered, root_class

__all__ = ["Weight", "name_weights"]


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
    if node is not None and is_node(node):
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
        return (holder.path.split("/")[0] in METRICS, found)

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
                stem, number = numbered(segments[depth])
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
    stem = numbered(last)[0]
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
    metric = holder.path.split("/")[0] in METRICS
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
