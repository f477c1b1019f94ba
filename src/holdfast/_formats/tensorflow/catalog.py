"""A tensor bundle as a catalog: what its index lists, checked against the shards that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.dtypes import carrier, itemsize_bits
from ..._core.effort import excess, most_tensors
from ..._core.errors import DamagedCheckpoint, HoldfastError, NotStored, Truncated
from ..._core.fault import Check, Fault, Progress
from ..._core.spec import Stored, TensorSpec
from ..._storage import Source, Store
from .describe import Description, describe
from .entries import BundleEntry
from .index import BundleIndex, Piece
from .object_graph import GRAPH_KEY
from .runs import Runs
from .shards import Shards, shards_size
from .table import unmask

__all__ = ["BundleCatalog"]

_GRAPH_LIMIT = 256 << 20


class BundleCatalog(Catalog):
    """A tensor bundle. See :class:`Catalog`; ``prefix`` is the name without ``.index``.

    Attributes of the catalog: ``object_based``, ``save_counter``, ``step``, ``num_shards``, ``writer``,
    ``producer``.
    """

    format = "tf-bundle"

    def __init__(
        self,
        source: Source,
        store: Store,
        prefix: str,
        variables: Mapping[int, tuple[str, bool]] | None = None,
        optimizer_config: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        given = dict(attributes or {})
        self.index, self.store, self.prefix = source, store, prefix
        # A listed tensor costs about a KiB of memory; honest ones also have bytes in the shards.
        listed = BundleIndex(source, most_tensors(source.size + shards_size(store, prefix)))
        self._listed, self.header, self._pieces = listed, listed.header, listed.pieces
        self.shards = Shards(store, prefix, listed.header.num_shards)
        self._runs = Runs(self.shards, listed.header.big_endian)
        for fault in self.shards.examine(listed.by_shard(), source.name):
            listed.lose(fault)
        entries = listed.entries
        described, optimizers, attributes, complaint = describe(
            entries, self._graph(entries), self._scalar, variables, optimizer_config
        )
        if complaint:
            self._listed.notice("malformed", f"the object graph is damaged: {complaint}", tensor=GRAPH_KEY)
        absent = attributes.pop("absent_keys", ())
        if absent and not listed.table.faults:
            self._listed.notice(
                "tensor-missing",
                f"the object graph names {len(absent)} variable{'s' * (len(absent) > 1)} whose values are not "
                "stored: " + ", ".join(absent[:3]) + (" ..." if len(absent) > 3 else ""),
                seen=list(absent[:20]),
                tensors=tuple(absent),
            )
        order = {key: i for i, key in enumerate(described)}
        specs = [
            self._spec(key, entries[key], described[key])
            for key in sorted(entries, key=lambda k: order.get(k, len(order)))
        ]
        names = {spec.key: spec.name for spec in specs}
        told = {
            "writer": "TensorFlow",
            **attributes,
            **given,
            "num_shards": self.header.num_shards,
            "producer": self.header.producer,
            **({"byte_order": "big"} if self.header.big_endian else {}),
        }
        super().__init__(
            specs,
            files=[source.name, *self.shards.files()],
            attributes=told,
            optimizers=optimizers,
            faults=[_renamed(f, names) for f in [*listed.table.faults, *listed.faults]],
        )

    # -- what the checkpoint says of itself
    # ------------------------------------------------------------------------------
    def _graph(self, entries: dict[str, BundleEntry]) -> bytes | None:
        """The serialised object graph, or ``None`` where there is none or it cannot be trusted."""
        entry = entries.get(GRAPH_KEY)
        if entry is None or GRAPH_KEY in self._listed.broken or entry.dtype != "string" or entry.shape != ():
            return None
        if entry.size > _GRAPH_LIMIT:
            self._listed.notice(
                "limit", "an object graph of absurd size", tensor=GRAPH_KEY, seen=f"{entry.size} bytes"
            )
            return None
        try:
            fault = self._runs.check(GRAPH_KEY, entry, lambda count: None)
            if fault is None:
                return self._runs.strings(entry)[0]
            self._listed.notice(
                fault.slug,
                "the object graph is damaged; names are those of the index",
                tensor=GRAPH_KEY,
                file=fault.file,
                offset=fault.offset,
                expected=fault.expected,
                seen=fault.seen,
            )
        except DamagedCheckpoint as error:
            self._listed.notice(
                "malformed",
                f"the object graph is unreadable: {error.message}",
                tensor=GRAPH_KEY,
                file=error.file,
                offset=error.offset,
            )
        return None

    def _scalar(self, key: str) -> int | float | None:
        """The value of a small scalar (step, learning rate), or ``None`` where it cannot be had."""
        pieces = self._pieces.get(key, ())
        if key in self._listed.broken or len(pieces) != 1 or pieces[0].entry.size > 16 or pieces[0].extent:
            return None
        try:
            if self._runs.check(key, pieces[0].entry, lambda count: None) is not None:
                return None
            value = self._runs.plain(pieces[0].entry).reshape(()).item()
            return value if isinstance(value, (int, float)) else None
        except (HoldfastError, ValueError):
            return None

    def _spec(self, key: str, entry: BundleEntry, what: Description) -> TensorSpec:
        stored: list[Stored] = []
        size = 0
        for piece in self._pieces[key]:
            run = piece.entry
            size += run.size
            if self.shards.has(run.shard):
                stored.append(Stored(self.shards.shown(run.shard), run.offset, run.size, piece.extent))
        return TensorSpec(
            name=what.name,
            shape=entry.shape or (),
            dtype=entry.dtype,
            key=key,
            role=what.role,
            owner=what.owner,
            slot=what.slot,
            optimizer=what.optimizer,
            aliases=what.aliases,
            dialect="tensorflow",
            layout=what.layout,
            trainable=what.trainable,
            order=what.order,
            nbytes=size,
            stored=tuple(stored),
            attributes={**what.attributes, **({"slices": len(entry.slices)} if entry.slices else {})},
        )

    # -- reading
    # -------------------------------------------------------------------------------------------------
    def read(self, name: str) -> np.ndarray:
        """See :meth:`Catalog.read`. Plain tensors are views of the mapped shard; slices are put together."""
        spec = self[name]
        broken = self._listed.broken.get(spec.key)
        if broken is not None:
            raise broken
        pieces = self._pieces[spec.key]
        if spec.dtype == "object":
            raise NotStored("a resource handle, not values", file=self.index.name, tensor=spec.name)
        try:
            if len(pieces) == 1 and pieces[0].extent is None:
                return self._runs.values(pieces[0].entry)
            whole = np.empty(spec.shape, carrier(spec.dtype))
            for piece in pieces:
                extent = piece.extent
                assert extent is not None
                place = tuple(slice(a, a + n) for a, n in zip(extent.start, extent.length, strict=True))
                whole[place] = self._runs.values(piece.entry)
        except HoldfastError as error:
            if error.tensor is None:
                error.tensor = spec.name
            raise
        whole.flags.writeable = False
        return whole

    def stretch(self, name: str) -> Callable[[int, int], memoryview] | None:
        """See :meth:`Catalog.stretch`."""
        key = self[name].key
        pieces = self._pieces[key]
        if (
            key in self._listed.broken
            or len(pieces) != 1
            or pieces[0].extent is not None
            or self.header.big_endian
        ):
            return None
        entry = pieces[0].entry
        if not itemsize_bits(entry.dtype):
            return None
        source = self.shards.source(entry.shard)
        return lambda start, count: source.view(entry.offset + start, count)

    # -- evidence
    # --------------------------------------------------------------------------------------------------------
    def checks(self) -> Iterator[Check]:
        """Every block of the index, then every stored run of every tensor whose shard is there, by shard and
        offset.
        """
        yield from self._listed.table.checks()
        skipped = excess(self.values())
        runs = [
            (piece.entry.shard, piece.entry.offset, spec.name, spec.key, piece)
            for spec in self.values()
            for piece in self._pieces[spec.key]
            if self.shards.has(piece.entry.shard) and spec.name not in skipped
        ]
        for shard, offset, name, key, piece in sorted(runs, key=lambda run: run[:3]):
            if key not in self._listed.broken or isinstance(self._listed.broken[key], Truncated):
                yield Check(
                    "crc32c",
                    self.shards.shown(shard),
                    offset,
                    piece.entry.size,
                    self._checker(name, piece),
                    tensor=name,
                    expected=None if piece.entry.dtype in ("string", "variant") else unmask(piece.entry.crc),
                )

    def _checker(self, name: str, piece: Piece) -> Callable[[Progress], Fault | None]:
        return lambda progress: self._runs.check(name, piece.entry, progress)

    def close(self) -> None:
        self.shards.close()
        self.index.close()


def _renamed(fault: Fault, names: dict[str, str]) -> Fault:
    """A fault noticed by key, told in names."""
    return replace(
        fault,
        tensor=names.get(fault.tensor, fault.tensor) if fault.tensor else None,
        tensors=tuple(names.get(key, key) for key in fault.tensors),
    )
