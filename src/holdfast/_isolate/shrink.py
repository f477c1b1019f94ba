"""Delta debugging: the smallest parts that make a save fail.

The way of A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), taken down a tree level by
level (G. Misherghi and Z. Su, "HDD: hierarchical delta debugging", 2006): among the children of a part that fails, the
smallest set that still fails alone; then the same within it. What fails without any of its children is at fault itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .failure import Failure
from .node import Node, all_but

__all__ = ["Found", "OutOfTrials", "ddmin", "shrink"]

Try = Callable[[frozenset[Node]], "Failure | None"]
"""Saves without these nodes; how it failed, or ``None``."""

FINEST = 16
"""A set of which every sixteenth is needed for the failure is taken for a sum: no single part is at fault."""


class OutOfTrials(Exception):
    """So many saves were tried that it is time to tell what is known."""


@dataclass(frozen=True, slots=True)
class Found:
    """Nodes that fail, and how. Several: they fail together only, as a pair of one name does; ``total``: by their sum."""

    nodes: tuple[Node, ...]
    failure: Failure
    total: bool = False


def ddmin(items: Sequence[Node], fails: Callable[[Sequence[Node]], bool]) -> tuple[list[Node], bool]:
    """The smallest set of ``items`` that fails (as ``items`` does); and whether it was given up as a sum of many."""
    here = list(items)
    parts = 2
    while len(here) >= 2:
        chunks = [here[len(here) * n // parts : len(here) * (n + 1) // parts] for n in range(parts)]
        smaller = next((c for c in chunks if fails(c)), None)
        if smaller is not None:
            here, parts = smaller, 2
            continue
        if parts > 2:
            rest = next((r for c in chunks if fails(r := [i for i in here if i not in set(c)])), None)
            if rest is not None:
                here, parts = rest, max(parts - 1, 2)
                continue
        if parts >= len(here):
            break
        if parts >= FINEST:
            return here, True
        parts = min(len(here), 2 * parts)
    return here, False


def shrink(root: Node, tried: Try, first: Failure) -> list[Found]:
    """What is at fault in a tree whose save fails as ``first`` does: as many as there are independent ones."""
    found: list[Found] = []
    _within(root, frozenset(), tried, first, found)
    return found


def _within(node: Node, outside: frozenset[Node], tried: Try, failure: Failure, found: list[Found]) -> None:
    """Add what is at fault in ``node``, where a save without ``outside`` (and with it) fails as ``failure``."""
    while True:  # one child after another is the only one: no recursion for long chains
        children = [child for child in node.children if child.removable]
        bare = tried(outside | frozenset(children)) if children else failure
        if bare is not None and bare.signature == failure.signature:
            found.append(Found((node,), failure))
            return
        if len(children) > 1:
            break
        node = children[0]

    everything = frozenset(children)

    def without_others(kept: Sequence[Node]) -> frozenset[Node]:
        return outside | (everything - frozenset(kept))

    left = children
    now: Failure | None = failure
    while now is not None:
        if (
            bare is not None and bare.signature == now.signature
        ):  # what was hidden behind its children's failure
            found.append(Found((node,), bare))
            return
        looked_for = now.signature

        def same(kept: Sequence[Node], looked_for: tuple[str, ...] = looked_for) -> bool:
            seen = tried(without_others(kept))
            return seen is not None and seen.signature == looked_for

        smallest, total = ddmin(left, same)
        if len(smallest) == 1:
            _within(smallest[0], without_others(smallest), tried, now, found)
        else:
            found.append(Found(tuple(smallest), now, total))
            if total:
                return
        gone = set(smallest)
        left = [child for child in left if child not in gone]
        now = tried(without_others(left)) if left else None


def proved_suspects(root: Node, suspects: Sequence[Node], tried: Try) -> list[Found]:
    """Those suspects that fail with everything else left out, if the save without them passes; else none: then it is to be
    searched for. Two saves for a single one."""
    if not suspects or tried(frozenset(suspects)) is not None:
        return []
    found = []
    for node in suspects:
        failure = tried(all_but(root, [node]))
        if failure is not None:
            found.append(Found((node,), failure))
    if (
        found
        and len(found) < len(suspects)
        and tried(frozenset(n for f in found for n in f.nodes)) is not None
    ):
        return []
    return found
