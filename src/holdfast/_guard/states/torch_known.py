"""What is known of live modules: with which names they were loaded, and which of their tensors a load has set."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..._frameworks.torch.names import Names

__all__ = ["LOADED", "bare_names", "held", "note_set", "own", "was_set"]

LOADED: weakref.WeakKeyDictionary[Any, tuple[dict[str, Any], str | None]] = weakref.WeakKeyDictionary()
"""Module -> names and shapes with which it was loaded, and the file that they came from."""
_SET: dict[int, weakref.ref[torch.Tensor]] = {}
"""Live tensors that a load has set, by their ids."""
_MOST_SET = 200_000


def own(module: torch.nn.Module) -> Mapping[str, Any]:
    """A module's state dict, of its own tensors."""
    try:
        return module.state_dict(keep_vars=True)
    except TypeError:  # an override that takes no options
        return module.state_dict()


def bare_names(module: torch.nn.Module) -> Callable[[str], str]:
    """Gives the live catalog's name for a key of the module's state dict."""
    names = Names(module)
    return (lambda key: key) if names.plain else names.bare


def held(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The live tensors of a module by the names of the live catalog."""
    bare = bare_names(module)
    return {bare(k): t for k, t in own(module).items() if isinstance(t, torch.Tensor)}


def was_set(tensor: torch.Tensor) -> bool:
    """Whether a load has set it."""
    known = _SET.get(id(tensor))
    return known is not None and known() is tensor


def note_set(tensor: torch.Tensor) -> None:
    """A load has set it."""
    _SET[id(tensor)] = weakref.ref(tensor)
    if len(_SET) > _MOST_SET:
        for key in [key for key, known in _SET.items() if known() is None]:
            del _SET[key]
