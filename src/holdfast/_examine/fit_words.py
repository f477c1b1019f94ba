"""What differs between a checkpoint and a live model, in the words of a person who wants to load: one function a kind
of difference, each giving severity, sentence and the edit that settles it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._compare.casting import Overflow, overflow
from .._compare.draft import draft
from .._core.difference import Difference
from .._core.errors import HoldfastError
from .._core.pattern import escape, matches
from .._core.plan import Edit
from .._facts.keras_layers import MODELS
from .fit_heads import outputs_of
from .fit_in_parts import in_parts
from .fit_optimizer_words import groups, no_optimizer, optimizer_not_wanted, order, other_class, other_slots
from .fitted import AT_ONCE, Fit, weights_of_terms
from .told import Told, is_or_are, many, names_text, shape_text

__all__ = ["TELLERS", "Teller", "plainly", "spelt"]

_ASIDE = frozenset({"rng", "data-position", "metric", "other", "hyperparameter"})
"""Roles that a restore does not insist on."""
_WIDER = {
    ("float16", "float32"), ("bfloat16", "float32"), ("float32", "float64"), ("float16", "float64"),
    ("bfloat16", "float64"), ("int8", "int16"), ("int8", "int32"), ("int8", "int64"), ("int16", "int32"),
    ("int16", "int64"), ("int32", "int64"), ("uint8", "int32"), ("uint8", "int64"), ("float32", "complex64"),
}  # fmt: skip
"""Casts that lose nothing."""


def _missing(same: list[Difference], pattern: str, found: Fit) -> Told | None:
    names = [d.b for d in same if d.b is not None]
    if not set(names) & set(found.missing):
        return None  # tied to a tensor that is restored
    if "keeper" in same[0].evidence:
        return in_parts(same, pattern, found)
    role = same[0].evidence.get("role")
    state = all(found.live[n].optimizer is not None for n in names if n in found.live)
    what = "optimizer's state" if role in ("slot", "counter", "average") and state else "model"
    if role in ("metric", "other", "hyperparameter"):
        return None
    if role in _ASIDE:
        keep = "keeps" if len(same) == 1 else "keep"
        text = f"{many(same, pattern)} ({role}) {is_or_are(same)} not in the checkpoint and {keep} the live value"
        return Told("note", text)
    detail = ""
    if len(same) == 1:
        detail = f", {shape_text(same[0].evidence.get('shape'))} {same[0].evidence.get('dtype')},"
    remedy = None
    if role == "average" and state and found.live.framework in AT_ONCE:
        remedy = f"Allow `keep-live:{pattern}` if that is meant: an average that has not begun begins at the restored weight."
    text = f"{many(same, pattern)}{detail} {is_or_are(same)} in the {what} and not in the checkpoint"
    return Told("error", text, f"keep-live:{pattern}", remedy=remedy)


def _left_over(same: list[Difference], pattern: str, found: Fit) -> Told | None:
    role = same[0].evidence.get("role")
    if "keeper" in same[0].evidence:
        return None  # told with what is missing instead
    if role in _ASIDE or (role == "counter" and all(_of_nothing(found, d.a) for d in same)):
        return None
    whose = "optimizer" if role in ("slot", "counter") else "model"
    return Told(
        "error",
        f"{many(same, pattern)} {is_or_are(same)} in the checkpoint and not in the {whose}",
        f"drop:{pattern}",
        False,
    )


def _of_nothing(found: Fit, name: str | None) -> bool:
    """A counter that belongs to no weight and no optimizer: a step or an epoch beside the state."""
    spec = found.stored[name] if name is not None and name in found.stored else None
    return spec is None or (spec.owner is None and spec.optimizer is None)


def _other_shape(same: list[Difference], pattern: str, found: Fit) -> Told:
    one = same[0]
    if "head" in one.evidence:
        return _other_head(same, pattern)
    edit = None if one.edit is None else _with_pattern(one.edit, pattern)
    afresh = f"`keep-live:{pattern}`"
    remedy = (
        f"Nothing makes one of the other: leave it out with {afresh}."
        if edit is None
        else f"Allow {afresh} to begin with the live model's own values (as of a new head), or `{edit}`."
    )
    return Told(
        "error",
        f"{many(same, pattern)} {is_or_are(same)} {shape_text(one.evidence.get('a'))} in the checkpoint and "
        f"{shape_text(one.evidence.get('b'))} in the model",
        edit,
        False,
        remedy,
    )


def _other_head(same: list[Difference], pattern: str) -> Told:
    one = same[0]
    was, now = outputs_of(one)
    names = names_text([d.name for d in same])
    rest = f" and the like for the other {len(same) - 2}" if len(same) > 2 else ""
    carried = " and ".join(f"`{d.evidence['otherwise']}`" for d in same[:2]) + rest
    return Told(
        "error",
        f"the layer `{one.evidence['head']}` has {was} outputs in the checkpoint and {now} in the model ({names})",
        f"keep-live:{pattern}",
        False,
        f"Allow `keep-live:{pattern}`: a new head begins with the live model's own values, as none of the old one's "
        f"belongs to its classes. Where the first {min(was, now)} are the same classes, "
        f"{carried} take these over.",
    )


def _other_dtype(same: list[Difference], pattern: str, found: Fit) -> Told:
    a, b = str(same[0].evidence.get("a")), str(same[0].evidence.get("b"))
    edit = None if same[0].edit is None else _with_pattern(same[0].edit, pattern)
    text = f"{many(same, pattern)} {is_or_are(same)} {a} in the checkpoint and {b} in the model"
    beyond = [] if (a, b) in _WIDER else list(_beyond(same, b, found))
    if beyond:
        name, worst = max(beyond, key=lambda item: item[1].largest)
        count = sum(item.values for _, item in beyond)
        text += (
            f"; {count} value{'s' if count > 1 else ''} would become infinite in {b} (the largest is "
            f"{worst.largest:.6g}, in `{name}`; {b} ends at {worst.limit:.6g})"
        )
    remedy = None
    if a.startswith("|V"):
        remedy = f"numpy writes {b} as raw bytes without its name: read them with `.view(ml_dtypes.{b})`, and save safetensors."
    return Told("error", text, edit, (a, b) in _WIDER, remedy)


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


def _renamed(same: list[Difference], pattern: str, found: Fit) -> Told | None:
    by, certain = same[0].evidence.get("by"), same[0].evidence.get("certain")
    one = same[0]
    first = f"`{one.a}` of the checkpoint is {'' if certain else 'likely '}`{one.b}` of the model"
    if len(same) > 1:
        first += f" (and {len(same) - 1} more)"
    if spelt(one):
        return Told("note", first + ": the same name, spelt otherwise")
    edits = draft(same, list(found.stored.values()), list(found.live.values())).edits
    edit = str(edits[0]) if len(edits) == 1 else None
    remedy = None
    if len(edits) > 1:
        shown = " and ".join(f"`{e}`" for e in edits[:2])
        remedy = (
            f"Allow {shown}."
            if len(edits) == 2
            else f"Allow the plan's edits for them (`{edits[0]}` and so on)."
        )
    return Told("error", first + f": {_why(by)}", edit, True, remedy)


def spelt(difference: Difference) -> bool:
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


def _wrapped(same: list[Difference], pattern: str, found: Fit) -> Told:
    prefix, origin = same[0].evidence.get("wrapper"), same[0].evidence.get("origin")
    return Told(
        "note",
        f"{len(same)} name{'s' if len(same) > 1 else ''} differ{'s' if len(same) == 1 else ''} only by "
        f"`{prefix}` of {origin}; a restore takes them as the same",
    )


def _transposed(same: list[Difference], pattern: str, found: Fit) -> Told:
    one = same[0]
    edit = None if one.edit is None else _with_pattern(one.edit, pattern)
    return Told(
        "error",
        f"{many(same, pattern)} {is_or_are(same)} transposed: {shape_text(one.evidence.get('a'))} in the checkpoint, "
        f"{shape_text(one.evidence.get('b'))} in the model",
        edit,
        True,
    )


def _tied_here(same: list[Difference], pattern: str, found: Fit) -> Told | None:
    one = same[0]
    names = [n for n in _share_group(found.live, one.b) if n in found.stored] or [n for n in (one.a,) if n]
    held = _equal_values(found, names)
    if held:
        return None  # one of them is as good as the other
    edit = None if one.edit is None else str(one.edit)
    if len(names) < 2:
        return None  # only one of them is in the file, which is how a tied tensor is stored
    return Told(
        "error",
        f"{', '.join(f'`{n}`' for n in names[:3])} are one tensor in the model and differ in the checkpoint",
        edit,
        False,
    )


def _tied_there(same: list[Difference], pattern: str, found: Fit) -> Told:
    one = same[0]
    return Told(
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


def _ambiguous(same: list[Difference], pattern: str, found: Fit) -> Told:
    one = same[0]
    here, there = one.candidates_a or (one.a or "",), one.candidates_b or (one.b or "",)
    return Told(
        "error",
        f"{names_text(here)} of the checkpoint could be {names_text(there)} of the model: {one.evidence.get('why')} on "
        "either side, and nothing in the file tells which is which",
        None,
        None,
        f"Say it: `rename:{here[0]}->{there[0]}` for each. Names given to the layers, or a seal or vault record "
        "of the run, would tell.",
    )


def _fused(same: list[Difference], pattern: str, found: Fit) -> Told:
    one = same[0]
    parts, whole = (one.candidates_a, one.b) if one.code == "T214" else (one.candidates_b, one.a)
    where = ("checkpoint", "model") if one.code == "T214" else ("model", "checkpoint")
    return Told(
        "error",
        f"{names_text(parts)} of the {where[0]} are one tensor, `{whole}`, in the {where[1]}",
        None if one.edit is None else str(one.edit),
        True,
    )


def _role(same: list[Difference], pattern: str, found: Fit) -> Told:
    return Told(
        "note",
        f"{many(same, pattern)} {is_or_are(same)} a {same[0].evidence.get('a')} in the checkpoint and a "
        f"{same[0].evidence.get('b')} in the model",
    )


def _trainable(same: list[Difference], pattern: str, found: Fit) -> Told:
    words = ("frozen", "trainable")
    a, b = (words[bool(same[0].evidence.get(side))] for side in ("a", "b"))
    names = (
        f"{len(same)} tensors ({names_text([d.name for d in same])})"
        if len(same) > 1
        else f"`{same[0].name}`"
    )
    return Told("note", f"{names} {is_or_are(same)} {a} in the checkpoint and {b} in the model")


def _function(same: list[Difference], pattern: str, found: Fit) -> Told:
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
    return Told(severity, text, edit, None, remedy)


def _vocabulary(same: list[Difference], pattern: str, found: Fit) -> Told:
    """Another vocabulary: how the layer gets that of the checkpoint, where the checkpoint keeps it."""
    told = _function(same, pattern, found)
    if told.severity == "note":
        return told
    one, stored = same[0], found.stored
    kept = [
        m.terms
        for m in (*stored.modules, *stored.lookups.values())
        if m.path == one.a and m.terms is not None
    ]
    if kept and one.evidence.get("count") == 1:
        weights = weights_of_terms(found, f"{one.b}/idf_weights", kept[0])
        words = f"holdfast.open({found.delta.a!r}).vocabulary({one.a!r}){weights}"
        how = f"`{_got(one.b or '', found)}.set_vocabulary({words})`, before the model is first called"
    else:
        how = "set_vocabulary() with the terms of the run that saved, before the model is first called"
    return replace(
        told, remedy=f"Give the layer the checkpoint's: {how}, or allow `{told.edit}` if the change is meant."
    )


def _got(path: str, found: Fit) -> str:
    """Code that gets a layer of the live model: ``get_layer`` is a model's."""
    names = path.split("/")
    around = {"/".join(names[:n]) for n in range(1, len(names))}
    nested = {module.path for module in found.live.modules if module.class_name in MODELS}
    return "model" + "".join(f".get_layer({name!r})" for name in names) if around <= nested else "layer"


def plainly(same: list[Difference], pattern: str, found: Fit) -> Told:
    """The words of the comparison itself, for kinds without words of their own."""
    one = same[0]
    severity = one.evidence.get("severity", "error")
    return Told(
        str(severity),
        one.message.replace(" in A", " in the checkpoint").replace(" in B", " in the model"),
        None if one.edit is None else str(one.edit),
    )


Teller = Callable[[list[Difference], str, Fit], "Told | None"]
TELLERS: Mapping[str, Teller] = {
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
    "T225": _vocabulary,
    "O201": no_optimizer,
    "O202": optimizer_not_wanted,
    "O203": other_class,
    "O204": other_slots,
    "O205": other_slots,
    "O206": groups,
    "O209": order,
}
