"""Recorded metrics beside those measured now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .._facts.tolerances import Tolerance, metric_tolerance, precision_of
from .._record.metrics import Metric
from .report import Row

__all__ = ["EVALUATED", "by_chance", "compared", "counterpart", "reproduces", "tolerance_of"]

EVALUATED = ("val_", "valid_", "validation_", "test_", "eval_", "val/", "test/", "eval/")
"""How names of evaluations begin."""
_COMPARED = frozenset({"evaluation", "unspecified"})


def counterpart(metric: Metric, recorded: Sequence[Metric], now: Mapping[str, float]) -> str | None:
    """The name under which the evaluation returned this metric: its own, else without ``val_`` and the like.

    An evaluation that returns ``loss`` alone means the recorded ``val_loss``, if there is one, and not the running average
    that is called ``loss``.
    """
    taken = {
        _bare(m.name) for m in recorded if m.kind in _COMPARED and m.name not in now and _bare(m.name) in now
    }
    if metric.name in now and (metric.kind in _COMPARED or metric.name not in taken):
        return metric.name
    bare = _bare(metric.name)
    return bare if bare != metric.name and bare in now else None


def _bare(name: str) -> str:
    return next((name[len(front) :] for front in EVALUATED if name.startswith(front)), name)


def tolerance_of(metric: Metric, precision: str, *, same_setup: bool) -> Tolerance:
    """For one metric; ``precision`` is that of the evaluation, unless the metric names its own. In a narrow type one
    sample may fall to the other side of a decision: a share of counted samples may differ by one of them."""
    kind = precision_of([metric.precision or precision])
    found = metric_tolerance(kind, same_setup=same_setup)
    if kind in ("bfloat16", "float16") and metric.samples and _is_share(metric.value, metric.samples):
        one = 1.001 / metric.samples
        if one > found.absolute:
            return replace(found, absolute=one, why=f"{found.why}, or one of {metric.samples} samples")
    return found


def _is_share(value: float, count: int) -> bool:
    """Whether a number may be a share of so many samples."""
    return 0 <= value <= 1 and abs(value * count - round(value * count)) <= 1e-4 * max(1.0, count**0.5)


def compared(
    recorded: Sequence[Metric], now: Mapping[str, float], precision: str, *, same_setup: bool
) -> list[Row]:
    """One row for each recorded metric. A number of unknown kind counts as an evaluation where it is reproduced; where it is
    not, the row says that nothing is known of it."""
    rows = []
    for metric in recorded:
        name = counterpart(metric, recorded, now)
        if metric.kind not in _COMPARED:
            value = None if name is None else now[name]
            rows.append(Row(metric, "cannot-compare", value, metric.unprovable or ""))
        elif name is None:
            told = ", ".join(now) or "nothing"
            rows.append(Row(metric, "not-measured", None, f"the evaluation returned {told}"))
        else:
            tolerance = tolerance_of(metric, precision, same_setup=same_setup)
            holds = tolerance.holds(metric.value, now[name])
            if metric.unprovable and metric.kind == "evaluation" and not holds:  # of averaged weights, say
                rows.append(Row(metric, "cannot-compare", now[name], metric.unprovable))
                continue
            doubt = metric.unprovable if metric.kind == "unspecified" and not holds else None
            rows.append(Row(metric, "reproduced" if holds else "differs", now[name], doubt or "", tolerance))
    return rows


def reproduces(rows: Iterable[Row], recorded: Sequence[Metric], now: Mapping[str, float]) -> tuple[str, ...]:
    """Which of the rows' metrics these values reproduce."""
    found = []
    for row in rows:
        name = counterpart(row.metric, recorded, now)
        if (
            name is not None
            and row.tolerance is not None
            and row.tolerance.holds(row.metric.value, now[name])
        ):
            found.append(row.metric.name)
    return tuple(found)


def by_chance(rows: Sequence[Row], fits: Sequence[str]) -> bool:
    """Whether a state that reproduces ``fits`` and no other of ``rows`` may do so by chance: counts of right samples take
    few values (two states agree in one of 597 samples' accuracies in every twentieth case), losses do not."""
    return len(fits) < len(rows) and not any(_is_fine(row) for row in rows if row.metric.name in fits)


def _is_fine(row: Row) -> bool:
    values = (row.metric.value, row.now)
    count = row.metric.samples
    if count:
        return any(v is not None and not _is_share(v, count) for v in values)
    return not any(
        word in row.metric.name.lower() for word in ("acc", "error_rate", "precision", "recall", "top")
    )
