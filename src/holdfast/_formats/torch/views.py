"""Storages and strided views of them, as a pickle of torch describes them; and which of those make no sense.

Format facts: torch/storage.py (storage classes), torch/serialization.py (persistent ids).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import Any

from ..._core.dtypes import DTYPES
from ..pickles.arrays import NumpyArray
from ..pickles.nodes import items_of

__all__ = [
    "NOTHING",
    "WIDE",
    "WIDEST",
    "Part",
    "Geometry",
    "Storage",
    "Tensor",
    "bound",
    "copy_of",
    "flag_of",
    "geometry_of",
    "sizes_of",
]

WIDEST = 1 << 62
"""Sizes, strides and counts from here on are nobody's honest ones."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
WIDE = frozenset(name for name, row in DTYPES.items() if row.bits >= 8)
"""Dtypes of which every element has bytes of its own."""
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


Geometry = tuple[int, bool]
"""Elements from the first to the last inclusive (0 for empty tensors), and whether they are in C order without
gaps."""


def geometry_of(shape: tuple[int, ...], stride: tuple[int, ...]) -> Geometry:
    """The extent of a view of these sizes and strides (in elements)."""
    span, expected, plain = 1, 1, True
    for size, step in zip(reversed(shape), reversed(stride), strict=False):
        if size != 1:
            if step != expected:
                plain = False
            span += (size - 1) * step
            expected *= size
    return 0 if 0 in shape else span, plain


class Tensor:
    """A strided view of a storage; ``storage`` is ``None`` where the file holds no bytes for it (meta
    tensors).

    ``offset`` and ``stride`` count elements of ``dtype``; ``geometry`` spares the work where it is known.
    ``problem`` says why it cannot be read, as ``(slug, text)``.
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
        geometry: Geometry | None = None,
    ) -> None:
        self.storage, self.offset, self.shape, self.stride, self.dtype = storage, offset, shape, stride, dtype
        self.requires_grad = requires_grad
        self.cls = "Tensor"
        self.conj = self.neg = False
        self.extra: Mapping[str, Any] = NOTHING
        self.problem: tuple[str, str] | None = None
        self.attached: Any = None  # the node of a Python-side state, which may hold further tensors
        self.itemsize = _ITEMSIZES[dtype]
        # First element within the storage's bytes, counted in elements of `dtype`.
        self.first = offset if storage is None else storage.start + offset
        self.span, self.is_contiguous = geometry or geometry_of(shape, stride)

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


def sizes_of(node: Any) -> tuple[int, ...] | None:
    """A shape or strides as a pickle holds them (a tuple, ``torch.Size``), or ``None`` for what is none."""
    if type(node) is tuple:
        items = node
    else:
        found = items_of(node)
        if found is None:
            return None
        items = tuple(found)
    for n in items:
        if type(n) is not int or not -WIDEST < n < WIDEST:
            return None
    return items


def flag_of(node: Any) -> bool | None:
    """A truth value as a pickle holds it (protocol 1 wrote integers), or ``None``."""
    return node if isinstance(node, bool) else bool(node) if isinstance(node, int) else None


def copy_of(tensor: Tensor) -> Tensor:
    """The same view, to be changed without the node's other bearers."""
    made = Tensor(
        tensor.storage, tensor.offset, tensor.shape, tensor.stride, tensor.dtype, tensor.requires_grad
    )
    made.cls, made.conj, made.neg, made.problem = tensor.cls, tensor.conj, tensor.neg, tensor.problem
    made.extra, made.attached = dict(tensor.extra), tensor.attached
    return made


def bound(tensor: Tensor) -> None:
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
