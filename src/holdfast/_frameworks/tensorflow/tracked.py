"""What a ``tf.train.Checkpoint`` holds, by the words of :func:`holdfast.check`; and which of it a restore has bound.

Facts: tensorflow/python/checkpoint/checkpoint.py (``Checkpoint.__init__``: a root object and attributes of any name;
``CheckpointLoadStatus._checkpoint``, the coordinator of a restore, whose ``restore_uid`` every object gets as its
``_update_uid`` when it is bound), tensorflow/python/trackable/base.py.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["BY_PLACE", "alive", "bound_by", "crossing", "parts_of", "things_in", "unset"]


BY_PLACE = (
    "tf.train.Checkpoint knows an optimizer's state by its place in a list, and this optimizer was built over other weights "
    "than the one that was saved (a layer frozen or thawed since?), in another order, or with other slots"
)


def parts_of(tf: Any, checkpoint: Any) -> dict[str, Any]:
    """The objects in a checkpoint: Keras models as ``model``, its optimizers as ``optimizer`` (several by their attributes'
    names), where there are such; else the checkpoint itself as ``model``. What is neither (a step, a data iterator) stands
    beside them in no part. Nothing in a graph, whose variables have values in a session only."""
    if not tf.executing_eagerly():
        return {}
    held = _held(tf, checkpoint)
    keras = sys.modules.get("keras")
    layer = getattr(getattr(keras, "layers", None), "Layer", None)
    optimizer = getattr(getattr(keras, "optimizers", None), "Optimizer", None)
    if layer is None or optimizer is None:  # not there, or just being imported
        return {"model": checkpoint}
    models = {name: thing for name, thing in held.items() if isinstance(thing, layer)}
    optimizers = {name: thing for name, thing in held.items() if isinstance(thing, optimizer)}
    if not models:
        return {"model": checkpoint}
    found: dict[str, Any] = {"model": _one_or_all(models)}
    if optimizers:
        found["optimizer"] = _one_or_all(optimizers)
    return found


def _held(tf: Any, checkpoint: Any) -> dict[str, Any]:
    root = getattr(checkpoint, "root", None)
    root = root() if isinstance(root, weakref.ref) else root
    held = {} if root is None or root is checkpoint else {"model": root}
    try:
        children = tf.train.TrackableView.children(checkpoint)
    except (ValueError, NotImplementedError):
        children = {}
    return {
        **held,
        **{name: thing for name, thing in children.items() if name != "save_counter" and thing is not root},
    }


def things_in(parts: Mapping[str, Any], part: str) -> list[Any]:
    """The models, or the optimizers, among the parts of :func:`parts_of`."""
    thing = parts.get(part)
    return list(thing.values()) if type(thing) is dict else [] if thing is None else [thing]


def unset(
    tf: Any, checkpoint: Any, parts: Mapping[str, Any], bound: Callable[[Any], bool]
) -> tuple[str, ...]:
    """Names of variables that stand beside the parts in a checkpoint (a step, an epoch), and that a restore has not set."""
    if parts.get("model") is checkpoint or not parts:
        return ()
    beside = {n: thing for n, thing in _held(tf, checkpoint).items() if isinstance(thing, tf.Variable)}
    return tuple(name for name, variable in beside.items() if not bound(variable))


def crossing(tf: Any, checkpoint: Any, parts: Mapping[str, Any], status: Any) -> tuple[str, str]:
    """Why a restore did not put values where they belong, and what to do; ``status``: what it gave."""
    missed = _other_attributes(tf, checkpoint, parts, status)
    if missed is not None:
        return missed
    if any(getattr(one, "built", False) for one in things_in(parts, "optimizer")):
        return (
            "tf.train.Checkpoint knows the weights by their numbers in the optimizer, which was built over other weights than "
            "the one that was saved, or in another order",
            "Restore before the optimizer is built, or restore the model alone: tf.train.Checkpoint(model=model).restore(...).",
        )
    return (
        "tf.train.Checkpoint goes by attributes and places in lists, and not by the layers' names",
        "Build the model as it was when it was saved; holdfast.restore goes by name, or refuses.",
    )


def _other_attributes(
    tf: Any, checkpoint: Any, parts: Mapping[str, Any], status: Any
) -> tuple[str, str] | None:
    """Where no weight was set since the checkpoint has no attribute by the name that the model has here (``Trackable``
    children of the root, tensorflow/core/protobuf/trackable_object_graph.proto)."""
    nodes = getattr(getattr(getattr(status, "_checkpoint", None), "object_graph_proto", None), "nodes", ())
    stored = {child.local_name for child in nodes[0].children} if nodes else set()
    models = things_in(parts, "model")
    here = [name for name, thing in _held(tf, checkpoint).items() if any(thing is one for one in models)]
    bound = bound_by(status)
    weights = [weight for model in models for weight in getattr(model, "variables", ())]
    if not stored or not here or not stored.isdisjoint(here) or any(map(bound, weights)):
        return None
    names = ", ".join(f"`{name}`" for name in sorted(stored - {"save_counter"}))
    return (
        f"tf.train.Checkpoint goes by attributes, and set none of them: the checkpoint has {names} and no `{here[0]}`",
        f"Give the model the attribute that it had when it was saved, one of {names}: "
        "tf.train.Checkpoint(<attribute>=model). holdfast.restore goes by name.",
    )


def alive(tf: Any, checkpoint: Any, parts: Mapping[str, Any]) -> Callable[[], dict[str, Any] | None]:
    """A function that gives the parts again as long as the program holds what is in them, or ``None``; it keeps nothing alive.
    The checkpoint object itself is often let go of at once: another one is made of the same objects."""
    own = parts.get("model") is checkpoint
    things = _held(tf, checkpoint) if own else {f"{p}/{n}": t for p, n, t in _flat(parts)}
    known = {name: weakref.ref(thing) for name, thing in things.items()}

    def again() -> dict[str, Any] | None:
        now = {name: reference() for name, reference in known.items()}
        if not now or any(thing is None for thing in now.values()):
            return None
        if own:
            return {"model": tf.train.Checkpoint(**now)}
        found: dict[str, Any] = {}
        for name, thing in now.items():
            part, _, inner = name.partition("/")
            if inner:
                found.setdefault(part, {})[inner] = thing
            else:
                found[part] = thing
        return found

    return again


def _flat(parts: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for part, thing in parts.items():
        if type(thing) is dict:
            yield from ((part, name, item) for name, item in thing.items())
        else:
            yield part, "", thing


def _one_or_all(things: Mapping[str, Any]) -> Any:
    return next(iter(things.values())) if len(things) == 1 else dict(things)


def bound_by(status: Any) -> Callable[[Any], bool]:
    """A function that says whether a variable has been given a value by the restore that ``status`` came from, or by a later
    one; it keeps nothing alive."""
    uid = getattr(getattr(status, "_checkpoint", None), "restore_uid", None)

    def bound(variable: Any) -> bool:
        return uid is None or any(
            getattr(thing, "_update_uid", -1) >= uid
            for thing in (variable, getattr(variable, "_value", None))
        )

    return bound
