"""Under which names a checkpoint's tensors, groups and modules are held against a live model: the container that was chosen
taken off, a seal's names put in, the plan's renames carried on to what names tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._compare.compare import compare_catalogs
from .._compare.edited import EditedCatalog, Entry, apply_edits
from .._compare.positions import Positions
from .._compare.scope import Scope
from .._core.catalog import Catalog
from .._core.modules import ModuleSpec
from .._core.plan import Edit, Plan
from .._core.spec import OptimizerSpec, ParamGroup
from .._frameworks import LiveCatalog

__all__ = [
    "as_called", "chose_container", "known_as", "modules_renamed", "modules_within", "moved_names", "owners_renamed",
    "recorded_order",
]  # fmt: skip

_OF_LIVE = frozenset({"hyper", "reset-slots", "map-slots", "rename", "nonfinite", "function"})
"""Edits whose patterns are held against live names anyway, or (rename) change the name first."""


def known_as(stored: Catalog, placed: Positions, live: LiveCatalog, plan: Plan) -> dict[str, Entry]:
    """The entries, each with the live name that it has without any edit, for the edits that name tensors."""
    if all(edit.kind in _OF_LIVE for edit in plan):
        return placed.entries
    plain = EditedCatalog(stored, placed.entries, optimizers=placed.optimizers)
    delta = compare_catalogs(plain, live, depth="header")
    names = {pair.a: pair.b for pair in delta.pairs if pair.certain and pair.a != pair.b}
    return {n: replace(e, aka=names[n]) if n in names else e for n, e in placed.entries.items()}


def recorded_order(stored: Catalog, scope: Scope, live: LiveCatalog, plan: Plan) -> dict[str, int]:
    """Live names of the file's weights -> their places in the file, where the names alone do not tell: the weights
    matched as everything is, after the plan's edits. A match that is only likely stands against the restore by itself
    (T205), and is asked again when an edit has settled it."""
    weights = {n: e for n, e in scope.entries.items() if e.spec.role == "weight"}
    edited = EditedCatalog(
        stored, apply_edits(Plan(tuple(e for e in plan if e.kind == "rename")), weights), optimizers=()
    )
    delta = compare_catalogs(edited, live, depth="header")
    places = {pair.b: edited[pair.a].order for pair in delta.pairs}
    return {name: place for name, place in places.items() if place is not None}


def owners_renamed(
    optimizers: Sequence[OptimizerSpec], before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> tuple[OptimizerSpec, ...]:
    """Parameter groups with the names that the plan's renames give their weights."""
    moved = moved_names(before, after)
    if not moved:
        return tuple(optimizers)

    def renamed(group: ParamGroup) -> ParamGroup:
        return replace(group, owners=tuple(moved.get(name, name) for name in group.owners))

    return tuple(replace(o, groups=tuple(map(renamed, o.groups))) for o in optimizers)


def moved_names(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> dict[str, str]:
    """Names that the plan has changed -> what they are now."""
    now = {entry.base: name for name, entry in after.items() if entry.base is not None}
    return {n: now[e.base] for n, e in before.items() if e.base in now and now[e.base] != n}


def modules_renamed(modules: Sequence[ModuleSpec], moved: Mapping[str, str]) -> tuple[ModuleSpec, ...]:
    """The modules under the names that the plan's renames give what is in them: ``head/kernel`` that became
    ``classifier/kernel`` makes ``head`` the ``classifier``."""
    heads: dict[str, str] = {}
    for old, new in moved.items():
        while old and new:
            (old, mark, last), (new, other, leaf) = old.rpartition(_mark(old)), new.rpartition(_mark(new))
            if not mark or not other or last != leaf:
                break
            heads.setdefault(old, new)
    return tuple(replace(m, path=heads.get(m.path, m.path)) for m in modules)


def _mark(name: str) -> str:
    return "/" if "/" in name else "."


def as_called(scope: Scope, called: Mapping[str, str]) -> Scope:
    """The tensors under the names that a seal gives them, where those are names of their own."""
    moved = {n: called[e.base] for n, e in scope.entries.items() if e.base is not None and e.base in called}
    after = [moved.get(name, name) for name in scope.entries]
    if not moved or len(set(after)) != len(after):
        return scope

    def renamed(entry: Entry, name: str) -> Entry:
        spec = entry.spec
        owner = moved.get(spec.owner, spec.owner) if spec.owner is not None else None
        return replace(
            entry,
            spec=replace(spec, name=name, aliases=tuple({*spec.aliases, spec.name} - {name}), owner=owner),
        )

    def owners(group: ParamGroup) -> ParamGroup:
        return replace(group, owners=tuple(moved.get(n, n) for n in group.owners))

    return replace(
        scope,
        entries={name: renamed(e, name) for name, e in zip(after, scope.entries.values(), strict=True)},
        optimizers=tuple(replace(o, groups=tuple(map(owners, o.groups))) for o in scope.optimizers),
    )


def modules_within(modules: Sequence[ModuleSpec], container: str) -> tuple[ModuleSpec, ...]:
    """Those of the container's model, by their paths in it, where the record lists several models; else all."""
    front = container.rstrip("/")
    within = [m for m in modules if m.path == front or m.path.startswith((f"{front}/", f"{front}."))]
    if not front or not within:
        return tuple(modules)
    return tuple(replace(m, path=m.path[len(front) + 1 :]) for m in within)


def chose_container(edit: Edit, scope: Scope) -> bool:
    """Whether a rename was what chose the container; it has been carried out by that."""
    return edit.kind == "rename" and bool(scope.container) and edit.name == scope.container + "*"
