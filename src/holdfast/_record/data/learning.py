"""Learning of honest batches: one pass, memory for one batch and a sample of the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from ..._core.errors import UsageError
from .batches import Container, absent_of, container_of, fields_of, raw_batches
from .contract import FieldContract
from .features import elements, ends, finite, form_of, missing_in, moments, pieces, summaries
from .tally import Tally

__all__ = ["MOST_BATCHES", "learn_fields"]

MOST_BATCHES = 1000
_MOST_SAMPLES = 1 << 18
_RESERVOIR = 1024
_FEWEST = 16
_CLUSTERS = 256
_OF_CLUSTER = 64


def learn_fields(
    source: Any, most: int | None = None
) -> tuple[dict[str, FieldContract], int, Container, bool]:
    """The fields of honest batches in their order, how many batches were seen, what held the fields, and whether the
    source came to its end.

    At most ``most`` batches are looked at (1,000, or those that hold the first 262,144 samples). At least 16 samples are
    needed. Raises :class:`UsageError` where there are fewer, or where batches do not have the same fields.
    """
    found: dict[str, _Learning] = {}
    container: Container = "array"
    draw = np.random.default_rng(0)  # a generator of its own: the program's random state is left alone
    none: set[str] = set()
    count = samples = 0
    limit = MOST_BATCHES if most is None else most
    complete = True
    for raw in raw_batches(source, limit):
        batch = fields_of(raw)
        count += 1
        container = container_of(raw) if count == 1 else container
        if count > 1 and set(batch) != set(found):
            none |= absent_of(raw)
            if set(found) - set(batch) - none or set(batch) - set(found) - none:
                raise UsageError(
                    "the batches do not have the same fields",
                    found=", ".join(sorted(batch)),
                    expected=", ".join(sorted(found)),
                )
        none |= absent_of(raw) if count == 1 else set()
        for name, values in batch.items():
            if name not in found:
                found[name] = _Learning.of(name, values)
            found[name].add(values, draw)
        samples += max((len(v) for v in batch.values()), default=0)
        if count == limit or (samples >= _MOST_SAMPLES and most is None):
            complete = not hasattr(source, "__next__") and _length(source) == count
            break
    fields = {name: each.end(name in none) for name, each in found.items()}
    fewest = min((f.samples for f in fields.values()), default=0)
    if fewest < _FEWEST:
        raise UsageError(
            "too few samples for a data contract",
            found=f"{fewest}",
            expected="16 at least, 1,000 or more are better",
        )
    return fields, count, container, complete


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except TypeError:
        return None


def _dtype(values: np.ndarray) -> str:
    """numpy's name of the dtype; of texts without their length, which is another in each batch."""
    return {"U": "str", "S": "bytes"}.get(values.dtype.kind, values.dtype.name)


@dataclass
class _Learning:
    """One field while batches come."""

    entry: FieldContract
    tally: Tally | None
    clusters: list[tuple[int, np.ndarray, np.ndarray]] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, values: np.ndarray, ragged: bool = False) -> _Learning:
        form = form_of(values, ragged)
        entry = FieldContract(name, tuple(values.shape[1:]), _dtype(values), form)
        counted = form.kind in ("labels", "tokens", "text") or (
            form.kind == "columns" and values.dtype.kind in "iub"
        )
        return cls(entry, Tally() if counted else None)

    def add(self, values: np.ndarray, draw: np.random.Generator) -> None:
        entry = self.entry
        if _dtype(values) != entry.dtype or len(values.shape) - 1 != len(entry.shape):
            raise UsageError(
                "a field changes from batch to batch", found=f"{entry.name}: {values.dtype.name}{list(values.shape[1:])}",
                expected=f"{entry.dtype}{list(entry.shape)}",
            )  # fmt: skip
        shape = tuple(a if a == b else None for a, b in zip(entry.shape, values.shape[1:], strict=True))
        if shape != entry.shape and not entry.ragged and entry.form.kind == "columns":
            # no table after all: what was summed up by column is left
            fresh = _Learning.of(entry.name, values, ragged=True)
            self.entry, self.tally, self.clusters = fresh.entry, fresh.tally, []
            entry = self.entry
        entry.shape = shape
        if not len(values):
            return
        self._keep(values, draw)
        self._range(values)
        if len(self.clusters) < _CLUSTERS and len(values) > 1:
            some = values[
                np.unique(
                    np.linspace(
                        0, len(values) - 1, _OF_CLUSTER if not entry.form.every else _OF_CLUSTER // 4
                    ).astype(np.int64)
                )
            ]
            rows = summaries(entry.form, some)
            self.clusters.append((len(rows), *_mean_and_variance(rows)))
        entry.samples += len(values)
        if self.tally is not None:
            self.tally.add(values)

    def _keep(self, values: np.ndarray, draw: np.random.Generator) -> None:
        """A uniform choice of everything seen (reservoir sampling: Vitter 1985, algorithm R); only what is chosen is summed
        up."""
        entry = self.entry
        if not entry.samples:
            entry.rows = np.zeros((0, len(entry.form.names)))
        room = max(0, _RESERVOIR - len(entry.rows))
        at: dict[int, int] = {}  # place -> which sample of this batch
        if len(values) > room:
            numbers = np.arange(entry.samples + room, entry.samples + len(values))
            places = draw.integers(0, numbers + 1)
            for n in np.flatnonzero(places < _RESERVOIR).tolist():
                at[int(places[n])] = room + n
        begin = len(entry.rows)
        for n in range(min(room, len(values))):
            at.setdefault(begin + n, n)
        if not at:
            return
        order = sorted(at)
        chosen = values[[at[place] for place in order]]
        for part, fresh in (("rows", summaries(entry.form, chosen)), ("elements", self._elements(chosen))):
            kept = getattr(entry, part)
            if kept.size == 0 and fresh.size:
                kept = kept.reshape(0, fresh.shape[1])
            size = max(len(kept), order[-1] + 1)
            if fresh.size and size > len(kept):
                kept = np.concatenate([kept, np.zeros((size - len(kept), fresh.shape[1]), kept.dtype)])
            if fresh.size:
                kept[order] = fresh
            setattr(entry, part, kept)

    def _elements(self, chosen: np.ndarray) -> np.ndarray:
        if self.entry.form.kind != "dense":
            return np.zeros((0, 0), np.float32)
        return elements(chosen)

    def _range(self, values: np.ndarray) -> None:
        entry, n = self.entry, len(values)
        missing = gaps = 0
        for piece in pieces(values):
            bad = missing_in(piece)
            if bad is not None:
                missing, gaps = (
                    missing + int(bad.sum()),
                    gaps + int(bad.reshape(len(piece), -1).any(axis=1).sum()),
                )
            if piece.dtype.kind not in "fiub" or not piece.size:
                continue
            low, high = ends(finite(piece) if bad is not None else piece)
            entry.lowest, entry.highest = min(entry.lowest, float(low)), max(entry.highest, float(high))
        before, now = entry.samples / (entry.samples + n), n / (entry.samples + n)
        entry.missing = entry.missing * before + missing / max(1, values.size) * now
        entry.gaps = entry.gaps * before + gaps / n * now

    def end(self, optional: bool) -> FieldContract:
        entry = self.entry
        entry.optional = optional
        entry.missing = 0.0 if entry.ragged and entry.form.kind == "dense" else entry.missing  # padding
        entry.together = _together(self.clusters)
        if self.tally is not None:
            entry.unseen = self.tally.unseen()
            every_sample_its_own = entry.unseen[0] > 0.5 and entry.form.kind != "columns"
            entry.categories = None if every_sample_its_own else self.tally.counts
        return entry


def _mean_and_variance(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = moments(rows)
    return mean[0], spread[0] ** 2


def _together(clusters: list[tuple[int, np.ndarray, np.ndarray]]) -> float:
    """The intraclass correlation of samples in one batch (analysis of variance: Donner, International Statistical Review 54,
    1986), of the number for which it is most; 0 unless chance cannot explain it."""
    if len(clusters) < 8:
        return 0.0
    sizes = np.array([m for m, _, _ in clusters], np.float64)
    means = np.array([mean for _, mean, _ in clusters])
    within = np.array([var for _, _, var in clusters])
    with np.errstate(all="ignore"):
        total = sizes.sum()
        grand = np.nansum(means * sizes[:, None], axis=0) / total
        inside = np.nansum(within * sizes[:, None], axis=0) / (total - len(sizes))
        between = np.nansum((means - grand) ** 2 * sizes[:, None], axis=0) / (len(sizes) - 1)
        ratio = between / inside
        size = (total - (sizes**2).sum() / total) / (len(sizes) - 1)
        share = (between - inside) / (between + (size - 1) * inside)
    # the quantile of chi-squared over its degrees of freedom, as Wilson and Hilferty (1931) have it
    free = len(sizes) - 1
    z = NormalDist().inv_cdf(1 - 1e-4 / max(1, len(ratio)))
    chance = 1.25 * (1 - 2 / (9 * free) + z * np.sqrt(2 / (9 * free))) ** 3
    counted = np.isfinite(share) & ((ratio > chance) | np.isinf(ratio))
    counted |= np.isinf(ratio) & (between > 0)
    share = np.where(np.isinf(ratio), 1.0, share)
    return float(np.clip(share[counted], 0, 1).max()) if counted.any() else 0.0
