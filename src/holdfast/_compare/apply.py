"""Plans applied to specs: what a catalog looks like after the edits, without touching a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._core.plan import Plan
from .._core.spec import TensorSpec
from .edited import apply_edits, entries_of

__all__ = ["apply_names"]


def apply_names(
    plan: Plan, specs: Iterable[TensorSpec], expected: Mapping[str, TensorSpec] | None = None
) -> list[TensorSpec]:
    """The specs after the edits of a plan; see :func:`holdfast._compare.edited.apply_edits`."""
    return [entry.spec for entry in apply_edits(plan, entries_of(specs), expected).values()]
