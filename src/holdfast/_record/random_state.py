"""Random state of the process: Python's, NumPy's and each loaded framework's global generators, and back.

Generators that a program holds itself (``numpy.random.default_rng``, ``torch.Generator``, a JAX key) are its own objects:
they are saved where they are passed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["put_random_state", "random_state"]

_FRAMEWORKS = ("torch", "tensorflow", "keras")
"""JAX has no global generator."""


def random_state() -> dict[str, Any]:
    """Every global generator's state, by library: nests of numbers, bytes and small arrays. Nothing is drawn.

    ``incomplete`` names the libraries that could not tell, each with the reason.
    """
    version, words, gauss = random.getstate()
    held = np.random.get_state(legacy=False)
    found: dict[str, Any] = {
        "python": [version, np.asarray(words, np.uint32), gauss],
        "numpy": {
            "bit_generator": held["bit_generator"],
            "state": dict(held["state"]),
            "has_gauss": held["has_gauss"],
            "gauss": held["gauss"],
        },
    }
    missing = []
    for name in _FRAMEWORKS:
        if name not in sys.modules:
            continue
        try:
            state = import_module(f"holdfast._frameworks.{name}.random_state").state()
        except Exception as error:  # noqa: BLE001 - another version of the framework must not hinder a save
            missing.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if state:
            found[name] = state
    if missing:
        found["incomplete"] = missing
    return found


def put_random_state(found: Mapping[str, Any]) -> list[str]:
    """Put the global generators back; gives what could not be, each with the reason.

    A library that is not loaded here is left alone and named.
    """
    left = [f"{text} (when it was saved)" for text in found.get("incomplete", ())]
    for name in _FRAMEWORKS:
        if name not in found:
            continue
        if name not in sys.modules:
            left.append(f"{name}: not imported here")
            continue
        try:
            left += import_module(f"holdfast._frameworks.{name}.random_state").put_state(found[name])
        except Exception as error:  # noqa: BLE001 - told; the others are still put back
            left.append(f"{name}: {type(error).__name__}: {error}")
    if "numpy" in found:
        np.random.set_state(dict(found["numpy"]))
    if "python" in found:
        version, words, gauss = found["python"]
        random.setstate((version, tuple(int(word) for word in words), gauss))
    return left
