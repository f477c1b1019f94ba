"""The state of a matching: what is still free on each side, and the pairs made so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from .._core.spec import TensorSpec

__all__ = ["Group", "Pair", "Pool"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor of A and the tensor of B that it is.

    ``by`` tells what shows it: ``name``, ``alias``, ``wrapper``, ``spelling``, ``rule`` (one prefix rule
    carries several tensors over), ``module`` (the only module of these tensors and shapes), ``order``,
    ``shape``, ``content``, ``owner`` (slots). ``certain`` is false where only shapes or order speak for it.
    """

    a: TensorSpec
    b: TensorSpec
    by: str
    certain: bool = True

    def proved(self) -> Pair:
        """The same pair, now shown by equal content."""
        return replace(self, by="content", certain=True)


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

    def take(self, a: str, b: str, by: str, certain: bool = True) -> None:
        """Make a pair of two free tensors."""
        self.pairs.append(Pair(self.a.pop(a), self.b.pop(b), by, certain))

    def __bool__(self) -> bool:
        """Whether anything is left on both sides."""
        return bool(self.a) and bool(self.b)

    def unique(
        self, key: Callable[[TensorSpec], Hashable | None]
    ) -> Iterator[tuple[Hashable, TensorSpec, TensorSpec]]:
        """Free tensors whose key occurs exactly once on either side; keys of ``None`` count for nothing."""
        here, there = _once(self.a.values(), key), _once(self.b.values(), key)
        for found, left in here.items():
            right = there.get(found)
            if left is not None and right is not None:
                yield found, left, right


def _once(
    specs: Iterable[TensorSpec], key: Callable[[TensorSpec], Hashable | None]
) -> dict[Hashable, TensorSpec | None]:
    """The one spec of each key; ``None`` for a key that several have."""
    found: dict[Hashable, TensorSpec | None] = {}
    for spec in specs:
        it = key(spec)
        if it is not None:
            found[it] = None if it in found else spec
    return found


def by_key(
    specs: Iterable[TensorSpec], key: Callable[[TensorSpec], Hashable | None]
) -> dict[Hashable, list[TensorSpec]]:
    """Specs grouped by a key, in order; ``None`` leaves one out."""
    groups: dict[Hashable, list[TensorSpec]] = {}
    for spec in specs:
        found = key(spec)
        if found is not None:
            groups.setdefault(found, []).append(spec)
    return groups
