"""Strings and variants in a tensor bundle: their layout and their crc32c.

Strings: the lengths as varints, four bytes of masked crc32c of the lengths, then the bytes one after the
other. The crc does not run over the varints but over each length as ``uint32`` (``uint64`` above 2^32 - 1),
little-endian, then over the four checksum bytes and the strings. Variants: for each element a varint length,
the bytes of a ``VariantTensorDataProto`` and four bytes of masked crc32c of all so far; lengths enter the
crc as ``uint64``. Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (WriteStringTensor,
WriteVariantTensor and their readers).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._core.errors import ChecksumMismatch, DamagedCheckpoint
from ..._core.fault import Progress
from ..._storage import Source
from ..protobuf import varint
from .table import mask

__all__ = ["read_strings", "read_variants", "crc_of_run", "crc_of_strings", "crc_of_variants"]

_STEP = 1 << 20


def _lengths(source: Source, offset: int, size: int, count: int) -> tuple[np.ndarray, int]:
    """The lengths of ``count`` strings (uint64) and the position behind them, relative to ``offset``."""
    if count > size:
        raise DamagedCheckpoint(
            "fewer bytes than strings",
            file=source.name,
            offset=offset,
            expected=f"{count} lengths",
            found=f"{size} bytes",
        )
    lengths = np.empty(count, np.uint64)
    base = at = done = 0
    chunk = source.read(offset, min(size, _STEP))
    while done < count:
        if at > len(chunk) - 10 and base + len(chunk) < size:
            base, at = base + at, 0
            chunk = source.read(offset + base, min(size - base, _STEP))
        try:
            lengths[done], at = varint(chunk, at)
        except DamagedCheckpoint as error:
            raise DamagedCheckpoint(error.message, file=source.name, offset=offset + base + at) from error
        done += 1
    return lengths, base + at


def _strings(source: Source, offset: int, size: int, count: int) -> tuple[np.ndarray, int]:
    lengths, at = _lengths(source, offset, size, count)
    total = int(lengths.astype(object).sum()) if count and int(lengths.max()) > size else int(lengths.sum())
    if at + 4 + total != size:
        raise DamagedCheckpoint(
            "the lengths of the strings do not add up to the entry's size",
            file=source.name,
            offset=offset,
            expected=f"{size} bytes",
            found=f"{at + 4 + total}",
        )
    return lengths, at


def _crc_of_lengths(lengths: np.ndarray, order: str) -> int:
    import crc32c

    if len(lengths) == 0 or int(lengths.max()) <= 0xFFFFFFFF:
        return crc32c.crc32c(lengths.astype(f"{order}u4").tobytes())
    crc = 0
    for length in lengths.tolist():
        crc = crc32c.crc32c(
            length.to_bytes(4 if length <= 0xFFFFFFFF else 8, "little" if order == "<" else "big"), crc
        )
    return crc


def read_strings(
    source: Source, offset: int, size: int, count: int, *, big_endian: bool = False
) -> list[bytes]:
    """The strings of an entry; the crc of their lengths is verified first.

    Raises :class:`DamagedCheckpoint`, :class:`ChecksumMismatch`.
    """
    lengths, at = _strings(source, offset, size, count)
    stored = int.from_bytes(source.read(offset + at, 4), "little")
    found = [mask(_crc_of_lengths(lengths, order)) for order in (("<", ">") if big_endian else ("<",))]
    if stored not in found and not (
        big_endian and int.from_bytes(stored.to_bytes(4, "little"), "big") in found
    ):
        raise ChecksumMismatch(
            "the lengths of the strings contradict their crc32c",
            file=source.name,
            offset=offset,
            expected=f"{stored:#010x}",
            found=f"{found[0]:#010x}",
        )
    data = source.view(offset + at + 4, size - at - 4)
    strings, start = [], 0
    for length in lengths.tolist():
        strings.append(bytes(data[start : start + length]))
        start += length
    return strings


def _variants(source: Source, offset: int, size: int, count: int) -> Iterator[tuple[int, int]]:
    """Place (relative to ``offset``) and length of each element's proto; its crc follows behind it."""
    if count > size:
        raise DamagedCheckpoint(
            "fewer bytes than variants", file=source.name, offset=offset, found=f"{size} bytes"
        )
    at = 0
    for _ in range(count):
        head = source.read(offset + at, min(10, size - at))
        length, used = varint(head, 0)
        at += used
        if length > size - at - 4:
            raise DamagedCheckpoint(
                "a variant is longer than its entry",
                file=source.name,
                offset=offset + at,
                found=f"{length} bytes",
            )
        yield at, length
        at += length + 4
    if at != size:
        raise DamagedCheckpoint(
            "bytes behind the last variant", file=source.name, offset=offset + at, found=f"{size - at} bytes"
        )


def read_variants(source: Source, offset: int, size: int, count: int) -> list[bytes]:
    """Each element's ``VariantTensorDataProto``, serialised. Raises :class:`DamagedCheckpoint`."""
    return [source.read(offset + at, length) for at, length in _variants(source, offset, size, count)]


def crc_of_strings(
    source: Source, offset: int, size: int, count: int, progress: Progress, *, big_endian: bool = False
) -> int:
    """The crc32c (not masked) that the entry of a string tensor must bear."""
    lengths, at = _strings(source, offset, size, count)
    progress(at)
    crc = _crc_of_lengths(lengths, ">" if big_endian else "<")
    return crc_of_run(source, offset + at, size - at, crc, progress)


def crc_of_variants(source: Source, offset: int, size: int, count: int, progress: Progress) -> int:
    """The crc32c (not masked) that the entry of a variant tensor must bear."""
    import crc32c

    crc = 0
    for at, length in _variants(source, offset, size, count):
        crc = crc32c.crc32c(length.to_bytes(8, "little"), crc)
        crc = crc_of_run(source, offset + at, length + 4, crc, progress)
    return crc


def crc_of_run(source: Source, offset: int, length: int, crc: int, progress: Progress) -> int:
    """The crc32c of a plain run of bytes, begun with ``crc``; reads a MiB at a time."""
    import crc32c

    for chunk in source.chunks(offset, length):
        crc = crc32c.crc32c(chunk, crc)
        progress(len(chunk))
    return crc
