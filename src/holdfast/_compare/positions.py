"""Optimizer state that a file keeps by position: which weight is which, where it can be proved.

PyTorch numbers the parameters in the order in which the optimizer was given them (``torch/optim/optimizer.py``,
``state_dict``) and stores no names. Held against a live optimizer, whose order is known, the numbers mean
weights if the groups have the same sizes, every slot has its weight's shape, and the order within each group is
the recorded order of the model in the file, or shapes alone decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .._core.catalog import Catalog
from .._core.spec import OptimizerSpec
from .edited import Entry
from .names import canonical

__all__ = ["NAMED_OTHERWISE", "Positions", "place_by_position"]

NAMED_OTHERWISE = (
    "the first is what the file calls the weight at a position, the second what the live optimizer does"
)
"""Why weights are doubtful of which both sides record names, and other ones."""
_CERTAIN = frozenset({"recorded names", "the same tensor"})
"""What proves owners without any order."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The entries and optimizers with owners filled in; ``doubtful`` pairs of weights that the file cannot
    tell apart (``why``), ``contrary`` weights whose slots have another shape."""

    entries: dict[str, Entry]
    optimizers: tuple[OptimizerSpec, ...]
    doubtful: tuple[tuple[str, str], ...] = ()
    contrary: tuple[str, ...] = ()
    why: str = ""
    placed: int = 0


def place_by_position(
    entries: Mapping[str, Entry],
    optimizers: Sequence[OptimizerSpec],
    live: Catalog,
    *,
    accept: bool = False,
    recorded: Callable[[], Mapping[str, int]] = dict,
) -> Positions:
    """Give owners to slots that have only positions. ``accept``: the person says that the order is the same
    (``map-slots:*->*``), so shapes alone are demanded. ``recorded``: gives the places of weights in the file by live
    name, asked only where the names in the file are others."""
    now = dict(entries)
    done: list[OptimizerSpec] = []
    doubtful: list[tuple[str, str]] = []
    contrary: list[str] = []
    why = ""
    placed = 0
    for optimizer in optimizers:
        other = _other(optimizer, optimizers, live)
        slots = [
            e for e in now.values() if e.spec.optimizer == optimizer.name and "position" in e.spec.attributes
        ]
        named = optimizer.attributes.get("owners_by") in _CERTAIN
        if other is not None and not named and not accept and not any(g.owners for g in other.groups):
            crossed = _by_recorded_names(optimizer, other)
            alike = _of_one_shape(slots, optimizer) if crossed is None else []
            if crossed:
                doubtful += crossed
                why = NAMED_OTHERWISE
            elif alike:
                doubtful += alike
                why = "they have one shape, and no model was passed whose names could tell"
        if other is None or named or not _same_sizes(optimizer, other):
            done.append(optimizer)
            continue
        owners = _owners_by_position(optimizer, other)
        # a weight whose own shape differs has slots of its shape in the file; that difference is told by itself
        weights = [e.spec for e in now.values() if e.spec.role == "weight"]
        stored = {canonical(spec.name): spec.shape for spec in weights}
        found = {name: spec for name in owners.values() if (spec := live.get(name)) is not None}
        shapes = {name: stored.get(canonical(name), spec.shape) for name, spec in found.items()}
        wrong = _wrong(slots, owners, shapes, _own_shapes(live, other))
        if wrong:
            contrary += wrong
            why = "its slots have other shapes than the weight at the same position"
            done.append(optimizer)
            continue
        crossed = [] if accept or not slots else _could_be_crossed(optimizer, owners, shapes, now, recorded)
        if crossed:
            doubtful += crossed
            why = (
                "the live optimizer lists these weights in another order than the model in the file, or the file has them "
                "under other names"
                if weights
                else "they have one shape, and the file holds no model whose order could tell"
            )
            done.append(optimizer)
            continue
        # by the file's spelling of the name where it has one, so that edits of a weight take its slots along
        spelled = {canonical(spec.name): spec.name for spec in weights}
        owners = {
            place: name if name in now else spelled.get(canonical(name), name)
            for place, name in owners.items()
        }
        for entry in slots:
            spec = entry.spec
            owned = spec.draft()
            owned.owner = owners[spec.attributes["position"]]
            owned.attributes = {k: v for k, v in spec.attributes.items() if not k.startswith("owner_")}
            now[spec.name] = entry.with_spec(owned.done())
            placed += spec.owner is None
        groups = tuple(
            replace(group, owners=tuple(owners[p] for p in group.positions)) for group in optimizer.groups
        )
        done.append(replace(optimizer, groups=groups))
    return Positions(now, tuple(done), tuple(doubtful), tuple(contrary), why, placed)


def _other(
    optimizer: OptimizerSpec, optimizers: Sequence[OptimizerSpec], live: Catalog
) -> OptimizerSpec | None:
    if len(live.optimizers) == 1 and len(optimizers) == 1:
        return live.optimizers[0]
    return next((o for o in live.optimizers if o.name == optimizer.name), None)


def _same_sizes(a: OptimizerSpec, b: OptimizerSpec) -> bool:
    sizes = [len(g.positions) for g in a.groups]
    return bool(sizes) and sizes == [len(g.owners) for g in b.groups]


def _by_recorded_names(a: OptimizerSpec, b: OptimizerSpec) -> list[tuple[str, str]] | None:
    """Positions at which two optimizers that were made from named parameters, and stand without their model, record other
    names; ``None`` where the names tell nothing: not recorded, or none of them common."""
    one, other = (o.attributes.get("recorded_names", ()) for o in (a, b))
    if not {*map(canonical, one)} & {*map(canonical, other)}:
        return None
    sizes = [[len(g.positions) for g in o.groups] for o in (a, b)]
    if sizes[0] != sizes[1]:
        return None
    return [(x, y) for x, y in zip(one, other, strict=True) if canonical(x) != canonical(y)]


def _of_one_shape(slots: Sequence[Entry], optimizer: OptimizerSpec) -> list[tuple[str, str]]:
    """Positions of one group whose state has the same shapes, where the live weights have no names: an optimizer that
    was passed alone."""
    shapes: dict[int, set[tuple[str | None, tuple[int, ...]]]] = {}
    for entry in slots:
        if entry.spec.shape not in ((), (1,)):
            place = entry.spec.attributes["position"]
            shapes.setdefault(place, set()).add((entry.spec.slot, entry.spec.shape))
    found = []
    for group in optimizer.groups:
        by_shape: dict[frozenset[tuple[str | None, tuple[int, ...]]], list[int]] = {}
        for position in group.positions:
            if position in shapes:
                by_shape.setdefault(frozenset(shapes[position]), []).append(position)
        for same in by_shape.values():
            found += [(f"weight {first}", f"weight {second}") for first, second in pairwise(same)]
    return found


def _owners_by_position(stored: OptimizerSpec, live: OptimizerSpec) -> dict[int, str]:
    return {
        position: owner
        for mine, theirs in zip(stored.groups, live.groups, strict=True)
        for position, owner in zip(mine.positions, theirs.owners, strict=True)
    }


def _own_shapes(
    live: Catalog, optimizer: OptimizerSpec
) -> dict[tuple[str | None, str | None], tuple[int, ...]]:
    """Shapes of the live slots that are not their weight's (factored moments, flattened histories), by owner and
    slot."""
    found: dict[tuple[str | None, str | None], tuple[int, ...]] = {}
    for spec in live.values():
        if spec.role == "slot" and spec.optimizer == optimizer.name and spec.owner is not None:
            owner = live.get(spec.owner)
            if owner is not None and spec.shape != owner.shape:
                found[spec.owner, spec.slot] = spec.shape
    return found


def _wrong(
    slots: Sequence[Entry],
    owners: Mapping[int, str],
    shapes: Mapping[str, tuple[int, ...]],
    own: Mapping[tuple[str | None, str | None], tuple[int, ...]],
) -> list[str]:
    """Weights at whose position a slot has another shape (scalars are step counts and the like)."""
    found: dict[str, None] = {}
    for entry in slots:
        owner = owners.get(entry.spec.attributes["position"])
        shape = entry.spec.shape
        if owner is not None and own.get((owner, entry.spec.slot)) == shape:
            continue
        if owner is None or (shape not in ((), (1,)) and owner in shapes and shape != shapes[owner]):
            found[owner or entry.spec.name] = None
    return list(found)


def _could_be_crossed(
    optimizer: OptimizerSpec,
    owners: Mapping[int, str],
    shapes: Mapping[str, tuple[int, ...]],
    entries: Mapping[str, Entry],
    matched: Callable[[], Mapping[str, int]],
) -> list[tuple[str, str]]:
    """Pairs of one shape that the live optimizer has in the opposite order to the file's own record.

    The record is the order in which the file lists the model's tensors. Without a model in the file there is
    no record, and any two of one shape could be crossed.
    """
    recorded = {
        canonical(e.spec.name): e.spec.order
        for e in entries.values()
        if e.spec.role == "weight" and e.spec.order is not None
    }
    if recorded and any(canonical(name) not in recorded for name in owners.values()):
        recorded |= {canonical(name): place for name, place in matched().items()}
    found = []
    for group in optimizer.groups:
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for position in group.positions:
            name = owners[position]
            by_shape.setdefault(shapes.get(name, ()), []).append(name)
        for same in by_shape.values():
            places = [(recorded.get(canonical(name)), name) for name in same]
            for (before, first), (after, second) in pairwise(places):
                if before is None or after is None or after < before:
                    found.append((first, second))
    return found
