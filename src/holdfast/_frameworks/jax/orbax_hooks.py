"""Orbax's calls as events: ``Checkpointer.save`` and ``restore`` with their kin, ``CheckpointManager``, and the v1 functions.

Of calls within calls (``CheckpointManager.restore`` calls ``AsyncCheckpointer.restore``) the inner one, which knows the folder,
is the event, under the outer one's name; an outer call that ends without an inner one is an event of its own.

Facts: orbax-checkpoint 0.12.8, ``_src/checkpointers/*.py`` (``save(directory, ...)``, ``restore(directory, ...)``; the
asynchronous ones return while a thread writes, and rename the folder at the end), ``checkpoint_manager.py`` (``save`` gives
``False`` where it wrote nothing, which is also so where the newest step is not older), ``args.py`` (``item``: the tree),
``experimental/v1``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from ..call_options import LoadOptions, SaveOptions
from ..events import Call, Watcher, calling_line, watched
from ..patches import Patches

__all__ = ["Manager", "behind", "install", "raised", "within"]


class _Outer(threading.local):
    """The manager's call that this thread is in."""

    call: Manager | None = None


class Manager:
    """A call of a manager's: its name, whether the call within it was made, and whether its checkpoint is still wanted
    (managers delete old steps)."""

    def __init__(self, api: str, kept: Callable[[], bool] = lambda: True) -> None:
        self.api, self.kept, self.reached = api, kept, False


_OUTER = _Outer()
_THREAD = "async_save"
"""Name of the thread in which an asynchronous save goes on (``async_checkpointer.py``, ``start_async_commit``)."""


def install(orbax: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand Orbax's calls to ``watcher``."""
    _checkpointers(orbax, watcher, patches)
    _manager(orbax.CheckpointManager, watcher, patches)
    first = f"{orbax.__name__}.experimental.v1"
    patches.when_imported(first, lambda module: _first_version(module, watcher, patches))


# -- what reads and writes one folder ---------------------------------------------------------------------------------
def _checkpointers(orbax: Any, watcher: Watcher, patches: Patches) -> None:
    def save(inner: Any, self: Any, directory: Any, *args: Any, **kwargs: Any) -> Any:
        outer = _OUTER.call
        options = SaveOptions(
            force=bool(kwargs.get("force")) and outer is None, kept=None if outer is None else outer.kept
        )
        call = Call(
            "jax", _api(self, "save"), "save", os.fspath(directory), state=_tree(args, kwargs, "save"), save=options
        )  # fmt: skip

        def run(_: str | None) -> Any:
            return behind(call, lambda: inner(self, directory, *args, **kwargs), self)

        return watched(watcher, call, run)

    def restore(inner: Any, self: Any, directory: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(
            "jax", _api(self, "restore"), "restore", os.fspath(directory), state=_tree(args, kwargs, "restore"),
            load=LoadOptions(by_framework=True, items=_by_item(kwargs.get("args"))),
        )  # fmt: skip
        return watched(watcher, call, lambda _: inner(self, directory, *args, **kwargs))

    seen = set()
    for name in ("Checkpointer", "AsyncCheckpointer", "StandardCheckpointer", "PyTreeCheckpointer"):
        kind = getattr(orbax, name, None)
        for method, around in (("save", save), ("restore", restore)):
            if kind is not None and method in vars(kind) and (kind, method) not in seen:
                seen.add((kind, method))
                patches.wrap(kind, method, around)


def behind(call: Call, run: Callable[[], Any], checkpointer: Any) -> Any:
    """Run a save; where it goes on in a thread, ``call.finished`` waits for that."""
    before = set(threading.enumerate())
    errors: list[BaseException] = []
    with _errors_into(errors, getattr(checkpointer, "_async_manager", None)):
        result = run()
    threads = [t for t in threading.enumerate() if t not in before and t.name == _THREAD]
    if threads:
        call.finished = partial(_wait, threads, errors)
    return result


@contextmanager
def _errors_into(errors: list[BaseException], manager: Any) -> Iterator[None]:
    """Collect what the thread that is started within raises.

    It leaves its error in ``_exception``, and the first who asks takes it from there: the program's ``wait_until_finished`` or
    ``close``. So it is copied in that thread, before anybody can have waited for it (``async_checkpointer.py``,
    ``_AsyncManager._thread_func`` and ``check_for_errors``)."""
    inner = getattr(manager, "_thread_func", None)
    if inner is None:
        yield
        return

    def thread(*args: Any, **kwargs: Any) -> None:
        inner(*args, **kwargs)
        if isinstance(error := getattr(manager, "_exception", None), BaseException):
            errors.append(error)

    outer = vars(manager).get("_thread_func")  # flax's save is around Orbax's
    manager._thread_func = thread  # the thread holds it from its start
    try:
        yield
    finally:
        if outer is None:
            del manager._thread_func
        else:
            manager._thread_func = outer


def _wait(threads: list[threading.Thread], errors: list[BaseException]) -> None:
    """Wait for the threads that write, and raise the error of one. The program's own ``wait_until_finished`` is not called: it
    gives an error once, and that is the program's."""
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _api(thing: Any, word: str) -> str:
    outer = _OUTER.call
    if outer is None:
        return f"{type(thing).__name__}.{word}"
    outer.reached = True
    return outer.api


def _tree(args: tuple[Any, ...], kwargs: Mapping[str, Any], word: str) -> Any:
    """The tree that is saved, or the target of a restore: given as it is, as ``item=``, or in arguments of Orbax's."""
    given = kwargs.get("args")
    if given is None:
        names = ("state", "item") if word == "save" else ("target", "item")
        given = next((kwargs[n] for n in names if n in kwargs), args[0] if args else None)
    return _unpacked(given)


def _by_item(given: Any) -> bool:
    """Whether several items are given by name (every attribute of a ``Composite`` is one)."""
    return type(given).__name__.startswith("Composite")


def _unpacked(given: Any) -> Any:
    """Of ``StandardRestore`` and the like the tree in them; of a ``Composite`` those of its items, by name."""
    if _by_item(given):
        return {name: _unpacked(one) for name, one in given.items()}
    if type(given).__module__.partition(".")[0] == "orbax" and hasattr(given, "item"):
        return given.item
    return given


# -- managers -----------------------------------------------------------------------------------------------------------
def within(manager: Manager, run: Callable[[], Any]) -> Any:
    """Carry ``run`` out as a call of this manager's; within another manager's call that one stays the one that tells."""
    before = _OUTER.call
    if before is None:
        _OUTER.call = manager
    else:
        manager.reached = True  # the outermost one tells
    try:
        return run()
    finally:
        _OUTER.call = before


def _manager(kind: Any, watcher: Watcher, patches: Patches) -> None:
    newest_of = kind.latest_step

    def save(inner: Any, self: Any, step: Any, *args: Any, **kwargs: Any) -> Any:
        mine = Manager(f"{type(self).__name__}.save", lambda: step in self.all_steps())
        newest = newest_of(self)

        def run() -> Any:
            return inner(self, step, *args, **kwargs)

        return _told_alone(watcher, mine, run, "save", self.directory, lambda: _skipped(step, newest))

    def restore(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        mine = Manager(f"{type(self).__name__}.restore")
        return _told_alone(watcher, mine, lambda: inner(self, *args, **kwargs), "restore", self.directory)

    def latest_step(inner: Any, self: Any) -> Any:
        found = inner(self)
        if found is not None or _OUTER.call is not None:
            return found
        call = Call(
            "jax", f"{type(self).__name__}.latest_step", "read", os.fspath(self.directory),
            load=LoadOptions(by_framework=True),
        )  # fmt: skip
        return watched(watcher, call, lambda _: found)

    patches.wrap(kind, "save", save)
    patches.wrap(kind, "restore", restore)
    patches.wrap(kind, "latest_step", latest_step)


def _skipped(step: Any, newest: Any) -> str | None:
    """Why nothing was written, where it is not the interval that was asked for."""
    if newest is None or not isinstance(step, int) or step > newest:
        return None
    return f"step {step} was not saved: the newest step in the folder is {newest}"


def _told_alone(
    watcher: Watcher,
    manager: Manager,
    run: Callable[[], Any],
    kind: Any,
    directory: Any,
    skipped: Callable[[], str | None] = lambda: None,
) -> Any:
    """A manager's call; an event of its own where it raised, or did nothing, before it came to a checkpointer."""
    site = calling_line()
    try:
        result = within(manager, run)
    except Exception as error:
        if not manager.reached:
            call = Call(
                "jax", manager.api, kind, os.fspath(directory), load=LoadOptions(by_framework=True), site=site
            )
            return watched(watcher, call, partial(raised, error))
        raise
    if not manager.reached and not result and (why := skipped()) is not None:
        call = Call("jax", manager.api, kind, None, save=SaveOptions(skipped=why), site=site)
        return watched(watcher, call, lambda _: result)
    return result


def raised(error: Exception, _: str | None) -> Any:
    """What a call that has raised does when it is told of."""
    raise error


# -- version 1 ----------------------------------------------------------------------------------------------------------
def _first_version(v1: Any, watcher: Watcher, patches: Patches) -> None:
    def save(name: str) -> Any:
        def around(inner: Any, path: Any, state: Any = None, *args: Any, **kwargs: Any) -> Any:
            given = kwargs if state is None else {**kwargs, "state": state}

            def run(_: str | None) -> Any:
                result = inner(path, *(() if state is None else (state,)), *args, **kwargs)
                call.finished = getattr(result, "result", None)  # None where it is done
                return result

            call = Call(
                "jax", f"ocp.{name}", "save", os.fspath(path), state=given.get("state", given.get("checkpointables")),
                save=SaveOptions(force=bool(kwargs.get("overwrite"))),
            )  # fmt: skip
            return watched(watcher, call, run)

        return around

    def load(name: str) -> Any:
        def around(inner: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
            words = ("abstract_state", "abstract_checkpointables")
            target = next((kwargs[w] for w in words if w in kwargs), args[0] if args else None)
            call = Call(
                "jax", _OUTER.call.api if _OUTER.call is not None else f"ocp.{name}", "restore", os.fspath(path),
                state=target, load=LoadOptions(by_framework=True, items=name == "load_checkpointables"),
            )  # fmt: skip
            if _OUTER.call is not None:
                _OUTER.call.reached = True
            return watched(watcher, call, lambda _: inner(path, *args, **kwargs))

        return around

    for module in _holders(v1):
        for name in ("save", "save_pytree", "save_checkpointables"):
            for word in (name, f"{name}_async"):
                if hasattr(module, word):
                    patches.wrap(module, word, save(word))
        for word in ("load", "load_pytree", "load_checkpointables"):
            if hasattr(module, word):
                patches.wrap(module, word, load(word))
    _first_manager(v1.training.Checkpointer, watcher, patches)


def _holders(v1: Any) -> list[Any]:
    """The package, and the modules in which its functions call one another."""
    import sys

    found: list[Any] = [v1]
    for word in ("load_checkpointables", "save_checkpointables"):
        module: ModuleType | None = sys.modules.get(getattr(getattr(v1, word, None), "__module__", ""))
        if module is not None and module not in found:
            found.append(module)
    return found


def _first_manager(kind: Any, watcher: Watcher, patches: Patches) -> None:
    def save(inner: Any, self: Any, step: Any, *args: Any, **kwargs: Any) -> Any:
        mine = Manager("Checkpointer.save", lambda: any(c.step == step for c in self.checkpoints))
        newest = getattr(self.latest, "step", None)
        return _told_alone(
            watcher, mine, lambda: inner(self, step, *args, **kwargs), "save", self.directory,
            lambda: _skipped(step, newest),
        )  # fmt: skip

    def load(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        mine = Manager("Checkpointer.load")
        return _told_alone(watcher, mine, lambda: inner(self, *args, **kwargs), "restore", self.directory)

    for word in (
        "save",
        "save_async",
        "save_pytree",
        "save_pytree_async",
        "save_checkpointables",
        "save_checkpointables_async",
    ):
        if word in vars(kind):
            patches.wrap(kind, word, save)
    for word in ("load", "load_pytree", "load_checkpointables"):
        if word in vars(kind):
            patches.wrap(kind, word, load)
