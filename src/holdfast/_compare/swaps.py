"""Contents that have changed places: names and shapes agree, yet what A calls one thing is what B calls
another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._core.dtypes import carrier
from .content import Probe, bits, narrower
from .pool import Pair

__all__ = ["crossed"]


def _mark(probe: Probe, side: str, pair: Pair) -> bytes | None:
    """The sample as bytes, in the narrower of both dtypes; ``None`` for what cannot be read or is
    constant."""
    spec = pair.a if side == "a" else pair.b
    values = probe.sample(side, spec.name)
    if values is None or values.size < 2 or values.dtype == object or values.dtype.names is not None:
        return None
    target = narrower(pair.a.dtype, pair.b.dtype)
    if spec.dtype != target:
        if (carrier(target).kind == "c") != (values.dtype.kind == "c"):
            return None
        with np.errstate(all="ignore"):
            values = values.astype(carrier(target))
    words = bits(values)
    if (words == words[0]).all():
        return None
    return repr((pair.b.shape, target)).encode() + words.tobytes()


def crossed(pairs: Sequence[Pair], probe: Probe) -> dict[str, str]:
    """A's names -> B's names for pairs whose contents form a closed exchange among themselves.

    ``pairs`` are those of one shape whose values differ. Only a full exchange counts (every content found
    again exactly once): one tensor that equals another one's content is a copy, not a swap.
    """
    marks_a = {pair.a.name: mark for pair in pairs if (mark := _mark(probe, "a", pair)) is not None}
    holders: dict[bytes, list[Pair]] = {}
    for pair in pairs:
        if pair.a.name in marks_a and (mark := _mark(probe, "b", pair)) is not None:
            holders.setdefault(mark, []).append(pair)
    uses: dict[bytes, int] = {}
    for mark in marks_a.values():
        uses[mark] = uses.get(mark, 0) + 1
    by_name = {pair.a.name: pair for pair in pairs}
    moved: dict[str, Pair] = {}
    for name, mark in marks_a.items():
        found = holders.get(mark, ())
        if len(found) == 1 and uses[mark] == 1 and found[0].a.name != name:
            other = found[0]
            if not probe.whole or probe.same(by_name[name].a, other.b):
                moved[name] = other
    while True:  # leave only cycles: each place that is filled must also be emptied
        targets = {other.a.name for other in moved.values()}
        open_ends = [
            name for name, other in moved.items() if other.a.name not in moved or name not in targets
        ]
        if not open_ends:
            return {name: other.b.name for name, other in moved.items()}
        for name in open_ends:
            del moved[name]
