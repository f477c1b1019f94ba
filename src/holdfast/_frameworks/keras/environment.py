"""What of Keras's state decides numbers: backend, number types, policies."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """Keras's settings of this process."""
    return {
        "version": keras.__version__,
        "backend": keras.backend.backend(),
        "floatx": keras.backend.floatx(),
        "epsilon": keras.backend.epsilon(),
        "image_data_format": keras.backend.image_data_format(),
        "dtype_policy": keras.dtype_policies.dtype_policy.dtype_policy().name
        if hasattr(keras.dtype_policies, "dtype_policy")
        else keras.config.dtype_policy().name,
    }
