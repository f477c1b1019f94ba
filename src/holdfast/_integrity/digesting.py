"""Digests a whole checkpoint into a record: every byte of its files in one pass, and every tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from .._core.catalog import Catalog
from .._core.dtypes import DTYPES
from .._core.effort import excess
from .._core.errors import HoldfastError
from .._core.fault import Progress
from .._layouts.target import Target
from .._record.canonical import plain
from .._record.schema import (
    SCHEMA_VERSION,
    FileRecord,
    OptimizerRecord,
    Record,
    RegionRecord,
    StoredRecord,
    TensorRecord,
)
from .._storage import Source
from .._version import __version__
from .digest import (
    LEAF,
    Hashes,
    canonical_bytes,
    digest_pieces,
    file_digest,
    hash_and_sum_leaves,
    region_digest,
)
from .files import Names
from .finite import Test, finite_test
from .regions import Region, leaves_of, partition, units
from .workers import Shared, default_jobs, run_all, unit_bytes

__all__ = ["make_record"]

_SAMPLE = 1 << 16


def make_record(
    target: Target,
    catalog: Catalog,
    names: Names,
    *,
    leaf_bytes: int = LEAF,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Record:
    """Digest every byte of the checkpoint's files, and every tensor, into a record of kind ``seal``."""
    shared = Shared(progress)
    sources = {name: target.store.open(name) for name in names.of_store}
    try:
        plans = {name: partition(sources[name].size, names.runs_in(name)) for name in sources}
        files, finite = _digest_files(
            sources, plans, catalog, leaf_bytes, default_jobs() if jobs is None else jobs, shared
        )
        tensors = _digest_tensors(catalog, names, sources, files, finite, leaf_bytes, shared)
    finally:
        for source in sources.values():
            source.close()
    return Record(
        schema_version=SCHEMA_VERSION,
        kind="seal",
        holdfast=__version__,
        format=catalog.format,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        name=Path(target.path).name,
        algorithm="blake3",
        leaf_bytes=leaf_bytes,
        files=tuple(files.values()),
        tensors=tensors,
        optimizers=tuple(_optimizers(catalog)),
        attributes={k: plain(v) for k, v in catalog.attributes.items() if k in ("writer", "step", "epoch")},
    )


def _digest_files(
    sources: dict[str, Source],
    plans: dict[str, list[Region]],
    catalog: Catalog,
    leaf_bytes: int,
    jobs: int,
    shared: Shared,
) -> tuple[dict[str, FileRecord], dict[str, bool]]:
    """What the files are, and of tensors whose bytes are one region whether all values are finite."""
    known: dict[tuple[str, int], Hashes] = {}
    unit = unit_bytes(sum(source.size for source in sources.values()), jobs, leaf_bytes)

    def tasks() -> Iterator[Callable[[memoryview], None]]:
        for name, regions in plans.items():
            leaves = (
                leaf for region in regions for leaf in leaves_of(region.offset, region.length, leaf_bytes)
            )
            tests = {
                at: test
                for region in regions
                if (test := _test_of(region, catalog)) is not None
                for at, _ in leaves_of(region.offset, region.length, leaf_bytes)
            }
            for group in units(leaves, unit):

                def task(
                    window: memoryview,
                    name: str = name,
                    group: list[tuple[int, int]] = group,
                    tests: dict[int, Test] = tests,
                ) -> None:
                    asked = [tests.get(offset) for offset, _ in group]
                    for (offset, length), leaf in zip(
                        group, hash_and_sum_leaves(sources[name], group, window, asked), strict=True
                    ):
                        known[name, offset] = leaf
                        shared.tell(length)

                yield task

    run_all(tasks(), jobs, shared)
    found: dict[str, FileRecord] = {}
    finite: dict[str, bool] = {}
    for name, regions in plans.items():
        rows, sums = [], []
        for region in regions:
            leaves = [known[name, at] for at, _ in leaves_of(region.offset, region.length, leaf_bytes)]
            row = RegionRecord.of(region.offset, region.length, region.kind, leaves)
            rows.append(row)
            sums.append((region.length, region_digest(region.length, row.leaves)))
            if all(leaf.finite is not None for leaf in leaves):
                finite |= dict.fromkeys(region.tensors, all(leaf.finite for leaf in leaves))
        found[name] = FileRecord(name, sources[name].size, file_digest(sources[name].size, sums), tuple(rows))
    return found, finite


def _test_of(region: Region, catalog: Catalog) -> Test | None:
    """What tells whether the values of a region are finite, where it is the plain values of one tensor (or of tied ones)."""
    kinds = {(catalog[name].dtype, catalog[name].nbytes) for name in region.tensors}
    if len(kinds) != 1:
        return None
    ((dtype, nbytes),) = kinds
    return finite_test(dtype) if region.length == nbytes else None


def _digest_tensors(
    catalog: Catalog,
    names: Names,
    sources: dict[str, Source],
    files: dict[str, FileRecord],
    finite: dict[str, bool],
    leaf_bytes: int,
    shared: Shared,
) -> tuple[TensorRecord, ...]:
    regions = {(name, row.offset): row for name, entry in files.items() for row in entry.regions}
    found = []
    skipped = excess(catalog.values())  # their files' bytes are sealed all the same
    for spec in catalog.values():
        runs = names.runs_of(spec.name)
        digest = all_finite = None
        if spec.name not in skipped and len(runs) == 1 and names.is_plain(spec.name):
            file, offset, length = runs[0]
            row = regions.get((file, offset))
            if (
                row is not None
                and row.length == length
                and _reads_as_stored(catalog, spec.name, sources[file], offset, length)
            ):
                digest = region_digest(length, row.leaves)
                all_finite = finite.get(spec.name)
        if digest is None and spec.name not in skipped:
            try:
                digest = digest_pieces(catalog.pieces(spec.name), leaf_bytes)
            except HoldfastError:  # not stored, or damaged and sealed by force: there are no canonical bytes
                digest = None
            shared.tell(0)
        found.append(
            TensorRecord(
                name=spec.name,
                key=spec.key,
                dtype=spec.dtype,
                shape=tuple(int(n) for n in spec.shape),
                nbytes=spec.nbytes,
                digest=digest,
                finite=all_finite,
                role=spec.role,
                owner=spec.owner,
                stored=tuple(StoredRecord(*place) for place in names.places_of(spec.name)),
            )
        )
    return tuple(found)


def _reads_as_stored(catalog: Catalog, name: str, source: Source, offset: int, length: int) -> bool:
    """Whether the reader hands out the stored bytes unchanged: compared at the start, in the middle and at
    the end.

    Readers say where bytes lie, not how; strides or a byte order in between would make the region's digest
    another one than the tensor's. Up to 192 KiB this comparison is complete.
    """
    spec = catalog[name]
    if spec.dtype in ("string", "object") or spec.attributes.get("byteorder") == "big":
        return False  # certain without a reading that converts the whole tensor
    if spec.dtype in DTYPES and DTYPES[spec.dtype].bits < 8:
        return False  # packed elements are handed out one a byte
    try:
        array = catalog.read(name)
    except HoldfastError:
        return False
    if (
        array.dtype.hasobject
        or array.dtype.byteorder == ">"
        or array.nbytes != length
        or not array.flags.c_contiguous
    ):
        return False
    data = canonical_bytes(array)
    places = (
        [(0, length)]
        if length <= 3 * _SAMPLE
        else [(at, _SAMPLE) for at in (0, length // 2, length - _SAMPLE)]
    )
    return all(bytes(data[at : at + count]) == source.read(offset + at, count) for at, count in places)


def _optimizers(catalog: Catalog) -> Iterator[OptimizerRecord]:
    for spec in catalog.optimizers:
        yield OptimizerRecord(
            name=spec.name,
            class_name=spec.class_name,
            step=spec.step,
            slots=tuple(spec.slots),
            groups=tuple(
                {
                    "owners": len(group.owners) or len(group.positions),
                    "configured": plain(dict(group.configured)),
                    "current": plain(dict(group.current)),
                }
                for group in spec.groups
            ),
        )
