"""Looking at values without holding them: samples, fingerprints, equality up to a cast.

A :class:`Probe` answers for two catalogs at once. At depth ``header`` there is none; at ``structure`` it
looks at samples of large tensors; at ``full`` at everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import DTYPES, carrier
from .._core.effort import excess, too_often
from .._core.errors import HoldfastError
from .._core.spec import TensorSpec

__all__ = ["Fingerprint", "Probe", "bits", "equal_values", "flat_pieces", "narrower"]

SAMPLE = 512
PIECE = 1 << 22  # bytes looked at in one go
WHOLE = 1 << 24  # below this many bytes a fingerprint reads the tensor even at depth structure
TEXTS = 1 << 20  # the same for texts, which take ten times as much as Python objects


class Fingerprint(NamedTuple):
    """Sums over all elements' bits: the same for every order of the axes. ``constant``: all elements are
    equal."""

    size: int
    total: int
    squares: int
    constant: bool


def bits(values: np.ndarray) -> np.ndarray:
    """The elements as unsigned integers (structured ones as bytes), flat; a copy only where it must be."""
    flat = np.ascontiguousarray(values).reshape(-1)
    size = flat.dtype.itemsize
    return flat.view(f"u{size}" if size in (1, 2, 4, 8) else np.uint8)


def flat_pieces(values: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """The elements in C order, ``step`` at a time; copies only what is not contiguous, and only piece by
    piece."""
    flat = values.reshape(-1) if values.flags.c_contiguous else values.flat
    for at in range(0, values.size, step):
        yield flat[at : at + step]


def narrower(a: str, b: str) -> str:
    """Of two dtype names the one with fewer bits; the second where they have the same."""
    left, right = DTYPES.get(a), DTYPES.get(b)
    return a if left and right and left.bits < right.bits else b


def _plain(values: np.ndarray) -> bool:
    return values.dtype != object and values.dtype.names is None


def equal_values(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same bits, or do once the wider is cast to the narrower (either way for
    equal widths)."""
    if a.shape != b.shape:
        return False
    if a.dtype == object or b.dtype == object:
        return [_bytes(v) for v in a.reshape(-1)] == [_bytes(v) for v in b.reshape(-1)]
    if a.dtype == b.dtype:
        return bool(np.array_equal(bits(a), bits(b)))
    if not (_plain(a) and _plain(b)) or (a.dtype.kind == "c") != (b.dtype.kind == "c"):
        return False
    with np.errstate(all="ignore"):
        if a.dtype.itemsize >= b.dtype.itemsize and np.array_equal(bits(a.astype(b.dtype)), bits(b)):
            return True
        return b.dtype.itemsize >= a.dtype.itemsize and np.array_equal(bits(b.astype(a.dtype)), bits(a))


def _bytes(value: object) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]


class Probe:
    """Values of two catalogs, for questions of matching. ``errors`` collects what could not be read, by
    (side, name)."""

    def __init__(self, a: Catalog, b: Catalog, *, whole: bool) -> None:
        self._catalogs = {"a": a, "b": b}
        self.whole = whole
        left_out = too_often()  # one for all: there may be tens of thousands
        self.errors: dict[tuple[str, str], HoldfastError] = {
            (side, name): left_out
            for side, catalog in self._catalogs.items()
            for name in excess(catalog.values())
        }
        self._last: dict[str, tuple[str, np.ndarray]] = {}
        self._prints: dict[tuple[str, str, str], Fingerprint | None] = {}

    def array(self, side: str, name: str) -> np.ndarray | None:
        """The tensor, or ``None`` where it cannot be read. The last one of each side is kept."""
        last = self._last.get(side)
        if last is not None and last[0] == name:
            return last[1]
        if (side, name) in self.errors:
            return None
        try:
            values = np.asarray(self._catalogs[side].read(name))
        except HoldfastError as error:
            self.errors[side, name] = error
            return None
        self._last[side] = (name, values)
        return values

    def sample(self, side: str, name: str, axes: tuple[int, ...] | None = None) -> np.ndarray | None:
        """Up to :data:`SAMPLE` elements, evenly spaced in the C order of the (permuted) tensor; all of a
        small one."""
        spec = self._catalogs[side][name]
        costly = spec.dtype == "string" or any(run.offset is None for run in spec.stored)
        large = spec.nbytes > (TEXTS if spec.dtype == "string" else WHOLE)
        if large and ((costly and not self.whole) or _grows(spec)):
            return self._streamed(side, spec, axes)
        values = self.array(side, name)
        if values is None:
            return None
        if axes is not None and len(axes) == values.ndim:
            values = values.transpose(axes)
        if values.size <= SAMPLE:
            return values.reshape(-1)
        return values[np.unravel_index(_steps(values.size), values.shape)]

    def _streamed(self, side: str, spec: TensorSpec, axes: tuple[int, ...] | None) -> np.ndarray | None:
        """The same sample of a large tensor that is stored compressed: it is never held whole."""
        if (side, spec.name) in self.errors:
            return None
        shape, size = spec.shape, a_size(spec)
        where = _steps(size)
        if axes is not None and len(axes) == len(shape):
            permuted = np.unravel_index(where, tuple(shape[axis] for axis in axes))
            back = np.argsort(axes)
            where = np.ravel_multi_index(tuple(permuted[axis] for axis in back), shape)
        order = np.argsort(where, kind="stable")
        found: list[np.ndarray] = []
        at = done = 0
        try:
            for piece in self._catalogs[side].pieces(spec.name, PIECE):
                end = int(np.searchsorted(where[order], at + piece.size))
                found.append(piece[where[order[done:end]] - at])
                at, done = at + piece.size, end
        except HoldfastError as error:
            self.errors[side, spec.name] = error
            return None
        if done != len(where):
            return None
        values = np.concatenate(found)
        sample = np.empty_like(values)
        sample[order] = values
        return sample

    def same(self, a: TensorSpec, b: TensorSpec, axes: tuple[int, ...] | None = None) -> bool | None:
        """Whether both hold the same values up to a cast (in the sample, or everywhere); ``None``: cannot be
        told."""
        left = self.sample("a", a.name, axes)
        right = self.sample("b", b.name)
        if left is None or right is None:
            return None
        if not equal_values(left, right):
            return False
        if not self.whole or left.size == a_size(a):
            return True
        if axes is None and _grows(a) and _grows(b):
            return self._same_pieces(a, b)
        whole_a, whole_b = self.array("a", a.name), self.array("b", b.name)
        if whole_a is None or whole_b is None:
            return None
        if axes is not None:
            whole_a = whole_a.transpose(axes)
        if whole_a.shape != whole_b.shape:
            return False
        step = max(1, PIECE // max(1, whole_a.dtype.itemsize))
        return all(map(equal_values, flat_pieces(whole_a, step), flat_pieces(whole_b, step)))

    def _same_pieces(self, a: TensorSpec, b: TensorSpec) -> bool | None:
        """Whether two tensors that grow when they are read hold the same values, held in pieces only."""
        for side, spec in (("a", a), ("b", b)):
            if (side, spec.name) in self.errors:
                return None
        left, right = (self._catalogs[s].pieces(t.name, PIECE) for s, t in (("a", a), ("b", b)))
        side, name = "a", a.name
        try:
            while True:
                side, name = "a", a.name
                one = next(left, None)
                side, name = "b", b.name
                other = next(right, None)
                if one is None or other is None:
                    return one is other
                if not equal_values(one, other):
                    return False
        except HoldfastError as error:
            self.errors[side, name] = error
            return None

    def fingerprint(self, side: str, spec: TensorSpec, dtype: str) -> Fingerprint | None:
        """Order-free sums of the values as ``dtype``; ``None`` where they cannot be read or are too many for
        the depth."""
        key = (side, spec.name, dtype)
        if key not in self._prints:
            self._prints[key] = self._fingerprint(side, spec, dtype)
        return self._prints[key]

    def _fingerprint(self, side: str, spec: TensorSpec, dtype: str) -> Fingerprint | None:
        if not self.whole and spec.nbytes > (TEXTS if spec.dtype == "string" else WHOLE):
            return None
        values = self.array(side, spec.name)
        if values is None or values.dtype.names is not None:
            return None
        if values.dtype == object:
            total = hash(tuple(_bytes(v) for v in values.reshape(-1)))
            return Fingerprint(values.size, total, 0, values.size < 2)
        total = squares = 0
        constant = True
        first: int | None = None
        target = None if dtype == spec.dtype or dtype not in DTYPES else carrier(dtype)
        if target is not None and (target.kind == "c") != (values.dtype.kind == "c"):
            return None
        for piece in flat_pieces(values, max(1, PIECE // max(1, values.dtype.itemsize))):
            if target is not None:
                with np.errstate(all="ignore"):
                    piece = piece.astype(target)
            words = bits(piece).astype(np.uint64)
            if first is None and words.size:
                first = int(words[0])
            constant = constant and bool((words == np.uint64(first or 0)).all())
            total = (total + int(words.sum(dtype=np.uint64))) % (1 << 64)
            # a nonlinear mix, so that sums do not agree by chance
            mixed = words * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            squares = (squares + int((mixed * mixed).sum(dtype=np.uint64))) % (1 << 64)
        return Fingerprint(values.size, total, squares, constant)


def _grows(spec: TensorSpec) -> bool:
    """Whether reading a tensor takes more room than its bytes: elements of less than a byte are unpacked."""
    return spec.dtype in DTYPES and DTYPES[spec.dtype].bits < 8


def _steps(size: int) -> np.ndarray:
    """Places of a sample, in steps that do not fall on one column again and again."""
    return (np.arange(SAMPLE, dtype=np.int64) * (size - 1)) // (SAMPLE - 1)


def a_size(spec: TensorSpec) -> int:
    """The number of elements of a tensor."""
    size = 1
    for extent in spec.shape:
        size *= extent
    return size
