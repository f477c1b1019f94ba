"""The frameworks' own calls as typed events: which call, with which file and which live objects, from which line.

Each framework's package has ``hooks.py``: ``install(module, watcher, patches)`` wraps the calls by which programs save, load
and step, and hands each to a :class:`Watcher` before it runs. A hook judges nothing and changes nothing; without a watcher's
doing, the wrapped call gets the arguments it was given, and its result or exception passes.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from .call_options import LoadOptions, SaveOptions, StepOptions, Told

__all__ = ["Call", "Kind", "Site", "Watcher", "calling_line", "noticed", "of_a_library", "watched"]

Kind = Literal["read", "assign", "restore", "save", "step", "data"]
"""``read``: a file's content comes into memory, into no live object yet (``torch.load``). ``assign``: values in memory are
put into live objects (``load_state_dict``). ``restore``: a file is put into live objects in one call
(``tf.train.Checkpoint.restore``, ``load_weights``; Keras's ``load_model``, which makes the objects). ``save``: live objects or
values are written. ``step``: an optimizer moves its weights. ``data``: arrays that are no
checkpoint are written or read (``numpy.save``); what was written is in ``state``."""


@dataclass(frozen=True, slots=True)
class Site:
    """A line of the program: file and line number."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{_short(self.file)}:{self.line}"

    @property
    def of_program(self) -> bool:
        """Whether it is the program's own; a library's thread runs the calls of many lines."""
        return not of_a_library(self.file)


_LOAD, _SAVE, _STEP = LoadOptions(), SaveOptions(), StepOptions()


@dataclass(slots=True)
class Call:
    """One call of a framework's.

    Attributes
    ----------
    framework: ``torch``, ``keras``, ``tensorflow``, ``jax`` (what is loaded or saved belongs to it). api: what the person
        wrote, as they would look it up (``"torch.load"``, ``"Module.load_state_dict"``).
    kind: see :data:`Kind`. path: the file, prefix or folder that is read or written; ``None`` where there is none (a buffer).
    parts: live objects, by the words of :func:`holdfast.check` (``{"model": module}``, ``{"optimizer": optimizer}``).
    state: values in memory: what ``assign`` is given, what ``save`` writes, the target of an Orbax restore.
    load, save, step: arguments that matter to what a call of that kind does, and what its hook knows of it beside; each has
        defaults where there is nothing to say. told: the hook itself knows what is wrong.
    movable: ``save`` only: the call may be given another path than ``path`` and then writes the same there.
    site: the program's line. result, error: after the call. finished: for calls that go on in the background, a function
        that waits for the end and raises its error, without taking it from the program (it is called in another thread);
        ``None`` where the call is done when it returns.
    """

    framework: str
    api: str
    kind: Kind
    path: str | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)
    state: Any = None
    load: LoadOptions = _LOAD
    save: SaveOptions = _SAVE
    step: StepOptions = _STEP
    told: Told | None = None
    movable: bool = False
    site: Site | None = None
    result: Any = None
    error: BaseException | None = None
    finished: Callable[[], None] | None = None


class Watcher(Protocol):
    """Who is told of calls."""

    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry the call out and give its result. ``run(path)`` is the framework's own call, on ``call.path`` or, for a
        ``movable`` save, on another path. What ``run`` raises passes."""


_INSIDE = threading.local()


class Nesting:
    """Which kinds of calls this thread is in: frameworks call their own functions, and the outermost counts."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def __enter__(self) -> bool:
        """Whether this is the outermost call of its kind (``restore`` covers ``read`` and ``assign``)."""
        held: list[Kind] = _INSIDE.__dict__.setdefault("kinds", [])
        covered = self.kind in held or (self.kind in ("read", "assign") and "restore" in held)
        held.append(self.kind)
        return not covered

    def __exit__(self, *_: object) -> None:
        _INSIDE.kinds.pop()


def watched(watcher: Watcher, call: Call, run: Callable[[str | None], Any]) -> Any:
    """Hand ``call`` to the watcher if it is the outermost of its kind in this thread; else just run it."""
    with Nesting(call.kind) as outermost:
        if not outermost:
            return run(call.path)
        if call.site is None:
            call.site = calling_line()
        return watcher.around(call, run)


def noticed(watcher: Watcher, call: Call, look: Callable[[], Told | None]) -> None:
    """Tell the watcher of what a hook itself finds after a call, as ``call``. A bug in ``look`` is told, and does not reach the
    program."""
    try:
        call.told = look()
    except Exception as bug:  # noqa: BLE001 - told
        what = f"Holdfast could not look at what {call.api} has done: {type(bug).__name__}: {bug}"
        call.told = Told("internal", "warning", f"{what}; the program's call was not touched")
    if call.told is not None:
        watched(watcher, call, lambda _: None)


def calling_line() -> Site | None:
    """The innermost line of the stack that is neither ours nor a library's; the outermost line where all are."""
    frame: FrameType | None = sys._getframe(1)
    last = None
    while frame is not None:
        name = frame.f_code.co_filename
        if not of_a_library(name):
            return Site(name, frame.f_lineno)
        if not name.startswith("<"):
            last = Site(name, frame.f_lineno)
        frame = frame.f_back
    return last


_CELL = re.compile(r"<ipython-input-(\d+)-")
_OURS = str(Path(__file__).parent.parent)
_LIBRARIES = tuple(
    {path for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))}
)


def of_a_library(name: str) -> bool:
    """Whether a code's file is ours, Python's or of an installed package."""
    return (
        name.startswith((_OURS, "<frozen", "<string>", "<__array_function__"))
        or name.startswith(_LIBRARIES)
        or "site-packages" in name
        or "dist-packages" in name
    )


def _short(file: str) -> str:
    """As a person would name it: relative to the working folder; a notebook's cell by its number; a library's by its name."""
    cell = _CELL.match(file)
    if cell is not None:
        return f"In [{cell[1]}]"
    if of_a_library(file):  # a thread that a library runs: no line of the program's is in it
        return os.path.basename(file)  # noqa: PTH119 - may be no path
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
