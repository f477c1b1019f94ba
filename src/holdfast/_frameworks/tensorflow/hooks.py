"""TensorFlow's calls as events: ``tf.train.Checkpoint`` and its manager, ``tf.compat.v1.train.Saver``, SavedModels.

``Checkpoint.save``, ``Checkpoint.write`` and ``CheckpointManager.save`` all come to ``Checkpoint._write(file_prefix, options)``,
which is where the prefix is known that is really written; an asynchronous save calls it in a thread of its own
(tensorflow/python/checkpoint/checkpoint.py, checkpoint_management.py, async_checkpoint_helper.py; the helper waits for its
thread at exit). ``restore`` calls ``read``. A ``restore(None)`` is taken for "nothing to restore" and returns.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..._core.finding import Severity
from ..call_options import LoadOptions, SaveOptions
from ..events import Call, Site, Watcher, calling_line, of_a_library, watched
from ..keras.first_steps import first_steps
from ..overlapping import Overlapping, UnderWay
from ..patches import Patches
from .freezing_hooks import watch_freezing
from .saver_hooks import watch_savers
from .tracked import BY_PLACE, alive, bound_by, crossing, parts_of, things_in, unset
from .wrapping import everywhere, path_of

__all__ = ["install"]


def install(tf: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand TensorFlow's calls to ``watcher``."""
    asked = _Asked()
    _saves(tf, watcher, patches, asked)
    _restores(tf, watcher, patches, asked)
    watch_savers(tf, watcher, patches)
    watch_freezing(tf, watcher, patches)
    _saved_models(tf, watcher, patches)


class _Asked:
    """Which call of the person's is under way in this thread, and its line: several come to one function."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._saves = Overlapping()
        self.behind: Site | None = None
        """The line that last asked for a save in the background."""

    @property
    def nothing_in(self) -> str | None:
        """The folder in which this thread last looked for the latest checkpoint, where there was none."""
        return getattr(self._here, "nothing_in", None)

    def looked_into(self, folder: Any, found: Any) -> None:
        """It asked for the latest one."""
        self._here.nothing_in = path_of(folder) if found is None else None

    @contextmanager
    def call(self, api: str) -> Iterator[None]:
        before = getattr(self._here, "api", None)
        self._here.api = before or api  # the outermost is what was written
        try:
            yield
        finally:
            self._here.api = before

    def api(self, otherwise: str) -> str:
        """What the person wrote."""
        return getattr(self._here, "api", None) or otherwise

    @contextmanager
    def saving(self, folder: str) -> Iterator[_Saving | None]:
        """Around a call that counts its saves and names the newest in a file of ``folder``; ``None`` inside another one."""
        if getattr(self._here, "saving", None) is not None:
            yield None
            return
        with self._saves.call(os.path.realpath(folder), calling_line()) as under_way:
            self._here.saving = saving = _Saving(under_way)
            try:
                yield saving
            finally:
                self._here.saving = None

    @property
    def here(self) -> _Saving | None:
        """The one that this thread is in."""
        return getattr(self._here, "saving", None)


@dataclass(slots=True)
class _Saving:
    """``wrote``: it has come to the writing of files."""

    under_way: UnderWay
    wrote: bool = False


def _saves(tf: Any, watcher: Watcher, patches: Patches, asked: _Asked) -> None:
    def named(api: str) -> Callable[..., Any]:
        def around(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
            options = kwargs.get("options", args[-1] if args else None)
            if getattr(options, "experimental_enable_async_checkpoint", False):
                asked.behind = calling_line()
            with asked.call(api):
                return inner(self, *args, **kwargs)

        return around

    def counted(api: str, folder: Callable[[Any, Any], str]) -> Callable[..., Any]:
        """A call that numbers its saves and names the newest: what it raises before it writes is its failure too."""
        write = named(api)

        def around(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
            prefix = args[0] if args else kwargs.get("file_prefix")
            with asked.saving(folder(self, prefix)) as saving:
                try:
                    return write(inner, self, *args, **kwargs)
                except Exception as error:
                    if saving is None or saving.wrote:
                        raise
                    call = Call("tensorflow", api, "save", path_of(prefix), save=SaveOptions(met=saving.under_way.met),
                                site=saving.under_way.site)  # fmt: skip

                    def fail(_: str | None, error: Exception = error) -> Any:
                        raise error

                    return watched(watcher, call, fail)

        return around

    def write(inner: Any, self: Any, file_prefix: Any, *args: Any, **kwargs: Any) -> Any:
        options = kwargs.get("options", args[0] if args else None)
        if getattr(options, "experimental_enable_async_checkpoint", False):
            return inner(
                self, file_prefix, *args, **kwargs
            )  # it will come here again, in its thread and without that option
        call = Call(
            "tensorflow", asked.api("tf.train.Checkpoint.write"), "save", path_of(file_prefix), parts=parts_of(tf, self),
            site=calling_line(),
        )  # fmt: skip
        if (
            asked.behind is not None
            and type(threading.current_thread()) is threading.Thread
            and (call.site is None or of_a_library(call.site.file))
        ):
            call.site = asked.behind  # nobody's line: this is that thread
        if (saving := asked.here) is not None:
            saving.wrote, call.save = True, SaveOptions(met=saving.under_way.met)
        return watched(watcher, call, lambda _: inner(self, file_prefix, *args, **kwargs))

    patches.wrap(
        tf.train.Checkpoint, "save", counted("tf.train.Checkpoint.save", lambda _, prefix: _folder(prefix))
    )
    patches.wrap(tf.train.Checkpoint, "write", named("tf.train.Checkpoint.write"))
    patches.wrap(
        tf.train.CheckpointManager,
        "save",
        counted("tf.train.CheckpointManager.save", lambda self, _: self.directory),
    )
    patches.wrap(tf.train.Checkpoint, "_write", write)


def _folder(prefix: Any) -> str:
    return str(Path(path_of(prefix) or "").parent)


def _restores(tf: Any, watcher: Watcher, patches: Patches, asked: _Asked) -> None:
    steps = first_steps(watcher, patches)

    def around(api: str) -> Callable[..., Any]:
        def restore(inner: Any, self: Any, save_path: Any, *args: Any, **kwargs: Any) -> Any:
            parts = parts_of(tf, self)
            call = Call("tensorflow", asked.api(api), "restore", path_of(save_path), parts=parts)
            call.load = LoadOptions(by_place=BY_PLACE)
            if save_path is None and asked.nothing_in is not None:
                call.load = replace(call.load, because=why_none(asked.nothing_in))

            def run(_: str | None) -> Any:
                result = inner(self, save_path, *args, **kwargs)
                bound = bound_by(result)
                call.load = replace(
                    call.load, deferred=True, bound=bound, alive=alive(tf, self, parts), unset=unset(tf, self, parts, bound),
                    crossing=crossing(tf, self, parts, result),
                )  # fmt: skip
                return result

            try:
                return watched(watcher, call, run)
            finally:
                steps.expect()
                if "keras" in sys.modules:
                    steps.put_off(things_in(parts, "model"), things_in(parts, "optimizer"))

        return restore

    def initialize(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        with asked.call("tf.train.CheckpointManager.restore_or_initialize"):
            return inner(self, *args, **kwargs)

    def latest(inner: Any, checkpoint_dir: Any, *args: Any, **kwargs: Any) -> Any:
        found = inner(checkpoint_dir, *args, **kwargs)
        asked.looked_into(checkpoint_dir, found)
        return found

    def of_manager(self: Any) -> Any:
        found = inner_latest(self)
        asked.looked_into(self.directory, found)
        return found

    everywhere(patches, tf.train, "latest_checkpoint", latest)
    manager = tf.train.CheckpointManager
    inner_latest = manager.latest_checkpoint.fget
    patches.set(manager, "latest_checkpoint", property(of_manager, doc=manager.latest_checkpoint.__doc__))
    patches.wrap(tf.train.Checkpoint, "restore", around("tf.train.Checkpoint.restore"))
    patches.wrap(tf.train.Checkpoint, "read", around("tf.train.Checkpoint.read"))
    patches.wrap(tf.train.CheckpointManager, "restore_or_initialize", initialize)


def _saved_models(tf: Any, watcher: Watcher, patches: Patches) -> None:
    def save(inner: Any, obj: Any, export_dir: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call("tensorflow", "tf.saved_model.save", "save", path_of(export_dir))
        return watched(watcher, call, lambda _: inner(obj, export_dir, *args, **kwargs))

    def load(inner: Any, export_dir: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call("tensorflow", "tf.saved_model.load", "read", path_of(export_dir))
        return watched(watcher, call, lambda _: inner(export_dir, *args, **kwargs))

    everywhere(patches, tf.saved_model, "save", save)
    everywhere(patches, tf.saved_model, "load", load)


def why_none(folder: str) -> tuple[str, Severity]:
    """Why there is no latest checkpoint in a folder, and how grave that is: a first start finds none, and so does one whose
    checkpoints are not where it looks."""
    place = Path(folder)
    if not place.is_dir():
        return f"there is no folder {folder}", "warning"
    there = sorted(p.name.removesuffix(".index") for p in place.glob("*.index"))
    try:
        words = (place / "checkpoint").read_text("utf-8", "replace")
    except OSError:
        words = ""
    named = re.search(r'^model_checkpoint_path: "(.*)"', words, re.MULTILINE)
    if named:
        others = f"; there is {', '.join(there[:3])}" if there else ""
        return f"{folder}/checkpoint names {named[1]}, which is not there{others}", "error"
    if there:
        return (
            f"{folder} has no `checkpoint` file that names the latest; there is {', '.join(there[:3])}",
            "error",
        )
    return f"{folder} holds no checkpoint", "warning"
