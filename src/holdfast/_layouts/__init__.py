"""From what a person typed to checkpoints: prefixes, parts, state files, folders, runs."""

from .target import Target

# Eager, and by `from`: the function `resolve` shares its name with the module it lives in, and the import
# system binds the module to that name unless the function is bound after it.
from .resolve import discover, resolve  # isort: skip

__all__ = ["Target", "discover", "resolve"]
