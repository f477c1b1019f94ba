"""The report on one checkpoint, as ``doctor`` and ``verify`` both give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core.catalog import Catalog
from .._core.finding import CheckpointReport, Finding, Verdict
from .._integrity.verify import Verification
from .._layouts.target import Target

__all__ = ["checkpoint_report"]


def checkpoint_report(
    target: Target,
    catalog: Catalog | None,
    checked: Verification | None,
    *,
    verdict: Verdict,
    findings: Iterable[Finding],
    loads: Iterable[str] | None,
    lost: Iterable[str] | None,
    looked_at: Iterable[str],
    not_looked_at: Iterable[str],
    attributes: Mapping[str, Any],
) -> CheckpointReport:
    """What the target, its catalog (``None``: it could not be opened) and its verification (``None``: the
    evidence was not asked) say of themselves, together with what was made of them.
    """
    form = target.format.name if target.format is not None else None
    return CheckpointReport(
        path=target.path,
        format=form if catalog is None else catalog.format,
        verdict=verdict,
        proof="structure-only" if checked is None else checked.proof,
        findings=tuple(findings),
        resolved=target.note,
        writer=None if catalog is None else catalog.attributes.get("writer"),
        tensors=0 if catalog is None else len(catalog),
        nbytes=0 if catalog is None else catalog.nbytes,
        bytes_proved=0 if checked is None else checked.bytes_proved,
        bytes_total=0 if checked is None else checked.bytes_total,
        loads=None if loads is None else tuple(loads),
        lost=None if lost is None else tuple(lost),
        looked_at=tuple(looked_at),
        not_looked_at=tuple(not_looked_at),
        attributes=attributes,
    )
