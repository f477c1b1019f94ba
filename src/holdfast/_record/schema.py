"""The record's schema, version 1.

One document type serves two purposes: a *seal* (``kind: "seal"``) is written beside a checkpoint that another
tool saved; a *record* (``kind: "record"``) is written by Holdfast's own saves and fills the sections at the
end as well. Field by field (also on the docs page):

``schema_version``  1. A reader refuses a greater one and names it; fields it does not know are ignored but
                    count for the digest.
``kind``            ``"seal"`` or ``"record"``.
``holdfast``        version of the writer. ``created``: UTC, ISO 8601, seconds.
``format``          name of the checkpoint's format. ``name``: what was sealed (last segment of its path).
``algorithm``       ``"blake3"``; ``leaf_bytes``: bytes per leaf, 4 MiB.
``files``           every file: ``name`` (relative to the folder that holds the checkpoint, ``/`` between
                    segments), ``size``, ``digest``, ``regions``: rows that tile the file from 0 to ``size``
                    without hole or overlap, each with ``offset``, ``length``, ``kind`` (``tensor``,
                    ``header``, ``gap``, ``end``, ``file``), ``leaves`` (digests of its
                    ``ceil(length / leaf_bytes)`` leaves) and ``checksums`` (of the same leaves, XXH3-128; missing for less
                    than 4 KiB, of which digests are made as fast, and in older records).
``tensors``         every tensor: ``name``, ``key``, ``dtype``, ``shape``, ``role``, ``nbytes``, ``digest``
                    (of the canonical bytes; ``null`` where no bytes are stored), ``stored``: rows of
                    ``file``, ``offset``, ``length``: where its bytes lie, compressed or not; ``finite``, whether no value
                    is NaN or infinite, where that was looked at. Records of our own
                    saves also have ``slot``, ``optimizer``, ``trainable``, ``shares``, ``layout``, ``dialect`` and
                    ``aliases``, as :class:`TensorSpec` has them.
``optimizers``      summary: name, class, step, slots, hyperparameters of each group; ``owners`` of a group is their
                    number in a seal and their names in a record.
``evidence``        which checksums agreed when the seal was written. ``damage``: what did not (only with
                    ``force``).
``architecture``    where the model was at hand: ``called`` (names in the checkpoint -> those that people gave in the model,
                    where the format keeps others) and ``modules``, rows of ``path`` (as tensor names begin), ``class``,
                    ``package`` (first segment of the class's module), ``config`` (what decides the function
                    besides the tensors) and ``code`` (digest of a user-written class's source, its scheme in
                    front).
``environment``     interpreter, libraries, devices, settings that change numbers, command line and code (see
                    :mod:`holdfast._record.environment`).
``resume``          what else a resumed run needs: ``parts`` (words of the live objects that were saved), ``states`` (whether
                    ``state.json`` has any), ``data``, ``preprocess``, ``metrics``: name -> ``kind``, ``class`` and ``digest`` of
                    what was captured, ``value`` of a number; ``accumulating``: how it was seen that gradients were gathered.
``metrics``         name -> number (text where JSON has none). ``measured``: name -> what the number is (see
                    :mod:`holdfast._record.metrics`), where more than that is known.
``snapshot``        ``proof``: how the values were held to one instant: ``protocol`` (training waits for ``save()``) or
                    ``content`` (all live values were digested a second time, and agreed); ``tries``.
``lineage``         ``lineage`` and ``parent``: the line of the run and the step continued; ``sequence``: place in the
                    order of saving; ``variant``: see :mod:`holdfast._vault.folder.variants`.
``incremental``     where frozen tensors lie in files of their own: ``frozen``, file -> ``since`` (the step that wrote
                    it) and ``links`` (how many saves in a row have linked it since); ``reused_from`` (a step) and
                    ``bytes_reused``, where any was linked.
``timings``         seconds by phase (``stall``, ``snapshot``, ``hash``, ``write``, ``fsync``, ``total`` until the record was
                    written), ``retries`` and the writer's ``pid``.
``telemetry``       what else the save measured, in bytes: ``bytes``, ``bytes_reused``, ``free_before``, ``free_after`` (on
                    the disk), ``rss_before`` ..., ``peak_rss``, ``gpu`` (by moment); ``trackers``: what trackers had not taken
                    of earlier saves, and why.
``digest``          of all the rest, see :mod:`holdfast._record.canonical`.

How digests are made of leaves: :mod:`holdfast._integrity.digest`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .._core.errors import DamagedCheckpoint, SealError
from .._storage import Store
from .canonical import parse_text, record_digest

__all__ = [
    "SCHEMA_VERSION",
    "SUMMED_FROM",
    "RegionRecord",
    "FileRecord",
    "StoredRecord",
    "TensorRecord",
    "OptimizerRecord",
    "EvidenceRecord",
    "Record",
    "load_record",
    "dump_record",
]

SCHEMA_VERSION = 1
SUMMED_FROM = 1 << 12
"""Bytes: a region as long as this has checksums beside its digests."""


class RegionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run of a file that is hashed as one thing."""

    offset: int
    length: int
    kind: str
    leaves: tuple[str, ...]
    checksums: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, offset: int, length: int, kind: str, leaves: Iterable[tuple[str, str, object]]
    ) -> RegionRecord:
        """From ``(digest, checksum, ...)`` of its leaves."""
        leaves = list(leaves)
        checksums = tuple(leaf[1] for leaf in leaves) if length >= SUMMED_FROM else ()
        return cls(offset, length, kind, tuple(leaf[0] for leaf in leaves), checksums)


class FileRecord(msgspec.Struct, frozen=True):
    """One file of the checkpoint."""

    name: str
    size: int
    digest: str
    regions: tuple[RegionRecord, ...] = ()


class StoredRecord(msgspec.Struct, frozen=True):
    """Where bytes of a tensor lie."""

    file: str
    offset: int
    length: int


class TensorRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tensor of the checkpoint."""

    name: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    digest: str | None
    finite: bool | None = None
    role: str = "weight"
    owner: str | None = None
    stored: tuple[StoredRecord, ...] = ()
    slot: str | None = None
    optimizer: str | None = None
    trainable: bool | None = None
    shares: str | None = None
    layout: str | None = None
    dialect: str = ""
    aliases: tuple[str, ...] = ()


class OptimizerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an optimizer was, in short."""

    name: str
    class_name: str | None = None
    step: int | None = None
    slots: tuple[str, ...] = ()
    groups: tuple[dict[str, Any], ...] = ()


class EvidenceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Checksums of one kind in one file that were tested before sealing, and the bytes that they cover."""

    kind: str
    file: str
    bytes: int
    source: str | None = None


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A seal or record; the sections from ``environment`` on are empty in a seal."""

    schema_version: int
    kind: str
    holdfast: str
    format: str
    created: str
    name: str
    algorithm: str
    leaf_bytes: int
    files: tuple[FileRecord, ...]
    tensors: tuple[TensorRecord, ...] = ()
    optimizers: tuple[OptimizerRecord, ...] = ()
    attributes: dict[str, Any] = {}
    evidence: tuple[EvidenceRecord, ...] = ()
    damage: tuple[str, ...] = ()
    architecture: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    measured: dict[str, Any] | None = None
    contract: dict[str, Any] | None = None
    probe: dict[str, Any] | None = None
    resume: dict[str, Any] | None = None
    topology: dict[str, Any] | None = None
    lineage: dict[str, Any] | None = None
    timings: dict[str, Any] | None = None
    snapshot: dict[str, Any] | None = None
    telemetry: dict[str, Any] | None = None
    incremental: dict[str, Any] | None = None
    digest: str = ""


def dump_record(record: Record) -> dict[str, Any]:
    """The record as a JSON document that bears its own digest."""
    document = msgspec.to_builtins(record)
    assert isinstance(document, dict)
    document.pop("digest", None)
    document["digest"] = record_digest(document)
    return document


def load_record(data: bytes, file: str) -> Record:
    """Read and test a record.

    Raises :class:`SealError` where it is no JSON, of a newer schema, contradicts its own digest, or says
    impossible things (regions that do not tile their file, names outside the folder). ``file`` is what
    messages call it.
    """
    document = parse_text(data, file)
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SealError(
            "this is no record of Holdfast", file=file, expected="a field schema_version", found=repr(version)
        )
    if version > SCHEMA_VERSION:
        raise SealError(
            "the record was written by a newer Holdfast",
            file=file,
            expected=f"schema version {SCHEMA_VERSION} or older",
            found=version,
            remedy="Upgrade Holdfast to read it.",
        )
    own, claimed = record_digest(document), document.get("digest")
    if own != claimed:
        raise SealError(
            "the record contradicts its own digest: it was damaged or edited",
            file=file,
            expected=str(claimed)[:80],
            found=own,
            remedy="The checkpoint itself may well be whole; seal it again once you trust it.",
        )
    try:
        record = msgspec.convert(document, Record)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise SealError("the record does not follow the schema", file=file, found=str(error)[:300]) from error
    _validate(record, file)
    return record


def _validate(record: Record, file: str) -> None:
    """Refuse what would make us read or allocate without bound, whoever signed it."""

    def demand(holds: bool, message: str, found: object) -> None:
        if not holds:
            raise SealError(message, file=file, found=found)

    demand(record.kind in ("seal", "record"), "a record of an unknown kind", record.kind)
    demand(record.algorithm == "blake3", "an unknown digest algorithm", record.algorithm)
    demand(1 << 12 <= record.leaf_bytes <= 1 << 30, "leaves of an absurd size", record.leaf_bytes)
    names = set()
    for entry in record.files:
        try:
            Store.safe(entry.name)
        except DamagedCheckpoint as error:
            raise SealError("a file is named that lies outside the checkpoint's folder", file=file) from error
        demand(entry.name not in names, "a file is listed twice", entry.name)
        names.add(entry.name)
        at = 0
        for region in entry.regions:
            demand(
                region.offset == at and region.length > 0,
                "regions that do not tile their file",
                f"{entry.name}: {region.length} bytes at {region.offset}, expected offset {at}",
            )
            count = -(-region.length // record.leaf_bytes)
            demand(len(region.leaves) == count, "a region without all its leaves", f"{entry.name} at {at}")
            demand(
                all(len(leaf) == 64 for leaf in region.leaves), "a malformed digest", f"{entry.name} at {at}"
            )
            demand(
                len(region.checksums) in (0, count) and all(len(sum_) == 32 for sum_ in region.checksums),
                "malformed checksums", f"{entry.name} at {at}",
            )  # fmt: skip
            at += region.length
        demand(
            at == entry.size,
            "regions that do not tile their file",
            f"{entry.name}: {at} of {entry.size} bytes",
        )
    for tensor in record.tensors:
        for run in tensor.stored:
            demand(run.file in names, "a tensor in a file that is not listed", run.file)
            demand(run.offset >= 0 and run.length >= 0, "a negative offset or length", tensor.name)
