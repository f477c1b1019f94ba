"""The last word on a program that failed: whether its checkpoints had a part in it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .._core.words import plural
from .seen import Seen

__all__ = ["closing"]

_METRIC = (
    "If it is a metric that differs: a loss computed in a training step is that of the weights before the step's update, and the "
    "checkpoint has those after it; log what an evaluation gives right before the save"
)


def closing(calls: Sequence[Seen], ended: BaseException | None) -> str:
    """One or two sentences where a program failed and every load did what it should; else nothing.

    ``ended``: what it ended with: an exception that nobody caught, or ``SystemExit`` with something else than 0.
    """
    if ended is None or (isinstance(ended, SystemExit) and ended.code in (None, 0)):
        return ""
    if any(seen.error or seen.worst in ("error", "warning") for seen in calls):
        return ""
    loads = [(n, seen) for n, seen in enumerate(calls) if seen.facts.get("of")]
    if not loads or any(s.facts["restored"] != s.facts["of"] or s.facts.get("unused") for _, s in loads):
        return ""
    each = "the one load" if len(loads) == 1 else f"each of the {plural(len(loads), 'load')}"
    said = f"The failure is not the checkpoint's: {each} gave back every tensor, with the values of its file"
    sites = {site for n, seen in loads if (site := _saved_at(calls[:n], seen.path)) is not None}
    if len(sites) == 1:
        said += f", as {next(iter(sites))} saved them"
    if sites and isinstance(ended, (AssertionError, SystemExit)):
        return f"{said}. {_METRIC}."
    return f"{said}."


def _saved_at(before: Sequence[Seen], path: str | None) -> str | None:
    """The line that saved the checkpoint at ``path``, in this program."""
    if path is None:
        return None
    place = os.path.realpath(path)
    for seen in reversed(before):
        if seen.kind == "save" and seen.path is not None and os.path.realpath(seen.path) == place:
            return seen.site
    return None
