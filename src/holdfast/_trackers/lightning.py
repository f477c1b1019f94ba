"""Lightning's loggers, by the tool behind them: that of TensorBoard, MLflow or Weights & Biases.

Lightning's own writers of files are left out: ``CSVLogger`` keeps its rows without a lock
(lightning/fabric/loggers/csv_logs.py), and we write from another thread than the trainer.
"""

from __future__ import annotations

from typing import Any

from .._core.errors import UsageError
from . import mlflow, tensorboard, wandb
from .base import Tracker, is_of

__all__ = ["recognised"]

_PACKAGES = ("lightning", "pytorch_lightning", "lightning_fabric")


def recognised(given: Any) -> Tracker | None:
    """A tracker for a logger's own tool, else ``None``. Raises :class:`UsageError` for a logger of another tool."""
    if isinstance(given, type) or not any(is_of(given, package) for package in _PACKAGES):
        return None
    if not callable(getattr(given, "log_metrics", None)):
        return None
    tool = getattr(given, "experiment", None)  # begins the tool's run where none has begun
    run_id = getattr(given, "run_id", None)
    if isinstance(run_id, str) and (found := mlflow.recognised((tool, run_id))) is not None:
        return found
    found = tensorboard.recognised(tool) or wandb.recognised(tool)
    if found is None:
        raise UsageError(
            "this logger of Lightning is not safe to write to from another thread",
            found=type(given).__qualname__,
            remedy="Pass what it writes to, or a callable(step, {name: number}) with a lock of yours.",
        )
    return found
