"""An object of a class that the run's own code wrote, without methods for its state: its attributes (an early stopping that
counts, a normaliser with a mean and a deviation)."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..._core.errors import UsageError
from .nest import Captured, Draft, class_of, owner_of

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "attributes"
_OPEN = frozenset({"torchvision", "albumentations"})
"""Libraries whose transforms are what their attributes say."""


def recognises(thing: Any) -> bool:
    """Whether it is such an object."""
    return (
        not isinstance(thing, (type, types.ModuleType, types.FunctionType, types.MethodType, Iterator))
        and hasattr(thing, "__dict__")
        and bool(vars(thing))
        and (owner_of(thing) in _OPEN or _own_code(type(thing)))
    )


def _own_code(cls: type) -> bool:
    """Whether a class was written for this run: objects of a library keep more than their attributes say."""
    root = cls.__module__.partition(".")[0]
    if root in sys.stdlib_module_names and root != "__main__":
        return False
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return not (file and {"site-packages", "dist-packages"} & set(Path(file).parts))


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Every attribute. Raises :class:`UsageError` for one that is a model, an optimizer, or of no known kind."""
    found = {}
    for key, value in vars(thing).items():
        if _belongs_elsewhere(value):
            raise UsageError(
                f"its attribute `{key}` is no state of its own", found=class_of(value),
                remedy="Give the class state_dict() and load_state_dict() that leave it out.",
            )  # fmt: skip
        found[key] = draft.add(value, f"{path}/{key}")
    return found


def against(thing: Any, captured: Captured) -> list[str]:
    """Objects within that are of another kind."""
    from .plain import _against

    return list(_against(vars(thing), captured.about, captured, ""))


def put(thing: Any, captured: Captured) -> Any:
    """Every attribute that was saved, in place."""
    from .plain import _put

    held = dict(vars(thing))
    for key, value in captured.about.items():
        setattr(thing, key, _put(held.get(key), value, captured))
    return thing


def _belongs_elsewhere(value: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, (torch.nn.Module, torch.optim.Optimizer)):
        return owner_of(value) != "torchmetrics"
    keras = sys.modules.get("keras")
    model = getattr(getattr(keras, "models", None), "Model", None)
    return isinstance(model, type) and isinstance(value, model)
