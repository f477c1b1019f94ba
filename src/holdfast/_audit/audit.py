"""Restore, measure again, compare; and for every difference, the causes that can be tested."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._core.catalog import Catalog
from .._core.errors import DamagedCheckpoint, HoldfastError, RestoreRefused
from .._core.fault import Fault, fault_of
from .._core.finding import Finding, severity_rank
from .._core.plan import Edit, Plan
from .._core.words import plural
from .._facts.tolerances import precision_of
from .._frameworks import live_catalog
from .._integrity.architecture import modules_of
from .._integrity.seal import find_seal
from .._layouts.opening import open_path, the_one
from .._layouts.target import Target
from .._record.data.shifts import shifts
from .._record.environment import environment
from .._record.environment_changes import environment_changes
from .._record.probe import Probe
from .._restore.data_contract import DataContract, faults_of_shifts
from .._restore.engine import restore
from .._restore.fitted import function_of, preprocess_faults
from .._restore.proving import Proved, function_differences, prove, what_changed
from .._restore.recorded import contract_of, metrics_of, precision_of_catalog, probe_of
from .._rules.facts import findings_of
from .asked import Asked
from .causes import attributed, find_causes
from .comparing import EVALUATED, compared, counterpart
from .evaluation import checksums_of, evaluated
from .neighbours import neighbours
from .report import AuditReport, Cause, Row
from .state import Stored, explain, held_against
from .trials import Trials, decomposed

__all__ = ["audit"]

_FUNCTION = frozenset({"T218", "T219", "T225"})


@dataclass
class _State:
    """The model to judge, and what is known of its state."""

    model: Any
    text: str
    findings: tuple[Finding, ...] = ()
    cause: Cause | None = None
    changed: tuple[str, ...] = ()
    refused: bool = False


def audit(path: str | os.PathLike[str], asked: Asked) -> AuditReport:
    """See :func:`holdfast.audit`."""
    target = the_one(path)
    with ExitStack() as stack:
        stored = stack.enter_context(open_path(target.path))
        seal = find_seal(target)
        record = seal.record if seal is not None else None
        stored.modules = modules_of(stored, seal)
        recorded = metrics_of(record, target, asked.metrics)
        probe = asked.probe or probe_of(record, stored)
        contract = asked.contract or contract_of(record, stored)
        changes = environment_changes(record.environment if record is not None else None, environment())
        same = not any(change.matters for change in changes)
        near = neighbours(target, asked.steps)
        others: dict[str, Stored] = {}

        if asked.loaded:
            state = _as_loaded(stored, asked.model, asked.edits)
        else:
            state = _restored(target, asked)
        if state.refused:
            unjudged = [Row(m, "cannot-compare", None, "the state was not restored") for m in recorded]
            return AuditReport(
                target.path,
                None,
                "state",
                tuple(unjudged),
                state.text,
                environment=changes,
                findings=state.findings,
            )
        live = live_catalog(model=state.model)
        known = Stored.of(stored, live, asked.edits)
        for other in near:  # opened only; values are read where a cause is tested
            try:
                others[other.name] = Stored.of(stack.enter_context(open_path(other.target.path)), live)
            except HoldfastError:
                continue  # damaged or of another kind: no candidate
        if state.cause is not None and state.changed:
            changed = held_against(known, live)
            state.cause = explain(changed, known, live, others)
            state.text = state.cause.message
        differences = function_differences(stored, live)
        proved, without = _proved(
            probe,
            state,
            target,
            differences=differences,
            preprocess=function_of(asked.preprocess),
            apply=asked.apply,
            same_setup=same,
        )
        faults_of_data = _contract_faults(contract, asked.data)
        faults = [*faults_of_data, *preprocess_faults(stored, asked.preprocess, target.path)]

        rows: list[Row] = []
        ruled_out: list[str] = []
        if asked.evaluate is not None and recorded:
            result = evaluated(asked.evaluate, state.model)
            # weights of float32 may be computed with in bfloat16, and the probe has seen it
            kinds = [precision_of_catalog(stored), *(row.dtype for row in (probe.layers if probe else ()))]
            rows = compared(recorded, result.metrics, precision_of(kinds), same_setup=same)
            differing = [row for row in rows if row.verdict == "differs"]
            trials = Trials(asked.evaluate, state.model, known, recorded, differing, ruled_out)
            causes = _certain(state, proved, differences, differing)
            if differing and not causes:
                causes = find_causes(
                    trials, checksums_of(state.model), others, near, probe, contract, changes
                )
            rows = _taken_apart(attributed(rows, causes), trials)
        elif recorded:
            rows = [Row(m, "not-measured", None, "no evaluation was given") for m in recorded]
        findings = _findings(rows, state, faults, ruled_out, target)
        findings = _folded(findings, proved)
        verdict = _verdict(rows, state, proved)
        return AuditReport(
            target.path,
            _step_of(stored, target),
            verdict,
            tuple(rows),
            state.text,
            proved.summary if proved is not None else without,
            changes,
            tuple(dict.fromkeys(ruled_out)),
            tuple(sorted(findings, key=lambda f: severity_rank(f.severity))),
            _data_told(contract, asked.data, faults_of_data),
        )


# -- the state -------------------------------------------------------------------------------------------------------
def _restored(target: Target, asked: Asked) -> _State:
    """Restore; a model that computes another function with the same tensors is restored all the same, and told."""
    told: tuple[Finding, ...] = ()
    model, plan = asked.model, asked.edits
    for attempt in (0, 1):
        try:
            outcome = restore(
                target.path,
                model=model,
                plan=plan,
                build_with=asked.build_with,
                jobs=asked.jobs,
                progress=asked.progress,
            )
        except RestoreRefused as refusal:
            errors = [f for f in refusal.findings if f.severity == "error"]
            if attempt or not errors or not {f.code for f in errors} <= _FUNCTION:
                return _State(model, refusal.message, refusal.findings, refused=True)
            told = tuple(errors)
            more = [e for e in refusal.plan if e.kind == "function"]
            plan = Plan((*plan.edits, *(more or [Edit("function", ("*",))])))
            continue
        except DamagedCheckpoint as damage:
            return _State(model, damage.message, findings_of([fault_of(damage)], target), refused=True)
        break
    count = plural(len(outcome.restored), "tensor")
    text = f"{count} restored, bytes equal to the checkpoint's ({outcome.proof})"
    lossy = [str(e) for e in outcome.plan if e.kind not in ("function",)]
    if lossy:
        text += f"; with {', '.join(lossy[:3])}"
    return _State(outcome.model if outcome.model is not None else model, text, told)


def _as_loaded(stored: Catalog, model: Any, plan: Plan) -> _State:
    """The model as the caller's own code loaded it, held against the checkpoint by content."""
    live = live_catalog(model=model)
    known = Stored.of(stored, live, plan)
    changed = held_against(known, live)
    if not changed:
        return _State(model, f"{plural(len(known.pairs), 'tensor')} hold the checkpoint's values")
    first = Cause("metric-state-changed", "", "proved")
    return _State(model, "", cause=first, changed=tuple(changed))


def _proved(probe: Probe | None, state: _State, target: Target, **given: Any) -> tuple[Proved | None, str]:
    """The probe replayed, or why not."""
    if probe is None:
        return None, "no probe is recorded"
    try:
        return prove(probe, state.model, target, tensors=state.changed, **given), ""
    except HoldfastError as error:
        return None, f"the probe could not be replayed: {error}"


# -- causes ----------------------------------------------------------------------------------------------------------
def _certain(
    state: _State, proved: Proved | None, differences: Sequence[Any], rows: Sequence[Row]
) -> list[Cause]:
    """What is known before any trial: the state is another, or computes another function."""
    names = tuple(row.metric.name for row in rows)
    if not names:
        return []
    if state.cause is not None:
        return [replace(state.cause, metrics=names)]
    first = proved.replay.first if proved is not None else None
    if proved is not None and first is not None:
        if first.where == "preprocess":
            return [Cause("metric-other-inputs", proved.summary, "proved", names)]
        return [Cause("metric-function-changed", proved.summary, "proved", names)]
    changing = [d for d in differences if d.evidence.get("effect") == "inference"]
    if changing:
        where = changing[0].b or changing[0].a or "the model"
        text = f"the model computes another function: at `{where}` {what_changed(changing[0])}; tensors identical"
        return [Cause("metric-function-changed", text, "proved", names)]
    return []


def _taken_apart(rows: Sequence[Row], trials: Trials) -> list[Row]:
    """Running averages, decomposed where the evaluation returned a number of that name."""
    wanted = [r for r in rows if r.now is not None and r.metric.kind in ("running-average", "training-mode")]
    if not wanted:
        return list(rows)
    runs = trials.training()
    found = []
    for row in rows:
        if row in wanted and row.now is not None:
            name = counterpart(row.metric, trials.recorded, runs[0].metrics) if runs else None
            values = [run.metrics[name] for run in runs if name in run.metrics] if name is not None else []
            row = replace(row, parts=decomposed(row, row.now, values))
        found.append(row)
    return found


# -- what is said ----------------------------------------------------------------------------------------------------
def _contract_faults(contract: DataContract | None, data: Any) -> list[Fault]:
    return [] if contract is None or data is None else faults_of_shifts(shifts(contract, data))


def _data_told(contract: DataContract | None, data: Any, faults: Sequence[Fault]) -> str:
    if data is None:
        return ""
    if contract is None:
        return "no data contract is recorded, so that the data was not looked at"
    return "; ".join(fault.message for fault in faults) or "fits the data contract"


def _findings(
    rows: Sequence[Row], state: _State, faults: list[Fault], ruled_out: Sequence[str], target: Target
) -> tuple[Finding, ...]:
    """One finding for each cause, which names all metrics that it explains; those without a cause are told by themselves."""
    causes: dict[str, Cause] = {}
    for row in rows:
        for cause in row.causes[:1]:
            causes.setdefault(cause.slug, cause)
    if state.cause is not None:
        causes.setdefault(state.cause.slug, state.cause)
    for cause in causes.values():
        numbers = {
            r.metric.name: {"recorded": r.metric.value, "now": r.now}
            for r in rows
            if r.metric.name in cause.metrics
        }
        attributes = {**cause.evidence, "status": cause.status, "metrics": numbers or None}
        tensors = tuple(attributes.pop("tensors", ()))
        seen, expected = attributes.pop("seen", None), attributes.pop("expected", None)
        faults.append(
            Fault(cause.slug, cause.message, target.path, None, None, seen, expected, tensors, attributes)
        )
    for row in rows:
        if row.verdict == "differs" and not row.causes:
            far = row.distance or 0.0
            text = f"{row.metric.name} is {row.now:.6g} now, and {row.metric.value:.6g} was recorded ({far:.2g} relative)"
            unsure = row.metric.kind == "unspecified" and not row.metric.name.startswith(EVALUATED)
            severity = "warning" if unsure else None
            more = {"ruled_out": list(ruled_out) or None, "note": row.why or None, "severity": severity}
            evidence = {"tolerance": row.tolerance.why if row.tolerance else None, **more}
            faults.append(Fault("metric-differs", text, file=target.path, seen=row.now, expected=row.metric.value,
                                attributes=evidence))  # fmt: skip
        elif row.verdict == "cannot-compare":
            parts = [f"{amount:+.4g} {what}" for amount, what in row.parts]
            text = f"{row.metric.name} cannot be measured again: {row.why}"
            text += f"; {row.metric.value:.6g} = {row.now:.6g} now, {', '.join(parts)}" if parts else ""
            faults.append(
                Fault("metric-not-comparable", text, file=target.path, attributes={"parts": parts or None})
            )
        elif row.verdict == "not-measured":
            text = f"{row.metric.name} was recorded and not measured now: {row.why}"
            faults.append(Fault("metric-not-measured", text, file=target.path))
    return (*findings_of(faults, target), *state.findings)


_ROOTS = frozenset({"metric-function-changed", "metric-other-inputs", "metric-state-changed", "metric-precision",
                    "metric-other-weights", "metric-batch-statistics", "metric-other-step"})  # fmt: skip


def _folded(findings: tuple[Finding, ...], proved: Proved | None) -> tuple[Finding, ...]:
    """One finding for one root cause: what the probe and the restore say of it stands under the metric's cause; where no
    metric differs, what the restore says stands under the probe's finding."""
    probe = proved.findings if proved is not None else ()
    function = tuple(f for f in findings if f.code in _FUNCTION)
    rest = [f for f in findings if f.code not in _FUNCTION]
    root = next((f for f in rest if f.slug in _ROOTS and f.severity == "error"), None)
    if root is not None and (probe or function):
        rest[rest.index(root)] = replace(root, related=(*probe, *function))
        return tuple(rest)
    if probe and function:
        return (replace(probe[0], related=(*probe[1:], *function)), *rest)
    return (*probe, *function, *rest)


def _verdict(rows: Sequence[Row], state: _State, proved: Proved | None) -> Any:
    kinds = {row.verdict for row in rows}
    if state.cause is not None:
        return "state"
    if "differs" in kinds:
        return "differs"
    if proved is not None and not proved.replay.agrees:
        return "probe"
    if "reproduced" in kinds or proved is not None:
        return "reproduced"
    return "nothing-to-compare"


def _step_of(stored: Catalog, target: Target) -> int | None:
    value = stored.attributes.get("step")
    if isinstance(value, int):
        return value
    named = re.fullmatch(r"step-(\d+)(\.\d+)?", Path(target.path).name)  # a step of a vault
    if named is not None:
        return int(named[1])
    return next((o.step for o in stored.optimizers if o.step is not None), None)
