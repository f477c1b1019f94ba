"""What the numbers of a ``fit`` are: which are averages over moving weights, which were measured of the state that is saved,
and on what.

Facts of Keras (keras/src/trainers/trainer.py, keras/src/backend/*/trainer.py): ``logs`` are the results of the model's
metrics, running over the epoch, where a train step returns just these, and else those of its last batch
(``_get_metrics_result_or_logs``). ``val_*`` come from ``evaluate`` between the epoch's last batch and ``on_epoch_end``, over
``model._eval_epoch_iterator``. Callbacks may change weights around it: SwapEMAWeights evaluates the averaged ones
(keras/src/callbacks/swap_ema_weights.py). And they may add to ``logs`` what they like.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from .._core.errors import HoldfastError
from .._record.data.identity import data_identity
from .._record.metrics import Metric, from_keras_logs

__all__ = ["Measured"]

LOG = logging.getLogger("holdfast.vault")
_MOST_SAMPLES = 100_000
_MOST_BYTES = 1 << 28
"""A validation set up to this size gets an identity: some tenths of a second, once in a ``fit``."""
_VARIABLES, _VALUES = 64, 8
"""How many values of how many variables tell a state from another one, between validation and save."""
_NARROW = ("float16", "bfloat16")


class Measured:
    """Follows a ``fit`` and says what its numbers are."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._first = 0
        self._tested: list[np.ndarray] | None = None
        self._training: Any = None
        self._known: tuple[Any, dict[str, Any]] | None = None

    def begin(self, training: Any) -> None:
        """``fit`` begins; ``training``: its iterator over the training data, where it was found."""
        self._training, self._known, self._tested = training, None, None

    def epoch_begins(self, first_step: int) -> None:
        """Metrics are reset; the epoch's first batch was or will be trained at ``first_step``."""
        self._first, self._tested, self._names = first_step, None, frozenset()

    def batch_done(self, logs: Mapping[str, Any]) -> None:
        """These names come from the train step."""
        if not self._names:
            self._names = frozenset(logs)

    def test_begins(self, model: Any) -> None:
        """All callbacks have had their turn: what is evaluated are the weights as they are now."""
        self._tested = _marks(model)

    def metrics(
        self, model: Any, logs: Mapping[str, float], step: int, others: Iterable[Any], *, epoch_end: bool
    ) -> tuple[Metric, ...]:
        """``logs`` by what they are. ``others``: the other callbacks."""
        precision = _precision(model)
        own = frozenset(model.get_metrics_result())
        training: dict[str, Any] = {"precision": precision}
        if (
            self._names and self._names != own
        ):  # a train step of the user's own: its last batch, before its update
            training |= {"kind": "batch", "when": "before", "first_step": None}
        elif epoch_end:
            training |= _data_of(self._training)
        evaluation: dict[str, Any] = {"precision": precision}
        if epoch_end and any(name.startswith("val_") for name in logs):
            evaluation |= self._data(model)
            if self._tested is not None and not _same(self._tested, _marks(model)):
                swaps = any(isinstance(c, keras.callbacks.SwapEMAWeights) for c in others)
                evaluation["weights"] = "ema" if swaps else "others than were saved"
        elsewhere = [n for n in logs if not n.startswith("val_") and n not in (self._names or own)]
        return from_keras_logs(
            logs,
            step=step,
            first_step=self._first,
            epoch_end=epoch_end,
            training=training,
            evaluation=evaluation,
            elsewhere=elsewhere,
        )

    def _data(self, model: Any) -> dict[str, Any]:
        iterator = getattr(model, "_eval_epoch_iterator", None)
        adapter = getattr(iterator, "data_adapter", None)
        if adapter is None:
            return {}
        if self._known is None or self._known[0] is not adapter:
            self._known = (adapter, _data_of(iterator, identity=True))
        return self._known[1]


def _data_of(iterator: Any, *, identity: bool = False) -> dict[str, Any]:
    """``samples``, and the identity of the first input, where the data lies in arrays
    (keras/src/trainers/data_adapters/array_data_adapter.py) and every sample has its turn."""
    adapter = getattr(iterator, "data_adapter", None)
    count = getattr(adapter, "_num_samples", None)
    inputs = getattr(adapter, "_inputs", None)
    if not isinstance(count, int) or not isinstance(inputs, tuple) or not inputs:
        return {}
    steps = getattr(iterator, "steps_per_epoch", None)
    if steps is not None and steps != getattr(adapter, "num_batches", None):
        return {}
    known: dict[str, Any] = {"samples": count}
    leaves = [leaf for leaf in keras.tree.flatten(inputs[0]) if leaf is not None]
    if identity and leaves and count <= _MOST_SAMPLES:
        try:
            first = np.asarray(leaves[0])
            if first.nbytes <= _MOST_BYTES and len(first) == count and first.dtype.kind in "fiub":
                known["data"] = data_identity(first)
        except (TypeError, ValueError, RuntimeError, HoldfastError) as error:
            LOG.debug("the validation data has no identity: %s", error)
    return known


def _precision(model: Any) -> str | None:
    """The narrowest type that a layer computes in; ``None`` where all compute in float32 or wider."""
    kinds = {getattr(layer, "compute_dtype", None) for layer in model._flatten_layers()}
    return next((kind for kind in _NARROW if kind in kinds), None)


def _marks(model: Any) -> list[np.ndarray]:
    """A few values of some of the variables that make up the function."""
    variables = [v for v in model.variables if "float" in str(v.dtype)]
    some = variables[:: max(1, -(-len(variables) // _VARIABLES))]
    return [
        np.array(keras.ops.convert_to_numpy(keras.ops.reshape(v, (-1,))[:_VALUES]), np.float32) for v in some
    ]


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Equal but for the rounding of a swap that adds and subtracts."""
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        near = 1e-5 * float(np.nanmax(np.abs(x), initial=0.0)) + 1e-12
        if x.shape != y.shape or not np.allclose(x, y, rtol=1e-5, atol=near, equal_nan=True):
            return False
    return True
