"""What layers make of their variables once, and compute with from then on.

``Normalization`` that was adapted keeps mean and variance as constants beside its variables; ``finalize_state`` makes them
anew, as its ``load_own_variables`` does (``keras/src/layers/preprocessing/normalization.py``). Functions that Keras has
compiled hold them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from .objects import Holder

__all__ = ["compile_anew", "derive_anew"]

_CONSTANTS = ("mean", "variance")
_COMPILED = ("train_function", "test_function", "predict_function")


def derive_anew(known: Iterable[Holder]) -> bool:
    """Make the constants of all layers of a model out of their variables; whether one of them became another one."""
    changed = False
    for holder in known:
        layer = holder.layer
        if getattr(layer, "adapt_mean", None) is None or not callable(getattr(layer, "finalize_state", None)):
            continue
        before = [_value(layer, name) for name in _CONSTANTS]
        layer.finalize_state()
        after = [_value(layer, name) for name in _CONSTANTS]
        changed |= not all(_same(one, two) for one, two in zip(before, after, strict=True))
    return changed


def compile_anew(model: Any, names: Iterable[str] = _COMPILED) -> None:
    """Let the model trace these functions again when it next needs them."""
    for name in names:
        if getattr(model, name, None) is not None:
            setattr(model, name, None)


def _value(layer: Any, name: str) -> np.ndarray | None:
    constant = getattr(layer, name, None)
    return None if constant is None else np.asarray(keras.ops.convert_to_numpy(constant))


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True)
