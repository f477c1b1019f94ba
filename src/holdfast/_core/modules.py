"""What a model is made of besides its tensors: the modules, their configuration, the code a user wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["FRAMEWORKS", "ModuleSpec"]

FRAMEWORKS = frozenset({"torch", "keras", "tensorflow", "tf_keras", "flax", "jax", "equinox"})
"""Packages whose classes are no user's own."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """One module (layer) of a model, so that a change of function is seen though no shape changes.

    Attributes
    ----------
    path: where it stands in the model, as tensor names begin (``encoder.layers.0``; ``""`` for the model itself).
    class_name: the class without its package. package: the package's first segment (``torch``, ``keras``,
        ``__main__``); a user's own class has another one than the framework's.
    config: what decides the function besides the tensors, JSON-able (activation, strides, padding, heads,
        epsilon, dropout rate ...); no names, no initialisers, no regularisers, no dtypes of tensors.
    code: digest of the source of a class that the user wrote, ``None`` for the framework's own classes and
        where the source is not to be had. order: position in the order of construction.
    terms: reads the vocabulary of a layer that looks terms up, where it is at hand; ``config`` has its digest, which is all
        that a record keeps.
    """

    path: str
    class_name: str
    package: str = ""
    config: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    code: str | None = None
    order: int = 0
    terms: Callable[[], Sequence[str]] | None = field(default=None, compare=False, repr=False)
