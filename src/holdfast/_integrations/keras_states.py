"""The state of Keras's callbacks: what they count from epoch to epoch, taken and given back.

Which attributes are state and which are configuration is knowledge of each class (keras/src/callbacks/early_stopping.py,
reduce_lr_on_plateau.py, model_checkpoint.py, swap_ema_weights.py). Callbacks of others say it themselves by
``state_dict`` and ``load_state_dict``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["put_states", "states_of"]

LOG = logging.getLogger("holdfast.vault")

_STATE: dict[str, tuple[str, ...]] = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
    "TensorBoard": ("_global_train_batch", "_global_test_batch"),
}
_ARRAYS = "arrays"


def states_of(callbacks: Iterable[Any]) -> dict[str, Any]:
    """The state of each callback that has one, by its class and which of that class it is (``EarlyStopping.2``)."""
    found: dict[str, Any] = {}
    for name, callback in _named(callbacks):
        if _has_own(callback):
            found[name] = {"own": callback.state_dict()}
        elif (attributes := _attributes(callback)) is not None:
            state = {a: _plain(getattr(callback, a)) for a in attributes if hasattr(callback, a)}
            if state:
                found[name] = state
        else:
            LOG.debug("the state of %s is not saved: it has no state_dict", name)
    return found


def put_states(callbacks: Iterable[Any], states: Mapping[str, Any]) -> None:
    """Give states back to callbacks; one that is no longer there is told in the log."""
    left = dict(states)
    for name, callback in _named(callbacks):
        state = left.pop(name, None)
        if not isinstance(state, Mapping):
            continue
        if _has_own(callback):
            callback.load_state_dict(state.get("own"))
            continue
        for attribute in _attributes(callback) or ():
            if attribute in state:
                setattr(callback, attribute, _live(state[attribute]))
    if left:
        LOG.warning("saved states of callbacks that are not here: %s", ", ".join(left))


def _named(callbacks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    used: dict[str, int] = {}
    for callback in callbacks:
        name = type(callback).__name__
        used[name] = used.get(name, 0) + 1
        yield (name if used[name] == 1 else f"{name}.{used[name]}"), callback


def _has_own(callback: Any) -> bool:
    return callable(getattr(callback, "state_dict", None)) and callable(
        getattr(callback, "load_state_dict", None)
    )


def _attributes(callback: Any) -> tuple[str, ...] | None:
    """The attributes that are state; ``None`` for a class that nobody knows of."""
    for cls in type(callback).__mro__:
        if cls.__module__.partition(".")[0] == "keras":
            known = _STATE.get(cls.__name__)
            if known is not None:
                return known
            return () if type(callback).__module__.partition(".")[0] == "keras" else None
    return None


def _plain(value: Any) -> Any:
    """As ``extra`` holds it: lists of arrays as mappings, numbers as Python's."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return {_ARRAYS: {str(n): np.array(item) for n, item in enumerate(value)}}
    array = np.asarray(value)
    return array.item() if array.size == 1 else array


def _live(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == {_ARRAYS}:
        arrays = value[_ARRAYS]
        return [np.asarray(arrays[str(n)]) for n in range(len(arrays))]
    return value
