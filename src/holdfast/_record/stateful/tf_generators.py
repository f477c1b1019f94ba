"""``tf.random.Generator`` and ``keras.random.SeedGenerator``: one variable each."""

from __future__ import annotations

from typing import Any

import numpy as np

from .nest import Captured, Draft, owner_of

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "seed-generator"


def recognises(thing: Any) -> bool:
    """Whether it is one."""
    name = type(thing).__name__
    return (owner_of(thing), name) in (("tensorflow", "Generator"), ("keras", "SeedGenerator"))


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Its state; nothing is drawn."""
    return {"state": draft.add(np.array(thing.state), path), "algorithm": int(getattr(thing, "algorithm", 0))}


def against(thing: Any, captured: Captured) -> list[str]:
    """Another algorithm cannot go on."""
    then, now = captured.about["algorithm"], int(getattr(thing, "algorithm", 0))
    return [] if then == now else [f"its algorithm was {then}, and is {now}"]


def put(thing: Any, captured: Captured) -> Any:
    """The state back, in place."""
    thing.state.assign(captured.value(captured.about["state"]))
    return thing
