"""What happens to a save, told as it happens: ``Vault(..., on_event=callable)`` gets one of these at a time.

They come from the thread in which the thing happens: a background save tells of itself from its own. What the callable
raises is logged and breaks no save.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._record.metrics import Metric

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


@dataclass(frozen=True, slots=True)
class SaveStarted:
    """``save(step)`` was called, and it is this save's turn."""

    step: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """The values are held: training may change everything. ``nbytes``: of all tensors. ``elapsed``: seconds since the
    save started."""

    step: int
    elapsed: float
    nbytes: int


@dataclass(frozen=True, slots=True)
class Written:
    """All tensors are on the medium; nothing is visible yet. ``nbytes``: of them, those of earlier steps that are shared
    included."""

    step: int
    elapsed: float
    nbytes: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The step is there, durable and whole. ``timings`` are seconds by phase, ``telemetry`` what else was measured (both
    as in :attr:`SaveHandle.timings` and :attr:`SaveHandle.telemetry`). ``record``: the digest of its record, which names its
    content. ``metrics``: those that it was saved with."""

    step: int
    elapsed: float
    name: str
    path: str
    timings: Mapping[str, Any] = field(default_factory=dict)
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    record: str = ""
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotated:
    """Metrics were added to a committed step (``vault.annotate``)."""

    name: str
    path: str
    step: int
    record: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Retention deleted a step; ``name`` is its folder's. ``why``: ``"keep"``, or ``"full"`` where the disk was full."""

    name: str
    why: str = "keep"


@dataclass(frozen=True, slots=True)
class Failed:
    """A save ended with an error; every checkpoint before it stands."""

    step: int
    elapsed: float
    error: BaseException


@dataclass(frozen=True, slots=True)
class Skipped:
    """A save was passed over because another was being written (``when_busy="skip"``)."""

    step: int


@dataclass(frozen=True, slots=True)
class PassedOver:
    """``restore`` did not take a newer step; ``why`` says why not."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Restored:
    """Live objects hold this step now. ``proof``: how much evidence its bytes had. ``proved``: what replaying the probe
    showed, where that was asked for."""

    name: str
    path: str
    step: int
    record: str
    proof: str
    proved: str = ""


@dataclass(frozen=True, slots=True)
class Damaged:
    """``scrub`` found that a step is not what was saved; ``why`` says the gravest finding."""

    name: str
    why: str


Event: TypeAlias = (
    SaveStarted
    | Frozen
    | Written
    | Committed
    | Annotated
    | Dropped
    | Failed
    | Skipped
    | PassedOver
    | Restored
    | Damaged
)
