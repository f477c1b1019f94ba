"""What a save walks through, as a tree of parts that can be left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Node", "all_but", "leaves_of"]


class Node:
    """One part of what is saved.

    Attributes
    ----------
    path: as its owner would write it: ``model.layers[2].hook``. Unique within a tree (the tree sees to it).
    thing: the object itself; ``None`` where it is no object of its own (an entry of a config).
    parent, children: in the tree. An object that is reached by several ways stands at the first; ``also`` has the others.
    removable: whether a save can be tried without it.
    data: what the saver knows of it.
    """

    __slots__ = ("also", "children", "data", "parent", "path", "removable", "thing")

    def __init__(
        self, path: str, thing: Any, parent: Node | None = None, *, removable: bool = True, data: Any = None
    ) -> None:
        self.path = path
        self.thing = thing
        self.parent = parent
        self.children: list[Node] = []
        self.also: list[str] = []
        self.removable = removable
        self.data = data
        if parent is not None:
            parent.children.append(self)

    def __repr__(self) -> str:
        return f"<{self.path}>"

    def walk(self) -> Iterator[Node]:
        """This node and all below it, without recursion."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def ancestors(self) -> Iterator[Node]:
        """From the parent up to the root."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


def all_but(root: Node, kept: Iterable[Node]) -> frozenset[Node]:
    """The topmost nodes to leave out so that of the tree only ``kept``, what is below them and the way to them stay."""
    wanted = set(kept)
    way = {above for node in wanted for above in node.ancestors()}
    if root in wanted:
        return frozenset()
    out: list[Node] = []
    waiting = [root]
    while waiting:
        for child in waiting.pop().children:
            if child in wanted:
                continue
            if child in way:
                waiting.append(child)
            else:
                out.append(child)
    return frozenset(out)


def leaves_of(node: Node) -> Iterator[Node]:
    """The nodes without children below (or the node itself)."""
    return (one for one in node.walk() if not one.children)
