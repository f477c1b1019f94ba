"""Restoring from a vault: the newest step that is whole and fits, saying which newer ones were passed over and why."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from ..._core.errors import DamagedCheckpoint, HoldfastError, NothingToRestore, RestoreRefused
from ..._core.finding import Finding
from ..._core.plan import Plan
from ..._core.shell import quote
from ..._frameworks.accumulating import look_on
from ..._restore.engine import restore as restore_path
from ..._restore.outcome import Outcome
from ..._restore.proving import restore_and_prove
from ..._rules.registry import rule_named
from ..._storage.reading import ReadLock
from ..contents.recording import put_back
from ..events import PassedOver, Restored
from ..folder.keep import Keep
from ..folder.listing import Checkpoint, newest_of, record_of
from ..folder.past import with_history
from ..folder.steps import Steps
from ..folder.variants import fit_key
from ..saving.writer import Writer
from .putting_back import Wanted

__all__ = ["restore_from", "restore_newest", "restore_step"]

LOG = logging.getLogger("holdfast.vault")
_STRUCTURE = frozenset({"T201", "T202", "T203", "T205", "T210", "T218", "T223"})
"""Findings that say: this checkpoint is of another variant of the model."""


def restore_from(
    writer: Writer,
    steps: Steps,
    keep: Keep,
    given: dict[str, Any],
    *,
    step: int | str | None,
    best: bool,
    or_start_fresh: bool,
    random: bool,
) -> Outcome | None:
    """What :meth:`Vault.restore` says: restore from ``step``, from the best by ``keep``'s metric, or from the newest that is
    whole and fits. Raises :class:`NothingToRestore`, where ``or_start_fresh`` does not allow for an empty vault."""
    known = steps.all()
    if not known:
        if or_start_fresh:
            return None
        raise NothingToRestore(
            "this vault holds no checkpoint", file=writer.path,
            remedy="Check the path; or_start_fresh=True begins a new run here on purpose.",
        )  # fmt: skip
    if step is not None or best:
        chosen = steps.named(step) if step is not None else steps.best(keep)
        if chosen is None:
            raise NothingToRestore("no checkpoint has that metric", file=writer.path, found=keep.by)
        outcome = restore_step(writer, chosen, known, given, random=random)
    else:
        outcome = restore_newest(writer, known, given, random=random)
    return with_history(outcome, writer.path, known)


def restore_newest(
    writer: Writer, known: list[Checkpoint], given: dict[str, Any], *, random: bool = False
) -> Outcome:
    """Restore from the newest of ``known`` that verifies and fits. Damaged ones that were passed over are set aside.

    Raises :class:`RestoreRefused` where one is whole and of this model and a decision is needed, where one may not be read,
    or where all whole ones are of other models; :class:`NothingToRestore` where none is whole.
    """
    passed: list[tuple[str, str]] = []
    damaged: list[str] = []
    first: RestoreRefused | None = None
    others: dict[str, Checkpoint] = {}
    unfit: dict[str, str] = {}
    for candidate in reversed(known):
        if candidate.denied:
            raise _denied(candidate, known, candidate.fault)
        if candidate.fault is not None:
            passed.append((candidate.name, candidate.fault))
            damaged.append(candidate.name)
            writer.incremental.distrust()
            continue
        if unfit and (why := unfit.get(_key(candidate))) is not None:  # one of its kind was tried
            passed.append((candidate.name, why))
            others[candidate.name] = candidate
            continue
        try:
            told = tuple((name, _of_variant(others.get(name), candidate, why)) for name, why in passed)
            outcome = restore_step(writer, candidate, known, given, told, random=random)
        except RestoreRefused as refusal:
            errors = {f.code for f in refusal.findings if f.severity == "error"}
            if not errors <= _STRUCTURE and not _damage(errors):
                raise
            if _damage(errors):
                damaged.append(candidate.name)
                writer.incremental.distrust()
            else:
                first = first or refusal
                others[candidate.name] = candidate
                unfit[_key(candidate)] = _why(refusal)
            passed.append((candidate.name, _why(refusal)))
            continue
        except DamagedCheckpoint as damage:
            damaged.append(candidate.name)
            writer.incremental.distrust()
            passed.append((candidate.name, damage.message))
            continue
        except HoldfastError as error:
            if isinstance(error.__cause__, PermissionError):
                raise _denied(candidate, known, error.message) from error
            raise
        writer.set_aside(damaged)
        return outcome
    if first is not None:
        raise first
    raise NothingToRestore(
        "no checkpoint of this vault verifies", file=writer.path,
        found="; ".join(f"{name}: {why}" for name, why in passed[:3]),
        remedy=f"`holdfast doctor {writer.path}` says what can be saved of them.",
    )  # fmt: skip


def _denied(candidate: Checkpoint, known: list[Checkpoint], why: str | None) -> RestoreRefused:
    """A step that this process may not read is no damaged one: to go on from an earlier one would undo what was trained."""
    earlier = newest_of(known[: known.index(candidate)])
    place = quote(candidate.path)
    remedy = (
        f"`ls -ld {place} {place}/*` shows whose it is: ask for the right to read it, or run as its owner."
    )
    if earlier is not None:
        remedy += f" To go on from {earlier.name} all the same, name it: restore(step={earlier.step})."
    rule = rule_named("unreadable")
    assert rule is not None
    finding = rule.finding(
        f"{candidate.name} may not be read, and nothing says that it is damaged", file=candidate.path, remedy=remedy,
        seen=why,
    )  # fmt: skip
    return RestoreRefused(
        "nothing was restored: a step may not be read", (finding,), Plan(), file=candidate.path
    )


def restore_step(
    writer: Writer,
    chosen: Checkpoint,
    known: list[Checkpoint],
    given: dict[str, Any],
    passed: tuple[tuple[str, str], ...] = (),
    *,
    random: bool = False,
) -> Outcome:
    """Restore from this step; the next save continues it. ``random``: put the global random generators back too."""
    given = dict(given)
    prove, wanted = given.pop("prove", False), given.pop("wanted", Wanted())
    with ReadLock(chosen.path):  # retention, also another process's, waits for us
        beside = wanted.begin(chosen.path)
        look_on(given)
        given = beside.without_its_own(given)
        if prove:
            outcome = restore_and_prove(chosen.path, restored=beside.preprocessing, **given)
        else:
            outcome = restore_path(chosen.path, **given)
            beside.preprocessing()
        beside.rest()
        left = put_back(chosen.path) if random else []
        noted = (
            *_noted(chosen),
            *_other_draws(chosen, left),
            *beside.findings(given),
        )  # from the folder, while it stays
    for name, why in passed:
        LOG.warning("%s was passed over: %s", name, why)
        writer.emit(PassedOver(name, why))
    if writer.listened:
        digest = _digest(chosen)
        writer.emit(Restored(chosen.name, chosen.path, chosen.step, digest, outcome.proof, outcome.proved))
    newest = newest_of(known)
    writer.continue_from(chosen.name, newest=newest is not None and chosen.name == newest.name)
    return replace(
        outcome,
        step=chosen.step,
        passed_over=passed,
        **beside.found,
        findings=(*beside.without_vocabularies(outcome.findings), *noted),
    )


def _digest(chosen: Checkpoint) -> str:
    """Of its record; empty where that is gone by now."""
    try:
        return record_of(chosen.path).digest
    except (OSError, HoldfastError):
        return ""


def _other_draws(chosen: Checkpoint, left: list[str]) -> tuple[Finding, ...]:
    """Which random generators are not where they were."""
    rule = rule_named("random-state")
    if not left or rule is None:
        return ()
    return (rule.finding(f"not put back: {'; '.join(left)}", file=chosen.path, seen=left),)


def _noted(chosen: Checkpoint) -> tuple[Finding, ...]:
    """What is wrong with one of the two copies of the step's record."""
    rule = rule_named("seal-damaged")
    if chosen.note is None or rule is None:
        return ()
    LOG.warning("%s: %s", chosen.name, chosen.note)
    return (rule.finding(chosen.note, file=chosen.path),)


def _key(candidate: Checkpoint) -> str:
    """Equal for steps of which none fits where one does not; one whose record is gone by now is like no other."""
    try:
        return fit_key(record_of(candidate.path))
    except (OSError, HoldfastError):
        return candidate.name


def _of_variant(other: Checkpoint | None, taken: Checkpoint, why: str) -> str:
    if other is None or other.variant == taken.variant:
        return why
    return f"it is of variant {other.variant} of the model, this one is {taken.variant}: {why}"


def _damage(codes: set[str]) -> bool:
    return any(code[0] in "FN" for code in codes)


def _why(refusal: RestoreRefused) -> str:
    errors = [f for f in refusal.findings if f.severity == "error"]
    return errors[0].message if errors else refusal.message
