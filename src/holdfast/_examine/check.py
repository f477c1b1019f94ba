"""``check``: will this checkpoint load into that model, what will be wrong, will the next step run?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._core.catalog import Catalog
from .._core.collector import collector_paused
from .._core.errors import UsageError
from .._core.fault import Fault
from .._core.finding import CheckpointReport, Finding, Report, Verdict
from .._core.plan import Edit, Plan
from .._frameworks import LiveCatalog, live_catalog
from .._integrity.architecture import called_by, modules_of
from .._integrity.seal import find_seal
from .._layouts.opening import the_one, try_open
from .._layouts.target import Target
from .._rules.registry import Subject, rule_named
from .examine import examine_target, run_rules
from .fit import as_plan, fit
from .fitted import Fit
from .schedule_end import ended, ended_after

__all__ = ["check", "examine_live", "next_step", "readiness_findings"]


def check(
    path: str | os.PathLike[str] | None,
    *,
    allow: Iterable[str | Edit] | str = (),
    plan: Plan | str | Iterable[str] | None = None,
    depth: str = "structure",
    gradients: Any = None,
    target: Mapping[str, str] | None = None,
    title: str | None = None,
    **parts: Any,
) -> Report:
    """Hold the checkpoint at ``path`` against live objects; see :func:`holdfast.check`.

    ``title``: what the report calls the live side.
    """
    if depth not in ("header", "structure", "full"):
        raise UsageError("no such depth", expected="header, structure or full", found=depth)
    if path is None:
        return examine_live(gradients=gradients, title=title, **parts)
    with collector_paused():  # and everything let go of before it comes back and looks at all that was made
        return _check(path, as_plan(allow, plan), depth, gradients, target, title, parts)


def _check(
    path: str | os.PathLike[str],
    wanted: Plan,
    depth: str,
    gradients: Any,
    target: Mapping[str, str] | None,
    title: str | None,
    parts: Mapping[str, Any],
) -> Report:
    live = live_catalog(**parts)
    where = the_one(path)
    stored, _ = try_open(where)
    if stored is None:
        base = examine_target(where, depth=depth)
        left = "the live model: there is nothing here to hold against it"
        return Report((replace(base, not_looked_at=(*base.not_looked_at, left)),), command="check")
    with stored:
        return _hold(stored, live, where, wanted, depth, gradients, target, title)


def _hold(
    stored: Catalog,
    live: LiveCatalog,
    where: Target,
    wanted: Plan,
    depth: str,
    gradients: Any,
    target: Mapping[str, str] | None,
    title: str | None,
) -> Report:
    """The report on an open checkpoint and a live catalog."""
    base = examine_target(where, depth=depth, catalog=stored)
    seal = find_seal(where)
    stored.modules = modules_of(stored, seal)
    found = fit(stored, live, wanted, name=where.path, called=called_by(seal))
    reader = dict(target) if target is not None else None
    subject = Subject(where, stored, None, depth, [], {}, live=live, reader=reader)
    versions = list(run_rules(subject, (), (), live=True))
    compiled = live.compiled()
    ready = ended_after(found, readiness_findings(compiled or live, gradients))
    report = _report(base, found, versions, ready, _closing(found.live, compiled, ready), title)
    return Report((report,), command="check")


def examine_live(*, gradients: Any = None, title: str | None = None, **parts: Any) -> Report:
    """A live model and optimizer alone: will the next step run? The report's one entry has the format
    ``live``."""
    live = live_catalog(**parts)
    compiled = live.compiled()
    findings = readiness_findings(compiled or live, gradients)
    worst = min((f.severity for f in findings), key=("error", "warning", "note").index, default="note")
    verdict: Verdict = "damaged" if worst == "error" else "sound"
    report = CheckpointReport(
        path=title or live.framework,
        format="live",
        verdict=verdict,
        proof="structure-only",
        findings=tuple(findings),
        tensors=len(live),
        nbytes=live.nbytes,
        looked_at=(f"names, shapes, types and owners of {len(live):,} live tensors",),
        not_looked_at=("the forward pass and the data: only model, optimizer and gradients were looked at",),
        attributes={
            "framework": live.framework,
            "next_step": _closing(live, compiled, findings),
            "parts": list(live.parts),
        },
    )
    return Report((report,), command="check")


def readiness_findings(live: LiveCatalog, gradients: Any = None) -> list[Finding]:
    """What stands against the next step, by the readiness rules."""
    told = live.readiness(
        gradients
    )  # an adapter may tell again, and better, what it noticed while describing
    known = {(fault.slug, fault.tensors or (fault.tensor,)) for fault in told}
    before = [f for f in live.faults if (f.slug, f.tensors or (f.tensor,)) not in known]
    faults: list[Fault] = [*before, *told]
    subject = Subject(_LIVE, None, None, "full", faults, {}, live=live)
    found = list(run_rules(subject, (), (), live=True))
    for fault in faults:  # a fact that rules on files know as well (a tensor without a value, a name twice)
        rule = rule_named(fault.slug)
        if rule is not None and not rule.live:
            found.append(rule.from_fault(fault))
    found += ended(live)
    return sorted(found, key=lambda f: ("error", "warning", "note").index(f.severity))


def next_step(live: LiveCatalog, findings: Iterable[Finding]) -> str:
    """The closing words: ``the next step will run``, with what is wrong all the same, or why not."""
    findings = list(findings)
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        return f"the next step will fail or go wrong: {errors[0].message}"
    if "optimizer" not in live.parts:
        return "no optimizer was given, so nothing is said of the next step"
    doubts = [f for f in findings if f.severity == "warning"]
    if doubts:
        return f"the next step will run, but {doubts[0].message}"
    return "the next step will run"


def _closing(live: LiveCatalog, compiled: LiveCatalog | None, ready: list[Finding]) -> str:
    """The closing words, which say so where the step is made with an optimizer that was found and not passed."""
    if compiled is None:
        return next_step(live, ready)
    return (
        f"{next_step(compiled, ready)} (made with `model.optimizer`, found in the compiled model; its state is held "
        "against a checkpoint where it is passed or returned as the optimizer)"
    )


def _unrestored(closing: str) -> str:
    """The closing words where a restore refuses: the next step was looked at with the live objects as they are, and says
    nothing of what the checkpoint would make of them."""
    if not closing.startswith("the next step"):
        return closing
    return f"with the live objects as they are, nothing restored: {closing}"


def _report(
    base: CheckpointReport,
    found: Fit,
    versions: list[Finding],
    ready: list[Finding],
    closing: str,
    title: str | None,
) -> CheckpointReport:
    if any(f.slug == "not-built" for f in found.findings):
        ready = [f for f in ready if f.slug != "not-built"]  # the same fact, told of the checkpoint already
    told = {f.slug for f in found.findings if f.slug == "foreign-variable"}  # and this, gravely
    findings = [*base.findings, *found.findings, *versions, *(f for f in ready if f.slug not in told)]
    findings = sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity))
    fixed = [f for f in ready if f.slug == "not-writable" and f.severity == "error"]
    unfit = {n for f in (*found.errors, *fixed) for g in (f, *f.related) for n in g.tensors}
    lost = _lost(found, base)
    fits = not found.errors and not fixed
    left = tuple(s for s in base.not_looked_at if s != "whether it fits a model")
    return replace(
        base,
        findings=tuple(findings),
        looked_at=(*base.looked_at, f"names, shapes, types and owners of {len(found.live):,} live tensors"),
        not_looked_at=left,
        attributes={
            **base.attributes,
            "model": title or found.live.framework,
            "framework": found.live.framework,
            "parts": list(found.live.parts),
            "fits": fits,
            "restores": len(found.pairs.keys() - unfit - lost),
            "lost": len(lost),
            "of": sum(v.spec.role != "gradient" or n in found.pairs for n, v in found.live.variables.items()),
            "plan": [str(edit) for edit in found.proposal],
            "others": [{"name": name, "tensors": count} for name, count in found.scope.others],
            "next_step": closing if fits else _unrestored(closing),
        },
    )


def _lost(found: Fit, base: CheckpointReport) -> set[str]:
    """Live tensors whose values the file has lost."""
    gone = set(base.lost or ())
    if not gone:
        return set()
    entries = found.stored.entries
    return {name for name, key in found.pairs.items() if any(p.source in gone for p in entries[key].parts)}


class _NoStore:
    """A live model lies in no folder."""

    files: tuple[str, ...] = ()


_LIVE = Target(path="live", main=None, store=_NoStore(), format=None)  # type: ignore[arg-type]
