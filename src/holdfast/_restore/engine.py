"""``restore``: verify, compare, plan, refuse or assign; exactly, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._core.errors import HoldfastError, RestoreRefused, UsageError
from .._core.fault import Progress
from .._core.finding import Finding
from .._core.pattern import escape, matches
from .._core.plan import Edit, Plan
from .._examine.check import next_step, readiness_findings
from .._examine.examine import examine_target, run_rules
from .._examine.fit import as_plan, fit
from .._examine.fitted import Fit
from .._examine.scan import scan_catalog
from .._frameworks import LiveCatalog, live_catalog
from .._frameworks.keeping import structure
from .._frameworks.pending import settle
from .._integrity.architecture import called_by, modules_of
from .._integrity.seal import find_seal
from .._layouts.opening import the_one, try_open
from .._layouts.target import Target
from .._rules.registry import Subject
from .decided import reset_state, set_values
from .journal import Journal, room_for, signals_held, undoing
from .outcome import Outcome
from .reading import Transferred, live_checksum, transfer
from .transfers import join_staged, must_fit, source_of, transfers_of

__all__ = ["restore"]


def restore(
    path: str | os.PathLike[str],
    *,
    allow: Iterable[str | Edit] | str = (),
    plan: Plan | str | Iterable[str] | None = None,
    rollback: bool | None = None,
    build_with: Any = None,
    verify: bool = True,
    jobs: int | None = None,
    progress: Progress | None = None,
    **parts: Any,
) -> Outcome:
    """Restore live objects from the checkpoint at ``path``; see :func:`holdfast.restore`."""
    wanted = as_plan(allow, plan)
    settle()  # a save of these objects may still be copying them
    where = the_one(path)
    live = live_catalog(**parts)
    if live.unbuilt and build_with is not None:
        from .._frameworks.building import build

        build(parts.get("model"), build_with)
        live = live_catalog(**parts)
    stored, _ = try_open(where)
    base = examine_target(where, depth="structure", catalog=stored)
    damage = tuple(f for f in base.findings if f.severity == "error")
    if stored is None:
        raise _unreadable(where, base.findings, wanted)
    with stored:
        seal = find_seal(where)
        stored.modules = modules_of(stored, seal)
        found = fit(stored, live, wanted, name=where.path, called=called_by(seal))
        findings = found.findings
        against = (*_concerning(damage, found), *findings)
        if any(f.severity == "error" for f in against):
            raise _refused(where, against, found.proposal, live)
        carried = _carry(found, where, parts, rollback=rollback, verify=verify, jobs=jobs, progress=progress)
    ready = carried.ready
    beside = tuple(
        f for f in base.findings if f.slug == "two-saves"
    )  # which of them this was, a person must know
    return _outcome(found, where, carried, (*findings, *beside, *ready), parts, next_step(live, ready))


def _concerning(damage: Iterable[Finding], found: Fit) -> list[Finding]:
    """Errors of the file that touch what is to be restored (or that name no tensor). Those of an optimizer's state touch no
    weight."""
    names = {part.source for entry in found.stored.entries.values() for part in entry.parts}
    base = found.stored.base

    def told(finding: Finding) -> set[str]:
        every = {n for n in (*finding.tensors, finding.where.tensor) if n is not None}
        state = {n for n in every if n in base and base[n].optimizer is not None}
        return state if state and finding.cause == "optimizer-structure" else every

    return [f for f in damage if (not f.tensors and f.where.tensor is None) or names & told(f)]


def _refused(where: Target, findings: Iterable[Finding], plan: Plan, live: LiveCatalog) -> RestoreRefused:
    found = tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity)))
    count = sum(f.severity == "error" for f in found)
    what = "1 error" if count == 1 else f"{count} errors"
    return RestoreRefused(
        f"nothing was restored: {what} stand{'s' if count == 1 else ''} against it",
        found,
        plan,
        file=where.path,
    )


def _unreadable(where: Target, findings: tuple[Finding, ...], plan: Plan) -> RestoreRefused:
    """Nothing of it can be read: damaged beyond listing, of a format without a reader, or no checkpoint."""
    errors = [f for f in findings if f.severity == "error"]
    why = (errors or list(findings))[:1]
    return RestoreRefused(
        "nothing was restored: the checkpoint cannot be read"
        + "".join(
            f" ({f.message}{f'. {f.remedy}' if f.remedy else ''})" for f in why if f.severity != "error"
        ),
        tuple(findings),
        plan,
        file=where.path,
    )


# -- carrying out ---------------------------------------------------------------------------------------
class _Carried:
    """What the assignment did."""

    def __init__(self) -> None:
        self.moved = Transferred()
        self.values: dict[str, tuple[Any, Any]] = {}
        self.restored: list[str] = []
        self.ready: tuple[Finding, ...] = ()


def _carry(
    found: Fit,
    where: Target,
    parts: Mapping[str, Any],
    *,
    rollback: bool | None,
    verify: bool,
    jobs: int | None,
    progress: Progress | None,
) -> _Carried:
    """Everything that can fail first; then, signals held, the assignment; then the proof."""
    live = found.live
    direct, staged = transfers_of(found)
    must_fit(found)
    nbytes = _touched_bytes(found)
    seal = find_seal(where)
    room = room_for(nbytes) if rollback or rollback is None else None
    if rollback and room is None:
        raise UsageError(
            "neither memory nor the temporary folder has room for the old values",
            expected=f"{nbytes:,} bytes",
            remedy="Pass rollback=False to restore without them (a failure then leaves the objects half changed "
            "and says so), or set TMPDIR to a larger disk.",
        )
    journal = Journal(live, room, structure(parts) if room is not None else None)
    done = _Carried()

    def work() -> None:
        stage = transfer(
            found.stored.base, where, [t for t, _ in staged], seal=seal, jobs=jobs, progress=progress, verify=verify
        ) if staged else Transferred()  # fmt: skip
        done.moved = transfer(
            found.stored.base,
            where,
            direct,
            seal=seal,
            jobs=jobs,
            progress=progress,
            verify=verify,
            before=lambda one: journal.tensor(one.name),
        )
        done.moved.bytes += stage.bytes
        done.moved.verified_bytes += stage.verified_bytes
        _finite(found, where, done.moved.nonfinite + stage.nonfinite)
        join_staged(found, staged, journal)
        reset_state(found, journal)
        done.values = set_values(found, journal)
        live.finish()
        _prove(live, parts, done)
        done.ready = tuple(readiness_findings(live_catalog(**{**parts, **live.result()}), None))

    try:
        with signals_held():
            undoing(journal, work)
    except _NotFinite as met:
        edits = [Edit("nonfinite", (escape(name),)) for name in met.names]
        proposal = Plan((*found.proposal.edits, *edits))
        raise _refused(where, (*met.findings, *found.findings), proposal, live) from None
    finally:
        journal.close()
    done.restored = list(_restored_names(found))
    return done


def _touched_bytes(found: Fit) -> int:
    """Bytes of the live tensors that the restore will change; what it makes has no old value."""
    names = {*found.pairs, *found.reset, *found.cleared, *(d.variable for d in found.decisions if d.variable)}
    return sum(v.spec.nbytes for n, v in found.live.variables.items() if n in names and not v.virtual)


class _NotFinite(Exception):
    """Values that no step survives; whatever was set has been put back."""

    def __init__(self, findings: list[Finding], names: list[str]) -> None:
        super().__init__(findings[0].message)
        self.findings = findings
        self.names = names


def _finite(found: Fit, where: Target, names: list[str]) -> None:
    """Raise where the numerics rules call NaN or infinities in what was read an error, and the plan does not say
    that they are meant."""
    meant = [e.name for e in found.plan if e.kind == "nonfinite"]
    sources: dict[str, str] = {}
    for name in names:
        source = source_of(found, name)
        if not any(matches(pattern, word) for pattern in meant for word in (name, source)):
            sources[source] = name
    if not sources:
        return
    stats = {
        name: numbers
        for name, numbers in scan_catalog(found.stored.base, names=list(sources)).items()
        if not isinstance(numbers, HoldfastError)
    }
    subject = Subject(where, found.stored.base, None, "full", [], stats)
    against = [f for f in run_rules(subject, ("N101", "N102"), ()) if f.severity == "error"]
    if against:
        told = [
            replace(
                f, remedy=f"{f.remedy or ''} Allow `nonfinite:PATTERN` for these if that is meant.".strip()
            )
            for f in against
        ]
        bad = {name for f in against for name in (*f.tensors, f.where.tensor)}
        raise _NotFinite(told, [source for source in sources if source in bad])


def _restored_names(found: Fit) -> Iterable[str]:
    shares = {found.live[n].shares for n in found.pairs if found.live[n].shares is not None}
    for name, spec in ((n, found.live[n]) for n in found.live):
        if (
            name in found.pairs
            or (spec.shares is not None and spec.shares in shares)
            or name in found.cleared
        ):
            yield name


def _prove(live: LiveCatalog, parts: Mapping[str, Any], done: _Carried) -> None:
    """Live values against what was read, which is the checkpoint's. Raises :class:`HoldfastError`: nothing is wrong with that.

    Looked at afresh: what the restore made (a slot before the first step) or replaced has no place in the
    catalog from before. A value that is the very memory that was read to has been summed there.
    """
    rest = {
        name: checksum
        for name, checksum in done.moved.checksums.items()
        if name in live.variables
        and live.variables[name].memory() is None  # else summed in live memory itself
    }
    if not rest:
        return
    again = live_catalog(**{**parts, **live.result()})
    for name, checksum in rest.items():
        variable = again.variables[name]
        place = done.moved.places.get(name)
        if place is not None and variable.read is not None and variable.read().ctypes.data == place:
            continue
        now = live_checksum(variable)
        if now != checksum:
            raise HoldfastError(
                "the live tensor does not hold what was read", tensor=name, expected=checksum, found=now,
                remedy="The checkpoint is not at fault: something else writes to the model while it is restored, or the "
                "model keeps something other than what it is given (set_extra_state, a hook on load_state_dict).",
            )  # fmt: skip


def _outcome(
    found: Fit,
    where: Target,
    carried: _Carried,
    findings: tuple[Finding, ...],
    parts: Mapping[str, Any],
    closing: str,
) -> Outcome:
    live = found.live
    counted = [
        v.spec for v in live.variables.values() if v.spec.role in _COUNTED or v.spec.name in found.pairs
    ]
    restored = set(carried.restored)
    objects = {**{k: v for k, v in parts.items() if v is not None}, **live.result()}
    return Outcome(
        path=where.path,
        restored=tuple(s.name for s in counted if s.name in restored),
        kept=tuple(sorted(found.kept, key=lambda name: live[name].optimizer is not None)),
        kept_state=sum(live[name].optimizer is not None for name in found.kept),
        reset=found.reset,
        dropped=found.dropped,
        others=found.scope.others,
        total=len(counted),
        nbytes=sum(s.nbytes for s in counted if s.name in restored),
        total_bytes=sum(s.nbytes for s in counted),
        values=carried.values,
        settings=sum(
            d.setting is not None and d.optimizer is None and d.take == "checkpoint" for d in found.decisions
        ),
        proof=carried.moved.proof,
        verified_bytes=carried.moved.verified_bytes,
        findings=findings,
        next_step=closing,
        step=next((o.step for o in found.stored.optimizers if o.step is not None), None),
        plan=found.plan,
        objects=objects,
    )


_COUNTED = frozenset({"weight", "buffer", "average", "slot", "counter"})
