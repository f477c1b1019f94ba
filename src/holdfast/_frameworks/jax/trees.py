"""Walking pytrees and nnx objects: every leaf with its path, how to get it and how to set it.

Paths are those of ``jax.tree_util.tree_flatten_with_path``, and of ``flax.nnx.iter_graph`` inside nnx objects.
``optax.MaskedNode`` counts as a leaf: it says that a weight was left out on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jax import Array, ShapeDtypeStruct, tree_util

from . import nnx

__all__ = ["Cell", "Key", "Tree", "flatten", "is_array", "is_masked", "is_scalar", "walk"]

_SCALARS = (bool, int, float, complex, str, bytes, np.generic)


class Key(NamedTuple):
    """One step of a path: its text, and the class of the node it leads out of (``ScaleByAdamState``)."""

    text: str
    node: type


@dataclass(slots=True)
class Cell:
    """One leaf: where it is, and how to get and set its value. ``variable`` is the nnx Variable that holds it."""

    path: tuple[Key, ...]
    get: Callable[[], Any]
    set: Callable[[Any], None]
    variable: Any = None
    other_paths: tuple[tuple[str, ...], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(key.text for key in self.path)


def is_masked(value: Any) -> bool:
    """Whether it is optax's mark of a weight that a transformation leaves alone."""
    return type(value).__name__ == "MaskedNode" and type(value).__module__.startswith("optax")


def is_array(value: Any) -> bool:
    """Whether it is a tensor: a jax array (deleted ones too), an abstract one, or a numpy array of numbers."""
    return isinstance(value, (Array, ShapeDtypeStruct)) or (
        isinstance(value, np.ndarray) and value.dtype.kind not in "OSUT"
    )


def is_scalar(value: Any) -> bool:
    """Whether it is a plain value that a checkpoint can hold beside its tensors."""
    return isinstance(value, _SCALARS)


def _is_leaf(value: Any) -> bool:
    if isinstance(value, (Array, dict)):  # nearly all of a tree
        return False
    return is_masked(value) or nnx.is_variable(value) or nnx.is_object(value)


def flatten(tree: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """``tree_flatten_with_path`` that stops at nnx objects, Variables and masks; ([(key path, leaf)], treedef)."""
    leaves, treedef = tree_util.tree_flatten_with_path(tree, is_leaf=_is_leaf)
    return leaves, treedef


class Tree:
    """A pytree being restored: the leaves as they are to be, in the structure of the original.

    ``in_place``: every leaf stands directly in a dict or list, so that setting it changes the caller's tree, and no leaf
    stands where another one does (an average that begins as the very dict of the parameters).
    """

    def __init__(
        self, tree: Any, on_change: Callable[[Any], None] | None = None, taken: set[Any] | None = None
    ) -> None:
        """``taken``: places (a container and the key in it) that are other trees'; this one's are added."""
        self._tree, self._on_change = tree, on_change
        flat, self._treedef = flatten(tree)
        self.paths: list[tuple[Key, ...]] = []
        self.values = [leaf for _, leaf in flat]
        self._parents: list[tuple[Any, Any]] = []
        nodes: dict[tuple[Any, ...], Any] = {(): tree}
        for path, _ in flat:
            keys: list[Key] = []
            node, parent, raw = tree, None, None
            for depth, step in enumerate(path, 1):
                parent, raw = node, _raw(step)
                keys.append(Key(str(raw), type(parent)))
                if path[:depth] not in nodes:
                    nodes[path[:depth]] = _child(parent, step)
                node = nodes[path[:depth]]
            self.paths.append(tuple(keys))
            self._parents.append((parent, raw))
        mine = [
            isinstance(parent, (dict, MutableMapping, list)) or nnx.is_variable(leaf) or nnx.is_object(leaf)
            for (parent, _), leaf in zip(self._parents, self.values, strict=True)
            if not is_masked(leaf)
        ]
        places = [(id(parent), raw) for parent, raw in self._parents]
        taken = set() if taken is None else taken
        alone = len(set(places)) == len(places) and taken.isdisjoint(places)
        taken.update(places)
        self.in_place = bool(mine) and all(mine) and alone
        self.changed = False

    def get(self, index: int) -> Any:
        return self.values[index]

    def set(self, index: int, value: Any) -> None:
        self.values[index] = value
        self.changed = True
        if self.in_place:
            parent, key = self._parents[index]
            parent[key] = value
        if self._on_change is not None:
            self._on_change(self.result())

    def result(self) -> Any:
        """The tree with what was set; the very object that was given where it was changed in place."""
        if self.in_place or not self.changed:
            return self._tree
        return tree_util.tree_unflatten(self._treedef, self.values)


def _raw(step: Any) -> Any:
    """The plain key of a key-path entry (``DictKey``, ``SequenceKey``, ``GetAttrKey``, ``FlattenedIndexKey``)."""
    for word in ("key", "idx", "name"):
        if hasattr(step, word):
            return getattr(step, word)
    return str(step)


def _child(node: Any, step: Any) -> Any:
    """The node that a key-path entry leads to; ``None`` where the entry is only a number in a flattening."""
    if isinstance(step, tree_util.GetAttrKey):
        return getattr(node, step.name, None)
    if isinstance(step, tree_util.DictKey):
        return node[step.key] if isinstance(node, Mapping) else getattr(node, str(step.key), None)
    if isinstance(step, tree_util.SequenceKey):
        return node[step.idx]
    return None


def walk(
    tree: Any, prefix: tuple[Key, ...] = (), taken: set[Any] | None = None
) -> tuple[list[Cell], list[tuple[Key, ...]], Tree]:
    """Cells of all leaves, paths of masked weights, and the tree that collects what is set. ``taken``: see :class:`Tree`.

    Leaves that are neither arrays nor plain values (functions of an equinox module) are passed by.
    """
    held = Tree(tree, taken=taken)
    cells: list[Cell] = []
    masked: list[tuple[Key, ...]] = []
    for index, (path, value) in enumerate(zip(held.paths, held.values, strict=True)):
        here = (*prefix, *path)
        if is_masked(value):
            masked.append(here)
        elif nnx.is_variable(value):
            cells += _of_variable(value, here)
        elif nnx.is_object(value):
            cells += _of_object(value, here)
        elif is_array(value) or is_scalar(value):
            cells.append(_tree_cell(held, index, here))
    return cells, masked, held


def _tree_cell(held: Tree, index: int, path: tuple[Key, ...], variable: Any = None) -> Cell:
    return Cell(path, lambda: held.get(index), lambda value: held.set(index, value), variable)


def _of_variable(variable: Any, path: tuple[Key, ...]) -> Iterator[Cell]:
    """The tensor of a Variable; where it holds a tree of tensors, each of them."""
    value = nnx.value_of(variable)
    if is_array(value) or is_scalar(value):
        yield Cell(path, lambda: nnx.value_of(variable), lambda new: nnx.set_value(variable, new), variable)
        return
    held = Tree(value, lambda new: nnx.set_value(variable, new))
    for index, inner in enumerate(held.paths):
        if is_array(held.values[index]) or is_scalar(held.values[index]):
            yield _tree_cell(held, index, (*path, *inner), variable)


def _of_object(thing: Any, path: tuple[Key, ...]) -> Iterator[Cell]:
    others = nnx.other_paths(thing)
    for steps, found, owner in nnx.leaves(thing):
        here = (*path, *(Key(str(step), object) for step in steps))
        if nnx.is_variable(found):
            spellings = tuple(
                (*(key.text for key in path), *map(str, other))
                for other in others.get(id(found), ())
                if other != steps
            )
            for cell in _of_variable(found, here):
                cell.other_paths = spellings
                yield cell
        elif is_array(found):
            yield _attribute_cell(owner, steps[-1], here)


def _attribute_cell(owner: Any, word: Any, path: tuple[Key, ...]) -> Cell:
    """An array that is an nnx object's plain attribute."""

    def get() -> Any:
        return owner[word] if isinstance(owner, (dict, list)) else getattr(owner, str(word))

    def put(value: Any) -> None:
        if isinstance(owner, (dict, list)):
            owner[word] = value
        else:
            setattr(owner, str(word), value)

    return Cell(path, get, put)
