"""Is a save taken between two updates of a gradient accumulation, so that sums of gradients are lost?

Keras and optax keep them in the optimizer's state, which is saved. PyTorch keeps them in ``parameter.grad``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["gathered", "look_on"]


def look_on(parts: Mapping[str, Any]) -> None:
    """Begin to look at steps, where that is needed to tell."""
    if "torch" in sys.modules:
        from .torch import accumulating

        accumulating.look_on(parts)


def gathered(parts: Mapping[str, Any]) -> str | None:
    """How it was seen, in words, or ``None``."""
    state = getattr(sys.modules.get("accelerate.state"), "GradientState", None)
    shared = getattr(state, "_shared_state", None)
    if isinstance(shared, dict) and shared.get("sync_gradients") is False:
        return "accelerate says that this micro-batch does not end an update"
    if "torch" not in sys.modules:
        return None
    from .torch import accumulating

    return accumulating.gathered(parts)
