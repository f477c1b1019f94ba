"""TensorFlow loops of one's own under watch: a call of a ``tf.function``, or an eager ``apply``, after which an optimizer has
counted one more iteration, is a step.

Inside a ``tf.function`` Python runs while it is traced only; so the count is looked at when the outermost call returns.
"""

from __future__ import annotations

import weakref
from typing import Any

from .._frameworks.patches import Patches
from .digests import digest_of, random_digests
from .saving import Saves
from .trace import Trace

__all__ = ["watch_tensorflow"]


def watch_tensorflow(tf: Any, trace: Trace, saves: Saves, patches: Patches) -> None:
    """Put the watchers in place."""
    watch = _Watch(tf, trace)

    def keras_there(keras: Any) -> None:
        watch.keras = keras
        patches.wrap(keras.optimizers.Optimizer, "__init__", watch.optimizer_made)
        patches.wrap(keras.Model, "__init__", watch.model_made)
        patches.wrap(keras.optimizers.Optimizer, "apply", watch.applied)
        patches.wrap(keras.Model, "fit", watch.fitted)

    patches.when_imported("keras", keras_there)
    from tensorflow.python.data.ops import iterator_ops
    from tensorflow.python.eager.polymorphic_function import polymorphic_function

    patches.wrap(polymorphic_function.Function, "__call__", watch.called)
    patches.wrap(iterator_ops.OwnedIterator, "__next__", watch.drawn)
    patches.wrap(tf.random.Generator, "__init__", watch.generator_made)
    _watch_files(tf, saves, patches)
    trace.finals["tensorflow"] = watch.final


class _Watch:
    """Optimizers and models that were made, and what happened since the last step."""

    def __init__(self, tf: Any, trace: Trace) -> None:
        self.tf, self.trace = tf, trace
        self.keras: Any = None
        self.optimizers: list[Any] = []
        self.models: list[Any] = []
        self.generators: list[Any] = []
        self.counts: dict[int, int] = {}
        self.depth = self.fitting = 0
        self.fed: list[str] = []
        self.drawn_since = False
        self.stepped = False

    def optimizer_made(self, inner: Any, this: Any, *args: Any, **kwargs: Any) -> None:
        inner(this, *args, **kwargs)
        self.optimizers.append(weakref.ref(this))

    def model_made(self, inner: Any, this: Any, *args: Any, **kwargs: Any) -> None:
        inner(this, *args, **kwargs)
        self.models.append(weakref.ref(this))

    def generator_made(self, inner: Any, this: Any, *args: Any, **kwargs: Any) -> None:
        inner(this, *args, **kwargs)
        self.generators.append(weakref.ref(this))

    def fitted(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        self.fitting += 1
        try:
            return inner(*args, **kwargs)
        finally:
            self.fitting -= 1
            self.counts |= {id(o): self.count(o) for o in self.known(self.optimizers)}

    def drawn(self, inner: Any, this: Any) -> Any:
        batch = inner(this)
        if not self.fitting and self.tf.executing_eagerly():
            tensors = [v for v in self.tf.nest.flatten(batch) if hasattr(v, "numpy")]
            self.fed = [digest_of(tensors)]
        return batch

    def called(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        return self.around(inner, *args, **kwargs)

    def applied(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.tf.executing_eagerly():
            return inner(*args, **kwargs)
        return self.around(inner, *args, **kwargs)

    def around(self, inner: Any, *args: Any, **kwargs: Any) -> Any:
        """Carry out what may be a step; the state before it is what the record tells."""
        outermost = self.depth == 0 and not self.fitting and self.tf.executing_eagerly()
        before = self.entering() if outermost and self.known(self.optimizers) else None
        self.depth += 1
        try:
            result = inner(*args, **kwargs)
        finally:
            self.depth -= 1
        if outermost and any(self.moved(o) for o in self.known(self.optimizers)):
            record = before or self.entering()
            record |= {"fed": self.fed, "loss": [_loss(result)]}
            self.fed = []
            self.trace.step(record)
        return result

    def known(self, references: list[Any]) -> list[Any]:
        return [thing for thing in (reference() for reference in references) if thing is not None]

    def count(self, optimizer: Any) -> int:
        return int(optimizer.iterations.numpy()) if getattr(optimizer, "built", False) else 0

    def moved(self, optimizer: Any) -> bool:
        now = self.count(optimizer)
        return now != self.counts.get(id(optimizer), 0)

    def entering(self) -> dict[str, Any]:
        from .watch_keras import state_of

        found: dict[str, Any] = {"rng": random_digests()}
        for n, generator in enumerate(self.known(self.generators)):
            found["rng"][f"tf.random.Generator {n}"] = digest_of(generator.state)
        found["rng_in"] = found["rng"]
        optimizers = self.known(self.optimizers)
        inner = {id(getattr(o, "inner_optimizer", None)) for o in optimizers}
        models = self.known(self.models)
        parts = [state_of(self.keras, m, None) for m in models if m.built]
        parts += [state_of(self.keras, None, o) for o in optimizers if id(o) not in inner]
        for part in parts:
            for kind, value in part.items():
                found[kind] = found[kind] + value if kind == "lr" and kind in found else (
                    {**found.get(kind, {}), **value} if isinstance(value, dict) else value
                )  # fmt: skip
        self.counts = {id(o): self.count(o) for o in optimizers}
        return found

    def final(self) -> dict[str, Any]:
        if self.keras is None:
            return {}
        convert = self.keras.ops.convert_to_numpy
        variables = [v for m in self.known(self.models) if m.built for v in m.variables]
        variables += [v for o in self.known(self.optimizers) for v in o.variables]
        return {v.path: convert(v) for v in variables if str(v.dtype) != "string"}


def _loss(result: Any) -> float:
    try:
        return float(result)
    except (TypeError, ValueError):
        return float("nan")


def _watch_files(tf: Any, saves: Saves, patches: Patches) -> None:
    def save(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        path = args[0] if args else kwargs.get("file_prefix", kwargs.get("save_path", "checkpoint"))
        return saves.save(path, lambda: inner(self, *args, **kwargs))

    def load(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        path = args[0] if args else kwargs.get("save_path")
        if path is None:
            return inner(self, *args, **kwargs)
        return saves.load(path, lambda: inner(self, *args, **kwargs))

    for name in ("save", "write"):
        patches.wrap(tf.train.Checkpoint, name, save)
    for name in ("restore", "read"):
        patches.wrap(tf.train.Checkpoint, name, load)
