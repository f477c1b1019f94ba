"""Why metrics differ: each cause that can be tested is tested, the cheapest and surest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .._frameworks import live_catalog
from .._record.data.contract import Learned
from .._record.environment_changes import Change
from .._record.probe import Probe
from .comparing import by_chance, counterpart
from .evaluation import Evaluation, evaluated, observed
from .inputs import from_inputs
from .neighbours import Neighbour
from .outputs import from_batches, from_outputs
from .report import Cause, Row
from .state import Stored, explain
from .trials import Trials

__all__ = ["attributed", "find_causes"]

_USUAL_DRIFT = 1e-3
"""Relative; TF32 and other kernels stay below (a judgement: 7e-4 is TF32's rounding)."""
_ORDER = ("proved", "fits", "likely")


def find_causes(
    trials: Trials,
    checksums: Mapping[str, str],
    others: Mapping[str, Stored],
    near: Sequence[Neighbour],
    probe: Probe | None,
    contract: Learned | None,
    changes: Sequence[Change],
) -> list[Cause]:
    """Causes of the rows in ``trials``, best first. Stops where one explains all of them."""
    found: list[Cause] = []
    seen, result = observed(trials.evaluate, trials.model, checksums)
    every = {row.metric.name for row in trials.rows}

    def enough() -> bool:
        return any(c.status != "likely" and set(c.metrics) >= every for c in found)

    if seen.changed:
        cause = explain(seen.changed, trials.stored, live_catalog(model=trials.model), others)
        text = f"when the evaluation runs, {cause.message}"
        return [replace(cause, message=text, metrics=tuple(every))]
    looks: tuple[Callable[[], Iterable[Cause]], ...] = (
        lambda: trials.forgotten_inference(seen.training),
        lambda: _random(trials, result),
        lambda: _swapped(trials, result),
        lambda: from_batches(result, trials.rows, lambda n: _name(trials, n, result)),
        lambda: from_inputs(trials, seen, probe, contract),
        lambda: from_outputs(result, trials.rows),
        trials.other_weights,
        lambda: trials.other_steps(others),
        trials.recorded_in_training,  # by scatter alone, so after what must give the very number
        lambda: _mixed_up(trials, near),
        lambda: _environment(trials, changes),
    )
    for look in looks:
        found += look()
        if enough():
            break
    return sorted(found, key=lambda c: (_ORDER.index(c.status), -len(c.metrics)))


def attributed(rows: Sequence[Row], causes: Sequence[Cause]) -> list[Row]:
    """The rows with those causes that are theirs."""
    return [
        row
        if row.verdict != "differs"
        else replace(row, causes=tuple(c for c in causes if row.metric.name in c.metrics))
        for row in rows
    ]


def _name(trials: Trials, name: str, result: Evaluation) -> str | None:
    metric = next((m for m in trials.recorded if m.name == name), None)
    return None if metric is None else counterpart(metric, trials.recorded, result.metrics)


def _random(trials: Trials, result: Evaluation) -> Iterator[Cause]:
    """Evaluated again, it gives something else than the first time."""
    if not _otherwise(trials, result):
        return
    # the second was watched, for which compiled functions run eagerly: other kernels are no randomness
    found = _otherwise(trials, evaluated(trials.evaluate, trials.model))
    if found:
        # one that draws its samples may give one of its numbers twice by chance
        names = tuple(row.metric.name for row in trials.rows)
        name, (one, two) = next(iter(found.items()))
        text = f"the evaluation gives another number each time: {name} was {one:.6g}, then {two:.6g}"
        yield Cause(
            "metric-random", text, "proved", names, {"values": {n: list(v) for n, v in found.items()}}
        )


def _otherwise(trials: Trials, again: Evaluation) -> dict[str, tuple[float, float]]:
    """Metric -> its value first and now, where they differ."""
    found = {}
    for row in trials.rows:
        name = _name(trials, row.metric.name, again)
        value = again.metrics.get(name) if name is not None else None
        if value is None or row.now is None or row.tolerance is None:
            continue
        if not row.tolerance.holds(row.now, value):
            found[row.metric.name] = (row.now, value)
    return found


def _swapped(trials: Trials, result: Evaluation) -> Iterator[Cause]:
    rows = trials.rows
    for n, one in enumerate(rows):
        for two in rows[n + 1 :]:
            if one.tolerance is None or two.tolerance is None or one.now is None or two.now is None:
                continue
            if one.tolerance.holds(one.metric.value, two.now) and two.tolerance.holds(
                two.metric.value, one.now
            ):
                names = (one.metric.name, two.metric.name)
                yield Cause(
                    "metric-names-swapped",
                    f"{names[0]} and {names[1]} have each other's values",
                    "proved",
                    names,
                )
    for row in rows:
        for name, value in result.metrics.items():
            own = _name(trials, row.metric.name, result)
            taken = {_name(trials, m.name, result) for m in trials.recorded}
            if (
                name != own
                and name not in taken
                and row.tolerance
                and row.tolerance.holds(row.metric.value, value)
            ):
                text = f"the recorded {row.metric.name} is what the evaluation now calls {name}"
                yield Cause("metric-names-swapped", text, "proved", (row.metric.name,))


def _mixed_up(trials: Trials, near: Sequence[Neighbour]) -> Iterator[Cause]:
    for other in near:
        names = [
            row.metric.name
            for row in trials.rows
            if row.now is not None
            and row.tolerance is not None
            and (then := other.metrics.get(row.metric.name)) is not None
            and row.tolerance.holds(then, row.now)
        ]
        if names and not by_chance(trials.rows, names):
            text = f"what is measured now is what {other.name} recorded: best and last may be mixed up"
            yield Cause("metric-best-for-last", text, "fits", tuple(names), {"step": other.name})
            return


def _environment(trials: Trials, changes: Sequence[Change]) -> Iterator[Cause]:
    matter = [c for c in changes if c.matters]
    names = tuple(r.metric.name for r in trials.rows if (r.distance or 0) <= _USUAL_DRIFT)
    if matter and names:
        told = ", ".join(f"{c.name} {c.then} became {c.now}" for c in matter[:3])
        more = f" and {len(matter) - 3} more" if len(matter) > 3 else ""
        text = f"the environment differs in what can change numbers: {told}{more}"
        yield Cause("metric-environment", text, "likely", names, {"settings": [c.name for c in matter]})
