"""What a tracker is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["CHECKPOINT", "RECORD", "VERDICT", "Tracker", "is_of"]

CHECKPOINT = "holdfast/checkpoint"
"""The text that says in which folder the state of this step lies."""
RECORD = "holdfast/record"
"""The text with the digest of its record, which names its content."""
VERDICT = "holdfast/verdict"
"""The text that says what became of it: ``saved``, ``failed: ...``, ``restored: ...``, ``passed over: ...`` ..."""


class Tracker:
    """Where numbers and texts of a run go. Subclass it for a tool that Holdfast does not know.

    ``name`` stands in messages. :meth:`put` is called from a thread of the vault's own, by one call at a time; what it
    raises is logged, counted and told in ``handle.telemetry["trackers"]``, and hinders no save.
    """

    name = "tracker"

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Take what is known of a step: ``numbers`` (``checkpoint/val_loss``, ``holdfast/stall_s``; NaN and infinities may
        be among them) and ``texts`` (``holdfast/checkpoint``, ``holdfast/record``, ``holdfast/verdict``); either may be
        empty."""
        raise NotImplementedError


def is_of(given: Any, tool: str) -> bool:
    """Whether the class of ``given``, or one that it derives from, is of this top-level package and that is imported."""
    if tool not in sys.modules:
        return False
    return any(cls.__module__.partition(".")[0] == tool for cls in type(given).__mro__)
