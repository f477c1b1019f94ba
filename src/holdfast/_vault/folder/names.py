"""The names in a vault's folder, and what they mean.

``step-00001200`` is committed (``step-00001200.2`` the same step on a newer lineage), ``.partial-...`` unfinished,
``.damaged-...`` set aside.
"""

from __future__ import annotations

import operator
import re
import secrets
from typing import Any, NamedTuple

from ..._record.copies import COPY, RECORD

__all__ = [
    "COPY",
    "DAMAGED",
    "MANIFEST",
    "PARTIAL",
    "RECORD",
    "StepName",
    "partial_name",
    "step_name",
    "step_number",
    "parse_step",
]

MANIFEST = "vault.json"
PARTIAL = ".partial-"
DAMAGED = ".damaged-"
_STEP = re.compile(r"step-(\d{8,})(?:\.(\d+))?")


class StepName(NamedTuple):
    """A committed step: its number, and which of several saves of that number (from 1)."""

    step: int
    copy: int = 1

    def __str__(self) -> str:
        return step_name(self.step, self.copy)


def step_name(step: int, copy: int = 1) -> str:
    """``step-00001200``, ``step-00001200.2``."""
    return f"step-{step:08d}" + (f".{copy}" if copy > 1 else "")


def step_number(given: Any) -> int | None:
    """The step that somebody means by an integer of Python, numpy or a framework; ``None`` where it is none."""
    if isinstance(given, bool):
        return None
    try:
        return operator.index(given)
    except TypeError:
        return None


def parse_step(name: str) -> StepName | None:
    """The step that a folder's name means, or ``None``."""
    found = _STEP.fullmatch(name)
    return None if found is None else StepName(int(found[1]), int(found[2] or 1))


def partial_name(step: int) -> str:
    """A name of its own for an unfinished save."""
    return f"{PARTIAL}{step_name(step)}-{secrets.token_hex(4)}"
