"""Facts about saving as findings of the S rules."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.fault import Fault
from .._core.finding import Finding, severity_rank
from .._layouts.target import Target

__all__ = ["findings_of"]


class _NoStore:
    """What is looked at is a folder to be, not a checkpoint."""

    files: tuple[str, ...] = ()


_FOLDER = Target(path="vault", main=None, store=_NoStore(), format=None)  # type: ignore[arg-type]


def findings_of(faults: Iterable[Fault]) -> tuple[Finding, ...]:
    """Findings of the S rules, the gravest first; one for each slug (the first fact of a kind counts)."""
    first: dict[str, Fault] = {}
    for fault in faults:
        kept = first.setdefault(fault.slug, fault)
        if kept is not fault and fault.attributes.get("fails") and not kept.attributes.get("fails", True):
            first[fault.slug] = fault
    if "disk-full" in first:  # says more than the other
        first.pop("disk-tight", None)
    if not first:
        return ()
    # only now: the rules are many, and the first save is to start quickly
    from .._examine.examine import run_rules
    from .._rules.registry import Subject

    subject = Subject(_FOLDER, None, None, "full", list(first.values()))
    found = run_rules(subject, (), (), live=True)
    return tuple(sorted(found, key=lambda f: severity_rank(f.severity)))
