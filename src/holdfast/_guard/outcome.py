"""The findings on a load that was made: those of ``check``, by what became of the tensors they are about.

What ``restore`` would have refused and the framework did is told by what it did; what turned out right is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.difference_kinds import DIFFERENCES
from .._core.errors import HoldfastError
from .._core.finding import Finding, Severity
from .._core.words import plural
from .._examine.told import names_text, shape_text
from .._rules.registry import told_by
from .loaded import Loaded, shown

if TYPE_CHECKING:
    from .loading import Load

__all__ = ["by_program", "findings_of", "without_edits"]

_BY_VALUE = frozenset(
    {"T201", "T203", "T205", "T206", "T207", "T208", "T209", "T210", "T216", "T223", "O204", "O205", "O209"}
)
"""Differences that are no fault of a load after which the tensors concerned hold what the file has for them."""
_BECAME = {
    "T201": "it kept its initial value",
    "T203": "it does not hold the checkpoint's values",
    "T205": "it kept its initial value",
    "T207": "only one of the values is there now",
    "T216": "nothing was loaded under these names",
    "T223": "nearly everything kept its initial value",
    "O203": "the state of the one was taken for the other's",
    "O201": "the optimizer starts anew",
}
"""What became of a tensor or an optimizer that a load did not settle, by the difference."""


def findings_of(load: Load, loaded: Loaded, losing: Mapping[str, str]) -> Iterator[Finding]:
    """What ``check`` had to say of the load before it was made, as it has turned out; and what only shows afterwards.

    ``losing``: live name -> what its cast has lost.
    """
    right = {*loaded.restored}
    crossed = {name for name, other in loaded.other.items() if other is not None}
    told: set[str] = set()
    for finding in (f for found in load.fit.findings for f in by_program(load, found)):
        if not load.concerns(finding):
            continue
        if finding.severity == "note" or (finding.severity == "warning" and finding.code != "T201"):
            yield replace(finding, edit=None, remedy=without_edits(finding.remedy))
            continue
        names = {n for f in (finding, *finding.related) for n in f.tensors}
        told |= names
        if finding.code == "O207":
            continue  # told below, by what became of the values
        if finding.slug == "not-built" and not loaded.pending:
            continue  # the load has built it
        if finding.code == "T201" and names and names <= {*load.earlier}:
            yield replace(finding, severity="note", edit=None, remedy=None)
            continue
        if finding.code == "T202" or (finding.code == "T204" and not losing) or _of_unmoved(load, finding):
            yield replace(finding, severity="note", edit=None, remedy=None)
        elif finding.code == "T204":
            yield replace(
                finding, message="; ".join(list(losing.values())[:3]), edit=None,
                remedy="Restore into float32 (or bfloat16, which has float32's range), or find out why the values are so "
                "large.",
            )  # fmt: skip
        elif finding.code in _BY_VALUE and names and names <= right:
            continue
        elif finding.code in _BY_VALUE and names and names <= right | crossed:
            told -= names  # told below, by whose values are there
        else:
            yield _as_done(finding)
    for name, (was, now) in loaded.hyper.items():
        yield _hyper_finding(name, was, now)
    yield from _crossed(load, loaded, told)


def by_program(load: Load, finding: Finding) -> Iterator[Finding]:
    """A finding on tensors that are missing from what is loaded: where the file has them, it was the program that left them out,
    and only its author knows whether that is meant."""
    missing = [n for f in (finding, *finding.related) if f.code == "T201" for n in f.tensors]
    if finding.code not in ("T201", "T223") or not missing:
        yield finding
        return
    expected = [n for n in missing if n not in load.earlier]
    left_out = [n for n in expected if n in load.left_out and n in load.live]
    anew = _of_other_shape(load, left_out)
    for names in ([n for n in left_out if n not in anew], anew):
        if names:
            yield _left_out(load, finding, names, "warning" if names is anew else "error")
    rest = [n for n in expected if n not in left_out]
    if finding.code == "T223" and not rest:
        yield from (f for f in finding.related if f.code != "T201" or {*f.tensors} <= {*load.earlier})
    elif finding.code == "T201" and left_out and rest:
        are = "is" if len(rest) == 1 else "are"
        message = f"{names_text(rest)} {are} in the model and not in the checkpoint"
        yield replace(finding, message=message, tensors=tuple(rest))
    elif rest or not left_out:
        yield finding


def _of_other_shape(load: Load, names: Sequence[str]) -> list[str]:
    """Those that the file has in another shape, and the others of the same layers: these are meant to begin anew."""
    resized = [n for n in names if tuple(load.left_out[n].shape) != tuple(load.live[n].shape)]
    layers = {n.rpartition(".")[0] for n in resized}
    return resized + [n for n in names if n not in resized and n.rpartition(".")[0] in layers]


def _left_out(load: Load, finding: Finding, names: Sequence[str], severity: Severity) -> Finding:
    first, spec = names[0], load.left_out[names[0]]
    stored, live = tuple(spec.shape), tuple(load.live[first].shape)
    one = len(names) == 1
    has, meant = "has it" if one else "has them", "Nothing need be done where that is meant"
    if stored != live:
        has += (
            f", {'' if one else f'`{first}` '}as {shape_text(stored)} where the model's is {shape_text(live)}"
        )
        meant += ", as of a new head."
    else:
        if not f"/{spec.name}".endswith(f"/{first}"):
            has += f", {'' if one else 'the first '}as `{spec.name}`"
        meant += f"; else load {'it' if one else 'them'} too."
    return replace(
        finding, code="T201", slug=DIFFERENCES["T201"].slug, severity=severity, tensors=tuple(names), related=(),
        message=f"{names_text(names)} {'was' if one else 'were'} left out by the program: the checkpoint {has}",
        remedy=meant,
    )  # fmt: skip


def _of_unmoved(load: Load, finding: Finding) -> bool:
    """Whether it is about state of weights that the live optimizer does not move (frozen ones): nothing misses it."""
    if finding.code != "O205":
        return False
    to_live = {stored: live for live, stored in load.fit.pairs.items()}
    owners = {load.fit.stored[n].owner for n in finding.tensors if n in load.fit.stored}
    moved = {v.spec.owner for v in load.live.variables.values() if v.spec.optimizer is not None}
    return bool(owners) and all(o is not None and to_live.get(o, o) not in moved for o in owners)


def _as_done(finding: Finding) -> Finding:
    """A finding of ``check`` on a load that has been made: what came of it, and no advice on a load to be made."""
    evidence = {k: v for k, v in finding.evidence.items() if k != "framework"}
    remedy = without_edits(finding.remedy)
    message = finding.message
    told = _by_framework(finding)
    if told and message.endswith(told):
        message = message[: -len(told)].rstrip("; ")
    if finding.code in _BECAME:
        became = _BECAME[finding.code]
        message += f"; {_of_several(became) if len(finding.tensors) > 1 else became}"
    related = tuple(map(_as_done, finding.related))
    return replace(finding, message=message, evidence=evidence, remedy=remedy, edit=None, related=related)


def _crossed(load: Load, loaded: Loaded, told: set[str]) -> Iterator[Finding]:
    names = [n for n in loaded.other if n not in told]
    if not names:
        return
    if _nothing_set(load, loaded):
        has = "has it" if len(names) == 1 else f"has {len(names)} of these names"
        yield told_by(
            "nothing-loaded", f"the load set nothing of the model: the checkpoint {has} (`{names[0]}`), in another place than "
            "the call looks for them", tensor=names[0], tensors=tuple(names),
            remedy="Load it into the part of the model that it was saved of (`model.get_layer(NAME).load_weights(...)`), or "
            "by holdfast.restore, which goes by name.",
        )  # fmt: skip
        return
    crossed = [f"{n} holds the values of {loaded.other[n]}" for n in names if loaded.other[n] is not None]
    first = crossed[0] if crossed else f"{names[0]} does not hold what the checkpoint has for it"
    more = f", and {plural(len(names) - 1, 'other tensor')} likewise" if len(names) > 1 else ""
    yield told_by("not-what-was-loaded", first + more, tensor=names[0], tensors=tuple(names))


def _nothing_set(load: Load, loaded: Loaded) -> bool:
    """Whether no tensor holds values of the file's, but those that are alike everywhere (zeros, ones)."""
    if any(loaded.other.values()) or not load.fit.stored.format.startswith("keras"):
        return False  # of others their hooks say what they go by
    try:
        return not any(len(np.unique(np.asarray(load.live.read(name)))) > 1 for name in loaded.restored)
    except (HoldfastError, TypeError):
        return False  # no values to look at


def without_edits(remedy: str | None) -> str | None:
    """The remedy without edits, ``None`` where it is nothing else: they are for ``holdfast.restore``, which carries them
    out."""
    if remedy is None:
        return None
    first, other, _ = remedy.partition(", or allow `")
    if other:
        return f"{first}."
    return None if "llow `" in remedy or "llow the plan's edits" in remedy else remedy


def _by_framework(finding: Finding) -> str:
    """What the finding says that the framework would do."""
    return str(finding.evidence.get("framework") or "")


def _of_several(became: str) -> str:
    for one, several in (
        ("it kept its initial value", "they kept their initial values"),
        ("it does", "they do"),
    ):
        became = became.replace(one, several)
    return became


def _hyper_finding(name: str, was: Any, now: Any) -> Finding:
    kind = DIFFERENCES["O207"]
    return Finding(
        "O207", kind.slug, "warning", f"{name} was {shown(was)} in the code and is {shown(now)} since this load: the "
        "checkpoint's value replaced it", evidence={"seen": now, "expected": was}, cause=kind.cause,
        remedy=f"Set {name} after loading where the code is meant; nothing need be done where the checkpoint is.",
    )  # fmt: skip
