"""Walk the object in a checkpoint: every tensor with its name, every optimizer, every plain value beside
them.

Names are paths: ``model_state_dict/conv.0.weight``. Dict keys by ``str`` (tuple keys by ``repr``), list items
by index; whole modules as their ``state_dict()`` would name them (torch/nn/modules/module.py
``_save_to_state_dict``), optimizer objects as theirs (torch/optim/optimizer.py ``state_dict``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..._core.modules import ModuleSpec
from ..pickles.arrays import NumpyArray, numpy_scalar
from ..pickles.nodes import (
    Dict,
    Global,
    Made,
    PersistentId,
    as_text,
    function_of,
    items_of,
    mapping_of,
    pairs_of,
    state_of,
)
from .leaves import Leaf, Optimizer, class_text, key_text, plain
from .modules import module_spec
from .optax_nodes import OptaxNodes, optax_fields
from .optimizer_walk import OptimizerWalk, under
from .tensors import Reader
from .views import Tensor

__all__ = ["Walk"]

_DEEPEST = 100
_MOST_VALUES = 4000


class Walk:
    """The walk and what it found. ``visits`` and ``tensors`` bound it: shared containers can unfold without
    end.
    """

    def __init__(self, reader: Reader, *, visits: int, tensors: int) -> None:
        self.reader = reader
        self.visits, self.most_tensors = visits, tensors
        self.leaves: list[Leaf] = []
        self.optimizers: list[Optimizer] = []
        self.values: dict[str, Any] = {}
        self.modules: list[tuple[str, str]] = []  # name, class of whole pickled modules
        self.specs: list[ModuleSpec] = []  # every module of those
        self.versions: dict[str, dict[str, int]] = {}  # home -> module path -> state_dict version
        self.order: dict[str, list[Leaf]] = {}  # home -> leaves in recorded order
        self.states: list[str] = []  # where the state of an optax optimizer begins
        self.cut: str | None = None  # why the walk stopped before the end
        self.active: set[int] = set()
        self._barren: set[int] = set()
        self._optax = OptaxNodes()
        self._within_state = False

    # -- bounds ------------------------------------------------------------------------------------------
    def enter(self, node: Any, depth: int) -> bool:
        """Whether to go into a container: the walk has room, and is not in it already. Counts a visit."""
        if self.cut:
            return False
        self.visits -= 1
        if self.visits < 0:
            self.cut = "its containers refer to each other so often that a full listing has no end"
            return False
        if depth > _DEEPEST:
            self.cut = f"nested deeper than {_DEEPEST} levels"
            return False
        return id(node) not in self.active

    def _add(self, leaf: Leaf) -> None:
        if len(self.leaves) >= self.most_tensors:
            self.cut = "more tensors are listed than a file of this size can hold"
            return
        self.leaves.append(leaf)
        self.order.setdefault(leaf.home, []).append(leaf)

    # -- the walk ----------------------------------------------------------------------------------------
    def run(self, node: Any) -> None:
        """Walk from the top."""
        self._node(node, "", "", 0, "", "")

    def _node(self, node: Any, name: str, key: str, depth: int, home: str, local: str) -> None:
        kind = type(node)
        if kind in (int, float, str, bool) or node is None:
            self._value(name, node)
            return
        if kind is Made or kind is PersistentId:
            parts = self.reader.parts(node)
            if parts is not None:
                for suffix, part in parts:
                    self.add_tensor(part, name, key, suffix, home, local, depth)
                return
        if (id(node) in self._barren and not _flat(node)) or not self.enter(node, depth):
            return
        before = len(self.leaves)
        self.active.add(id(node))
        try:
            self._container(node, name, key, depth)
        finally:
            self.active.discard(id(node))
        if len(self.leaves) == before and not self.cut:
            self._barren.add(id(node))

    def add_tensor(
        self,
        part: Tensor | NumpyArray,
        name: str,
        key: str,
        suffix: str,
        home: str,
        local: str,
        depth: int,
        **more: Any,
    ) -> None:
        """Note a tensor, and those that hang onto it. ``more``: further fields of :class:`Leaf`."""
        self._add(Leaf(name + suffix, key + suffix, part, home, local + suffix, **more))
        attached = part.attached if isinstance(part, Tensor) else None
        if attached is not None and self.enter(attached, depth) and depth < 20:
            # What Python code hung onto a tensor: usually nothing, for subclasses the tensors they wrap.
            for word, value in self._attributes(attached):
                for inner_suffix, inner in (
                    (self.reader.parts(value) or ()) if isinstance(value, (Made, PersistentId)) else ()
                ):
                    self.add_tensor(
                        inner,
                        f"{name}.{word}",
                        f"{key}.{word}",
                        inner_suffix,
                        home,
                        f"{local}.{word}",
                        depth + 1,
                    )

    @staticmethod
    def _attributes(node: Any) -> Iterable[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for part in node if isinstance(node, tuple) else (node,):
            found.extend((mapping_of(part) or {}).items())
        return found

    def _container(self, node: Any, name: str, key: str, depth: int) -> None:
        if not self._within_state and self._optax.is_state(node):
            self.states.append(name)
            self._within_state = True
            self._container(node, name, key, depth)
            self._within_state = False
            return
        fields = optax_fields(node) if self._within_state else None
        if fields is not None:
            for word, value in fields:
                self.child(value, word, name, key, depth)
            return
        if isinstance(node, Made) and self._object(node, name, key, depth):
            return
        pairs = pairs_of(node)
        if pairs is not None:
            self._mapping(node, pairs, name, key, depth)
            return
        items = items_of(node)
        if items is not None:
            if len(items) > 64 and all(isinstance(i, (int, float)) for i in items):
                self._value(name, f"<{len(items)} numbers>")
                return
            for index, item in enumerate(items):
                text = str(index)
                self._node(item, f"{name}/{text}" if name else text, f"{key}/{text}", depth + 1, name, text)
            return
        if isinstance(node, Made):
            scalar = numpy_scalar(node)
            if scalar is not None:
                self._value(name, scalar)
                return
            if function_of(node) == "_codecs.encode":
                self._value(name, "<bytes>")
                return
            self._value(name, self._shown(node))
            state = state_of(node)
            if state is None and isinstance(node.state, (tuple, list)):
                self._node(node.state, name, key, depth + 1, name, "")
            for word, value in (state or {}).items():
                if not isinstance(value, (int, float, str, bool)) and value is not None:
                    self.child(value, word, name, key, depth)
            for index, argument in enumerate(node.args if isinstance(node.args, tuple) else ()):
                if (
                    isinstance(argument, (Made, Dict, list, tuple, PersistentId))
                    and function_of(argument) != "_codecs.encode"
                ):
                    self.child(argument, str(index), name, key, depth)
        elif isinstance(node, Global):
            self._value(name, node.text)

    def child(self, value: Any, word: str, name: str, key: str, depth: int) -> None:
        """Walk into a value under ``word``."""
        self._node(
            value, f"{name}/{word}" if name else word, f"{key}/{word}" if key else word, depth + 1, name, word
        )

    def _mapping(self, node: Any, pairs: list[tuple[Any, Any]], name: str, key: str, depth: int) -> None:
        words = {p[0] for p in pairs if type(p[0]) is str} if len(pairs) < 64 else set()
        if "param_groups" in words and "state" in words:
            OptimizerWalk(self, mapping_of(node) or {}, name, key, None).run(depth)
            return
        if isinstance(node, Made) and node.state is not None:
            self._note_versions(node, name)
        texts = [p[0] if type(p[0]) is str else key_text(p[0]) for p in pairs]
        last = {text: index for index, text in enumerate(texts)}
        once = len(last) == len(texts)
        ordinary, most, leaves = self.reader.ordinary, self.most_tensors, self.leaves
        beside: list[Leaf] | None = None  # the leaves of this home
        new_leaf = Leaf.__new__
        for index, (text, (word, value)) in enumerate(zip(texts, pairs, strict=True)):
            if not once and last[text] != index and pairs[last[text]][0] == word:
                continue  # a key set twice: the later value counts
            child = f"{name}/{text}" if name else text
            raw = f"{key}/{text}" if key else text
            tensor = ordinary(value) if type(value) is Made else None
            if tensor is None or len(leaves) >= most:
                self._node(value, child, raw, depth + 1, name, text)
                continue
            # A plain tensor, as nearly all are; a call with that many fields takes twice as long.
            leaf = new_leaf(Leaf)
            leaf.name, leaf.key, leaf.part, leaf.home, leaf.local = child, raw, tensor, name, text
            leaf.kind = leaf.optimizer = leaf.position = leaf.slot = None
            leaf.hyper = False
            leaves.append(leaf)
            if beside is None:
                beside = self.order.setdefault(name, [])
            beside.append(leaf)

    def _note_versions(self, node: Made, name: str) -> None:
        """``_metadata`` of a state dict: the version of each module's layout, where it is not 1."""
        metadata = (state_of(node) or {}).get("_metadata")
        found: dict[str, int] = {}
        for path, value in (mapping_of(metadata) or {}).items():
            version = (mapping_of(value) or {}).get("version")
            if isinstance(version, int) and version != 1 and len(found) < _MOST_VALUES:
                found[path] = version
        if found:
            self.versions[name] = found

    # -- objects -----------------------------------------------------------------------------------------
    def _object(self, node: Made, name: str, key: str, depth: int) -> bool:
        state = state_of(node)
        if not state:
            return False
        if "_parameters" in state and "_modules" in state:
            self.modules.append((name, class_text(node)))
            self._module(node, name, "", name, key, depth)
            return True
        if "param_groups" in state and "state" in state:
            OptimizerWalk(self, state, name, key, class_text(node)).run(depth)
            return True
        return False

    def _module(self, node: Any, home: str, prefix: str, name: str, key: str, depth: int) -> None:
        """Parameters, persistent buffers, then submodules: the order of ``state_dict()``."""
        state = state_of(node)
        if state is None:
            return
        self.visits -= len(state)
        path = under(name, prefix[:-1]) if prefix else name
        self.specs.append(module_spec(node, state, path, len(self.specs)))
        skipped = {as_text(item) for item in items_of(state.get("_non_persistent_buffers_set")) or ()}
        for field_name, kind in (("_parameters", "parameter"), ("_buffers", "buffer")):
            for word, value in (mapping_of(state.get(field_name)) or {}).items():
                if value is None or (kind == "buffer" and word in skipped):
                    continue
                local = prefix + word
                for suffix, part in self.reader.parts(value) or ():
                    self.add_tensor(
                        part, under(name, local), under(key, local), suffix, home, local, depth, kind=kind
                    )
        for word, value in (mapping_of(state.get("_modules")) or {}).items():
            if value is not None and self.enter(value, depth):
                self.active.add(id(value))
                self._module(value, home, f"{prefix}{word}.", name, key, depth + 1)
                self.active.discard(id(value))

    # -- values ------------------------------------------------------------------------------------------
    def _value(self, name: str, value: Any) -> None:
        if len(self.values) < _MOST_VALUES:
            self.values[name] = plain(value)

    @staticmethod
    def _shown(node: Made) -> str:
        text = function_of(node)
        if text == "torch.device" and isinstance(node.args, tuple):
            return ":".join(str(a) for a in node.args if isinstance(a, (str, int)))
        return f"<{class_text(node)}>"


def _flat(node: Any) -> bool:
    """A short list of plain values: listed under each of its paths (SequentialLR shares its list of rates with
    the scheduler whose turn it is); each further visit is paid for by a reference in the pickle."""
    items = items_of(node)
    return (
        items is not None
        and len(items) <= 64
        and all(item is None or type(item) in (int, float, str, bool) for item in items)
    )
