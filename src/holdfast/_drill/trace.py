"""The trace that watchers write: one event per line, and the orders that a drill gives to the process that is watched."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

__all__ = ["Kill", "Trace", "current", "read_trace", "set_current"]

VARIABLE = "HOLDFAST_DRILL"
"""The environment variable that bears a child's orders."""


@dataclass(frozen=True)
class Kill:
    """When to die: after the ``at``-th optimizer step of this process, or in the middle of the first save from that step on
    (to ``path``, or to a name that begins like it). ``number``: the step by the loop's own count, where it tells that."""

    at: int
    how: Literal["after-step", "in-save"] = "after-step"
    path: str | None = None
    number: int | None = None


class Trace:
    """Takes events, counts steps, and strikes where it was ordered to.

    ``write`` takes each event as a dict; ``strike`` ends the process (or raises). ``stop``: the number of steps after which
    ``stopped`` is called, as at the end of the script.
    """

    def __init__(
        self,
        write: Callable[[dict[str, Any]], None],
        *,
        kill: Kill | None = None,
        strike: Callable[[], None] | None = None,
        stop: int | None = None,
        stopped: Callable[[], None] | None = None,
    ) -> None:
        self._write, self.kill, self._strike, self.stop, self._stopped = write, kill, strike, stop, stopped
        self.steps = 0
        self.automatic = False
        self.finals: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self.held: dict[str, Any] = {}

    def event(self, kind: str, **fields: Any) -> None:
        """Write one event; ``k`` is the number of optimizer steps so far."""
        self._write({"e": kind, "k": self.steps, **fields})

    def step(self, record: Mapping[str, Any], *, automatic: bool = True) -> None:
        """One optimizer step is done; dies here where it was ordered to."""
        self.automatic |= automatic
        self.steps += 1
        self.event("step", **record)
        kill = self.kill
        at = (
            None
            if kill is None or kill.how != "after-step"
            else kill.at
            if kill.number is None
            else kill.number
        )
        if at is not None and at == (self.steps if kill is None or kill.number is None else record.get("n")):
            self.strike()
        if self.stop is not None and self.steps >= self.stop and self._stopped is not None:
            self._stopped()

    def strike(self) -> None:
        """Die, as by a power cut: nothing is flushed, nothing is cleaned up."""
        self.event("killed", how=self.kill.how if self.kill else "")
        assert self._strike is not None
        self._strike()

    def dies_in(self, path: str) -> bool:
        """Whether the save that begins now is the one to die in."""
        kill = self.kill
        if kill is None or kill.how != "in-save" or self.steps < kill.at:
            return False
        return kill.path is None or path.startswith(kill.path)

    def final_arrays(self) -> dict[str, np.ndarray]:
        """The state at the end, by name."""
        from .digests import as_array

        found: dict[str, np.ndarray] = {}
        for prefix, give in self.finals.items():
            for name, value in give().items():
                try:
                    found[f"{prefix}{name}"] = np.array(as_array(value))
                except (TypeError, ValueError, RuntimeError):
                    continue  # a setting that is no number
        return found


_CURRENT: list[Trace | None] = [None]


def current() -> Trace | None:
    """The trace of the drill that runs in this process, if any."""
    return _CURRENT[0]


def set_current(trace: Trace | None) -> None:
    """Begin or end to trace."""
    _CURRENT[0] = trace


def to_file(path: Path) -> Callable[[dict[str, Any]], None]:
    """Append events to a file, each in one write: what was written is there when the process is killed."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(event: dict[str, Any]) -> None:
        os.write(handle, (json.dumps(event, default=_plain) + "\n").encode())

    return write


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def kill_this_process() -> None:
    """SIGKILL, where there is such a thing."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def read_trace(path: Path) -> list[dict[str, Any]]:
    """The events of a file; a last line that was cut is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
