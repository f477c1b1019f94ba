"""The object graph of an object-based checkpoint: which Python object held which variable.

``TrackableObjectGraph`` (tensorflow/core/protobuf/trackable_object_graph.proto) is stored as the serialised
string ``_CHECKPOINTABLE_OBJECT_GRAPH``. Node 0 is the root; children are edges with attribute names; a node's
``attributes`` tell the checkpoint keys of its values and, where there is one, the variable's own full name;
``slot_variables`` tie an optimizer's slots to their variables.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from ..._core.errors import DamagedCheckpoint, LimitExceeded
from ..protobuf import fields, message, signed, text

__all__ = ["GRAPH_KEY", "Attribute", "Slot", "Node", "ObjectGraph", "parse_graph"]

_Item = TypeVar("_Item")
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Attribute(NamedTuple):
    """One stored value of an object: its name (``VARIABLE_VALUE``), the variable's full name, and the key."""

    name: str
    full_name: str
    key: str


class Slot(NamedTuple):
    """One slot variable of an optimizer node: of which variable, its name (``"m"``), and its own node."""

    original: int
    name: str
    node: int


@dataclass(slots=True)
class Node:
    """One object: children by attribute name, stored values, slots, and the saver it registered (if any)."""

    children: list[tuple[str, int]] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    saver: str = ""


class ObjectGraph(NamedTuple):
    """Nodes, and for each the shortest path from the root (``None``: not reachable by children)."""

    nodes: list[Node]
    paths: list[tuple[str, ...] | None]


def parse_graph(data: bytes | memoryview) -> ObjectGraph:
    """The graph of a serialised ``TrackableObjectGraph``. Raises :class:`DamagedCheckpoint`,
    :class:`LimitExceeded`.
    """
    nodes: list[Node] = []
    most = 20_000 + len(data) // 12  # an object costs its own head and a named reference from its parent
    for number, value in fields(data):
        if number == 1:
            nodes.append(_node(message(value)))
            if len(nodes) > most:
                raise LimitExceeded("more objects than bytes")
    count = len(nodes)
    if not nodes:
        raise DamagedCheckpoint("an object graph without a single object, not even its root")
    for node in nodes:
        if any(not 0 <= child < count for _, child in node.children) or any(
            not 0 <= end < count for slot in node.slots for end in (slot.original, slot.node)
        ):
            raise DamagedCheckpoint("the object graph refers to an object that it does not hold")
    return ObjectGraph(nodes, _paths(nodes))


_NONE: list[Any] = []  # what a parsed object has none of: one list for all of them, never written to


def _node(data: memoryview) -> Node:
    node = Node(_NONE, _NONE, _NONE)
    for number, value in fields(data):
        if number == 1:
            child, name = 0, ""
            for inner, what in fields(message(value)):
                if inner == 1:
                    child = signed(what)
                elif inner == 2:
                    name = text(what)
            node.children = _with(node.children, (name, child))
        elif number == 2:
            parts = ["", "", ""]
            for inner, what in fields(message(value)):
                if inner in (1, 2, 3):
                    parts[inner - 1] = text(what)
            node.attributes = _with(node.attributes, Attribute(*parts))
        elif number == 3:
            original, name, own = 0, "", 0
            for inner, what in fields(message(value)):
                if inner == 1:
                    original = signed(what)
                elif inner == 2:
                    name = text(what)
                elif inner == 3:
                    own = signed(what)
            node.slots = _with(node.slots, Slot(original, name, own))
        elif number == 4:
            for inner, what in fields(message(value)):
                if inner == 1:
                    node.saver = text(what)
    return node


def _with(items: list[_Item], item: _Item) -> list[_Item]:
    """``items`` with one more: the list itself, or a new one where it is the shared empty one."""
    if items is _NONE:
        return [item]
    items.append(item)
    return items


def _paths(nodes: list[Node]) -> list[tuple[str, ...] | None]:
    """Breadth first, children in stored order: the path under which TensorFlow makes the keys
    (graph_view.py).

    A chain of objects makes paths of quadratic size; one deeper than 200 edges is left without a path.
    """
    paths: list[tuple[str, ...] | None] = [None] * len(nodes)
    if nodes:
        paths[0] = ()
    queue = deque([0] if nodes else [])
    while queue:
        at = queue.popleft()
        here = paths[at]
        if here is None or len(here) >= 200:
            continue
        for name, child in nodes[at].children:
            if paths[child] is None:
                paths[child] = (*here, name)
                queue.append(child)
    return paths
