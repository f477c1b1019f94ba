"""Recorded metrics beside those measured now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .._facts.tolerances import Tolerance, metric_tolerance, precision_of
from .._record.metrics import Metric
from .report import Row

__all__ = ["EVALUATED", "compared", "counterpart", "reproduces", "tolerance_of"]

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
    """For one metric; ``precision`` is that of the checkpoint's weights, unless the metric names its own."""
    return metric_tolerance(precision_of([metric.precision or precision]), same_setup=same_setup)


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
