"""How much each word of a failure report speaks for each cause: weights that were learned from public reports.

The table beside this module (``report_words.tsv``) is the outcome of a multinomial logistic regression over words, pairs of words
and parts of names, fitted by ``tests/diagnose/learn.py`` to reports of public issue trackers, each labelled with the cause that
its thread established (and to failures of other kinds, labelled :data:`ELSEWHERE`). It holds counts and weights, no texts.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["ELSEWHERE", "STEP", "TABLE", "ReportWords", "report_words"]

ELSEWHERE = "elsewhere"
"""The label of failures that have nothing to do with a checkpoint."""
STEP = 0.02
"""What one unit of the whole numbers in the table is worth."""
TABLE = Path(__file__).with_name("report_words.tsv")


class ReportWords(NamedTuple):
    """``labels``, in the order of all rows; ``bias``: log odds of each before a word is seen; ``rows``: a line a word, sorted:
    the word, its rarity ``log(1 + texts / texts with it)`` and its weights (``word\\trarity\\tlabel:weight ...``)."""

    labels: tuple[str, ...]
    bias: tuple[float, ...]
    rows: list[str]

    def of(self, word: str) -> tuple[float, list[tuple[int, float]]] | None:
        """The rarity of a word, and its weight by number of the label; ``None`` for a word that is not in the table."""
        start = word + "\t"  # below every character of a longer word
        place = bisect_left(self.rows, start)
        if place == len(self.rows) or not self.rows[place].startswith(start):
            return None
        _, rarity, rest = self.rows[place].split("\t")
        found = []
        for part in rest.split():
            label, _, weight = part.partition(":")
            found.append((int(label), int(weight) * STEP))
        return int(rarity) * STEP, found


@cache
def report_words() -> ReportWords:
    """The table, read once."""
    head, _, body = TABLE.read_text("utf-8").partition("\n\n")
    lines = dict(line.split("\t", 1) for line in head.splitlines() if not line.startswith("#"))
    return ReportWords(
        tuple(lines["labels"].split()),
        tuple(float(value) for value in lines["bias"].split()),
        body.split("\n")[:-1],
    )
