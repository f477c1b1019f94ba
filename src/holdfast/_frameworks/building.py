"""Building a model that has no variables yet, with an input that the person gives; random state is put back."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .._core.errors import HoldfastError, UsageError
from . import adapter_of

__all__ = ["build"]


def build(model: Any, build_with: Any) -> None:
    """Call (or build) ``model`` once, in inference mode, with ``build_with``: a batch, a tuple of arguments, a
    dict of keyword arguments, or for Keras a shape. A mapping of models takes a mapping of inputs.

    Raises :class:`UsageError` where the model cannot be built so, with what it said.
    """
    if isinstance(model, Mapping) and isinstance(build_with, Mapping) and set(model) >= set(build_with):
        for name, given in build_with.items():
            build(model[name], given)
        return
    library = adapter_of(model)
    if library not in ("torch", "keras"):
        raise UsageError("build_with= is for PyTorch modules and Keras models", found=str(library))
    room = import_module(f"{__package__}.{library}.building")
    try:
        room.build(model, build_with)
    except HoldfastError:
        raise
    except Exception as error:
        raise UsageError(
            f"the model could not be built with build_with=: {type(error).__name__}: {error}",
            remedy="Give one batch of what the model is trained on.",
        ) from error
