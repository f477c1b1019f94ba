"""A checkpoint held against its seal: sizes first, then every leaf, in one pass and in parallel."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .._core.errors import DamagedCheckpoint, HoldfastError
from .._core.fault import Fault, fault_of
from .._layouts.target import Target
from .._record.schema import FileRecord, Record
from .._storage import Source, Store
from .digest import hash_leaves
from .regions import Region, Run, leaves_of, partition, units
from .seal import Seal
from .workers import Shared, run_all, unit_bytes

__all__ = ["SealOutcome", "check_seal", "bytes_to_hash"]

# More than this share of changed bytes, in more than a few places, is no damage but another content.
_ANOTHER = 0.6
_FEW = 4


@dataclass(slots=True)
class SealOutcome:
    """What a seal proved and disproved.

    ``agreed`` and ``checked``: per file (name in the store) the ranges ``(start, end)`` whose leaves agree,
    and all that were hashed. ``another``: the seal is of another content. ``renamed``: sealed name -> name
    now.
    """

    faults: list[Fault] = field(default_factory=list)
    agreed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    checked: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    another: bool = False
    renamed: dict[str, str] = field(default_factory=dict)

    def whole(self, name: str, size: int) -> bool:
        """Whether every byte of a file agrees with the seal."""
        ranges = self.agreed.get(name, [])
        return sum(end - start for start, end in ranges) == size


@dataclass(slots=True)
class _File:
    """One sealed file as it is now."""

    entry: FileRecord
    name: str
    source: Source
    changed: list[tuple[int, int]] = field(default_factory=list)
    unread: HoldfastError | None = None


def bytes_to_hash(seal: Seal) -> int:
    """How many bytes :func:`check_seal` will read, for a progress bar."""
    return sum(entry.size for entry in seal.record.files) if seal.record is not None else 0


def check_seal(seal: Seal, target: Target, jobs: int, shared: Shared) -> SealOutcome:
    """Compare every file that the seal names, leaf by leaf.

    A file that is gone, shorter or longer is told before anything is hashed; what is there of it is still
    compared.
    """
    record, store, outcome = seal.record, target.store, SealOutcome()
    assert record is not None
    names = {entry.name: _name_now(entry.name, record, target) for entry in record.files}
    outcome.renamed = {was: now for was, now in names.items() if now is not None and now != was}
    if not any(names.values()):
        outcome.another = True
        outcome.faults.append(
            _mismatch(seal, record, target, "none of the files that the seal names is here", list(names))
        )
        return outcome
    sizes: dict[str, int] = {}
    withheld: dict[str, Fault] = {}
    for entry in record.files:
        if (now := names[entry.name]) is not None:
            try:
                sizes[now] = _size(store, now)
            except (
                HoldfastError
            ) as error:  # no permission, a failing disk: the other files are looked at all the same
                withheld[entry.name] = replace(fault_of(error), tensors=_held_by(entry, record))
    other = [
        entry.name
        for entry in record.files
        if (now := names[entry.name]) in sizes and now is not None and sizes[now] != entry.size
    ]
    if outcome.renamed and other:
        outcome.another = True
        text = "the seal names other files, and those here have other sizes: it belongs to another checkpoint"
        outcome.faults.append(_mismatch(seal, record, target, text, other))
        return outcome
    files: list[_File] = []
    try:
        for entry in record.files:
            now = names[entry.name]
            if entry.name in withheld:
                outcome.faults.append(withheld[entry.name])
            elif now is None:
                outcome.faults.append(_gone(entry, record, store))
            else:
                files.append(_File(entry, now, store.open(now)))
        total = sum(file.source.size for file in files)
        run_all(
            _tasks(files, record.leaf_bytes, unit_bytes(total, jobs, record.leaf_bytes), shared, outcome),
            jobs,
            shared,
        )
    finally:
        for file in files:
            file.source.close()
    _judge(files, seal, record, target, outcome)
    for ranges in (*outcome.agreed.values(), *outcome.checked.values()):
        ranges.sort()
    return outcome


def _size(store: Store, name: str) -> int:
    source = store.open(name)
    try:
        return source.size
    finally:
        source.close()


def _name_now(name: str, record: Record, target: Target) -> str | None:
    """The file that the seal means: of that name, or, where the whole checkpoint was renamed, of the new
    name."""
    store = target.store
    if store.exists(name) and not store.is_folder(name):
        return name
    now = Path(target.path).name
    if record.name and now != record.name and name.startswith(record.name):
        other = now + name[len(record.name) :]
        try:
            if store.exists(store.safe(other)):
                return other
        except DamagedCheckpoint:
            return None
    return None


def _tasks(
    files: list[_File], leaf_bytes: int, unit: int, shared: Shared, outcome: SealOutcome
) -> Iterator[Callable[[memoryview], None]]:
    """Units of some leaves, in file order; results of a unit are appended, which threads may do at once."""
    for file in files:
        expected = {
            at: (length, digest)
            for row in file.entry.regions
            for (at, length), digest in zip(
                leaves_of(row.offset, row.length, leaf_bytes), row.leaves, strict=True
            )
        }
        inside = [(at, length) for at, (length, _) in expected.items() if at + length <= file.source.size]
        agreed = outcome.agreed.setdefault(file.name, [])
        checked = outcome.checked.setdefault(file.name, [])
        for group in units(inside, unit):

            def task(
                window: memoryview,
                file: _File = file,
                group: list[tuple[int, int]] = group,
                expected: dict[int, tuple[int, str]] = expected,
                agreed: list[tuple[int, int]] = agreed,
                checked: list[tuple[int, int]] = checked,
            ) -> None:
                try:
                    digests = hash_leaves(file.source, group, window)
                except HoldfastError as error:
                    file.unread = error
                    file.changed.extend(group)
                    return
                start = group[0][0]
                end = sum(group[-1])
                checked.append((start, end))
                wrong = [
                    leaf for leaf, seen in zip(group, digests, strict=True) if seen != expected[leaf[0]][1]
                ]
                if wrong:
                    bad = set(wrong)
                    file.changed.extend(wrong)
                    agreed.extend((at, at + length) for at, length in group if (at, length) not in bad)
                else:
                    agreed.append((start, end))
                shared.tell(end - start)

            yield task


def _judge(files: list[_File], seal: Seal, record: Record, target: Target, outcome: SealOutcome) -> None:
    """Turn what changed into faults: damage with its place, or another content altogether."""
    changed = sum(length for file in files for _, length in file.changed)
    hashed = sum(end - start for ranges in outcome.checked.values() for start, end in ranges)
    places = sum(len(file.changed) for file in files)
    if places >= _FEW and changed > _ANOTHER * hashed and not any(file.unread for file in files):
        outcome.another = True
        what = [file.name for file in files if file.changed]
        share = "all" if changed == hashed else f"{changed / hashed:.0%}"
        text = f"{share} of the bytes differ: the checkpoint was written anew since, or the seal is another's"
        outcome.faults.append(_mismatch(seal, record, target, text, what))
        return
    for file in files:
        entry, size = file.entry, file.source.size
        runs = (
            [
                Run(run.offset, run.length, tensor.name)
                for tensor in record.tensors
                for run in tensor.stored
                if run.file == entry.name
            ]
            if file.changed or size != entry.size
            else []
        )
        if size < entry.size:
            lost = tuple(dict.fromkeys(run.tensor for run in runs if run.offset + run.length > size))
            outcome.faults.append(
                Fault(
                    "truncated",
                    f"the file is {entry.size - size:,} bytes shorter than when it was sealed",
                    file=file.source.name,
                    offset=size,
                    tensor=lost[0] if len(lost) == 1 else None,
                    seen=size,
                    expected=entry.size,
                    tensors=lost,
                    attributes={"kind": "seal", "sealed": record.created},
                )
            )
        elif size > entry.size:
            outcome.faults.append(
                Fault(
                    "trailing-bytes",
                    f"the file is {size - entry.size:,} bytes longer than when it was sealed",
                    file=file.source.name,
                    offset=entry.size,
                    seen=size,
                    expected=entry.size,
                    attributes={"kind": "seal", "sealed": record.created},
                )
            )
        if file.changed:
            outcome.faults.extend(_changes(file, partition(entry.size, runs), record))


def _changes(file: _File, regions: list[Region], record: Record) -> Iterator[Fault]:
    """One fault for each stretch of changed leaves within a region."""
    starts = [region.offset for region in regions]
    kinds = {row.offset: row.kind for row in file.entry.regions}
    owner = {}
    for row in file.entry.regions:
        for leaf in leaves_of(row.offset, row.length, record.leaf_bytes):
            owner[leaf[0]] = row.offset
    stretches: list[tuple[int, int, int]] = []  # the region's offset, start, end
    for at, length in sorted(file.changed):
        home = owner[at]
        if stretches and stretches[-1][0] == home and stretches[-1][2] == at:
            stretches[-1] = (home, stretches[-1][1], at + length)
        else:
            stretches.append((home, at, at + length))
    for home, start, end in stretches:
        tensors = regions[max(0, bisect_right(starts, start) - 1)].tensors if regions else ()
        zone = kinds.get(home, "tensor")
        place = _ZONES.get(zone, "bytes")
        subject = f"tensor {tensors[0]!r}" if tensors else place
        if len(tensors) > 1:
            subject += f" (and {len(tensors) - 1} that share its bytes)"
        yield Fault(
            "checksum",
            f"{subject}: changed since it was sealed; the change lies in these {end - start:,} bytes"
            if file.unread is None
            else f"{subject}: cannot be read any more ({file.unread.message})",
            file=file.source.name,
            offset=start,
            tensor=tensors[0] if tensors else None,
            seen="other bytes",
            expected=f"the bytes sealed {record.created}",
            tensors=tensors,
            attributes={"kind": "blake3", "length": end - start, "zone": zone},
        )


_ZONES = {
    "header": "the header",
    "gap": "bytes between tensors (a member's header, or padding)",
    "end": "what follows the last tensor (a directory, or metadata)",
    "file": "the file, which holds structure and no tensor",
    "tensor": "tensor bytes",
}


def _held_by(entry: FileRecord, record: Record) -> tuple[str, ...]:
    """Names of the tensors that a file holds."""
    return tuple(t.name for t in record.tensors if any(run.file == entry.name for run in t.stored))


def _gone(entry: FileRecord, record: Record, store: Store) -> Fault:
    return Fault(
        "part-missing",
        "a file that was sealed is not there",
        file=store.shown(entry.name),
        seen="no file",
        expected=f"{entry.size:,} bytes",
        tensors=_held_by(entry, record),
        attributes={"kind": "seal", "sealed": record.created},
    )


def _mismatch(seal: Seal, record: Record, target: Target, text: str, files: list[str]) -> Fault:
    return Fault(
        "seal-mismatch",
        text,
        file=seal.path,
        seen=target.path,
        expected=f"{record.name} as sealed {record.created}",
        attributes={"files": files[:20], "sealed": record.created},
    )
