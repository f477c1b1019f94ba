"""Metrics with their meaning: which number, measured of which state, on which data, in which mode.

A checkpoint is a state at one instant. A number belongs to it only if it was measured of exactly that state; a loss that a
progress bar shows is an average over weights that were still moving, in training mode, and lies 5 to 75 % off in either
direction. The kind says which of these a number is, and so what can be proved of it later.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from .._core.errors import UsageError

__all__ = [
    "KINDS",
    "Kind",
    "Metric",
    "Metrics",
    "as_metrics",
    "finite_or_text",
    "from_keras_logs",
    "meanings",
    "metric_of",
    "values_of",
]

Kind = Literal["evaluation", "batch", "running-average", "training-mode", "external", "unspecified"]
KINDS: tuple[str, ...] = get_args(Kind)

_PROVABLE: dict[str, str | None] = {
    "evaluation": None,
    "batch": "one batch in training mode: only the state before its update and the same batch can give it again",
    "running-average": "an average over steps while the weights moved: no single state measures it",
    "training-mode": "measured with dropout and batch statistics on: it is another function than the saved state's",
    "external": "measured or set elsewhere: Holdfast cannot measure it again",
    "unspecified": "it is not known of which state, on which data and in which mode it was measured",
}


@dataclass(frozen=True)
class Metric:
    """One number and what it is.

    Attributes
    ----------
    name, value: as a run logs them. NaN and infinities are kept, and are best of nothing.
    kind: ``evaluation`` (of these weights, on this data, in inference mode), ``batch`` (one batch in training mode),
        ``running-average`` (over steps while the weights moved), ``training-mode`` (of these weights, with dropout and
        batch statistics on), ``external`` (a learning rate, a score of another program), ``unspecified``.
    step: the optimizer's step of the state that was measured. first_step: where a running average began.
    data: the data's identity (a split's name, a path, a digest). samples: how many. batch: which batch, or its size's
        batch index. when: ``"before"`` or ``"after"`` the batch's own update.
    averaging: ``"per-sample"`` or ``"mean-of-batch-means"`` (a ragged last batch counts too much: 0.7 % seen).
    precision: the number type that it was computed in. weights: ``"raw"``, ``"ema"``, ``"recalibrated-bn"``.
    higher_is_better: where it is known.
    """

    name: str
    value: float
    kind: Kind = "unspecified"
    step: int | None = None
    first_step: int | None = None
    data: str | None = None
    samples: int | None = None
    batch: int | str | None = None
    when: Literal["before", "after"] | None = None
    averaging: Literal["per-sample", "mean-of-batch-means"] | None = None
    precision: str | None = None
    weights: str | None = None
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError("no such kind of metric", found=self.kind, expected=", ".join(KINDS))
        if not self.name:
            raise UsageError("a metric has a name", found=repr(self.name))
        object.__setattr__(self, "value", _number(self.name, self.value))

    @property
    def unprovable(self) -> str | None:
        """Why this number cannot be measured again of the saved state alone; ``None`` where it can."""
        if self.kind == "evaluation" and self.weights not in (None, "raw"):
            return f"it was measured of other weights ({self.weights}) than the state's own"
        return _PROVABLE[self.kind]

    def meaning(self) -> dict[str, Any]:
        """All but name and value, without what is not known."""
        return {k: v for k, v in asdict(self).items() if k not in ("name", "value") and v is not None}


Metrics = Mapping[str, Any] | Iterable[Metric] | Metric
"""What metrics may be given as: a mapping of names to numbers, :class:`Metric` or metric objects; one, or several."""


def as_metrics(given: Metrics) -> tuple[Metric, ...]:
    """Metrics as they were given, one :class:`Metric` each.

    Plain numbers are filed as ``unspecified``; objects of torchmetrics (``compute()``) and ``keras.metrics``
    (``result()``) give their value so far, a running average. A mapping's key is the name, also of a :class:`Metric`.
    Raises :class:`UsageError` for what is no number.
    """
    if isinstance(given, Metric):
        return (given,)
    if not isinstance(given, Mapping):
        found = tuple(given)
        for each in found:
            if not isinstance(each, Metric):
                raise UsageError(
                    "a metric has a name", found=repr(each), expected="{name: value} or Metric(...)"
                )
        return found
    return tuple(_as_metric(str(name), value) for name, value in given.items())


def _as_metric(name: str, value: Any) -> Metric:
    if isinstance(value, Metric):
        return value if value.name == name else Metric(name, value.value, **value.meaning())
    for read, fed in (("compute", "update"), ("result", "update_state")):  # torchmetrics, keras.metrics
        if not isinstance(value, type) and hasattr(value, read) and hasattr(value, fed):
            return Metric(name, _number(name, getattr(value, read)()), kind="running-average")
    return Metric(name, _number(name, value))


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes)) or value is None:
        raise UsageError("a metric is a number", found=f"{name}={value!r}")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError("a metric is a number", found=f"{name}={value!r}") from error


def from_keras_logs(
    logs: Mapping[str, Any],
    *,
    step: int | None = None,
    first_step: int | None = None,
    epoch_end: bool,
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    elsewhere: Iterable[str] = (),
) -> tuple[Metric, ...]:
    """What Keras hands to callbacks, by what it is.

    ``val_*`` at an epoch's end is an evaluation of exactly the state of that moment (difference 0 at the same batch size);
    everything else that ``fit`` computes is a running average in training mode over the epoch so far; learning rates are
    settings. In the middle of an epoch Keras repeats nothing of the last validation, so ``val_*`` there is taken as
    ``unspecified``.

    ``training`` and ``evaluation``: what more is known of either, as fields of :class:`Metric`. ``elsewhere``: names that
    are neither, because a callback put them there.
    """
    common = {"step": step, "first_step": first_step, "kind": "running-average", "data": "training data"}
    kind = "evaluation" if epoch_end else "unspecified"
    tested = {"step": step, "kind": kind, "data": "validation_data", **(evaluation or {})}
    trained = {**common, **(training or {})}
    other = {*elsewhere, "learning_rate", "lr"}
    found = []
    for name, value in logs.items():
        if not isinstance(value, numbers.Number) and not hasattr(value, "__float__"):
            continue  # callbacks put texts and lists of their own there
        if name in other:
            meaning: Mapping[str, Any] = {"kind": "external", "step": step}
        else:
            meaning = tested if name.startswith("val_") else trained
        found.append(Metric(name, _number(name, value), **meaning))
    return tuple(found)


def values_of(metrics: Iterable[Metric]) -> dict[str, float | str]:
    """Name -> value as a record holds it: JSON has no NaN, so a diverged metric is kept as text."""
    return {m.name: finite_or_text(m.value) for m in metrics}


def finite_or_text(value: float) -> float | str:
    """A number as JSON can hold it."""
    return value if math.isfinite(value) else str(value)


def meanings(metrics: Iterable[Metric]) -> dict[str, dict[str, Any]]:
    """Name -> what is known of it, for those of which more than the number is known."""
    return {m.name: m.meaning() for m in metrics if m.kind != "unspecified" or len(m.meaning()) > 1}


def metric_of(name: str, value: float | str, meaning: Mapping[str, Any] | None) -> Metric:
    """A metric from a record's two entries; what a newer version wrote of it and is not known here is left out."""
    known = {f.name for f in fields(Metric)} - {"name", "value"}
    kept = {k: v for k, v in (meaning or {}).items() if k in known}
    if kept.get("kind", "unspecified") not in KINDS:
        kept["kind"] = "unspecified"
    return Metric(name, float(value), **kept)
