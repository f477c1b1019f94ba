"""Restoring from a vault: the newest step that is whole and fits, saying which newer ones were passed over and why."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from .._core.errors import DamagedCheckpoint, NothingToRestore, RestoreRefused
from .._restore.engine import restore as restore_path
from .._restore.outcome import Outcome
from .extra import extra_of
from .listing import Checkpoint, newest_of
from .writer import Writer

__all__ = ["restore_newest", "restore_step"]

LOG = logging.getLogger("holdfast.vault")
_STRUCTURE = frozenset({"T201", "T202", "T203", "T205", "T210", "T218", "T223"})
"""Findings that say: this checkpoint is of another variant of the model."""


def restore_newest(writer: Writer, known: list[Checkpoint], given: dict[str, Any]) -> Outcome:
    """Restore from the newest of ``known`` that verifies and fits. Damaged ones that were passed over are set aside.

    Raises :class:`RestoreRefused` where one is whole and of this model and a decision is needed, or where all whole ones
    are of other models; :class:`NothingToRestore` where none is whole.
    """
    passed: list[tuple[str, str]] = []
    damaged: list[str] = []
    first: RestoreRefused | None = None
    for candidate in reversed(known):
        if candidate.fault is not None:
            passed.append((candidate.name, candidate.fault))
            damaged.append(candidate.name)
            continue
        try:
            outcome = restore_step(writer, candidate, known, given, tuple(passed))
        except RestoreRefused as refusal:
            errors = {f.code for f in refusal.findings if f.severity == "error"}
            if not errors <= _STRUCTURE and not _damage(errors):
                raise
            if _damage(errors):
                damaged.append(candidate.name)
            else:
                first = first or refusal
            passed.append((candidate.name, _why(refusal)))
            continue
        except DamagedCheckpoint as damage:
            damaged.append(candidate.name)
            passed.append((candidate.name, damage.message))
            continue
        writer.set_aside(damaged)
        return outcome
    if first is not None:
        raise first
    raise NothingToRestore(
        "no checkpoint of this vault verifies", file=writer.path,
        found="; ".join(f"{name}: {why}" for name, why in passed[:3]),
        remedy=f"`holdfast doctor {writer.path}` says what can be saved of them.",
    )  # fmt: skip


def restore_step(
    writer: Writer,
    chosen: Checkpoint,
    known: list[Checkpoint],
    given: dict[str, Any],
    passed: tuple[tuple[str, str], ...] = (),
) -> Outcome:
    """Restore from this step; the next save continues it."""
    outcome = restore_path(chosen.path, **given)
    for name, why in passed:
        LOG.warning("%s was passed over: %s", name, why)
    newest = newest_of(known)
    writer.continue_from(chosen.name, newest=newest is not None and chosen.name == newest.name)
    return replace(outcome, passed_over=passed, extra=extra_of(chosen.path))


def _damage(codes: set[str]) -> bool:
    return any(code[0] in "FN" for code in codes)


def _why(refusal: RestoreRefused) -> str:
    errors = [f for f in refusal.findings if f.severity == "error"]
    return errors[0].message if errors else refusal.message
