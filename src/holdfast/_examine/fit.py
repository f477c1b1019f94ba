"""Does a checkpoint fit a live model? Scope, plan, comparison and decisions; nothing is changed.

``check`` reports a :class:`Fit`; ``restore`` refuses by it, and carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .._compare.compare import compare_catalogs
from .._compare.delta import Delta
from .._compare.edited import EditedCatalog, Entry, apply_edits, short_names
from .._compare.names import canonical
from .._compare.positions import Positions, place_by_position
from .._compare.scope import Scope, scope_of
from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.finding import Finding
from .._core.modules import ModuleSpec
from .._core.pattern import matches
from .._core.plan import Edit, Plan
from .._core.spec import OptimizerSpec, ParamGroup
from .._frameworks import LiveCatalog
from .hyper_settings import decide_hyperparameters
from .settings import (
    Decision,
    decide_settings,
    foreign_values,
    paired_optimizers,
    values_of,
)

__all__ = ["Fit", "as_plan", "fit", "modules_within", "tied"]

_AT_ONCE = frozenset({"keras", "tensorflow"})
"""Frameworks whose optimizers make the state of all weights at once, before the first step."""
_OWN = frozenset({"weight", "buffer", "average", "slot", "counter", "gradient"})


@dataclass(slots=True)
class Fit:
    """How a checkpoint and a live model fit one another.

    Attributes
    ----------
    stored: the checkpoint as the plan makes it, in the scope of what was passed. live: the live catalog.
    delta: what is still different. findings: the same for people; those of severity ``error`` stand
        against a restore. pairs: live name -> name in ``stored``, for every tensor that would be restored.
    kept: live tensors that keep their value because the plan says so. cleared: slots that the checkpoint does
        not have for a weight it knows, and that a restore takes away. reset: slots that start anew.
    dropped: names in the file that the plan leaves out. missing: live tensors that nothing settles.
    decisions: what happens to hyperparameters and other values.
    plan: the edits that were given. proposal: the edits that would settle the errors.
    scope, positions: how the tensors were found.
    """

    stored: EditedCatalog
    live: LiveCatalog
    delta: Delta
    scope: Scope
    positions: Positions
    plan: Plan
    findings: tuple[Finding, ...] = ()
    proposal: Plan = field(default_factory=Plan)
    pairs: dict[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)
    foreign: Sequence[str] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stand against a restore."""
        return tuple(f for f in self.findings if f.severity == "error")


def as_plan(allow: Iterable[str | Edit] | str = (), plan: Plan | str | Iterable[str] | None = None) -> Plan:
    """The edits of ``plan`` (a :class:`Plan`, its TOML or lines) and then those of ``allow``.

    Raises :class:`PlanError` for what is no edit.
    """
    if plan is None:
        first = Plan()
    elif isinstance(plan, Plan):
        first = plan
    elif isinstance(plan, str) and "[" in plan and "=" in plan and "\n" in plan:
        first = Plan.from_toml(plan)
    else:
        first = Plan.parse(plan)
    given = [allow] if isinstance(allow, str) else list(allow)
    more = tuple(edit if isinstance(edit, Edit) else Edit.parse(edit) for edit in given)
    return Plan((*first.edits, *more), source=first.source, target=first.target)


def fit(
    stored: Catalog,
    live: LiveCatalog,
    plan: Plan | None = None,
    *,
    name: str = "",
    called: Mapping[str, str] | None = None,
) -> Fit:
    """Hold a checkpoint against a live model. ``name`` is what messages call the checkpoint, ``called`` what a seal
    says its tensors were called in the model that was saved.

    Raises :class:`PlanError` where the plan cannot be carried out.
    """
    from .fit_findings import fit_findings

    plan = plan or Plan()
    scope = _as_called(scope_of(stored, live, live.parts, plan), called or {})
    accept = any(e.kind == "map-slots" and e.name == "*" for e in plan)
    chosen = Plan(tuple(e for e in plan if not _is_container(e, scope)))

    def recorded() -> Mapping[str, int]:
        return _recorded_order(stored, scope, live, chosen)

    placed = place_by_position(scope.entries, scope.optimizers, live, accept=accept, recorded=recorded)
    entries = apply_edits(chosen, _known_as(stored, placed, live, chosen), live)
    optimizers = (
        _owners_renamed(placed.optimizers, placed.entries, entries) if chosen.edits else placed.optimizers
    )
    edited = EditedCatalog(stored, entries, optimizers=optimizers)
    edited.modules = _modules_renamed(
        modules_within(stored.modules, scope.container),
        _moved(placed.entries, entries) if chosen.edits else {},
    )
    delta = compare_catalogs(edited, live, depth="header", names=(name or _title(stored), "the live model"))
    foreseen = live.foreseeing(unmade) if (unmade := _of_unmade(edited, live, delta)) else live
    if foreseen is not live:
        return fit(stored, foreseen, plan, name=name, called=called)
    found = Fit(edited, live, delta, scope, placed, plan)
    _sort_out(found)
    scheduler = "scheduler" in live.parts
    if "optimizer" in live.parts:
        pairs = list(paired_optimizers(optimizers, live.optimizers))
        hyper = decide_hyperparameters(pairs, edited, live, plan, scheduler=scheduler, tensors=found.pairs)
    else:
        pairs, hyper = [], []
    others, lacking = decide_settings(stored, live, plan, pairs)
    found.decisions = (*hyper, *others)
    found.lacking = lacking
    found.foreign = foreign_values(stored, live, plan)
    fit_findings(found)
    return found


_OF_LIVE = frozenset({"hyper", "reset-slots", "map-slots", "rename", "nonfinite", "function"})
"""Edits whose patterns are held against live names anyway, or (rename) change the name first."""


def _of_unmade(edited: EditedCatalog, live: LiveCatalog, delta: Delta) -> dict[str, list[str]]:
    """Live optimizers that have made no state, and of which nothing live says for which weights they will, -> the live
    weights that the checkpoint has such state of."""
    unmade = {
        o.name
        for o in live.optimizers
        if o.attributes.get("built") is False and not any(g.owners for g in o.groups)
    }
    if not unmade:
        return {}
    to_live = {pair.a: pair.b for pair in delta.pairs}
    found: dict[str, dict[str, None]] = {}
    for spec in edited.values():
        if spec.optimizer is not None and spec.owner in to_live:
            found.setdefault(spec.optimizer, {})[to_live[spec.owner]] = None
    return {name: [*names] for name, names in found.items()} if unmade & found.keys() else {}


def _known_as(stored: Catalog, placed: Positions, live: LiveCatalog, plan: Plan) -> dict[str, Entry]:
    """The entries, each with the live name that it has without any edit, for the edits that name tensors."""
    if all(edit.kind in _OF_LIVE for edit in plan):
        return placed.entries
    plain = EditedCatalog(stored, placed.entries, optimizers=placed.optimizers)
    delta = compare_catalogs(plain, live, depth="header")
    names = {pair.a: pair.b for pair in delta.pairs if pair.certain and pair.a != pair.b}
    return {n: replace(e, aka=names[n]) if n in names else e for n, e in placed.entries.items()}


def _recorded_order(stored: Catalog, scope: Scope, live: LiveCatalog, plan: Plan) -> dict[str, int]:
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


def _owners_renamed(
    optimizers: Sequence[OptimizerSpec], before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> tuple[OptimizerSpec, ...]:
    """Parameter groups with the names that the plan's renames give their weights."""
    moved = _moved(before, after)
    if not moved:
        return tuple(optimizers)

    def renamed(group: ParamGroup) -> ParamGroup:
        return replace(group, owners=tuple(moved.get(name, name) for name in group.owners))

    return tuple(replace(o, groups=tuple(map(renamed, o.groups))) for o in optimizers)


def _moved(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> dict[str, str]:
    """Names that the plan has changed -> what they are now."""
    now = {entry.base: name for name, entry in after.items() if entry.base is not None}
    return {n: now[e.base] for n, e in before.items() if e.base in now and now[e.base] != n}


def _modules_renamed(modules: Sequence[ModuleSpec], moved: Mapping[str, str]) -> tuple[ModuleSpec, ...]:
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


def _as_called(scope: Scope, called: Mapping[str, str]) -> Scope:
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


def _is_container(edit: Edit, scope: Scope) -> bool:
    """Whether a rename was what chose the container; it has been carried out by that."""
    return edit.kind == "rename" and bool(scope.container) and edit.name == scope.container + "*"


def _title(catalog: Catalog) -> str:
    return catalog.files[0] if catalog.files else "memory"


def _sort_out(found: Fit) -> None:
    """What becomes of each tensor: restored, kept, cleared, reset, dropped."""
    entries = found.stored.entries
    kept, reset = [], []
    pairs = found.pairs
    for pair in found.delta.pairs:
        entry = entries[pair.a]
        if entry.parts:
            pairs[pair.b] = pair.a
        elif entry.why == "reset-slots":
            reset.append(pair.b)
        else:
            kept.append(pair.b)
    found.kept, found.reset = tuple(kept), tuple(reset)
    if found.plan.edits:  # else nothing is left out
        used = {part.source for entry in entries.values() for part in entry.parts}
        found.dropped = tuple(
            entry.base or entry.spec.name
            for entry in found.positions.entries.values()
            if used.isdisjoint([part.source for part in entry.parts])
        )
    bare = tuple(_without_state(found))
    # what the file has of a weight that is kept is left out with it
    afresh = {n for n in bare if found.live[n].owner in kept}
    found.reset += tuple(n for n in bare if n in afresh)
    found.cleared = tuple(n for n in bare if n not in afresh)
    gone = {*bare}
    found.missing = tuple(
        d.b for d in found.delta.differences if d.code == "T201" and d.b is not None and d.b not in gone
    )
    elsewhere = tied(found)
    found.missing = tuple(n for n in found.missing if n not in elsewhere)


def _without_state(found: Fit) -> Iterable[str]:
    """Slots of weights for which the checkpoint's optimizer, though it has the weight, has no state: PyTorch
    makes state with the first gradient, so a weight that never had one has none."""
    if not found.live.optimizers:
        return
    if found.live.framework in _AT_ONCE:
        yield from dict.fromkeys((*_never_stepped(found), *_made_for_kept(found)))
        return
    known = {name for o in found.stored.optimizers for g in o.groups for name in g.owners}
    with_state = {
        e.spec.owner for e in found.stored.entries.values() if e.spec.optimizer is not None and e.parts
    }
    matched = {pair.b for pair in found.delta.pairs}
    to_b = {pair.a: pair.b for pair in found.delta.pairs}
    known_live = {to_b.get(name, name) for name in known}
    having = {to_b.get(name or "", name) for name in with_state}
    # what the plan leaves out has no pair to tell its live name
    spelled = {canonical(name) for name in known}
    for name, variable in found.live.variables.items():
        spec = variable.spec
        if spec.optimizer is None or name in matched:
            continue
        known_here = spec.owner in known_live or (spec.owner is not None and canonical(spec.owner) in spelled)
        known_here = known_here and spec.owner not in having
        if (known_here or spec.attributes.get("optional")) and (
            variable.virtual or variable.clear is not None
        ):
            yield name


def _never_stepped(found: Fit) -> Iterable[str]:
    """State of an optimizer of Keras's that has made no step in the checkpoint: it is made with the first one, for all
    weights at once, so that there is none yet."""
    kept = {entry.spec.optimizer for entry in found.stored.entries.values() if entry.spec.role == "slot"}
    if not any(o.step == 0 and o.name not in kept for o in found.stored.optimizers):
        return
    if len(found.stored.optimizers) != 1:
        return
    matched = {pair.b for pair in found.delta.pairs}
    for name, variable in found.live.variables.items():
        spec = variable.spec
        if (
            spec.optimizer is not None
            and spec.role in ("slot", "counter", "gradient")
            and name not in matched
        ):
            yield name


def _made_for_kept(found: Fit) -> Iterable[str]:
    """State of weights that keep the live value, of an optimizer that has made none yet: it is made new."""
    for name, variable in found.live.variables.items():
        if variable.virtual and variable.spec.role == "slot" and variable.spec.owner in found.kept:
            yield name


def tied(found: Fit) -> dict[str, str]:
    """Live tensors that are one object with others are restored by any of their names: those that the checkpoint has under
    another's name alone -> that name of the checkpoint's."""
    groups: dict[str, list[str]] = {}
    for spec in found.live.values():
        if spec.shares is not None:
            groups.setdefault(spec.shares, []).append(spec.name)
    alone: dict[str, str] = {}
    for names in groups.values():
        have = next((found.pairs[name] for name in names if name in found.pairs), None)
        if have is not None:
            alone.update({name: have for name in names if name not in found.pairs})
    return alone


def uncovered(plan: Plan, found: Fit) -> list[Edit]:
    """Edits of the plan that cover nothing: most likely a misspelt pattern."""
    if not plan.edits:
        return []
    names = {*found.live, *found.live.settings, *(module.path for module in found.live.modules)}
    if found.stored.lookups:
        names |= {module.path for module in found.live.lookups.values()}
    names |= values_of(found.stored).keys()
    names |= {name for spec in found.live.values() for name in short_names(spec)}
    for entry in found.positions.entries.values():
        names |= {entry.spec.name, entry.base or entry.spec.name, entry.spec.owner or entry.spec.name}
        names |= {*short_names(entry.spec)}
    hyper = {d.name.rsplit("/", 1)[-1] for d in found.decisions} | {d.name for d in found.decisions}
    out = []
    for edit in plan:
        pool = names | hyper if edit.kind == "hyper" else names
        if not any(matches(pattern, name) for pattern in edit.names for name in pool):
            out.append(edit)
    return out


def differences_for_restore(found: Fit) -> list[Difference]:
    """The differences that matter to a restore (not steps and hyperparameters, which are decisions, nor a tensor without
    elements that is left over: the tables that preprocessing layers of Keras count words in while they adapt)."""
    gone = {*found.cleared, *found.reset}
    return [
        d
        for d in found.delta.differences
        if d.code not in ("O207", "O208", "T211", "T217")
        and not (
            d.code == "T202" and d.a is not None and d.a in found.stored and 0 in found.stored[d.a].shape
        )
        and not (d.code in ("O204", "O205") and (d.b in gone or _optional(found.live, d.b)))
    ]


def _optional(live: LiveCatalog, name: str | None) -> bool:
    """Whether a slot is one that may or may not come to be (a history that grows step by step)."""
    return name is not None and name in live and bool(live[name].attributes.get("optional"))
