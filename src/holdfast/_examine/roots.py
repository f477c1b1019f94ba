"""Causes that only many faults together show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.fault import JUNK, Fault
from .._core.words import plural
from .._formats.broken_zip import begun_members
from .._formats.junk import classify
from .._formats.text_copies import crlf_copy
from .._integrity.bitflip import FlippedBit, flipped_bit
from .._layouts.target import Target

__all__ = ["junk_parts", "mixed_shards", "narrowed", "text_copy", "with_remains"]

MOST = 0.9  # tensors that two saves have in common (counters, zeros) may pass


def mixed_shards(catalog: Catalog, faults: Sequence[Fault]) -> list[Fault]:
    """A ``shards-mixed`` fault for each data file whose tensors nearly all fail their checksums.

    Damage hits places; a file of which nine tenths of the bytes, in two tensors or more, contradict the
    checksums that *another* file (the index) holds was written by another save. Only checkpoints of several
    files are looked at.
    """
    if len(catalog.files) < 2:
        return []
    failing: dict[str, set[str]] = defaultdict(set)  # by data file
    for fault in faults:
        if fault.slug == "checksum" and fault.file is not None and fault.tensor is not None:
            failing[fault.file].add(fault.tensor)
    short = {f.file for f in faults if f.slug == "truncated"}  # what follows a lost byte disagrees too
    failing = {file: names for file, names in failing.items() if file not in short}
    if not failing:
        return []
    held: dict[str, dict[str, int]] = defaultdict(dict)
    for spec in catalog.values():
        for part in spec.stored:
            held[part.file][spec.name] = held[part.file].get(spec.name, 0) + part.nbytes
    found = []
    for file, names in failing.items():
        here = {catalog[n].name for n in names if n in catalog} & set(held.get(file, ()))
        total = sum(held.get(file, {}).values())
        bad = sum(held[file][n] for n in here)
        if len(here) >= 2 and total and bad >= MOST * total and file != catalog.files[0]:
            found.append(
                Fault(
                    "shards-mixed",
                    f"{len(here)} of {plural(len(held[file]), 'tensor')} in this file contradict their checksums: "
                    "it is of another save than the index",
                    file=file,
                    seen=f"{bad:,} of {total:,} bytes disagree",
                    expected="the data file of the same save as the index",
                    tensors=tuple(n for n in catalog if n in here),
                )
            )
    return found


SURE = 0.02  # above this chance a located bit is named and not relied on
_WHOLE = frozenset({"truncated", "malformed", "checksum", "trailing-bytes", "shards-mixed"})


def narrowed(catalog: Catalog, faults: Sequence[Fault]) -> list[Fault]:
    """The same faults; a failed CRC-32 over many tensors at once (a member of a ``.keras``) names those that
    can no longer be trusted.

    Where the checksum's difference is that of one flipped bit, that is the tensor at the bit, else all that
    lie in the member (``attributes["together"]``: each may be whole, none can be proved so).
    """
    made = []
    for fault in faults:
        length, kind = fault.attributes.get("length"), fault.attributes.get("kind")
        if fault.slug != "checksum" or kind != "crc32" or fault.offset is None or not length:
            made.append(fault)
            continue
        inside = _between(catalog, fault.file, fault.offset, fault.offset + length)
        bit = _bit_of(fault, length)
        at = None if bit is None else fault.offset + bit.offset
        hit = () if at is None else _between(catalog, fault.file, at, at + 1)
        sure = bit is not None and bit.chance < SURE and bool(hit)
        if bit is not None and hit:
            place = f"bit {bit.bit} of byte {at}"
            fault = replace(fault, attributes={**fault.attributes, "flipped": place})
        if not inside and str(fault.attributes.get("member", "")).endswith(".h5"):
            inside = _unplaced(catalog, fault.file)
        if not inside or fault.tensor is not None or fault.tensors:
            made.append(fault)
            continue
        if sure:
            message = (
                f"{fault.message}; by the checksum's difference it is one flipped bit, "
                f"{fault.attributes['flipped']}, in {hit[0]}"
            )
            made.append(replace(fault, message=message, tensors=hit))
            continue
        message = (
            f"{fault.message}, which covers {len(inside)} tensors together: which of them it hit cannot be told, "
            "so that none of them can be trusted"
        )
        attributes = {**fault.attributes, "together": True}
        made.append(replace(fault, message=message, tensors=inside, attributes=attributes))
    return made


def _bit_of(fault: Fault, length: int) -> FlippedBit | None:
    try:
        difference = int(str(fault.seen), 16) ^ int(str(fault.expected), 16)
    except ValueError:
        return None
    return flipped_bit("crc32", difference, length)


def _between(catalog: Catalog, file: str | None, start: int, end: int) -> tuple[str, ...]:
    """Names of the tensors with bytes in a range of a file."""
    return tuple(
        spec.name
        for spec in catalog.values()
        if any(
            part.file == file
            and part.offset is not None
            and part.offset < end
            and start < part.offset + part.nbytes
            for part in spec.stored
        )
    )


def _unplaced(catalog: Catalog, file: str | None) -> tuple[str, ...]:
    """Names of the tensors in a file whose bytes have no place of their own in it (a compressed member)."""
    return tuple(
        s.name for s in catalog.values() if any(p.file == file and p.offset is None for p in s.stored)
    )


def junk_parts(catalog: Catalog, target: Target, faults: Sequence[Fault]) -> list[Fault]:
    """What the damaged files of a checkpoint are, where they are something else altogether: a web page or a
    pointer in a data file's place, zeros, a copy made in text mode. The fault takes along the tensors of the
    file.
    """
    hurt = {f.file for f in faults if f.slug in _WHOLE and f.file is not None}
    told = {f.file for f in faults if f.slug in JUNK}
    found = []
    for name in dict.fromkeys([*([target.main] if target.main else []), *target.parts]):
        shown = target.store.shown(name)
        if shown not in hurt or shown in told:
            continue
        try:
            source = target.store.open(name)
        except HoldfastError:  # told by the reader
            continue
        try:
            fault = crlf_copy(source) or classify(source)
        except HoldfastError:
            continue
        finally:
            source.close()
        if fault.slug in JUNK:
            names = tuple(s.name for s in catalog.values() if any(part.file == shown for part in s.stored))
            found.append(replace(fault, file=shown, tensors=names))
    return found


def text_copy(fault: Fault, target: Target) -> Fault | None:
    """That a file which does not open was copied in text mode, where that is why."""
    if fault.slug not in ("malformed", "truncated") or target.main is None:
        return None
    try:
        source = target.store.open(target.main)
    except HoldfastError:  # what the fault says already
        return None
    try:
        found = crlf_copy(source)
    except HoldfastError:
        return None
    finally:
        source.close()
    return None if found is None else replace(found, file=target.store.shown(target.main))


def with_remains(fault: Fault, target: Target) -> Fault:
    """A zip that lost its directory (killed while it was written): how many members were begun, and which
    was the last (``members_begun`` and ``last_member`` of the evidence); any other fault as it is.
    """
    if fault.slug != "truncated" or target.main is None or target.format is None:
        return fault
    try:
        source = target.store.open(target.main)
    except HoldfastError:  # what the fault says already
        return fault
    try:
        begun = begun_members(source) if source.head(4) == b"PK\x03\x04" else {}
    except HoldfastError:
        begun = {}
    finally:
        source.close()
    return replace(fault, attributes={**fault.attributes, **begun}) if begun else fault
