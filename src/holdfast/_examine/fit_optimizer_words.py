"""What differs between a checkpoint's optimizer and a live one, in the words of a person who wants to load: as
:mod:`holdfast._examine.fit_words`, of optimizers, their slots and groups."""

from __future__ import annotations

from .._compare.draft import draft
from .._core.difference import Difference
from .._core.pattern import escape
from .fitted import Fit
from .told import Told, names_text

__all__ = ["groups", "no_optimizer", "optimizer_not_wanted", "order", "other_class", "other_slots"]

_FEW = 3


def no_optimizer(same: list[Difference], pattern: str, found: Fit) -> Told:
    """The checkpoint holds no optimizer state."""
    count = same[0].evidence.get("tensors", 0)
    return Told(
        "error",
        f"the checkpoint holds no optimizer state; the live optimizer wants {count} tensors of it",
        "reset-slots:*",
        None,  # there is none to lose
        "Training goes on with fresh moments and step count if that is meant: allow `reset-slots:*`, or leave "
        "optimizer= out.",
    )


def optimizer_not_wanted(same: list[Difference], pattern: str, found: Fit) -> Told:
    """The live optimizer keeps no state."""
    count = same[0].evidence.get("tensors", 0)
    classes = ", ".join(str(c) for c in same[0].evidence.get("classes", ()) if c) or "an optimizer"
    return Told(
        "error",
        f"the checkpoint holds the state of {classes} ({count} tensors); the live optimizer keeps none",
        f"drop:{escape('optimizer')}/*" if all(n.startswith("optimizer/") for n in same[0].related) else None,
        False,
    )


def other_class(same: list[Difference], pattern: str, found: Fit) -> Told:
    """Two optimizers of different classes."""
    one = same[0]
    a, b = (one.evidence.get(side) or "of another class" for side in ("a", "b"))
    told = f"the optimizer is {a} in the checkpoint and {b} now"
    if any(e.kind == "map-slots" for e in found.plan):
        return Told("note", f"{told} (allowed by map-slots)")
    return Told(
        "error",
        told,
        "reset-slots:*",
        False,
        "Allow `reset-slots:*` to start the new optimizer's state afresh, or `map-slots:*->*` to keep the slots "
        "that both have.",
    )


def other_slots(same: list[Difference], pattern: str, found: Fit) -> Told:
    """Slots that only one side keeps."""
    here = same[0].b is None
    names = list(dict.fromkeys(str(d.evidence.get("slot")) for d in same))
    owners = list(dict.fromkeys(str(d.evidence.get("owner")) for d in same if d.evidence.get("owner")))
    count = len(owners) or len(same)
    slots = f"slot{'s' if len(names) > 1 else ''} {' and '.join(f'`{name}`' for name in names)}"
    what = f"the {slots} of {count} weight{'s' if count > 1 else ''}" + (
        f" ({names_text(owners)})" if owners else ""
    )
    side, other = ("the checkpoint has", "the live optimizer does not keep") if here else (
        "the live optimizer keeps", "the checkpoint does not have")  # fmt: skip
    if same[0].evidence.get("elsewhere"):
        return _moved(same[0])
    if not owners and not here and all(found.live[d.b].role == "counter" for d in same if d.b):
        what = names_text([d.name for d in same])
    why = _frozen(same, here, found) if same[0].code == "O205" else ""
    edits = _settling(same, found)
    if len(edits) == 1:
        loses = here or (not edits[0].startswith("keep-live:") and _has_state(owners, found))
        return Told("error", f"{side} {what}, which {other}{why}", edits[0], False if loses else None)
    shown = " and ".join(f"`{edit}`" for edit in edits)
    if len(edits) > _FEW:
        shown = f"the plan's edits for them (`{edits[0]}` and so on)"
    remedy = f"Allow {shown}, if that is meant."
    return Told("error", f"{side} {what}, which {other}{why}", None, False, remedy)


def _moved(one: Difference) -> Told:
    """A count of the whole optimizer that the checkpoint has at another place."""
    return Told(
        "error",
        f"the live optimizer counts steps in `{one.b}`, the checkpoint in `{one.evidence['elsewhere']}`: the chain of "
        "transformations is another one; a count that begins at 0 begins its schedule anew",
        str(one.edit),
        True,
        f"Allow `{one.edit}`, which takes the count along.",
    )


def _has_state(owners: list[str], found: Fit) -> bool:
    """Whether the checkpoint keeps other state of these live weights, which starting theirs afresh would leave out."""
    named = {found.pairs.get(name, name) for name in owners}
    return any(s.optimizer is not None and s.owner in named for s in found.stored.values())


def _frozen(same: list[Difference], here: bool, found: Fit) -> str:
    """That all of these weights are frozen on the side that keeps no state of them, where that is known."""
    back = {stored: live for live, stored in found.pairs.items()}
    owners = {str(d.evidence.get("owner")) for d in same}
    if here:
        live = [found.live[back.get(name, name)] for name in owners if back.get(name, name) in found.live]
        return ": they are frozen now" if live and not any(s.trainable is not False for s in live) else ""
    stored = [found.stored[found.pairs[name]] for name in owners if name in found.pairs]
    known = stored and not any(s.trainable is not False for s in stored)
    return ": they were frozen when it was saved" if known else ""


def _settling(same: list[Difference], found: Fit) -> list[str]:
    """The edits of all of them, folded."""
    specs = [list(catalog.values()) for catalog in (found.stored, found.live)]
    return [str(edit) for edit in draft(same, *specs).edits]


def groups(same: list[Difference], pattern: str, found: Fit) -> Told:
    """Parameter groups that differ in number or in their weights."""
    one = same[0]
    accepted = any(e.kind == "map-slots" for e in found.plan)
    return Told(
        "note" if accepted else "error",
        one.message.replace(" in A", " in the checkpoint").replace(" in B", " now"),
        None if accepted else "map-slots:*->*",
        None,
        "State goes by weight where the owners are known; with other groups the hyperparameters of each are "
        "the live ones. Allow it with `map-slots:*->*`.",
    )


def order(same: list[Difference], pattern: str, found: Fit) -> Told:
    """The same weights in another order."""
    return Told("note", "the optimizers list the same weights in another order; state goes by weight")
