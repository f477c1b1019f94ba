"""The findings of a fit: every difference in the words of a person who wants to load, with what the
framework's own loader would do, and the edit that settles it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .._compare.casting import Overflow, overflow
from .._compare.draft import draft, fold_names
from .._compare.optimizers import belongs_to_optimizer, class_by_name, plain_class
from .._core.difference import DIFFERENCES, Difference
from .._core.errors import HoldfastError
from .._core.finding import Finding, Place
from .._core.pattern import covered, escape, matches
from .._core.plan import Edit, Plan
from .._core.spec import TensorSpec
from .._rules.registry import rule_named
from .fit import Fit, differences_for_restore, uncovered
from .settings import Decision, shown

__all__ = ["fit_findings"]

_HARDLY = 0.2
_MOSTLY = 0.8
_PATTERNS = 4
_MANY = frozenset({"T201", "T202", "T203", "T205", "O204", "O205"})
"""Kinds of difference that are told as one where it would take more than :data:`_PATTERNS` patterns to name them."""
_FEW = 3
_ASIDE = frozenset({"rng", "data-position", "metric", "other", "hyperparameter"})
"""Roles that a restore does not insist on."""
_WIDER = {
    ("float16", "float32"), ("bfloat16", "float32"), ("float32", "float64"), ("float16", "float64"),
    ("bfloat16", "float64"), ("int8", "int16"), ("int8", "int32"), ("int8", "int64"), ("int16", "int32"),
    ("int16", "int64"), ("int32", "int64"), ("uint8", "int32"), ("uint8", "int64"), ("float32", "complex64"),
}  # fmt: skip
"""Casts that lose nothing."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A finding in the making: several differences of one kind told as one."""

    severity: str
    message: str
    edit: str | None = None
    lossless: bool | None = None
    remedy: str | None = None


def fit_findings(found: Fit) -> None:
    """Fill ``found.findings`` and ``found.proposal``."""
    made: list[Finding] = []
    against: list[Difference] = []
    groups: dict[Hashable, list[Difference]] = {}
    relevant = _following(_optimizer_class(found, differences_for_restore(found)), found)
    relevant = [*relevant, *_counters(found, relevant)]
    for difference in relevant:
        groups.setdefault(_group(difference), []).append(difference)
    for members in groups.values():
        for same, told in _tell(members, found):
            made.append(_finding(same, told, found))
            if told.severity == "error":
                against += same
    made += _positions(found)
    made += _container(found)
    made += _unclear_optimizers(found)
    hyper = list(_hyperparameters(found))
    made += hyper
    made += _lacking(found)
    made += _live_faults(found)
    made += _plan_notes(found)
    made = [_with_neighbour(f, found) for f in made]
    made = _not_built(found, _another_model(found, made))
    found.findings = tuple(sorted(made, key=lambda f: ("error", "warning", "note").index(f.severity)))
    found.proposal = _proposal(found, against, hyper)


def _group(difference: Difference) -> Hashable:
    """What is told in one sentence: one kind, with the same values on both sides."""
    evidence = difference.evidence
    keys = {
        "T203": ("a", "b"), "T204": ("a", "b"), "T206": ("axes", "by"), "T205": ("by", "certain"),
        "T216": ("wrapper",), "O204": ("slot",), "O205": ("slot",), "T201": ("role",), "T202": ("role",),
        "T212": ("a", "b"), "T213": ("a", "b"),
    }.get(difference.code)  # fmt: skip
    if keys is None:
        return id(difference)
    side = difference.a is None
    return (difference.code, side, *(str(evidence.get(key)) for key in keys))


def _tell(members: Sequence[Difference], found: Fit) -> Iterator[tuple[list[Difference], _Told]]:
    """Cut a group into what one pattern covers, and put each into words."""
    code = members[0].code
    teller = _TELLERS.get(code, _plainly)
    if len(members) == 1 or code == "T216" or _spelt(members[0]):  # one story, whatever the names
        told = teller(list(members), members[0].name, found)
        if told is not None:
            yield list(members), told
        return
    by_name = {d.name: d for d in members}
    universe = list(found.live) if members[0].b is not None else list(found.stored)
    left, ordered = dict(by_name), sorted(by_name)
    place = {name: number for number, name in enumerate(by_name)}
    cut: list[tuple[list[Difference], _Told]] = []
    for pattern, _ in fold_names(list(by_name), universe):
        same = [left.pop(n) for n in sorted(covered(pattern, ordered), key=place.__getitem__) if n in left]
        told = teller(same, pattern, found) if same else None
        if told is not None:
            cut.append((same, told))
    yield from cut if len(cut) <= _PATTERNS or code not in _MANY else [_together(cut, teller, found)]


def _together(
    cut: list[tuple[list[Difference], _Told]], teller: _Teller, found: Fit
) -> tuple[list[Difference], _Told]:
    """Differences of one kind that no few patterns cover, as one finding; the plan has their edits."""
    same = [difference for members, _ in cut for difference in members]
    names = "`, `".join(d.name for d in same[:3])
    told = teller(same, f"{names}` … `{same[-1].name}", found)
    first = cut[0][1]
    assert told is not None
    if first.edit is None:
        return same, replace(told, edit=None)
    lossy = "" if first.lossless else ", if that is meant"
    remedy = f"Allow the plan's edits for them (`{first.edit}` and so on){lossy}."
    return same, replace(told, edit=None, remedy=remedy)


# -- words for each kind --------------------------------------------------------------------------------
def _many(same: Sequence[Difference], pattern: str) -> str:
    return f"`{same[0].name}`" if len(same) == 1 else f"{len(same)} tensors `{pattern}`"


def _is(same: Sequence[Difference]) -> str:
    return "is" if len(same) == 1 else "are"


def _shape(values: Any) -> str:
    return str(tuple(values)) if values else "scalar"


def _missing(same: list[Difference], pattern: str, found: Fit) -> _Told | None:
    names = [d.b for d in same if d.b is not None]
    if not set(names) & set(found.missing):
        return None  # tied to a tensor that is restored
    role = same[0].evidence.get("role")
    what = "optimizer's state" if role in ("slot", "counter") else "model"
    if role in ("metric", "other", "hyperparameter"):
        return None
    if role in _ASIDE:
        keep = "keeps" if len(same) == 1 else "keep"
        text = f"{_many(same, pattern)} ({role}) {_is(same)} not in the checkpoint and {keep} the live value"
        return _Told("note", text)
    detail = ""
    if len(same) == 1:
        detail = f", {_shape(same[0].evidence.get('shape'))} {same[0].evidence.get('dtype')},"
    return _Told(
        "error",
        f"{_many(same, pattern)}{detail} {_is(same)} in the {what} and not in the checkpoint",
        f"keep-live:{pattern}",
    )


def _left_over(same: list[Difference], pattern: str, found: Fit) -> _Told | None:
    role = same[0].evidence.get("role")
    if role in _ASIDE or (role == "counter" and all(_of_nothing(found, d.a) for d in same)):
        return None
    whose = "optimizer" if role in ("slot", "counter") else "model"
    return _Told(
        "error",
        f"{_many(same, pattern)} {_is(same)} in the checkpoint and not in the {whose}",
        f"drop:{pattern}",
        False,
    )


def _of_nothing(found: Fit, name: str | None) -> bool:
    """A counter that belongs to no weight and no optimizer: a step or an epoch beside the state."""
    spec = found.stored[name] if name is not None and name in found.stored else None
    return spec is None or (spec.owner is None and spec.optimizer is None)


def _other_shape(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    edit = None if one.edit is None else _with_pattern(one.edit, pattern)
    remedy = None
    if edit is None:
        remedy = (
            f"Nothing makes one of the other: leave it out with `drop:{pattern}` and `keep-live:{pattern}`."
        )
    return _Told(
        "error",
        f"{_many(same, pattern)} {_is(same)} {_shape(one.evidence.get('a'))} in the checkpoint and "
        f"{_shape(one.evidence.get('b'))} in the model",
        edit,
        False,
        remedy,
    )


def _other_dtype(same: list[Difference], pattern: str, found: Fit) -> _Told:
    a, b = str(same[0].evidence.get("a")), str(same[0].evidence.get("b"))
    edit = None if same[0].edit is None else _with_pattern(same[0].edit, pattern)
    text = f"{_many(same, pattern)} {_is(same)} {a} in the checkpoint and {b} in the model"
    beyond = [] if (a, b) in _WIDER else list(_beyond(same, b, found))
    if beyond:
        name, worst = max(beyond, key=lambda item: item[1].largest)
        count = sum(item.values for _, item in beyond)
        text += (
            f"; {count} value{'s' if count > 1 else ''} would become infinite in {b} (the largest is "
            f"{worst.largest:.6g}, in `{name}`; {b} ends at {worst.limit:.6g})"
        )
    return _Told("error", text, edit, (a, b) in _WIDER)


def _beyond(same: list[Difference], dtype: str, found: Fit) -> Iterator[tuple[str, Overflow]]:
    """Tensors with values beyond the new dtype's range."""
    for difference in same:
        if difference.a is None:
            continue
        try:
            worst = overflow(found.stored, difference.a, dtype)
        except HoldfastError:
            continue  # what cannot be read is told by the file's own findings
        if worst is not None:
            yield difference.a, worst


def _with_pattern(edit: Edit, pattern: str) -> str:
    return str(Edit(edit.kind, (pattern,), edit.to, was=edit.was, value=edit.value, fill=edit.fill))


def _renamed(same: list[Difference], pattern: str, found: Fit) -> _Told | None:
    by, certain = same[0].evidence.get("by"), same[0].evidence.get("certain")
    one = same[0]
    first = f"`{one.a}` of the checkpoint is {'' if certain else 'likely '}`{one.b}` of the model"
    if len(same) > 1:
        first += f" (and {len(same) - 1} more)"
    if _spelt(one):
        return _Told("note", first + ": the same name, spelt otherwise")
    edits = draft(same, list(found.stored.values()), list(found.live.values())).edits
    edit = str(edits[0]) if len(edits) == 1 else None
    return _Told("error", first + f": {_why(by)}", edit, True)


def _spelt(difference: Difference) -> bool:
    """Whether a tensor has the same name on either side, only spelt otherwise."""
    return (
        difference.code == "T205"
        and bool(difference.evidence.get("certain"))
        and difference.evidence.get("by") in ("alias", "spelling", "wrapper")
    )


def _why(by: Any) -> str:
    return {
        "rule": "one rule of names carries it over with others",
        "module": "the only module with these tensors and shapes",
        "shape": "the only ones of this shape and kind that are left",
        "order": "the only ones of this shape at this place in the order",
        "content": "they hold the same values",
    }.get(str(by), str(by))


def _wrapped(same: list[Difference], pattern: str, found: Fit) -> _Told:
    prefix, origin = same[0].evidence.get("wrapper"), same[0].evidence.get("origin")
    return _Told(
        "note",
        f"{len(same)} name{'s' if len(same) > 1 else ''} differ{'s' if len(same) == 1 else ''} only by "
        f"`{prefix}` of {origin}; a restore takes them as the same",
    )


def _transposed(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    edit = None if one.edit is None else _with_pattern(one.edit, pattern)
    return _Told(
        "error",
        f"{_many(same, pattern)} {_is(same)} transposed: {_shape(one.evidence.get('a'))} in the checkpoint, "
        f"{_shape(one.evidence.get('b'))} in the model",
        edit,
        True,
    )


def _tied_here(same: list[Difference], pattern: str, found: Fit) -> _Told | None:
    one = same[0]
    names = [n for n in _share_group(found.live, one.b) if n in found.stored] or [n for n in (one.a,) if n]
    held = _equal_values(found, names)
    if held:
        return None  # one of them is as good as the other
    edit = None if one.edit is None else str(one.edit)
    if len(names) < 2:
        return None  # only one of them is in the file, which is how a tied tensor is stored
    return _Told(
        "error",
        f"{', '.join(f'`{n}`' for n in names[:3])} are one tensor in the model and differ in the checkpoint",
        edit,
        False,
    )


def _tied_there(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    return _Told(
        "error",
        f"`{one.b or one.a}` is tied to another tensor in the checkpoint and stands alone in the model: both "
        "would get one value and then drift apart",
        None if one.edit is None else str(one.edit),
        True,
    )


def _share_group(catalog: Any, name: str | None) -> list[str]:
    if name is None or name not in catalog:
        return []
    share = catalog[name].shares
    return [s.name for s in catalog.values() if share is not None and s.shares == share]


def _equal_values(found: Fit, names: Sequence[str]) -> bool:
    if len(names) < 2:
        return False
    try:
        first = np.asarray(found.stored.read(names[0]))
        return all(
            np.array_equal(first, np.asarray(found.stored.read(n)), equal_nan=first.dtype.kind in "fc")
            for n in names[1:]
        )
    except HoldfastError:
        return False


def _ambiguous(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    here, there = one.candidates_a or (one.a or "",), one.candidates_b or (one.b or "",)
    return _Told(
        "error",
        f"{_list(here)} of the checkpoint could be {_list(there)} of the model: {one.evidence.get('why')} on "
        "either side, and nothing in the file tells which is which",
        None,
        None,
        f"Say it: `rename:{here[0]}->{there[0]}` for each. Names given to the layers, or a seal or vault record "
        "of the run, would tell.",
    )


def _list(names: Sequence[str]) -> str:
    text = ", ".join(f"`{n}`" for n in names[:3])
    return text + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _fused(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    parts, whole = (one.candidates_a, one.b) if one.code == "T214" else (one.candidates_b, one.a)
    where = ("checkpoint", "model") if one.code == "T214" else ("model", "checkpoint")
    return _Told(
        "error",
        f"{_list(parts)} of the {where[0]} are one tensor, `{whole}`, in the {where[1]}",
        None if one.edit is None else str(one.edit),
        True,
    )


def _role(same: list[Difference], pattern: str, found: Fit) -> _Told:
    return _Told(
        "note",
        f"{_many(same, pattern)} {_is(same)} a {same[0].evidence.get('a')} in the checkpoint and a "
        f"{same[0].evidence.get('b')} in the model",
    )


def _trainable(same: list[Difference], pattern: str, found: Fit) -> _Told:
    words = ("frozen", "trainable")
    a, b = (words[bool(same[0].evidence.get(side))] for side in ("a", "b"))
    return _Told("note", f"{_many(same, pattern)} {_is(same)} {a} in the checkpoint and {b} in the model")


def _no_optimizer(same: list[Difference], pattern: str, found: Fit) -> _Told:
    count = same[0].evidence.get("tensors", 0)
    return _Told(
        "error",
        f"the checkpoint holds no optimizer state; the live optimizer wants {count} tensors of it",
        "reset-slots:*",
        False,
        "Training goes on with fresh moments and step count if that is meant: allow `reset-slots:*`, or leave "
        "optimizer= out.",
    )


def _optimizer_not_wanted(same: list[Difference], pattern: str, found: Fit) -> _Told:
    count = same[0].evidence.get("tensors", 0)
    classes = ", ".join(str(c) for c in same[0].evidence.get("classes", ()) if c) or "an optimizer"
    return _Told(
        "error",
        f"the checkpoint holds the state of {classes} ({count} tensors); the live optimizer keeps none",
        f"drop:{escape('optimizer')}/*" if all(n.startswith("optimizer/") for n in same[0].related) else None,
        False,
    )


def _other_class(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    if any(e.kind == "map-slots" for e in found.plan):
        return _Told("note", f"{one.message} (allowed by map-slots)")
    return _Told(
        "error",
        f"the optimizer is {one.evidence.get('a')} in the checkpoint and {one.evidence.get('b')} now",
        "reset-slots:*",
        False,
        "Allow `reset-slots:*` to start the new optimizer's state afresh (with `drop:` for slots that it does "
        "not know), or `map-slots:*->*` to keep the slots that both have.",
    )


def _other_slots(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    here = one.b is None
    slot = one.evidence.get("slot")
    count = f"{len(same)} weight{'s' if len(same) > 1 else ''}"
    owners = list(dict.fromkeys(str(d.evidence.get("owner")) for d in same if d.evidence.get("owner")))
    told = f" ({_list(owners)})" if owners else ""
    if here:
        return _Told(
            "error",
            f"the checkpoint has the slot `{slot}` of {count}{told}, which the live optimizer does not keep",
            f"drop:{pattern}",
            False,
        )
    owner_pattern = escape(owners[0]) if len(owners) == 1 else "*"
    return _Told(
        "error",
        f"the live optimizer keeps the slot `{slot}` of {count}{told}, which the checkpoint does not have",
        f"reset-slots:{owner_pattern}",
        False,
    )


def _groups(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    accepted = any(e.kind == "map-slots" for e in found.plan)
    return _Told(
        "note" if accepted else "error",
        one.message.replace(" in A", " in the checkpoint").replace(" in B", " now"),
        None if accepted else "map-slots:*->*",
        None,
        "State goes by weight where the owners are known; with other groups the hyperparameters of each are "
        "the live ones. Allow it with `map-slots:*->*`.",
    )


def _function(same: list[Difference], pattern: str, found: Fit) -> _Told:
    """Another configuration or code of modules; the plan may say that the live one is meant."""
    one = same[0]
    modules = [str(m) for m in one.evidence.get("modules", ())] or [one.name]
    patterns = [e.name for e in found.plan if e.kind == "function"]
    meant = all(any(matches(pattern, module) for pattern in patterns) for module in modules)
    severity = "note" if meant else str(one.evidence.get("severity", "error"))
    edit = None if meant else f"function:{escape(modules[0]) if len(modules) == 1 and modules[0] else '*'}"
    text = one.message.replace(" in A", " in the checkpoint").replace(" in B", " in the model")
    remedy = None
    if severity != "note":
        remedy = f"Build the model as it was, or allow `{edit}` if the change is meant."
    return _Told(severity, text, edit, None, remedy)


def _order(same: list[Difference], pattern: str, found: Fit) -> _Told:
    return _Told("note", "the optimizers list the same weights in another order; state goes by weight")


def _plainly(same: list[Difference], pattern: str, found: Fit) -> _Told:
    one = same[0]
    severity = one.evidence.get("severity", "error")
    return _Told(
        str(severity),
        one.message.replace(" in A", " in the checkpoint").replace(" in B", " in the model"),
        None if one.edit is None else str(one.edit),
    )


_Teller = Callable[[list[Difference], str, Fit], "_Told | None"]
_TELLERS: Mapping[str, _Teller] = {
    "T201": _missing,
    "T202": _left_over,
    "T203": _other_shape,
    "T204": _other_dtype,
    "T205": _renamed,
    "T206": _transposed,
    "T207": _tied_here,
    "T208": _tied_there,
    "T210": _ambiguous,
    "T212": _role,
    "T213": _trainable,
    "T214": _fused,
    "T215": _fused,
    "T216": _wrapped,
    "T218": _function,
    "T219": _function,
    "O201": _no_optimizer,
    "O202": _optimizer_not_wanted,
    "O203": _other_class,
    "O204": _other_slots,
    "O205": _other_slots,
    "O206": _groups,
    "O209": _order,
}


def _finding(same: Sequence[Difference], told: _Told, found: Fit) -> Finding:
    one = same[0]
    kind = DIFFERENCES[one.code]
    evidence: dict[str, Any] = {k: v for k, v in one.evidence.items() if k not in ("related",)}
    if "a" in evidence and "b" in evidence:
        seen, expected = (
            _shape(v) if isinstance(v, list) else v for v in (evidence.pop("a"), evidence.pop("b"))
        )
        evidence = {"seen": seen, "expected": expected, **evidence}
    if isinstance(evidence.get("shape"), list):
        evidence["shape"] = _shape(evidence["shape"])
    if told.severity == "error":
        loader = _framework_does(found, one)
        if loader is not None:
            evidence["framework"] = loader
    remedy = told.remedy
    if remedy is None and told.edit is not None and told.severity == "error":
        lossy = "" if told.lossless else " if that is meant"
        remedy = f"Allow `{told.edit}`{lossy}."
    return Finding(
        code=one.code,
        slug=kind.slug,
        severity=told.severity,  # type: ignore[arg-type]
        message=told.message,
        where=Place(tensor=one.name),
        evidence=evidence,
        cause=kind.cause,
        remedy=remedy,
        edit=told.edit,
        lossless=told.lossless,
        tensors=tuple(d.name for d in same),
    )


def _framework_does(found: Fit, difference: Difference) -> str | None:
    """What the framework's own loader would do with it, in a sentence."""
    from .._facts.loaders import what_the_framework_does

    return what_the_framework_does(
        found.live.framework,
        found.stored.format,
        difference.code,
        tensor=difference.name,
        details={**difference.evidence, "a_name": difference.a, "b_name": difference.b},
    )


def _not_built(found: Fit, made: list[Finding]) -> list[Finding]:
    """A model that has no variables yet can take nothing; what the checkpoint has too much follows from that."""
    if not found.live.unbuilt:
        return made
    errors = [f for f in made if f.severity == "error" and f.code in ("T201", "T202", "T223", "O204", "O205")]
    told = _ruled(
        "not-built",
        f"the model is not built: {_list(found.live.unbuilt)} {'has' if len(found.live.unbuilt) == 1 else 'have'} "
        "no variables yet, and loading into it leaves them at the values of the first call",
        severity="error",
        remedy="Call the model once on a batch before, or restore(build_with=batch), which puts random state back.",
    )
    return [replace(told, related=tuple(errors)), *(f for f in made if f not in errors)]


def _another_model(found: Fit, made: list[Finding]) -> list[Finding]:
    """Where hardly anything fits, that is the one thing to say; the rest follows from it."""
    weights = [v.spec for v in found.live.variables.values() if v.spec.role == "weight"]
    errors = [f for f in made if f.severity == "error"]
    if len(weights) < _FEW or not errors or "model" not in found.live.parts:
        return made
    misfits = [f for f in errors if f.code not in ("T204", "T206", "T207", "T208")]
    sure = {pair.b for pair in found.delta.pairs if pair.certain} - {n for f in misfits for n in f.tensors}
    # one rule carries the names over: the same model, called otherwise
    sure |= {pair.b for pair in found.delta.pairs if pair.by in ("rule", "module")}
    fitting = sum(spec.name in sure for spec in weights)
    stored = sum(e.spec.role == "weight" for e in found.positions.entries.values())
    if fitting > _HARDLY * len(weights) or fitting + _resized(found) >= _MOSTLY * max(len(weights), stored):
        return made
    if not stored:
        told = _ruled(
            "another-model",
            "the checkpoint holds no weights of a model"
            + (", only the state of an optimizer" if found.stored.optimizers else ""),
            seen=", ".join(f"`{name}` ({count} tensors)" for name, count in found.scope.others)
            or f"{len(found.stored)} tensors, none a weight",
            expected=f"`{weights[0].name}` and {len(weights) - 1} more",
            remedy="Restore the model from the file that holds it, and pass here only what this file is for.",
        )
        return [replace(told, related=tuple(errors)), *(f for f in made if f.severity != "error")]
    if _several_times(found.delta.differences) > _HARDLY * len(weights):
        return made
    first = next(e.spec.name for e in found.positions.entries.values() if e.spec.role == "weight")
    told = _ruled(
        "another-model",
        f"this is a checkpoint of another model: {fitting or 'none'} of the {len(weights)} weights of the live "
        f"model are in it",
        seen=f"{stored} weights, the first is `{first}`",
        expected=f"`{weights[0].name}` and {len(weights) - 1} more",
    )
    return [replace(told, related=tuple(errors)), *(f for f in made if f.severity != "error")]


def _resized(found: Fit) -> int:
    """Weights of one name and as many axes on both sides that only have other sizes: the same model, wider."""
    named = {pair.b for pair in found.delta.pairs if pair.by in ("name", "alias", "wrapper", "automatic")}
    return sum(
        d.code == "T203"
        and d.b in named
        and d.evidence.get("role", "weight") == "weight"
        and found.live[d.b].role == "weight"
        and len(d.evidence.get("a", ())) == len(d.evidence.get("b", ()))
        for d in found.delta.differences
    )


def _several_times(differences: Sequence[Difference]) -> int:
    """How many live tensors a name of the file could mean, each live name ending in it: two networks of one kind were
    passed, and the file holds one."""
    return sum(
        len(d.candidates_b)
        for d in differences
        if d.code == "T210" and d.candidates_a and all(n.endswith(d.candidates_a[0]) for n in d.candidates_b)
    )


# -- what is no difference of tensors -------------------------------------------------------------------
def _optimizer_class(found: Fit, differences: list[Difference]) -> list[Difference]:
    """Slots that differ because the class does are told as that: one cause, one finding."""
    stored, live = found.stored.optimizers, found.live.optimizers
    if len(stored) != 1 or len(live) != 1 or any(d.code == "O203" for d in differences):
        slots_too = any(d.code == "O203" for d in differences)
        return [d for d in differences if not (slots_too and d.code == "O204")]
    one, other = plain_class(stored[0]), plain_class(live[0])
    base = found.stored.base
    only = base.optimizers[0] if len(base.optimizers) == 1 else None
    named = None if stored[0].class_name or only is None else class_by_name(base, only)
    one = named or one
    flags = [
        o.groups[0].current.get("decoupled_weight_decay") if o.groups else None for o in (stored[0], live[0])
    ]
    differs = None not in flags and flags[0] != flags[1]
    slots = [d for d in differences if d.code == "O204"]
    if one is None or other is None or one == other or not (differs or slots or found.cleared or named):
        return differences
    made = Difference(
        "O203", stored[0].name, live[0].name, "",
        {
            "a": stored[0].class_name or named or stored[0].class_likely, "b": live[0].class_name,
            "by": "its name" if named else "what it keeps of each weight" if slots
            else "decoupled_weight_decay of its groups",
        },
        Edit("reset-slots", ("*",)),
        related=tuple(n for d in slots for n in (d.a, d.b) if n),
    )  # fmt: skip
    return [d for d in differences if d.code != "O204" and d.evidence.get("role") != "counter"] + [made]


def _counters(found: Fit, told: Sequence[Difference]) -> Iterator[Difference]:
    """Step counts of the live optimizer that the checkpoint does not have: left at their value, moments would be
    corrected as if the run had just begun."""
    if found.scope.unclear or any(d.code in ("O201", "O203") for d in told):
        return
    settled = {*found.pairs, *found.kept, *found.reset, *found.cleared, *(d.b for d in told)}
    owners = {d.evidence.get("owner") for d in told} | {d.b for d in told}
    for name, variable in found.live.variables.items():
        spec = variable.spec
        if spec.role != "counter" or spec.optimizer is None or variable.virtual or name in settled:
            continue
        if spec.owner is None or spec.owner not in owners:
            yield Difference(
                "O204", None, name, f"the count `{name}` is in B and not in A",
                {"slot": name.rsplit("/", 1)[-1], "owner": spec.owner, "shape": list(spec.shape)},
                Edit("reset-slots", (escape(spec.owner or name),)),
            )  # fmt: skip


def _following(differences: list[Difference], found: Fit) -> list[Difference]:
    """Without groups that differ only because weights are missing, left over or unclear, or were settled as that by
    the plan; and without state that is missing because nobody can say whose it is."""
    told = {
        n for d in differences if d.code[0] == "T" for n in (d.a, d.b, *d.candidates_a, *d.candidates_b) if n
    }
    told |= {*found.kept, *(found.positions.entries.keys() - found.stored.entries.keys())}
    if found.scope.unclear:
        differences = [d for d in differences if d.a is not None or d.code not in ("O201", "O204", "O205")]
    return [d for d in differences if d.code != "O206" or not set(d.evidence.get("weights", ("",))) <= told]


def _positions(found: Fit) -> Iterator[Finding]:
    placed = found.positions
    if placed.doubtful:
        pairs = ", ".join(f"`{a}` and `{b}`" for a, b in placed.doubtful[:3])
        yield _own(
            "T210",
            f"the checkpoint keeps optimizer state by position, and cannot tell whose is whose of {pairs}: "
            + placed.why,
            remedy="Allow `map-slots:*->*` if the live optimizer was given its weights in the order of the run "
            "that saved. Optimizers made from model.named_parameters() store names, which would tell.",
            edit="map-slots:*->*",
            tensors=tuple(n for pair in placed.doubtful for n in pair),
            cause="optimizer-structure",
        )
    if placed.contrary:
        yield _own(
            "O209",
            f"the state at the position of `{placed.contrary[0]}` has another shape: {placed.why}",
            remedy="Give the optimizer its weights in the order of the run that saved, or allow `reset-slots:*`.",
            edit="reset-slots:*",
            tensors=placed.contrary,
        )


def _container(found: Fit) -> Iterator[Finding]:
    scope = found.scope
    if scope.rivals:
        names = ", ".join(f"`{c or 'the top'}`" for c in (scope.container, *scope.rivals))
        yield _own(
            "T210",
            f"the checkpoint holds several models of these names: {names}",
            remedy=f"Say which: `rename:{escape(scope.container)}*->*`.",
            edit=f"rename:{escape(scope.container)}*->*",
        )
    if scope.copy:
        # to go on training from the average with the momenta of the raw weights is another run
        resumes = "optimizer" in found.live.parts
        edit = f"rename:{escape(scope.container)}*->*"
        made = _own(
            "T212",
            f"the checkpoint holds no weights of the model itself, only `{scope.container}`, which by its name is an "
            "averaged copy" + ("; the optimizer's state belongs to the raw weights" if resumes else ""),
            remedy=f"Allow `{edit}` if the average is meant.",
            edit=edit,
            cause="resume-state" if resumes else "metrics",
        )
        yield made if resumes else replace(made, severity="warning")


def _unclear_optimizers(found: Fit) -> Iterator[Finding]:
    if found.scope.unclear:
        live = [o.name for o in found.live.optimizers]
        words = live[0].rsplit("/", 1)[-1]
        yield _own(
            "T210",
            f"the checkpoint's optimizers {_list(found.scope.unclear)} fit the live ones {_list(live)} in several ways, "
            "and neither their names nor what they keep tells which is which",
            remedy=f"Pass them under the names that the file has: optimizer={{'{found.scope.unclear[0]}': ...}} for what "
            f"is `{words}` here.",
            cause="optimizer-structure",
        )


def _hyperparameters(found: Fit) -> Iterator[Finding]:
    for decision in found.decisions:
        if decision.optimizer is None and decision.take != "undecided":
            continue
        if decision.take == "undecided":
            fixed = decision.setting is None and decision.variable is None
            yield _hyper_finding(decision, "error", fixed, found)
        elif decision.take == "checkpoint" and decision.changes:
            yield _hyper_finding(decision, "note", False, found)


def _hyper_finding(decision: Decision, severity: str, fixed: bool, found: Fit) -> Finding:
    name, was, now = decision.name, shown(decision.stored), shown(decision.live)
    kind = DIFFERENCES["O207"]
    whose = (
        "optimizer" if decision.optimizer is not None or decision.setting is None else decision.setting.part
    )
    message = f"{name} is {was} in the checkpoint and {now} in the live {whose}"
    remedy: str | None = (
        f"Say which counts: `hyper:{name}=checkpoint` ({was}) or `hyper:{name}=live` ({now})."
    )
    if severity == "note":
        message += f"; the checkpoint's {was} is restored"
        remedy = None
        if decision.scheduled:
            message += " (the scheduler owns it)"
    elif fixed:
        remedy = (
            f"No loader can set it: construct the optimizer with {name}={was}, or allow `hyper:{name}=live`."
        )
    evidence = {"seen": decision.stored, "expected": decision.live, "optimizer": decision.optimizer}
    if severity == "error":
        difference = Difference("O207", name, name, message, {"a": was, "b": now})
        loader = _framework_does(found, difference)
        if loader is not None:
            evidence["framework"] = loader.replace("optimizer.load_state_dict", f"{whose}.load_state_dict")
    return Finding(
        "O207", kind.slug, severity, message, Place(tensor=None), evidence, kind.cause, remedy,  # type: ignore[arg-type]
        edit=f"hyper:{name}=live" if severity == "error" else None, tensors=(),
    )  # fmt: skip


def _lacking(found: Fit) -> Iterator[Finding]:
    """Parts that were passed and that the checkpoint has nothing of."""
    have = {d.setting.part for d in found.decisions if d.setting is not None and d.optimizer is None}
    yield from _another_scheduler(found, have)
    for part, every in found.lacking.items():
        names = [n for n in every if part not in have or not found.live.settings[n].configured]
        if not names:
            continue
        if part in have or part in ("model", "optimizer"):
            severity, text = (
                "note",
                f"{len(names)} values of the {part} are not in the checkpoint and keep the live ones",
            )
            text += f": {_list(names)}"
            if part == "model":
                counts = [n for n in names if found.live.settings[n].role == "counter"]
                if not counts:
                    continue
                severity, text = "error", f"{_list(counts)} of the model is not in the checkpoint"
        else:
            severity = "error"
            text = f"{part}= was passed, and the checkpoint holds no state of a {part}"
        bad = severity == "error"
        edit = f"keep-live:{escape(counts[0])}" if bad and part == "model" else f"keep-live:{part}/*"
        yield _ruled(
            "resume-part-missing",
            text,
            severity=severity,
            names=list(names[:20]),
            remedy=f"Allow `{edit}`, or leave {part}= out." if bad else None,
            edit=edit if bad else None,
        )


def _another_scheduler(found: Fit, have: set[str]) -> Iterator[Finding]:
    """A scheduler of another class, or constructed with more than the checkpoint knows of."""
    if found.foreign:
        front = found.foreign[0].rpartition("/")[0]
        edit = f"drop:{escape(found.foreign[0]) if len(found.foreign) == 1 else escape(front) + '/*'}"
        yield _ruled(
            "resume-part-missing",
            f"the checkpoint's scheduler keeps {_list(found.foreign)}, for which the live one has no place: it is of "
            "another class",
            severity="error",
            names=list(found.foreign[:20]),
            remedy=f"Construct the scheduler as the run did, leave scheduler= out, or allow `{edit}`.",
            edit=edit,
        )
    asked = [n for part in have for n in found.lacking.get(part, ()) if found.live.settings[n].configured]
    if asked:
        part = found.live.settings[asked[0]].part
        front = asked[0].rpartition("/")[0]
        edit = f"keep-live:{escape(asked[0]) if front == part else escape(front) + '/*'}"
        yield _ruled(
            "resume-part-missing",
            f"the live {part} is constructed with {_list(asked)}, of which the checkpoint knows nothing",
            severity="error",
            names=asked[:20],
            remedy=f"Construct it as the run did, or allow `{edit}` to leave that as it is.",
            edit=edit,
        )


_BESIDE = {
    "O201": ("optimizer.pt", "optimizer.bin", "optimizer.safetensors"),
    "R201": ("scheduler.pt", "scheduler.bin"),
}
"""Files in which trainers keep that beside the model (transformers/trainer.py, accelerate/checkpointing.py)."""


def _with_neighbour(finding: Finding, found: Fit) -> Finding:
    """The finding with the file that holds what is missing, where one lies beside the checkpoint."""
    if finding.severity != "error" or finding.code not in _BESIDE:
        return finding
    if finding.code == "R201" and "scheduler=" not in finding.message:
        return finding
    files = {Path(file) for file in found.stored.base.files}
    beside = [file.parent / name for file in files for name in _BESIDE[finding.code]]
    there = next((path for path in beside if path not in files and path.is_file()), None)
    if there is None:
        return finding
    return replace(finding, remedy=f"`{there.name}` beside it holds it: restore that with a call of its own.")


def _live_faults(found: Fit) -> Iterator[Finding]:
    for first, second in found.live.clashes:
        yield _ruled(
            "live-name-clash",
            f"two live tensors bear the name `{first.name}`; the second is called `{second.name}` here",
            tensor=first.name,
            tensors=(first.name,),
        )


def _plan_notes(found: Fit) -> Iterator[Finding]:
    for edit in uncovered(found.plan, found):
        yield _ruled("edit-covers-nothing", f"the edit `{edit}` covers nothing", edit=str(edit))


def _ruled(slug: str, message: str, **given: Any) -> Finding:
    """A finding of a registered rule that speaks from here."""
    rule = rule_named(slug)
    assert rule is not None
    return rule.finding(message, **given)


def _own(
    code: str,
    message: str,
    *,
    remedy: str | None = None,
    edit: str | None = None,
    tensors: tuple[str, ...] = (),
    cause: str | None = None,
) -> Finding:
    kind = DIFFERENCES[code]
    return Finding(
        code, kind.slug, "error", message, Place(tensor=tensors[0] if tensors else None), {},
        cause or kind.cause, remedy, edit=edit, tensors=tensors,
    )  # fmt: skip


def _proposal(found: Fit, against: Sequence[Difference], hyper: Iterable[Finding]) -> Plan:
    """The plan that settles what stands against a restore, folded: what was given, and what is missing."""
    drafted = draft(
        [d for d in against if d.code not in ("O203",)],
        list(found.stored.values()),
        list(found.live.values()),
    )
    more = [Edit.parse(f.edit) for f in hyper if f.severity == "error" and f.edit is not None]
    if any(d.code == "O203" for d in against):
        slots = [s.name for s in found.stored.values() if belongs_to_optimizer(s)]
        more += [Edit("drop", (pattern,)) for pattern, _ in fold_names(slots, list(found.stored))]
        more.append(Edit("reset-slots", ("*",)))
    more += [
        Edit.parse(f.edit) for f in found.findings if f.severity == "error" and f.edit and f.code == "T218"
    ]
    if found.positions.doubtful:
        more.append(Edit("map-slots", ("*",), ("*",)))
    if found.live.unbuilt or any(f.slug == "another-model" for f in found.findings):
        # what would be drawn up for a model without variables, or for another one, settles nothing
        return Plan(found.plan.edits, source=found.delta.a, target=found.delta.b)
    slugs = ("resume-part-missing", "other-role")
    more += [
        Edit.parse(f.edit) for f in found.findings if f.severity == "error" and f.edit and f.slug in slugs
    ]
    if any(d.code == "O206" for d in against):
        more.append(Edit("map-slots", ("*",), ("*",)))
    edits: dict[str, Edit] = {str(e): e for e in (*found.plan.edits, *drafted.edits, *more)}
    return Plan(
        tuple(edits.values()), source=found.delta.a, target=found.delta.b, unsettled=drafted.unsettled
    )


def spec_text(spec: TensorSpec) -> str:
    """Shape and dtype in a sentence."""
    return f"{_shape(spec.shape)} {spec.dtype}"
