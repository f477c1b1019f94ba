"""What the hooks of this room share: functions under all their names, and the path that an argument means."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from ..patches import Patches

__all__ = ["everywhere", "path_of"]


def everywhere(patches: Patches, public: Any, name: str, around: Callable[..., Any]) -> None:
    """Wrap a function where it is made, and where it is known. The public modules are made a second time where somebody
    imports them by another name: they take it from where it is made."""
    inner = getattr(public, name)
    for module in (sys.modules.get(inner.__module__), public):
        if module is not None and vars(module).get(name) is inner:
            patches.wrap(module, name, around)


def path_of(thing: Any) -> str | None:
    """The path that an argument means; ``None`` where there is none (a tensor of a graph, nothing)."""
    if isinstance(thing, (str, bytes, os.PathLike)):
        return os.fsdecode(thing)
    return None
