"""Digests: how bytes become leaves, leaves a tensor's digest, and tensors, header and gaps a file's.

Everything is BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs). ``u64`` below is eight bytes,
little-endian.

**Regions.** A file's byte range is partitioned: each run of stored tensor bytes is a region, and so is each
stretch between them (header, gaps, the end). Runs that overlap (tied tensors, views of one storage) are cut
where a run begins or ends, so that every byte lies in one region, is read once, and belongs to all tensors
whose run covers it (:mod:`holdfast._integrity.regions`).

**Leaves.** A region is cut into leaves of 4 MiB from its own start; the last may be shorter. A leaf's digest
is the plain BLAKE3 of its bytes: any tool can check one.

**Region** (derived key ``holdfast tensor v1``): ``u64(length)`` and the digests of its leaves, in order. The
length keeps apart what padding could confuse; the derived key keeps a region's digest from being mistaken for
a leaf's.

**Tensor.** The same function over the tensor's *canonical bytes*: its elements in C order, little-endian, one
after the other, types below a byte as one byte each, complex numbers as (real, imaginary), strings as
``u64(length)`` and the bytes of each element. Dtype and shape are no part of it; they are compared apart.
Where a tensor is stored as one plain run of canonical bytes, its digest *is* its region's: one pass over the
file gives both. Where it is not (deflated, big-endian, strided, assembled from slices, chunked), the tensor's
digest is taken from ``Catalog.pieces``, and the file is digested by its regions all the same.

**File** (derived key ``holdfast file v1``): ``u64(size)``, then for each region ``u64(length)`` and the
region's digest.

So one changed byte is narrowed to one leaf, its range of at most 4 MiB in the file, and the tensors that lie
there.

**Checksums.** Beside its digest a leaf has a checksum: XXH3-128, seed 0, as 32 hexadecimal digits, the high half first
(https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md). A digest tells what a checkpoint *is*, also against
somebody who means to deceive; it takes longer than the reading. A checksum tells whether what was saved has *arrived*: 128
bits find any accident, as fast as memory gives the bytes. A restore compares checksums where there are any; ``verify``
always compares digests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from blake3 import blake3
from xxhash import xxh3_128

from .._core.errors import NotStored
from .._storage import Source
from .._storage.mapped import mapped
from .finite import Test

__all__ = [
    "LEAF",
    "LeafHasher",
    "Hashes",
    "LeafHashes",
    "region_digest",
    "file_digest",
    "canonical_bytes",
    "digest_array",
    "digest_pieces",
    "checksum_array",
    "checksum_of",
    "hash_leaves",
    "hash_and_sum_leaves",
]

LEAF = 4 << 20
_TENSOR = "holdfast tensor v1"
_FILE = "holdfast file v1"
_WORTH_MAPPING = 1 << 17
_CACHED = 512 << 10
"""Bytes that are hashed at once where two hashers take them: the second finds them in the processor's cache."""
_VALUE = 16
"""Bytes of the largest value (complex128): what is cut at multiples of it is cut between values."""
_U64 = struct.Struct("<Q")


def region_digest(length: int, leaves: Iterable[str]) -> str:
    """The digest of a region (or of a tensor's canonical bytes) of ``length`` bytes, from the digests of its
    leaves."""
    whole = blake3(derive_key_context=_TENSOR)
    whole.update(_U64.pack(length))
    for leaf in leaves:
        whole.update(bytes.fromhex(leaf))
    return whole.hexdigest()


def file_digest(size: int, regions: Iterable[tuple[int, str]]) -> str:
    """The digest of a file of ``size`` bytes from ``(length, digest)`` of its regions in order."""
    whole = blake3(derive_key_context=_FILE)
    whole.update(_U64.pack(size))
    for length, digest in regions:
        whole.update(_U64.pack(length))
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()


class Hashes(NamedTuple):
    """What is known of a leaf's bytes: its digest, its checksum, and, where that was asked, whether its values are finite."""

    digest: str
    checksum: str
    finite: bool | None = None


class LeafHashes:
    """Digest and checksum of one leaf, from its bytes in pieces of any size; with ``test``
    (:func:`holdfast._integrity.finite.finite_test`) of whole values, also whether all are finite."""

    __slots__ = ("_digest", "_finite", "_sum", "_test")

    def __init__(self, test: Test | None = None) -> None:
        self._digest, self._sum = blake3(), xxh3_128()
        self._test = test
        self._finite = None if test is None else True

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._digest.update(data)
        self._sum.update(data)
        if self._finite and self._test is not None:
            self._finite = self._test(memoryview(data))

    def hashes(self) -> Hashes:
        """All, of the bytes so far."""
        return Hashes(self._digest.hexdigest(), self._sum.hexdigest(), self._finite)


class LeafHasher:
    """Cuts a stream of bytes into leaves: :meth:`update` with pieces of any size, then :meth:`digest`."""

    def __init__(self, leaf_bytes: int = LEAF) -> None:
        self.leaf_bytes = leaf_bytes
        self.length = 0
        self._leaves: list[str] = []
        self._open = blake3()

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream."""
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        while len(view):
            room = self.leaf_bytes - self.length % self.leaf_bytes
            part = view[:room]
            self._open.update(part)
            self.length += len(part)
            view = view[room:]
            if self.length % self.leaf_bytes == 0:
                self._leaves.append(self._open.hexdigest())
                self._open = blake3()

    @property
    def leaves(self) -> list[str]:
        """Digests of all leaves so far, a last short one included."""
        return self._leaves + ([self._open.hexdigest()] if self.length % self.leaf_bytes else [])

    def digest(self) -> str:
        """The digest of the whole stream, as of a region or tensor."""
        return region_digest(self.length, self.leaves)


def canonical_bytes(array: np.ndarray) -> memoryview:
    """The canonical bytes of an array (see the module's page); without a copy where they lie like that
    already.

    Raises :class:`NotStored` for object arrays of anything but texts and bytes.
    """
    if array.dtype.hasobject:
        parts = []
        for item in array.reshape(-1):
            if isinstance(item, str):
                item = item.encode("utf-8", "surrogateescape")
            if not isinstance(item, (bytes, bytearray)):
                raise NotStored("elements that have no canonical bytes", found=type(item).__name__)
            parts += [_U64.pack(len(item)), bytes(item)]
        return memoryview(b"".join(parts))
    little = array.dtype.newbyteorder("<")
    if little != array.dtype:
        array = array.astype(little)
    if array.size == 0 or array.dtype.itemsize == 0:
        return memoryview(b"")
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).data


def digest_pieces(pieces: Iterable[np.ndarray], leaf_bytes: int = LEAF) -> str:
    """A tensor's digest from its elements in C order, in pieces of any size."""
    whole = LeafHasher(leaf_bytes)
    for piece in pieces:
        whole.update(canonical_bytes(piece))
    return whole.digest()


def digest_array(array: np.ndarray, leaf_bytes: int = LEAF) -> str:
    """The digest of a tensor that is in memory."""
    return digest_pieces((array,), leaf_bytes)


def checksum_of(length: int, checksums: Iterable[str]) -> str:
    """The checksum of ``length`` bytes, from those of their leaves."""
    whole = xxh3_128(_U64.pack(length))
    for checksum in checksums:
        whole.update(bytes.fromhex(checksum))
    return whole.hexdigest()


def checksum_array(array: np.ndarray) -> str:
    """The checksum of a tensor's canonical bytes, made of those of its leaves."""
    data = canonical_bytes(array)
    return checksum_of(
        len(data), (xxh3_128(data[at : at + LEAF]).hexdigest() for at in range(0, len(data), LEAF))
    )


def hash_leaves(source: Source, leaves: Sequence[tuple[int, int]], window: memoryview) -> list[str]:
    """Digests of leaves ``(offset, length)`` that follow each other without a gap.

    Hashed in place where the file can be mapped safely, else read through ``window`` (at least 32 bytes, about 1 MiB: what
    was read is hashed while it lies in the processor's cache). Raises :class:`Truncated`.
    """
    return [hasher.hexdigest() for hasher in _hashed(source, leaves, window, (blake3() for _ in leaves))]


def hash_and_sum_leaves(
    source: Source, leaves: Sequence[tuple[int, int]], window: memoryview, tests: Iterable[Test | None]
) -> list[Hashes]:
    """Digests and checksums of leaves, as :func:`hash_leaves` reads them; ``tests``: for each, what tells whether its values are
    finite."""
    return [sums.hashes() for sums in _hashed(source, leaves, window, map(LeafHashes, tests))]


class _Taking(Protocol):
    def update(self, data: memoryview, /) -> object: ...


_H = TypeVar("_H", bound=_Taking)


def _hashed(
    source: Source, leaves: Sequence[tuple[int, int]], window: memoryview, hashers: Iterable[_H]
) -> Iterator[_H]:
    """The hasher of each leaf, once it has taken its bytes: in pieces of whole values, counted from the leaf's start."""
    first, end = leaves[0][0], leaves[-1][0] + leaves[-1][1]
    if end - first >= _WORTH_MAPPING:
        with mapped(source, first, end - first) as view:
            if view is not None:
                for (at, length), whole in zip(leaves, hashers, strict=True):
                    last = at - first + length
                    for start in range(at - first, last, _CACHED):
                        whole.update(view[start : min(start + _CACHED, last)])
                    yield whole
                return
    start = stop = first  # the range of the file that the window holds
    for (offset, length), whole in zip(leaves, hashers, strict=True):
        at, last = offset, offset + length
        while at < last:
            until = last if last <= stop else stop - (stop - offset) % _VALUE
            if until <= at:
                start, stop = at, min(end, at + len(window) // _VALUE * _VALUE)
                source.readinto(start, window[: stop - start])
                continue
            whole.update(window[at - start : until - start])
            at = until
        yield whole
