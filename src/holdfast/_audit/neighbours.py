"""Other checkpoints of the same run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .._core.errors import HoldfastError
from .._integrity.seal import find_seal
from .._layouts.resolve import resolve
from .._layouts.target import Target

__all__ = ["Neighbour", "neighbours"]

_MOST = 200
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another checkpoint of the run: what to call it, its step where its name tells one, its recorded metrics."""

    name: str
    target: Target
    step: int | None
    metrics: Mapping[str, float]


def neighbours(target: Target, most: int = 6) -> list[Neighbour]:
    """The checkpoints beside ``target`` of its format whose names differ in digits alone, the nearest steps first."""
    here = Path(target.path)
    try:
        beside = resolve(here.parent)
    except (HoldfastError, OSError):
        return []
    own = os.path.realpath(here)
    mine = _step(here.name)
    found = []
    for other in beside[:_MOST]:
        place = Path(other.path)
        if os.path.realpath(place) == own or other.format != target.format:
            continue
        if _DIGITS.sub("#", place.name) != _DIGITS.sub("#", here.name):
            continue
        found.append((abs((_step(place.name) or 0) - (mine or 0)), place.name, other))
    found.sort(key=lambda row: row[:2])
    return [Neighbour(name, other, _step(name), _recorded(other)) for _, name, other in found[:most]]


def _step(name: str) -> int | None:
    numbers = _DIGITS.findall(name)
    return int(numbers[0]) if numbers else None


def _recorded(target: Target) -> dict[str, float]:
    try:
        seal = find_seal(target)
    except (HoldfastError, OSError):
        return {}
    metrics = seal.record.metrics if seal is not None and seal.record is not None else None
    return {k: float(v) for k, v in (metrics or {}).items() if isinstance(v, (int, float))}
