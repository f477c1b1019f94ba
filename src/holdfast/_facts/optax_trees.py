"""Which weight a piece of optax state belongs to: by the place in a tree that mirrors the parameters.

optax makes ``mu``, ``nu``, ``trace`` ... with ``jax.tree.map`` over the parameters, so the path below such a
field is the weight's own path, counted from where the parameters that ``init`` was given begin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .optax_states import ELEMENTWISE, FACTORED, HYPERPARAMETERS

__all__ = ["Field", "Place", "Weights", "Words"]

Words = tuple[str, ...]
"""A path, cut at its separators."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a leaf of an optimizer's state is: in which field of which state, and the path below it."""

    above: Words
    state: str
    field: str
    below: Words


class Weights:
    """The model's weights by path, to be found again by the ends of their paths."""

    def __init__(self, weights: Mapping[str, Words]) -> None:
        """``weights``: name -> path in the model."""
        self.names = {words: name for name, words in weights.items()}
        self._roots: dict[Words, list[Words]] = {}
        for words in self.names:
            for cut in range(len(words) + 1):
                self._roots.setdefault(words[cut:], []).append(words[:cut])

    def root(self, paths: Iterable[Words], hint: str) -> Words | None:
        """Where the tree begins whose leaves have these paths: the one place that most of them fit under.

        ``hint`` (the optimizer's name) and an exact cover decide between places that fit equally; ``None`` where
        none fits, or several do still.
        """
        paths = [path for path in paths if path or () in self.names]
        votes = Counter(root for path in paths for root in self._roots.get(path, ()))
        if not votes:
            return None
        most = max(votes.values())
        best = [root for root, count in votes.items() if count == most]
        for told in (
            [root for root in best if hint in root],
            [root for root in best if len(best) > 1 and len(self.below(root)) == len(paths)],
            [root for root in best if "params" in root],
        ):
            if len(best) > 1:
                best = [root for root in best if root in told] or best
        return best[0] if len(best) == 1 else None

    def fit_anywhere(self, paths: Iterable[Words]) -> bool:
        """Whether there is a place under which all of these paths are weights."""
        paths = list(paths)
        votes = Counter(root for path in paths for root in self._roots.get(path, ()))
        return bool(paths) and max(votes.values(), default=0) == len(paths)

    def below(self, root: Words) -> dict[Words, str]:
        """Path below that place -> name, of all weights there."""
        return {words[len(root) :]: n for words, n in self.names.items() if words[: len(root)] == root}


@dataclass(slots=True)
class Field:
    """One field of one state: its leaves by the path below it, the masked ones, and where the weights begin."""

    optimizer: str
    place: Place
    leaves: dict[Words, str] = field(default_factory=dict)
    masked: list[Words] = field(default_factory=list)
    root: Words | None = None

    @property
    def elementwise(self) -> bool:
        """Whether each leaf has to have its weight's shape."""
        return self.place.field in ELEMENTWISE and not self.factored

    @property
    def factored(self) -> bool:
        """Whether a leaf belongs to a weight, but has another shape by design."""
        return (self.place.state, self.place.field) in FACTORED

    def find_root(self, weights: Weights) -> None:
        """Set ``root`` where this field mirrors the parameters; a field that optax does not name needs half of
        its leaves to fit."""
        if self.place.field in HYPERPARAMETERS or self.place.field == "hyperparams_states":
            return
        known = self.elementwise or self.factored
        if not known and (() in self.leaves or not self.leaves):
            return
        root = weights.root(self.leaves, self.optimizer)
        if root is None:
            return
        below = weights.below(root)
        if known or 2 * sum(path in below for path in self.leaves) >= len(self.leaves):
            self.root = root

    def covers(self, path: Words) -> bool:
        """Whether the weight at that path was left out on purpose (``optax.masked``, also by a whole branch)."""
        return any(path[: len(mask)] == mask for mask in self.masked)
