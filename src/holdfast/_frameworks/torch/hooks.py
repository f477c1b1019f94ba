"""PyTorch's calls as events: ``torch.save``, ``torch.load``, ``load_state_dict`` of modules, optimizers, schedulers and loss
scalers, and the first step of an optimizer after its state was loaded.

Facts: torch/serialization.py (``save(obj, f, ...)``, ``load(f, ...)``: a path or an object with ``read``), torch/nn/modules/
module.py and torch/optim/optimizer.py (``load_state_dict``; an optimizer's class wraps its own ``step`` once, when the first of
it is made, and marks it with ``hooked``).
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ..call_options import LoadOptions, SaveOptions
from ..events import Call, Watcher, watched
from ..patches import Patches

__all__ = ["install", "path_of"]


def install(torch: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand PyTorch's calls to ``watcher``."""
    _files(torch, watcher, patches)
    _states(torch, watcher, patches)


def path_of(thing: Any) -> str | None:
    """The path that a call's file argument means: a path, or an open file's own; ``None`` for a buffer, and for a stream that
    puts something else into its file (gzip)."""
    if isinstance(thing, (str, os.PathLike)):
        found = os.fspath(thing)
        return found if isinstance(found, str) else os.fsdecode(found)
    plain = getattr(thing, "file", thing)  # a named temporary file
    if not isinstance(getattr(plain, "raw", plain), io.FileIO):
        return None
    name = getattr(thing, "name", None)
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    return name if isinstance(name, str) and Path(name).is_file() else None


def _files(torch: Any, watcher: Watcher, patches: Patches) -> None:
    def save(inner: Any, obj: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        movable = isinstance(f, (str, os.PathLike))
        options = SaveOptions(stream=None if movable else f)
        call = Call("torch", "torch.save", "save", path_of(f), state=obj, movable=movable, save=options)
        return watched(
            watcher,
            call,
            lambda path: inner(obj, path if movable and path != call.path else f, *args, **kwargs),
        )

    def load(inner: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call("torch", "torch.load", "read", path_of(f))
        return watched(watcher, call, lambda _: inner(f, *args, **kwargs))

    patches.wrap(torch, "save", save)
    patches.wrap(torch, "load", load)


def _states(torch: Any, watcher: Watcher, patches: Patches) -> None:
    steps = _FirstSteps(watcher, patches)

    def into_module(inner: Any, self: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        strict = kwargs.get("strict", args[0] if args else True)
        assign = kwargs.get("assign", args[1] if len(args) > 1 else False)
        call = Call(
            "torch", "Module.load_state_dict", "assign", parts={"model": self}, state=state_dict,
            load=LoadOptions(strict=bool(strict), assign=bool(assign)),
        )  # fmt: skip
        return watched(watcher, call, lambda _: inner(self, state_dict, *args, **kwargs))

    def into_optimizer(inner: Any, self: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(
            "torch", "Optimizer.load_state_dict", "assign", parts={"optimizer": self}, state=state_dict
        )
        try:
            return watched(watcher, call, lambda _: inner(self, state_dict, *args, **kwargs))
        finally:
            steps.expect(self)

    def into(part: str, name: str) -> Any:
        def around(inner: Any, self: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            call = Call("torch", f"{name}.load_state_dict", "assign", parts={part: self}, state=state_dict)
            return watched(watcher, call, lambda _: inner(self, state_dict, *args, **kwargs))

        return around

    patches.wrap(torch.nn.Module, "load_state_dict", into_module)
    patches.wrap(torch.optim.Optimizer, "load_state_dict", into_optimizer)
    schedulers = torch.optim.lr_scheduler
    bases = schedulers.LRScheduler, schedulers.ReduceLROnPlateau
    for name, kind in vars(schedulers).items():  # LambdaLR, SequentialLR and others have one of their own
        if isinstance(kind, type) and issubclass(kind, bases) and "load_state_dict" in vars(kind):
            patches.wrap(kind, "load_state_dict", into("scheduler", name))
    patches.wrap(torch.amp.grad_scaler.GradScaler, "load_state_dict", into("scaler", "GradScaler"))


class _FirstSteps:
    """The first ``step`` of each optimizer whose state was loaded; later ones cost a look into a set."""

    def __init__(self, watcher: Watcher, patches: Patches) -> None:
        self.watcher, self.patches = watcher, patches
        self._waiting: set[int] = set()
        self._classes: set[type] = set()

    def expect(self, optimizer: Any) -> None:
        """Its next step is told to the watcher."""
        self._waiting.add(id(optimizer))
        kind = type(optimizer)
        if kind not in self._classes:
            self._classes.add(kind)
            self.patches.wrap(kind, "step", self._step)

    def _step(self, inner: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if id(optimizer) not in self._waiting:
            return inner(optimizer, *args, **kwargs)
        self._waiting.discard(id(optimizer))
        call = Call("torch", f"{type(optimizer).__name__}.step", "step", parts={"optimizer": optimizer})
        return watched(self.watcher, call, lambda _: inner(optimizer, *args, **kwargs))
