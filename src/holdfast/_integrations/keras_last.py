"""The last place among the callbacks of a ``fit``, and how it is found."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras

__all__ = ["Last", "list_of", "training_data_of"]


class Last(keras.callbacks.Callback):  # type: ignore[misc]
    """The last among the callbacks: what it sees, the others have dealt with."""

    def __init__(self, owner: Any, within: Any) -> None:
        super().__init__()
        self._owner, self._within = owner, within

    def others(self) -> list[Any]:
        """The callbacks of the same ``fit``."""
        known = self._within.callbacks if self._within is not None else ()
        return [c for c in known if c is not self and c is not self._owner]

    def history(self) -> dict[str, Any]:
        """What the history holds: epochs, and values by metric."""
        for callback in self.others():
            if isinstance(callback, keras.callbacks.History):
                return {
                    "epoch": list(callback.epoch),
                    "values": {k: list(v) for k, v in callback.history.items()},
                }
        return {}

    def put_history(self, held: Any) -> None:
        """Give the history back."""
        for callback in self.others():
            if isinstance(callback, keras.callbacks.History) and isinstance(held, Mapping):
                callback.epoch = list(held.get("epoch", ()))
                callback.history = {k: list(v) for k, v in held.get("values", {}).items()}

    def on_train_begin(self, logs: Any = None) -> None:
        self._owner._others_begun()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._owner.measured.batch_done(logs or {})
        if self._owner.every != "epoch":
            self._owner._batch_done(batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._owner._epoch_done(epoch, logs or {})

    def on_test_begin(self, logs: Any = None) -> None:
        self._owner.measured.test_begins(self.model)

    def on_train_end(self, logs: Any = None) -> None:
        if self._within is not None and self in self._within.callbacks:
            self._within.callbacks.remove(self)
        self._owner._train_done()


def list_of(callback: Any) -> Any:
    """The list that is calling ``callback``: Keras hands a callback no reference to it, and its place in it and its
    neighbours are only known there."""
    for known in _callers():
        found = known.get("self")
        if isinstance(found, keras.callbacks.CallbackList) and callback in found.callbacks:
            return found
    return None


def training_data_of(model: Any) -> Any:
    """The iterator over the training data of the ``fit`` of ``model`` that is calling us, or ``None``: it is a variable of
    that function alone (``epoch_iterator`` in keras/src/backend/*/trainer.py)."""
    for known in _callers():
        if known.get("self") is model and "epoch_iterator" in known:
            return known["epoch_iterator"]
    return None


def _callers() -> Iterator[Mapping[str, Any]]:
    """The variables of the functions that are calling, from the inside out."""
    frame = sys._getframe(2)
    for _ in range(16):
        yield frame.f_locals
        if frame.f_back is None:
            return
        frame = frame.f_back
