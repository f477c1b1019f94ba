"""What differs between a checkpoint's optimizer and a live one, in the words of a person who wants to load: as
:mod:`holdfast._examine.fit_words`, of optimizers, their slots and groups."""

from __future__ import annotations

from .._core.difference import Difference
from .._core.pattern import escape
from .fit import Fit
from .told import Told, names_text

__all__ = ["groups", "no_optimizer", "optimizer_not_wanted", "order", "other_class", "other_slots"]


def no_optimizer(same: list[Difference], pattern: str, found: Fit) -> Told:
    """The checkpoint holds no optimizer state."""
    count = same[0].evidence.get("tensors", 0)
    return Told(
        "error",
        f"the checkpoint holds no optimizer state; the live optimizer wants {count} tensors of it",
        "reset-slots:*",
        False,
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
    told = f"the optimizer is {one.evidence.get('a')} in the checkpoint and {one.evidence.get('b')} now"
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
    """A slot that only one side keeps."""
    one = same[0]
    here = one.b is None
    slot = one.evidence.get("slot")
    count = f"{len(same)} weight{'s' if len(same) > 1 else ''}"
    owners = list(dict.fromkeys(str(d.evidence.get("owner")) for d in same if d.evidence.get("owner")))
    told = f" ({names_text(owners)})" if owners else ""
    if here:
        return Told(
            "error",
            f"the checkpoint has the slot `{slot}` of {count}{told}, which the live optimizer does not keep",
            f"drop:{pattern}",
            False,
        )
    owner_pattern = escape(owners[0]) if len(owners) == 1 else "*"
    return Told(
        "error",
        f"the live optimizer keeps the slot `{slot}` of {count}{told}, which the checkpoint does not have",
        f"reset-slots:{owner_pattern}",
        False,
    )


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
