"""What an Orbax folder holds, as Orbax itself tells it after the program's call.

Holdfast has no reader for Orbax. Names, shapes and dtypes of what is stored come from Orbax's own metadata. A value is the one
that the call gave where it has the stored shape and dtype, else it is read once more, as stored.

Facts: orbax-checkpoint 0.12.8, ``_src/handlers/pytree_checkpoint_handler.py`` (``metadata(folder).tree``: the tree with shape and
dtype in place of each array), ``_src/path/format_utils.py`` (marks of a folder that holds a tree), ``type_handlers.PLACEHOLDER``
(in a target: not to be read).
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.dtypes import DTYPES, dtype_of
from ..._frameworks.events import Call
from . import State
from .trees import SCALARS, Leaves, TreeCatalog, Words, apart, described, kind_of, leaves_of, read

if TYPE_CHECKING:
    from ..loaded import Loaded

__all__ = ["afterwards"]

_MARKS = ("_METADATA", "manifest.ocdbt", "_sharding")
_AT_ONCE = 1 << 28


def afterwards(call: Call) -> State | None:
    """What the folder of a restore holds, and what the call was asked to restore it into. ``None`` where the folder holds no
    tree that Orbax tells of."""
    assert call.path is not None
    items = list(_items(call))
    if not items:
        return None
    leaves: Leaves = {}
    values: dict[Words, Any] = {}
    target: dict[str, Any] = {}
    asked_for: dict[Words, Any] = {}
    came: dict[Words, Any] = {}
    for name, folder, asked, given in items:
        front = (name,) if len(items) > 1 else ()
        here = dict(leaves_of(given))
        asked = _told_as_arrays(asked)
        wanted = {words: leaf for words, leaf in leaves_of(asked) if hasattr(leaf, "shape")}
        _stored(folder, here, wanted, front, leaves, values)
        came.update({front + words: leaf for words, leaf in here.items() if hasattr(leaf, "shape")})
        wanted = {front + words: leaf for words, leaf in wanted.items()}
        if wanted:
            target[name] = asked
            asked_for |= wanted
    now: Leaves = {words: (*kind_of(leaf), partial(read, leaf, words)) for words, leaf in came.items()}
    made = {name: given for name, _, _, given in items if name in target and given is not None}
    version = getattr(sys.modules.get("orbax.checkpoint"), "__version__", "")
    parts, came_as = _model(target, len(items) > 1), _model(made, len(items) > 1)
    return State(
        partial(_opened, leaves, values, call.path, f"Orbax {version}".strip(), parts),
        parts,
        path=call.path,
        now=partial(_opened, now, {}, call.path, "", came_as),
        made=came_as,
        given=[given for *_, given in items],
        described=described,
        after=partial(_asked, asked_for, came),
    )


def _opened(
    leaves: Leaves, values: Mapping[Words, Any], path: str, writer: str, parts: Mapping[str, Any]
) -> TreeCatalog:
    return TreeCatalog(leaves, values, path, writer, described(**parts) if parts else None)


def _model(trees: Mapping[str, Any], several: bool) -> dict[str, Any]:
    """The trees of all items as one part; none where there are none."""
    if not trees:
        return {}
    return {"model": dict(trees) if several else next(iter(trees.values()))}


def _items(call: Call) -> Iterator[tuple[str, Path, Any, Any]]:
    """(name, folder, target, result) of each tree in the checkpoint."""
    root = Path(str(call.path))
    if _is_tree(root):
        yield "", root, call.state, call.result
        return
    if not root.is_dir():
        return
    within = {one.name: one for one in sorted(root.iterdir()) if one.is_dir() and _is_tree(one)}
    if not call.load.items:
        name = next((n for n in ("state", "pytree", "default") if n in within), next(iter(within), None))
        if name is not None:
            yield name, within[name], call.state, call.result
        return
    asked = call.state if isinstance(call.state, Mapping) else {}
    given = dict(call.result.items()) if hasattr(call.result, "items") else {}
    for name, folder in within.items():
        if name in given or call.error is not None:
            yield name, folder, asked.get(name), given.get(name)


def _is_tree(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _stored(
    folder: Path,
    now: Mapping[Words, Any],
    wanted: Mapping[Words, Any],
    front: Words,
    leaves: Leaves,
    values: dict[Words, Any],
) -> None:
    """What lies in one folder: into ``leaves`` and ``values``. ``now``: what the call gave, ``wanted``: the target's arrays."""
    told = _metadata(folder)
    again = _Again(folder, told)
    if told is None:  # Orbax has read it all the same: what it gave is what there is
        for words, leaf in now.items():
            if hasattr(leaf, "shape"):
                leaves[front + words] = (*kind_of(leaf), partial(read, leaf, words))
        return
    for words, leaf in _plain(told):
        here = now.get(words)
        kind = type(leaf).__name__
        number = (
            kind in ("ScalarMetadata", "StringMetadata") and here is not None and not hasattr(here, "shape")
        )
        if number and words not in wanted:
            values[front + words] = here
            continue
        if getattr(leaf, "shape", None) is None or getattr(leaf, "dtype", None) is None:
            continue
        shape, dtype = tuple(leaf.shape), dtype_of(np.dtype(leaf.dtype))
        if isinstance(here, SCALARS) or (hasattr(here, "shape") and kind_of(here) == (shape, dtype)):
            leaves[front + words] = (shape, dtype, partial(read, here, words))
        else:
            leaves[front + words] = (shape, dtype, again.add(words, _size(shape, dtype)))


def _metadata(folder: Path) -> Any:
    """Orbax's own account of a folder; ``None`` where it gives none."""
    orbax = sys.modules["orbax.checkpoint"]
    from etils import epath  # Orbax's own paths

    try:
        found = orbax.PyTreeCheckpointHandler().metadata(epath.Path(folder))
    except (FileNotFoundError, ValueError, KeyError, TypeError, NotImplementedError):
        return None
    return getattr(found, "tree", found)


class _Again:
    """Leaves of one folder as they are stored, read through Orbax, so many at a time as fit into ``_AT_ONCE`` bytes."""

    def __init__(self, folder: Path, told: Any) -> None:
        self.folder, self.told = folder, told
        self._order: list[tuple[Words, int]] = []
        self._held: dict[Words, np.ndarray] = {}
        self._lock = threading.Lock()

    def add(self, words: Words, nbytes: int) -> Callable[[], np.ndarray]:
        """To be read when the function that is given is called."""
        self._order.append((words, nbytes))
        return partial(self._read, words)

    def _read(self, words: Words) -> np.ndarray:
        with self._lock:
            if words not in self._held:
                self._held = self._loaded(self._group(words))
            return self._held[words]

    def _group(self, words: Words) -> set[Words]:
        """This leaf and those behind it, as many as are held at once."""
        group, room, begun = {words}, _AT_ONCE, False
        for path, nbytes in self._order:
            begun |= path == words
            if begun:
                room -= nbytes
                if room < 0:
                    break
                group.add(path)
        return group

    def _loaded(self, group: set[Words]) -> dict[Words, np.ndarray]:
        import jax
        from etils import epath

        orbax = sys.modules["orbax.checkpoint"]
        wanted = {id(leaf) for path, leaf in _plain(self.told) if path in group}

        def chosen(leaf: Any) -> Any:
            return np.empty(leaf.shape, leaf.dtype) if id(leaf) in wanted else orbax.PLACEHOLDER

        item = jax.tree.map(chosen, self.told, is_leaf=lambda one: not isinstance(one, (dict, list, tuple)))
        kinds = jax.tree.map(lambda _: orbax.RestoreArgs(restore_type=np.ndarray), item)
        found = orbax.PyTreeCheckpointHandler().restore(
            epath.Path(self.folder), args=orbax.args.PyTreeRestore(item=item, restore_args=kinds)
        )
        return {path: np.asarray(leaf) for path, leaf in _plain(found) if path in group}


def _asked(target: Mapping[Words, Any], given: Mapping[Words, Any], loaded: Loaded) -> None:
    loaded.findings = [*loaded.findings, *apart(target, given)]


def _plain(tree: Any, path: Words = ()) -> Iterator[tuple[Words, Any]]:
    """Leaves of nested dicts, lists and tuples (``_leaves`` passes by what is no array)."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _plain(value, (*path, str(key)))
    elif isinstance(tree, (list, tuple)):
        for at, value in enumerate(tree):
            yield from _plain(value, (*path, str(at)))
    elif tree is not None:
        yield path, tree


def _told_as_arrays(tree: Any) -> Any:
    """A target whose leaves are only told of (metadata of Orbax's), with shapes and dtypes in jax's own words."""
    import jax

    def told_of(leaf: Any) -> bool:
        return type(leaf).__module__.startswith("orbax") and hasattr(leaf, "shape") and hasattr(leaf, "dtype")

    if tree is None or not any(told_of(leaf) for leaf in jax.tree.leaves(tree, is_leaf=told_of)):
        return tree
    described: Any = jax.ShapeDtypeStruct
    return jax.tree.map(
        lambda leaf: described(leaf.shape, leaf.dtype) if told_of(leaf) else leaf, tree, is_leaf=told_of
    )


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * max(1, DTYPES[dtype].bits // 8)
