"""What a vault tells of its saves: the types that ``Vault(..., on_event=callable)`` hands out."""

from __future__ import annotations

from ._vault.events import (
    Committed,
    Dropped,
    Event,
    Failed,
    Frozen,
    PassedOver,
    SaveStarted,
    Skipped,
    Written,
)

__all__ = [
    "Committed",
    "Dropped",
    "Event",
    "Failed",
    "Frozen",
    "PassedOver",
    "SaveStarted",
    "Skipped",
    "Written",
]
