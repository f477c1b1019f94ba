"""Numbers as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from .._core.words import plural

__all__ = ["size", "count", "grouped", "plural", "share", "shape", "ranges", "some", "value"]


def size(nbytes: int) -> str:
    """Bytes in decimal units: ``1.2 MB``."""
    number = float(nbytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(number) < 999.5:
            return f"{nbytes} B" if unit == "B" else f"{number:.{0 if number >= 99.95 else 1}f} {unit}"
        number /= 1000
    return f"{number:,.0f} PB"


def count(number: int) -> str:
    """``12,345``."""
    return f"{number:,}"


def grouped(text: str) -> str:
    """A sentence with its large counts of bytes grouped: ``438,007,537 bytes``."""
    return _BYTES.sub(lambda found: f"{int(found[0]):,}", text)


_BYTES = re.compile(r"(?<![\w.,/\\-])[0-9]{5,18}(?= bytes?\b)")


def share(part: int, whole: int) -> str:
    """A share in percent that says 100 % only where it is all, and 0 % only where it is none."""
    if whole <= 0 or part >= whole:
        return "100 %"
    if part <= 0:
        return "0 %"
    percent = 100 * part / whole
    if percent >= 99.95:
        return "over 99.9 %"
    return "under 0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def shape(dims: Sequence[int]) -> str:
    """``768 × 768``; ``scalar`` for no dimension at all."""
    return " × ".join(map(str, dims)) if dims else "scalar"


def ranges(numbers: Iterable[int], most: int = 6, pad: int = 0) -> str:
    """``0..23``, ``0,2,5..9``; after ``most`` runs an ellipsis. Needs ascending numbers; ``pad``: digits of
    each.
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    told = [(str(a).zfill(pad), str(b).zfill(pad), b - a) for a, b in runs]
    texts = [a if gap == 0 else f"{a},{b}" if gap == 1 else f"{a}..{b}" for a, b, gap in told[:most]]
    if len(runs) > most:
        texts += ["…", told[-1][1]]
    return ",".join(texts)


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    text = ", ".join(names[:most])
    more = len(names) - most
    return f"{text} and {more:,} more" if more > 0 else text


def value(thing: Any, width: int = 60) -> str:
    """A short text for an attribute or hyperparameter (plain data, see
    :func:`holdfast._render.plain.plain`).
    """
    if isinstance(thing, bool) or thing is None:
        return {True: "yes", False: "no", None: "none"}[thing]
    if isinstance(thing, float):
        return f"{thing:.6g}" if math.isfinite(thing) else str(thing)
    if isinstance(thing, list):
        if len(thing) == 1:
            return value(thing[0], width)
        room = max(20, width // max(1, len(thing)))
        text = ", ".join(value(item, room) for item in thing[:8])
        text = f"({text}{', …' if len(thing) > 8 else ''})"
    elif isinstance(thing, dict):
        text = "{" + ", ".join(f"{k}: {value(v, 40)}" for k, v in list(thing.items())[:6])
        text += ", …}" if len(thing) > 6 else "}"
    else:
        text = str(thing)
    return text if len(text) <= width else text[: width - 1] + "…"
