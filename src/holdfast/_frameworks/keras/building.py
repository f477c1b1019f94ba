"""Keras models without variables, built by a shape or by one call in inference mode."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

__all__ = ["build"]


def build(model: Any, given: Any) -> None:
    """``model.build(shape)`` for a shape (a tuple of int and ``None``), else ``model(batch, training=False)``.

    Initialisers take their seeds from Python's and Keras's own generators (keras/src/random/seed_generator.py):
    both are put back.
    """
    with _generators_kept():
        if isinstance(given, tuple) and all(size is None or isinstance(size, int) for size in given):
            model.build(given)
        else:
            model(given, training=False)


@contextmanager
def _generators_kept() -> Iterator[None]:
    from keras.src.backend.common import global_state

    python, numpy = random.getstate(), np.random.get_state()
    seeds = global_state.get_global_attribute("global_seed_generator")
    state = None if seeds is None else np.array(keras.ops.convert_to_numpy(seeds.state))
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if seeds is not None:
            seeds.state.assign(state)
        elif global_state.get_global_attribute("global_seed_generator") is not None:
            global_state.set_global_attribute("global_seed_generator", None)
