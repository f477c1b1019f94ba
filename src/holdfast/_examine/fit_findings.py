"""The findings of a fit: every difference in the words of a person who wants to load, with what the
framework's own loader would do, and the edit that settles it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from .._compare.draft import draft, fold_names
from .._core.difference import Difference
from .._core.finding import Finding
from .._core.pattern import covered
from .._core.plan import Edit, Plan
from .fit_beside import (
    container,
    hyperparameters,
    lacking,
    live_faults,
    plan_notes,
    positions,
    split_over_ranks,
    unclear_optimizers,
    with_neighbour,
)
from .fit_copies import of_copies
from .fit_heads import new_heads
from .fit_making import finding_of
from .fit_roots import (
    another_model,
    by_optimizer_class,
    counters,
    not_built,
    of_another_optimizer,
    of_other_order,
    of_weights_in_parts,
    optimizer_not_built,
    without_followers,
)
from .fit_words import TELLERS, Teller, plainly, spelt
from .fitted import Fit, differences_for_restore
from .told import Told

__all__ = ["fit_findings"]

_PATTERNS = 4
_SLOTS = frozenset({"O204", "O205"})
_ONE_STORY = frozenset({"T213", "T216", *_SLOTS})
"""Kinds of difference that are told as one, whatever the names."""
_MANY = frozenset({"T201", "T202", "T203", "T205"})
"""Kinds of difference that are told as one where it would take more than :data:`_PATTERNS` patterns to name them."""


def fit_findings(found: Fit) -> None:
    """Fill ``found.findings`` and ``found.proposal``."""
    made: list[Finding] = []
    against: list[Difference] = []
    groups: dict[Hashable, list[Difference]] = {}
    relevant = without_followers(by_optimizer_class(found, differences_for_restore(found)), found)
    relevant = new_heads([*relevant, *counters(found, relevant)], found)
    slots = _slots_of_the_same(relevant)
    for difference in relevant:
        groups.setdefault(slots.get(id(difference)) or _group(difference), []).append(difference)
    for members in groups.values():
        for same, told in _tell(members, found):
            made.append(finding_of(same, told, found))
            if told.severity == "error":
                against += same
    made += positions(found)
    made += container(found)
    made += unclear_optimizers(found)
    hyper = list(hyperparameters(found))
    made += hyper
    made += lacking(found)
    made += live_faults(found)
    made += plan_notes(found)
    made = [with_neighbour(f, found) for f in made]
    made = of_copies(found, of_weights_in_parts(found, of_another_optimizer(found, made)))
    made = of_other_order(made)
    made = not_built(found, optimizer_not_built(found, another_model(found, made)))
    made += split_over_ranks(found)  # these are in the checkpoint, and say nothing of another model
    found.findings = tuple(sorted(made, key=_place))
    found.proposal = _proposal(found, against, hyper)


def _place(finding: Finding) -> tuple[int, bool]:
    """The gravest first, and of these the weights before the optimizer's state, which follows them."""
    of_weights = finding.code[0] == "T" and finding.cause != "optimizer-structure"
    return ("error", "warning", "note").index(finding.severity), not of_weights


def _group(difference: Difference) -> Hashable:
    """What is told in one sentence: one kind, with the same values on both sides."""
    evidence = difference.evidence
    if "head" in evidence:
        return (difference.code, evidence["head"])
    if "keeper" in evidence:
        return (difference.code, evidence["keeper"], evidence["parts_in"])
    keys = {
        "T203": ("a", "b"), "T204": ("a", "b"), "T206": ("axes", "by"), "T205": ("by", "certain"),
        "T216": ("wrapper",), "T201": ("role",), "T202": ("role",),
        "T212": ("a", "b"), "T213": ("a", "b"),
    }.get(difference.code)  # fmt: skip
    if keys is None:
        return id(difference)
    side = difference.a is None
    return (difference.code, side, *(str(evidence.get(key)) for key in keys))


def _slots_of_the_same(differences: Sequence[Difference]) -> dict[int, Hashable]:
    """Slots that only one side keeps, by what is told in one sentence: those of the same weights."""
    by_slot: dict[tuple[str, bool, object], list[Difference]] = {}
    for d in differences:
        if d.code in _SLOTS:
            by_slot.setdefault((d.code, d.a is None, d.evidence.get("slot")), []).append(d)
    keys: dict[int, Hashable] = {}
    for key, same in by_slot.items():
        owners = frozenset(d.evidence.get("owner") for d in same)
        keys |= dict.fromkeys(map(id, same), key if owners == {None} else (*key[:2], owners))
    return keys


def _tell(members: Sequence[Difference], found: Fit) -> Iterator[tuple[list[Difference], Told]]:
    """Cut a group into what one pattern covers, and put each into words."""
    code = members[0].code
    teller = TELLERS.get(code, plainly)
    one = len(members) == 1 or code in _ONE_STORY or spelt(members[0]) or "keeper" in members[0].evidence
    if one:  # one story, whatever the names
        told = teller(list(members), members[0].name, found)
        if told is not None:
            yield list(members), told
        return
    by_name = {d.name: d for d in members}
    universe = list(found.live) if members[0].b is not None else list(found.stored)
    if code == "T204":
        universe = [*by_name, *_cast_otherwise(found, members, wanted=True)]
    patterns = fold_names(list(by_name), universe)
    if code == "T204" and len(patterns) > 1:
        patterns = fold_names(list(by_name), [*by_name, *_cast_otherwise(found, members, wanted=False)])
    if (
        code == "T205" and len(patterns) > _PATTERNS
    ):  # the rules of names fold these better, and are drawn up once
        told = teller(list(members), members[0].name, found)
        if told is not None:
            yield list(members), told
        return
    left, ordered = dict(by_name), sorted(by_name)
    place = {name: number for number, name in enumerate(by_name)}
    cut: list[tuple[list[Difference], Told]] = []
    for pattern, _ in patterns:
        same = [left.pop(n) for n in sorted(covered(pattern, ordered), key=place.__getitem__) if n in left]
        told = teller(same, pattern, found) if same else None
        if told is not None:
            cut.append((same, told))
    yield from cut if len(cut) <= _PATTERNS or code not in _MANY else [_together(cut, teller, found)]


def _cast_otherwise(found: Fit, members: Sequence[Difference], *, wanted: bool) -> list[str]:
    """Live tensors beside these ones that the checkpoint has in the same dtype. ``wanted``: also those that are wanted as
    they are stored, which a cast passes over, so that the pattern need not avoid them."""
    known, dtype = {n for d in members for n in (d.a, d.b)}, members[0].evidence.get("a")
    return [
        b
        for b, a in found.pairs.items()
        if b not in known and found.stored[a].dtype == dtype and (wanted or found.live[b].dtype != dtype)
    ]


def _together(
    cut: list[tuple[list[Difference], Told]], teller: Teller, found: Fit
) -> tuple[list[Difference], Told]:
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


def _proposal(found: Fit, against: Sequence[Difference], hyper: Iterable[Finding]) -> Plan:
    """The plan that settles what stands against a restore, folded: what was given, and what is missing."""
    anew = any(f.code == "O209" and f.edit == "reset-slots:*" for f in found.findings)
    aside = ("O203", "T204", "O204", "O205") if anew else ("O203", "T204")
    drafted = draft(
        [d for d in against if d.code not in aside],
        list(found.stored.values()),
        list(found.live.values()),
    )
    more = [Edit.parse(f.edit) for f in hyper if f.severity == "error" and f.edit is not None]
    if anew or any(d.code == "O203" for d in against):
        more.append(Edit("reset-slots", ("*",)))
    more += [
        Edit.parse(f.edit)
        for f in found.findings
        if f.severity == "error" and f.edit and f.code in ("T204", "T218", "T225")
    ]
    if found.positions.doubtful:
        more.append(Edit("map-slots", ("*",), ("*",)))
    if any(
        f.slug in ("another-model", "foreign-variable", "not-built")
        or not {"keeper", "copies"}.isdisjoint(f.evidence)
        for f in found.findings
    ):
        # what would be drawn up for a model or an optimizer without variables, or for another one, settles nothing
        return Plan((), source=found.delta.a, target=found.delta.b)
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
