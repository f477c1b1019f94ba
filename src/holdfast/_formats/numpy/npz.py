"""numpy archives: a zip whose members are numpy array files. The zip's CRC-32 is their evidence.

Format facts: numpy/lib/npyio.py (``savez``: one member ``<key>.npy`` an array, stored or deflated;
``NpzFile`` drops the ``.npy``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..._core.catalog import Catalog
from ..._core.effort import most_tensors
from ..._core.errors import DamagedCheckpoint, HoldfastError, LimitExceeded, Truncated
from ..._core.fault import Check, Fault
from ..._storage import BytesSource, Source, Store
from ..._storage.zip_archive import ZipArchive
from ..._storage.zip_directory import Member, looks_like_zip
from ..flat_optax import optax_state
from ..registry import Format
from ..tree_paths import by_path
from .arrays import NpyArray

__all__ = ["FORMATS", "NpzCatalog", "open_npz"]


_HEAD = 1 << 16  # of a deflated member, for its header: numpy refuses headers above 10,000 bytes


def recognise_npz(source: Source) -> bool:
    """Whether this is a zip whose first member is an array file; an archive whose directory is lost counts
    too.
    """
    if not looks_like_zip(source):
        return False
    head = source.head(4096)
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        return False
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length].endswith(b".npy")


def open_npz(source: Source, store: Store) -> Catalog:
    """Open by reading the zip directory and each array's header (a deflated member of it: its beginning).

    Raises :class:`DamagedCheckpoint` where the directory is gone or no member can be listed.
    """
    return NpzCatalog(source)


class NpzCatalog(Catalog):
    """An ``.npz``. Members that are no arrays are named in ``attributes["other_members"]``."""

    format = "npz"

    def __init__(self, source: Source) -> None:
        self._zip = ZipArchive(source)
        if len(self._zip.members) > most_tensors(source.size):
            raise LimitExceeded(
                "more arrays than an honest file of that size holds",
                file=source.name,
                expected=f"at most {most_tensors(source.size)}",
                found=len(self._zip.members),
            )
        self._arrays: dict[str, NpyArray] = {}  # by member
        self._member_of: dict[str, str] = {}  # tensor key -> member
        faults: list[Fault] = list(self._zip.faults)
        others: list[str] = []
        specs = []
        deflated = False
        open_member = self._zip.open  # bound once, not once for each of tens of thousands
        for member in self._zip.members.values():
            if member.name.endswith("/"):
                continue
            deflated |= member.method != 0
            if not member.name.endswith(".npy"):
                others.append(member.name)
                continue
            name = member.name[:-4]
            try:
                base = self._zip.payload(member.name) if member.method == 0 else None
                opener = partial(open_member, member.name)
                beginning = opener() if base is not None else self._beginning(member)
                array = NpyArray(
                    opener, beginning, member.size, name, source.name, base, member.compressed, member.name
                )
            except HoldfastError as error:
                faults.append(
                    Fault(
                        "truncated" if isinstance(error, Truncated) else "malformed",
                        f"member {member.name!r} cannot be listed: {error.message}",
                        file=source.name,
                        offset=member.header,
                        tensor=name,
                        seen=error.found,
                        expected=error.expected,
                        tensors=(name,),
                    )
                )
                continue
            self._arrays[member.name] = array
            faults.extend(replace(f, file=source.name) if base is None else f for f in array.faults)
            for spec in array.specs:
                self._member_of[spec.key] = member.name
                specs.append(spec)
        attributes: dict[str, object] = {"compressed": deflated}
        if others:
            attributes["other_members"] = others
        if not specs and faults:
            raise DamagedCheckpoint(faults[0].message, file=source.name, offset=faults[0].offset)
        specs, optimizers = optax_state(by_path(specs))
        super().__init__(
            specs, files=(source.name,), attributes=attributes, optimizers=optimizers, faults=faults
        )

    def _beginning(self, member: Member) -> Source:
        """The first bytes of a deflated member, enough for an array's header, without inflating the rest."""
        place = self._zip.payload(member.name)
        if member.flags & 1 or member.method != 8:
            return self._zip.open(member.name)  # raises: encrypted, or a method nobody writes
        raw = self._zip.source.read(place, min(member.compressed, _HEAD))
        try:
            return BytesSource(
                zlib.decompressobj(-15).decompress(raw, _HEAD), f"{self._zip.source.name}:{member.name}"
            )
        except zlib.error as error:
            raise DamagedCheckpoint(
                f"the deflated bytes are damaged: {error}", file=self._zip.source.name, offset=place
            ) from error

    def read(self, name: str) -> np.ndarray:
        """The values; a view of the file where the member is stored and little-endian."""
        spec = self[name]
        return self._arrays[self._member_of[spec.key]].read(spec)

    def pieces(self, name: str, limit: int = 1 << 24) -> Iterator[np.ndarray]:
        """The elements in C order; a compressed member is inflated piece by piece."""
        spec = self[name]
        return self._arrays[self._member_of[spec.key]].pieces(spec, min(limit, 1 << 22))

    def checks(self) -> Iterator[Check]:
        """The CRC-32 of every member."""
        for member in self._zip.members:
            array = self._arrays.get(member)
            name = array.specs[0].name if array is not None and len(array.specs) == 1 else None
            check = self._zip.check(member, name or member.removesuffix(".npy"))
            if check is not None:
                yield check

    def close(self) -> None:
        self._zip.source.close()


FORMATS: tuple[Format, ...] = (
    Format("npz", "numpy archive", recognise_npz, open_npz, suffixes=(".npz",), family="numpy"),
)
