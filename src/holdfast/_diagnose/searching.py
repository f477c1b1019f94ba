"""A pattern, looked for where one of its literal words stands.

A text of ordinary length is searched from end to end. In a long one that would be most of the work, as there are a thousand
patterns: only some places around the literal words of each are looked at, those nearest to the end first, and then those nearest
to the beginning. Whatever a pattern matches holds one of its words (a test of the entries), and none means more than some hundred
characters on either side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from .reading import Reading

__all__ = ["LONGEST", "NEAR", "PLACES", "WHOLE", "bounded", "compiled", "nearby", "spans"]

WHOLE = 1 << 14
"""A text of so many characters is searched from end to end."""
NEAR = 2000
"""Characters on either side of a word that are looked at."""
PLACES = 4
"""Places of each word that are looked at from the end, and as many from the beginning."""
LONGEST = 500
"""Characters that `*` or `+` behind a class (`\\w+`, `[^"]*`) stands for. Without an end, a pattern that begins so would take the
square of the length of a run of such characters."""
_MOST = 24 << 10
"""Characters that one pattern is looked for in from either side."""
_REPEATED = re.compile(r"(\\[wWsSdD]|\[\^?\]?(?:\\.|[^\]\\])*\])([*+])|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")


def bounded(pattern: str) -> str:
    """``pattern`` whose classes are repeated at most :data:`LONGEST` times."""
    return _REPEATED.sub(lambda m: f"{m[1]}{{{int(m[2] == '+')},{LONGEST}}}" if m[2] else m[0], pattern)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a known cause, case ignored, :func:`bounded`."""
    return re.compile(bounded(pattern), re.IGNORECASE)


def nearby(
    pattern: re.Pattern[str], reading: Reading, words: Sequence[str], start: int = 0
) -> re.Match[str] | None:
    """The first match of ``pattern`` from ``start`` on in the flat text; in a long one a match around one of ``words`` (small
    letters, all of them in the text), the last place first."""
    flat = reading.flat
    if len(flat) - start <= WHOLE:
        return pattern.search(flat, start)
    places = spans(reading.lower, words, start)
    for order in (reversed(places), places):
        left = _MOST
        for low, high in order:
            high = min(high, low + left, len(flat))
            found = pattern.search(flat, low, high)
            whole = high == len(flat)  # `$` is the end of the text alone
            if found is not None and (whole or found.end() < high):
                return found
            left -= high - low
            if left <= 0:
                break
        else:
            return None
    return None


def spans(lower: str, words: Sequence[str], start: int = 0) -> list[tuple[int, int]]:
    """Stretches of ``lower`` around some places of each of ``words``, those nearest to both ends, in order and apart."""
    found: list[tuple[int, int]] = []
    for word in words:
        high = len(lower)
        for _ in range(PLACES):
            if (at := lower.rfind(word, start, high)) < 0:
                break
            found.append((at, at + len(word)))
            high = at - NEAR
        low = start
        for _ in range(PLACES):
            if (at := lower.find(word, low, max(high, start))) < 0:
                break
            found.append((at, at + len(word)))
            low = at + NEAR
    joined: list[tuple[int, int]] = []
    for first, last in sorted((max(start, low - NEAR), high + NEAR) for low, high in found):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
