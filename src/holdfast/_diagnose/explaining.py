"""``with holdfast.explaining(): ...``: an exception that passes bears its diagnosis as a note."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from .._core.errors import HoldfastError
from .diagnose import BARE, ELSE, diagnose
from .diagnosis import Diagnosis

__all__ = ["explained", "explaining", "install_hook"]

_MARK = "holdfast: "
_STOPS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a program on purpose. PyTorch's ``CheckpointException`` is no ``Exception``, and a failure all the same."""


@contextmanager
def explaining(checkpoint: Any = None) -> Iterator[None]:
    """Attach the diagnosis to an exception that leaves the block, as a note (PEP 678); the exception itself, its type and the
    exit code stay as they are.

    ``checkpoint``: where its causes are tested (by default, paths in its text that exist). Python 3.10, which has no notes,
    prints them after the traceback where :func:`install_hook` is in place; they are in ``error.__notes__`` in any case.
    Raises what the block raises.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, _STOPS):
            explained(error, checkpoint)
        raise


def explained(error: BaseException, checkpoint: Any = None) -> Diagnosis | None:
    """Diagnose ``error`` and note on it what was found; ``None`` where it is no checkpoint failure, or bears a diagnosis
    already, or where it is an error of this package: those say themselves what to do. Nothing that goes wrong here hides the
    exception."""
    if isinstance(error, HoldfastError) or any(
        note.startswith(_MARK) for note in getattr(error, "__notes__", ())
    ):
        return None
    try:
        found = diagnose(error, checkpoint=checkpoint)
    except Exception as failed:  # noqa: BLE001 - told on the exception that matters
        _note(error, f"{_MARK}the error could not be diagnosed ({type(failed).__name__}: {failed})")
        return None
    if not found.is_checkpoint_failure:
        if found.note not in ("", ELSE, BARE):  # it is known for what it is
            _note(error, _MARK + found.summary)
        return None
    _note(error, _MARK + told(found))
    return found


def told(found: Diagnosis) -> str:
    """A diagnosis in a few lines."""
    if not found.causes:
        return found.note
    first = found.causes[0]
    lines = [f"{first.label} ({first.status}): {first.why}"]
    if first.found and first.found != first.why:
        lines.append(f"  found: {first.found}")
    lines.append(f"  do: {first.remedy}")
    return "\n".join(lines)


def _note(error: BaseException, text: str) -> None:
    notes = [*getattr(error, "__notes__", []), text]
    setattr(error, "__notes__", notes)  # noqa: B010 - add_note() is of Python 3.11


def install_hook() -> Callable[[], None]:
    """Let ``sys.excepthook`` print the diagnosis after the traceback of what ends the program; gives a function that takes it
    back. Nothing else of the program changes, its exit code neither."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, _STOPS):
            explained(error)
        before(kind, error, trace)
        if sys.version_info < (3, 11):  # which prints no notes
            for note in getattr(error, "__notes__", ()):
                if note.startswith(_MARK):
                    print(note, file=sys.stderr)

    sys.excepthook = hook

    def undo() -> None:
        if sys.excepthook is hook:
            sys.excepthook = before

    return undo
