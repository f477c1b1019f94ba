"""Facts that rooms above found out, as findings: each is told by the rule of its slug."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .._core.fault import Fault
from .._core.finding import Finding, Severity, severity_rank
from .._layouts.target import Target
from .registry import Rule, Subject, rule_named

__all__ = ["findings_of", "told"]


def told(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """One finding for each fault of the rule's slug: with the rule's own severity, or the one that the fault names under
    ``severity`` in its attributes; the rest of these is evidence."""
    for fault in subject.faults_of(rule.slug):
        rest = dict(fault.attributes)
        severity: Severity = rest.pop("severity", None) or rule.severity
        yield rule.finding(
            fault.message,
            severity=severity,
            file=fault.file,
            tensor=fault.tensor,
            tensors=fault.tensors,
            seen=fault.seen,
            expected=fault.expected,
            **rest,
        )


def findings_of(faults: Iterable[Fault], target: Target) -> tuple[Finding, ...]:
    """What the rules of these slugs say of them, the gravest first. Raises :class:`LookupError` for a fault that has no
    rule."""
    found: list[Finding] = []
    for fault in faults:
        rule = rule_named(fault.slug)
        if rule is None:
            raise LookupError(f"no rule is called {fault.slug}")
        found += rule.check(rule, Subject(target, None, None, "full", [fault]))
    return tuple(sorted(found, key=lambda f: severity_rank(f.severity)))
