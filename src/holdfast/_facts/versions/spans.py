"""Versions as tuples of numbers, and spans of them (``">=2.6,<3"``)."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["parse_version", "within"]

_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_CLAUSE = re.compile(r"\s*(>=|<=|==|<|>)\s*(\d+(?:\.\d+)*)\s*\Z")


def parse_version(text: object) -> tuple[int, ...] | None:
    """The first run of numbers in a text: ``"2.2.4-tf"`` is ``(2, 2, 4)``, ``"Keras 3"`` is ``(3,)``, ``None`` where
    there is none. Parts past the numbers (rc, dev, local build) do not count."""
    found = _NUMBER.search(str(text)) if text is not None else None
    return tuple(int(part) for part in found.group().split(".")) if found else None


@lru_cache(maxsize=256)
def _clauses(span: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    made = []
    for part in filter(None, span.split(",")):
        found = _CLAUSE.match(part)
        if found is None:
            raise ValueError(f"no span of versions: {span!r}")
        made.append((found.group(1), tuple(map(int, found.group(2).split(".")))))
    return tuple(made)


def within(version: tuple[int, ...], span: str) -> bool:
    """Whether a version lies in a span; missing parts count as zero, and ``==3.15`` means any 3.15. The empty span
    holds everything. Raises ``ValueError`` on a span that is none."""
    for sign, edge in _clauses(span):
        width = max(len(version), len(edge))
        v, e = (x + (0,) * (width - len(x)) for x in (version, edge))
        if sign == "==":
            ok = version[: len(edge)] == edge
        else:
            ok = {">=": v >= e, "<=": v <= e, "<": v < e, ">": v > e}[sign]
        if not ok:
            return False
    return True
