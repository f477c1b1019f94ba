"""Passing over batches within ``fit``: the loop draws them and nothing is trained.

``fit`` calls ``model.train_function`` once for every ``steps_per_execution`` batches: with an iterator on the TensorFlow
backend, with the state and an iterator on JAX, with the batches themselves on PyTorch (keras/src/backend/*/trainer.py). For
as long as batches are passed over, a function stands in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from .._core.errors import UsageError

__all__ = ["let_go", "pass_over", "running_metrics", "set_running_metrics"]

LOG = logging.getLogger("holdfast.vault")


class _PassingOver:
    """In the place of a train function for ``count`` batches, each call taking what one execution takes; the first draws
    ``before`` more. The logs are those of the save."""

    def __init__(
        self,
        model: Any,
        count: int,
        before: int,
        logs: Mapping[str, Any],
        finish: Callable[[Any], None],
    ) -> None:
        self.model, self.left, self.before = model, count, before
        self.logs = {name: np.float64(value) for name, value in logs.items()}
        self.finish = finish
        self.inner = model.train_function

    def __call__(self, *given: Any) -> Any:
        many = min(int(self.model.steps_per_execution), self.left)
        batch: Any = None
        if hasattr(given[-1], "__next__"):
            for _ in range(self.before + many):
                batch = next(given[-1])
        self.before = 0
        self.left -= many
        if self.left <= 0:
            self.model.train_function = self.inner
            self.finish(batch)
        logs = dict(self.logs)
        return (logs, given[0]) if keras.config.backend() == "jax" else logs


class _Drawing:
    """In the place of a train function for one call: draws and drops ``count`` batches first."""

    def __init__(self, model: Any, count: int) -> None:
        self.model, self.count, self.inner = model, count, model.train_function

    def __call__(self, *given: Any) -> Any:
        for _ in range(self.count):
            next(given[-1])
        self.model.train_function = self.inner
        return self.inner(*given)


def pass_over(model: Any, count: int, before: int, logs: Mapping[str, Any], metrics: Any) -> None:
    """Let the next ``count`` batches of ``fit`` go by, after drawing ``before`` that the loop knows nothing of.

    ``metrics``: the epoch's running metrics (:func:`running_metrics`), set once the last has gone by. Raises
    :class:`UsageError` for ``before`` on the PyTorch backend.
    """
    if before and keras.config.backend() == "torch":
        raise UsageError(
            'on the PyTorch backend the loop draws batches by itself: skip="run" cannot',
            remedy="skip=False, and a data set that begins after steps_done.",
        )
    if not count:
        if before:
            model.train_function = _Drawing(model, before)
        return
    ready = set_running_metrics(model, metrics, quiet=True)

    def finish(batch: Any) -> None:
        if ready:
            return
        if batch is not None:
            model._symbolic_build(data_batch=batch)  # metrics come to be with the first batch
        set_running_metrics(model, metrics)

    model.train_function = _PassingOver(model, count, before, logs, finish)


def let_go(model: Any) -> None:
    """Put the train function back that an interrupted ``fit`` left covered."""
    covered = getattr(model, "train_function", None)
    while isinstance(covered, (_PassingOver, _Drawing)):
        covered = covered.inner
        model.train_function = covered


def running_metrics(model: Any) -> dict[str, np.ndarray]:
    """The variables of the model's metrics, by position."""
    return {
        str(n): np.array(keras.ops.convert_to_numpy(variable), copy=True)
        for n, variable in enumerate(model.metrics_variables)
    }


def set_running_metrics(model: Any, held: Any, *, quiet: bool = False) -> bool:
    """Set them; ``False`` where the model has others, which is told unless ``quiet``."""
    if not held:
        return True
    variables = list(model.metrics_variables)
    arrays = [held.get(str(n)) for n in range(len(held))]
    if len(variables) == len(arrays) and all(
        a is not None and tuple(v.shape) == np.shape(a) for v, a in zip(variables, arrays, strict=True)
    ):
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(np.asarray(array))
        return True
    if not quiet:
        LOG.warning("the model has other metrics than when it was saved: this epoch's averages begin anew")
    return False
