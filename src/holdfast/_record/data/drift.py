"""Whether the numbers of a batch stray further from the contract's than those of an honest batch of its size.

The summaries of the contract are themselves honest samples: batches drawn from them show how far a batch of this size
strays by chance (a bootstrap; Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 16). Each number is
compared as it is and by its rank among the contract's: ranks tell where a tail is so heavy that means say nothing (Mann and
Whitney, Annals of Mathematical Statistics 18, 1947).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from statistics import NormalDist

import numpy as np

from .contract import FieldContract
from .features import moments

__all__ = ["LEVEL", "Strays", "allowance", "largest_count", "strays"]

LEVEL = 1e-3
"""How often an honest batch may be told off, for one reason, over all fields and numbers of a contract together."""
_DRAWS = 200
_LARGEST_DRAW = 512
_MARGIN = 1.3
"""A statistic counts only beyond this multiple of the greatest of 200 honest draws."""
_LEAST_EFFECT = 0.2
"""Standard deviations between samples below which a difference is told to nobody."""
_RANK_STEP = 0.02
"""Standard deviations within which two numbers have the same rank: a cast is no shift."""


@dataclass(frozen=True)
class Strays:
    """The effect of each number that strays, 0 for the others: as it is and by rank, of the mean and of the spread.

    shape: ``(4, numbers)``: mean, rank, spread, spread of ranks.
    """

    effects: np.ndarray

    def __bool__(self) -> bool:
        return bool(self.effects.any())

    @property
    def size(self) -> float:
        """The largest effect, in standard deviations between samples."""
        return float(self.effects.max(initial=0.0))

    @property
    def number(self) -> int:
        """Which number strays most."""
        return int(np.argmax(self.effects.max(axis=0)))

    @property
    def way(self) -> int:
        """In which of the four ways it does; as it is, where that is near as telling."""
        column = self.effects[:, self.number]
        plain = max(column[0], column[2])
        return (
            int(np.argmax(column))
            if plain < 0.7 * column.max()
            else int(np.argmax([column[0], 0, column[2], 0]))
        )


def strays(entry: FieldContract, rows: np.ndarray, numbers: int, batches: int = 1) -> Strays:
    """What strays of ``rows`` (summaries of a batch). ``numbers``: how many are compared in all fields together;
    ``batches``: of how many the rows come. How far texts of different length are padded is no matter."""
    n, width = rows.shape
    mean, spread, usual = _known(entry, n)
    both = np.concatenate([rows, _ranks(entry, rows)], axis=1)
    statistic = _statistic(both, mean, spread, _floors(entry), len(entry.rows))
    limits = np.maximum(usual, _sigmas(4 * numbers) * allowance(entry, n, batches))
    limits = limits.reshape(2, 2 * width)
    effect = statistic.reshape(2, 2 * width) / np.sqrt(n)
    found = (statistic.reshape(2, 2 * width) > limits) & (effect > _LEAST_EFFECT)
    if entry.ragged and entry.form.kind == "tokens":
        at = entry.form.names.index("share of zeros")
        found[:, [at, at + width]] = False
    if found.any():
        found &= ~_by_chance(entry, both, mean, found, numbers, batches)
    effect = np.where(found, effect, 0.0)
    return Strays(effect.reshape(4, width))


def allowance(entry: FieldContract, n: int, batches: int = 1) -> float:
    """By what the noise of a batch of ``n`` is greater than that of ``n`` independent samples: the contract's own moments are
    those of a sample, too; and samples of one batch may be alike (the design effect: Kish, "Survey Sampling", 1965)."""
    alike = 1 + max(0.0, n / max(1, batches) - 1) * entry.together
    return float(np.sqrt((1 + n / max(1, len(entry.rows))) * alike))


def _sigmas(comparisons: int) -> float:
    return NormalDist().inv_cdf(1 - LEVEL / (2 * max(1, comparisons)))


def _known(entry: FieldContract, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and spread of the contract's numbers and ranks, and how large each statistic is in honest batches of ``n``:
    computed once."""
    size = min(n, _LARGEST_DRAW)
    key = ("honest", size)
    if key not in entry.held:
        both = np.concatenate([entry.rows, _ranks(entry, entry.rows)], axis=1)
        mean, spread = (each[0] for each in moments(both))
        draw = np.random.default_rng(len(both) * 1_000_003 + size)
        worst = np.zeros(2 * both.shape[1])
        for _ in range(_DRAWS):
            chosen = both[draw.integers(0, len(both), size)]
            worst = np.maximum(worst, _statistic(chosen, mean, spread, _floors(entry), len(entry.rows)))
        entry.held[key] = mean, spread, worst
    mean, spread, worst = entry.held[key]
    return mean, spread, _MARGIN * worst * allowance(entry, n)


def _ranks(entry: FieldContract, rows: np.ndarray) -> np.ndarray:
    """The share of the contract's samples below each number, ties by half; NaN stays."""
    if "sorted" not in entry.held:
        entry.held["sorted"] = [np.sort(column[~np.isnan(column)]) for column in entry.rows.T]
    out = np.full(rows.shape, np.nan)
    for k, known in enumerate(entry.held["sorted"]):
        if not len(known):
            continue
        column = rows[:, k]
        step = max(_RANK_STEP * float(known.std()), float(_floors(entry)[k]) / 2)
        below, upto = (
            np.searchsorted(known, column - step, "left"),
            np.searchsorted(known, column + step, "right"),
        )
        out[:, k] = np.where(np.isnan(column), np.nan, (below + upto) / (2 * len(known)))
    return out


def _floors(entry: FieldContract) -> np.ndarray:
    """The least noise that each number and each rank is thought to have. Images of which the darkest pixel is always 0 may
    have one that is nearly 0: a tenth of the deviation within samples is no shift; of a column that never changes any is."""
    if "floors" not in entry.held:
        rows = entry.rows
        with np.errstate(all="ignore"):
            floors = 1e-6 * np.maximum(1e-30, np.nan_to_num(np.abs(rows)).max(axis=0, initial=0.0))
        if entry.form.kind == "dense":
            inside = float(moments(rows[:, 1])[0][0]) if len(rows) else 0.0
            unit = np.array([0.1 if "along" in name else 0.1 * inside for name in entry.form.names])
            floors = np.maximum(floors, unit)
        entry.held["floors"] = np.concatenate([floors, np.full(len(floors), 1e-3)])
    floors = entry.held["floors"]
    return np.asarray(floors)


def _statistic(
    rows: np.ndarray, mean: np.ndarray, spread: np.ndarray, floors: np.ndarray, known: int
) -> np.ndarray:
    """For each number: the batch's mean and its spread against the contract's, in units of their noise.

    What never occurred among ``known`` samples may still occur in 3 of that many (the rule of three: Hanley and
    Lippman-Hand, JAMA 249, 1983): a pixel that was always 0 is no constant.
    """
    its, wide = (each[0] for each in moments(rows))
    n = len(rows)
    with np.errstate(all="ignore"):
        farthest = np.nan_to_num(np.max(np.abs(np.nan_to_num(rows - mean, nan=0.0)), axis=0))
    scale = np.sqrt(spread**2 + 3 / max(1, known) * farthest**2)
    scale = np.maximum(scale, floors)
    location = np.abs(its - mean) / scale * np.sqrt(n)
    return np.concatenate([location, np.abs(wide - spread) / scale * np.sqrt(n)])


def _by_chance(
    entry: FieldContract, both: np.ndarray, mean: np.ndarray, found: np.ndarray, numbers: int, batches: int
) -> np.ndarray:
    """Which of what strays a few odd samples explain, as a column has them that is 0 but for one row in 300.

    How many samples lie as far from the contract's mean as the farthest, the two farthest, ... of the batch is a binomial
    number whatever the distribution (Berk and Jones, Zeitschrift fuer Wahrscheinlichkeitstheorie 47, 1979); its tail is at
    most what Chernoff's bound says.
    """
    known = np.concatenate([entry.rows, _ranks(entry, entry.rows)], axis=1)
    n = len(both)
    alike = 1 + max(0.0, n / max(1, batches) - 1) * entry.together
    chance = np.zeros_like(found)
    limit = np.log(numbers / LEVEL)
    for way, k in np.argwhere(found).tolist():
        column, before = both[:, k], known[:, k]
        column, before = (each[~np.isnan(each)] - mean[k] for each in (column, before))
        if way == 1:
            column, before = np.abs(column), np.abs(before)
            if np.mean(column**2) < np.mean(before**2):  # narrower: few are far
                column, before = -column, -before
        elif column.mean() < 0:
            column, before = -column, -before
        column = np.sort(column)[::-1]
        step = 1e-9 * max(1e-30, float(np.abs(before).max(initial=0.0)))
        beyond = len(before) - np.searchsorted(np.sort(before), column - step, "left")
        kept = max(1, len(before))
        share = beyond / kept
        # what was never seen may come in 3 of so many samples; what was is uncertain by its noise
        share = share + 2 * np.sqrt(share * (1 - share) / kept) + 3 / kept
        seen = np.arange(1, len(column) + 1) / max(1, len(column))
        share = np.minimum(share, 1 - 1e-12)
        with np.errstate(all="ignore"):
            far = seen * np.log(seen / share) + np.where(
                seen < 1, (1 - seen) * np.log((1 - seen) / (1 - share)), 0.0
            )
        far = np.where(seen > share, far, 0.0)
        odd = n / alike * float(far.max(initial=0.0)) <= limit
        # that samples of a batch are alike explains a batch at the edge of what was seen, and none far beyond it
        span = float(np.ptp(before)) if len(before) else 0.0
        beyond_all = way == 0 and bool(
            column.mean() > before.max(initial=-np.inf) + span > before.max(initial=-np.inf)
        )
        chance[way, k] = odd and not beyond_all
    return chance


def largest_count(n: int, share: float, level: float) -> int:
    """The least count that a binomial number exceeds with less than ``level``."""
    beyond = 1.0
    for k in range(n + 1):
        beyond -= comb(n, k) * share**k * (1 - share) ** (n - k) if n <= 512 else _poisson(n * share, k)
        if beyond < level:
            return k
    return n


def _poisson(mean: float, k: int) -> float:
    total = -mean
    for j in range(1, k + 1):
        total += np.log(mean / j)
    return float(np.exp(total))
