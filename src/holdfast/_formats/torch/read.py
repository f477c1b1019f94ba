"""Bytes of storages into arrays: where storages lie, and strided views of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from ..._core.dtypes import carrier
from ..._core.errors import DamagedCheckpoint, LimitExceeded, NotStored, PartMissing, Truncated
from ..._core.fault import Check
from .views import WIDE, Storage, Tensor

__all__ = ["Bank", "read_tensor", "stretch_of"]


class Bank(ABC):
    """Where the bytes of storages lie.

    ``big`` tells whether elements are big-endian. ``missing`` and ``short`` name storages that are not
    (wholly) there.
    """

    big = False

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Bytes that are really there for a storage; ``None`` where it is missing."""

    @abstractmethod
    def place(self, key: str) -> int | None:
        """Offset of the storage's first byte in the file; ``None`` where its bytes are compressed."""

    def extent(self, key: str) -> tuple[int | None, int | None]:
        """Size and place in one."""
        return self.size(key), self.place(key)

    @abstractmethod
    def view(self, key: str, start: int, length: int) -> memoryview:
        """``length`` bytes of a storage from byte ``start``."""

    def inline(self, data: bytes, offset: int) -> Storage | None:
        """The storage that lies in the pickle itself, as bytes, at an offset; ``None`` where they are none."""
        return None

    def checks(self, names: dict[str, list[str]]) -> Iterator[Check]:
        """Integrity evidence; ``names`` are the tensors on each storage."""
        return iter(())


def read_tensor(tensor: Tensor, bank: Bank) -> np.ndarray:
    """A strided view of a storage as an array. Raises as :meth:`TorchCatalog.read` does."""
    if tensor.problem is not None:
        slug, text = tensor.problem
        kind = {"not-stored": NotStored, "limit": LimitExceeded}.get(slug, DamagedCheckpoint)
        raise kind(f"the tensor cannot be read: {text}")
    if len(tensor.shape) > 32:
        raise LimitExceeded(
            "more dimensions than numpy has room for", expected="at most 32", found=len(tensor.shape)
        )
    dtype = carrier(tensor.dtype)
    if tensor.span == 0 or tensor.storage is None:
        try:
            return np.empty(tensor.shape, dtype)
        except ValueError as error:
            raise LimitExceeded("an empty tensor of absurd shape", found=tensor.shape) from error
    start, length = tensor.first * dtype.itemsize, tensor.span * dtype.itemsize
    available = bank.size(tensor.storage.key)
    if available is None:
        raise PartMissing(
            "the bytes of the tensor's storage are not in the file", expected=f"storage {tensor.storage.key}"
        )
    if start + length > available:
        raise Truncated(
            "the tensor's storage is shorter than the checkpoint says",
            expected=f"{start + length} bytes of storage {tensor.storage.key}",
            found=f"{available}",
        )
    raw = bank.view(tensor.storage.key, start, length)
    flat = np.frombuffer(raw, dtype)
    if bank.big:
        flat = _swapped(flat)
    if tensor.is_contiguous:
        found = flat.reshape(tensor.shape)
    else:
        steps = tuple(s * dtype.itemsize for s in tensor.stride)
        found = np.lib.stride_tricks.as_strided(flat, tensor.shape, steps, writeable=False)
    if tensor.conj:
        found = _conjugate(found)
    if tensor.neg:
        found = _negative(found)
    return found


def stretch_of(tensor: Tensor, bank: Bank) -> Callable[[int, int], memoryview] | None:
    """How to read a part of a tensor by first byte and count, where its elements lie as they are given out, whole and
    uncompressed; else ``None``, and :func:`read_tensor` tells what is the matter."""
    storage = tensor.storage
    if storage is None or tensor.problem is not None or not tensor.is_contiguous or tensor.dtype not in WIDE:
        return None
    size, place = bank.extent(storage.key)
    first, length = tensor.first * tensor.itemsize, tensor.span * tensor.itemsize
    turned = bank.big or tensor.conj or tensor.neg
    if turned or size is None or place is None or first + length > size:
        return None
    return lambda start, count: bank.view(storage.key, first + start, count)


def _swapped(flat: np.ndarray) -> np.ndarray:
    """Big-endian elements turned: each number by itself, both halves of a complex one."""
    width = flat.dtype.itemsize
    if flat.dtype.kind == "c" or flat.dtype.names:
        width //= 2
    if width == 1:
        return flat
    return np.frombuffer(flat.view(f"u{width}").byteswap().tobytes(), flat.dtype)


def _conjugate(found: np.ndarray) -> np.ndarray:
    if found.dtype.names:
        copy = found.copy()
        copy["imag"] = -copy["imag"]
        return copy
    return np.conjugate(found)


def _negative(found: np.ndarray) -> np.ndarray:
    if found.dtype.names:
        copy = found.copy()
        copy["real"], copy["imag"] = -copy["real"], -copy["imag"]
        return copy
    return np.negative(found)
