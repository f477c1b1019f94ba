"""All that known causes say of one text, put together and ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .by_kind import by_kind
from .by_words import by_words
from .knowledge import Entry, Guess, entries_for
from .reading import Reading
from .surroundings import around

__all__ = ["SURE", "concerns_checkpoints", "weighed"]

SURE = 0.45
"""From here on a text is called a checkpoint failure because of what a cause says."""

_KNOWN = 0.5
"""From here on a message counts as known, and words that any program may print are not heard beside it."""
_WORDS = ("told-", "general-", "symptom-", "metric-differs", "resume-broken", "state-not-back")
"""Entries that go by words alone."""


def weighed(reading: Reading, known: Iterable[Entry] | None = None) -> list[Guess]:
    """The guesses of all entries, one for each label, best first. Two entries that say the same make it surer.

    Where none of them is sure, the kind of the error speaks (:mod:`holdfast._diagnose.by_kind`), or the words by which it is told
    (:mod:`holdfast._diagnose.by_words`).
    """
    best: dict[str, Guess] = {}
    said = [
        guess for entry in (entries_for(reading) if known is None else known) for guess in entry.look(reading)
    ]
    if any(guess.confidence >= _KNOWN and not guess.entry.startswith(_WORDS) for guess in said):
        said = [guess for guess in said if not guess.entry.startswith("told-")]
    for guess in said:
        held = best.get(guess.label)
        if held is None:
            best[guess.label] = guess
            continue
        high, low = (guess, held) if guess.confidence > held.confidence else (held, guess)
        if high.entry != low.entry:
            surer = min(0.98, high.confidence + 0.08 * low.confidence)
            high = replace(high, confidence=max(high.confidence, surer))
        best[guess.label] = high
    found = sorted(best.values(), key=lambda guess: -guess.confidence)
    if known is None and not (found and found[0].confidence >= SURE):
        softly = by_kind(reading) or by_words(reading)
        found = [*softly, *(guess for guess in found if all(guess.label != one.label for one in softly))]
    return found


def concerns_checkpoints(reading: Reading) -> bool:
    """Whether the program was saving or loading when it failed, told by the functions and files on the way."""
    surroundings = around(reading)
    return surroundings.calls or surroundings.files
