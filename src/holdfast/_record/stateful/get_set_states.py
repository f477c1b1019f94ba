"""Iterators with ``get_state`` and ``set_state``: Grain's (bytes of its ``DataLoader``, a dict of its ``Dataset``)."""

from __future__ import annotations

from typing import Any

from .nest import Captured, Draft

__all__ = ["KIND", "make", "put", "recognises", "take"]

KIND = "get-state"


def recognises(thing: Any) -> bool:
    """Whether it has both."""
    return not isinstance(thing, type) and all(
        callable(getattr(thing, m, None)) for m in ("get_state", "set_state")
    )


def take(thing: Any, draft: Draft, path: str) -> Any:
    """What ``get_state`` gives."""
    return draft.add(thing.get_state(), path)


def put(thing: Any, captured: Captured) -> Any:
    """Handed to ``set_state``."""
    thing.set_state(captured.state)
    return thing


def make(captured: Captured) -> Any:
    """The state itself, where no object was given."""
    return captured.state
