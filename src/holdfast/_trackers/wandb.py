"""Weights & Biases: a run (``wandb.init()``), or the module itself (its run).

What decides how it is written: a run's rows have one counter, it only goes up, and what comes for an earlier row is dropped
(docs.wandb.ai, "Customize log axes"; ``Run.log`` in wandb/sdk/wandb_run.py). A save ends some steps after the one that it
saved, in another thread: with ``step=`` it would be dropped, and with a row of its own it would push the program's counter on,
so that the program's next numbers are dropped. So everything goes into the row that is open, under names that nobody else
uses, with ``holdfast/step`` as their axis. Thread-safe: a call serialises its own copy and hands it to the service
(wandb/sdk/interface/interface.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .._core.errors import UsageError
from .base import Tracker, is_of

__all__ = ["WandbTracker", "recognised"]

_AXIS = "holdfast/step"


class WandbTracker(Tracker):
    """Numbers and texts of a step as columns of one row, drawn over ``holdfast/step``."""

    name = "wandb"

    def __init__(self, run: Any) -> None:
        self._run = run
        self._filled: int | None = None
        self._shared = getattr(getattr(run, "settings", None), "mode", None) == "shared"
        for names in ("holdfast/*", "checkpoint/*"):
            run.define_metric(names, step_metric=_AXIS)

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Into the open row; where what was put before still lies in it, that row is closed first."""
        row = {_AXIS: step, **numbers, **texts}
        if self._shared:  # many writers, no counter (wandb, "Log distributed training experiments")
            self._run.log(row)
            return
        if self._filled is not None and self._run.step == self._filled:
            self._run.log({}, commit=True)
        self._run.log(row, commit=False)
        self._filled = self._run.step


def recognised(given: Any) -> Tracker | None:
    """A tracker for a run, else ``None``. Raises :class:`UsageError` where the module has none."""
    if isinstance(given, ModuleType) and given.__name__ == "wandb":
        given = given.run
        if given is None:
            raise UsageError(
                "wandb has no run yet",
                remedy="`run = wandb.init(...)` first, then Vault(..., trackers=[run]).",
            )
    elif not is_of(given, "wandb"):
        return None
    known = all(callable(getattr(given, name, None)) for name in ("log", "define_metric"))
    return WandbTracker(given) if known and not isinstance(given, type) else None
