"""What one process of a drill did: its trace, read and put in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .trace import read_trace

__all__ = ["Run", "run_of"]

Record = dict[str, Any]


@dataclass
class Run:
    """One process: its optimizer steps in order, its saves and loads, and how it ended.

    ``saves`` have ``k``, the number of steps before it; ``done`` where the save returned; ``whole`` where what it saves is
    there for certain (one that goes on in the background is not yet, when it returns). ``code``: the exit status.
    ``offset``: the number of steps of the whole run that lie before this process's first (set by aligning).
    """

    steps: list[Record] = field(default_factory=list)
    saves: list[Record] = field(default_factory=list)
    loads: list[Record] = field(default_factory=list)
    ended: bool = False
    killed: bool = False
    code: int | None = None
    errors: str = ""
    arrays: Path | None = None
    offset: int = 0

    @property
    def saved(self) -> list[Record]:
        """Saves that returned."""
        return [save for save in self.saves if save["done"]]

    @property
    def whole(self) -> list[Record]:
        """Saves of which there is a checkpoint."""
        return [save for save in self.saves if save["done"] and save.get("whole", True)]

    def at(self, k: int) -> Record | None:
        """The ``k``-th step of the whole run (from 1), where this process made it."""
        position = k - self.offset - 1
        return self.steps[position] if 0 <= position < len(self.steps) else None

    @property
    def last(self) -> int:
        """The number of the last step, in the whole run."""
        return self.offset + len(self.steps)

    def final(self) -> dict[str, np.ndarray]:
        """The state at the end."""
        if self.arrays is None or not self.arrays.exists():
            return {}
        with np.load(self.arrays) as held:
            return {name: held[name] for name in held.files}


def run_of(events: list[Record] | Path, **known: Any) -> Run:
    """A run from its events."""
    if isinstance(events, Path):
        known.setdefault("arrays", events.with_suffix(".npz"))
        events = read_trace(events)
    run = Run(**known)
    for event in events:
        kind = event["e"]
        if kind == "step":
            run.steps.append(event)
        elif kind == "values" and run.steps:
            run.steps[-1].update({k: v for k, v in event.items() if k not in ("e", "k")})
        elif kind == "save":
            run.saves.append({**event, "done": False})
        elif kind == "saved" and run.saves:
            run.saves[-1]["done"] = True
        elif kind == "committed":
            for save in run.saves:
                save["whole"] = save.get("whole", True) or (save["path"], save["step"]) == (
                    event["path"],
                    event["step"],
                )
        elif kind == "load":
            run.loads.append(event)
        elif kind == "end":
            run.ended = True
        elif kind == "killed":
            run.killed = True
    return run
