"""Weights and the optimizer's state that were loaded from files of two steps.

Programs that write a run's parts into files of their own, and look for the newest of each, put together what never was: where the
newest weights are gone, those of the step before meet the newest optimizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .done import Done

__all__ = ["of_two_steps"]

_NUMBER = re.compile(r"\d+(?=\D*$)")


def of_two_steps(earlier: Sequence[Done], now: Done) -> str | None:
    """What to say where ``now`` loads an optimizer, or the weights that it owns, from another step than the load before it has.

    That two files belong to one step is known by their names alone, and only where they differ in a number and the file that
    would go with one of them is there: ``weights.20.pt`` beside ``optimizer.20.pt``.
    """
    for mine, other in (("optimizer", "model"), ("model", "optimizer")):
        thing = now.alive.get(mine)
        if thing is None or other in now.parts:
            continue
        if mine == "model" and any(done.touches(thing) for done in earlier):
            continue  # the best weights, after a run that was resumed whole
        for before in reversed(earlier):
            partner = before.alive.get(other)
            if partner is None or not _belong(thing, partner):
                continue
            if mine in before.parts:  # both came out of one call
                return None
            paths = {mine: now.seen.path, other: before.seen.path}
            return _told(paths["model"], paths["optimizer"])
    return None


def _told(weights: str | None, state: str | None) -> str | None:
    if weights is None or state is None or weights == state:
        return None
    one, two = Path(weights), Path(state)
    first, second = _NUMBER.search(one.stem), _NUMBER.search(two.stem)
    if one.parent != two.parent or first is None or second is None or int(first[0]) == int(second[0]):
        return None
    pairs = (_named(one, second[0]), _named(two, first[0]))
    alike = _named(one, second[0]) == two  # one series of whole checkpoints
    there = next((pair for pair in pairs if pair.is_file()), None)
    if there is None:
        return None
    gone = "" if alike or pairs[0].is_file() else f"; there is no {pairs[0].name}"
    return (
        f"the weights are those of {one.name}, and the optimizer's state is that of {two.name}: two steps of one run that never "
        f"were together{gone}"
    )


def _named(path: Path, number: str) -> Path:
    """The file of that name with another number."""
    return path.with_name(_NUMBER.sub(number, path.stem, count=1) + path.suffix)


def _belong(a: Any, b: Any) -> bool:
    """Whether one is an optimizer that owns weights of the other."""
    held = {id(weight) for one in (a, b) for weight in _owned(one)}
    return any(id(weight) in held for one in (a, b) for weight in _weights(one))


def _owned(thing: Any) -> Iterator[Any]:
    groups = getattr(thing, "param_groups", None)
    for group in groups if isinstance(groups, list) else ():
        yield from group.get("params", ())


def _weights(thing: Any) -> Iterator[Any]:
    named = getattr(type(thing), "named_parameters", None)
    if callable(named):
        yield from (weight for _, weight in thing.named_parameters())
