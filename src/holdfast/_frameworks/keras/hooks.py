"""Keras's calls as events, on any backend: ``Model.save``, ``save_weights``, ``load_weights``, ``load_model``, and the first step
of each optimizer after something was loaded.

The functions are known under many names (``keras.models``, ``keras.saving``, ``tf.keras...``; keras/src/saving/
saving_api.py), and programs take them by name: those that read are caught one level lower too (saving_lib.py,
legacy_h5_format.py), where every name comes to. ``Model.save`` calls the function; the outermost call counts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from ..call_options import LoadOptions
from ..events import Call, Watcher, watched
from ..patches import Patches
from .callback_hooks import watch_callbacks
from .derived import Compiled
from .first_steps import FirstSteps, first_steps

__all__ = ["install"]


def install(keras: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand Keras's calls to ``watcher``."""
    steps = first_steps(watcher, patches)
    steps.ready()
    ended = _saves(keras, watcher, patches)
    _loads(keras, watcher, patches, steps)
    watch_callbacks(keras, watcher, patches, ended)


def parts_of(model: Any) -> dict[str, Any]:
    """A model, and the optimizer that it was compiled with."""
    optimizer = getattr(model, "optimizer", None)
    return {"model": model} if optimizer is None else {"model": model, "optimizer": optimizer}


def path_of(thing: Any) -> str | None:
    """The path that an argument means; ``None`` for what is none, and for addresses of other services."""
    if not isinstance(thing, (str, bytes, os.PathLike)):
        return None
    path = os.fsdecode(thing)
    return None if "://" in path else path


_CROSSING = (
    "Keras goes by the layers' classes and their order, and not by their names",
    "Build the layers in the order in which they were when the file was saved; holdfast.restore goes by name, or refuses.",
)


_CROSSING_LEGACY = (
    "in legacy HDF5 Keras goes by the order of the layers (or, by_name, by their names), and within a layer or nested model by "
    "order: what is trainable first",
    "Load before anything is frozen that was not when the file was saved, and into the layers in their order then; "
    "holdfast.restore goes by name, or refuses.",
)
"""``_legacy_weights`` of ``keras/src/legacy/saving/legacy_h5_format.py``."""


def _crossing(path: str | None) -> tuple[str, str]:
    legacy = path is not None and path.endswith((".h5", ".hdf5")) and not path.endswith(".weights.h5")
    return _CROSSING_LEGACY if legacy else _CROSSING


def _everywhere(patches: Patches, function: Any, around: Callable[..., Any]) -> None:
    """Wrap a function under all names by which Keras's modules know it."""
    name = function.__name__
    loaded = sys.modules.copy()  # another thread may be importing
    for module in [
        m for n, m in loaded.items() if n.partition(".")[0] == "keras" and isinstance(m, ModuleType)
    ]:
        if vars(module).get(name) is function:  # no getattr: some modules import others on it
            patches.wrap(module, name, around)


def _saves(keras: Any, watcher: Watcher, patches: Patches) -> Callable[[], int]:
    """Watch the saves; gives a function that says how many have ended."""
    ended = 0

    def method(api: str) -> Callable[..., Any]:
        def save(inner: Any, self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
            path = path_of(filepath)
            call = Call("keras", api, "save", path, parts=parts_of(self), movable=path is not None)
            result = watched(
                watcher, call, lambda at: inner(self, filepath if at == path else at, *args, **kwargs)
            )
            nonlocal ended
            ended += 1
            return result

        return save

    api = sys.modules["keras.src.saving.saving_api"]
    patches.wrap(keras.Model, "save", method("Model.save"))
    patches.wrap(keras.Model, "save_weights", method("Model.save_weights"))
    _everywhere(patches, api.save_model, method("keras.saving.save_model"))
    _everywhere(patches, api.save_weights, method("keras.saving.save_weights"))
    return lambda: ended


def _loads(keras: Any, watcher: Watcher, patches: Patches, steps: FirstSteps) -> None:
    def into(api: str) -> Callable[..., Any]:
        def load(inner: Any, self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
            options = LoadOptions(
                weights=True,
                crossing=_crossing(path_of(filepath)),
                skip_mismatch=bool(kwargs.get("skip_mismatch")),
                by_name=bool(kwargs.get("by_name")),
            )
            call = Call("keras", api, "restore", path_of(filepath), parts=parts_of(self), load=options)

            def run(_: str | None) -> Any:
                compiled = Compiled(self)
                result = inner(self, filepath, *args, **kwargs)
                call.load = replace(call.load, outdated=compiled.outdated())
                return result

            try:
                return watched(watcher, call, run)
            finally:
                steps.expect()

        return load

    def made(inner: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        options = LoadOptions(makes=parts_of)
        call = Call("keras", "keras.models.load_model", "restore", path_of(filepath), load=options)
        try:
            return watched(watcher, call, lambda _: inner(filepath, *args, **kwargs))
        finally:
            steps.expect()

    api = sys.modules["keras.src.saving.saving_api"]
    patches.wrap(keras.Model, "load_weights", into("Model.load_weights"))
    _everywhere(patches, api.load_weights, into("keras.saving.load_weights"))
    _everywhere(patches, api.load_model, made)
    for name, function in (
        ("keras.src.saving.saving_lib", "load_model"),
        ("keras.src.legacy.saving.legacy_h5_format", "load_model_from_hdf5"),
    ):
        if hasattr(module := sys.modules.get(name), function):
            patches.wrap(module, function, made)
