"""NumPy's own files as events: ``numpy.save``, ``numpy.savez`` and ``numpy.load``. They hold data more often than checkpoints.

Facts: numpy/lib/_npyio_impl.py (``save(file, arr)`` adds ``.npy``; ``savez(file, *args, **kwds)``; ``load`` gives an array, or an
archive that reads its members when they are asked for).
"""

from __future__ import annotations

import os
from typing import Any

from .events import Call, Watcher, watched
from .patches import Patches

__all__ = ["install"]


def install(numpy: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand NumPy's calls to ``watcher``, as events of the kind ``data``: the arrays are in ``state``."""

    def save(inner: Any, file: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call("numpy", "numpy.save", "data", _path(file, ".npy"), state=(arr,))
        return watched(watcher, call, lambda _: inner(file, arr, *args, **kwargs))

    def several(name: str) -> Any:
        def savez(inner: Any, file: Any, *args: Any, **kwargs: Any) -> Any:
            call = Call("numpy", name, "data", _path(file, ".npz"), state=(*args, *kwargs.values()))
            return watched(watcher, call, lambda _: inner(file, *args, **kwargs))

        return savez

    def load(inner: Any, file: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call("numpy", "numpy.load", "data", _path(file, ""))
        return watched(watcher, call, lambda _: inner(file, *args, **kwargs))

    patches.wrap(numpy, "save", save)
    patches.wrap(numpy, "savez", several("numpy.savez"))
    patches.wrap(numpy, "savez_compressed", several("numpy.savez_compressed"))
    patches.wrap(numpy, "load", load)


def _path(file: Any, ending: str) -> str | None:
    """Where NumPy writes; ``None`` for an open file."""
    if not isinstance(file, (str, os.PathLike)):
        return None
    path = os.fsdecode(file)
    return path if path.endswith(ending) else path + ending
