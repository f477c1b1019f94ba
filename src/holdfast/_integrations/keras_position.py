"""Where ``fit`` stands, and the best value it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import UsageError
from .._vault.folder.keep import Keep

__all__ = ["Best", "Position", "direction"]


class Position(NamedTuple):
    """Whole epochs done, batches done of the next one, and batches trained in all."""

    epoch: int = 0
    batch: int = 0
    steps: int = 0


@dataclass(slots=True)
class Best:
    """The best value of ``monitor`` so far and the step that had it. ``mode`` is ``auto`` until training begins."""

    monitor: str | None
    mode: str = "auto"
    value: float | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "min", "max"):
            raise UsageError("no such mode", found=self.mode, expected="auto, min or max")

    def take(self, logs: Mapping[str, Any], step: int) -> bool:
        """Look at an epoch's metrics; whether they are the best so far. Raises :class:`UsageError` where they lack the
        one that is monitored, naming what there is, unless none was ever asked for by name."""
        if self.monitor is None or self.monitor not in logs:
            return False
        value = float(np.asarray(logs[self.monitor]).reshape(()))
        if value != value:
            return False
        if self.value is not None and not (value < self.value if self.mode == "min" else value > self.value):
            return False
        self.value, self.step = value, step
        return True

    def state(self) -> dict[str, Any]:
        """What a save holds of it."""
        return {"monitor": self.monitor, "value": self.value, "step": self.step}

    def put(self, held: Any) -> None:
        """Go on from what a save held; that of another metric says nothing."""
        if (
            isinstance(held, Mapping)
            and held.get("monitor") == self.monitor
            and held.get("value") is not None
        ):
            self.value, self.step = float(held["value"]), held.get("step")


_UP = (
    "acc",
    "accuracy",
    "auc",
    "precision",
    "recall",
    "f1_score",
    "fbeta_score",
    "iou",
    "mean_iou",
    "r2_score",
)
_DOWN = (
    "loss",
    "error",
    "mse",
    "mae",
    "mape",
    "msle",
    "rmse",
    "perplexity",
    "divergence",
    "crossentropy",
    "hinge",
)


def direction(best: Best, keep: Keep, model: Any) -> str:
    """``"min"`` or ``"max"``: as asked, as ``Keep`` has it for the same metric, as the metric itself says
    (``_direction`` of keras/src/metrics), or by the metric's name.

    Raises :class:`UsageError` where none tells: before training, not after its first epoch.
    """
    if best.mode != "auto" or best.monitor is None:
        return best.mode
    if keep.by == best.monitor:
        return keep.mode
    name = best.monitor.removeprefix("val_")
    for metric in _metrics(model):
        if getattr(metric, "name", None) == name and getattr(metric, "_direction", None) in ("up", "down"):
            return "max" if metric._direction == "up" else "min"
    if name.endswith(_DOWN):
        return "min"
    if name.endswith(_UP):
        return "max"
    raise UsageError(
        "is less or more of this metric better?", found=best.monitor, expected='mode="min" or mode="max"'
    )


def _metrics(model: Any) -> list[Any]:
    found = [*getattr(model, "metrics", ())]
    compiled = getattr(model, "_compile_metrics", None)
    found += getattr(compiled, "metrics", ()) or ()
    asked = getattr(compiled, "_user_metrics", None)
    found += asked if isinstance(asked, (list, tuple)) else ()
    return found
