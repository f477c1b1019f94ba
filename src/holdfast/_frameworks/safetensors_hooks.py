"""safetensors' calls as events: ``save_file`` and ``load_file`` of each of its modules, and ``safe_open``.

``save_model`` and ``load_model`` of ``safetensors.torch`` are made of these and of ``Module.load_state_dict``, and are seen
through them. Facts: bindings/python/py_src/safetensors/torch.py, numpy.py, flax.py, tensorflow.py (``save_file(tensors, filename,
metadata)``, ``load_file(filename, ...)``), bindings/python/src/lib.rs (``safe_open``: ``keys``, ``metadata``, ``get_tensor``,
``get_tensors``, ``get_slice``; ``PySafeSlice``: ``__getitem__``, ``get_shape``, ``get_dtype``).
"""

from __future__ import annotations

import os
from typing import Any

from .call_options import LoadOptions
from .events import Call, Watcher, watched
from .patches import Patches

__all__ = ["install"]

_FRAMEWORKS = {"torch": "torch", "numpy": "numpy", "flax": "jax", "tensorflow": "tensorflow"}


def install(module: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand the calls of ``safetensors`` itself (``safe_open``) or of one of its modules to ``watcher``."""
    name = module.__name__
    if name == "safetensors":
        _opening(module, watcher, patches)
    else:
        _files(module, name, _FRAMEWORKS[name.rpartition(".")[2]], watcher, patches)


def _files(module: Any, name: str, framework: str, watcher: Watcher, patches: Patches) -> None:
    def save_file(inner: Any, tensors: Any, filename: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(framework, f"{name}.save_file", "save", _path(filename), state=tensors, movable=True)
        return watched(
            watcher, call,
            lambda path: inner(tensors, filename if path == call.path else path, *args, **kwargs),
        )  # fmt: skip

    def load_file(inner: Any, filename: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(framework, f"{name}.load_file", "read", _path(filename))
        return watched(watcher, call, lambda _: inner(filename, *args, **kwargs))

    patches.wrap(module, "save_file", save_file)
    patches.wrap(module, "load_file", load_file)


def _path(filename: Any) -> str | None:
    return os.fsdecode(filename) if isinstance(filename, (str, bytes, os.PathLike)) else None


def _opening(module: Any, watcher: Watcher, patches: Patches) -> None:
    def safe_open(inner: Any, filename: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call("torch", "safetensors.safe_open", "read", _path(filename))
        opened = watched(watcher, call, lambda _: inner(filename, *args, **kwargs))
        return _Opened(opened, call.path, watcher)

    patches.wrap(module, "safe_open", safe_open)


class _Opened:
    """An open file, or a tensor of it to be cut, that tells which file the values come from."""

    def __init__(self, inner: Any, path: str | None, watcher: Watcher) -> None:
        self._inner, self._path, self._watcher = inner, path, watcher

    def _piece(self, name: str, run: Any) -> Any:
        call = Call("torch", f"safe_open.{name}", "read", self._path, load=LoadOptions(piece=True))
        return watched(self._watcher, call, lambda _: run())

    def __enter__(self) -> _Opened:
        self._inner = self._inner.__enter__()
        return self

    def __exit__(self, *what: Any) -> Any:
        return self._inner.__exit__(*what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_tensor(self, name: str) -> Any:
        """One tensor, whole."""
        return self._piece("get_tensor", lambda: self._inner.get_tensor(name))

    def get_tensors(self) -> Any:
        """All tensors by their names."""
        return self._piece("get_tensors", lambda: self._inner.get_tensors())

    def get_slice(self, name: str) -> _Opened:
        """A tensor of which parts are asked for."""
        return _Opened(self._inner.get_slice(name), self._path, self._watcher)

    def __getitem__(self, key: Any) -> Any:
        return self._piece("get_slice", lambda: self._inner[key])
