"""What was passed, taken apart: trees to walk, transformations, linen modules, and one entry a leaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import nnx
from .modules import is_linen
from .naming import name_of, optimizer_part
from .trees import Cell, Key, Tree, walk

__all__ = ["Entry", "Parts", "is_transformation"]


def is_transformation(thing: Any) -> bool:
    """Whether it is an optax ``GradientTransformation``: a pair of functions, ``init`` and ``update``."""
    return isinstance(thing, tuple) and callable(getattr(thing, "init", None)) and hasattr(thing, "update")


@dataclass(slots=True)
class Entry:
    """One leaf by its name: its part, and for optimizer state the optimizer and the path inside its state."""

    name: str
    part: str
    cell: Cell
    optimizer: str | None = None
    inner: tuple[Key, ...] | None = None


class Parts:
    """The parts of a live catalog.

    Attributes
    ----------
    entries: all leaves, the model's first. masked: (optimizer, path inside its state) of masked weights.
    trees: part -> the tree that collects what is set. objects: (name prefix, nnx object) of all nnx models.
    transformations: optimizer -> optax transformation. linen: linen modules. given: part -> what was passed.
    nnx_optimizers: optimizer -> ``nnx.Optimizer``.
    """

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.given = dict(parts)
        self.entries: list[Entry] = []
        self.masked: list[tuple[str, tuple[Key, ...]]] = []
        self.trees: dict[str, Tree] = {}
        self.objects: list[tuple[str, Any]] = []
        self.transformations: dict[str, Any] = {}
        self.nnx_optimizers: dict[str, Any] = {}
        self.linen: list[Any] = []
        self._pairs: dict[str, int] = {}
        self._taken: set[Any] = set()
        for part, thing in sorted(parts.items(), key=lambda item: item[0] != "model"):
            self._take(part, thing)

    def _take(self, part: str, thing: Any) -> None:
        if is_transformation(thing):
            self.transformations["optimizer"] = thing
        elif isinstance(thing, Mapping) and thing and all(map(is_transformation, thing.values())):
            self.transformations.update(thing)
        elif is_linen(thing):
            self.linen.append(thing)
        elif part == "optimizer" and type(thing) is tuple and len(thing) == 2 and is_transformation(thing[0]):
            self.transformations["optimizer"] = thing[0]
            self._pairs[part] = 1
            self._tree(part, thing[1])
        else:
            self._bound(thing)
            self._tree(part, thing)

    def _bound(self, thing: Any) -> None:
        """What a ``TrainState`` carries as static fields: the transformation, the model's ``apply``.

        Source: flax/training/train_state.py."""
        if nnx.is_object(thing):
            return
        if hasattr(thing, "opt_state") and is_transformation(getattr(thing, "tx", None)):
            self.transformations["optimizer"] = thing.tx
        module = getattr(getattr(thing, "apply_fn", None), "__self__", None)
        if is_linen(module):
            self.linen.append(module)

    def _tree(self, part: str, thing: Any) -> None:
        cells, masked, tree = walk(thing, taken=self._taken)
        self.trees[part] = tree
        for path, value in zip(tree.paths, tree.values, strict=True):
            if nnx.is_optimizer(value):
                self._nnx_optimizer(part, path, value)
            elif nnx.is_object(value):
                self.objects.append(("/".join(key.text for key in path), value))
        optimizers = [
            tuple(key.text for key in path)
            for path, value in zip(tree.paths, tree.values, strict=True)
            if nnx.is_optimizer(value)
        ]
        for cell in cells:
            if not any(cell.words[: len(words)] == words for words in optimizers):
                self._enter(part, cell)
        for path in masked:
            self._mask(part, path)

    def _nnx_optimizer(self, part: str, path: tuple[Key, ...], thing: Any) -> None:
        """The state of an ``nnx.Optimizer``, walked as the optax state it is; its model where it holds one that
        was not passed as ``model=`` anyway."""
        word = "/".join(key.text for key in path) or "optimizer"
        self.nnx_optimizers[word] = thing
        if is_transformation(getattr(thing, "tx", None)):
            self.transformations[word] = thing.tx
        model = getattr(thing, "model", None)
        if nnx.is_object(model) and model is not self.given.get("model"):
            if part == "model":
                self.objects.append(("/".join(key.text for key in path), model))
            known = {id(e.cell.variable) for e in self.entries if e.cell.variable is not None}
            found = [c for c in walk(model, path)[0] if id(c.variable) not in known]
            if part == "model" or "model" not in self.given:
                for cell in found:
                    self._enter("model", cell)
        cells, masked, _ = walk(thing.opt_state, (*path, Key("opt_state", type(thing))))
        for cell in cells:
            self._enter("optimizer", cell)
        for hidden in masked:
            self._mask("optimizer", hidden)
        for cell in walk(thing.step, (*path, Key("step", type(thing))))[0]:
            self._enter("optimizer", cell, word)

    def _enter(self, part: str, cell: Cell, optimizer: str | None = None) -> None:
        found = (optimizer, cell.path[-1:]) if optimizer is not None else optimizer_part(part, cell.path)
        name, inner = found if found is not None else (None, None)
        self.entries.append(Entry(name_of(part, cell.words), part, cell, name, inner))

    def _mask(self, part: str, path: tuple[Key, ...]) -> None:
        found = optimizer_part(part, path)
        if found is not None:
            self.masked.append(found)

    def words(self) -> tuple[str, ...]:
        """The parts' words; ``optimizer`` too where a train state that was passed as ``model=`` holds one."""
        inside = any(entry.inner is not None for entry in self.entries)
        return tuple(dict.fromkeys((*self.given, *(("optimizer",) if inside else ()))))

    def in_place(self) -> dict[str, bool]:
        """Part -> whether setting its tensors changes the very object that was passed."""
        return {part: tree.in_place or _all_nnx(tree) for part, tree in self.trees.items()}

    def result(self) -> dict[str, Any]:
        """Every part as it is now: new trees, or the same object where it changed in place."""
        found = dict(self.given)
        for part, tree in self.trees.items():
            new = tree.result()
            found[part] = (self.given[part][0], new) if part in self._pairs else new
        return found


def _all_nnx(tree: Tree) -> bool:
    return bool(tree.values) and all(nnx.is_object(v) or nnx.is_variable(v) for v in tree.values)
