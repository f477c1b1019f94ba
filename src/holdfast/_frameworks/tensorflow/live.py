"""Live TensorFlow objects as a catalog: names, roles and owners as a checkpoint of them would have them.

The live object graph is described by the very code that describes a stored one
(:func:`holdfast._formats.tensorflow.object_names.describe_objects`), so that both agree.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from ..._core.errors import HoldfastError, UsageError
from ..._core.fault import Fault
from ..._core.spec import OptimizerSpec, TensorSpec
from ..._formats.tensorflow.describe import Description, OptimizerDraft, spec_of
from ..._formats.tensorflow.entries import BundleEntry
from ..._formats.tensorflow.object_names import describe_objects
from ..live import Held, LiveCatalog, Setting, Variable
from . import values
from .fresh import fresh
from .graph import LiveGraph, graph_of, is_trackable, is_variable

__all__ = ["describe", "recognises"]


def recognises(thing: Any) -> bool:
    """Whether it is trackable by ``tf.train.Checkpoint`` (a Checkpoint, a ``tf.Module``, a variable ...), or a
    list or mapping of such."""
    if is_trackable(thing):
        return True
    if isinstance(thing, Mapping):
        return bool(thing) and all(isinstance(key, str) and recognises(item) for key, item in thing.items())
    return isinstance(thing, (list, tuple)) and bool(thing) and all(recognises(item) for item in thing)


def describe(parts: Mapping[str, Any]) -> LiveCatalog:
    """The catalog of what was passed: named as ``tf.train.Checkpoint(**parts)`` would store it, or, where
    ``model=`` is itself a ``tf.train.Checkpoint`` and alone, as that one would.

    Raises :class:`UsageError` for a part that TensorFlow cannot track.
    """
    for name, thing in parts.items():
        if not recognises(thing):
            raise UsageError(
                f"{name}= is not an object that TensorFlow tracks",
                found=f"{type(thing).__module__}.{type(thing).__qualname__}",
                expected="a tf.train.Checkpoint, tf.Module, tf.Variable, Keras model or optimizer",
            )
    roots = {name: _tracked(thing) for name, thing in parts.items()}
    alone = next(iter(roots.values())) if len(roots) == 1 else None
    own = isinstance(alone, (tf.train.Checkpoint, tf.compat.v1.train.Checkpoint))
    live = graph_of(alone if own else roots)
    entries = {key: _entry(live.objects[at]) for at, key in live.keys.items()}
    trainable = {at: ("", bool(values.plain(live.objects[at]).trainable)) for at in live.keys}
    found, drafts = describe_objects(entries, live.graph, {})
    by_key = {key: at for at, key in live.keys.items()}
    variables = [
        _variable(key, what, entries[key], live.objects[by_key[key]], trainable[by_key[key]][1])
        for key, what in found.items()
    ]
    optimizers = tuple(_optimizer(draft, live, by_key) for draft in drafts)
    keras = _KerasParts(live)
    faults, unbuilt = keras.unbuilt()
    names = {id(live.objects[by_key[v.spec.key]]): v.spec.name for v in variables}
    return LiveCatalog(
        variables,
        framework="tensorflow",
        # a Checkpoint object that holds an optimizer is both
        parts=tuple(parts),
        settings=keras.settings(),
        optimizers=optimizers,
        unbuilt=unbuilt,
        attributes={"object_based": True, "writer": f"TensorFlow {tf.__version__}"},
        faults=faults,
        readiness=lambda gradients: keras.readiness(names, gradients, faults),
    )


def _tracked(thing: Any) -> Any:
    """Plain lists and mappings as TensorFlow would wrap them on being assigned to an attribute."""
    if is_trackable(thing):
        return thing
    holder = tf.Module()
    holder.held = thing
    return holder.held


def _entry(variable: Any) -> BundleEntry:
    shape, dtype = values.shape_of(variable), values.dtype_name(variable)
    return BundleEntry(dtype=dtype, shape=shape, shard=0, offset=0, size=0, crc=0, slices=())


def _variable(key: str, what: Description, entry: BundleEntry, variable: Any, trainable: bool) -> Variable:
    kept = what.role in ("weight", "buffer")
    role = "buffer" if what.role == "weight" and not trainable and entry.dtype != "string" else what.role
    attributes = dict(what.attributes)
    if variable is not values.plain(variable) or _distributed(variable):
        devices = sorted({str(v.device) for v in getattr(values.plain(variable), "values", ())})
        if len(devices) > 1:
            attributes["replicas"] = devices
    spec = TensorSpec(
        what.name,
        entry.shape or (),
        entry.dtype,
        key=key,
        role=role,
        owner=what.owner,
        slot=what.slot,
        optimizer=what.optimizer,
        aliases=what.aliases,
        dialect="tensorflow",
        layout=what.layout,
        trainable=trainable if kept else what.trainable,
        order=what.order,
        attributes=attributes,
    )

    def read() -> np.ndarray:
        return values.read(variable)

    def write(array: np.ndarray) -> None:
        values.write(variable, array)

    return Held(spec, read, write, fresh=lambda: fresh(variable), held=variable)


def _distributed(variable: Any) -> bool:
    return hasattr(values.plain(variable), "distribute_strategy") and hasattr(
        values.plain(variable), "values"
    )


def _optimizer(draft: OptimizerDraft, live: LiveGraph, by_key: Mapping[str, int]) -> OptimizerSpec:
    def scalar(key: str) -> int | float | None:
        at = by_key.get(key)
        if at is None:
            return None
        try:
            value = values.read(live.objects[at]).reshape(()).item()
        except (HoldfastError, ValueError):
            return None
        return value if isinstance(value, (int, float)) else None

    thing = _at(draft.name, live)
    if thing is not None:
        draft.class_name = type(thing).__name__
        inner = getattr(thing, "inner_optimizer", None)
        if draft.class_name == "LossScaleOptimizer" and inner is not None:
            draft.class_name, thing = type(inner).__name__, inner
        draft.configured = _configured(thing)
    return spec_of(draft, scalar)


def _configured(optimizer: Any) -> dict[str, Any]:
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(optimizer, keras.optimizers.Optimizer):
        from ..keras.optimizers import configured

        return configured(optimizer)
    return {}


def _at(name: str, live: LiveGraph) -> Any:
    for at, path in enumerate(live.graph.paths):
        if path is not None and "/".join(path) == name:
            return live.objects[at]
    return None


class _KerasParts:
    """The Keras models and optimizers that a graph holds, for what only Keras can tell of them."""

    def __init__(self, live: LiveGraph) -> None:
        self.live = live
        keras = sys.modules.get("keras")
        self.layers: list[tuple[str, Any]] = []
        self.optimizers: list[tuple[str, Any]] = []
        if keras is None:
            return
        under: list[tuple[str, ...]] = []
        for at, thing in enumerate(live.objects):
            path = live.graph.paths[at]
            if path is None:
                continue
            if isinstance(thing, keras.optimizers.Optimizer):
                if "inner_optimizer" not in path[-1:]:
                    self.optimizers.append(("/".join(path), thing))
            elif isinstance(thing, keras.layers.Layer) and not any(path[: len(u)] == u for u in under):
                under.append(path)
                self.layers.append(("/".join(path), thing))

    def unbuilt(self) -> tuple[list[Fault], tuple[str, ...]]:
        if not self.layers:
            return [], ()
        from ..keras.objects import not_built

        faults: list[Fault] = []
        paths: list[str] = []
        for path, layer in self.layers:
            fault, found = not_built(layer, path)
            paths += found
            if fault is not None:
                faults.append(fault)
        return faults, tuple(paths)

    def settings(self) -> list[Setting]:
        """The hyperparameters of Keras optimizers that are no variables."""
        found: list[Setting] = []
        if self.optimizers:
            from ..keras.optimizers import settings

            for name, optimizer in self.optimizers:
                found += settings(optimizer, name, name)
        return found

    def readiness(self, names: Mapping[int, str], gradients: Any, noticed: list[Fault]) -> list[Fault]:
        if not self.optimizers:
            return list(noticed)
        from ..keras.readiness import readiness

        variables = self._model_variables()
        # whole numbers (a step count) get no gradient, though tf.Variable calls them trainable
        trainable = [
            v
            for v in variables
            if values.plain(v).trainable
            and not self._frozen(v)
            and values.dtype_name(v).startswith(("float", "bfloat", "complex"))
        ]
        single = len(self.optimizers) == 1
        found: list[Fault] = list(noticed)
        for _, optimizer in self.optimizers:
            found += readiness(
                optimizer,
                trainable,
                variables,
                lambda v: names.get(id(v), str(getattr(v, "path", None) or values.plain(v).name)),
                gradients if single else None,
                whole=single,
                ordered=len(self.layers) == 1 and all(self._in_layer(v) for v in trainable),
            )
        return found

    def _model_variables(self) -> list[Any]:
        """The variables that are reached otherwise than through an optimizer, in the order of the Keras models
        where there are such."""
        found: dict[int, Any] = {}
        for _, layer in self.layers:
            for variable in layer.variables:
                found.setdefault(id(values.plain(variable)), variable)
        barred = {id(optimizer) for _, optimizer in self.optimizers}
        seen, queue = {0}, [0]
        for at in queue:
            thing = self.live.objects[at]
            if is_variable(thing):
                found.setdefault(id(values.plain(thing)), thing)
            for _, child in self.live.graph.nodes[at].children:
                if child not in seen and id(self.live.objects[child]) not in barred:
                    seen.add(child)
                    queue.append(child)
        return list(found.values())

    def _in_layer(self, variable: Any) -> bool:
        mark = id(values.plain(variable))
        return any(id(values.plain(v)) == mark for _, layer in self.layers for v in layer.variables)

    def _frozen(self, variable: Any) -> bool:
        """Whether a layer around it was frozen as a whole."""
        mark = id(values.plain(variable))
        for _, layer in self.layers:
            if any(id(values.plain(v)) == mark for v in layer.variables):
                return not any(id(values.plain(v)) == mark for v in layer.trainable_variables)
        return False
