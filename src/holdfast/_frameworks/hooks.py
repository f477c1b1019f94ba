"""All hooks: put in place as the program imports its frameworks; nothing is imported for it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .events import Watcher
from .patches import Patches

__all__ = ["HOOKS", "install_hooks"]

HOOKS: tuple[tuple[str, str], ...] = (
    ("torch", "torch.hooks"),
    ("tensorflow", "tensorflow.hooks"),
    ("keras", "keras.hooks"),
    ("numpy", "numpy_hooks"),
    ("torch.distributed.checkpoint", "torch.dcp_hooks"),
    ("lightning.pytorch", "torch.lightning_hooks"),
    ("pytorch_lightning", "torch.lightning_hooks"),
    ("lightning.fabric", "torch.lightning_hooks"),
    ("lightning_fabric", "torch.lightning_hooks"),
    ("safetensors", "safetensors_hooks"),
    ("safetensors.torch", "safetensors_hooks"),
    ("safetensors.numpy", "safetensors_hooks"),
    ("safetensors.flax", "safetensors_hooks"),
    ("safetensors.tensorflow", "safetensors_hooks"),
    ("flax", "jax.hooks"),
    ("orbax.checkpoint", "jax.orbax_hooks"),
)
"""Module of the program's, and our room with ``install(module, watcher, patches)`` for it."""


def install_hooks(watcher: Watcher) -> Patches:
    """Watch the frameworks that are loaded, and those that will be; ``undo()`` of what is returned ends it."""
    patches = Patches()
    for library, room in HOOKS:

        def put(module: ModuleType, room: str = room) -> None:
            import_module(f"{__package__}.{room}").install(module, watcher, patches)

        patches.when_imported(library, put)
    return patches
