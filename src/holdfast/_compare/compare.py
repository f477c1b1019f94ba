"""One comparison for any two catalogs: what is different, what is the same, and the plan that turns A into
B."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from .._core.catalog import Catalog
from .._core.collector import collector_paused
from .._core.difference import Difference
from .._core.errors import UsageError
from .._core.pattern import escape
from .._core.plan import Edit, Plan
from .._core.spec import TensorSpec
from .._core.words import plural
from .architecture import architecture_differences
from .content import Probe
from .delta import Delta, Match, plain_match
from .draft import draft
from .fused import fusions
from .keras_places import match_places
from .layouts import axes_between
from .match import match
from .names import leaf, segments
from .optimizers import belongs_to_optimizer, optimizer_differences
from .pairwise import look_at, name_difference, pair_differences
from .pool import Pair, Pool
from .reparametrized import in_parts_on_one_side
from .slots import match_slots, slot_differences
from .swaps import crossed
from .ties import cover_tied, tie_differences
from .vocabulary import vocabulary_differences

__all__ = ["compare", "compare_catalogs"]

_DEPTHS = ("header", "structure", "full")
_BOOKKEEPING = frozenset({"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter"})
"""Entries by which TensorFlow keeps a checkpoint's own books (tensorflow/python/checkpoint/checkpoint.py)."""
_FIRST = frozenset({"_", "s", ".", "/"})  # how such a name can begin, its separators included
_STEPS = frozenset({"iteration", "iterations", "iter", "step", "count"})


def compare(a: Any, b: Any, *, depth: str = "structure") -> Delta:
    """Compare two checkpoints, given as paths or as catalogs; A is what is there, B what is expected. Either may be a
    live model: then the values tell whether it holds what the checkpoint does.

    ``depth``: ``"header"`` reads names, shapes, dtypes and order only; ``"structure"`` also samples of the
    values (512 of each tensor; the whole of those that are hard to match); ``"full"`` every value, with
    distances.

    Raises :class:`UsageError` for another depth, and what :func:`holdfast.open` raises. A tensor whose values
    cannot be read is a difference (``T217``), not an error.
    """
    if depth not in _DEPTHS:
        raise UsageError("no such depth", expected=" or ".join(_DEPTHS), found=depth)
    with ExitStack() as stack:
        stack.enter_context(collector_paused())
        sides = []
        for side in (a, b):
            if isinstance(side, Catalog):
                sides.append(side)
            elif not isinstance(side, (str, os.PathLike)):
                from .._frameworks import live_catalog

                sides.append(live_catalog(model=side))
            else:
                from .._layouts.opening import open_path

                sides.append(stack.enter_context(open_path(side)))
        return compare_catalogs(
            sides[0], sides[1], depth=depth, names=(_title(a, sides[0]), _title(b, sides[1]))
        )


def _title(given: Any, catalog: Catalog) -> str:
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    if not isinstance(given, Catalog):
        return "the live model"
    return catalog.files[0] if catalog.files else "memory"


def compare_catalogs(
    a: Catalog,
    b: Catalog,
    *,
    depth: str = "structure",
    names: tuple[str, str] | None = None,
) -> Delta:
    """Compare two catalogs; see :func:`compare`. ``names`` is what the report calls them."""
    names = names or (_title(a, a), _title(b, b))
    probe = None if depth == "header" else Probe(a, b, whole=depth == "full")
    pool, slots, covered = _pools(a, b)

    match(pool, probe)
    cover_tied(pool, a, b)
    alike: set[int] = set()
    looked: dict[int, tuple[Match, Any]] = {}
    for pair in pool.pairs:
        if probe is None and _alike(pair):  # as nearly all are where a checkpoint fits
            alike.add(id(pair))
            looked[id(pair)] = plain_match(pair.a.name, pair.b.name, pair.by, pair.certain), None
        else:
            looked[id(pair)] = look_at(pair, a, b, probe, depth == "full")
    swapped = _uncross(pool, looked, a, b, probe, depth)
    differences: list[Difference] = list(tie_differences(pool, a, b, probe))
    to_b = {pair.a.name: pair.b.name for pair in pool.pairs}

    if slots.a or slots.b:
        match_places(slots, a, b, to_b)
        match_slots(slots, a, b, to_b)
        rest = Pool(_unowned(slots.a), _unowned(slots.b))
        match(rest, probe)
        for pair in rest.pairs:
            slots.take(pair.a.name, pair.b.name, pair.by, pair.certain)
    for pair in slots.pairs:
        looked[id(pair)] = look_at(pair, a, b, probe, depth == "full")

    for pair in (*pool.pairs, *slots.pairs):
        if id(pair) in alike:
            continue
        found, axes = looked[id(pair)]
        renamed = name_difference(pair, (pair.a.name, pair.b.name) in swapped)
        if renamed is not None and not belongs_to_optimizer(pair.a):
            differences.append(renamed)
        if pair.a.role == "slot" and pair.b.role == "slot":
            differences += _slot_pair(pair, found, axes, probe)
        elif belongs_to_optimizer(pair.b) or belongs_to_optimizer(pair.a):
            continue
        else:
            differences += pair_differences(pair, found, axes, probe)
    joined = list(fusions(pool, probe))
    differences += joined
    differences += _unmatched(pool, a, b)
    settled = {*pool.a, *pool.b, *(n for group in pool.ambiguous for n in (*group.a, *group.b))}
    settled |= {n for d in joined for n in (*d.candidates_a, *d.candidates_b)}
    differences += slot_differences(slots, a, b, to_b, settled)
    differences += optimizer_differences(a, b, to_b, _tensor_settings(a, b, probe))
    reshaped = {d.b for d in differences if d.code == "T203" and d.b is not None}
    if a.modules:  # a live side describes its modules when asked for them, which takes its time
        differences += architecture_differences(
            a.modules, b.modules, to_b, left_over=_left_over(pool, a), reshaped=reshaped
        )
    if a.lookups and (there := b.lookups):
        differences += vocabulary_differences(
            [(one, there[at]) for at, one in a.lookups.items() if at in there]
        )

    if len(differences) > 1:
        rank = {name: position for position, name in enumerate((*b, *a))}
        differences.sort(key=lambda d: (d.code, rank.get(d.name, len(rank))))
    matches = tuple(looked[id(pair)][0] for pair in (*pool.pairs, *slots.pairs))
    plan: Plan = draft(differences, list(a.values()), list(b.values()), source=names[0], target=names[1])
    return Delta(
        a=names[0],
        b=names[1],
        format_a=a.format,
        format_b=b.format,
        depth=depth,
        differences=tuple(differences),
        pairs=matches,
        plan=plan,
        covered=tuple(covered + pool.covered),
        not_looked_at=tuple(_not_looked_at(depth, matches)),
    )


def _left_over(pool: Pool, a: Catalog) -> tuple[list[str], list[str]]:
    """Weights and buffers without a counterpart; those that a plan leaves out of A are among them."""
    ambiguous_a = (n for group in pool.ambiguous for n in group.a)
    ambiguous_b = (n for group in pool.ambiguous for n in group.b)
    here = [n for n, s in pool.a.items() if s.role in _KEPT]
    there = [n for n, s in pool.b.items() if s.role in _KEPT]
    return [*here, *ambiguous_a, *getattr(a, "left_out", ())], [
        *there,
        *ambiguous_b,
        *getattr(a, "not_stored", ()),
    ]


_KEPT = frozenset({"weight", "buffer"})


def _alike(pair: Pair) -> bool:
    """Whether what the headers say of both is the same, so that without values there is nothing to say of them: no
    permutation of axes, and nothing for :func:`pair_differences`."""
    a, b = pair.a, pair.b
    return (
        a.name == b.name
        and a.shape == b.shape
        and a.dtype == b.dtype
        and a.role == b.role
        and (a.trainable == b.trainable or a.trainable is None or b.trainable is None)
        and (len(a.shape) < 2 or axes_between(a, b, None) is None)
    )


def _pools(a: Catalog, b: Catalog) -> tuple[Pool, Pool, list[str]]:
    """The model's tensors and the optimizers' apart; what is only bookkeeping of a format is set aside."""
    model, slots = Pool({}, {}), Pool({}, {})
    covered: list[str] = []
    for mine, other, model_here, slots_here in ((a, b, model.a, slots.a), (b, a, model.b, slots.b)):
        settings = _setting_names(other)
        for name, spec in mine.items():
            if settings and spec.shape in ((), (1,)) and name in settings and name not in other:
                covered.append(name)  # a plain number on the other side: a setting, compared as one
            elif (
                name[:1] in _FIRST
                and segments(name)[0] in _BOOKKEEPING
                and (name not in other or spec.dtype in ("string", "variant"))
            ):
                covered.append(name)
            elif (
                spec.attributes
                and spec.attributes.get("copy_of") in mine
                and (spec.optimizer is not None or name not in other)
            ):
                # a loss scale wrapper's file holds its inner optimizer twice, an exported model its variables
                covered.append(name)
            elif spec.role == "slot" or (spec.optimizer is not None and belongs_to_optimizer(spec)):
                slots_here[name] = spec
            else:
                model_here[name] = spec
    return model, slots, covered


def _setting_names(catalog: Catalog) -> set[str]:
    """Names and aliases of a live catalog's settings: what a file may keep as a scalar tensor."""
    settings: dict[str, Any] = getattr(catalog, "settings", {})
    return {name for s in settings.values() for name in (s.name, *s.aliases)}


def _unowned(specs: dict[str, TensorSpec]) -> dict[str, TensorSpec]:
    return {name: spec for name, spec in specs.items() if spec.owner is None}


def _uncross(
    pool: Pool, looked: dict[int, tuple[Match, Any]], a: Catalog, b: Catalog, probe: Probe | None, depth: str
) -> set[tuple[str, str]]:
    """Find contents that changed places, and pair them by content instead."""
    if probe is None:
        return set()
    suspects = [
        pair
        for pair in pool.pairs
        if pair.a.shape == pair.b.shape
        and looked[id(pair)][0].values == "different"
        and looked[id(pair)][1] is None
    ]
    moved = crossed(suspects, probe) if len(suspects) > 1 else {}
    if not moved:
        return set()
    mine, theirs = {p.a.name: p for p in suspects}, {p.b.name: p for p in suspects}
    for place, pair in enumerate(pool.pairs):
        target = moved.get(pair.a.name)
        if target is not None:
            new = Pair(mine[pair.a.name].a, theirs[target].b, "content", True)
            pool.pairs[place] = new
            looked[id(new)] = look_at(new, a, b, probe, depth == "full")
    return set(moved.items())


def _slot_pair(
    pair: Pair,
    found: Match,
    axes: Any,
    probe: Probe | None,
) -> Iterator[Difference]:
    """Differences of a slot that do not merely follow from its owner's."""
    for difference in pair_differences(pair, found, axes, probe):
        if difference.code in ("T203", "T206") and pair.a.owner is not None:
            continue  # a slot has its weight's shape; the weight's own difference says it
        yield replace(
            difference, evidence={**difference.evidence, "slot": pair.b.slot, "owner": pair.b.owner}
        )


def _unmatched(pool: Pool, a: Catalog, b: Catalog) -> Iterator[Difference]:
    """Missing, left over, ambiguous."""
    for group in pool.ambiguous:
        yield Difference(
            "T210",
            group.a[0] if len(group.a) == 1 else None,
            group.b[0] if len(group.b) == 1 else None,
            f"{_some(group.a)} of A could be {_some(group.b)} of B: {group.why} on either side",
            {"shape": list(b[group.b[0]].shape), "why": group.why},
            candidates_a=group.a,
            candidates_b=group.b,
        )
    owned_a = _by_owner(a) if pool.a else {}
    owned_b = _by_owner(b) if pool.b else {}
    kept = in_parts_on_one_side(pool)
    for name, spec in pool.b.items():
        yield Difference(
            "T201",
            None,
            name,
            f"{name} {_what(spec)} is in B and not in A",
            {"shape": list(spec.shape), "dtype": spec.dtype, "role": spec.role, **kept.get(("b", name), {})},
            None if ("b", name) in kept else Edit("keep-live", (escape(name),)),
            related=tuple(owned_b.get(name, ())),
        )
    for name, spec in pool.a.items():
        yield Difference(
            "T202",
            name,
            None,
            f"{name} {_what(spec)} is in A and not in B",
            {"shape": list(spec.shape), "dtype": spec.dtype, "role": spec.role, **kept.get(("a", name), {})},
            None if ("a", name) in kept else Edit("drop", (escape(name),)),
            related=tuple(owned_a.get(name, ())),
        )


def _by_owner(catalog: Catalog) -> dict[str, list[str]]:
    owned: dict[str, list[str]] = {}
    for spec in catalog.values():
        if spec.owner is not None:
            owned.setdefault(spec.owner, []).append(spec.name)
    return owned


def _what(spec: TensorSpec) -> str:
    shape = f"({', '.join(map(str, spec.shape))})" if spec.shape else "scalar"
    return f"{shape} {spec.dtype}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _tensor_settings(a: Catalog, b: Catalog, probe: Probe | None) -> dict[tuple[str, str], Any]:
    """Hyperparameters and step that are kept as scalar tensors, by (side, name)."""
    if probe is None:
        return {}
    found: dict[tuple[str, str], Any] = {}
    for side, catalog in (("a", a), ("b", b)):
        for spec in catalog.values():
            key = leaf(spec.name).lstrip("_")
            if (
                spec.optimizer is None
                or spec.role not in ("hyperparameter", "counter")
                or spec.owner is not None
            ):
                continue
            if spec.role == "counter" and key not in _STEPS:
                continue
            values = probe.array(side, spec.name)
            if values is not None and values.size == 1 and values.dtype.kind in "fiu":
                found.setdefault(
                    (side, "step" if spec.role == "counter" else key), values.reshape(-1)[0].item()
                )
    return found


def _not_looked_at(depth: str, matches: tuple[Match, ...]) -> Iterator[str]:
    if depth == "header":
        yield "values: names, shapes, dtypes and order only were compared"
    elif any(match.sampled for match in matches):
        count = sum(match.sampled for match in matches)
        yield f"values between the sampled ones, in {plural(count, 'tensor')} of more than 512 elements"
    unread = sum(match.values is None for match in matches) if depth != "header" else 0
    if unread:
        yield f"the values of {plural(unread, 'matched tensor')} of different shapes, or that could not be read"
