"""Trees of arrays as catalogs, by the paths of their leaves: what flax and Orbax put into a target, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.dtypes import dtype_of
from ..._core.errors import NotStored
from ..._core.finding import Finding, Severity
from ..._core.roles import guess_role
from ..._core.spec import OptimizerSpec, ParamGroup, TensorSpec
from ..._core.words import plural
from ..._formats.flat_optax import optax_state
from ..._frameworks import LiveCatalog
from ..._rules.registry import told_by

__all__ = [
    "SCALARS",
    "Leaves",
    "TreeCatalog",
    "Words",
    "apart",
    "described",
    "in_memory",
    "kind_of",
    "leaves_of",
    "read",
]

Words = tuple[str, ...]
Leaves = dict[Words, tuple[tuple[int, ...], str, Callable[[], np.ndarray]]]
SCALARS = (bool, int, float, complex, np.generic)
_SMALL = 64
"""Bytes."""


class TreeCatalog(Catalog):
    """Leaves by their paths: shape, dtype, and a function that reads; ``values`` are the plain numbers beside them.

    ``like``: a live tree that they are put into, path by path. What its leaf is (a weight, a slot, of which optimizer), theirs is
    too, whatever the paths are called; only what it has not is judged by its name.

    While ``asleep`` nothing is read but single numbers: what is compared before a load's outcome is looked at wants shapes and
    hyperparameters alone."""

    format = "tree"
    asleep = False

    def __init__(
        self,
        leaves: Leaves,
        values: Mapping[Words, Any],
        name: str,
        writer: str = "",
        like: LiveCatalog | None = None,
    ) -> None:
        self._reads = {"/".join(words): read for words, (_, _, read) in leaves.items()}
        specs = [
            TensorSpec(name="/".join(words), shape=shape, dtype=dtype, dialect="jax", order=order,
                       role=guess_role("/".join(words), dtype, shape))
            for order, (words, (shape, dtype, _)) in enumerate(leaves.items())
        ]  # fmt: skip
        described, optimizers = optax_state(specs)
        if like is not None:
            described, optimizers = _mirrored(described, optimizers, like)
        attributes: dict[str, Any] = {"values": {"/".join(words): value for words, value in values.items()}}
        if writer:
            attributes["writer"] = writer
        super().__init__(described, files=(name,), attributes=attributes, optimizers=optimizers)

    def read(self, name: str) -> np.ndarray:
        """The values; :class:`NotStored` where they cannot be had here (another process holds them)."""
        if self.asleep and self[name].nbytes > _SMALL:
            raise NotStored("its values are not looked at yet", tensor=name)
        return self._reads[self[name].key]()


def _mirrored(
    specs: Iterable[TensorSpec], own: tuple[OptimizerSpec, ...], like: LiveCatalog
) -> tuple[list[TensorSpec], tuple[OptimizerSpec, ...]]:
    """Each spec with the meaning that its path has in the live tree; the optimizers of which anything is there.

    Where the live tree has optimizers and no path of theirs is there (another chain, another class), the state keeps what its
    own paths say (``own``): it is there, and of another optimizer."""
    found: list[TensorSpec] = []
    beside: list[int] = []
    for spec in specs:
        same = like.get(spec.name)
        if same is None:
            beside.append(len(found))
            found.append(spec)
            continue
        found.append(
            same.with_(name=same.name, key=spec.name, shape=spec.shape, dtype=spec.dtype, nbytes=spec.nbytes, aliases=(),
                       order=spec.order, shares=None, attributes={})
        )  # fmt: skip
    known = set(beside)
    there = {spec.optimizer for at, spec in enumerate(found) if at not in known}
    plain = ParamGroup()
    optimizers = [
        replace(
            one,
            groups=tuple(replace(g, configured=plain.configured, current=plain.current) for g in one.groups),
        )
        for one in like.optimizers
        if one.name in there
    ]
    foreign = bool(like.optimizers) and not optimizers
    for at in beside:
        if not foreign or found[at].optimizer is None:
            found[at] = found[at].with_(role="other", owner=None, slot=None, optimizer=None)
    return found, own if foreign else tuple(optimizers)


def in_memory(tree: Any, name: str, target: Any = None) -> TreeCatalog:
    """A tree as a catalog; ``target``: what it is put into."""
    leaves: Leaves = {}
    values: dict[Words, Any] = {}
    for words, leaf in leaves_of(tree):
        if hasattr(leaf, "shape") and hasattr(leaf, "dtype") and leaf.dtype != object:
            leaves[words] = (*kind_of(leaf), partial(read, leaf, words))
        elif isinstance(leaf, (*SCALARS, str)):
            values[words] = leaf
    return TreeCatalog(leaves, values, name, like=None if target is None else described(model=target))


def leaves_of(tree: Any) -> Iterator[tuple[Words, Any]]:
    """Every leaf of a tree of jax's with its path, the Variables of nnx taken for their values."""
    from ..._frameworks.jax.trees import walk

    if tree is None or isinstance(tree, (str, bytes)):
        return
    cells, _, _ = walk(tree)
    for cell in cells:
        yield (*cell.words, "value") if cell.variable is not None else cell.words, cell.get()


def kind_of(leaf: Any) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of an array of JAX's or numpy's."""
    if isinstance(leaf, np.ndarray):
        return leaf.shape, dtype_of(leaf.dtype)
    from ..._frameworks.jax import arrays

    return arrays.shape_of(leaf), arrays.dtype_text(leaf)


def read(leaf: Any, words: Words) -> np.ndarray:
    """The values of a leaf; ``words`` are its path, for the error of one that cannot be read."""
    if isinstance(leaf, (np.ndarray, *SCALARS)):
        return np.asarray(leaf)
    from ..._frameworks.jax import arrays

    return arrays.read(leaf, "/".join(words))


def described(**parts: Any) -> LiveCatalog:
    """By jax's own rules, be all of it numpy's arrays: flax gives such, and read-only ones."""
    from ..._frameworks.jax.live import describe

    return describe(parts)


def apart(target: Mapping[Words, Any], given: Mapping[Words, Any]) -> Iterator[Finding]:
    """The same of leaves by their paths."""
    shapes, kinds = [], []
    for words, leaf in target.items():
        here = given.get(words)
        if here is None or isinstance(leaf, np.generic):
            continue
        (asked, wanted), (shape, dtype) = kind_of(leaf), kind_of(here)
        if asked != shape:
            shapes.append(("/".join(words), str(asked), str(shape)))
        elif wanted != dtype:
            kinds.append(("/".join(words), wanted, dtype))
    kind: Severity = "error"
    for rows, what, kind in ((shapes, "shape", "error"), (kinds, "dtype", "warning")):
        if rows:
            name, asked_for, got = min(rows, key=lambda row: ("opt_state" in row[0], rows.index(row)))
            more = f", and {plural(len(rows) - 1, 'other array')} likewise" if len(rows) > 1 else ""
            yield told_by("not-as-asked",
                f"{name} came back as {got} where the target has {asked_for}{more}: the call ignores the target's {what}",
                severity=kind, tensor=name, tensors=tuple(row[0] for row in rows),
                seen=got, expected=asked_for,
            )  # fmt: skip
