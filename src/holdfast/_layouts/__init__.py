"""From what a person typed to checkpoints: prefixes, parts, state files, folders, runs."""

from .target import Target

__all__ = ["Target", "resolve", "discover"]


def __getattr__(name: str) -> object:
    if name in ("resolve", "discover"):
        from . import resolve as module

        return getattr(module, name)
    raise AttributeError(name)
