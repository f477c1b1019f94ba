"""Which values labels, tokens and texts take, how often, and how many new ones an honest sample brings along."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

__all__ = ["MOST_CATEGORIES", "Tally", "texts"]

MOST_CATEGORIES = 10_000
_LONGEST = 64


def texts(values: np.ndarray) -> np.ndarray:
    """Values of any dtype as texts, of the same shape; a long text is told by its beginning and a digest."""
    if values.dtype.kind not in "USO":
        return values
    return (
        np.array([_text(item) for item in values.reshape(-1)], dtype=object).reshape(values.shape).astype(str)
    )


def _text(item: object) -> str:
    if isinstance(item, bytes):
        item = item.decode("utf-8", "replace")
    text = "" if item is None or item != item else str(item)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:40]}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


@dataclass
class Tally:
    """Values counted as batches come.

    counts: value -> how often; ``None`` where there are more than 10,000. samples: how many there were.
    """

    counts: dict[str, int] | None = field(default_factory=dict)
    samples: int = 0
    _inside: dict[str, int] = field(default_factory=dict)
    """value -> in how many samples."""
    _owner: dict[str, tuple[int, float]] = field(default_factory=dict)
    """value that one sample has -> which, and what share of its values that is."""

    def add(self, values: np.ndarray) -> None:
        """The samples of a batch, along its first axis."""
        if self.counts is None or not len(values):
            self.samples += len(values)
            return
        flat = texts(values).reshape(len(values), -1)
        each, number = np.unique(flat, return_inverse=True)
        number = number.reshape(-1)
        pairs, times = np.unique(
            np.repeat(np.arange(len(flat), dtype=np.int64), flat.shape[1]) * len(each) + number,
            return_counts=True,
        )
        counts = np.bincount(number, minlength=len(each))
        inside = np.bincount(pairs % max(1, len(each)), minlength=len(each))
        at = dict(
            zip(
                (pairs % max(1, len(each))).tolist(),
                zip(pairs // max(1, len(each)), times, strict=True),
                strict=True,
            )
        )
        width = max(1, flat.shape[1])
        for n, value in enumerate(each.tolist()):
            text = str(value)
            self.counts[text] = self.counts.get(text, 0) + int(counts[n])
            before = self._inside.get(text, 0)
            self._inside[text] = before + int(inside[n])
            if before == 0 and inside[n] == 1:
                row, often = at[n]
                self._owner[text] = (self.samples + int(row), float(often) / width)
            else:
                self._owner.pop(text, None)
        self.samples += len(values)
        if len(self.counts) > MOST_CATEGORIES:
            self.counts, self._inside, self._owner = None, {}, {}

    def unseen(self) -> tuple[float, float, float]:
        """Of a sample that is left out: the share of its values that no other sample has, mean and standard deviation; and
        how many samples have any.

        What an honest new sample brings along (the leave-one-out form of Good, "The population frequencies of species",
        Biometrika 40, 1953); between samples, because the values of one sample come together.
        """
        if not self.samples:
            return 0.0, 0.0, 0.0
        shares: dict[int, float] = {}
        for row, share in self._owner.values():
            shares[row] = shares.get(row, 0.0) + share
        mean = sum(shares.values()) / self.samples
        square = sum(share * share for share in shares.values()) / self.samples
        return mean, float(np.sqrt(max(0.0, square - mean * mean))), len(shares) / self.samples
