"""Findings of a fit that are no difference of tensors: positions, containers, hyperparameters, parts that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._compare.positions import NAMED_OTHERWISE
from .._core.difference import Difference
from .._core.difference_kinds import DIFFERENCES
from .._core.finding import Finding, Place
from .._core.pattern import escape
from .._core.words import plural
from .fit_making import framework_does, of_kind, ruled
from .fitted import Fit, uncovered
from .settings import Decision, shown
from .told import names_text

__all__ = [
    "container",
    "hyperparameters",
    "lacking",
    "live_faults",
    "plan_notes",
    "positions",
    "split_over_ranks",
    "unclear_optimizers",
    "with_neighbour",
]


def positions(found: Fit) -> Iterator[Finding]:
    """State that the file keeps by position, and that cannot be placed."""
    placed = found.positions
    if placed.doubtful:
        pairs = ", ".join(f"`{a}` and `{b}`" for a, b in placed.doubtful[:3])
        names_tell = placed.why == NAMED_OTHERWISE
        yield of_kind(
            "T210",
            f"the checkpoint keeps optimizer state by position, and cannot tell whose is whose of {pairs}: "
            + placed.why,
            remedy="Give the live optimizer its weights in the order in which the file names them; or allow `map-slots:*->*` if "
            "they only bear other names now."
            if names_tell
            else "Allow `map-slots:*->*` if the live optimizer was given its weights in the order of the run "
            "that saved. Optimizers made from model.named_parameters() store names, which would tell.",
            edit="map-slots:*->*",
            tensors=tuple(n for pair in placed.doubtful for n in pair),
            cause="optimizer-structure",
        )
    slots = {name for name, v in found.live.variables.items() if v.spec.role == "slot"}
    if placed.contrary and not slots <= {*found.reset}:
        yield of_kind(
            "O209",
            f"the state at the position of `{placed.contrary[0]}` has another shape: {placed.why}",
            remedy="Give the optimizer its weights in the order of the run that saved, or allow `reset-slots:*`.",
            edit="reset-slots:*",
            tensors=placed.contrary,
        )


def container(found: Fit) -> Iterator[Finding]:
    """Several places in the checkpoint that hold a model of these names, or a copy in place of the model."""
    scope = found.scope
    if scope.rivals:
        names = ", ".join(f"`{c or 'the top'}`" for c in (scope.container, *scope.rivals))
        yield of_kind(
            "T210",
            f"the checkpoint holds several models of these names: {names}",
            remedy=f"Say which: `rename:{escape(scope.container)}*->*`.",
            edit=f"rename:{escape(scope.container)}*->*",
        )
    if scope.copy:
        # to go on training from the average with the momenta of the raw weights is another run
        resumes = "optimizer" in found.live.parts
        edit = f"rename:{escape(scope.container)}*->*"
        counted = f"{scope.container}n_averaged" in found.stored.base
        by = "`n_averaged` beside them" if counted else "its name"
        made = of_kind(
            "T212",
            f"the checkpoint holds no weights of the model itself, only `{scope.container}`, which by {by} is an "
            "averaged copy" + ("; the optimizer's state belongs to the raw weights" if resumes else ""),
            remedy=f"Allow `{edit}` if the average is meant.",
            edit=edit,
            cause="resume-state" if resumes else "metrics",
        )
        yield made if resumes else replace(made, severity="warning")


def unclear_optimizers(found: Fit) -> Iterator[Finding]:
    """Optimizers that cannot be paired."""
    if found.scope.unclear:
        live = [o.name for o in found.live.optimizers]
        words = live[0].rsplit("/", 1)[-1]
        yield of_kind(
            "T210",
            f"the checkpoint's optimizers {names_text(found.scope.unclear)} fit the live ones {names_text(live)} in "
            "several ways, "
            "and neither their names nor what they keep tells which is which",
            remedy=f"Pass them under the names that the file has: optimizer={{'{found.scope.unclear[0]}': ...}} for what "
            f"is `{words}` here.",
            cause="optimizer-structure",
        )


def hyperparameters(found: Fit) -> Iterator[Finding]:
    """Hyperparameters that need a decision, and those that a restore changes."""
    moved: dict[tuple[Any, ...], list[Decision]] = {}
    for decision in found.decisions:
        if decision.optimizer is None and decision.take != "undecided":
            continue
        if decision.take == "undecided":
            fixed = decision.setting is None and decision.variable is None
            yield _hyper_finding(decision, "error", fixed, found)
        elif decision.take == "checkpoint" and decision.changes:
            value = decision.name.rsplit("/", 1)[-1], shown(decision.stored), shown(decision.live)
            moved.setdefault((decision.optimizer, decision.scheduled, *value), []).append(decision)
    # the groups of an optimizer mostly have one value, and a scheduler sets several: each is one thing to know
    owned: dict[str | None, list[Decision]] = {}
    for (optimizer, scheduled, word, *_), same in moved.items():
        one = same[0] if len(same) == 1 else replace(same[0], name=word)
        if scheduled:
            owned.setdefault(optimizer, []).append(one)
        else:
            yield _hyper_finding(one, "note", False, found)
    for every in owned.values():
        yield _owned_finding(every, found)


def _owned_finding(decisions: list[Decision], found: Fit) -> Finding:
    """What one scheduler sets, all of it in one sentence."""
    made = _hyper_finding(decisions[0], "note", False, found)
    if len(decisions) == 1:
        return made
    values = [f"{d.name} ({shown(d.stored)} in the checkpoint, {shown(d.live)} now)" for d in decisions]
    told = f"{', '.join(values[:-1])} and {values[-1]}: the scheduler owns them, and the checkpoint's are restored"
    return replace(made, message=told, evidence={"optimizer": decisions[0].optimizer})


def _hyper_finding(decision: Decision, severity: str, fixed: bool, found: Fit) -> Finding:
    name, was, now = decision.name, shown(decision.stored), shown(decision.live)
    kind = DIFFERENCES["O207"]
    whose = (
        "optimizer" if decision.optimizer is not None or decision.setting is None else decision.setting.part
    )
    message = f"{name} is {was} in the checkpoint and {now} in the live {whose}"
    remedy: str | None = (
        f"Say which counts: `hyper:{name}=checkpoint` ({was}) or `hyper:{name}=live` ({now})."
    )
    if severity == "note":
        message += f"; the checkpoint's {was} is restored"
        remedy = None
        if decision.scheduled:
            message += " (the scheduler owns it)"
    elif fixed:
        remedy = (
            f"No loader can set it: construct the optimizer with {name}={was}, or allow `hyper:{name}=live`."
        )
    evidence = {"seen": decision.stored, "expected": decision.live, "optimizer": decision.optimizer}
    if severity == "error":
        difference = Difference("O207", name, name, message, {"a": was, "b": now})
        loader = framework_does(found, difference)
        if loader is not None:
            evidence["framework"] = loader.replace("optimizer.load_state_dict", f"{whose}.load_state_dict")
    return Finding(
        "O207", kind.slug, severity, message, Place(tensor=None), evidence, kind.cause, remedy,  # type: ignore[arg-type]
        edit=f"hyper:{name}=live" if severity == "error" else None, tensors=(),
    )  # fmt: skip


def lacking(found: Fit) -> Iterator[Finding]:
    """Parts that were passed and that the checkpoint has nothing of."""
    have = {d.setting.part for d in found.decisions if d.setting is not None and d.optimizer is None}
    yield from _another_scheduler(found, have)
    for part, every in found.lacking.items():
        names = [n for n in every if part not in have or not found.live.settings[n].configured]
        if not names:
            continue
        if part in have or part in ("model", "optimizer"):
            severity, text = (
                "note",
                f"{len(names)} values of the {part} are not in the checkpoint and keep the live ones",
            )
            text += f": {names_text(names)}"
            if part == "model":
                counts = [n for n in names if found.live.settings[n].role == "counter"]
                if not counts:
                    continue
                severity, text = "error", f"{names_text(counts)} of the model is not in the checkpoint"
        else:
            severity = "error"
            text = f"{part}= was passed, and the checkpoint holds no state of a {part}"
        bad = severity == "error"
        edit = f"keep-live:{escape(counts[0])}" if bad and part == "model" else f"keep-live:{part}/*"
        yield ruled(
            "resume-part-missing",
            text,
            severity=severity,
            names=list(names[:20]),
            remedy=f"Allow `{edit}`, or leave {part}= out." if bad else None,
            edit=edit if bad else None,
        )


def _another_scheduler(found: Fit, have: set[str]) -> Iterator[Finding]:
    """A scheduler of another class, or constructed with more than the checkpoint knows of."""
    if found.foreign:
        front = found.foreign[0].rpartition("/")[0]
        edit = f"drop:{escape(found.foreign[0]) if len(found.foreign) == 1 else escape(front) + '/*'}"
        yield ruled(
            "resume-part-missing",
            f"the checkpoint's scheduler keeps {names_text(found.foreign)}, for which the live one has no place: it is of "
            "another class",
            severity="error",
            names=list(found.foreign[:20]),
            remedy=f"Construct the scheduler as the run did, leave scheduler= out, or allow `{edit}`.",
            edit=edit,
        )
    asked = [n for part in have for n in found.lacking.get(part, ()) if found.live.settings[n].configured]
    if asked:
        part = found.live.settings[asked[0]].part
        front = asked[0].rpartition("/")[0]
        edit = f"keep-live:{escape(asked[0]) if front == part else escape(front) + '/*'}"
        yield ruled(
            "resume-part-missing",
            f"the live {part} is constructed with {names_text(asked)}, of which the checkpoint knows nothing",
            severity="error",
            names=asked[:20],
            remedy=f"Construct it as the run did, or allow `{edit}` to leave that as it is.",
            edit=edit,
        )


_BESIDE = {
    "O201": ("optimizer.pt", "optimizer.bin", "optimizer.safetensors"),
    "R201": ("scheduler.pt", "scheduler.bin"),
}
"""Files in which trainers keep that beside the model (transformers/trainer.py, accelerate/checkpointing.py)."""


def with_neighbour(finding: Finding, found: Fit) -> Finding:
    """The finding with the file that holds what is missing, where one lies beside the checkpoint."""
    if finding.severity != "error" or finding.code not in _BESIDE:
        return finding
    if finding.code == "R201" and "scheduler=" not in finding.message:
        return finding
    files = {Path(file) for file in found.stored.base.files}
    beside = [file.parent / name for file in files for name in _BESIDE[finding.code]]
    there = next((path for path in beside if path not in files and path.is_file()), None)
    if there is None:
        return finding
    return replace(finding, remedy=f"`{there.name}` beside it holds it: restore that with a call of its own.")


def live_faults(found: Fit) -> Iterator[Finding]:
    """Live tensors that cannot be told apart by name."""
    for first, second in found.live.clashes:
        yield ruled(
            "live-name-clash",
            f"two live tensors bear the name `{first.name}`; the second is called `{second.name}` here",
            tensor=first.name,
            tensors=(first.name,),
        )


def split_over_ranks(found: Fit) -> Iterator[Finding]:
    """Tensors that would be restored, of which this process holds its own part only."""
    split = found.live.split()
    names = [name for name in (*found.pairs, *found.reset, *found.cleared) if name in split]
    if not names:
        return
    one = len(names) == 1
    yield ruled(
        "not-writable",
        f"{plural(len(names), 'live tensor')} {'is' if one else 'are'} split over {plural(split[names[0]], 'rank')} "
        f"(DTensors), and this process holds its own part only: one process cannot restore {'it' if one else 'them'}",
        tensor=names[0],
        tensors=tuple(names),
        remedy="Restore before `fully_shard` (or `distribute_tensor`) splits the model; or, with "
        "torch.distributed.checkpoint.state_dict on all ranks, set_model_state_dict(model, state, "
        "options=StateDictOptions(full_state_dict=True)) with the state dict of the file, and set_optimizer_state_dict "
        "likewise, which `holdfast run` watches on each rank.",
    )


def plan_notes(found: Fit) -> Iterator[Finding]:
    """Edits that cover nothing."""
    for edit in uncovered(found.plan, found):
        yield ruled("edit-covers-nothing", f"the edit `{edit}` covers nothing", edit=str(edit))
