"""Plain values that live objects keep beside their tensors: read as JSON could hold them, set without
changing their kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..._core.errors import UsageError

__all__ = ["keep_kind", "plain"]

_LONGEST = 256


def plain(value: Any) -> Any:
    """A value as a number, text, list or mapping; one-element tensors as their number, other objects by their
    class."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        if value.numel() == 1 and value.device.type != "meta":
            return value.item()
        return f"<tensor {tuple(value.shape)}>"
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value[:_LONGEST]]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def keep_kind(old: Any, new: Any, name: str) -> Any:
    """``new`` in the kind that ``old`` is: tensors are set in place, tuples and lists stay what they are.

    Raises :class:`UsageError` where a text or a list should take the place of a number, or lengths differ.
    """
    if isinstance(new, np.ndarray):
        new = new.item() if new.size == 1 else new.tolist()
    if isinstance(new, np.generic):
        new = new.item()
    if isinstance(old, torch.Tensor):
        if isinstance(new, torch.Tensor):
            new = new.item()
        if old.numel() != 1 or isinstance(new, (str, list, tuple, Mapping)) or new is None:
            raise UsageError("a tensor takes a number", tensor=name, found=repr(new)[:80])
        with torch.no_grad():
            old.fill_(new)
        return old
    if isinstance(old, (int, float)) and isinstance(new, (str, list, tuple, Mapping)):
        raise UsageError(
            "a number is not set to something else", tensor=name, expected=repr(old), found=repr(new)[:80]
        )
    if isinstance(old, (list, tuple)):
        if isinstance(new, (str, Mapping)) or not isinstance(new, (list, tuple)):
            raise UsageError(
                "a list is not set to something else",
                tensor=name,
                expected=repr(old)[:80],
                found=repr(new)[:80],
            )
        items = list(new)
        if len(items) == len(old):
            items = [
                keep_kind(o, n, name) if isinstance(o, torch.Tensor) else _as(o, n)
                for o, n in zip(old, items, strict=True)
            ]
        if isinstance(old, list):
            return items
        return type(old)(*items) if hasattr(old, "_fields") else tuple(items)
    return new


def _as(old: Any, new: Any) -> Any:
    """Containers within containers keep their kind too."""
    if isinstance(old, tuple) and isinstance(new, (list, tuple)):
        return tuple(_as(o, n) for o, n in zip(old, new, strict=True)) if len(old) == len(new) else tuple(new)
    return new.item() if isinstance(new, np.generic) else new
