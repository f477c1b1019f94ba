"""Errors as facts that a report can hold."""

from __future__ import annotations

from .._core.errors import (
    ChecksumMismatch,
    DamagedCheckpoint,
    HoldfastError,
    LimitExceeded,
    PartMissing,
    Truncated,
)
from .._core.fault import Fault

__all__ = ["fault_of"]


def fault_of(error: HoldfastError, tensor: str | None = None) -> Fault:
    """An error as a fact that a report can hold."""
    slug = "unreadable"
    for kind, name in (
        (Truncated, "truncated"),
        (ChecksumMismatch, "checksum"),
        (PartMissing, "part-missing"),
        (LimitExceeded, "limit"),
        (DamagedCheckpoint, "malformed"),
    ):
        if isinstance(error, kind):
            slug = name
            break
    name = error.tensor or tensor
    return Fault(
        slug,
        error.message,
        error.file,
        error.offset,
        name,
        error.found,
        error.expected,
        (name,) if name else (),
        {"remedy": error.remedy} if error.remedy else {},
    )
