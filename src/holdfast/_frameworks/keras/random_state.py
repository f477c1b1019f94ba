"""Keras's global seed generator. Those of layers are variables of the model; this one belongs to nobody, and Keras saves
neither (``keras/src/random/seed_generator.py``, ``global_seed_generator``)."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["put_state", "state"]

_NAME = "global_seed_generator"


def state() -> dict[str, Any]:
    """``generator`` where it was made, ``seed`` where ``keras.utils.set_random_seed`` was called."""
    from keras.src.backend.common import global_state
    from keras.src.utils.rng_utils import get_random_seed

    found: dict[str, Any] = {}
    generator = global_state.get_global_attribute(_NAME)
    if generator is not None:
        found["generator"] = np.array(generator.state)
    if get_random_seed() is not None:
        found["seed"] = int(get_random_seed())
    return found


def put_state(found: dict[str, Any]) -> list[str]:
    """Put it back; gives what could not be, each with the reason."""
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import global_seed_generator

    if "seed" in found:
        global_state.set_global_attribute("random_seed", found["seed"])
    if "generator" in found:
        global_seed_generator().state.assign(found["generator"])
    return []
