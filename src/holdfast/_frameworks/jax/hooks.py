"""flax's calls as events: ``serialization.from_bytes``, ``from_state_dict``, ``msgpack_restore``, and
``training.checkpoints.save_checkpoint`` and ``restore_checkpoint``.

Facts: flax 0.12.8, ``serialization.py`` (``from_bytes`` is ``msgpack_restore`` and then ``from_state_dict``, which calls itself
for every node; only the structure of the target counts, no shape and no dtype), ``training/checkpoints.py``
(``restore_checkpoint`` gives the target back where it finds no file; with a folder of Orbax's it calls Orbax).
"""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import Any

from ..call_options import LoadOptions, SaveOptions
from ..events import Call, Watcher, watched
from ..patches import Patches
from .orbax_hooks import Manager, behind, raised, within

__all__ = ["install"]


class _Within(threading.local):
    """What this thread is in: the name of the person's call, the file that it reads, and whether its tree was put into the
    target yet; and whether a ``from_state_dict`` is under way, which calls itself for every node."""

    api: str | None = None
    path: str | None = None
    reached = False
    nodes = False


_WITHIN = _Within()


def install(flax: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand flax's calls to ``watcher``."""
    patches.when_imported("flax.serialization", lambda module: _serialization(module, watcher, patches))
    patches.when_imported("flax.training.checkpoints", lambda module: _checkpoints(module, watcher, patches))


def _serialization(module: Any, watcher: Watcher, patches: Patches) -> None:
    def from_bytes(inner: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        _WITHIN.api, _WITHIN.reached = "flax.serialization.from_bytes", False
        try:
            return inner(target, *args, **kwargs)
        except Exception as error:
            if not _WITHIN.reached:  # the bytes are none of flax's, or not whole
                watched(watcher, Call("jax", _WITHIN.api, "read"), partial(raised, error))
            raise
        finally:
            _WITHIN.api = None

    def msgpack_restore(inner: Any, *args: Any, **kwargs: Any) -> Any:
        if _WITHIN.api is not None:  # its tree is told of when it is put into the target
            return inner(*args, **kwargs)
        call = Call("jax", "flax.serialization.msgpack_restore", "read")
        return watched(watcher, call, lambda _: inner(*args, **kwargs))

    def from_state_dict(inner: Any, target: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
        if _WITHIN.nodes or not isinstance(state, dict):
            return inner(target, state, *args, **kwargs)
        call = Call(
            "jax", _WITHIN.api or "flax.serialization.from_state_dict", "assign", _WITHIN.path,
            parts={"model": target}, state=state, load=LoadOptions(makes="model", stored=_WITHIN.api is not None),
        )  # fmt: skip
        _WITHIN.nodes = _WITHIN.reached = True
        try:
            return watched(watcher, call, lambda _: inner(target, state, *args, **kwargs))
        finally:
            _WITHIN.nodes = False

    patches.wrap(module, "from_bytes", from_bytes)
    patches.wrap(module, "msgpack_restore", msgpack_restore)
    patches.wrap(module, "from_state_dict", from_state_dict)


def _checkpoints(module: Any, watcher: Watcher, patches: Patches) -> None:
    def restore(inner: Any, ckpt_dir: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        """The event is the inner ``from_state_dict``, or Orbax's; where neither was called nothing was loaded."""
        api = "flax checkpoints.restore_checkpoint"
        path = _found(module, ckpt_dir, args, kwargs)
        _WITHIN.api, _WITHIN.path = api, path
        _WITHIN.nodes = path is not None and os.path.isdir(path)  # noqa: PTH112 - Orbax's, whose own call is the event
        try:
            result = within(Manager(api), lambda: inner(ckpt_dir, target, *args, **kwargs))
        finally:
            _WITHIN.api = _WITHIN.path = None
            _WITHIN.nodes = False
        if result is not target or target is None:
            return result
        call = Call(
            "jax", api, "restore", os.fspath(ckpt_dir), load=LoadOptions(by_framework=True, nothing=True)
        )
        return watched(watcher, call, lambda _: result)

    def save(inner: Any, ckpt_dir: Any, target: Any, step: Any, *args: Any, **kwargs: Any) -> Any:
        prefix = kwargs.get("prefix", args[0] if args else "checkpoint_")
        path = os.path.join(os.fspath(ckpt_dir), f"{prefix}{step}")  # noqa: PTH118 - as flax joins them
        options = SaveOptions(force=bool(kwargs.get("overwrite")))
        call = Call("jax", "flax checkpoints.save_checkpoint", "save", path, state=target, save=options)

        def run(_: str | None) -> Any:
            return behind(
                call, lambda: inner(ckpt_dir, target, step, *args, **kwargs), kwargs.get("orbax_checkpointer")
            )

        return watched(watcher, call, run)

    patches.wrap(module, "restore_checkpoint", restore)
    for name in ("save_checkpoint", "save_checkpoint_multiprocess"):
        patches.wrap(module, name, save)


def _found(module: Any, ckpt_dir: Any, args: tuple[Any, ...], kwargs: Any) -> str | None:
    """The file or folder that ``restore_checkpoint`` will read, as it finds it."""
    folder = os.fspath(ckpt_dir)
    step = kwargs.get("step", args[0] if args else None)
    prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "checkpoint_")
    if step is not None:
        return os.path.join(folder, f"{prefix}{step}")  # noqa: PTH118 - as flax joins them
    if not os.path.isdir(folder):  # noqa: PTH112
        return folder
    found = module.latest_checkpoint(folder, prefix)
    return found if isinstance(found, str) else folder
