"""Keras under watch: the batches of ``fit`` on any backend, and the saves and loads of models.

A callback is put before all others (keras/src/callbacks/callback_list.py), so that it sees a batch's end before any of them
saves. What ``fit`` was fed is noted where its iterator hands it out (keras/src/backend/*/trainer.py).
"""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Any

from .._frameworks.patches import Patches
from .digests import digest_of, random_digests
from .saving import Saves
from .trace import Trace

__all__ = ["state_of", "watch_keras"]


def watch_keras(keras: Any, trace: Trace, saves: Saves, patches: Patches) -> None:
    """Put the watchers in place."""
    watch = _Watch(keras, trace)

    def made(inner: Any, self: Any, callbacks: Any = None, *args: Any, **kwargs: Any) -> None:
        inner(self, callbacks, *args, **kwargs)
        mine = _callback(keras, watch, self)
        mine.set_model(kwargs.get("model"))
        self.callbacks.insert(0, mine)
        self._async_train = False

    patches.wrap(keras.callbacks.CallbackList, "__init__", made)
    _watch_batches(keras, watch, patches)
    _watch_files(keras, saves, patches)
    trace.finals["keras"] = watch.final


class _Watch:
    """What is known of the ``fit`` that runs."""

    def __init__(self, keras: Any, trace: Trace) -> None:
        self.keras, self.trace = keras, trace
        self.fed: deque[str] = deque()
        self.entering: dict[str, Any] | None = None
        self.before = -1
        self.last: Any = None
        self.callbacks: list[Any] = []

    def begin(self, model: Any) -> None:
        self.before = _iterations(model)
        self.fed.clear()
        self.entering = {
            **state_of(self.keras, model, model.optimizer),
            "rng": random_digests(),
            "callbacks": {
                f"{n}:{type(c).__name__}": found
                for n, c in enumerate(self.callbacks)
                if (found := {w: _counted(getattr(c, w)) for w in _COUNTED if hasattr(c, w)})
            },
        }
        self.entering["rng_in"] = self.entering["rng"]

    def end(self, model: Any, logs: Any) -> None:
        record, self.entering = self.entering, None
        if record is None or _iterations(model) == self.before:
            return  # passed over
        self.last = model
        record["fed"] = list(self.fed)[-(_iterations(model) - self.before) :]
        record["logs"] = {k: float(v) for k, v in (logs or {}).items() if _is_number(v)}
        self.trace.step(record)

    def final(self) -> dict[str, Any]:
        if self.last is None:
            return {}
        convert = self.keras.ops.convert_to_numpy
        variables = [*self.last.variables, *getattr(self.last.optimizer, "variables", ())]
        return {v.path: convert(v) for v in variables if str(v.dtype) != "string"}


_COUNTED = ("best", "wait", "stopped_epoch", "cooldown_counter", "best_epoch")
"""What Keras's own callbacks remember from epoch to epoch."""


def _counted(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    if value is None or isinstance(value, (str, bool)):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _iterations(model: Any) -> int:
    optimizer = getattr(model, "optimizer", None)
    count = getattr(optimizer, "iterations", None)
    if not getattr(optimizer, "built", False) or count is None:
        return 0
    return int(getattr(count, "numpy", lambda: count)())


def state_of(keras: Any, model: Any, optimizer: Any) -> dict[str, Any]:
    """Digests of a model's and an optimizer's variables, by what they are."""
    convert = keras.ops.convert_to_numpy
    trained = {id(v) for v in model.trainable_variables} if model is not None else set()
    found: dict[str, dict[str, Any]] = {"weights": {}, "buffers": {}, "seeds": {}, "slots": {}, "scaler": {}}
    for variable in model.variables if model is not None else ():
        kind = (
            "seeds"
            if "seed_generator" in variable.path
            else "weights"
            if id(variable) in trained
            else "buffers"
        )
        if str(variable.dtype) != "string":
            found[kind][variable.path] = digest_of(convert(variable))
    rates = []
    for variable in getattr(optimizer, "variables", ()):
        name = variable.path.rpartition("/")[2]
        if name in ("dynamic_scale", "step_counter"):
            found["scaler"][name] = float(convert(variable))
        elif name != "learning_rate":
            found["slots"][variable.path] = digest_of(convert(variable))
    if optimizer is not None and getattr(optimizer, "built", False):
        rates.append(float(convert(getattr(optimizer, "inner_optimizer", optimizer).learning_rate)))
    return {**found, "lr": rates}


def _callback(keras: Any, watch: _Watch, among: Any) -> Any:
    class Drill(keras.callbacks.Callback):  # type: ignore[misc]
        """First among the callbacks of a ``fit``."""

        def on_train_begin(self, logs: Any = None) -> None:
            watch.callbacks = [other for other in among.callbacks if other is not self]

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            watch.begin(self.model)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            watch.end(self.model, logs)

    return Drill()


def _watch_batches(keras: Any, watch: _Watch, patches: Patches) -> None:
    backend = keras.config.backend()
    trainer = sys.modules.get(f"keras.src.backend.{backend}.trainer")
    name = {"tensorflow": "TFEpochIterator", "jax": "JAXEpochIterator", "torch": "TorchEpochIterator"}.get(
        backend
    )
    kind = getattr(trainer, name or "", None)
    if kind is None:
        return

    def noted(inner: Any, self: Any) -> Any:
        given = inner(self)
        if backend == "tensorflow":
            return _mapped(given, watch)
        return _passed(given, watch)

    patches.wrap(kind, "_get_iterator", noted)


def _passed(batches: Any, watch: _Watch) -> Any:
    for batch in batches:
        watch.fed.append(digest_of(_flat(batch)))
        yield batch


def _mapped(dataset: Any, watch: _Watch) -> Any:
    """The same data set, whose elements are noted as they are handed out."""
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        return dataset

    def note(*values: Any) -> Any:
        watch.fed.append(digest_of(list(values)))
        return _nothing()

    def passed(*batch: Any) -> Any:
        flat = [v for v in tf.nest.flatten(batch) if isinstance(v, tf.Tensor)]
        done = tf.numpy_function(note, flat, tf.bool)
        with tf.control_dependencies([done]):
            kept = tf.nest.map_structure(lambda v: tf.identity(v) if isinstance(v, tf.Tensor) else v, batch)
        return kept if len(kept) > 1 else kept[0]

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # or batches are handed out ahead of their step
    return dataset.map(passed).with_options(options)


def _nothing() -> Any:
    import numpy as np

    return np.True_


def _flat(batch: Any) -> list[Any]:
    import keras

    return [v for v in keras.tree.flatten(batch) if v is not None]


def _watch_files(keras: Any, saves: Saves, patches: Patches) -> None:
    def save(inner: Any, self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        def half(path: Path) -> None:
            inner(self, path, *args, **kwargs)

        return saves.save(filepath, lambda: inner(self, filepath, *args, **kwargs), half)

    def load(inner: Any, self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        return saves.load(filepath, lambda: inner(self, filepath, *args, **kwargs))

    def load_model(inner: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        return saves.load(filepath, lambda: inner(filepath, *args, **kwargs))

    patches.wrap(keras.Model, "save", save)
    patches.wrap(keras.Model, "save_weights", save)
    patches.wrap(keras.Model, "load_weights", load)
    patches.wrap(keras.models, "load_model", load_model)
    patches.wrap(keras.saving, "load_model", load_model)
