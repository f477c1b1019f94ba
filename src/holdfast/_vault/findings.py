"""Facts about saving as findings of the S rules."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.fault import Fault
from .._core.finding import Finding, severity_rank
from .._layouts.target import Target

__all__ = ["gravest_of_each", "saving_findings"]


class _NoStore:
    """What is looked at is a folder to be, not a checkpoint."""

    files: tuple[str, ...] = ()


_FOLDER = Target(path="vault", main=None, store=_NoStore(), format=None)  # type: ignore[arg-type]


def gravest_of_each(faults: Iterable[Fault]) -> list[Fault]:
    """One fact of each kind: the first, or the first that makes a save impossible."""
    first: dict[str, Fault] = {}
    for fault in faults:
        kept = first.setdefault(fault.slug, fault)
        if kept is not fault and fault.attributes.get("fails") and not kept.attributes.get("fails", True):
            first[fault.slug] = fault
    if "disk-full" in first:  # says more than the other
        first.pop("disk-tight", None)
    return list(first.values())


def saving_findings(faults: Iterable[Fault]) -> tuple[Finding, ...]:
    """Findings of the S rules, the gravest first; one for each kind."""
    found = gravest_of_each(faults)
    if not found:
        return ()
    from .._rules.facts import (
        findings_of,  # only now: the rules are many, and the first save is to start quickly
    )

    return tuple(sorted(findings_of(found, _FOLDER), key=lambda f: (severity_rank(f.severity), f.code)))
