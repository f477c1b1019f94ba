"""Drafting the plan: from differences to an ordered, folded list of edits.

Order: drops first (they free names), then all renames at once, then what changes a tensor (by its new name),
casts, ties, what A lacks, and last the optimizer. Folding puts one pattern where it covers exactly what the
single edits cover; every pattern is tried on all names before it is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from .._core.difference import Difference
from .._core.pattern import escape, literal_of, rewrite
from .._core.plan import Edit, Plan
from .._core.spec import TensorSpec

__all__ = ["draft", "fold_names", "fold_renames"]

_ORDER = (
    "drop",
    "rename",
    "split",
    "merge",
    "transpose",
    "slice",
    "pad",
    "resize",
    "cast",
    "tie",
    "untie",
    "init",
    "keep-live",
    "map-slots",
    "reset-slots",
    "hyper",
    "function",
    "nonfinite",
)
_TRIED = 64
_SAMPLED = 2000


def draft(
    differences: Sequence[Difference], a: Sequence[TensorSpec], b: Sequence[TensorSpec], **names: str
) -> Plan:
    """The plan that settles these differences. ``names``: ``source`` and ``target`` of the plan."""
    if not differences:
        return Plan((), unsettled=(), **names)
    single: dict[str, list[Edit]] = {kind: [] for kind in _ORDER}
    unsettled = []
    for difference in differences:
        if difference.edit is not None:
            single[difference.edit.kind].append(difference.edit)
        elif (
            difference.code in ("T203", "T210", "T212", "T213", "T217", "O206")
            or "keeper" in difference.evidence
        ):
            unsettled.append(difference.message)
    edits: list[Edit] = []
    here = [spec.name for spec in a]

    dropped = _literals(single["drop"])
    for difference in differences:
        if difference.code == "O202":
            dropped += difference.related
    edits += _folded("drop", dropped, here)
    edits += [edit for edit in single["drop"] if literal_of(edit.name) is None]
    gone = set(dropped)

    renames = {literal_of(e.name) or "": literal_of(e.to[0]) or "" for e in single["rename"]}
    carried = {spec.name for spec in a if spec.role == "slot" and spec.owner in renames}
    fixed = [name for name in here if name not in renames and name not in gone and name not in carried]
    edits += fold_renames(renames, fixed)

    after = [renames.get(name, name) for name in here if name not in gone]
    edits += single["split"] + single["merge"]
    edits += _by_value("transpose", single["transpose"], after)
    edits += single["slice"] + single["pad"] + single["resize"]
    by_dtype = {renames.get(spec.name, spec.name): spec.dtype for spec in a if spec.name not in gone}
    edits += _casts(single["cast"], by_dtype)
    edits += single["tie"] + single["untie"]
    there = [spec.name for spec in b]
    for kind in ("init", "keep-live"):
        edits += _folded(kind, _literals(single[kind]), there)
    edits += _unique(single["map-slots"])
    owners = sorted({spec.owner for spec in (*a, *b) if spec.owner})
    edits += _folded("reset-slots", _literals(single["reset-slots"]), owners)
    edits += [edit for edit in _unique(single["reset-slots"]) if literal_of(edit.name) is None]
    edits += _unique(single["hyper"])
    return Plan(tuple(edits), unsettled=tuple(unsettled), **names)


def _unique(edits: Iterable[Edit]) -> list[Edit]:
    return list({str(edit): edit for edit in edits}.values())


def _literals(edits: Iterable[Edit]) -> list[str]:
    return [name for name in (literal_of(edit.name) for edit in edits) if name is not None]


def _count(number: int) -> str:
    return f"{number} tensors"


# -- patterns that cover exactly a set of names ----------------------------------------------------
def fold_names(wanted: Sequence[str], universe: Iterable[str]) -> list[tuple[str, int]]:
    """Patterns that cover all of ``wanted`` and nothing else of ``universe``, each with how many it
    covers."""
    chosen = set(wanted)
    others = [name for name in universe if name not in chosen]
    if len(chosen) > 1 and not others:
        return [("*", len(chosen))]
    taken: Counter[str] = Counter()
    for name in others:
        taken.update(_heads(name))
    held: Counter[str] = Counter()
    for name in chosen:
        held.update(_heads(name))
    out: dict[str, int] = {}
    tails: Counter[str] = Counter(_tail(name) for name in chosen)
    others_tails = {_tail(name) for name in others}
    for name in wanted:
        tail = _tail(name)
        if tails[tail] > 1 and tail not in others_tails:
            out["*" + escape(tail)] = tails[tail]
            continue
        head = next((head for head in _heads(name) if not taken[head] and held[head] > 1), None)
        if head is None:
            out[escape(name)] = 1
        else:
            out[escape(head) + "*"] = held[head]
    return list(out.items())


def _tail(name: str) -> str:
    """The last segment with the separator before it; the whole name where there is none."""
    return name[max(name.rfind("."), name.rfind("/"), 0) :]


def _heads(name: str) -> list[str]:
    """What a name can be cut to: up to and with each dot or slash, the shortest first."""
    return [name[: at + 1] for at, character in enumerate(name[:-1]) if character in "./"][:32]


def _folded(kind: str, names: Sequence[str], universe: Iterable[str]) -> list[Edit]:
    if not names:
        return []
    return [
        Edit(kind, (pattern,), note=_count(count) if count > 1 else "")
        for pattern, count in fold_names(names, universe)
    ]


def _by_value(kind: str, edits: Sequence[Edit], universe: Sequence[str]) -> list[Edit]:
    groups: dict[tuple[int, ...], list[str]] = {}
    for edit in edits:
        groups.setdefault(edit.value, []).append(literal_of(edit.name) or "")
    return [
        Edit(kind, (pattern,), value=value, note=_count(count) if count > 1 else "")
        for value, names in groups.items()
        for pattern, count in fold_names(names, universe)
    ]


def _casts(edits: Sequence[Edit], dtypes: dict[str, str]) -> list[Edit]:
    groups: dict[tuple[str | None, str], list[str]] = {}
    for edit in edits:
        groups.setdefault((edit.was, edit.to[0]), []).append(literal_of(edit.name) or "")
    return [
        Edit("cast", (pattern,), (to,), was=was, note=_count(count) if count > 1 else "")
        for (was, to), names in groups.items()
        # tensors of another dtype are no concern of a cast that names the dtype before
        for pattern, count in fold_names(names, [name for name, dtype in dtypes.items() if dtype == was])
    ]


# -- renames ---------------------------------------------------------------------------------------
def fold_renames(renames: dict[str, str], fixed: Sequence[str]) -> list[Edit]:
    """Rename edits, applied at once, that move exactly ``renames`` and leave ``fixed`` where they are."""
    votes: Counter[tuple[str, str]] = Counter()
    # with very many renames an even sample of them proposes the patterns; every pattern is still tried on all
    # names
    for a, b in islice(renames.items(), 0, None, 1 + len(renames) // _SAMPLED):
        votes.update(_candidates(a, b))
    left = dict(renames)
    edits: list[Edit] = []
    for (pattern, target), count in votes.most_common(_TRIED):
        if count < 2 or len(left) < 2:
            break
        covered = {name: new for name in left if (new := rewrite(pattern, target, name)) is not None}
        if len(covered) < 2 or any(left[name] != new for name, new in covered.items()):
            continue
        if any(rewrite(pattern, target, name) is not None for name in fixed):
            continue
        edits.append(Edit("rename", (pattern,), (target,), note=_count(len(covered))))
        for name in covered:
            del left[name]
    edits += [Edit.renaming(a, b) for a, b in left.items()]
    return edits


def _candidates(a: str, b: str) -> set[tuple[str, str]]:
    """Patterns that would explain one rename: another head, another ending, something put in between."""
    start, end = _shared(a, b), _shared(a[::-1], b[::-1])
    found: set[tuple[str, str]] = set()
    # a shared ending counts from a separator on, so that "module." is taken off and not "mod"
    while end and not (_cut(a, len(a) - end) and _cut(b, len(b) - end)):
        end -= 1
    head_a, head_b = a[: len(a) - end], b[: len(b) - end]
    if end:
        found.add((escape(head_a) + "*", escape(head_b) + "*"))
    for at in range(start, -1, -1):
        # the shared beginning ends with a separator, or before one (``dense/kernel``, ``dense.weight``)
        if at and (a[at - 1] in "./" or (a[at : at + 1] in (".", "/") and b[at : at + 1] in (".", "/"))):
            back = at - 1 if a[at - 1] in "./" else at
            found.add(("*" + escape(a[back:]), "*" + escape(b[back:])))
            if end and back <= len(head_a) and back <= len(head_b) and head_a[back:] and head_b[back:]:
                found.add(("*" + escape(head_a[back:]) + "*", "*" + escape(head_b[back:]) + "*"))
            break
    return found


def _shared(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(name: str, at: int) -> bool:
    """Whether a name can be cut there: at its start, behind a separator, or before a number (``block_`` +
    ``0``)."""
    return at == 0 or name[at - 1] in "./" or (name[at : at + 1].isdigit() and not name[at - 1].isdigit())
