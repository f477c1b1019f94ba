"""Orbax: a tree of arrays by ``StandardCheckpointer``."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .failure import Failure, SavePhaseError
from .node import Node, leaves_of
from .pickle_why import Told, a, place_of
from .report import Note

__all__ = ["OrbaxSaver"]


class OrbaxSaver:
    """``orbax.checkpoint.StandardCheckpointer().save(path, given)``, and ``restore(path, given)``."""

    title = "orbax.checkpoint.StandardCheckpointer"

    def __init__(self, given: Any, folder: Path) -> None:
        """``given``: a pytree, or a flax nnx module, of which the state is saved."""
        import jax
        import orbax.checkpoint as ocp

        self._jax, self._ocp = jax, ocp
        if any(c.__module__.startswith("flax.nnx") for c in type(given).__mro__):
            from flax import nnx

            given = nnx.to_pure_dict(nnx.state(given)) if hasattr(nnx, "to_pure_dict") else nnx.state(given)
        self._given = given
        self._folder = folder
        self.root = Node("state", given, removable=False)
        self._leaves: list[tuple[Any, Any]] = []
        self._differing: list[Any] = []
        self._count = 0
        self.nbytes: int | None = None
        logging.getLogger("absl").setLevel(
            logging.CRITICAL
        )  # its threads print tracebacks of what is reported here

    def phases(self) -> Iterator[str]:
        """Saving, and reading back with the values compared."""
        yield "save"
        yield "load"

    def attempt(self, removed: frozenset[Node], phase: str) -> None:
        """See :class:`Saver`."""
        tree = self._without(removed) if removed else self._given
        self._count += 1  # a failed save's threads may still write to its folder
        place = self._folder / f"trial-{self._count}"
        try:
            with self._ocp.StandardCheckpointer() as saver:
                try:
                    saver.save(place, tree)
                    saver.wait_until_finished()
                except BaseException as error:
                    raise SavePhaseError("save") from error
                if not removed:
                    self.nbytes = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
                if phase == "load":
                    self._compare(tree, saver.restore(place, tree))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _compare(self, tree: Any, back: Any) -> None:
        util = self._jax.tree_util
        mine, its = util.tree_flatten_with_path(tree)[0], util.tree_flatten_with_path(back)[0]
        self._differing = [path for (path, a), (_, b) in zip(mine, its, strict=True) if not self._equal(a, b)]
        if self._differing:
            where = f"state{util.keystr(self._differing[0])}"
            raise SavePhaseError("values") from ValueError(f"{where} comes back with other values")

    def _equal(self, a: Any, b: Any) -> bool:
        jax = self._jax
        if isinstance(a, jax.Array) and jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        one, two = np.asarray(a), np.asarray(b)
        return one.shape == two.shape and one.astype(two.dtype).tobytes() == two.tobytes()

    def _without(self, removed: frozenset[Node]) -> Any:
        gone = {id(leaf.data) for node in removed for leaf in leaves_of(node)}
        leaves = [np.zeros(()) if id(path) in gone else leaf for path, leaf in self._leaves]
        tree = self._jax.tree_util.tree_unflatten(self._jax.tree_util.tree_structure(self._given), leaves)
        for path, _ in self._leaves:
            if id(path) in gone and all(hasattr(step, "key") for step in path):
                here = tree
                for step in path[:-1]:
                    here = here[step.key]
                if type(here) is dict:
                    del here[path[-1].key]
        if type(tree) is dict and not self._jax.tree_util.tree_leaves(tree):
            tree["nothing"] = np.zeros(1)
        return tree

    def alone(self, node: Node) -> bool | None:
        """See :class:`Saver`."""
        if node.children:
            return None
        self._count += 1
        place = self._folder / f"alone-{self._count}"
        try:
            with self._ocp.StandardCheckpointer() as saver:
                saver.save(place, {"it": node.thing})
                saver.wait_until_finished()
        except Exception:  # noqa: BLE001 - this is the question
            return True
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return False

    def grow(self) -> None:
        """See :class:`Saver`."""
        if self._leaves:
            return
        util = self._jax.tree_util
        try:
            self._leaves = util.tree_flatten_with_path(self._given)[0]
        except ValueError:  # keys that cannot be sorted: the tree itself is at fault
            return
        at: dict[str, Node] = {}
        for path, leaf in self._leaves:
            parent = self.root
            for n in range(1, len(path)):
                words = "state" + util.keystr(path[:n])
                parent = at[words] if words in at else at.setdefault(words, Node(words, None, parent))
            Node("state" + util.keystr(path), leaf, parent, data=path)

    def suspects(self, failure: Failure) -> list[Node]:
        """See :class:`Saver`."""
        self.grow()
        leaves = [node for node in leaves_of(self.root) if node is not self.root]
        if failure.phase == "values":
            return []
        array = (self._jax.Array, np.ndarray, np.generic, int, float, bool)
        return [node for node in leaves if not isinstance(node.thing, array) or _odd(self._jax, node.thing)]

    def gist(self, message: str) -> str:
        """See :class:`Saver`."""
        return "leaves come back with other values" if "comes back with other values" in message else message

    def tell(self, nodes: tuple[Node, ...], failure: Failure) -> Told | None:
        """What a culprit is, why it fails, what to do, and the label of its cause."""
        thing = nodes[0].thing
        kind = type(thing)
        if failure.phase == "values":
            return (
                f"{len(nodes)} leaves that are written under one name"
                if len(nodes) > 1
                else f"a {kind.__name__}",
                "Orbax joins the keys of a path to one name, and a key with a dot or slash "
                "in it may give the name of another leaf",
                "Use keys without dots and slashes.",
                "renamed",
            )
        if "Tracer" in kind.__name__:
            return (
                "a tracer",
                "it was carried out of a function while JAX traced it (jit, grad, vmap), and never has a value",
                "Return it from the function, and save what the call gives.",
                "unserialisable",
            )
        if isinstance(thing, self._jax.Array):
            if getattr(thing, "is_deleted", lambda: False)():
                return (
                    "an array that was deleted",
                    "its memory was given to a jitted function (donate_argnums), or delete() was called",
                    "Save what the function returned, or save before the call.",
                    "unserialisable",
                )
            if not thing.is_fully_addressable:
                return (
                    "an array that is not wholly on this host",
                    "other processes hold the rest of it",
                    "Let every process call the save (jax.distributed.initialize), or gather it first.",
                    "parallel",
                )
        if kind.__name__ == "ShapeDtypeStruct":
            return (
                "a jax.ShapeDtypeStruct",
                "it is a shape without values",
                "Save the arrays, not what describes them.",
                "lazy-build",
            )
        shown = a(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        if callable(thing):
            at = place_of(thing)
            return (
                f"a function ({at})" if at else shown,
                "a tree of Orbax holds arrays and numbers",
                "Leave it out: in flax mark the field `struct.field(pytree_node=False)`.",
                "unserialisable",
            )
        if isinstance(thing, (np.ndarray, np.generic)):
            return (
                f"an array of dtype {thing.dtype}",
                "there are arrays of numbers alone",
                "Write texts beside the checkpoint (JsonSave).",
                "unserialisable",
            )
        return (
            shown,
            "a tree of Orbax holds arrays and numbers",
            "Write texts and settings beside it: "
            "`args.Composite(state=args.StandardSave(state), config=args.JsonSave(config))`.",
            "unserialisable",
        )

    def read(self) -> Iterator[str]:
        """In which ways the whole was read back, in words."""
        yield "restore, all values compared"

    def notes(self, saved: bool) -> Iterator[Note]:
        """None."""
        return iter(())


def _odd(jax: Any, thing: Any) -> bool:
    if isinstance(thing, (np.ndarray, np.generic)):
        return thing.dtype.kind in "OSU"
    if isinstance(thing, jax.Array):
        return "Tracer" in type(thing).__name__ or thing.is_deleted() or not thing.is_fully_addressable
    return False
