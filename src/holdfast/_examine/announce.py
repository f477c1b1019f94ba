"""Telling a watcher which checkpoint is looked at now, and about how many bytes that means."""

from __future__ import annotations

from .._core.errors import HoldfastError
from .._core.fault import Progress
from .._integrity.seal import find_seal
from .._layouts.target import Target

__all__ = ["announce"]

_BARE = frozenset(
    {"safetensors", "safetensors-sharded", "npy", "hdf5", "keras-h5-legacy", "keras-weights-h5"}
    | {"keras-weights-sharded", "torch-legacy", "pickle"}
)
"""Formats that carry no checksum, so that verifying them reads nothing (unless there is a seal)."""


def announce(
    progress: Progress | None, target: Target, number: int, total: int, *, verify: bool, scan: bool
) -> None:
    """Call ``progress.checkpoint(path, number, total, nbytes)`` where ``progress`` has such a method.

    ``nbytes`` is about how many bytes will be read: once to verify them (``verify``), once to look at the values
    (``scan``).
    """
    tell = getattr(progress, "checkpoint", None)
    if tell is None:
        return
    try:
        bare = target.format is not None and target.format.name in _BARE and find_seal(target) is None
    except (OSError, HoldfastError):
        bare = False
    passes = int(verify and not bare) + int(scan)
    tell(target.path, number, total, passes * sum(_size(target, name) for name in target.parts))


def _size(target: Target, name: str) -> int:
    """Of one file: a folder of many checkpoints is not listed anew for each of them."""
    try:
        source = target.store.open(name)
    except (OSError, HoldfastError):
        return 0
    try:
        return source.size
    finally:
        source.close()
