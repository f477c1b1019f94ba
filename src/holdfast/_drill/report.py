"""What a drill found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .._core.finding import Finding
from .compare import Row

__all__ = ["DrillReport", "Resumption"]

Verdict = Literal["exact", "differs", "not-drilled"]


@dataclass(frozen=True)
class Resumption:
    """One kill and what came after. ``killed_at``: steps done; ``how``: after a step, or in the middle of a save;
    ``resumed_after``: the step that it went on from, ``None`` where it did not; ``steps``: how many it then made."""

    killed_at: int
    how: str
    resumed_after: int | None
    steps: int


@dataclass(frozen=True)
class DrillReport:
    """``verdict``: ``"exact"``, ``"differs"`` or ``"not-drilled"``. ``steps``: of the uninterrupted run. ``seed``: of the
    kill points. ``rows``: what was compared. ``tolerance``: ``None`` where all was compared bit for bit.
    ``findings``: the first divergence's cause first."""

    target: str
    verdict: Verdict
    summary: str
    steps: int
    seed: int
    resumptions: tuple[Resumption, ...]
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    tolerance: str | None = None
    seconds: float = 0.0
    folder: str | None = None

    @property
    def exact(self) -> bool:
        """Whether it resumes exactly."""
        return self.verdict == "exact"

    @property
    def exit_code(self) -> int:
        """0 resumes exactly, 1 does not, 2 could not be drilled."""
        return {"exact": 0, "differs": 1, "not-drilled": 2}[self.verdict]

    def as_document(self) -> dict[str, Any]:
        """As values that JSON knows, without the findings."""
        return {
            "path": self.target,
            "verdict": self.verdict,
            "summary": self.summary,
            "steps": self.steps,
            "seed": self.seed,
            "resumptions": [
                {"killed_at": r.killed_at, "how": r.how, "resumed_after": r.resumed_after, "steps": r.steps}
                for r in self.resumptions
            ],
            "compared": [
                {"what": r.what, "steps": r.steps, "differs_at": r.differs, "note": r.note} for r in self.rows
            ],
            "tolerance": self.tolerance,
            "seconds": round(self.seconds, 3),
            "folder": self.folder,
        }
