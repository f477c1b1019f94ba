"""What a vault tells of its saves: the types that ``Vault(..., on_event=callable)`` hands out."""

from __future__ import annotations

from ._vault.events import (
    Annotated,
    Committed,
    Damaged,
    Dropped,
    Event,
    Failed,
    Frozen,
    PassedOver,
    Restored,
    SaveStarted,
    Skipped,
    Written,
)

__all__ = [
    "Annotated",
    "Committed",
    "Damaged",
    "Dropped",
    "Event",
    "Failed",
    "Frozen",
    "PassedOver",
    "Restored",
    "SaveStarted",
    "Skipped",
    "Written",
]
