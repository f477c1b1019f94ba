"""How a checkpoint and a live model fit one another, and what becomes of each tensor by that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .._compare.delta import Delta
from .._compare.edited import EditedCatalog, short_names
from .._compare.names import canonical
from .._compare.positions import Positions
from .._compare.scope import Scope
from .._core.difference import Difference
from .._core.finding import Finding
from .._core.pattern import matches
from .._core.plan import Edit, Plan
from .._frameworks import LiveCatalog
from .settings import Decision, values_of

__all__ = ["AT_ONCE", "Fit", "differences_for_restore", "sort_out", "tied", "uncovered", "weights_of_terms"]

AT_ONCE = frozenset({"keras", "tensorflow"})
"""Frameworks whose optimizers make the state of all weights at once, before the first step."""


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


def sort_out(found: Fit) -> None:
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
    unbegun = {name for name in kept if _unbegun(found, name)}
    found.kept = tuple(name for name in kept if name not in unbegun)
    found.reset = (*reset, *(name for name in kept if name in unbegun))
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


def _unbegun(found: Fit, name: str) -> bool:
    """Whether a live tensor is an average of weights that an optimizer of Keras's keeps (``use_ema``), made and not begun:
    only the very first step sets it to the weight, and any later one would mix the weight into zeros."""
    variable = found.live.variables[name]
    spec = variable.spec
    if spec.role != "average" or spec.optimizer is None or found.live.framework not in AT_ONCE:
        return False
    return variable.read is None or not np.any(variable.read())


def _without_state(found: Fit) -> Iterable[str]:
    """Slots of weights for which the checkpoint's optimizer, though it has the weight, has no state: PyTorch
    makes state with the first gradient, so a weight that never had one has none."""
    if not found.live.optimizers:
        return
    if found.live.framework in AT_ONCE:
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


def weights_of_terms(found: Fit, name: str, terms: Callable[[], Sequence[str]]) -> str:
    """What ``set_vocabulary`` takes beside the terms where the live layer weighs them (``output_mode="tf_idf"``), in its variable
    ``name``. Those of special tokens stand before them."""
    places = [
        key for key in found.stored if key.endswith("idf_weights") and found.stored[key].role == "buffer"
    ]
    if name not in found.live or len(places) != 1:
        return ""
    return f", idf_weights=holdfast.open({found.delta.a!r}).read({places[0]!r})[-{len(terms())}:]"
