"""``torch.Generator``: opaque bytes, 5056 on the CPU."""

from __future__ import annotations

import sys
from typing import Any

from .nest import Captured, Draft

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "torch-generator"


def recognises(thing: Any) -> bool:
    """Whether it is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Generator)


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Its state and device; nothing is drawn."""
    return {"state": draft.add(thing.get_state(), path), "device": str(thing.device.type)}


def against(thing: Any, captured: Captured) -> list[str]:
    """Each kind of device has a state of its own form."""
    then, now = captured.about["device"], str(thing.device.type)
    return [] if then == now else [f"it was a generator of {then}, and this is one of {now}"]


def put(thing: Any, captured: Captured) -> Any:
    """The state back, in place."""
    thing.set_state(captured.value(captured.about["state"]))
    return thing
