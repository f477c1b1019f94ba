"""Changes made to loaded modules that can be taken back, and a call when a module has been imported."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

__all__ = ["Patches", "without_ours"]

_OURS = str(Path(__file__).parent.parent)

_MISSING = object()


class Patches:
    """Attributes replaced, and functions to be called once a module has been imported; :meth:`undo` takes all back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._finder: _Finder | None = None

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute of a class or module."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)

        def back() -> None:
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        self._undo.append(back)

    def wrap(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        """Replace a function by ``around(inner, *args, **kwargs)``."""
        from functools import wraps

        inner = getattr(owner, name)

        @wraps(inner)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return around(inner, *args, **kwargs)
            except BaseException as error:  # some of PyTorch's are no Exception
                error.__traceback__ = without_ours(error.__traceback__)
                raise

        # A function is pickled by its name, for other processes: the name must lead here.
        if isinstance(owner, ModuleType):
            call.__module__, call.__qualname__ = owner.__name__, name
        self.set(owner, name, call)

    def later(self, undo: Callable[[], None]) -> None:
        """Something else to be taken back."""
        self._undo.append(undo)

    def when_imported(self, name: str, call: Callable[[ModuleType], None]) -> None:
        """Call with the module once it has been imported whole; at once where it is there."""
        module = sys.modules.get(name)
        begun = getattr(getattr(module, "__spec__", None), "_initializing", False)
        if module is not None and not begun:
            call(module)
            return
        if self._finder is None:
            self._finder = _Finder()
            sys.meta_path.insert(0, self._finder)
        self._finder.wanted.setdefault(name, []).append(call)

    def undo(self) -> None:
        """Take everything back, the latest first."""
        while self._undo:
            self._undo.pop()()
        if self._finder is not None:
            sys.meta_path.remove(self._finder)
            self._finder = None


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this library: the program's error is to be read as if nobody stood in between."""
    kept = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            kept.append(trace)
        trace = trace.tb_next
    if not kept:
        return None
    for one, following in zip(kept, [*kept[1:], None], strict=True):
        one.tb_next = following
    return kept[0]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules as the others do, and notes when a wanted one has been executed."""

    def __init__(self) -> None:
        self.wanted: dict[str, list[Callable[[ModuleType], None]]] = {}
        self._finding: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not self.wanted.get(name) or name in self._finding:
            return None
        self._finding.add(name)  # a finder may ask the others in its turn
        try:
            for finder in sys.meta_path:
                if finder is self or not hasattr(finder, "find_spec"):
                    continue
                spec = finder.find_spec(name, path, target)
                if spec is not None:  # maybe to see whether there is such a module, and not to import it
                    if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                        _after(spec.loader, self.wanted[name])
                    return spec
            return None
        finally:
            self._finding.discard(name)


def _after(loader: Any, calls: list[Callable[[ModuleType], None]]) -> None:
    """Call these once the module is executed, those that are added meanwhile too."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        while calls:
            calls.pop(0)(module)

    loader.exec_module = exec_module
