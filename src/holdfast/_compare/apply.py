"""Plans applied to specs: what a catalog looks like after the edits, without touching a value.

The edits that change values are carried out by repair and restore; this is the bookkeeping they and the tests
share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from .._core.errors import PlanError
from .._core.pattern import literal_of, matches, rewrite
from .._core.plan import Edit, Plan
from .._core.spec import TensorSpec

__all__ = ["apply_names"]


def apply_names(
    plan: Plan, specs: Iterable[TensorSpec], expected: Mapping[str, TensorSpec] | None = None
) -> list[TensorSpec]:
    """The specs after the edits of a plan.

    ``expected`` is what ``init``, ``keep-live``, ``tie`` and ``reset-slots`` take names and shapes from (they
    add tensors that the specs lack). Slots follow their owner through ``drop``, ``rename``, ``transpose`` and
    shape edits. Raises :class:`PlanError` where two tensors end up with one name, or an edit does not fit
    what it covers.
    """
    now = {spec.name: spec for spec in specs}
    expected = expected or {}
    edits = list(plan)
    at = 0
    while at < len(edits):
        if edits[at].kind in ("rename", "cast"):
            run = at
            while run < len(edits) and edits[run].kind == edits[at].kind:
                run += 1
            now = (_rename if edits[at].kind == "rename" else _cast)(edits[at:run], now)
            at = run
        else:
            now = _one(edits[at], now, expected)
            at += 1
    return list(now.values())


def _covered(edit: Edit, now: Mapping[str, TensorSpec]) -> set[str]:
    return {name for name in now if matches(edit.name, name)}


def _rename(edits: list[Edit], now: dict[str, TensorSpec]) -> dict[str, TensorSpec]:
    moved: dict[str, str] = {}
    for name in now:
        for edit in edits:
            new = rewrite(edit.name, edit.to[0], name)
            if new is not None:
                moved[name] = new
                break
    out: dict[str, TensorSpec] = {}
    for name, spec in now.items():
        new = moved.get(name, name)
        if new in out:
            raise PlanError("two tensors end up with one name", tensor=new, found=f"{name!r} and another")
        changes = {} if new == name else {"name": new, "aliases": (), "key": new}
        if spec.owner in moved:
            changes["owner"] = moved[spec.owner]
        out[new] = spec.with_(**changes) if changes else spec
    return out


def _cast(edits: list[Edit], now: dict[str, TensorSpec]) -> dict[str, TensorSpec]:
    out: dict[str, TensorSpec] = {}
    for name, spec in now.items():
        first = next((e for e in edits if e.was in (None, spec.dtype) and matches(e.name, name)), None)
        out[name] = spec if first is None else spec.with_(dtype=first.to[0])
    return out


def _one(edit: Edit, now: dict[str, TensorSpec], expected: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    kind = edit.kind
    hit = _covered(edit, now) if kind not in ("merge", "hyper") else set()
    if kind == "drop":
        return {n: s for n, s in now.items() if n not in hit and s.owner not in hit}
    if kind in ("init", "keep-live"):
        added = {n: s for n, s in expected.items() if matches(edit.name, n) and n not in now}
        return {**now, **added}
    if kind in ("transpose", "slice", "pad", "resize"):
        # slots that have their owner's shape change with it
        whole = {n for n, s in now.items() if n in hit or (s.owner in hit and s.shape == now[s.owner].shape)}
        return {n: s.with_(shape=_shape(edit, s), layout=None) if n in whole else s for n, s in now.items()}
    if kind == "tie":
        return _tie(edit, now, expected)
    if kind == "untie":
        return {n: replace(s, shares=None) if n in hit else s for n, s in now.items()}
    if kind == "map-slots":
        out = {}
        for name, spec in now.items():
            owner = rewrite(edit.name, edit.to[0], spec.owner) if spec.owner and spec.role == "slot" else None
            out[name] = replace(spec, owner=owner) if owner is not None else spec
        return out
    if kind == "reset-slots":
        kept = {n: s for n, s in now.items() if s.role != "slot" or not matches(edit.name, s.owner or n)}
        fresh = {n: s for n, s in expected.items() if s.role == "slot" and matches(edit.name, s.owner or n)}
        return {**kept, **{n: s for n, s in fresh.items() if n not in kept}}
    if kind in ("split", "merge"):
        return _cut_or_join(edit, now)
    return now  # hyper: no tensor changes


def _shape(edit: Edit, spec: TensorSpec) -> tuple[int, ...]:
    if edit.kind in ("pad", "resize"):
        return edit.value
    if len(edit.value) != len(spec.shape):
        raise PlanError(
            "an edit for another number of axes", tensor=spec.name, expected=len(edit.value), found=spec.shape
        )
    if edit.kind == "transpose":
        return tuple(spec.shape[axis] for axis in edit.value)
    return tuple(
        len(range(*slice(*part).indices(size))) for part, size in zip(edit.value, spec.shape, strict=True)
    )


def _tie(edit: Edit, now: dict[str, TensorSpec], expected: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    name, other = literal_of(edit.name), literal_of(edit.to[0])
    if name is None or other is None or other not in now:
        raise PlanError("tie takes the names of tensors that are there", found=edit.to[0])
    share = now[other].shares or f"tie:{other}"
    tied = now.get(name) or expected.get(name) or now[other].with_(name=name, key=name, aliases=())
    return {**now, other: replace(now[other], shares=share), name: replace(tied, shares=share)}


def _cut_or_join(edit: Edit, now: dict[str, TensorSpec]) -> dict[str, TensorSpec]:
    left = [literal_of(n) or "" for n in edit.names]
    right = [literal_of(n) or "" for n in edit.to]
    missing = [name for name in left if name not in now]
    if missing:
        raise PlanError(f"{edit.kind}: no such tensor", tensor=missing[0])
    first = now[left[0]]
    axis = edit.value
    if not -len(first.shape) <= axis < len(first.shape):
        raise PlanError(
            f"{edit.kind}: no such axis", tensor=left[0], found=axis, expected=f"below {len(first.shape)}"
        )
    axis %= len(first.shape)
    out = {name: spec for name, spec in now.items() if name not in left}
    if edit.kind == "split":
        size, rest = divmod(first.shape[axis], len(right))
        if rest:
            raise PlanError(
                "split: the axis does not divide", tensor=left[0], found=first.shape, expected=len(right)
            )
        shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
        for name in right:
            out[name] = first.with_(name=name, key=name, shape=shape, aliases=(), shares=None)
    else:
        size = sum(now[name].shape[axis] for name in left)
        shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
        out[right[0]] = first.with_(name=right[0], key=right[0], shape=shape, aliases=(), shares=None)
    return out
