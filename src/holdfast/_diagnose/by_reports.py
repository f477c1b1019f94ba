"""What a text is most like among public failure reports, word by word.

Known causes (:mod:`holdfast._diagnose.causes`) know why a message is printed; most messages of the world they do not know. Here
every word has a say: the log odds of each cause are a weighted sum over the words, pairs of words and parts of names in the text,
each scaled by its rarity, the whole divided by its length (tf-idf with cosine norm; multinomial logistic regression: Hastie,
Tibshirani, Friedman, The Elements of Statistical Learning, 4.4). A known cause that is sure comes first; behind it both count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from .._facts.causes import cause_of
from .._facts.report_words import ELSEWHERE, ReportWords, report_words
from .knowledge import Guess
from .reading import Reading
from .surroundings import around

__all__ = [
    "FIRST",
    "LATER",
    "Likeness",
    "in_order",
    "like_a_checkpoint_failure",
    "like_something_else",
    "likeness",
    "may_be_a_checkpoint_failure",
    "ranked",
    "terms",
]

_MOST = 20_000
"""Characters that are read: the end of a longer text, where the failure stands."""
_PLACES = 3
"""A diagnosis names at least so many causes."""
_LEAST = 0.03
"""Chances below this are not named where only words speak."""
_SOFTLY = 0.6
"""Nothing is called surer than this by its words alone."""
_STAYS = 0.6
"""A known cause that is as sure stays first, whatever the words are like ..."""
_STAYS_BEHIND = 0.5
"""... and behind it those that are as sure keep their order: who wrote them had the message in mind."""
FIRST, LATER = 0.7, 0.4
"""How much it counts that the first known cause, and that another one, is sure of a label, against its chance by the words:
chosen (`tests/diagnose/learn.py --order`) on 547 reports of which neither causes nor words knew. One of the first three causes
is right in 91 % of these, in 90 % with known causes before all words; from 0.1 to 0.7 it makes little difference."""
_OTHER = 0.03
"""A text whose chance to be about something else is below this is a checkpoint failure by its words."""
_OTHER_AROUND = 0.4
"""The same, where the text also speaks of a save or a load."""
_OTHER_TOLD = 0.3
"""The same, where a person tells of loading, saving or resuming in words of their own."""
_OTHER_NAMED = 0.1
"""The same, where a checkpoint, its file or weights are named."""
_OTHER_BARE = 0.5
"""A bare message, with no program around it, is not said to be about something else where its chance to be is below this."""
_BARE = 4
"""Lines of a message by itself."""
_HEARD = 6
"""Terms of a text that must be known: one word of one report proves nothing."""
_OVERRULED = ((0.97, 0.93), (0.8, 0.8), (0.6, 0.7))
"""A text whose chance to be about something else is above the first is put down to that, where no known cause is as sure as the
second: 66 of 121 such texts, and none of 240 real failures, when this was set."""
_SHOWN = 3
_COMMON = 2.0
"""Words of less rarity stand in every seventh report, and are not shown."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|\d+")
_JOINED = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)+|[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_LETTERS = re.compile(r"[A-Za-z_]+")
_PLAIN = re.compile(r"[A-Za-z]+")
_BEGINNINGS = (4, 5, 6)
"""Chosen on 611 reports that the table did not know: with them it names 84.8 % among the first three, without 82.0."""
_NAME = 200
"""Letters beyond these are no name but data, and to look for parts in them takes the square of their number."""
_PART = re.compile(r"[A-Z]?[a-z]+")
_ENDING = re.compile(r"\.([A-Za-z]\w{0,11})\b")


def terms(text: str) -> frozenset[str]:
    """The terms of a text: words in small letters (numbers are ``0``), pairs of neighbours, ``^beginning`` of a word (*save*,
    *saves*, *saved* ...; four, five and six letters), ``~part`` of a joined name (``load_state_dict``, ``AttributeError``),
    ``.ending`` of what follows a dot."""
    text = _ADDRESS.sub("hexaddr", text[-_MOST:])
    words = ["0" if word.isdigit() else word.lower() for word in _WORD.findall(text)]
    found = set(words)
    found.update(f"{one} {other}" for one, other in pairwise(words))
    for run in _PLAIN.findall(text):
        found.update("^" + run[:length].lower() for length in _BEGINNINGS if len(run) >= length)
    for run in _LETTERS.findall(text):
        if len(run) <= _NAME:
            for name in _JOINED.findall(run):
                found.update("~" + part.lower() for part in _PART.findall(name))
    found.update("." + ending.lower() for ending in _ENDING.findall(text))
    return frozenset(found)


class Likeness(NamedTuple):
    """``chances``: label -> probability, of all labels and of :data:`~holdfast._facts.report_words.ELSEWHERE`. ``words``: label
    -> the words that speak most for it. ``heard``: how many terms of the text are known, but for beginnings of words."""

    chances: dict[str, float]
    words: dict[str, tuple[str, ...]]
    heard: int = 0

    @property
    def elsewhere(self) -> float:
        """The chance that the text has nothing to do with a checkpoint."""
        return self.chances[ELSEWHERE]


def likeness(found: Iterable[str], table: ReportWords | None = None) -> Likeness:
    """What a text is like, by its :func:`terms`."""
    known = report_words() if table is None else table
    sums = [0.0] * len(known.labels)
    heard: list[list[tuple[float, str]]] = [[] for _ in known.labels]
    length, number = 0.0, 0
    for term in sorted(found):
        row = known.of(term)
        if row is None:
            continue
        number += term[0] != "^"
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
            label: tuple(term for _, term in sorted(spoken, reverse=True) if term[0] not in "~.^")[:_SHOWN]
            for label, spoken in zip(known.labels, heard, strict=True)
        },
        number,
    )


@lru_cache(maxsize=4)
def _of(reading: Reading) -> Likeness:
    return likeness(terms(reading.text))


def like_a_checkpoint_failure(reading: Reading) -> bool:
    """Whether a text that no known cause claims is about saving or loading. A whole traceback is judged by its frames, never by
    its words."""
    if "Traceback (most recent call last)" in reading.text:
        return False
    like = _of(reading)
    here = around(reading)
    allowed = ((here.storing, _OTHER_AROUND), (here.prose, _OTHER_TOLD), (here.kept, _OTHER_NAMED))
    other = next((most for so, most in allowed if so), _OTHER)
    return like.heard >= _HEARD and like.elsewhere < other


def may_be_a_checkpoint_failure(reading: Reading) -> bool:
    """Whether a bare message, of which nothing says where it came from, is as often one of checkpoints as of something else."""
    lines = [line for line in reading.text.splitlines() if line.strip()]
    if len(lines) > _BARE or "Traceback" in reading.text or '", line ' in reading.text or reading.frames:
        return False
    like = _of(reading)
    return like.heard >= _HEARD and like.elsewhere < _OTHER_BARE


def like_something_else(reading: Reading, held: Collection[Guess]) -> bool:
    """Whether a known cause that is heard in a text is overruled: neither the functions, the files nor the words around it speak
    of a save or a load, and reports with such words had nothing to do with a checkpoint."""
    here = around(reading)
    if here.calls or here.storing or "checkpoint" in reading.lower:
        return False
    sure = max((guess.confidence for guess in held), default=0.0)
    return any(sure < known and _of(reading).elsewhere > chance for chance, known in _OVERRULED)


def ranked(reading: Reading, held: Sequence[Guess]) -> list[Guess]:
    """Causes, best first: what is known (``held``, best first) together with what the words of the text speak for."""
    return in_order(held, _of(reading))


def in_order(
    held: Sequence[Guess], like: Likeness, first: float = FIRST, later: float = LATER
) -> list[Guess]:
    """Known causes (``held``, best first) and those that words alone speak for, best first.

    A label counts as much as its chance by the words and how sure a known cause is of it, weighed by ``first`` and ``later``
    (linear pool of opinions: Stone, The Opinion Pool, 1961). Known causes that are sure stay in front. Labels for which only
    words speak are named as far as the first three places, never as likely. Nothing is called surer than what stands before it.
    """
    known = {guess.label: guess for guess in held}
    here = 1.0 - like.elsewhere
    stay = [guess.label for guess in held if guess.confidence >= _STAYS_BEHIND]
    if not held or held[0].confidence < _STAYS:
        stay = []

    def score(label: str) -> float:
        if label in stay:
            return 10.0 - stay.index(label)  # above all chances
        chance = like.chances.get(label, 0.0) / here
        if label not in known:
            return chance
        sure = known[label].confidence
        return (first if label == held[0].label else later) * sure + chance

    heard = (label for label, chance in like.chances.items() if label != ELSEWHERE and chance >= _LEAST)
    order = sorted({*known, *heard}, key=lambda label: (-score(label), label))
    found: list[Guess] = []
    for place, label in enumerate(order):
        if label not in known and place >= _PLACES:
            continue
        guess = known.get(label) or _guess(
            label, round(min(like.chances[label], _SOFTLY), 2), like.words[label]
        )
        sure = min([guess.confidence, *(before.confidence for before in found[-1:])])
        found.append(guess if sure == guess.confidence else replace(guess, confidence=sure))
    return found


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
