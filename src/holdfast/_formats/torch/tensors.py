"""Tensors out of pickle nodes: each node once, its storages and the views of them.

Format facts: torch/_utils.py (``_rebuild_*``), torch/_tensor.py (``__reduce_ex__``, ``__setstate__``,
``_rebuild_from_type_v2``), torch/storage.py (storage classes), torch/serialization.py (persistent ids).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._core.dtypes import DTYPES
from ..pickles.arrays import numpy_array, raw_bytes
from ..pickles.nodes import (
    Global,
    Made,
    PersistentId,
    as_text,
    class_of,
    function_of,
    state_of,
)
from .rebuild import REBUILD
from .views import WIDEST, Geometry, Part, Storage, Tensor, bound, flag_of, geometry_of, sizes_of

__all__ = ["Reader"]

_STORAGE_DTYPES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "QInt8": "qint8",
    "QInt32": "qint32",
    "QUInt8": "quint8",
    "QUInt4x2": "quint4x2",
    "QUInt2x4": "quint2x4",
}
_WORDS = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "int": "int32",
    "long": "int64",
    "short": "int16",
}


class Reader:
    """Turns nodes into tensors; every node once. It knows nodes by identity, so they must outlive it."""

    def __init__(self, inline: Callable[[bytes, int], Storage | None] | None = None) -> None:
        """``inline``: makes a storage of bytes that the pickle itself holds (:meth:`Bank.inline`)."""
        self._inline = inline
        self._known: dict[int, list[Part] | None] = {}
        self._storages: dict[int, Storage | None] = {}
        self._first: dict[str, Storage] = {}
        self._kinds: dict[Any, Any] = {}
        self._views: dict[
            tuple[int, int], tuple[Geometry, bool]
        ] = {}  # and whether in C order, with no negative size
        self._ordinary: dict[int, Tensor] = {}
        self._rebuild: Any = self  # the global of ``_rebuild_tensor_v2``, once it was met; no node until then
        self._depth = 0
        self.odd: list[tuple[str, int]] = []  # what a rebuild call said that makes no sense, with its offset

    # -- storages ----------------------------------------------------------------------------------------
    def storage(self, node: Any) -> Storage | None:
        """The storage that a persistent id names, or ``None``.

        ``('storage', type, key, location, numel)`` in zip files; legacy streams add ``(view_key, offset,
        size)`` or ``None``. Typed storages pickled as objects (torch 1.11 and later) wrap the same id.
        """
        place = id(node)
        if place in self._storages:
            return self._storages[place]
        if type(node) is PersistentId:
            made = self._named_storage(node)
        else:
            self._storages[place] = None  # a storage that wraps itself is none
            made = self._wrapped_storage(node)
        if made is not None:
            # torch.load keeps the first class that it met for a key (torch/serialization.py
            # ``loaded_storages``); torch before 1.11 could save one storage under two, and reads the second
            # back as the first.
            first = self._first.setdefault(made.key, made)
            if first.dtype != made.dtype and first.start == made.start:
                made = first
        self._storages[place] = made
        return made

    def _named_storage(self, node: PersistentId) -> Storage | None:
        pid = node.pid
        if type(pid) is not tuple or len(pid) < 5 or (pid[0] != "storage" and as_text(pid[0]) != "storage"):
            return None
        kind, key, location, numel = pid[1:5]
        dtype = (
            self._kinds[kind] if type(kind) is Global and kind in self._kinds else self._storage_dtype(kind)
        )
        if type(key) is not str or type(location) is not str:
            key, location = as_text(str(key) if isinstance(key, int) else key), as_text(location)
        if dtype is False or key is None or type(numel) is not int or not 0 <= numel < WIDEST:
            return None
        start = 0
        if len(pid) > 5 and pid[5] is not None:
            view = pid[5]
            if (
                not isinstance(view, tuple)
                or len(view) != 3
                or type(view[1]) is not int
                or type(view[2]) is not int
            ):
                return None
            start, size = view[1], view[2]
            if start < 0 or size < 0 or start + size > numel:
                self.odd.append(("a storage view lies outside its storage", node.offset))
                return None
        return Storage(key, dtype, numel, location or "", start)

    def _wrapped_storage(self, node: Any) -> Storage | None:
        """``TypedStorage`` as an object: its state holds the untyped storage and the dtype. Under ``pickle.dump`` a storage is
        a call with the bytes of a legacy stream (torch/storage.py, ``__reduce__``)."""
        if function_of(node) == "torch.storage._load_from_bytes":
            data = raw_bytes(node.args[0]) if isinstance(node.args, tuple) and node.args else None
            return None if data is None or self._inline is None else self._inline(data, node.offset)
        found = class_of(node)
        if found is None or not found.name.endswith("TypedStorage"):
            return None
        state = state_of(node) or {}
        inner = self.storage(state.get("_untyped_storage") or state.get("_storage"))
        dtype = self.dtype(state.get("dtype"))
        if inner is None or dtype is None:
            return inner
        size = max(1, DTYPES[dtype].bits // 8)
        return Storage(inner.key, dtype, inner.nbytes // size, inner.location)

    def _storage_dtype(self, kind: Any) -> Any:
        """Element type of a storage class; ``None`` for untyped; ``False`` for what is no storage class."""
        if not isinstance(kind, Global):
            return False
        if kind not in self._kinds:
            self._kinds[kind] = (
                None
                if kind.name in ("UntypedStorage", "_UntypedStorage")
                else kind.name.endswith("Storage") and _STORAGE_DTYPES.get(kind.name[:-7], False)
            )
        return self._kinds[kind]

    @staticmethod
    def dtype(node: Any) -> str | None:
        """The dtype that a global such as ``torch.float8_e4m3fn`` names, or ``None``."""
        if isinstance(node, Global) and node.module == "torch":
            name = _WORDS.get(node.name, node.name)
            return name if name in DTYPES else None
        return None

    # -- tensors -----------------------------------------------------------------------------------------
    def parts(self, node: Any) -> list[Part] | None:
        """The tensors that a node stands for, with suffixes to its name; ``None`` where it is no tensor."""
        if id(node) in self._known:
            return self._known[id(node)]
        plain = self._ordinary.get(id(node))
        if plain is not None:
            return [("", plain)]
        found: list[Part] | None = None
        self._known[id(node)] = None  # a tensor that is made of itself is none
        if isinstance(node, Made):
            tensor = self._plain(node)
            found = self.made(node) if tensor is None else [("", tensor)]
        elif isinstance(node, PersistentId):
            storage = self.storage(node)
            if storage is not None:
                tensor = Tensor(storage, 0, (storage.numel,), (1,), storage.dtype or "uint8")
                tensor.cls = "Storage"
                bound(tensor)
                found = [("", tensor)]
        self._known[id(node)] = found
        return found

    def ordinary(self, node: Made) -> Tensor | None:
        """The tensor of an ordinary call of ``_rebuild_tensor_v2``; ``None`` for any other node, of which :meth:`parts`
        knows more."""
        place = id(node)
        found = self._ordinary.get(place)
        if found is None and place not in self._known:
            found = self._plain(node)
            if found is not None:
                self._ordinary[place] = found
        return found

    def _plain(self, node: Made) -> Tensor | None:
        """What :meth:`made` gives, in brief, for the ordinary call of ``_rebuild_tensor_v2``; ``None`` for any
        other."""
        args = node.args
        if node.func is not self._rebuild:
            func = node.func
            if not isinstance(func, Global) or (func.module, func.name) != (
                "torch._utils",
                "_rebuild_tensor_v2",
            ):
                return None
            self._rebuild = func
        if type(args) is not tuple or len(args) != 6 or self._depth:
            return None
        source, offset, shape, stride, grad, _ = args
        if type(source) is not PersistentId or type(offset) is not int or type(grad) is not bool:
            return None
        storage = self._storages.get(id(source))
        if storage is None:
            pid = source.pid
            dtype = None
            if type(pid) is tuple and len(pid) == 5 and pid[0] == "storage" and type(pid[1]) is Global:
                dtype = self._kinds.get(pid[1])
            if (
                dtype
                and pid[2] not in self._first
                and type(pid[2]) is type(pid[3]) is str
                and type(pid[4]) is int
                and 0 <= pid[4] < WIDEST
            ):  # what :meth:`storage` comes to for nearly all
                storage = Storage(pid[2], dtype, pid[4], pid[3])
                self._first[pid[2]] = self._storages[id(source)] = storage
            else:
                storage = self.storage(source)
        if storage is None:
            return None
        known = self._views.get((id(shape), id(stride)))  # not by value: True equals 1 and is no size
        if known is None:
            sound = type(shape) is tuple and type(stride) is tuple and len(shape) == len(stride)
            if not sound or sizes_of(shape) is None or sizes_of(stride) is None:
                return None
            geometry = geometry_of(shape, stride)
            known = geometry, geometry[1] and min(shape, default=0) >= 0
            self._views[id(shape), id(stride)] = known
        geometry, plain = known
        tensor = Tensor(storage, offset, shape, stride, storage.dtype or "uint8", grad, geometry)
        if not plain or tensor.first or tensor.span * tensor.itemsize != storage.nbytes:
            bound(tensor)  # else it is all of its storage, once
        return tensor

    def tensor(self, node: Any) -> Tensor | None:
        """The one plain tensor a node stands for, or ``None``."""
        parts = self.parts(node)
        if parts and parts[0][0] == "" and isinstance(parts[0][1], Tensor):
            return parts[0][1]
        return None

    def made(self, node: Made) -> list[Part] | None:
        """What a call makes, for nodes of our own that stand in no memo; see :meth:`parts`."""
        if self._depth > 24:
            self.odd.append(("rebuild calls nested deeper than any honest ones", node.offset))
            return None
        self._depth += 1
        try:
            return self._rebuilt(node)
        finally:
            self._depth -= 1

    def _rebuilt(self, node: Made) -> list[Part] | None:
        func = node.func
        if isinstance(func, Global) and isinstance(node.args, tuple):
            handler = REBUILD.get((func.module, func.name))
            if handler is not None:
                try:
                    return handler(self, node.args)
                except (ValueError, IndexError, TypeError, KeyError, OverflowError):
                    self.odd.append((f"{func.name} is called with arguments that make no sense", node.offset))
                    return None
        array = numpy_array(node)
        if array is not None:
            return [("", array)]
        if node.state is not None:
            return self._old_style(node)
        return None

    def _old_style(self, node: Made) -> list[Part] | None:
        """``torch.FloatTensor`` and ``torch.cuda.FloatTensor`` objects, whose state is ``(storage, offset,
        size, stride)``; a pickled ``Variable`` has ``(data, requires_grad, ...)`` (torch/_tensor.py
        ``__setstate__``); typed storages.
        """
        found = class_of(node)
        if found is None or not found.module.startswith("torch"):
            return None
        if found.name.endswith("TypedStorage"):
            storage = self.storage(node)
            if storage is None:
                return None
            tensor = Tensor(storage, 0, (storage.numel,), (1,), storage.dtype or "uint8")
            tensor.cls = "Storage"
            bound(tensor)
            return [("", tensor)]
        state = node.state
        if not isinstance(state, tuple) or not (
            found.name.endswith("Tensor") or found.name in ("Parameter", "Variable")
        ):
            return None
        if len(state) in (4, 5) and self.storage(state[0]) is not None:
            return self.strided(state[0], state[1], state[2], state[3], None, None)
        if state:
            inner = self.parts(state[0])
            if inner:
                for _, part in inner:
                    if isinstance(part, Tensor) and found.name == "Parameter":
                        part.cls = "Parameter"
                return inner
        return None

    def strided(
        self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, dtype: str | None
    ) -> list[Part] | None:
        """A view of a storage, checked against it. Raises ``ValueError`` for arguments that describe none."""
        found = self.storage(storage)
        shape, steps = sizes_of(size), sizes_of(stride)
        if found is None or shape is None or steps is None or type(offset) is not int:
            raise ValueError
        if len(shape) != len(steps):
            raise ValueError
        tensor = Tensor(found, offset, shape, steps, dtype or found.dtype or "uint8", flag_of(grad))
        bound(tensor)
        return [("", tensor)]
