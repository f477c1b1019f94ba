"""What was seen of one call: for the line on the terminal, the summary and the JSON document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._core.finding import Finding, severity_rank
from .._frameworks.events import Call

__all__ = ["LATER", "STOPS", "Seen", "first_line"]

LATER = "afterwards"
"""Kind of what is told of a save when its call is over: it is no call of its own."""

STOPS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a program on purpose. Whatever else a call raises is its failure: PyTorch's ``CheckpointException`` is no
``Exception`` (torch/distributed/checkpoint/api.py)."""


@dataclass(slots=True)
class Seen:
    """``sentence``: what the call did, for people. ``findings``: what is wrong with it. ``error``: what it raised."""

    api: str
    kind: str
    site: str
    path: str | None = None
    sentence: str = ""
    findings: list[Finding] = field(default_factory=list)
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, call: Call) -> Seen:
        """Nothing found yet."""
        return cls(call.api, call.kind, str(call.site or ""), call.path)

    @property
    def worst(self) -> str | None:
        """The gravest severity, or ``None``."""
        return min((f.severity for f in self.findings), key=severity_rank, default=None)


def first_line(error: BaseException) -> str:
    """Of the error's message, without colours; of an error that gathers those of several ranks, the first of these."""
    ranks = getattr(error, "failures", None)  # torch/distributed/checkpoint/api.py, CheckpointException
    if isinstance(ranks, Mapping) and ranks:
        rank, found = next(iter(ranks.items()))
        inner = found[0] if isinstance(found, tuple) else found
        if isinstance(inner, BaseException) and inner is not error:
            return f"rank {rank}: {type(inner).__name__}: {first_line(inner)}"
    return re.sub(r"\x1b\[[0-9;]*m", "", (str(error).strip().splitlines() or [""])[0]).strip()
