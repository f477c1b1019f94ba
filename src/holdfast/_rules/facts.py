"""Facts that rooms above found out, as findings: each is told by the rule of its slug."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .._core.fault import Fault
from .._core.finding import Finding, Severity, severity_rank
from .._layouts.target import Target
from .registry import Rule, Subject, rule_named

__all__ = ["findings_of", "told"]


def told(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """One finding for each fault of the rule's slug, as it was put, with its attributes as evidence.

    Two of these say how grave it is: ``severity`` names it; ``fails`` says whether what is judged (a save, the next step)
    cannot succeed, which is an error, or can all the same, which is none. Else the rule's own severity holds.
    """
    for fault in subject.faults_of(rule.slug):
        rest = {key: value for key, value in fault.attributes.items() if key not in ("severity", "fails")}
        yield rule.from_fault(replace(fault, attributes=rest), severity=_severity(rule, fault))


def _severity(rule: Rule, fault: Fault) -> Severity:
    named: Severity | None = fault.attributes.get("severity")
    fails = fault.attributes.get("fails")
    if named is not None:
        return named
    if fails is None:
        return rule.severity
    return "error" if fails else "warning" if rule.severity == "error" else rule.severity


class _NoStore:
    """What is looked at is no checkpoint."""

    files: tuple[str, ...] = ()


_NOWHERE = Target(path="", main=None, store=_NoStore(), format=None)  # type: ignore[arg-type]


def findings_of(faults: Iterable[Fault], target: Target = _NOWHERE) -> tuple[Finding, ...]:
    """What the rules of these slugs say of them, the gravest first; ``target``: the checkpoint that they are about, if they
    are about one. Raises :class:`LookupError` for a fault that has no rule."""
    found: list[Finding] = []
    for fault in faults:
        rule = rule_named(fault.slug)
        if rule is None:
            raise LookupError(f"no rule is called {fault.slug}")
        found += rule.check(rule, Subject(target, None, None, "full", [fault]))
    return tuple(sorted(found, key=lambda f: severity_rank(f.severity)))
