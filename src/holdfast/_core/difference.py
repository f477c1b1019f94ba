"""One difference between two catalogs.

``A`` is what is there (a checkpoint), ``B`` what is expected (another checkpoint, or a live model); edits
turn A into what B expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .difference_kinds import DIFFERENCES, DifferenceKind
from .plan import Edit

__all__ = ["Difference"]


_NO_EVIDENCE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, init=False)
class Difference:
    """One difference, with exactly one code.

    Attributes
    ----------
    code: a key of :data:`DIFFERENCES`. a, b: the tensor's (or optimizer's) name on each side, ``None`` where
        it is not.
    message: one sentence that stands alone. evidence: JSON-able facts (shapes, dtypes, distances, ``by``,
        ``certain``).
    edit: the edit that settles it, where one does; the plan of the delta folds these.
    candidates_a, candidates_b: for an ambiguous match, all names that fit.
    related: names of optimizer slots that differ only because this tensor does.
    """

    code: str
    a: str | None
    b: str | None
    message: str
    evidence: Mapping[str, Any] = field(default_factory=lambda: _NO_EVIDENCE)
    edit: Edit | None = None
    candidates_a: tuple[str, ...] = ()
    candidates_b: tuple[str, ...] = ()
    related: tuple[str, ...] = ()

    # Written out, as a frozen dataclass's own takes twice as long, and a checkpoint can have tens of thousands.
    def __init__(
        self,
        code: str,
        a: str | None,
        b: str | None,
        message: str,
        evidence: Mapping[str, Any] = _NO_EVIDENCE,
        edit: Edit | None = None,
        candidates_a: tuple[str, ...] = (),
        candidates_b: tuple[str, ...] = (),
        related: tuple[str, ...] = (),
    ) -> None:
        _set_code(self, code)
        _set_a(self, a)
        _set_b(self, b)
        _set_message(self, message)
        _set_evidence(self, evidence)
        _set_edit(self, edit)
        _set_candidates_a(self, candidates_a)
        _set_candidates_b(self, candidates_b)
        _set_related(self, related)

    @property
    def kind(self) -> DifferenceKind:
        """The row of :data:`DIFFERENCES` that the code names."""
        return DIFFERENCES[self.code]

    @property
    def slug(self) -> str:
        """The code in words (``"renamed"``)."""
        return DIFFERENCES[self.code].slug

    @property
    def cause(self) -> str:
        """The label of the cause, as findings bear it (``"shape-mismatch"``)."""
        return DIFFERENCES[self.code].cause

    @property
    def name(self) -> str:
        """The name by which to list it: B's where there is one, else A's, else the first candidate."""
        return self.b or self.a or next(iter((*self.candidates_b, *self.candidates_a)), "")

    def to_document(self) -> dict[str, Any]:
        """JSON-able."""
        document: dict[str, Any] = {
            "code": self.code,
            "slug": self.slug,
            "cause": self.cause,
            "a": self.a,
            "b": self.b,
            "message": self.message,
            "evidence": dict(self.evidence),
            "edit": None if self.edit is None else str(self.edit),
        }
        if self.candidates_a or self.candidates_b:
            document["candidates_a"] = list(self.candidates_a)
            document["candidates_b"] = list(self.candidates_b)
        if self.related:
            document["related"] = list(self.related)
        return document


# The slots' own setters, which a frozen class does not bar.
(
    _set_code,
    _set_a,
    _set_b,
    _set_message,
    _set_evidence,
    _set_edit,
    _set_candidates_a,
    _set_candidates_b,
    _set_related,
) = (getattr(Difference, name).__set__ for name in Difference.__slots__)
