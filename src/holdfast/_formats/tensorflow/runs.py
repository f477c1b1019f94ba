"""One stored run of a tensor bundle: its values, and its bytes held against the crc32c in its entry."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..._core.dtypes import carrier, itemsize_bits
from ..._core.errors import DamagedCheckpoint, Truncated
from ..._core.fault import Fault, Progress, fault_of
from .entries import BundleEntry
from .shards import Shards
from .strings import crc_of_run, crc_of_strings, crc_of_variants, read_strings, read_variants
from .table import mask

__all__ = ["Runs"]


class Runs:
    """The runs in ``shards``. ``big_endian``: the byte order of the machine that wrote them."""

    def __init__(self, shards: Shards, big_endian: bool) -> None:
        self.shards, self.big_endian = shards, big_endian

    def values(self, entry: BundleEntry) -> np.ndarray:
        """The values, in the entry's shape; strings and variants as an array of objects. Raises what reading raises."""
        if itemsize_bits(entry.dtype):
            return self.plain(entry)
        count = prod(entry.shape or ())
        if entry.dtype == "string":
            found = self.strings(entry)
        else:
            found = read_variants(self.shards.source(entry.shard), entry.offset, entry.size, count)
        values = np.empty(count, object)
        values[:] = found
        return values.reshape(entry.shape or ())

    def strings(self, entry: BundleEntry) -> list[bytes]:
        """The strings of a tensor of them, one after the other."""
        source = self.shards.source(entry.shard)
        count = prod(entry.shape or ())
        return read_strings(source, entry.offset, entry.size, count, big_endian=self.big_endian)

    def plain(self, entry: BundleEntry) -> np.ndarray:
        """A view of the mapped shard, not writeable; a copy where the byte order is not this machine's."""
        data = self.shards.source(entry.shard).view(entry.offset, entry.size)
        dtype = carrier(entry.dtype)
        if self.big_endian and dtype.itemsize > 1:
            unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
            array = np.frombuffer(data, f"u{unit}").byteswap().view(dtype)
        else:
            array = np.frombuffer(data, dtype)
        array = array.reshape(entry.shape or ())
        array.flags.writeable = False
        return array

    def check(self, name: str, entry: BundleEntry, progress: Progress) -> Fault | None:
        """Whether the bytes fit the entry's crc32c: ``None``, or what is wrong with the tensor ``name``."""
        source = self.shards.source(entry.shard)
        place = (source, entry.offset, entry.size)
        try:
            if entry.dtype == "string":
                found = crc_of_strings(*place, prod(entry.shape or ()), progress, big_endian=self.big_endian)
            elif entry.dtype == "variant":
                found = crc_of_variants(*place, prod(entry.shape or ()), progress)
            else:
                found = crc_of_run(*place, 0, progress)
        except DamagedCheckpoint as error:
            slug = "truncated" if isinstance(error, Truncated) else "checksum"
            return replace(fault_of(error, name), slug=slug, file=source.name, tensor=name)
        if mask(found) == entry.crc:
            return None
        return Fault(
            "checksum",
            "the bytes of a tensor contradict the crc32c in the index",
            source.name,
            entry.offset,
            name,
            f"{mask(found):#010x}",
            f"{entry.crc:#010x}",
            tensors=(name,),
        )
