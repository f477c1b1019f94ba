"""All that known causes say of one text, put together and ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .knowledge import Entry, Guess, entries
from .reading import Reading
from .surroundings import around

__all__ = ["SURE", "concerns_checkpoints", "weighed"]

SURE = 0.45
"""From here on a text is called a checkpoint failure because of what a cause says."""


def weighed(reading: Reading, known: Iterable[Entry] | None = None) -> list[Guess]:
    """The guesses of all entries, one for each label, best first. Two entries that say the same make it surer."""
    best: dict[str, Guess] = {}
    for entry in entries() if known is None else known:
        for guess in entry.look(reading):
            held = best.get(guess.label)
            if held is None:
                best[guess.label] = guess
                continue
            high, low = (guess, held) if guess.confidence > held.confidence else (held, guess)
            if high.entry != low.entry:
                high = replace(high, confidence=min(0.98, high.confidence + 0.08 * low.confidence))
            best[guess.label] = high
    return sorted(best.values(), key=lambda guess: -guess.confidence)


def concerns_checkpoints(reading: Reading) -> bool:
    """Whether the program was saving or loading when it failed, told by the functions and files on the way."""
    surroundings = around(reading)
    return surroundings.calls or surroundings.files
