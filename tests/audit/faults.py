"""What may be wrong when a run is audited: each fault with the rule that must be told first, for any kind of run.

``given`` makes the arguments of the audit in which the fault is; ``none`` says why a kind cannot have it, or why its precision
hides it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

import holdfast
from audit.digits import RAW, VALID, XV, YV, Y, numbers, scaled
from audit.kinds import FIRST, LAST, LATER, Kind, Run

__all__ = ["FAULTS", "Fault", "first_told"]


class Fault(NamedTuple):
    """title: what is wrong. slug: the rule whose finding must come first. given: arguments of the audit. instead: the rule
    that tells it where no metric moves beyond its tolerance."""

    title: str
    slug: str
    given: Callable[[Kind, Run], dict[str, Any]]
    none: Callable[[Kind], str | None] = lambda kind: None
    instead: str = ""

    @property
    def told(self) -> tuple[str, ...]:
        """Rules of which one must come first."""
        return (self.slug, self.instead) if self.instead else (self.slug,)


def first_told(report: holdfast.AuditReport) -> str:
    """The rule of the first cause; where no metric differs, that of the gravest finding, else the verdict."""
    if report.causes:
        return report.causes[0].slug
    graver = [f for f in report.findings if f.severity != "note"]
    return graver[0].slug if graver else report.verdict


# -- kinds that cannot have it ---------------------------------------------------------------------------------------
def _mode(kind: Kind) -> str | None:
    return None if kind.drops or kind.normalises else "no layer of it acts otherwise in training"


def _norm(kind: Kind) -> str | None:
    return None if kind.normalises else "it has no normalisation layer"


def _hidden(kind: Kind) -> str | None:
    return "within the tolerance of bfloat16" if kind.narrow else None


# -- arguments -------------------------------------------------------------------------------------------------------
def _val(values: Mapping[str, Any]) -> dict[str, float]:
    """As they are logged."""
    return {n if n.startswith("val_") else f"val_{n}": v for n, v in values.items() if isinstance(v, float)}


def _put(kind: Kind, run: Run, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Loaded by code that sets some tensors otherwise."""
    return {"model": kind.put(run.loaded(), values), "loaded": True}


def _logged_with(kind: Kind, run: Run, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {"logged": _val(run.measured_with(values))}


def _rounded(kind: Kind, model: Any) -> dict[str, np.ndarray]:
    return {name: v.astype(ml_dtypes.bfloat16).astype(v.dtype) for name, v in kind.read(model).items()}


def _named_alike(kind: Kind, model: Any) -> dict[str, np.ndarray]:
    """The new layer's values under the names of ``model`` (Keras numbers its models)."""
    return dict(zip(kind.head(model), kind.head(kind.make(77)).values(), strict=True))


def _moved(kind: Kind, model: Any) -> dict[str, np.ndarray]:
    """Statistics after a few forward passes in training mode."""
    return {n: np.float32(0.8) * kind.read(model)[n] + np.float32(0.21) for n in kind.statistics(model)}


def _other_head(kind: Kind, run: Run) -> dict[str, Any]:
    def evaluate(model: Any) -> dict[str, Any]:
        return kind.evaluate(kind.put(model, _named_alike(kind, model)))

    return {"evaluate": evaluate}


def _permuted(kind: Kind, run: Run) -> dict[str, Any]:
    labels = (YV * 3 + 1) % 10

    def evaluate(model: Any) -> dict[str, Any]:
        return {**kind.evaluate(model, y=labels), "outputs": kind.outputs(model, XV), "labels": labels}

    return {"evaluate": evaluate}


def _ragged(kind: Kind, run: Run) -> dict[str, Any]:
    def evaluate(model: Any) -> dict[str, Any]:
        parts = [slice(n, n + 100) for n in range(0, len(YV), 100)]
        rows = [(len(YV[part]), kind.evaluate(model, XV[part], YV[part])) for part in parts]
        return {**{n: float(np.mean([row[n] for _, row in rows])) for n in rows[0][1]}, "batches": rows}

    return {"evaluate": evaluate}


def _half(kind: Kind, run: Run) -> dict[str, Any]:
    def evaluate(model: Any) -> dict[str, Any]:
        half = np.random.default_rng().permutation(len(YV))[:300]
        return kind.evaluate(model, XV[half], YV[half])

    return {"evaluate": evaluate}


def _by_element(kind: Kind, run: Run) -> dict[str, Any]:
    given = kind.outputs(run.loaded(), XV)
    share = float(((given > 0) == (np.eye(10)[YV] > 0)).mean())

    def evaluate(model: Any) -> dict[str, Any]:
        return {**kind.evaluate(model), "outputs": kind.outputs(model, XV), "labels": YV}

    return {"logged": {"val_accuracy": share}, "evaluate": evaluate}


def _training_then(kind: Kind, run: Run) -> dict[str, Any]:
    return {"logged": numbers(kind.outputs(run.loaded(), XV, training=True), YV)}


def _swapped(kind: Kind, run: Run) -> dict[str, Any]:
    values = run.at[LAST]
    return {"logged": dict(zip(values, reversed(values.values()), strict=True))}


def _split(kind: Kind, run: Run) -> dict[str, Any]:
    labels = np.concatenate([Y, YV])[900:1497]
    return {"evaluate": lambda model: kind.evaluate(model, scaled(RAW[900:1497]), labels)}


FAULTS: tuple[Fault, ...] = (
    Fault("training mode left on now", "metric-training-mode",
          lambda kind, run: {"evaluate": kind.forgetful}, _mode),
    Fault("training mode left on when it was logged", "metric-training-mode", _training_then, _mode),
    Fault("statistics reset while loading", "metric-batch-statistics",
          lambda kind, run: _put(kind, run, kind.statistics(run.loaded())), _norm),
    Fault("statistics moved after loading", "metric-batch-statistics",
          lambda kind, run: _put(kind, run, _moved(kind, run.loaded())), _norm),
    Fault("logged with statistics at their initial value", "metric-batch-statistics",
          lambda kind, run: _logged_with(kind, run, kind.statistics(run.loaded())), _norm),
    Fault("logged with the averaged weights", "metric-other-weights",
          lambda kind, run: _logged_with(kind, run, run.averages[LAST])),
    Fault("averaged weights loaded", "metric-other-weights", lambda kind, run: _put(kind, run, run.averages[LAST])),
    Fault("other constants in the preprocessing", "metric-other-inputs",
          lambda kind, run: {"evaluate": lambda model: kind.evaluate(model, scaled(RAW[VALID], 5.0, 8.0))}),
    Fault("not preprocessed at all", "metric-other-inputs",
          lambda kind, run: {"evaluate": lambda model: kind.evaluate(model, RAW[VALID])}),
    Fault("the preprocessing function has other constants", "metric-other-inputs",
          lambda kind, run: {"evaluate": lambda model: kind.evaluate(model, scaled(RAW[VALID], 5.0)),
                             "preprocess": lambda values: scaled(values, 5.0)}, instead="preprocessing-differs"),
    Fault("label map permuted", "metric-labels-permuted", _permuted),
    Fault("logged ten steps earlier", "metric-other-step", lambda kind, run: {"logged": run.at[FIRST]}),
    Fault("logged ten steps later", "metric-other-step", lambda kind, run: {"logged": run.at[LATER]}),
    Fault("checkpoint of ten steps later loaded", "metric-other-step",
          lambda kind, run: {"model": run.loaded(LATER), "loaded": True}),
    Fault("loaded in bfloat16", "metric-precision", lambda kind, run: _put(kind, run, _rounded(kind, run.loaded()))),
    Fault("logged with weights rounded to bfloat16", "metric-precision",
          lambda kind, run: _logged_with(kind, run, _rounded(kind, run.loaded())), _hidden),
    Fault("last layer initialised anew after loading", "metric-state-changed",
          lambda kind, run: _put(kind, run, _named_alike(kind, run.loaded()))),
    Fault("last layer initialised anew by the evaluation", "metric-state-changed", _other_head),
    Fault("epsilon changed", "metric-function-changed", lambda kind, run: kind.altered(epsilon=1e-2), _norm),
    Fault("relu became gelu", "metric-function-changed", lambda kind, run: kind.altered(activation="gelu")),
    Fault("two metrics' names swapped", "metric-names-swapped", _swapped),
    Fault("another validation split", "metric-other-data", _split),
    Fault("mean of batch means, ragged last batch", "metric-averaging", _ragged, _hidden),
    Fault("a random half each time", "metric-random", _half),
    Fault("accuracy counted element by element", "metric-resolved-differently", _by_element),
)  # fmt: skip


def audited(fault: Fault, kind: Kind, run: Run, place: Path) -> holdfast.AuditReport:
    """The audit in which the fault is; ``place``: a folder that is not there yet."""
    return kind.audited(run, place, **fault.given(kind, run))
