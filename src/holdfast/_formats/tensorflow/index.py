"""A tensor bundle's index: its header, its entries, and of each tensor the stored runs that make it up."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from ..._core.dtypes import carrier, itemsize_bits, known
from ..._core.errors import (
    ChecksumMismatch,
    DamagedCheckpoint,
    HoldfastError,
    LimitExceeded,
    PartMissing,
    Truncated,
)
from ..._core.fault import Fault
from ..._core.spec import Extent
from ..._core.words import plural
from ..._storage import Source
from .entries import BundleEntry, BundleHeader, parse_entry, parse_header, slice_key, slice_name
from .slices import covers
from .table import Table

__all__ = ["BundleIndex", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One stored run: the entry of a whole tensor, or of one slice with its place in the tensor."""

    entry: BundleEntry
    extent: Extent | None = None


class BundleIndex:
    """What the ``.index`` file lists.

    Attributes: ``header``; ``entries``, by key; ``pieces``, the stored runs of each tensor by key; ``table``, whose blocks have
    checksums of their own; ``faults``, what is wrong with the entries; ``broken``, by key the error that reading it raises.
    """

    def __init__(self, source: Source, most: int) -> None:
        """Read the index; ``most``: how many entries an honest one of this size lists.

        Raises :class:`LimitExceeded` for more, :class:`DamagedCheckpoint` where there is no header and no reason for that.
        """
        self.source = source
        self.table = Table(source)
        self.faults: list[Fault] = []
        self.broken: dict[str, HoldfastError] = {}
        self.header, self.entries, slices = self._read(most)
        self.pieces = self._assemble(self.entries, slices)

    # -- the entries -----------------------------------------------------------------------------------------------
    def _read(self, most: int) -> tuple[BundleHeader, dict[str, BundleEntry], dict[bytes, BundleEntry]]:
        header: BundleHeader | None = None
        entries: dict[str, BundleEntry] = {}
        slices: dict[bytes, BundleEntry] = {}
        room = (32 << 20) + 16 * self.source.size
        last: bytes | None = None
        for key, value in self.table:
            room -= len(key)
            if len(entries) + len(slices) > most or room < 0:
                raise LimitExceeded(
                    "more entries than an honest index of that size holds",
                    file=self.source.name,
                    expected=f"at most {most}",
                )
            if last is not None and key <= last:
                same = key == last
                self.notice(
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
                        error.message, file=self.source.name, expected=error.expected, found=error.found
                    ) from error
                self.notice(
                    "malformed", f"an entry of the index is unreadable: {error.message}", tensor=_shown(key)
                )
        if header is None:
            if self.table.faults and not entries:
                fault = self.table.faults[-1]
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
            if not self.table.faults:
                raise DamagedCheckpoint("the index has no header entry", file=self.source.name)
            shards = 1 + max((e.shard for e in [*entries.values(), *slices.values()]), default=0)
            header = BundleHeader(shards, False, 0, 0)
        return header, entries, slices

    def notice(self, slug: str, message: str, **more: Any) -> None:
        """A fault of the index, or of ``file=``."""
        more.setdefault("file", self.source.name)
        self.faults.append(Fault(slug, message, **more))

    def break_(self, key: str, slug: str, message: str, **more: Any) -> None:
        """A tensor that cannot be read: fault now, error at ``read``."""
        self.notice(slug, message, tensor=key, tensors=(key,), **more)
        self.broken[key] = DamagedCheckpoint(
            message,
            file=more.get("file", self.source.name),
            tensor=key,
            expected=more.get("expected"),
            found=more.get("seen"),
        )

    def lose(self, fault: Fault) -> None:
        """A fault of a shard: note it, and where it is not there or not whole, what lies in it is not to be read."""
        self.faults.append(fault)
        kind = {"part-missing": PartMissing, "truncated": Truncated}.get(fault.slug)
        if kind is None:
            return
        for key in fault.tensors:
            self.broken.setdefault(
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

    # -- the stored runs --------------------------------------------------------------------------------------------
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
                self.break_(key, "malformed", "a tensor of unknown shape")
                pieces[key] = ()
            elif not entry.slices:
                pieces[key] = (Piece(entry),)
                self._check_size(key, entry)
            else:
                pieces[key] = self._slices_of(key, entry, slices, claimed)
        for raw in slices.keys() - claimed:
            name = _shown(slice_name(raw) or raw)
            self.notice("slice-coverage", "a slice is stored that its tensor does not list", tensor=name)
        return pieces

    def _slices_of(
        self, key: str, entry: BundleEntry, slices: dict[bytes, BundleEntry], claimed: set[bytes]
    ) -> tuple[Piece, ...]:
        shape = entry.shape or ()
        found, absent, regions = [], [], []
        for piece in entry.slices:
            place = piece.within(shape)
            if place is None:
                self.break_(
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
                self.break_(
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
            self.break_(
                key,
                "slice-coverage",
                f"{len(absent)} of its {plural(len(entry.slices), 'slice')} not stored",
                seen=str(absent[:5]),
            )
        else:
            wrong = covers(shape, regions)
            if wrong:
                self.break_(key, "slice-coverage", f"the slices do not make up the tensor: {wrong}")
        return tuple(found)

    def _check_size(self, key: str, entry: BundleEntry) -> None:
        """Plain tensors: bytes = elements x width, one byte each for the types below eight bits."""
        if not known(entry.dtype):
            self.break_(key, "malformed", f"a dtype that is not known ({entry.dtype})")
            return
        if itemsize_bits(entry.dtype) == 0:
            return
        expected = prod(entry.shape or ()) * carrier(entry.dtype).itemsize
        if expected != entry.size:
            self.break_(
                key,
                "malformed",
                "the entry's size is not that of its shape and dtype",
                expected=f"{expected} bytes",
                seen=f"{entry.size}",
            )

    def by_shard(self) -> dict[int, list[tuple[int, int, str]]]:
        """Shard -> (offset, size, key) of everything that lies there."""
        runs: dict[int, list[tuple[int, int, str]]] = {}
        for key, pieces in self.pieces.items():
            for piece in pieces:
                runs.setdefault(piece.entry.shard, []).append((piece.entry.offset, piece.entry.size, key))
        return runs


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
