"""Two records of one step, field by field; two final states, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .runs import Record, Run

__all__ = ["FIELDS", "Loose", "Row", "differing", "final_rows", "rows"]

FIELDS = {
    "weights": "weights",
    "buffers": "buffers",
    "slots": "optimizer state",
    "scheduler": "scheduler",
    "lr": "learning rate",
    "scaler": "loss scale",
    "seeds": "seed generators",
    "rng": "random state",
    "batches": "batches",
    "fed": "input",
    "callbacks": "best values",
    "values": "values of the loop",
    "logs": "metrics",
    "loss": "loss",
    "left": "state",
}
"""What is compared at each step, in the order in which causes are looked for."""


@dataclass
class Loose:
    """What an uninterrupted run does not reproduce itself: whole fields, and single names within a field."""

    fields: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)
    spread: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.fields)


@dataclass(frozen=True)
class Row:
    """One line of the table: what was compared, over how many steps, and where it first differs."""

    what: str
    steps: int
    differs: int | None = None
    note: str = ""


def differing(one: Record, other: Record, loose: Loose | None = None) -> dict[str, list[str]]:
    """Fields that differ, each with the names that do (``[""]`` for a field without names); what only one saw counts not."""
    found: dict[str, list[str]] = {}
    for name in FIELDS:
        a, b = one.get(name), other.get(name)
        if a is None or b is None or (loose is not None and name in loose.fields):
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            skip = loose.names.get(name, set()) if loose is not None else set()
            lacks = name == "slots" and bool(other.get("slots_whole"))
            names = [n for n in a if n not in skip and (not _same(a[n], b[n]) if n in b else lacks)]
            if names:
                found[name] = names
        elif not _same(a, b):
            found[name] = [""]
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    return bool(a == b)


def rows(pairs: Iterable[tuple[int, Record, Record]], loose: Loose) -> list[Row]:
    """The table of fields over steps ``(k, expected, found)``."""
    seen: dict[str, int] = {}
    first: dict[str, int] = {}
    for k, one, other in pairs:
        for name in FIELDS:
            if one.get(name) and other.get(name) is not None:
                seen[name] = seen.get(name, 0) + 1
        for name in differing(one, other, Loose(names=loose.names)):
            first.setdefault(name, k)
    return [
        Row(title, seen[name], first.get(name),
            "an uninterrupted run does not reproduce it" if name in loose.fields else "")
        for name, title in FIELDS.items() if name in seen
    ]  # fmt: skip


@dataclass(frozen=True)
class Gap:
    """The final states' largest difference: ``tensor`` is where, ``ulp`` in units of its last place."""

    equal: int
    total: int
    tensor: str = ""
    largest: float = 0.0
    ulp: float = 0.0


def final_rows(one: Run, other: Run) -> Gap | None:
    """Final state against final state, or ``None`` where one of them is not there."""
    a, b = one.final(), other.final()
    names = [name for name in a if name in b]
    if not names:
        return None
    equal, worst = 0, Gap(0, 0)
    for name in names:
        x, y = a[name], b[name]
        if x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes():
            equal += 1
            continue
        if x.shape != y.shape or x.dtype.kind not in "fiub":
            gap, ulp = math.inf, math.inf
        else:
            gap = float(np.max(np.abs(x.astype(np.float64) - y.astype(np.float64)), initial=0.0))
            scale = float(np.max(np.abs(x.astype(np.float64)), initial=0.0))
            ulp = gap / float(np.spacing(np.asarray(scale, x.dtype))) if x.dtype.kind == "f" else gap
        if gap >= worst.largest:
            worst = Gap(0, 0, name, gap, ulp)
    return Gap(equal, len(names), worst.tensor, worst.largest, worst.ulp)
