"""The state of a matching: what is still free on each side, and the pairs made so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .._core.spec import TensorSpec
from .layouts import layout_of
from .names import segments

__all__ = ["Group", "Pair", "Pool"]


class Pair(NamedTuple):
    """A tensor of A and the tensor of B that it is.

    ``by`` tells what shows it: ``name``, ``automatic`` (a counted name of Keras, by its place), ``alias``,
    ``wrapper``, ``spelling``, ``rule`` (one prefix rule carries several tensors over), ``module`` (the only
    module of these tensors and shapes), ``order``, ``shape``, ``content``, ``owner`` (slots).
    ``certain`` is false where only shapes or order speak for it.
    """

    a: TensorSpec
    b: TensorSpec
    by: str
    certain: bool = True

    def proved(self) -> Pair:
        """The same pair, now shown by equal content."""
        return self._replace(by="content", certain=True)


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors of A and of B that fit one another in more than one way."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    why: str


@dataclass(slots=True)
class Pool:
    """What is free: names to specs, in the catalogs' order; and what was found."""

    a: dict[str, TensorSpec]
    b: dict[str, TensorSpec]
    pairs: list[Pair] = field(default_factory=list)
    ambiguous: list[Group] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    _told: tuple[int, int, bool] = (-1, -1, False)

    def take_named(self) -> None:
        """Make pairs of all free tensors that bear one name on both sides, in the order of B."""
        a, b = self.a, self.b
        made = tuple.__new__  # a named tuple's own constructor is a function of Python's
        found = [made(Pair, (a[name], spec, "name", True)) for name, spec in b.items() if name in a]
        self.pairs += found
        if len(found) == len(a) == len(b):
            a.clear()
            b.clear()
            return
        for name in [name for name in b if name in a]:
            del a[name], b[name]

    def take(self, a: str, b: str, by: str, certain: bool = True) -> None:
        """Make a pair of two free tensors."""
        self.pairs.append(Pair(self.a.pop(a), self.b.pop(b), by, certain))

    def free(self, pair: Pair) -> None:
        """Take a pair apart again; it stays in ``pairs`` until the caller leaves it out."""
        self.a[pair.a.name], self.b[pair.b.name] = pair.a, pair.b
        self._told = (-1, -1, False)

    def __bool__(self) -> bool:
        """Whether anything is left on both sides."""
        return bool(self.a) and bool(self.b)

    def loose(self) -> bool:
        """Whether the free tensors of A and B follow different kernel layouts anywhere, so that shapes may be
        crossed."""
        if self._told[:2] != (len(self.a), len(self.b)):  # several stages ask while nothing is taken
            self._told = len(self.a), len(self.b), _loose(self.a, self.b)
        return self._told[2]

    def unique(
        self, key: Callable[[TensorSpec], Hashable | None]
    ) -> Iterator[tuple[Hashable, TensorSpec, TensorSpec]]:
        """Free tensors whose key occurs exactly once on either side; keys of ``None`` count for nothing."""
        here, there = list(map(key, self.a.values())), list(map(key, self.b.values()))
        common = set(here).intersection(there)
        if not common:
            return
        here_of = _once(zip(here, self.a.values(), strict=True), common)
        there_of = _once(zip(there, self.b.values(), strict=True), common)
        for found, left in here_of.items():
            right = there_of.get(found)
            if left is not None and right is not None:
                yield found, left, right


def _loose(a: dict[str, TensorSpec], b: dict[str, TensorSpec]) -> bool:
    dialects_a = {spec.dialect for spec in a.values()}
    if dialects_a.isdisjoint({spec.dialect for spec in b.values()}):
        return True
    here, there = _layouts(a), _layouts(b)
    return bool(here and there and here != there)


def _layouts(specs: dict[str, TensorSpec]) -> set[str | None]:
    """The kernel layouts of these, asked once for all that are told by the same facts (see :func:`layout_of`)."""
    alike = {(spec.layout, spec.dialect, segments(name)[-1]): spec for name, spec in specs.items()}
    return {layout_of(spec) for spec in alike.values()} - {None}


def _once(
    specs: Iterable[tuple[Hashable | None, TensorSpec]], wanted: set[Hashable | None]
) -> dict[Hashable, TensorSpec | None]:
    """The one spec of each key that is wanted; ``None`` for a key that several have."""
    found: dict[Hashable, TensorSpec | None] = {}
    for key, spec in specs:
        if key is not None and key in wanted:
            found[key] = None if key in found else spec
    return found


def by_key(
    specs: Iterable[TensorSpec], key: Callable[[TensorSpec], Hashable | None]
) -> dict[Hashable, list[TensorSpec]]:
    """Specs grouped by a key, in order; ``None`` leaves one out."""
    groups: dict[Hashable, list[TensorSpec]] = {}
    for spec in specs:
        found = key(spec)
        if found in groups:
            groups[found].append(spec)
        elif found is not None:
            groups[found] = [spec]
    return groups
