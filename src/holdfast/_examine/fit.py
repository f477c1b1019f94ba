"""Does a checkpoint fit a live model? Scope, plan, comparison and decisions; nothing is changed.

``check`` reports a :class:`Fit`; ``restore`` refuses by it, and carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._compare.compare import compare_catalogs
from .._compare.delta import Delta
from .._compare.edited import EditedCatalog, apply_edits
from .._compare.positions import place_by_position
from .._compare.scope import scope_of
from .._core.catalog import Catalog
from .._core.plan import Edit, Plan
from .._frameworks import LiveCatalog
from .fit_findings import fit_findings
from .fit_names import (
    as_called,
    chose_container,
    known_as,
    modules_renamed,
    modules_within,
    moved_names,
    owners_renamed,
    recorded_order,
)
from .fitted import Fit, sort_out
from .hyper_settings import decide_hyperparameters
from .settings import decide_settings, foreign_values, paired_optimizers

__all__ = ["as_plan", "fit"]


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
    plan = plan or Plan()
    scope = as_called(scope_of(stored, live, live.parts, plan), called or {})
    accept = any(e.kind == "map-slots" and e.name == "*" for e in plan)
    chosen = Plan(tuple(e for e in plan if not chose_container(e, scope)))

    def recorded() -> Mapping[str, int]:
        return recorded_order(stored, scope, live, chosen)

    placed = place_by_position(scope.entries, scope.optimizers, live, accept=accept, recorded=recorded)
    entries = apply_edits(chosen, known_as(stored, placed, live, chosen), live)
    optimizers = (
        owners_renamed(placed.optimizers, placed.entries, entries) if chosen.edits else placed.optimizers
    )
    edited = EditedCatalog(stored, entries, optimizers=optimizers)
    edited.modules = modules_renamed(
        modules_within(stored.modules, scope.container),
        moved_names(placed.entries, entries) if chosen.edits else {},
    )
    delta = compare_catalogs(edited, live, depth="header", names=(name or _title(stored), "the live model"))
    foreseen = live.foreseeing(unmade) if (unmade := _of_unmade(edited, live, delta)) else live
    if foreseen is not live:
        return fit(stored, foreseen, plan, name=name, called=called)
    found = Fit(edited, live, delta, scope, placed, plan)
    sort_out(found)
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


def _title(catalog: Catalog) -> str:
    return catalog.files[0] if catalog.files else "memory"
