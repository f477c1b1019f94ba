"""The object graph of live TensorFlow objects: the paths under which ``tf.train.Checkpoint`` would store them.

The walk is breadth first over ``tf.train.TrackableView.children``, the order in which TensorFlow itself makes
the keys (tensorflow/python/checkpoint/trackable_view.py, graph_view.py; slot keys in checkpoint/util.py); names
are escaped as in tensorflow/python/trackable/trackable_utils.py. Nothing is created: no save counter, no slot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ..._formats.tensorflow.object_graph import Attribute, Node, ObjectGraph, Slot

__all__ = [
    "VALUE",
    "LiveGraph",
    "children",
    "escaped",
    "graph_of",
    "is_trackable",
    "is_variable",
    "object_paths",
]

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What TensorFlow puts after a variable's object path."""

_TRACKABLE = tf.__internal__.tracking.Trackable


def is_trackable(thing: Any) -> bool:
    """Whether ``tf.train.Checkpoint`` can hold it (models, modules, variables, its own lists and dicts)."""
    return isinstance(thing, _TRACKABLE)


def is_variable(thing: Any) -> bool:
    """A ``tf.Variable`` (a distributed one too), or a Keras variable that holds one."""
    return isinstance(thing, tf.Variable) or (
        getattr(thing, "_should_act_as_resource_variable", False) is True
        and isinstance(getattr(thing, "value", None), tf.Variable)
    )


def children(thing: Any) -> Mapping[str, Any]:
    """What a saved checkpoint would hold below an object, by name; empty where TensorFlow refuses to save it
    (a list that was changed other than by appending)."""
    try:
        found: Mapping[str, Any] = tf.train.TrackableView.children(thing)
    except (ValueError, NotImplementedError):
        return {}
    return found


def escaped(name: str) -> str:
    """One segment of an object path as keys have it: ``.`` is ``..`` and ``/`` is ``.S``."""
    return name.replace(".", "..").replace("/", ".S")


@dataclass(slots=True)
class LiveGraph:
    """Live objects as the graph that a checkpoint of them would hold.

    ``objects`` stand beside ``graph.nodes``; ``keys`` are the keys of those nodes that are variables.
    ``unsaved`` names the paths of objects that TensorFlow would refuse.
    """

    graph: ObjectGraph
    objects: list[Any]
    keys: dict[int, str]


def graph_of(root: Any) -> LiveGraph:
    """The graph below ``root``: a trackable object, or a mapping of names to such, which stands for the
    ``tf.train.Checkpoint(**root)`` that one would make of it."""
    nodes: list[Node] = []
    objects: list[Any] = []
    paths: list[tuple[str, ...] | None] = []
    place: dict[int, int] = {}

    def add(thing: Any, path: tuple[str, ...]) -> int:
        place[id(thing)] = len(nodes)
        nodes.append(Node())
        objects.append(thing)
        paths.append(path)
        return place[id(thing)]

    queue = deque([add(root, ())])
    while queue:
        at = queue.popleft()
        thing, path = objects[at], paths[at] or ()
        below = dict(root) if thing is root and not is_trackable(root) else children(thing)
        for name, child in below.items():
            known = place.get(id(child))
            if known is None:
                known = add(child, (*path, name))
                queue.append(known)
            nodes[at].children.append((name, known))
    keys: dict[int, str] = {}
    for at, thing in enumerate(objects):
        if is_variable(thing):
            path = paths[at] or ()
            keys[at] = "/".join(map(escaped, path)) + VALUE
            nodes[at].attributes.append(Attribute("VARIABLE_VALUE", _full_name(thing), keys[at]))
    _add_slots(nodes, objects, paths, keys)
    return LiveGraph(ObjectGraph(nodes, paths), objects, keys)


def _add_slots(
    nodes: list[Node], objects: list[Any], paths: list[tuple[str, ...] | None], keys: dict[int, str]
) -> None:
    """Slots of optimizers that keep them outside the graph (``tf.compat.v1.train``, optimizer_v2)."""
    plain = len(objects)
    for at in range(plain):
        if not hasattr(type(objects[at]), "get_slot_names"):
            continue
        for name in objects[at].get_slot_names():
            for original in [n for n in keys if n < plain]:
                try:
                    slot = objects[at].get_slot(objects[original], name)
                except (AttributeError, KeyError):
                    continue
                if slot is None:
                    continue
                own = len(objects)
                key = (
                    f"{'/'.join(map(escaped, paths[original] or ()))}/.OPTIMIZER_SLOT/"
                    f"{'/'.join(map(escaped, paths[at] or ()))}/{escaped(name)}{VALUE}"
                )
                nodes.append(Node(attributes=[Attribute("VARIABLE_VALUE", _full_name(slot), key)]))
                objects.append(slot)
                paths.append(None)
                keys[own] = key
                nodes[at].slots.append(Slot(original, name, own))


def _full_name(variable: Any) -> str:
    """The name that TensorFlow records beside the value (checkpoint/util.py, ``get_full_name``)."""
    return str(getattr(variable, "_shared_name", "") or "")


def object_paths(root: Mapping[str, Any]) -> dict[int, str]:
    """``id`` of each variable (a Keras variable's, and that of the ``tf.Variable`` within) -> its key."""
    live = graph_of(root)
    found: dict[int, str] = {}
    for at, key in live.keys.items():
        thing = live.objects[at]
        found.setdefault(id(thing), key)
        if not isinstance(thing, tf.Variable):
            found.setdefault(id(thing.value), key)
    return found
