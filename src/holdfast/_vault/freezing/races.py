"""The errors of saves that raced with somebody's writes, with their finding."""

from __future__ import annotations

from typing import Any

from ..._core.errors import SaveFailed
from ..._core.fault import Fault
from ..findings import saving_findings

__all__ = ["changed_while_saved", "torn_snapshot"]


def changed_while_saved(message: str, tensor: str, expected: str, found: str) -> SaveFailed:
    """The structure changed (S131)."""
    return _raced(
        "changed-while-saved", message, tensor, expected, found,
        "Save where nothing else builds, converts or replaces parts of the model.",
    )  # fmt: skip


def torn_snapshot(message: str, tensors: list[str], expected: str, found: str, remedy: str) -> SaveFailed:
    """Values changed (S132); ``tensors`` are their names."""
    return _raced("torn-snapshot", message, tensors[0], expected, found, remedy, tuple(tensors))


def _raced(
    slug: str,
    message: str,
    tensor: str,
    expected: str,
    found: str,
    remedy: str,
    tensors: tuple[str, ...] = (),
) -> SaveFailed:
    fault = Fault(slug, message, tensor=tensor, seen=found, expected=expected, tensors=tensors or (tensor,))
    given: dict[str, Any] = {"tensor": tensor, "expected": expected, "found": found, "remedy": remedy}
    return SaveFailed(message, findings=saving_findings([fault]), **given)
