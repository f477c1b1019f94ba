"""All watchers of a process."""

from __future__ import annotations

from .._frameworks.patches import Patches
from .saving import Saves
from .trace import Trace, set_current
from .watch_keras import watch_keras
from .watch_tensorflow import watch_tensorflow
from .watch_torch import watch_torch
from .watch_vault import watch_vault

__all__ = ["watch"]


def watch(trace: Trace) -> Patches:
    """Watch the frameworks that are loaded, and those that will be; ``undo()`` of what is returned ends it."""
    patches, saves = Patches(), Saves(trace)
    set_current(trace)
    patches.later(lambda: set_current(None))
    patches.when_imported("torch", lambda module: watch_torch(module, trace, saves, patches))
    patches.when_imported("tensorflow", lambda module: watch_tensorflow(module, trace, saves, patches))
    patches.when_imported("keras", lambda module: watch_keras(module, trace, saves, patches))
    patches.when_imported("holdfast._vault.vault", lambda module: watch_vault(trace, saves, patches))
    return patches
