"""The data shards of a tensor bundle: which are there, and whether they hold what the index demands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from math import gcd

from ..._core.errors import CheckpointNotFound, HoldfastError, LimitExceeded
from ..._core.fault import Fault
from ..._core.words import plural
from ..._storage import Source, Store

__all__ = ["Shards", "shard_name", "shards_size"]

_MOST = 1 << 20


def shard_name(prefix: str, shard: int, count: int) -> str:
    """The file name of a shard (tensorflow/core/util/tensor_bundle/naming.cc)."""
    return f"{prefix}.data-{shard:05d}-of-{count:05d}"


def shards_size(store: Store, prefix: str) -> int:
    """Bytes of all files that are called like shards of the prefix."""
    folder, _, base = prefix.rpartition("/")
    try:
        return sum(e.size or 0 for e in store.entries(folder) if e.name.startswith(f"{base}.data-"))
    except CheckpointNotFound:
        return 0


class Shards:
    """The shards of one bundle, opened when they are first read. Safe to use from several threads."""

    def __init__(self, store: Store, prefix: str, count: int) -> None:
        if count > _MOST:
            raise LimitExceeded("an absurd number of shards", expected=f"at most {_MOST}", found=str(count))
        self.store, self.prefix, self.count = store, prefix, count
        folder = prefix.rpartition("/")[0]
        try:
            there = {(f"{folder}/" if folder else "") + e.name: e.size for e in store.entries(folder)}
        except CheckpointNotFound:
            there = {}
        self.sizes: dict[int, int] = {}
        for shard in range(count) if any(name.startswith(f"{prefix}.data-") for name in there) else ():
            size = there.get(shard_name(prefix, shard, count))
            if size is not None:
                self.sizes[shard] = size
        self._shown: dict[int, str] = {}
        self._sources: dict[int, Source] = {}
        self._lock = threading.Lock()

    def has(self, shard: int) -> bool:
        """Whether the shard is there."""
        return shard in self.sizes

    def name(self, shard: int) -> str:
        return shard_name(self.prefix, shard, self.count)

    def shown(self, shard: int) -> str:
        """A shard's file as a person would type it."""
        shown = self._shown.get(shard)
        if shown is None:
            shown = self._shown[shard] = self.store.shown(self.name(shard))
        return shown

    def files(self) -> list[str]:
        """The shards that are there."""
        return [self.shown(shard) for shard in sorted(self.sizes)]

    def source(self, shard: int) -> Source:
        """The shard's bytes. Raises :class:`PartMissing`."""
        with self._lock:
            source = self._sources.get(shard)
            if source is None:
                source = self._sources[shard] = self.store.open(self.name(shard))
            return source

    def close(self) -> None:
        with self._lock:
            for source in self._sources.values():
                source.close()
            self._sources.clear()

    def examine(self, runs: dict[int, list[tuple[int, int, str]]], index: str) -> Iterator[Fault]:
        """What is wrong with the shards, given what lies where: shard -> ``(offset, size, key)``."""
        for shard in sorted(runs):
            if shard >= self.count:
                yield Fault(
                    "malformed",
                    "tensors are said to lie in a shard that the header does not count",
                    file=index,
                    seen=f"shard {shard}",
                    expected=plural(self.count, "shard"),
                )
        absent = [shard for shard in range(self.count) if shard not in self.sizes]
        for shard in absent[:100]:
            keys = tuple(dict.fromkeys(key for _, _, key in runs.get(shard, [])))
            nbytes = sum(size for _, size, _ in runs.get(shard, []))
            yield Fault(
                "part-missing",
                f"shard {shard + 1} of {self.count} is not there",
                file=self.shown(shard),
                seen="no such file",
                expected=f"{plural(len(keys), 'tensor')}, {nbytes} bytes",
                tensors=keys,
                attributes={
                    "part": self.name(shard),
                    "missing": len(absent),
                    "parts": self.count,
                    "part_bytes": nbytes,
                },
            )
        if len(absent) > 100:
            keys = tuple(dict.fromkeys(key for s in absent[100:] for _, _, key in runs.get(s, [])))
            yield Fault(
                "part-missing",
                f"{len(absent) - 100} more shards of {self.count} are not there",
                file=self.shown(absent[100]),
                seen="no such file",
                tensors=keys,
                attributes={"part": self.name(absent[100]), "missing": len(absent), "parts": self.count},
            )
        for shard, size in sorted(self.sizes.items()):
            yield from self._examine_one(shard, size, sorted(runs.get(shard, [])))

    def _is_padding(self, shard: int, end: int, size: int, step: int) -> bool:
        """Whether what lies behind the last tensor is the writer's: zeros up to ``data_alignment``, a power
        of two.
        """
        step &= -step
        if size - end >= min(step, 1 << 16):
            return False
        try:
            return not any(self.source(shard).read(end, size - end))
        except HoldfastError:
            return False

    def _examine_one(self, shard: int, size: int, runs: list[tuple[int, int, str]]) -> Iterator[Fault]:
        file = self.shown(shard)
        end = max((offset + length for offset, length, _ in runs), default=0)
        if end > size:
            keys = tuple(
                dict.fromkeys(key for offset, length, key in runs if length and offset + length > size)
            )
            yield Fault(
                "truncated",
                f"the shard ends before {len(keys)} of its tensors do",
                file=file,
                offset=size,
                expected=f"{end} bytes",
                seen=f"{size} bytes",
                tensors=keys,
            )
        if end < size and not self._is_padding(
            shard, end, size, gcd(size, *(offset for offset, _, _ in runs))
        ):
            yield Fault(
                "trailing-bytes",
                "the shard goes on behind its last tensor",
                file=file,
                offset=end,
                expected=f"{end} bytes",
                seen=f"{size} bytes",
            )
        at, last, told = 0, "", 0
        inner = gcd(*(offset for offset, _, _ in runs)) if runs else 1
        for offset, length, key in runs:
            if length == 0:
                continue
            if offset < at:
                told += 1
                if told > 100:  # the rest are told by their number
                    continue
                yield Fault(
                    "overlap",
                    f"two tensors claim the same bytes: {last} and {key}",
                    file=file,
                    offset=offset,
                    tensor=key,
                    attributes={"other": last},
                )
            elif offset - at >= max(inner, 1) and offset > at:
                yield Fault(
                    "hole",
                    "bytes between tensors that belong to none",
                    file=file,
                    offset=at,
                    seen=f"{offset - at} bytes",
                )
            if offset + length > at:
                at, last = offset + length, key
        if told > 100:
            yield Fault(
                "overlap",
                f"{told - 100} further tensors claim bytes that others claim too",
                file=file,
                seen=told,
                expected=0,
            )
