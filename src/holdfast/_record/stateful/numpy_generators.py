"""Generators that a program holds itself: ``numpy.random.Generator``, ``RandomState`` and bit generators, ``random.Random``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from .nest import Captured, Draft

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "generator"


def recognises(thing: Any) -> bool:
    """Whether it is one."""
    return isinstance(
        thing, (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
    )


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Its state; nothing is drawn."""
    return draft.add(_state(thing), path)


def against(thing: Any, captured: Captured) -> list[str]:
    """Another algorithm cannot go on."""
    then, now = captured.state, _state(thing)
    if (
        isinstance(then, dict)
        and isinstance(now, dict)
        and then.get("bit_generator") != now.get("bit_generator")
    ):
        return [f"it was a {then.get('bit_generator')}, and this is a {now.get('bit_generator')}"]
    return []


def put(thing: Any, captured: Captured) -> Any:
    """The state back, in place."""
    state = captured.state
    if isinstance(thing, random.Random):
        thing.setstate(state)
    elif isinstance(thing, np.random.RandomState):
        thing.set_state(state)
    else:
        getattr(thing, "bit_generator", thing).state = state
    return thing


def _state(thing: Any) -> Any:
    if isinstance(thing, random.Random):
        return thing.getstate()
    if isinstance(thing, np.random.RandomState):
        return thing.get_state(legacy=False)
    return getattr(thing, "bit_generator", thing).state
