"""A comparison as the text view draws it: the ``diff`` document without what that view never shows.

The whole document names every pair and every edit as text; of tens of thousands of tensors that takes longer than
to compare them.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any, Protocol, overload

from .._core.difference import Difference
from .._core.plan import Plan
from .plain import plain

__all__ = ["delta_view"]


class DeltaLike(Protocol):
    """What the view reads of a comparison."""

    @property
    def a(self) -> str: ...
    @property
    def b(self) -> str: ...
    @property
    def format_a(self) -> str: ...
    @property
    def format_b(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def differences(self) -> Sequence[Difference]: ...
    @property
    def pairs(self) -> Sized: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def not_looked_at(self) -> Sequence[str]: ...


def delta_view(delta: DeltaLike) -> dict[str, Any]:
    """The fields of :func:`holdfast._render.document.delta_document` that the text view reads, with the same
    values; ``plan`` writes its edits as they are asked for.
    """
    return {
        "command": "diff",
        "a": {"path": plain(delta.a), "format": delta.format_a},
        "b": {"path": plain(delta.b), "format": delta.format_b},
        "summary": plain(delta.summary),
        "differences": [_difference(difference) for difference in delta.differences],
        "matched": {"pairs": len(delta.pairs)},
        "plan": _Edits(delta.plan),
        "unsettled": plain(delta.plan.unsettled),
        "not_looked_at": plain(delta.not_looked_at),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "code": difference.code,
        "slug": difference.slug,
        "a": plain(difference.a),
        "b": plain(difference.b),
        "message": plain(difference.message),
        "evidence": plain(dict(difference.evidence)),
    }
    if difference.candidates_a or difference.candidates_b:
        entry["candidates_a"] = plain(difference.candidates_a)
        entry["candidates_b"] = plain(difference.candidates_b)
    if difference.related:
        entry["related"] = plain(difference.related)
    return entry


class _Edits(Sequence[str]):
    """The edits of a plan, each as its line."""

    def __init__(self, plan: Plan) -> None:
        self._edits = plan.edits

    def __len__(self) -> int:
        return len(self._edits)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [plain(str(edit)) for edit in self._edits[place]]
        text: str = plain(str(self._edits[place]))
        return text
