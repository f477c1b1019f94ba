"""The outcome of a comparison."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .._core.difference import Difference
from .._core.difference_kinds import DIFFERENCES
from .._core.drafts import draft_of
from .._core.plan import Plan
from .._core.words import plural
from .distance import Distance

__all__ = ["DELTA_SCHEMA_VERSION", "Delta", "Match", "plain_match"]

DELTA_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Match:
    """One tensor of A and the tensor of B that it is.

    ``by`` as in ``Pair``; ``axes`` the permutation from A to B; ``values``: ``identical``, ``cast`` (equal
    once cast), ``different``, or ``None`` where no value was looked at (``sampled`` tells whether all were);
    ``distance`` at depth full.
    """

    a: str
    b: str
    by: str
    certain: bool = True
    axes: tuple[int, ...] | None = None
    values: str | None = None
    sampled: bool = False
    distance: Distance | None = None


_Draft = draft_of(Match)


def plain_match(a: str, b: str, by: str, certain: bool) -> Match:
    """A match of which nothing else is known."""
    made = _Draft()
    made.a, made.b, made.by, made.certain = a, b, by, certain
    made.axes = made.values = made.distance = None
    made.sampled = False
    made.__class__ = Match
    found: Match = made
    return found


@dataclass(frozen=True, slots=True)
class Delta:
    """What is different between A and B, what is the same, and the plan that turns A into what B expects.

    Attributes
    ----------
    a, b: what was compared, as texts. format_a, format_b: their formats.
    differences: tuple of :class:`Difference`, by code and then in B's order. pairs: every :class:`Match`.
    identical, cast, different: how many pairs hold the same bits, the same up to a cast, other values;
        ``unread``: pairs whose values were not looked at. covered: names that the other side holds under the
        name they are tied to, and bookkeeping of a format that has no meaning in another.
    plan: the drafted :class:`Plan`. depth: how far was looked; not_looked_at: sentences on what was not.
    """

    a: str
    b: str
    format_a: str
    format_b: str
    depth: str
    differences: tuple[Difference, ...]
    pairs: tuple[Match, ...]
    plan: Plan
    covered: tuple[str, ...] = ()
    not_looked_at: tuple[str, ...] = ()

    def _count(self, values: str | None) -> int:
        return sum(pair.values == values for pair in self.pairs)

    @property
    def identical(self) -> int:
        """How many pairs hold the same values, bit for bit."""
        return self._count("identical")

    @property
    def cast(self) -> int:
        """How many pairs hold the same values but for the rounding of a narrower dtype."""
        return self._count("cast")

    @property
    def different(self) -> int:
        """How many pairs hold other values."""
        return self._count("different")

    @property
    def unread(self) -> int:
        """How many pairs were not compared by value."""
        return self._count(None)

    @property
    def ambiguous(self) -> tuple[Difference, ...]:
        """The matches that fit in several ways."""
        return tuple(d for d in self.differences if d.code == "T210")

    @property
    def same(self) -> bool:
        """Whether no difference was found (at this depth)."""
        return not self.differences

    def __bool__(self) -> bool:
        """Whether there are differences."""
        return bool(self.differences)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        counts = Counter(d.code for d in self.differences)
        told = ", ".join(f"{count} {DIFFERENCES[code].title}" for code, count in sorted(counts.items()))
        pairs = f"{plural(len(self.pairs), 'tensor')} matched"
        values = []
        if self.identical:
            values.append(f"{self.identical} identical")
        if self.cast:
            values.append(f"{self.cast} equal after a cast")
        if self.different:
            values.append(f"{self.different} with other values")
        if self.unread and self.depth != "header":
            values.append(f"{self.unread} not read")
        if values:
            sampled = " in the values sampled" if any(p.sampled for p in self.pairs) else ""
            pairs += f" ({', '.join(values)}{sampled})"
        return f"{pairs}; {told}" if told else f"{pairs}; no differences"

    def to_document(self) -> dict[str, Any]:
        """JSON-able; bears ``schema_version``."""
        return {
            "schema_version": DELTA_SCHEMA_VERSION,
            "a": {"path": self.a, "format": self.format_a},
            "b": {"path": self.b, "format": self.format_b},
            "depth": self.depth,
            "summary": self.summary,
            "differences": [d.to_document() for d in self.differences],
            "matched": {
                "pairs": len(self.pairs),
                "identical": self.identical,
                "cast": self.cast,
                "different": self.different,
                "unread": self.unread,
            },
            "pairs": [_pair_document(pair) for pair in self.pairs],
            "covered": list(self.covered),
            "plan": [str(edit) for edit in self.plan],
            "unsettled": list(self.plan.unsettled),
            "not_looked_at": list(self.not_looked_at),
        }


def _pair_document(pair: Match) -> dict[str, Any]:
    document: dict[str, Any] = {
        "a": pair.a,
        "b": pair.b,
        "by": pair.by,
        "certain": pair.certain,
        "values": pair.values,
    }
    if pair.axes is not None:
        document["axes"] = list(pair.axes)
    if pair.sampled:
        document["sampled"] = True
    if pair.distance is not None:
        document["distance"] = pair.distance.to_document()
    return document
