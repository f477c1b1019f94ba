"""Where a run's numbers go besides the vault: TensorBoard, MLflow, Weights & Biases, Lightning's loggers, any callable.

Each module here knows one tool and recognises its objects by their class's module and their methods; none imports a tool
that the program has not imported already.
"""

from __future__ import annotations

from typing import Any

from .._core.errors import UsageError
from . import calling, lightning, mlflow, tensorboard, tf_summary, wandb
from .base import Tracker

__all__ = ["Tracker", "scalar_writer", "tracker_of"]

_KNOWN = (tensorboard, mlflow, wandb, tf_summary, lightning, calling)
_EXPECTED = (
    "a SummaryWriter (PyTorch, tensorboardX), a writer of tf.summary, an MLflow run or (client, run id), a wandb run, "
    "a Lightning logger of these, a holdfast.Tracker, or a callable(step, {name: number})"
)


def tracker_of(given: Any) -> Tracker:
    """The tracker that sends to ``given``; one that is a :class:`Tracker` already is itself.

    Raises :class:`UsageError` for what is none, naming what would be.
    """
    if isinstance(given, Tracker):
        return given
    for tool in _KNOWN:
        found = tool.recognised(given)
        if found is not None:
            return found
    raise UsageError("trackers= holds what is no tracker", found=_named(given), expected=_EXPECTED)


def scalar_writer(given: Any) -> Tracker:
    """The tracker for ``tensorboard=``: writers of TensorBoard's files only. Raises :class:`UsageError`."""
    found = tensorboard.recognised(given) or tf_summary.recognised(given)
    if found is None:
        raise UsageError(
            "tensorboard= is no writer of scalars",
            found=_named(given),
            expected="a SummaryWriter of PyTorch or tensorboardX, or a writer of tf.summary",
        )
    return found


def _named(given: Any) -> str:
    kind = given if isinstance(given, type) else type(given)
    return f"{kind.__module__}.{kind.__qualname__}"
