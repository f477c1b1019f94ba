"""Where a resumed process goes on: after which step of the run before."""

from __future__ import annotations

from dataclasses import dataclass

from .runs import Record, Run

__all__ = ["Alignment", "align"]


@dataclass(frozen=True)
class Alignment:
    """``step``: how many steps of the whole run lie before the first one of the resumed process.

    ``how``: ``"weights"`` (the weights it began with are exactly those after that step), ``"number"`` (the loop's own step
    number), ``"save"`` (taken from the last save, as the weights are no step's), ``"anew"`` (it began at the beginning),
    ``"done"`` (nothing was left to train).
    """

    step: int
    how: str


def align(reference: Run, before: Run, resumed: Run) -> Alignment:
    """Lay a resumed process onto the run that it goes on with. ``before`` was killed; ``reference`` never."""
    saves = [save["k"] + before.offset for save in before.whole]
    last = saves[-1] if saves else 0
    begins_anew = last > 0 or not reference.saves  # else nothing had been saved before it was killed
    if not resumed.steps:
        return Alignment(reference.last, "done")
    first = resumed.steps[0]
    known = {k: record for k in range(1, reference.last + 1) if (record := before.at(k) or reference.at(k))}
    if "n" in first:
        for k, record in known.items():
            if record.get("n") == first["n"]:
                return Alignment(k - 1, "anew" if k == 1 and begins_anew else "number")
        return Alignment(last, "save")
    scores = {k: _alike(record, first) for k, record in known.items()}
    best = max(scores.values(), default=0.0)
    if best == 0.0 or (best < 1.0 and not resumed.loads and scores.get(last + 1, 0.0) < best):
        return Alignment(last, "save" if resumed.loads else "anew")
    among = [k for k, score in scores.items() if score == best]
    k = last + 1 if last + 1 in among else max((k for k in among if k <= before.last + 1), default=among[0])
    if k == 1 and begins_anew:
        return Alignment(0, "anew")
    if best < 0.5:
        return Alignment(last, "save")
    return Alignment(k - 1, "weights" if best == 1.0 else "save")


def _alike(a: Record, b: Record) -> float:
    """The share of weights that are equal, among those that both saw (that training moves, where that can be told)."""
    one, other = a.get("weights") or {}, b.get("weights") or {}
    names = one.keys() & other.keys()
    return sum(one[name] == other[name] for name in names) / len(names) if names else 0.0
