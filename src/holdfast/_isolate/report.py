"""What an isolation found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .._core.words import plural

__all__ = ["Culprit", "Isolation", "Note"]

Verdict = Literal["saved", "not-saved", "not-read-back"]


@dataclass(frozen=True, slots=True)
class Culprit:
    """One thing that cannot be saved, or not be read back.

    ``path``: where it is, as its owner would write it; ``also``: other ways to the same object; ``together``: all
    paths, where only several things together fail. ``what``: what it is; ``why``; ``remedy``; ``cause``: a label of
    the table of causes. ``error``: how it fails, in a line. ``alone``: whether it fails when it is saved by itself
    (``None``: it cannot be); ``without``: whether the save passes once it (and the others) are left out. ``phase``:
    ``save``, or where reading back fails. ``kind``: an ``error``, a ``hang`` or a ``crash``; ``trace``: as printed,
    or the stack at the time."""

    path: str
    what: str
    why: str
    remedy: str
    cause: str
    error: str
    phase: str = "save"
    alone: bool | None = None
    without: bool | None = None
    also: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    trace: str = ""
    kind: str = "error"

    @property
    def proved(self) -> bool:
        """Whether the save passes without it, and fails with little else."""
        return bool(self.without)


@dataclass(frozen=True, slots=True)
class Note:
    """Something beside: what is saved and worth knowing. ``paths``: of what."""

    text: str
    remedy: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Isolation:
    """``verdict``: ``"saved"`` (and read back), ``"not-saved"``, or ``"not-read-back"``. ``culprits``: the smallest
    things at fault. ``error``: how the whole save fails, in a line; ``trace``: as printed. ``saves``: how many were
    tried. ``nbytes``: what a whole save takes. ``notes``: what else is worth knowing. ``complete``: whether a save
    without all culprits passes."""

    target: str
    save: str
    title: str
    verdict: Verdict
    culprits: tuple[Culprit, ...] = ()
    notes: tuple[Note, ...] = ()
    error: str = ""
    trace: str = ""
    saves: int = 0
    nbytes: int | None = None
    seconds: float = 0.0
    complete: bool = True
    read: tuple[str, ...] = field(default=())

    @property
    def saved(self) -> bool:
        """Whether everything is saved and read back."""
        return self.verdict == "saved"

    @property
    def exit_code(self) -> int:
        """0 all is saved, 1 something cannot be."""
        return 0 if self.saved else 1

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.saved:
            return (
                f"{self.title} passes, and what it wrote reads back" if self.read else f"{self.title} passes"
            )
        done = "cannot be saved" if self.verdict == "not-saved" else "is saved and cannot be read back"
        if not self.culprits:
            return f"it {done} ({self.error}), and no single part of it is at fault"
        if len(self.culprits) == 1:
            one = self.culprits[0]
            if one.together:
                return f"{plural(len(one.together), 'part')} together {done.replace('is saved', 'are saved')}"
            return f"`{one.path}` {done}: {one.what}"
        return f"{len(self.culprits)} things in it {done.replace('is saved', 'are saved')}"

    def as_document(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return {
            "path": self.target,
            "save": self.save,
            "title": self.title,
            "verdict": self.verdict,
            "summary": self.summary,
            "error": self.error,
            "trace": self.trace,
            "saves": self.saves,
            "nbytes": self.nbytes,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "read": list(self.read),
            "culprits": [
                {
                    "path": c.path,
                    "what": c.what,
                    "why": c.why,
                    "remedy": c.remedy,
                    "cause": c.cause,
                    "error": c.error,
                    "phase": c.phase,
                    "alone_fails": c.alone,
                    "passes_without": c.without,
                    "also": list(c.also),
                    "together": list(c.together),
                    "kind": c.kind,
                    "trace": c.trace,
                }
                for c in self.culprits
            ],
            "notes": [{"text": n.text, "remedy": n.remedy, "paths": list(n.paths)} for n in self.notes],
        }

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Isolation:
        """The report that :meth:`as_document` described."""
        culprits = tuple(
            Culprit(
                c["path"],
                c["what"],
                c["why"],
                c["remedy"],
                c["cause"],
                c["error"],
                c["phase"],
                c["alone_fails"],
                c["passes_without"],
                tuple(c["also"]),
                tuple(c["together"]),
                c["trace"],
                c["kind"],
            )
            for c in document["culprits"]
        )
        notes = tuple(Note(n["text"], n["remedy"], tuple(n["paths"])) for n in document["notes"])
        return cls(
            document["path"],
            document["save"],
            document["title"],
            document["verdict"],
            culprits,
            notes,
            document["error"],
            document["trace"],
            document["saves"],
            document["nbytes"],
            document["seconds"],
            document["complete"],
            tuple(document["read"]),
        )

    def __str__(self) -> str:
        return self.summary
