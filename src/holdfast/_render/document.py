"""The JSON documents. The text views are drawn from the same documents, so that both always say the same.

Every document bears ``schema_version``. Fields are added, never renamed; a field that a reader does not know
is to be skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Protocol

from .._core.catalog import Catalog
from .._core.fault import Fault
from .._core.finding import CheckpointReport, Finding, Report
from .._core.spec import OptimizerSpec, ParamGroup, TensorSpec
from .plain import plain
from .version import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "inspect_document",
    "report_document",
    "finding_document",
    "delta_document",
    "error_document",
]


def inspect_document(
    catalog: Catalog,
    *,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    resolved: str | None = None,
    names: Iterable[str] | None = None,
    stats: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a catalog says of itself, as plain data.

    ``path`` is what to call it (default: its first file), ``title`` the format in words, ``resolved`` how a
    typed path was understood. ``names`` keeps only those tensors in the list; ``totals`` are always those of
    the whole checkpoint. ``stats`` (name -> numbers of a pass over the data) are added to the tensors where
    given.
    """
    specs = list(catalog.values()) if names is None else [catalog[name] for name in names]
    found = path if path is not None else (catalog.files[0] if catalog.files else "")
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "path": plain(os.fspath(found)),
        "format": catalog.format,
        "title": title,
        "resolved": plain(resolved),
        "writer": plain(catalog.attributes.get("writer")),
        "files": [plain(file) for file in catalog.files],
        "attributes": plain(dict(catalog.attributes)),
        "optimizers": [_optimizer(optimizer) for optimizer in catalog.optimizers],
        "totals": _totals(catalog),
        "faults": [_fault(fault) for fault in catalog.faults],
        "tensors": [_tensor(spec) for spec in specs],
    }
    if stats:
        for entry, spec in zip(document["tensors"], specs, strict=True):
            if spec.name in stats:
                found_stats = stats[spec.name]
                failed = isinstance(found_stats, Exception)
                entry["error" if failed else "stats"] = str(found_stats) if failed else plain(found_stats)
    return document


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": plain(spec.name),
        "key": plain(spec.key),
        "shape": [int(dim) for dim in spec.shape],
        "dtype": spec.dtype,
        "role": spec.role,
        "owner": plain(spec.owner),
        "nbytes": int(spec.nbytes),
    }
    for field in ("slot", "optimizer", "layout", "trainable", "order", "shares"):
        given = getattr(spec, field)
        if given is not None:
            entry[field] = plain(given)
    if spec.aliases:
        entry["aliases"] = plain(spec.aliases)
    if spec.extent is not None:
        entry["extent"] = plain(spec.extent)
    if spec.stored:
        entry["stored"] = [
            {"file": plain(run.file), "offset": run.offset, "nbytes": int(run.nbytes)} for run in spec.stored
        ]
    if spec.attributes:
        entry["attributes"] = plain(spec.attributes)
    return entry


def _optimizer(optimizer: OptimizerSpec) -> dict[str, Any]:
    return {
        "name": plain(optimizer.name),
        "class": plain(optimizer.class_name),
        "class_likely": plain(optimizer.class_likely),
        "step": plain(optimizer.step),
        "learning_rate": plain(optimizer.learning_rate),
        "slots": plain(optimizer.slots),
        "groups": [_group(group) for group in optimizer.groups],
        "attributes": plain(optimizer.attributes),
    }


def _group(group: ParamGroup) -> dict[str, Any]:
    return {
        "owners": plain(group.owners),
        "positions": plain(group.positions),
        "configured": plain(group.configured),
        "current": plain(group.current),
    }


def _totals(catalog: Catalog) -> dict[str, Any]:
    """Counts over the whole checkpoint, tied tensors counted once."""
    by_role: dict[str, dict[str, int]] = {}
    by_dtype: dict[str, dict[str, int]] = {}
    seen: set[str] = set()
    parameters = 0
    for spec in catalog.values():
        if spec.shares is not None:
            if spec.shares in seen:
                continue
            seen.add(spec.shares)
        for table, name in ((by_role, spec.role), (by_dtype, spec.dtype)):
            row = table.setdefault(name, {"tensors": 0, "nbytes": 0})
            row["tensors"] += 1
            row["nbytes"] += int(spec.nbytes)
        if spec.role == "weight":
            parameters += prod(spec.shape)
    return {
        "tensors": len(catalog),
        "parameters": parameters,
        "nbytes": int(catalog.nbytes),
        "by_role": by_role,
        "by_dtype": by_dtype,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "slug": fault.slug,
        "message": plain(fault.message),
        "where": {"file": plain(fault.file), "offset": fault.offset, "tensor": plain(fault.tensor)},
        "seen": plain(fault.seen),
        "expected": plain(fault.expected),
        "tensors": plain(fault.tensors),
    }


# -- reports -------------------------------------------------------------------------------------------------
def report_document(report: Report, *, errors: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A report of ``doctor`` or ``verify``; ``errors`` are paths that could not be looked at at all."""
    counts: dict[str, int] = {}
    for checkpoint in report.checkpoints:
        counts[checkpoint.verdict] = counts.get(checkpoint.verdict, 0) + 1
    return {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "summary": {"checkpoints": len(report.checkpoints), "verdicts": counts},
        "checkpoints": [_checkpoint(checkpoint) for checkpoint in report.checkpoints],
        "errors": [dict(error) for error in errors],
    }


def _checkpoint(report: CheckpointReport) -> dict[str, Any]:
    return {
        "path": plain(report.path),
        "format": report.format,
        "verdict": report.verdict,
        "proof": report.proof,
        "resolved": plain(report.resolved),
        "writer": plain(report.writer),
        "tensors": report.tensors,
        "nbytes": int(report.nbytes),
        "bytes_proved": int(report.bytes_proved),
        "bytes_total": int(report.bytes_total),
        "findings": [finding_document(finding) for finding in report.findings],
        "loads": plain(report.loads),
        "lost": plain(report.lost),
        "looked_at": plain(report.looked_at),
        "not_looked_at": plain(report.not_looked_at),
        "attributes": plain(report.attributes),
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding; ``related`` holds those folded under it in the same shape."""
    return {
        "code": finding.code,
        "slug": finding.slug,
        "severity": finding.severity,
        "message": plain(finding.message),
        "where": {
            "file": plain(finding.where.file),
            "offset": finding.where.offset,
            "tensor": plain(finding.where.tensor),
        },
        "evidence": plain(finding.evidence),
        "cause": plain(finding.cause),
        "remedy": plain(finding.remedy),
        "edit": plain(finding.edit),
        "lossless": finding.lossless,
        "tensors": plain(finding.tensors),
        "related": [finding_document(other) for other in finding.related],
    }


# -- the rest ------------------------------------------------------------------------------------------------
class DeltaLike(Protocol):
    """What a renderer needs to know of a comparison."""

    @property
    def plan(self) -> Any:
        """The drafted plan; it has ``to_toml()``."""

    def to_document(self) -> dict[str, Any]:
        """The comparison as values that JSON knows."""


def delta_document(delta: DeltaLike) -> dict[str, Any]:
    """The differences of two catalogs; ``plan_toml`` is the drafted plan, ready to be saved and edited."""
    document = plain(delta.to_document())
    return {**document, "command": "diff", "plan_toml": plain(delta.plan.to_toml())}


def error_document(error: Exception, path: str | None = None) -> dict[str, Any]:
    """Why a path could not be looked at."""
    return {
        "path": plain(path if path is not None else getattr(error, "file", None)),
        "kind": type(error).__name__,
        "message": plain(getattr(error, "message", None) or str(error)),
        "where": {
            "file": plain(getattr(error, "file", None)),
            "offset": getattr(error, "offset", None),
            "tensor": plain(getattr(error, "tensor", None)),
        },
        "expected": plain(getattr(error, "expected", None)),
        "found": plain(getattr(error, "found", None)),
        "remedy": plain(getattr(error, "remedy", None)),
    }
