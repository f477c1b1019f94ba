"""What the tests of saves share."""

from __future__ import annotations

from typing import Any

from holdfast._guard.guard import Guard

__all__ = ["codes", "state", "unpicklable"]


def codes(guard: Guard, *severities: str) -> list[str]:
    """Of all findings so far, of these severities (by default errors and warnings)."""
    wanted = severities or ("error", "warning")
    return [f.code for s in guard.seen for f in s.findings if f.severity in wanted]


def state(n: int = 3) -> dict[str, Any]:
    """A small state dict of PyTorch's."""
    import torch

    return {"a": torch.arange(float(n)), "b": torch.ones(n, n)}


def unpicklable() -> dict[str, object]:
    """What no save can write."""
    return {"f": lambda: 1}
