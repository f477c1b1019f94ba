"""Live models of every framework as catalogs. A framework is found through ``sys.modules`` and never imported
first: an object of its cannot exist before it is.

One package each: ``numpy_tree.py``, ``torch/``, ``keras/``, ``tensorflow/``, ``jax/``. A package's ``live.py`` has
``recognises(thing) -> bool`` (is this a model, optimizer, scheduler ... of mine?) and
``describe(parts) -> LiveCatalog``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .live import LiveCatalog, Setting, Variable

__all__ = ["ADAPTERS", "LiveCatalog", "Setting", "Variable", "adapter_of", "live_catalog"]

ADAPTERS: tuple[tuple[str, str], ...] = (
    ("keras", "keras.live"),  # before torch: on that backend a Keras model is a torch.nn.Module too
    ("torch", "torch.live"),
    ("tensorflow", "tensorflow.live"),
    ("jax", "jax.live"),
    ("numpy", "numpy_tree"),
)
"""Module that must be loaded already, and our room for it; the first that recognises an object takes it."""


def __getattr__(name: str) -> object:
    """The types of :mod:`.live`, when they are asked for: they need numpy, and the hooks of this room are put in place before
    a program has imported it."""
    if name in ("LiveCatalog", "Setting", "Variable"):
        return getattr(import_module(f"{__name__}.live"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _adapter(thing: Any) -> tuple[str, ModuleType] | None:
    for library, room in ADAPTERS:
        if library in sys.modules:
            module = import_module(f"{__name__}.{room}")
            if module.recognises(thing):
                return library, module
    return None


def adapter_of(thing: Any) -> str | None:
    """Whose an object is: the word of :data:`ADAPTERS`, or ``None``."""
    found = _adapter(thing)
    return None if found is None else found[0]


def live_catalog(**parts: Any) -> LiveCatalog:
    """The live objects given (``model=``, ``optimizer=``, ``scheduler=``, ``scaler=``, ...; ``None`` counts as
    not given) as one catalog.

    The first part that a framework recognises decides whose they are; a mapping of models
    (``model={"generator": g, "critic": c}``) is taken as one with their names as prefixes. Raises
    :class:`UsageError` where nothing was given, nothing is of a known kind, or a part is plainly not what its word
    says (a class, an optimizer as ``model=``).
    """
    from .._core.errors import UsageError
    from .kinds import named, refuse_mixed_up
    from .live import LiveCatalog

    given = {name: thing for name, thing in parts.items() if thing is not None}
    if not given:
        raise UsageError("no live object given", expected="model=, optimizer= or another part")
    refuse_mixed_up(given)
    for name in sorted(given, key=lambda part: part != "model"):
        found = _adapter(given[name])
        if found is not None:
            catalog = found[1].describe(given)
            assert isinstance(catalog, LiveCatalog)
            return catalog
    name, thing = next(iter(given.items()))
    raise UsageError(
        f"{name}= is of a kind that is not known",
        found=named(thing),
        expected="a torch.nn.Module, a Keras model, a tf.train.Checkpoint or tf.Module, a JAX pytree or flax "
        "module, or a nested dict of numpy arrays",
        remedy="Pass the model itself; a wrapper of your own around one is opened first (`wrapper.model`).",
    )
