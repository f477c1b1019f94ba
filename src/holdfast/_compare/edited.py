"""A plan carried out on a catalog, lazily: the names, shapes and values as they are after the edits.

Reading a tensor reads what it is made of and applies the steps; nothing is computed before. Restore and
convert go by this, and the bookkeeping without values (:func:`holdfast._compare.apply.apply_names`) is the same
code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .._core.catalog import Catalog
from .._core.drafts import draft_of
from .._core.errors import NotStored, PlanError
from .._core.pattern import literal_of, matches, rewrite
from .._core.plan import Edit, Plan
from .._core.spec import TensorSpec
from . import steps

if TYPE_CHECKING:
    import numpy as np

__all__ = ["EditedCatalog", "Entry", "Part", "apply_edits", "entries_of", "plain_entry", "short_names"]

Step = Callable[["np.ndarray"], "np.ndarray"]


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor of the catalog underneath, and what is done with it."""

    source: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor after the edits.

    ``parts``: what it is made of, joined along ``axis`` where there are several; none for a tensor that the
    catalog lacks and that keeps the value it has where it is wanted (``why``: the edit's kind). ``base``: the
    name underneath, and ``aka`` the name where it is wanted (another spelling, a wrapper's prefix): patterns may use
    either as well.
    """

    spec: TensorSpec
    parts: tuple[Part, ...] = ()
    axis: int | None = None
    base: str | None = None
    why: str | None = None
    aka: str | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the stored bytes are the values, as they stand."""
        return len(self.parts) == 1 and not self.parts[0].steps

    def with_spec(self, spec: TensorSpec) -> Entry:
        """The same of another spec."""
        made = _EntryDraft()
        made.spec, made.parts, made.axis = spec, self.parts, self.axis
        made.base, made.why, made.aka = self.base, self.why, self.aka
        made.__class__ = Entry
        entry: Entry = made
        return entry

    def then(self, step: Step, **changes: object) -> Entry:
        """With one more step at the end; ``changes`` of the spec."""
        parts = tuple(replace(part, steps=(*part.steps, step)) for part in self.parts)
        return replace(self, parts=parts, spec=self.spec.with_(**changes))

    def covered_by(self, pattern: str) -> bool:
        """Whether a pattern covers this tensor, by its name, by that underneath or by that where it is wanted."""
        names = (self.spec.name, self.base, self.aka, *short_names(self.spec))
        return any(matches(pattern, name) for name in names if name is not None)


def short_names(spec: TensorSpec) -> tuple[str, ...]:
    """Aliases that are the end of the name: without what was counted per process (``head/kernel`` of
    ``sequential_3/head/kernel``), as people write it in a pattern."""
    found = [alias for alias in spec.aliases if spec.name.endswith(f"/{alias}")]
    bare = _COUNTED.sub("", spec.name, count=1)
    return tuple(found) if bare == spec.name or bare in found else (*found, bare)


_COUNTED = re.compile(r"^(?:sequential|functional|model)(?:_\d+)?/(?=.+/)")
"""What Keras calls a model without a name (``keras/src/utils/naming.py``, ``auto_name``)."""


_PartDraft, _EntryDraft = draft_of(Part), draft_of(Entry)


def plain_entry(spec: TensorSpec, source: str) -> Entry:
    """The entry of a tensor as it stands, from the one called ``source`` underneath."""
    part = _PartDraft()
    part.source, part.steps = source, ()
    part.__class__ = Part
    made = _EntryDraft()
    made.spec, made.parts, made.base = spec, (part,), source
    made.axis = made.why = made.aka = None
    made.__class__ = Entry
    entry: Entry = made
    return entry


Entries = dict[str, Entry]


def entries_of(specs: Iterable[TensorSpec]) -> Entries:
    """Each tensor as it stands."""
    return {spec.name: Entry(spec, (Part(spec.name),)) for spec in specs}


class EditedCatalog(Catalog):
    """A catalog seen through entries. ``base`` is what is underneath; closing closes it."""

    def __init__(self, base: Catalog, entries: Mapping[str, Entry], **changes: object) -> None:
        self.base = base
        self.entries = dict(entries)
        self.format = base.format
        self.modules = base.modules
        self.lookups = base.lookups
        super().__init__(
            (entry.spec for entry in self.entries.values()),
            files=base.files,
            attributes=base.attributes,
            optimizers=changes.get("optimizers", base.optimizers),  # type: ignore[arg-type]
            faults=base.faults,
        )

    @property
    def left_out(self) -> list[str]:
        """Weights and buffers underneath that the edits leave out."""
        used = {part.source for entry in self.entries.values() for part in entry.parts}
        return [s.name for s in self.base.values() if s.role in ("weight", "buffer") and s.name not in used]

    @property
    def not_stored(self) -> list[str]:
        """Weights and buffers that the edits add and that have no values underneath."""
        return [n for n, e in self.entries.items() if not e.parts and e.spec.role in ("weight", "buffer")]

    def read(self, name: str) -> np.ndarray:
        entry = self.entries[self[name].name]
        if not entry.parts:
            raise NotStored("the checkpoint has no such tensor; the plan keeps the live value", tensor=name)
        made = []
        for part in entry.parts:
            values = self.base.read(part.source)
            for step in part.steps:
                values = step(values)
            made.append(values)
        return made[0] if len(made) == 1 else steps.joined(made, entry.axis or 0)

    def close(self) -> None:
        self.base.close()


def apply_edits(plan: Plan, entries: Entries, expected: Mapping[str, TensorSpec] | None = None) -> Entries:
    """The entries after the edits of a plan.

    ``expected`` is what ``init``, ``keep-live``, ``tie`` and ``reset-slots`` take names and shapes from (they
    add tensors that the entries lack). Slots follow their owner through ``drop``, ``rename``, ``transpose`` and
    shape edits. Raises :class:`PlanError` where two tensors end up with one name, or an edit does not fit
    what it covers.
    """
    now = dict(entries)
    expected = expected or {}
    edits = list(plan)
    at = 0
    while at < len(edits):
        if edits[at].kind in ("rename", "cast"):
            run = at
            while run < len(edits) and edits[run].kind == edits[at].kind:
                run += 1
            same = edits[at:run]
            now = _rename(same, now) if edits[at].kind == "rename" else _cast(same, now, expected)
            at = run
        else:
            now = _one(edits[at], now, expected)
            at += 1
    return now


def _rename(edits: list[Edit], now: Entries) -> Entries:
    moved: dict[str, str] = {}
    for name, entry in now.items():
        for edit in edits:
            new = rewrite(edit.name, edit.to[0], name)
            if new is None and entry.base is not None:
                new = rewrite(edit.name, edit.to[0], entry.base)
            if new is not None:
                moved[name] = new
                break
    out: Entries = {}
    for name, entry in now.items():
        new = moved.get(name, name)
        if new in out:
            raise PlanError("two tensors end up with one name", tensor=new, found=f"{name!r} and another")
        changes: dict[str, object] = {} if new == name else {"name": new, "aliases": (), "key": new}
        if entry.spec.owner in moved:
            changes["owner"] = moved[entry.spec.owner]
        out[new] = replace(entry, spec=entry.spec.with_(**changes)) if changes else entry
    return out


def _cast(edits: list[Edit], now: Entries, expected: Mapping[str, TensorSpec]) -> Entries:
    out: Entries = {}
    for name, entry in now.items():
        dtype = entry.spec.dtype
        there = expected.get(entry.aka or name)
        if there is not None and there.dtype == dtype:
            # wanted as it is (a count of steps beside weights in bfloat16), whatever the pattern covers
            out[name] = entry
            continue
        first = next((e for e in edits if e.was in (None, dtype) and entry.covered_by(e.name)), None)
        to = None if first is None else first.to[0]
        out[name] = entry if to in (None, dtype) else entry.then(steps.caster(to or ""), dtype=to)
    return out


def _one(edit: Edit, now: Entries, expected: Mapping[str, TensorSpec]) -> Entries:
    kind = edit.kind
    if kind in ("hyper", "function", "nonfinite"):
        return now  # no tensor changes
    if kind in ("split", "merge"):
        return _cut_or_join(edit, now)
    hit = {name for name, entry in now.items() if entry.covered_by(edit.name)}
    if kind == "drop":
        # what an edit before this one keeps is none of the checkpoint's tensors
        return _without({name for name in hit if now[name].parts}, now)
    if kind in ("init", "keep-live"):
        return _kept(edit, now, expected)
    if kind in ("transpose", "slice", "pad", "resize"):
        return {n: _shaped(edit, e) if _follows(n, e, hit, now) else e for n, e in now.items()}
    if kind == "tie":
        return _tie(edit, now, expected)
    if kind == "untie":
        return {n: replace(e, spec=replace(e.spec, shares=None)) if n in hit else e for n, e in now.items()}
    if kind == "map-slots":
        return {name: _mapped(edit, entry) for name, entry in now.items()}
    assert kind == "reset-slots"
    kept = {n: e for n, e in now.items() if not _resets(edit, e.spec)}
    return {**kept, **_added({n: s for n, s in expected.items() if _resets(edit, s)}, kept, kind)}


def _without(gone: set[str], now: Entries) -> Entries:
    """The entries without some, and without the slots of these."""
    return {n: e for n, e in now.items() if n not in gone and e.spec.owner not in gone}


def _kept(edit: Edit, now: Entries, expected: Mapping[str, TensorSpec]) -> Entries:
    """With the expected tensors that the pattern covers as they are, and their optimizer state, whether the checkpoint
    lacks them or holds something for them: that is left out, as by ``drop``."""
    kept = {n for n, s in expected.items() if any(matches(edit.name, name) for name in (n, *short_names(s)))}
    ties = {expected[n].shares for n in kept} - {None}
    kept |= {
        n for n, s in expected.items() if s.shares in ties
    }  # one tensor, whichever of its names was said
    left = _without({n for n, e in now.items() if e.parts and not kept.isdisjoint((n, e.aka))}, now)
    own = {n: Entry(expected[n], why=edit.kind) for n in expected if n in kept and n not in left}
    return {
        **left,
        **own,
        **_added({n: s for n, s in expected.items() if _state_of(s, kept)}, left, edit.kind),
    }


def _state_of(spec: TensorSpec, kept: set[str]) -> bool:
    """Whether it is there already (what the first step makes is not), and an optimizer's state of a weight that keeps its
    value: the state that belongs to that value, and to none of the checkpoint's."""
    own = spec.optimizer is not None and spec.owner in kept and spec.name not in kept
    return own and not spec.attributes.get("virtual")


def _added(specs: Mapping[str, TensorSpec], now: Entries, why: str) -> Entries:
    """Entries without values for state that the entries lack."""
    fresh: Entries = {}
    for name, spec in specs.items():
        if name in now and now[name].spec.owner == spec.owner:
            continue
        # state named by its position: at this one the file may keep another weight's
        free = name if name not in now else f"live/{name}"
        fresh[free] = Entry(spec if free == name else spec.with_(name=free), why=why)
    return fresh


def _resets(edit: Edit, spec: TensorSpec) -> bool:
    """Slots, and the step counts that PyTorch keeps by weight."""
    of_weight = spec.role == "slot" or (spec.role == "counter" and spec.optimizer is not None)
    return of_weight and (
        matches(edit.name, spec.owner or spec.name) or (spec.owner is None and edit.name == "*")
    )


def _mapped(edit: Edit, entry: Entry) -> Entry:
    spec = entry.spec
    owner = rewrite(edit.name, edit.to[0], spec.owner) if spec.owner and spec.role == "slot" else None
    return entry if owner is None else replace(entry, spec=replace(spec, owner=owner))


def _follows(name: str, entry: Entry, hit: set[str], now: Entries) -> bool:
    """Whether a shape edit covers the tensor: itself, or as a slot that has its owner's shape."""
    owner = entry.spec.owner
    return name in hit or (owner in hit and owner in now and entry.spec.shape == now[owner].spec.shape)


def _shaped(edit: Edit, entry: Entry) -> Entry:
    spec = entry.spec
    if edit.kind in ("pad", "resize"):
        make = steps.padder if edit.kind == "pad" else steps.resizer
        # a new weight's momenta are zero, whatever the weight is filled with
        fill = None if edit.kind == "pad" and spec.role == "slot" else edit.fill
        return entry.then(make(spec.name, spec.shape, edit.value, fill), shape=edit.value, layout=None)
    if len(edit.value) != len(spec.shape):
        raise PlanError(
            "an edit for another number of axes", tensor=spec.name, expected=len(edit.value), found=spec.shape
        )
    if edit.kind == "transpose":
        shape = tuple(spec.shape[axis] for axis in edit.value)
        return entry.then(steps.transposer(edit.value), shape=shape, layout=None)
    shape = tuple(
        len(range(*slice(*part).indices(size))) for part, size in zip(edit.value, spec.shape, strict=True)
    )
    return entry.then(steps.slicer(edit.value), shape=shape, layout=None)


def _tie(edit: Edit, now: Entries, expected: Mapping[str, TensorSpec]) -> Entries:
    name, other = literal_of(edit.name), literal_of(edit.to[0])
    if name is None or other is None or other not in now:
        raise PlanError("tie takes the names of tensors that are there", found=edit.to[0])
    first = now[other]
    share = first.spec.shares or f"tie:{other}"
    had = now[name].spec if name in now else expected.get(name)
    tied = had or first.spec.with_(name=name, key=name, aliases=())
    return {
        **now,
        other: replace(first, spec=replace(first.spec, shares=share)),
        name: replace(first, spec=replace(tied, shares=share), base=None),
    }


def _cut_or_join(edit: Edit, now: Entries) -> Entries:
    left = [literal_of(n) or "" for n in edit.names]
    right = [literal_of(n) or "" for n in edit.to]
    missing = [name for name in left if name not in now]
    if missing:
        raise PlanError(f"{edit.kind}: no such tensor", tensor=missing[0])
    first = now[left[0]].spec
    axis = edit.value
    if not -len(first.shape) <= axis < len(first.shape):
        raise PlanError(
            f"{edit.kind}: no such axis", tensor=left[0], found=axis, expected=f"below {len(first.shape)}"
        )
    axis %= len(first.shape)
    out = {name: entry for name, entry in now.items() if name not in left}
    if edit.kind == "split":
        size, rest = divmod(first.shape[axis], len(right))
        if rest:
            raise PlanError(
                "split: the axis does not divide", tensor=left[0], found=first.shape, expected=len(right)
            )
        shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
        for place, name in enumerate(right):
            out[name] = now[left[0]].then(
                steps.cutter(axis, place * size, (place + 1) * size),
                name=name,
                key=name,
                shape=shape,
                aliases=(),
                shares=None,
            )
        return out
    others = [now[name] for name in left]
    if any(len(e.parts) != 1 for e in others):
        raise PlanError("merge: a part is itself joined or not stored", tensor=right[0])
    for entry in others:
        cross = [n for n in range(len(first.shape)) if n != axis]
        if len(entry.spec.shape) != len(first.shape) or any(
            entry.spec.shape[n] != first.shape[n] for n in cross
        ):
            raise PlanError(
                "merge: the parts do not fit one another",
                tensor=entry.spec.name,
                expected=first.shape,
                found=entry.spec.shape,
            )
    size = sum(entry.spec.shape[axis] for entry in others)
    shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
    spec = first.with_(name=right[0], key=right[0], shape=shape, aliases=(), shares=None)
    out[right[0]] = Entry(spec, tuple(part for e in others for part in e.parts), axis)
    return out
