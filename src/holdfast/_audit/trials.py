"""Causes that are tested by evaluating again: another mode, other weights, another precision, another step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.errors import HoldfastError
from .._frameworks import live_catalog
from .._frameworks.probing import forced, kept, with_values
from .._record.metrics import Metric
from .comparing import by_chance, counterpart, reproduces
from .evaluation import Evaluate, Evaluation, called, evaluated
from .report import Cause, Row
from .state import NARROW, Stored, initial_statistics, is_statistic, narrowed

__all__ = ["Trials", "decomposed"]

_DRAWS = 8
"""Evaluations in training mode: dropout makes each another one."""


@dataclass
class Trials:
    """What is needed to evaluate the state again in another way, and what did not explain anything."""

    evaluate: Evaluate
    model: Any
    stored: Stored
    recorded: Sequence[Metric]
    rows: Sequence[Row]
    ruled_out: list[str] = field(default_factory=list)

    def inference(self) -> Evaluation | None:
        """Evaluated with every layer in inference mode; ``None`` where that cannot be forced."""
        with forced(self.model, False) as acted:
            result = evaluated(self.evaluate, self.model) if acted is not None else None
            return result if acted is not None and acted() else None

    def training(self) -> list[Evaluation]:
        """The same in training mode, several times; empty where that cannot be forced."""
        found = []
        with kept(self.model), forced(self.model, True) as acted:
            if acted is not None:
                # generators go on from one to the next; statistics move, and say nothing in training mode
                found.append(called(self.evaluate, self.model))
                if not acted():
                    return []
                again = called(self.evaluate, self.model)
                if again.metrics != found[0].metrics:
                    found += [again, *(called(self.evaluate, self.model) for _ in range(_DRAWS - 2))]
        return found

    def with_state(self, values: Mapping[str, np.ndarray]) -> Evaluation:
        """Evaluated with other values in some tensors, which are put back."""
        with kept(self.model):
            return evaluated(self.evaluate, with_values(self.model, values))

    # -- causes ------------------------------------------------------------------------------------------------------
    def forgotten_inference(self, training: bool) -> Iterator[Cause]:
        """The evaluation leaves training mode on. ``training``: whether that was seen."""
        if not training:
            return
        result = self.inference()
        fits = reproduces(self.rows, self.recorded, result.metrics) if result is not None else ()
        text = "the evaluation runs the model in training mode (dropout or batch statistics are on)"
        if fits:
            text += (
                f"; with inference mode forced {_list(fits)} {'is' if len(fits) == 1 else 'are'} reproduced"
            )
        yield Cause("metric-training-mode", text, "proved" if fits else "likely", fits, {"when": "now"})

    def recorded_in_training(self) -> Iterator[Cause]:
        """The recorded number was measured in training mode."""
        runs = self.training()
        within, sure = [], False
        for row in self.rows:
            values = self._values(row, runs)
            if row.tolerance is None or row.now is None or not values:
                continue
            middle, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            near = max(abs(middle - row.metric.value) - 3 * spread, 0.0)
            if not row.tolerance.holds(near, 0.0):
                continue
            within.append(row.metric.name)
            # else inference mode lies within the scatter too, and nothing is told apart
            sure = sure or abs(middle - row.now) > max(5 * spread, row.tolerance.relative * abs(middle))
        fits = within if sure else []
        if fits:
            text = f"{_list(fits)} {'was' if len(fits) == 1 else 'were'} recorded in training mode: evaluated so, "
            text += "the recorded value comes back" + (
                " within the scatter of dropout" if len(runs) > 1 else ""
            )
            yield Cause(
                "metric-training-mode", text, "fits", tuple(fits), {"when": "then", "runs": len(runs)}
            )
        elif runs:
            self.ruled_out.append("recorded in training mode")

    def other_weights(self) -> Iterator[Cause]:
        """Other copies of the weights in the checkpoint; the statistics at their initial value; narrower types."""
        live = live_catalog(model=self.model)
        tensors = [
            n for n, v in live.variables.items() if v.spec.role in ("weight", "buffer") and v.read is not None
        ]
        for prefix, names in self.stored.copies().items():
            values = {n: v for n in names if n in tensors and (v := self.stored.read(n, prefix)) is not None}
            # what averages parameters alone is evaluated with the model's own statistics
            bare = {name: v for name, v in values.items() if not is_statistic(live[name])}
            for given in (values, bare) if len(bare) < len(values) else (values,):
                found = list(self._tried(
                    given, "metric-other-weights", f"another copy of the weights (`{prefix}`)",
                    f"the recorded number is of the copy `{prefix}` of the weights, and the model holds the other",
                    {"copy": prefix},
                ))  # fmt: skip
                yield from found
                if found:
                    break
        statistics = initial_statistics(live)
        if statistics:
            yield from self._tried(
                statistics, "metric-batch-statistics", "statistics of normalisation layers at their initial value",
                "the recorded number was measured with the normalisation layers' statistics at their initial value",
                {"tensors": list(statistics)[:50]},
            )  # fmt: skip
        for word, kind in NARROW:
            every = {
                name: narrowed(was, kind)
                for name in tensors
                if (was := self.stored.read(name)) is not None and was.dtype.kind == "f"
            }
            weights = {name: values for name, values in every.items() if not is_statistic(live[name])}
            for values in (every, weights) if len(weights) < len(every) else (every,):
                yield from self._tried(
                    values, "metric-precision", f"weights rounded to {word}",
                    f"the recorded number was measured with weights rounded to {word}", {"precision": word},
                )  # fmt: skip

    def other_steps(self, others: Mapping[str, Stored]) -> Iterator[Cause]:
        """The nearest checkpoint of the run that reproduces the number."""
        live = live_catalog(model=self.model)
        names = [
            n for n, v in live.variables.items() if v.spec.role in ("weight", "buffer") and v.read is not None
        ]
        for step, other in others.items():
            values = {n: v for n in names if (v := other.read(n)) is not None and v.shape == live[n].shape}
            text = f"the recorded number is that of {step}, which reproduces it"
            found = list(self._tried(values, "metric-other-step", step, text, {"step": step}))
            yield from found
            if found:
                return

    def _tried(
        self, values: Mapping[str, np.ndarray], slug: str, what: str, text: str, evidence: dict[str, Any]
    ) -> Iterator[Cause]:
        try:
            result = self.with_state(values)
        except HoldfastError:
            return  # another structure: no candidate
        fits = reproduces(self.rows, self.recorded, result.metrics)
        if fits and not by_chance(self.rows, fits):
            yield Cause(slug, text, "fits", fits, evidence)
        else:
            self.ruled_out.append(what)

    def _values(self, row: Row, runs: Sequence[Evaluation]) -> list[float]:
        name = counterpart(row.metric, self.recorded, runs[0].metrics) if runs else None
        return [run.metrics[name] for run in runs if name in run.metrics] if name is not None else []


def decomposed(row: Row, now: float, training: Sequence[float]) -> tuple[tuple[float, str], ...]:
    """What the gap between a running average and the state's own value is made of: the state measured in training mode on
    the same data splits it. ``training`` is empty where that could not be had."""
    gap = row.metric.value - now
    if not training:
        return (
            (
                gap,
                "weights were still moving, or training mode was on: the mode cannot be forced for this model",
            ),
        )
    mode = float(np.mean(training)) - now
    what = "dropout or batch statistics were on"
    if len(training) > 1:
        what += f" (± {np.std(training, ddof=1):.2g} from run to run)"
    return ((gap - mode, "weights were still moving"), (mode, what))


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
