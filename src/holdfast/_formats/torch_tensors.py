"""Tensors out of pickle nodes: what torch's rebuild functions would make, as descriptions.

Format facts: torch/_utils.py (``_rebuild_*``), torch/_tensor.py (``__reduce_ex__``, ``__setstate__``,
``_rebuild_from_type_v2``), torch/storage.py (storage classes), torch/serialization.py (persistent ids).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from .._core.dtypes import DTYPES
from .pickle_nodes import (
    Global,
    Made,
    PersistentId,
    as_text,
    class_of,
    items_of,
    mapping_of,
    state_of,
)
from .pickle_numpy import NumpyArray, numpy_array

__all__ = ["Storage", "Tensor", "Part", "Reader"]

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
_INTEGERS = {"qint8": "int8", "quint8": "uint8", "qint32": "int32", "quint4x2": "uint8", "quint2x4": "uint8"}
_WORDS = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "int": "int32",
    "long": "int64",
    "short": "int16",
}
_WIDEST = 1 << 62
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ITEMSIZES = {name: max(1, row.bits // 8) for name, row in DTYPES.items()}


class Storage:
    """A storage as the pickle names it.

    ``key`` names its bytes in the file, ``dtype`` its element type (``None`` for untyped ones, counted in
    bytes), ``numel`` the elements it declares, ``location`` the device tag, ``start`` the first element where
    this is a view of another storage (legacy streams only).
    """

    __slots__ = ("dtype", "itemsize", "key", "location", "nbytes", "numel", "start")

    def __init__(self, key: str, dtype: str | None, numel: int, location: str, start: int = 0) -> None:
        self.key, self.dtype, self.numel, self.location, self.start = key, dtype, numel, location, start
        self.itemsize = 1 if dtype is None else _ITEMSIZES[dtype]
        self.nbytes = numel * self.itemsize


class Tensor:
    """A strided view of a storage; ``storage`` is ``None`` where the file holds no bytes for it (meta
    tensors).

    ``offset`` and ``stride`` count elements of ``dtype``. ``problem`` says why it cannot be read, as ``(slug,
    text)``.
    """

    __slots__ = (
        *(
            "storage",
            "offset",
            "shape",
            "stride",
            "dtype",
            "requires_grad",
            "cls",
            "conj",
            "neg",
            "extra",
            "problem",
        ),
        *("attached", "itemsize", "span", "first", "is_contiguous"),
    )

    def __init__(
        self,
        storage: Storage | None,
        offset: int,
        shape: tuple[int, ...],
        stride: tuple[int, ...],
        dtype: str,
        requires_grad: bool | None = None,
    ) -> None:
        self.storage, self.offset, self.shape, self.stride, self.dtype = storage, offset, shape, stride, dtype
        self.requires_grad = requires_grad
        self.cls = "Tensor"
        self.conj = self.neg = False
        self.extra: Mapping[str, Any] = _NOTHING
        self.problem: tuple[str, str] | None = None
        self.attached: Any = None  # the node of a Python-side state, which may hold further tensors
        self.itemsize = _ITEMSIZES[dtype]
        # First element within the storage's bytes, counted in elements of `dtype`.
        self.first = offset if storage is None else storage.start + offset
        span, expected, plain = 1, 1, True
        for size, step in zip(reversed(shape), reversed(stride), strict=False):
            if size != 1:
                if step != expected:
                    plain = False
                span += (size - 1) * step
                expected *= size
        # Elements from the first to the last inclusive; 0 for empty tensors.
        self.span = 0 if 0 in shape else span
        self.is_contiguous = plain

    @property
    def identity(self) -> tuple[Any, ...] | None:
        """Equal for tensors that are the same view of the same elements; ``None`` without bytes."""
        if self.storage is None:
            return None
        steps: Any = None
        if not self.is_contiguous:
            # The elements matter, not how the view was written: strides of dimensions of size 1 say nothing.
            steps = tuple(s if n > 1 else 0 for s, n in zip(self.stride, self.shape, strict=True))
        return (
            self.storage.key,
            self.first * self.itemsize,
            self.shape,
            steps,
            self.dtype,
            self.conj,
            self.neg,
        )


Part = tuple[str, Tensor | NumpyArray]
"""A suffix of the tensor's name and what bears it: plain tensors have one part with suffix ``""``."""


def _sizes(node: Any) -> tuple[int, ...] | None:
    if type(node) is tuple:
        items = node
    else:
        found = items_of(node)
        if found is None:
            return None
        items = tuple(found)
    for n in items:
        if type(n) is not int or not -_WIDEST < n < _WIDEST:
            return None
    return items


def _flag(node: Any) -> bool | None:
    return node if isinstance(node, bool) else bool(node) if isinstance(node, int) else None


class Reader:
    """Turns nodes into tensors; every node once."""

    def __init__(self) -> None:
        self._known: dict[int, list[Part] | None] = {}
        self._storages: dict[int, Storage | None] = {}
        self._first: dict[str, Storage] = {}
        self._depth = 0
        self.odd: list[tuple[str, int]] = []  # what a rebuild call said that makes no sense, with its offset

    # -- storages ----------------------------------------------------------------------------------------
    def storage(self, node: Any) -> Storage | None:
        """The storage that a persistent id names, or ``None``.

        ``('storage', type, key, location, numel)`` in zip files; legacy streams add ``(view_key, offset,
        size)`` or ``None``. Typed storages pickled as objects (torch 1.11 and later) wrap the same id.
        """
        found = self._storages.get(id(node), False)
        if found is not False:
            return found
        self._storages[id(node)] = None  # a storage that wraps itself is none
        made = self._storage(node)
        if made is not None:
            # torch.load keeps the first class that it met for a key (torch/serialization.py
            # ``loaded_storages``); torch before 1.11 could save one storage under two, and reads the second
            # back as the first.
            first = self._first.setdefault(made.key, made)
            if first.dtype != made.dtype and first.start == made.start:
                made = first
        self._storages[id(node)] = made
        return made

    def _storage(self, node: Any) -> Storage | None:
        if (isinstance(node, Made) and isinstance(node.state, (tuple, Made))) or not isinstance(
            node, PersistentId
        ):
            return self._wrapped_storage(node)
        pid = node.pid
        if not isinstance(pid, tuple) or len(pid) < 5 or as_text(pid[0]) != "storage":
            return None
        kind, key, location, numel = pid[1:5]
        dtype = self._storage_dtype(kind)
        if isinstance(key, int):
            key = str(key)
        key, location = as_text(key), as_text(location)
        if dtype is False or key is None or type(numel) is not int or not 0 <= numel < _WIDEST:
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
        """``TypedStorage`` as an object: its state holds the untyped storage and the dtype."""
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

    @staticmethod
    def _storage_dtype(kind: Any) -> Any:
        """Element type of a storage class; ``None`` for untyped; ``False`` for what is no storage class."""
        if not isinstance(kind, Global):
            return False
        if kind.name in ("UntypedStorage", "_UntypedStorage"):
            return None
        if kind.name.endswith("Storage"):
            return _STORAGE_DTYPES.get(kind.name[:-7], False)
        return False

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
        known = self._known.get(id(node), False)
        if known is not False:
            return known
        found: list[Part] | None = None
        self._known[id(node)] = None  # a tensor that is made of itself is none
        if isinstance(node, Made):
            found = self._parts(node)
        elif isinstance(node, PersistentId):
            storage = self.storage(node)
            if storage is not None:
                tensor = Tensor(storage, 0, (storage.numel,), (1,), storage.dtype or "uint8")
                tensor.cls = "Storage"
                self._bound(tensor, node.offset)
                found = [("", tensor)]
        self._known[id(node)] = found
        return found

    def tensor(self, node: Any) -> Tensor | None:
        """The one plain tensor a node stands for, or ``None``."""
        parts = self.parts(node)
        if parts and parts[0][0] == "" and isinstance(parts[0][1], Tensor):
            return parts[0][1]
        return None

    def _parts(self, node: Made) -> list[Part] | None:
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
            handler = _REBUILD.get((func.module, func.name))
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
            self._bound(tensor, node.offset)
            return [("", tensor)]
        state = node.state
        if not isinstance(state, tuple) or not (
            found.name.endswith("Tensor") or found.name in ("Parameter", "Variable")
        ):
            return None
        if len(state) in (4, 5) and self.storage(state[0]) is not None:
            return self._strided(state[0], state[1], state[2], state[3], None, None)
        if state:
            inner = self.parts(state[0])
            if inner:
                for _, part in inner:
                    if isinstance(part, Tensor) and found.name == "Parameter":
                        part.cls = "Parameter"
                return inner
        return None

    def _strided(
        self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, dtype: str | None
    ) -> list[Part] | None:
        found = self.storage(storage)
        shape, steps = _sizes(size), _sizes(stride)
        if found is None or shape is None or steps is None or type(offset) is not int:
            raise ValueError
        if len(shape) != len(steps):
            raise ValueError
        tensor = Tensor(found, offset, shape, steps, dtype or found.dtype or "uint8", _flag(grad))
        self._bound(tensor, 0)
        return [("", tensor)]

    def _bound(self, tensor: Tensor, offset: int) -> None:
        """Note where a view reaches outside its storage, has a negative size, or repeats a few bytes absurdly
        often.
        """
        storage = tensor.storage
        shape, stride = tensor.shape, tensor.stride
        if storage is None:
            return
        contiguous = tensor.offset >= 0 and tensor.is_contiguous and not (shape and min(shape) < 0)
        if contiguous and (tensor.first + tensor.span) * tensor.itemsize <= storage.nbytes:
            return  # the common case in brief: no repeats are possible, so only the end could lie outside
        if tensor.offset < 0 or any(n < 0 for n in shape) or any(s < 0 for s in stride):
            tensor.problem = ("malformed", "a negative size, stride or offset")
            return
        available = storage.nbytes - storage.start * storage.itemsize
        end = (tensor.offset + tensor.span) * tensor.itemsize
        if tensor.span and end > available:
            tensor.problem = (
                "malformed",
                f"the view ends at byte {end} of a storage that declares {available} bytes",
            )
            return
        total = prod(shape) * tensor.itemsize
        if total > max(32 << 20, 16 * available):
            tensor.problem = ("limit", f"{total} bytes are spread out of a storage of {available}")

    # -- rebuild functions -------------------------------------------------------------------------------
    def _tensor(self, args: tuple[Any, ...]) -> list[Part] | None:
        return self._strided(args[0], args[1], args[2], args[3], None, None)

    def _tensor_v2(self, args: tuple[Any, ...]) -> list[Part] | None:
        found = self._strided(args[0], args[1], args[2], args[3], args[4], None)
        if len(args) > 6 and found:
            self._metadata(found[0][1], args[6])
        return found

    def _tensor_v3(self, args: tuple[Any, ...]) -> list[Part] | None:
        dtype = self.dtype(args[6])
        if dtype is None:
            raise ValueError
        found = self._strided(args[0], args[1], args[2], args[3], args[4], dtype)
        if len(args) > 7 and found:
            self._metadata(found[0][1], args[7])
        return found

    @staticmethod
    def _metadata(tensor: Tensor | NumpyArray, node: Any) -> None:
        """``{'conj': True, 'neg': True}``: the view's lazy bits (torch/_utils.py ``get_tensor_metadata``)."""
        words = mapping_of(node) or {}
        if isinstance(tensor, Tensor):
            tensor.conj, tensor.neg = bool(words.get("conj")), bool(words.get("neg"))

    def _parameter(self, args: tuple[Any, ...]) -> list[Part] | None:
        inner = self.parts(args[0])
        if not inner:
            return inner
        made: list[Part] = []
        for suffix, part in inner:
            if isinstance(part, Tensor):
                copy = _copy(part)
                copy.cls = "Parameter"
                copy.requires_grad = _flag(args[1]) if len(args) > 1 else None
                if len(args) > 3:
                    copy.attached = args[3]
                made.append((suffix, copy))
            else:
                made.append((suffix, part))
        return made

    def _from_type_v2(self, args: tuple[Any, ...]) -> list[Part] | None:
        func, kind, inner_args = args[0], args[1], args[2]
        state = args[3] if len(args) > 3 else None
        inner = self._parts(Made(func, inner_args, "REDUCE", 0))  # of no memo: this node is ours
        if not inner:
            return inner
        found = class_of(kind)
        made: list[Part] = []
        for index, (suffix, part) in enumerate(inner):
            if isinstance(part, Tensor):
                part = _copy(part)
                if found is not None and found.text != "torch.Tensor":
                    part.cls = found.name if found.module.startswith("torch") else found.text
                if index == 0:
                    part.attached = state
            made.append((suffix, part))
        return made

    def _sparse(self, args: tuple[Any, ...]) -> list[Part] | None:
        layout, data = args[0], args[1]
        name = as_text(layout.args[0]) if isinstance(layout, Made) and layout.args else None
        if name is None and isinstance(layout, Global):
            name = layout.text
        words = {
            "torch.sparse_coo": ("indices", "values"),
            "torch.sparse_csr": ("crow_indices", "col_indices", "values"),
            "torch.sparse_bsr": ("crow_indices", "col_indices", "values"),
            "torch.sparse_csc": ("ccol_indices", "row_indices", "values"),
            "torch.sparse_bsc": ("ccol_indices", "row_indices", "values"),
        }.get(name or "")
        if words is None or name is None:
            raise ValueError
        whole = _sizes(data[len(words)])
        made: list[Part] = []
        for word, node in zip(words, data, strict=False):
            for suffix, part in self.parts(node) or ():
                if isinstance(part, Tensor):
                    part = _copy(part)
                    part.extra = {"sparse": name[6:], "part": word, "dense_shape": list(whole or ())}
                    if (
                        word == "values"
                        and len(data) > len(words) + 1
                        and isinstance(data[len(words) + 1], bool)
                    ):
                        part.extra["is_coalesced"] = data[len(words) + 1]
                made.append((f".{word}{suffix}", part))
        return made

    def _quantised(self, args: tuple[Any, ...]) -> list[Part] | None:
        found = self._strided(args[0], args[1], args[2], args[3], args[5] if len(args) > 5 else None, None)
        params = args[4]
        if not found or not isinstance(params, tuple) or not params or not isinstance(params[0], Global):
            raise ValueError
        tensor = found[0][1]
        assert isinstance(tensor, Tensor)
        scheme = params[0].name
        extra: dict[str, Any] = {"quantised": tensor.dtype, "qscheme": scheme}
        tensor.extra = extra
        tensor.dtype = _INTEGERS.get(tensor.dtype, tensor.dtype)
        made: list[Part] = [(".int_repr", tensor)]
        if scheme.startswith("per_channel"):
            extra["axis"] = params[3]
            for word, node in (("scales", params[1]), ("zero_points", params[2])):
                for suffix, part in self.parts(node) or ():
                    if isinstance(part, Tensor):
                        part = _copy(part)
                        part.extra = {"part": word}
                    made.append((f".{word}{suffix}", part))
                if isinstance(node, (list, tuple)):  # torch 1.4 and 1.5 pickled them as plain lists
                    dtype = np.dtype("<f8" if word == "scales" else "<i8")
                    data = np.array(list(node), dtype).tobytes()
                    made.append((f".{word}", NumpyArray((len(node),), dtype, False, data)))
        else:
            extra["scale"], extra["zero_point"] = params[1], params[2]
        return made

    def _nested(self, args: tuple[Any, ...]) -> list[Part] | None:
        """``(buffer, sizes, strides, offsets)``; sizes and strides are tensors themselves, so the parts need
        their values.

        Listed as one buffer here; the catalog cuts it into ``nested.0``, ``nested.1`` when it has read the
        sizes.
        """
        buffer = self.tensor(args[0])
        if buffer is None:
            raise ValueError
        buffer = _copy(buffer)
        buffer.extra = {"nested": (self.tensor(args[1]), self.tensor(args[2]), args[3])}
        return [(".nested", buffer)]

    def _meta(self, args: tuple[Any, ...]) -> list[Part] | None:
        return self._without_bytes(args[0], args[1], args[2], args[3] if len(args) > 3 else None, "meta")

    def _wrapper(self, args: tuple[Any, ...]) -> list[Part] | None:
        found = self._without_bytes(
            args[1], args[2], args[3], args[7] if len(args) > 7 else None, "wrapper subclass"
        )
        kind = class_of(args[0])
        if found and kind is not None and isinstance(found[0][1], Tensor):
            found[0][1].cls = kind.name
        return found

    def _without_bytes(self, dtype: Any, size: Any, stride: Any, grad: Any, what: str) -> list[Part] | None:
        name, shape, steps = self.dtype(dtype), _sizes(size), _sizes(stride)
        if name is None or shape is None:
            raise ValueError
        tensor = Tensor(None, 0, shape, steps or (), name, _flag(grad))
        tensor.extra = {"without_bytes": what}
        tensor.problem = (
            "not-stored",
            f"a tensor that the file only describes ({what}): its values are not in it",
        )
        return [("", tensor)]

    def _device(self, args: tuple[Any, ...]) -> list[Part] | None:
        """XLA and other devices that hand their values over as a CPU tensor or numpy array."""
        inner = self.parts(args[0])
        device = as_text(args[2]) if len(args) > 2 else None
        made: list[Part] = []
        for suffix, part in inner or ():
            if isinstance(part, Tensor):
                part = _copy(part)
                part.extra = {"device": device}
                part.requires_grad = _flag(args[3]) if len(args) > 3 else None
            made.append((suffix, part))
        return made or None


def _copy(tensor: Tensor) -> Tensor:
    made = Tensor(
        tensor.storage, tensor.offset, tensor.shape, tensor.stride, tensor.dtype, tensor.requires_grad
    )
    made.cls, made.conj, made.neg, made.problem = tensor.cls, tensor.conj, tensor.neg, tensor.problem
    made.extra, made.attached = dict(tensor.extra), tensor.attached
    return made


_REBUILD: dict[tuple[str, str], Callable[[Reader, tuple[Any, ...]], list[Part] | None]] = {
    ("torch._utils", "_rebuild_tensor"): Reader._tensor,
    ("torch._utils", "_rebuild_tensor_v2"): Reader._tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): Reader._tensor_v3,
    ("torch._utils", "_rebuild_parameter"): Reader._parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): Reader._parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): Reader._from_type_v2,
    ("torch._tensor", "_rebuild_from_type"): Reader._from_type_v2,
    ("torch.tensor", "_rebuild_from_type"): Reader._from_type_v2,
    ("torch._utils", "_rebuild_sparse_tensor"): Reader._sparse,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): Reader._sparse,
    ("torch._utils", "_rebuild_qtensor"): Reader._quantised,
    ("torch._utils", "_rebuild_nested_tensor"): Reader._nested,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): Reader._meta,
    ("torch._utils", "_rebuild_wrapper_subclass"): Reader._wrapper,
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): Reader._device,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): Reader._device,
    ("torch._utils", "_rebuild_xla_tensor"): Reader._device,
    ("torch._utils", "_rebuild_mlc_tensor"): Reader._device,
    ("torch._utils", "_rebuild_ort_tensor"): Reader._device,
}
