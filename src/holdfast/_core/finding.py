"""Findings, verdicts and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "Severity",
    "SEVERITIES",
    "Verdict",
    "Proof",
    "Place",
    "Finding",
    "CheckpointReport",
    "Report",
    "Told",
    "severity_rank",
]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[str, ...] = ("error", "warning", "note")
Verdict = Literal["sound", "repairable", "damaged", "lost", "unknown"]
Proof = Literal["sealed", "checksums", "partial", "structure-only"]


def severity_rank(severity: str) -> int:
    """0 for ``error``, 1 for ``warning``, 2 for ``note``."""
    return SEVERITIES.index(severity)


@dataclass(frozen=True, slots=True)
class Place:
    """Where: a file with byte offset, or a tensor, or both."""

    file: str | None = None
    offset: int | None = None
    tensor: str | None = None

    def __str__(self) -> str:
        parts = []
        if self.file is not None:
            parts.append(self.file if self.offset is None else f"{self.file} @ {self.offset}")
        if self.tensor is not None:
            parts.append(self.tensor)
        return ": ".join(parts)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact that a person should know, with its evidence.

    Attributes
    ----------
    code, slug: the rule (``"F101"``, ``"truncated"``). severity: ``error``, ``warning`` or ``note``.
    message: one sentence that stands alone. where: file and offset, or tensor.
    evidence: ``seen``, ``expected`` and whatever else proves it; JSON-able.
    cause: a label (``"corrupt"``, ``"incomplete-save"``, ...). remedy: what to do or type next.
    edit: the plan edit that mends it, where one exists; lossless says whether it loses nothing.
    tensors: names of the tensors concerned (or that no longer load).
    related: findings folded under this one because it is their root cause.
    """

    code: str
    slug: str
    severity: Severity
    message: str
    where: Place = field(default_factory=Place)
    evidence: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    cause: str | None = None
    remedy: str | None = None
    edit: str | None = None
    lossless: bool | None = None
    tensors: tuple[str, ...] = ()
    related: tuple[Finding, ...] = ()


class Told:
    """Shows itself in a notebook as ``print`` does."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


@dataclass(frozen=True, slots=True)
class CheckpointReport(Told):
    """What was found of one checkpoint.

    ``path`` is what was examined, ``resolved`` how the typed path was understood. ``loads`` and ``lost`` are names of
    tensors that still load and that do not (``None`` where that was not looked at). ``looked_at`` and ``not_looked_at``
    are sentences for people: every report says what it did not look at.
    """

    path: str
    format: str | None
    verdict: Verdict
    proof: Proof
    findings: tuple[Finding, ...] = ()
    resolved: str | None = None
    writer: str | None = None
    tensors: int = 0
    nbytes: int = 0
    bytes_proved: int = 0
    bytes_total: int = 0
    loads: tuple[str, ...] | None = None
    lost: tuple[str, ...] | None = None
    looked_at: tuple[str, ...] = ()
    not_looked_at: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def worst(self) -> Severity | None:
        """The gravest severity among the findings, or ``None``."""
        return min((f.severity for f in self.findings), key=severity_rank, default=None)

    def __str__(self) -> str:
        fits = self.attributes.get("fits")  # of a check; else only the file was looked at
        told = "" if fits is None else "fits, file " if fits else "does not fit, file "
        lines = [f"{self.path} ({self.format or 'no known format'}): {told}{self.verdict}, {self.proof}"]
        for found in sorted(self.findings, key=lambda f: severity_rank(f.severity)):
            lines.append(f"  {found.severity} {found.code}: {found.message}")
            lines += [f"    {found.remedy}"] if found.remedy else []
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Report(Told):
    """Several checkpoints examined in one command; reads like the first one where there is only one."""

    checkpoints: tuple[CheckpointReport, ...]
    command: str = "doctor"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all checkpoints, one after the other."""
        return tuple(f for c in self.checkpoints for f in c.findings)

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of all (``sound`` < ``unknown`` < ``repairable`` < ``damaged`` < ``lost``)."""
        order: tuple[Verdict, ...] = ("sound", "unknown", "repairable", "damaged", "lost")
        return max((c.verdict for c in self.checkpoints), key=order.index, default="unknown")

    @property
    def proof(self) -> Proof:
        """The weakest proof of all."""
        order: tuple[Proof, ...] = ("structure-only", "partial", "checksums", "sealed")
        return min((c.proof for c in self.checkpoints), key=order.index, default="structure-only")

    def worst(self) -> Severity | None:
        """The gravest severity among all findings, or ``None`` where there are none."""
        return min((f.severity for f in self.findings), key=severity_rank, default=None)

    def __str__(self) -> str:
        return "\n".join(map(str, self.checkpoints)) or "nothing was examined"
