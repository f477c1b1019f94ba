"""Several optimizers: which of a checkpoint is which of the live ones, though they bear other names.

``{"gen_opt": ..., "disc_opt": ...}`` in a file, ``optimizer={"gen": ..., "disc": ...}`` in the program. Told by the
same name, else by what they are (group sizes, shapes of their state, owners, class), else by the words of their
names. Where none of that decides, nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from .._core.catalog import Catalog
from .._core.spec import OptimizerSpec
from .names import canonical
from .optimizers import plain_class

__all__ = ["Pairing", "pair_optimizers"]

_GENERIC = frozenset({"optimizer", "optimizers", "optim", "opt", "state", "states", "dict", "torch", ""})
"""Words of a name that every optimizer could bear."""
_MOST_TRIED = 6
"""Optimizers for which all ways to pair them are tried (720 at most); of more, only names count."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """``names``: the file's name of an optimizer -> the live one's. ``unclear``: the file's optimizers that could be
    several of the live ones."""

    names: Mapping[str, str]
    unclear: tuple[str, ...] = ()


def pair_optimizers(stored: Catalog, live: Catalog, container: str = "") -> Pairing:
    """Pair a checkpoint's optimizers with the live ones. ``container``: what stands in front of the model's names in
    the file (``"gen/"``); its words speak for a single live optimizer."""
    mine, theirs = list(stored.optimizers), list(live.optimizers)
    if not mine or not theirs:
        return Pairing({o.name: o.name for o in mine})  # all of it is too much, which is to be told
    if len(mine) == len(theirs) == 1:
        return Pairing({mine[0].name: theirs[0].name})
    same = {o.name for o in mine} & {o.name for o in theirs}
    names = {name: name for name in same}
    mine = [o for o in mine if o.name not in same]
    theirs = [o for o in theirs if o.name not in same]
    if not mine or not theirs:
        return Pairing(names)
    fits = _Fits(stored, live, container)
    found, unclear = _decide(mine, theirs, fits)
    return Pairing({**names, **found}, unclear)


def _decide(
    mine: list[OptimizerSpec], theirs: list[OptimizerSpec], fits: _Fits
) -> tuple[dict[str, str], tuple[str, ...]]:
    if max(len(mine), len(theirs)) > _MOST_TRIED:
        by_words = [(a.name, b.name) for a in mine for b in theirs if fits.words(a, b)]
        left, right = [a for a, _ in by_words], [b for _, b in by_words]
        return {a: b for a, b in by_words if left.count(a) == 1 and right.count(b) == 1}, ()
    for level in (2, 1, 0):
        ways = [way for way in _ways(mine, theirs) if all(fits.level(a, b) >= level for a, b in way)]
        if not ways:
            continue
        scores = [sum(fits.words(a, b) for a, b in way) for way in ways]
        best = [way for way, score in zip(ways, scores, strict=True) if score == max(scores)]
        if len(best) == 1 and (level or max(scores)):
            return {a.name: b.name for a, b in best[0]}, ()
        return {}, tuple(dict.fromkeys(a.name for way in best for a, _ in way))
    return {}, ()


def _ways(
    mine: Sequence[OptimizerSpec], theirs: Sequence[OptimizerSpec]
) -> list[list[tuple[OptimizerSpec, OptimizerSpec]]]:
    """Every way to give each of the fewer side one of the other."""
    if len(mine) >= len(theirs):
        return [list(zip(some, theirs, strict=True)) for some in permutations(mine, len(theirs))]
    return [list(zip(mine, some, strict=True)) for some in permutations(theirs, len(mine))]


class _Fits:
    """How well two optimizers fit one another, each pair judged once."""

    def __init__(self, stored: Catalog, live: Catalog, container: str) -> None:
        self.container = container
        self.single = len(live.optimizers) == 1
        self.shapes = {spec.name: spec.shape for spec in live.values()}
        self.known = {canonical(name) for name in self.shapes}
        self.state: dict[str, list[tuple[int, str | None, tuple[int, ...]]]] = {}
        for spec in stored.values():
            if spec.optimizer is not None and (spec.role == "slot" or spec.owner is not None):
                place = spec.attributes.get("position", -1)
                self.state.setdefault(spec.optimizer, []).append((place, spec.owner, spec.shape))
        self.made: dict[tuple[str, str], int] = {}

    def level(self, a: OptimizerSpec, b: OptimizerSpec) -> int:
        """2: sizes, shapes, owners and class agree; 1: the class does not; 0: they do not fit."""
        key = (a.name, b.name)
        if key not in self.made:
            self.made[key] = 0 if not self._same_state(a, b) else 1 + _same_class(a, b)
        return self.made[key]

    def _same_state(self, a: OptimizerSpec, b: OptimizerSpec) -> bool:
        sizes = [[len(g.owners) or len(g.positions) for g in o.groups] for o in (a, b)]
        if all(map(any, sizes)) and sizes[0] != sizes[1]:
            return False
        order = [name for g in b.groups for name in g.owners]
        held = {canonical(name) for name in order}
        for place, owner, shape in self.state.get(a.name, ()):
            if owner is not None and a.attributes.get("owners_by") != "recorded order and shapes":
                inner = canonical(owner.removeprefix(self.container))
                if held and inner in self.known and inner not in held:
                    return False
            plain = shape not in ((), (1,)) and 0 <= place < len(order)
            if (
                plain
                and len(shape) == len(self.shapes.get(order[place], ()))
                and shape != self.shapes[order[place]]
            ):
                return False
        return True

    def words(self, a: OptimizerSpec, b: OptimizerSpec) -> int:
        """How many words their names share; one may be the beginning of the other (``d``, ``disc``)."""
        here = _words(a.name)
        there = _words(b.name) | (_words(self.container) if self.single else frozenset())
        return sum(any(x.startswith(y) or y.startswith(x) for y in there) for x in here)


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", name.lower())) - _GENERIC


def _same_class(a: OptimizerSpec, b: OptimizerSpec) -> bool:
    one, other = plain_class(a), plain_class(b)
    return one is None or other is None or one == other
