"""What an audit found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .._core.finding import Finding
from .._core.words import plural
from .._facts.tolerances import Tolerance
from .._record.environment_changes import Change
from .._record.metrics import Metric

__all__ = ["AuditReport", "Cause", "Row", "Status"]

Status = Literal["proved", "fits", "likely"]
"""``proved``: compared by content, or by an exact count; ``fits``: a test gave the recorded number back; ``likely``: it is so,
and whether it explains the difference was not tested."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a metric differs. slug: the rule that tells it. metrics: names of the recorded metrics that it explains."""

    slug: str
    message: str
    status: Status
    metrics: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded metric.

    verdict: ``reproduced``, ``differs``, ``cannot-compare`` or ``not-measured``. now: the value measured now. why: one
    sentence. parts: for a running average, what the gap is made of: (amount, what it is).
    """

    metric: Metric
    verdict: Literal["reproduced", "differs", "cannot-compare", "not-measured"]
    now: float | None = None
    why: str = ""
    tolerance: Tolerance | None = None
    causes: tuple[Cause, ...] = ()
    parts: tuple[tuple[float, str], ...] = ()

    @property
    def distance(self) -> float | None:
        """Relative difference, or ``None`` where nothing was measured."""
        if self.now is None:
            return None
        size = max(abs(self.now), abs(self.metric.value))
        gap = abs(self.now - self.metric.value)
        return (
            gap / size
            if size and math.isfinite(gap)
            else (0.0 if self.now == self.metric.value else math.inf)
        )

    def as_document(self) -> dict[str, Any]:
        """Values that JSON knows."""
        return {
            "name": self.metric.name,
            "recorded": self.metric.value,
            "now": self.now,
            "meaning": self.metric.meaning(),
            "verdict": self.verdict,
            "distance": self.distance,
            "tolerance": self.tolerance.why if self.tolerance else None,
            "why": self.why,
            "causes": [
                {"rule": c.slug, "message": c.message, "status": c.status, "evidence": dict(c.evidence)}
                for c in self.causes
            ],
            "parts": [{"amount": amount, "what": what} for amount, what in self.parts],
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of :func:`holdfast.audit`.

    Attributes
    ----------
    path, step: the checkpoint. verdict: ``reproduced``; ``differs``; ``state`` (the state itself is not the checkpoint's, so
    that no metric judges it); ``probe`` (metrics agree or there are none, and the probe does not); ``nothing-to-compare``.
    rows: one for each recorded metric. state: how the state was proved. probe: what replaying the probe showed, or why it was
    not. data: whether what was given as ``data`` fits the data contract. environment: what differs from the run's.
    ruled_out: causes that were tested and do not explain it. findings: all of it as findings, gravest first.
    """

    path: str
    step: int | None
    verdict: Literal["reproduced", "differs", "state", "probe", "nothing-to-compare"]
    rows: tuple[Row, ...]
    state: str
    probe: str = ""
    environment: tuple[Change, ...] = ()
    ruled_out: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    data: str = ""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The likely causes of all differences, in order."""
        found: dict[str, Cause] = {}
        for row in self.rows:
            for cause in row.causes:
                found.setdefault(cause.slug, cause)
        return tuple(found.values())

    @property
    def summary(self) -> str:
        """One sentence."""
        counts = {
            kind: sum(r.verdict == kind for r in self.rows)
            for kind in ("reproduced", "differs", "cannot-compare")
        }
        measured = counts["reproduced"] + counts["differs"]
        if self.verdict == "state":
            return f"the state is not the checkpoint's, so that no metric judges it: {self.state}"
        if self.verdict == "nothing-to-compare":
            return "there is no number that could be compared"
        if self.verdict == "probe":
            return self.probe
        if self.verdict == "reproduced":
            text = (
                f"reproduced: {plural(counts['reproduced'], 'metric')}"
                if measured
                else "the probe gives the same"
            )
            more = counts["cannot-compare"]
            return text + (f"; {plural(more, 'number')} cannot be compared by nature" if more else "")
        first = next((c for r in self.rows for c in r.causes), None)
        names = ", ".join(r.metric.name for r in self.rows if r.verdict == "differs")
        return f"{names} {'differs' if counts['differs'] == 1 else 'differ'}: " + (
            first.message if first else "no cause that was tested explains it"
        )

    def __str__(self) -> str:
        return self.summary

    def as_document(self) -> dict[str, Any]:
        """The document that ``holdfast audit --format json`` prints, its findings aside."""
        return {
            "path": self.path,
            "step": self.step,
            "verdict": self.verdict,
            "summary": self.summary,
            "state": self.state,
            "metrics": [row.as_document() for row in self.rows],
            "probe": self.probe,
            "data": self.data,
            "environment": [c._asdict() for c in self.environment],
            "ruled_out": list(self.ruled_out),
        }
