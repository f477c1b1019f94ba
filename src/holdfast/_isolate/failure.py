"""How a save, or reading it back, failed; and whether two failures are the same one."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Literal

__all__ = ["Failure", "Kind", "SavePhaseError", "failure_of", "passes_through"]

Kind = Literal["error", "hang", "crash"]

_HERE = str(Path(__file__).parent)
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+")


class SavePhaseError(Exception):
    """Raised around an exception to tell in which phase of a trial it happened; the exception is its cause."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. ``kind``: an exception, no end within the time, or the end of the process. ``phase``: ``save``, ``load``
    or another word of the saver's. ``type``: the exception's class name, or the signal's. ``message``: what it says. ``trace``:
    the traceback, or the stack at the time, as text. ``gist``: the part of the message that tells failures apart."""

    kind: Kind
    phase: str
    type: str
    message: str
    trace: str = ""
    gist: str = ""

    @property
    def signature(self) -> tuple[str, ...]:
        """Equal for failures that are the same one: addresses and numbers do not count."""
        return self.kind, self.phase, self.type, _VARYING.sub("#", self.gist or self.message)[:240]

    @property
    def line(self) -> str:
        """In one line."""
        said = self.gist if self.gist and self.gist in self.message else self.message
        first = next((row.strip() for row in said.splitlines() if row.strip()), "")
        return f"{self.type}: {first}" if first else self.type

    def as_document(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return {
            "kind": self.kind,
            "phase": self.phase,
            "type": self.type,
            "message": self.message,
            "trace": self.trace,
            "gist": self.gist,
        }

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Failure:
        """The failure that :meth:`as_document` described."""
        return cls(**document)


def failure_of(error: BaseException, phase: str, gist: Callable[[str], str] | None = None) -> Failure:
    """An exception as a failure of ``phase`` (or the phase of :class:`SavePhaseError` around it)."""
    if isinstance(error, SavePhaseError) and error.__cause__ is not None:
        phase, error = error.phase, error.__cause__
    message = _text(error)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_HERE):
        frames = frames.tb_next  # from the framework's call on
    try:
        trace = "".join(traceback.format_exception(type(error), error, frames, limit=-60))
    except Exception:  # noqa: BLE001 - an exception whose own text raises
        trace = "".join(traceback.format_tb(frames, limit=-60))
    return Failure(
        "error",
        phase,
        type(error).__name__,
        message,
        trace[-30_000:],
        gist(message) if gist is not None else "",
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)[:20_000]
    except Exception as failed:  # noqa: BLE001 - the user's class
        return f"(its text cannot be had: {type(failed).__name__})"


def passes_through(trace: str, method: Any, name: str) -> bool:
    """Whether a traceback, or a stack as faulthandler prints it, goes through a method of the user's."""
    code = getattr(getattr(method, "__wrapped__", method), "__code__", None)
    if not isinstance(code, CodeType):
        return False
    last = max((line or 0 for _, _, line in code.co_lines()), default=0)
    lines = re.findall(
        rf'File "{re.escape(code.co_filename)}", line (\d+),? in {re.escape(name)}\s*$', trace, re.MULTILINE
    )
    return any(code.co_firstlineno <= int(line) <= max(last, code.co_firstlineno) for line in lines)
