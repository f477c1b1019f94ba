"""Labels, tokens and texts of a batch against those of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from .contract import FieldContract
from .drift import LEVEL, allowance, largest_count
from .tally import Tally, texts

__all__ = ["Frequencies", "Unknown", "frequencies", "unknown"]

_DRAWS = 400
_LEAST_DISTANCE = 0.1


@dataclass(frozen=True)
class Unknown:
    """Values that the contract does not know: their share, the share that honest samples have at most, some of them."""

    share: float
    allowed: float
    values: list[str]


def unknown(entry: FieldContract, values: np.ndarray, numbers: int, batches: int = 1) -> Unknown | None:
    """Unknown values beyond those that honest samples bring along. ``numbers``: how many comparisons there are."""
    known = entry.categories
    if not known or not values.size:
        return None
    flat = texts(values).reshape(len(values), -1)
    each, number = np.unique(flat, return_inverse=True)
    new = np.array([str(value) not in known for value in each.tolist()])
    if not new.any():
        return None
    shares = new[number.reshape(flat.shape)].mean(axis=1)
    mean, spread, some = entry.unseen
    n, z = len(shares), NormalDist().inv_cdf(1 - LEVEL / max(1, numbers))
    # what no sample had may still come in 3 of so many, each with as much of it as any sample here
    three = 3 / max(1, entry.samples)
    most = float(shares.max())
    noise = float(np.sqrt((spread**2 + three * most**2) / n)) * allowance(entry, n, batches)
    allowed = mean + three * most + z * noise
    count = largest_count(n, min(1.0, some + three), LEVEL / max(1, numbers))
    share = float(shares.mean())
    if share <= allowed or int((shares > 0).sum()) <= count:
        return None
    often = np.bincount(number.reshape(-1), minlength=len(each))
    order = sorted(np.flatnonzero(new).tolist(), key=lambda at: -int(often[at]))
    return Unknown(share, allowed, [str(each[at]) for at in order[:20]])


@dataclass(frozen=True)
class Frequencies:
    """How unlike the contract's the shares of the values are (total variation distance), and the value that differs most."""

    distance: float
    value: str
    now: float
    before: float


def frequencies(
    entry: FieldContract, values: np.ndarray, numbers: int, batches: int = 1
) -> Frequencies | None:
    """Values that occur with other shares than in the contract, beyond chance and by a distance that matters."""
    tally = Tally()
    tally.add(values)
    now = tally.counts
    if entry.categories is None or now is None:
        return None
    names = list(entry.categories)
    before = np.array([entry.categories[n] for n in names], float)
    after = np.array([now.get(n, 0) for n in names], float)
    n, total = after.sum(), before.sum()
    if n < 8 or len(names) < 2 or len(names) > total / 2:
        return None
    share = before / total
    alike = allowance(entry, int(n), batches) ** 2 / (1 + n / max(1, len(entry.rows)))
    single = _single(after, share, total) / alike > np.log(2 * max(1, numbers) * len(names) / LEVEL)
    crowded = _crowded(entry, before, after, alike)
    before, after = _grouped(before, after, n)
    distance = 0.5 * float(np.abs(after / n - before / total).sum())
    if distance <= _LEAST_DISTANCE:
        return None
    if not single.any() and not crowded and not _all_together(entry, before, after, numbers, alike):
        return None
    now_all, before_all = np.array([now.get(n, 0) for n in names], float) / n, share
    far = np.abs(now_all - before_all)
    worst = int(np.argmax(np.where(single, far, 0.0) if single.any() else far))
    return Frequencies(distance, names[worst], float(now_all[worst]), float(before_all[worst]))


def _single(after: np.ndarray, share: np.ndarray, total: float) -> np.ndarray:
    """How improbable the count of each value is, as minus the logarithm of (at most) its probability: Chernoff's bound of the
    binomial tail. The share is as near to the count as the contract's own noise lets it be."""
    n = after.sum()
    seen = after / n
    room = 2 * np.sqrt(share * (1 - share) / total) + 3 / total
    near = np.clip(seen, np.maximum(share - room, 0), share + room)
    near = np.clip(near, 1e-12, 1 - 1e-12)
    with np.errstate(all="ignore"):
        far = np.where(seen > 0, seen * np.log(seen / near), 0.0)
        far = far + np.where(seen < 1, (1 - seen) * np.log((1 - seen) / (1 - near)), 0.0)
    return n * np.maximum(far, 0.0)


def _grouped(before: np.ndarray, after: np.ndarray, n: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts of which each is expected twice at least in a batch of ``n``: rarer values are counted in groups, because one of
    them makes chi-squared jump."""
    share = before / before.sum()
    rare = share * n < 2
    if not rare.any():
        return before, after
    expected = float(share[rare].sum() * n)
    groups = max(1, int(expected / 2))
    at = np.arange(int(rare.sum())) % groups
    before, after = (
        np.concatenate([each[~rare], np.bincount(at, each[rare], groups)]) for each in (before, after)
    )
    if expected < 2 and len(before) > 1:  # too few even together: with the next rarest
        least = int(np.argmin(before[:-1]))
        for each in (before, after):
            each[least] += each[-1]
        before, after = before[:-1], after[:-1]
    return before, after


def _crowded(entry: FieldContract, before: np.ndarray, after: np.ndarray, alike: float) -> bool:
    """Whether values repeat more often than they should, though each is rare: half of five hundred classes are gone."""
    n = after.sum()
    if n > 4 * len(before):
        return False
    key = ("pairs", int(n))
    if key not in entry.held:
        draw = np.random.default_rng(int(n))
        drawn = (draw.multinomial(int(n), draw.dirichlet(before + 0.5)) for _ in range(_DRAWS))
        entry.held[key] = max(float((each * (each - 1)).sum()) for each in drawn)
    return float((after * (after - 1)).sum()) > (1.5 * entry.held[key] + 12) * alike


def _all_together(
    entry: FieldContract, before: np.ndarray, after: np.ndarray, numbers: int, alike: float
) -> bool:
    """Whether the counts together are further from the shares than honest ones, by Pearson's chi-squared."""
    n, total, free = after.sum(), before.sum(), len(before) - 1
    if free < 1:
        return False
    share = before / total
    key = ("labels", int(n), len(before))
    if key not in entry.held:
        draw = np.random.default_rng(int(n))
        drawn = (draw.multinomial(int(n), draw.dirichlet(before + 0.5)) for _ in range(_DRAWS))
        entry.held[key] = max(unlike(each.astype(float), share) for each in drawn)
    z = NormalDist().inv_cdf(1 - LEVEL / (2 * max(1, numbers)))
    # the quantile of chi-squared as Wilson and Hilferty (1931) have it
    square = free * (1 - 2 / (9 * free) + z * np.sqrt(2 / (9 * free))) ** 3 * (1 + n / total)
    return unlike(after, share) > max(1.2 * entry.held[key], square) * alike


def unlike(counts: np.ndarray, share: np.ndarray) -> float:
    """Pearson's chi-squared of counts against shares."""
    expected = np.maximum(share * counts.sum(), 1e-9)
    return float(((counts - expected) ** 2 / expected).sum())
