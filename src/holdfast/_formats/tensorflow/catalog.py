"""A tensor bundle as a catalog: what its index lists, checked against the shards that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.dtypes import carrier, itemsize_bits, known
from ..._core.effort import excess, most_tensors
from ..._core.errors import (
    ChecksumMismatch,
    DamagedCheckpoint,
    HoldfastError,
    LimitExceeded,
    NotStored,
    PartMissing,
    Truncated,
)
from ..._core.fault import Check, Fault, Progress, fault_of
from ..._core.spec import Extent, Stored, TensorSpec
from ..._core.words import plural
from ..._storage import Source, Store
from .describe import Description, describe
from .entries import BundleEntry, BundleHeader, parse_entry, parse_header, slice_key, slice_name
from .object_graph import GRAPH_KEY
from .shards import Shards, shards_size
from .slices import covers
from .strings import crc_of_run, crc_of_strings, crc_of_variants, read_strings, read_variants
from .table import Table, mask, unmask

__all__ = ["BundleCatalog"]

_GRAPH_LIMIT = 256 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """One stored run: the entry of a whole tensor, or of one slice with its place in the tensor."""

    entry: BundleEntry
    extent: Extent | None = None


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
        self._table = Table(source)
        self._noticed: list[Fault] = []
        self._broken: dict[str, HoldfastError] = {}
        header, entries, slices = self._read_index()
        self.header = header
        self.shards = Shards(store, prefix, header.num_shards)
        self._pieces = self._assemble(entries, slices)
        for fault in self.shards.examine(self._pieces_by_shard(), source.name):
            self._noticed.append(fault)
        for fault in self._noticed:
            if fault.slug in ("part-missing", "truncated") and fault.tensors:
                kind = PartMissing if fault.slug == "part-missing" else Truncated
                for key in fault.tensors:
                    self._broken.setdefault(
                        key,
                        kind(
                            fault.message,
                            file=fault.file,
                            offset=fault.offset,
                            tensor=key,
                            expected=fault.expected,
                            found=fault.seen,
                            remedy="Copy the shard anew from where the checkpoint was saved.",
                        ),
                    )
        described, optimizers, attributes, complaint = describe(
            entries, self._graph(entries), self._scalar, variables, optimizer_config
        )
        if complaint:
            self._notice("malformed", f"the object graph is damaged: {complaint}", tensor=GRAPH_KEY)
        absent = attributes.pop("absent_keys", ())
        if absent and not self._table.faults:
            self._notice(
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
        listed = {
            "writer": "TensorFlow",
            **attributes,
            **given,
            "num_shards": header.num_shards,
            "producer": header.producer,
            **({"byte_order": "big"} if header.big_endian else {}),
        }
        super().__init__(
            specs,
            files=[source.name, *self.shards.files()],
            attributes=listed,
            optimizers=optimizers,
            faults=[_renamed(f, names) for f in [*self._table.faults, *self._noticed]],
        )

    # -- the index
    # -----------------------------------------------------------------------------------------------------
    def _read_index(self) -> tuple[BundleHeader, dict[str, BundleEntry], dict[bytes, BundleEntry]]:
        header: BundleHeader | None = None
        entries: dict[str, BundleEntry] = {}
        slices: dict[bytes, BundleEntry] = {}
        # A listed tensor costs about a KiB of memory; honest ones also have bytes in the shards.
        most = most_tensors(self.index.size + shards_size(self.store, self.prefix))
        room = (32 << 20) + 16 * self.index.size
        last: bytes | None = None
        for key, value in self._table:
            room -= len(key)
            if len(entries) + len(slices) > most or room < 0:
                raise LimitExceeded(
                    "more entries than an honest index of that size holds",
                    file=self.index.name,
                    expected=f"at most {most}",
                )
            if last is not None and key <= last:
                same = key == last
                self._notice(
                    "duplicate-key" if same else "malformed",
                    "a key stands twice in the index" if same else "the keys of the index are not in order",
                    tensor=_shown(key),
                )
                if same:
                    continue
            last = key
            try:
                if not key:
                    header = parse_header(value)
                elif key[0] == 0 and slice_name(key) is not None:
                    slices[key] = parse_entry(value)
                else:
                    entries[_shown(key)] = parse_entry(value)
            except DamagedCheckpoint as error:
                if not key:
                    raise DamagedCheckpoint(
                        error.message, file=self.index.name, expected=error.expected, found=error.found
                    ) from error
                self._notice(
                    "malformed", f"an entry of the index is unreadable: {error.message}", tensor=_shown(key)
                )
        if header is None:
            if self._table.faults and not entries:
                fault = self._table.faults[-1]
                kind = {"checksum": ChecksumMismatch, "truncated": Truncated}.get(
                    fault.slug, DamagedCheckpoint
                )
                raise kind(
                    fault.message,
                    file=fault.file,
                    offset=fault.offset,
                    expected=fault.expected,
                    found=fault.seen,
                    remedy="Without the index the shards are bytes without names; copy it anew.",
                )
            if not self._table.faults:
                raise DamagedCheckpoint("the index has no header entry", file=self.index.name)
            shards = 1 + max((e.shard for e in [*entries.values(), *slices.values()]), default=0)
            header = BundleHeader(shards, False, 0, 0)
        return header, entries, slices

    def _notice(self, slug: str, message: str, **more: Any) -> None:
        more.setdefault("file", self.index.name)
        self._noticed.append(Fault(slug, message, **more))

    def _break(self, key: str, slug: str, message: str, **more: Any) -> None:
        """A tensor that cannot be read: fault now, error at ``read``."""
        self._notice(slug, message, tensor=key, tensors=(key,), **more)
        self._broken[key] = DamagedCheckpoint(
            message,
            file=more.get("file", self.index.name),
            tensor=key,
            expected=more.get("expected"),
            found=more.get("seen"),
        )

    def _assemble(
        self, entries: dict[str, BundleEntry], slices: dict[bytes, BundleEntry]
    ) -> dict[str, tuple[Piece, ...]]:
        """The stored runs of every tensor; slices are found under their own keys and must tile their
        tensor.
        """
        pieces: dict[str, tuple[Piece, ...]] = {}
        claimed: set[bytes] = set()
        for key, entry in entries.items():
            if entry.shape is None:
                self._break(key, "malformed", "a tensor of unknown shape")
                pieces[key] = ()
            elif not entry.slices:
                pieces[key] = (Piece(entry),)
                self._check_size(key, entry)
            else:
                pieces[key] = self._slices_of(key, entry, slices, claimed)
        for raw in slices.keys() - claimed:
            name = _shown(slice_name(raw) or raw)
            self._notice("slice-coverage", "a slice is stored that its tensor does not list", tensor=name)
        return pieces

    def _slices_of(
        self, key: str, entry: BundleEntry, slices: dict[bytes, BundleEntry], claimed: set[bytes]
    ) -> tuple[Piece, ...]:
        shape = entry.shape or ()
        found, absent, regions = [], [], []
        for piece in entry.slices:
            place = piece.within(shape)
            if place is None:
                self._break(
                    key,
                    "slice-coverage",
                    "a slice reaches beyond its tensor",
                    seen=str(piece),
                    expected=str(shape),
                )
                return ()
            regions.append(place)
            raw = slice_key(key.encode("utf-8"), piece)
            stored = slices.get(raw)
            if stored is None:
                absent.append(place[0])
                continue
            claimed.add(raw)
            if stored.shape != place[1] or stored.dtype != entry.dtype or stored.slices:
                self._break(
                    key,
                    "malformed",
                    "a slice differs from what its tensor says of it",
                    seen=f"{stored.dtype} {stored.shape}",
                    expected=f"{entry.dtype} {place[1]}",
                )
                return ()
            self._check_size(key, stored)
            found.append(Piece(stored, Extent(shape, *place)))
        if absent:
            self._break(
                key,
                "slice-coverage",
                f"{len(absent)} of its {plural(len(entry.slices), 'slice')} not stored",
                seen=str(absent[:5]),
            )
        else:
            wrong = covers(shape, regions)
            if wrong:
                self._break(key, "slice-coverage", f"the slices do not make up the tensor: {wrong}")
        return tuple(found)

    def _check_size(self, key: str, entry: BundleEntry) -> None:
        """Plain tensors: bytes = elements x width, one byte each for the types below eight bits."""
        if not known(entry.dtype):
            self._break(key, "malformed", f"a dtype that is not known ({entry.dtype})")
            return
        if itemsize_bits(entry.dtype) == 0:
            return
        expected = prod(entry.shape or ()) * carrier(entry.dtype).itemsize
        if expected != entry.size:
            self._break(
                key,
                "malformed",
                "the entry's size is not that of its shape and dtype",
                expected=f"{expected} bytes",
                seen=f"{entry.size}",
            )

    def _pieces_by_shard(self) -> dict[int, list[tuple[int, int, str]]]:
        """Shard -> (offset, size, key) of everything that lies there."""
        runs: dict[int, list[tuple[int, int, str]]] = {}
        for key, pieces in self._pieces.items():
            for piece in pieces:
                runs.setdefault(piece.entry.shard, []).append((piece.entry.offset, piece.entry.size, key))
        return runs

    # -- what the checkpoint says of itself
    # ------------------------------------------------------------------------------
    def _graph(self, entries: dict[str, BundleEntry]) -> bytes | None:
        """The serialised object graph, or ``None`` where there is none or it cannot be trusted."""
        entry = entries.get(GRAPH_KEY)
        if entry is None or GRAPH_KEY in self._broken or entry.dtype != "string" or entry.shape != ():
            return None
        if entry.size > _GRAPH_LIMIT:
            self._notice(
                "limit", "an object graph of absurd size", tensor=GRAPH_KEY, seen=f"{entry.size} bytes"
            )
            return None
        try:
            fault = self._run_check(GRAPH_KEY, Piece(entry), lambda count: None)
            if fault is None:
                return self._strings(entry)[0]
            self._notice(
                fault.slug,
                "the object graph is damaged; names are those of the index",
                tensor=GRAPH_KEY,
                file=fault.file,
                offset=fault.offset,
                expected=fault.expected,
                seen=fault.seen,
            )
        except DamagedCheckpoint as error:
            self._notice(
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
        if key in self._broken or len(pieces) != 1 or pieces[0].entry.size > 16 or pieces[0].extent:
            return None
        try:
            if self._run_check(key, pieces[0], lambda count: None) is not None:
                return None
            value = self._plain(pieces[0].entry).reshape(()).item()
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
        broken = self._broken.get(spec.key)
        if broken is not None:
            raise broken
        pieces = self._pieces[spec.key]
        if spec.dtype == "object":
            raise NotStored("a resource handle, not values", file=self.index.name, tensor=spec.name)
        try:
            if len(pieces) == 1 and pieces[0].extent is None:
                return self._values(pieces[0].entry)
            whole = np.empty(spec.shape, carrier(spec.dtype))
            for piece in pieces:
                extent = piece.extent
                assert extent is not None
                place = tuple(slice(a, a + n) for a, n in zip(extent.start, extent.length, strict=True))
                whole[place] = self._values(piece.entry)
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
        if key in self._broken or len(pieces) != 1 or pieces[0].extent is not None or self.header.big_endian:
            return None
        entry = pieces[0].entry
        if not itemsize_bits(entry.dtype):
            return None
        source = self.shards.source(entry.shard)
        return lambda start, count: source.view(entry.offset + start, count)

    def _values(self, entry: BundleEntry) -> np.ndarray:
        if itemsize_bits(entry.dtype):
            return self._plain(entry)
        count = prod(entry.shape or ())
        if entry.dtype == "string":
            found = self._strings(entry)
        else:
            found = read_variants(self.shards.source(entry.shard), entry.offset, entry.size, count)
        values = np.empty(count, object)
        values[:] = found
        return values.reshape(entry.shape or ())

    def _strings(self, entry: BundleEntry) -> list[bytes]:
        source = self.shards.source(entry.shard)
        count = prod(entry.shape or ())
        return read_strings(source, entry.offset, entry.size, count, big_endian=self.header.big_endian)

    def _plain(self, entry: BundleEntry) -> np.ndarray:
        data = self.shards.source(entry.shard).view(entry.offset, entry.size)
        dtype = carrier(entry.dtype)
        if self.header.big_endian and dtype.itemsize > 1:
            unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
            array = np.frombuffer(data, f"u{unit}").byteswap().view(dtype)
        else:
            array = np.frombuffer(data, dtype)
        array = array.reshape(entry.shape or ())
        array.flags.writeable = False
        return array

    # -- evidence
    # --------------------------------------------------------------------------------------------------------
    def checks(self) -> Iterator[Check]:
        """Every block of the index, then every stored run of every tensor whose shard is there, by shard and
        offset.
        """
        yield from self._table.checks()
        skipped = excess(self.values())
        runs = [
            (piece.entry.shard, piece.entry.offset, spec.name, spec.key, piece)
            for spec in self.values()
            for piece in self._pieces[spec.key]
            if self.shards.has(piece.entry.shard) and spec.name not in skipped
        ]
        for shard, offset, name, key, piece in sorted(runs, key=lambda run: run[:3]):
            if key not in self._broken or isinstance(self._broken[key], Truncated):
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
        return lambda progress: self._run_check(name, piece, progress)

    def _run_check(self, name: str, piece: Piece, progress: Progress) -> Fault | None:
        entry = piece.entry
        source = self.shards.source(entry.shard)
        place = (source, entry.offset, entry.size)
        try:
            if entry.dtype == "string":
                found = crc_of_strings(
                    *place, prod(entry.shape or ()), progress, big_endian=self.header.big_endian
                )
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

    def close(self) -> None:
        self.shards.close()
        self.index.close()


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _renamed(fault: Fault, names: dict[str, str]) -> Fault:
    """A fault noticed by key, told in names."""
    return replace(
        fault,
        tensor=names.get(fault.tensor, fault.tensor) if fault.tensor else None,
        tensors=tuple(names.get(key, key) for key in fault.tensors),
    )
