"""What a text is most like among public failure reports, word by word.

Known causes (:mod:`holdfast._diagnose.causes`) know why a message is printed; most messages of the world they do not know. Here
every word has a say: the log odds of each cause are a weighted sum over the words, pairs of words and parts of names in the text,
each scaled by its rarity, the whole divided by its length (tf-idf with cosine norm; multinomial logistic regression: Hastie,
Tibshirani, Friedman, The Elements of Statistical Learning, 4.4). It is heard after all known causes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from .._facts.causes import cause_of
from .._facts.report_words import ELSEWHERE, ReportWords, report_words
from .knowledge import Guess
from .reading import Reading
from .surroundings import around

__all__ = ["Likeness", "by_reports", "like_a_checkpoint_failure", "like_something_else", "likeness", "terms"]

_MOST = 20_000
"""Characters that are read: the end of a longer text, where the failure stands."""
_PLACES = 3
"""A diagnosis names at least so many causes."""
_LEAST = 0.03
"""Chances below this are not named."""
_SOFTLY = 0.6
"""Nothing is called surer than this by its words alone."""
_OTHER = 0.04
"""A text whose chance to be about something else is below this is a checkpoint failure by its words."""
_OTHER_AROUND = 0.3
"""The same, where the text also speaks of a save or a load."""
_OVERRULED = ((0.97, 0.93), (0.8, 0.8), (0.6, 0.7))
"""A text whose chance to be about something else is above the first is put down to that, where no known cause is as sure as the
second: 66 of 121 such texts, and none of 240 real failures, when this was set."""
_SHOWN = 3
_COMMON = 2.0
"""Words of less rarity stand in every seventh report, and are not shown."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|\d+")
_JOINED = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)+|[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_PART = re.compile(r"[A-Z]?[a-z]+")
_ENDING = re.compile(r"\.([A-Za-z]\w{0,11})\b")


def terms(text: str) -> frozenset[str]:
    """The terms of a text: words in small letters (numbers are ``0``), pairs of neighbours, ``~part`` of a joined name
    (``load_state_dict``, ``AttributeError``), ``.ending`` of what follows a dot."""
    text = _ADDRESS.sub("hexaddr", text[-_MOST:])
    words = ["0" if word.isdigit() else word.lower() for word in _WORD.findall(text)]
    found = set(words)
    found.update(f"{one} {other}" for one, other in pairwise(words))
    for name in _JOINED.findall(text):
        found.update("~" + part.lower() for part in _PART.findall(name))
    found.update("." + ending.lower() for ending in _ENDING.findall(text))
    return frozenset(found)


class Likeness(NamedTuple):
    """``chances``: label -> probability, of all labels and of :data:`~holdfast._facts.report_words.ELSEWHERE`. ``words``: label
    -> the words that speak most for it."""

    chances: dict[str, float]
    words: dict[str, tuple[str, ...]]

    @property
    def elsewhere(self) -> float:
        """The chance that the text has nothing to do with a checkpoint."""
        return self.chances[ELSEWHERE]


def likeness(found: Iterable[str], table: ReportWords | None = None) -> Likeness:
    """What a text is like, by its :func:`terms`."""
    known = report_words() if table is None else table
    sums = [0.0] * len(known.labels)
    heard: list[list[tuple[float, str]]] = [[] for _ in known.labels]
    length = 0.0
    for term in sorted(found):
        row = known.of(term)
        if row is None:
            continue
        rarity, weights = row
        length += rarity * rarity
        for label, weight in weights:
            sums[label] += rarity * weight
            if weight > 0 and rarity > _COMMON:
                heard[label].append((rarity * weight, term))
    scale = 1 / math.sqrt(length) if length else 0.0
    scores = [bias + value * scale for bias, value in zip(known.bias, sums, strict=True)]
    top = max(scores)
    whole = sum(math.exp(score - top) for score in scores)
    return Likeness(
        {label: math.exp(score - top) / whole for label, score in zip(known.labels, scores, strict=True)},
        {
            label: tuple(term for _, term in sorted(spoken, reverse=True) if term[0] not in "~.")[:_SHOWN]
            for label, spoken in zip(known.labels, heard, strict=True)
        },
    )


@lru_cache(maxsize=4)
def _of(reading: Reading) -> Likeness:
    return likeness(terms(reading.text))


def like_a_checkpoint_failure(reading: Reading) -> bool:
    """Whether a text that no known cause claims is about saving or loading. A whole traceback is judged by its frames, never by
    its words."""
    if "Traceback (most recent call last)" in reading.text:
        return False
    return _of(reading).elsewhere < (_OTHER_AROUND if around(reading).storing else _OTHER)


def like_something_else(reading: Reading, held: Collection[Guess]) -> bool:
    """Whether a known cause that is heard in a text is overruled: neither the functions, the files nor the words around it speak
    of a save or a load, and reports with such words had nothing to do with a checkpoint."""
    here = around(reading)
    if here.calls or here.storing or "checkpoint" in reading.lower:
        return False
    sure = max((guess.confidence for guess in held), default=0.0)
    return any(sure < known and _of(reading).elsewhere > chance for chance, known in _OVERRULED)


def by_reports(reading: Reading, held: Collection[Guess]) -> list[Guess]:
    """Causes for the places that ``held`` (what is known, best first) leaves free, none surer than those."""
    here = {guess.label for guess in held}
    if len(here) >= _PLACES:
        return []
    like = _of(reading)
    ceiling = min((guess.confidence for guess in held), default=_SOFTLY)
    order = sorted(like.chances, key=lambda label: -like.chances[label])
    free = [label for label in order if label != ELSEWHERE and label not in here]
    return [
        _guess(label, round(min(like.chances[label], ceiling), 2), like.words[label])
        for label in free[: _PLACES - len(here)]
        if like.chances[label] >= _LEAST
    ]


def _guess(label: str, sure: float, words: tuple[str, ...]) -> Guess:
    cause = cause_of(label)
    title = cause.title[:1].lower() + cause.title[1:] if cause is not None else label
    said = ", ".join(f"`{word}`" for word in words)
    return Guess(
        label,
        sure,
        f"{title}: in public reports {said} speak{'s' * (len(words) == 1)} for it" if said else title,
        cause.remedy if cause is not None else "",
        entry="reports",
    )
