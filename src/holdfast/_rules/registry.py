"""How a rule is written, and what all of them look at.

A rule is a generator function with a code, registered by :func:`rule`; its docstring is its documentation
(``holdfast rule CODE`` prints it)::

    @rule("F101", "truncated", severity="error", cause="corrupt", depth="header")
    def truncated(rule: Rule, subject: Subject) -> Iterator[Finding]:
        \"\"\"Bytes that the format promises are not in the file. ...\"\"\"
        for fault in subject.faults_of("truncated"):
            yield rule.finding(fault.message, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._core.finding import Finding, Place, Severity
from .._core.stats import TensorStats
from .._frameworks import LiveCatalog
from .._layouts.target import Target

if TYPE_CHECKING:
    from .._frameworks.live import LiveCatalog

__all__ = ["DEPTHS", "Subject", "Rule", "rule", "rules", "rule_named", "told_by", "FAMILIES"]

DEPTHS = ("header", "structure", "full")
FAMILIES = {
    "F": "files and integrity",
    "T": "tensors, names, structure",
    "O": "optimizer",
    "E": "environment",
    "D": "data and preprocessing",
    "M": "metrics",
    "S": "saving",
    "N": "numerics",
    "R": "resume state",
    "X": "executable content",
    "H": "Holdfast itself",
}
_MODULES = (
    "internal",
    "files",
    "parts",
    "seals",
    "junk",
    "tensors",
    "optimizer",
    "steps",
    "hypers",
    "environment",
    "versions",
    "hardware",
    "readiness",
    "numerics",
    "magnitudes",
    "executable",
    "fitting",
    "resume",
    "saving",
    "data",
    "metrics",
    "rehearsal",
    "watched",
    "watched_tensorflow",
)


@dataclass(slots=True)
class Subject:
    """One checkpoint under examination, and all that rules may look at.

    ``catalog`` is ``None`` where it could not be opened; ``error`` then says why. ``faults`` are all facts
    noticed by resolver, reader and integrity checks. ``stats`` (name -> numbers of one pass over the data)
    is empty below depth ``full``. ``live`` is what the checkpoint is held against, ``reader`` the versions that
    are to read it (``{"keras": "3.15"}``); both for ``live`` rules only.
    """

    target: Target
    catalog: Catalog | None
    error: HoldfastError | None = None
    depth: str = "full"
    faults: list[Fault] = field(default_factory=list)
    stats: Mapping[str, TensorStats] = field(default_factory=dict)
    live: LiveCatalog | None = None
    reader: Mapping[str, str] | None = None

    def faults_of(self, *slugs: str) -> Iterator[Fault]:
        return (fault for fault in self.faults if fault.slug in slugs)


@dataclass(frozen=True, slots=True)
class Rule:
    """A registered rule: its code, slug, default severity, cause label, the depth it needs, and its
    documentation. ``live`` rules run where a checkpoint is held against live objects, not in ``doctor``."""

    code: str
    slug: str
    severity: Severity
    cause: str | None
    depth: str
    doc: str
    check: Callable[[Rule, Subject], Iterable[Finding]]
    remedy: str | None = None
    live: bool = False

    @property
    def family(self) -> str:
        return self.code[0]

    def finding(
        self,
        message: str,
        *,
        severity: Severity | None = None,
        file: str | None = None,
        offset: int | None = None,
        tensor: str | None = None,
        cause: str | None = None,
        remedy: str | None = None,
        edit: str | None = None,
        lossless: bool | None = None,
        tensors: tuple[str, ...] = (),
        **evidence: Any,
    ) -> Finding:
        """A finding of this rule; keyword arguments left over are its evidence (``seen=``, ``expected=``,
        ...)."""
        return Finding(
            code=self.code,
            slug=self.slug,
            severity=severity or self.severity,
            message=message,
            where=Place(file, offset, tensor),
            evidence={k: v for k, v in evidence.items() if v is not None},
            cause=cause or self.cause,
            remedy=remedy or self.remedy,
            edit=edit,
            lossless=lossless,
            tensors=tensors,
        )

    def from_fault(self, fault: Fault, **changes: Any) -> Finding:
        """A finding that hands on a fault as its reader put it."""
        given: dict[str, Any] = {
            "file": fault.file,
            "offset": fault.offset,
            "tensor": fault.tensor,
            "tensors": fault.tensors,
            "seen": fault.seen,
            "expected": fault.expected,
        }
        given.update(fault.attributes)
        given.update(changes)
        return self.finding(given.pop("message", fault.message), **given)


_RULES: dict[str, Rule] = {}


def rule(
    code: str,
    slug: str,
    *,
    severity: Severity,
    cause: str | None = None,
    depth: str = "header",
    remedy: str | None = None,
    live: bool = False,
) -> Callable[[Callable[[Rule, Subject], Iterable[Finding]]], Rule]:
    """Register a rule; ``live`` for one that speaks only when live objects or a reader are known.

    Raises ``ValueError`` on a code or slug that is taken, or a rule without docstring."""

    def register(check: Callable[[Rule, Subject], Iterable[Finding]]) -> Rule:
        if code in _RULES or any(r.slug == slug for r in _RULES.values()):
            raise ValueError(f"rule {code} {slug}: taken")
        if not check.__doc__:
            raise ValueError(f"rule {code} {slug}: no docstring")
        made = Rule(code, slug, severity, cause, depth, check.__doc__, check, remedy, live)
        _RULES[code] = made
        return made

    return register


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All rules, by code."""
    for name in _MODULES:
        import_module(f"{__package__}.{name}")
    return tuple(sorted(_RULES.values(), key=lambda r: r.code))


def rule_named(text: str) -> Rule | None:
    """The rule with that code or slug, case aside, or ``None``."""
    return next((r for r in rules() if text.lower() in (r.code.lower(), r.slug)), None)


def told_by(slug: str, message: str, **more: Any) -> Finding:
    """A finding of the rule with that slug or code; ``severity`` where it is not the rule's own, the rest as
    :meth:`Rule.finding` takes it. Raises :class:`LookupError` where no rule is called so."""
    found = rule_named(slug)
    if found is None:
        raise LookupError(f"no rule is called {slug}")
    return found.finding(message, **more)
