"""What a diagnosis says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .._core.finding import Told
from .knowledge import Guess

__all__ = ["Diagnosis", "DiagnosedCause"]

Status = Literal["proved", "likely", "possible", "refuted"]


@dataclass(frozen=True, slots=True)
class DiagnosedCause:
    """One cause: its ``label``, how sure (0 to 1) and by what (``status``: proved on the files, likely or possible by the text,
    refuted), ``why`` in words, the ``remedy``, the ``evidence`` in the text, what would ``confirm`` or refute it, ``facts``
    (numbers and names out of the text), and what the files showed (``found``)."""

    label: str
    confidence: float
    why: str
    remedy: str
    status: Status = "possible"
    evidence: str = ""
    confirm: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""

    @classmethod
    def of(cls, guess: Guess) -> DiagnosedCause:
        """A guess as a cause."""
        status: Status = "likely" if guess.confidence >= 0.7 else "possible"
        return cls(
            guess.label,
            round(guess.confidence, 2),
            guess.why,
            guess.remedy,
            status,
            guess.evidence,
            guess.confirm,
            guess.facts,
        )


@dataclass(frozen=True, slots=True)
class Diagnosis(Told):
    """What failed and why.

    ``is_checkpoint_failure``: whether the text says so; ``causes``, best first (of a message by itself, which does not
    say, what it would be if it came from a checkpoint); ``failed``: the exception that ended the program, as printed;
    ``note``: what else to know, as where nothing is known; ``similar``: known causes that are nearest where none fits; ``paths``:
    checkpoints that were looked at; ``left_out``: a sentence on what of a long text was not read, else empty.
    """

    is_checkpoint_failure: bool
    causes: tuple[DiagnosedCause, ...] = ()
    failed: str = ""
    note: str = ""
    similar: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    left_out: str = ""

    @property
    def summary(self) -> str:
        """One sentence."""
        if not self.is_checkpoint_failure and self.causes:
            return f"this cannot be told: {self.note}"
        if not self.is_checkpoint_failure:
            return "this is no checkpoint failure" + (f": {self.note}" if self.note else "")
        if not self.causes:
            return "a failure while saving or loading whose cause is not known"
        first = self.causes[0]
        return f"{first.label} ({first.status}): {first.why}"

    def as_document(self) -> dict[str, Any]:
        """Values that JSON knows."""
        return {
            "is_checkpoint_failure": self.is_checkpoint_failure,
            "failed": self.failed,
            "note": self.note,
            "similar": list(self.similar),
            "paths": list(self.paths),
            "left_out": self.left_out,
            "causes": [
                {
                    "label": c.label, "confidence": c.confidence, "status": c.status, "why": c.why, "remedy": c.remedy,
                    "evidence": c.evidence, "confirm": c.confirm, "facts": dict(c.facts), "found": c.found,
                }
                for c in self.causes
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        return self.summary
