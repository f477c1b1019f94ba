"""``restore``: verify, compare, plan, refuse or assign; exactly, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._compare.edited import Entry
from .._compare.optimizers import same_setting
from .._compare.steps import joined
from .._core.dtypes import carrier
from .._core.errors import ChecksumMismatch, HoldfastError, RestoreRefused, UsageError
from .._core.fault import Progress
from .._core.finding import Finding
from .._core.pattern import escape, matches
from .._core.plan import Edit, Plan
from .._core.spec import TensorSpec
from .._examine.check import next_step, readiness_findings
from .._examine.examine import examine_target, run_rules
from .._examine.fit import Fit, as_plan, fit
from .._examine.scan import scan_catalog
from .._frameworks import LiveCatalog, Variable, live_catalog
from .._frameworks.keeping import structure
from .._frameworks.pending import settle
from .._integrity.architecture import called_by, modules_of
from .._integrity.seal import find_seal
from .._layouts.opening import the_one, try_open
from .._layouts.target import Target
from .._rules.registry import Subject
from .journal import Journal, room_for, signals_held, undoing
from .outcome import Outcome
from .reading import Transfer, Transferred, live_digest, transfer

__all__ = ["restore"]

_PART = " (part)"
_LATER = frozenset({"hyperparameter"})
"""Roles that are set by decision, not by copying."""


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
    return _outcome(found, where, carried, (*findings, *ready), parts, next_step(live, ready))


def _concerning(damage: Iterable[Finding], found: Fit) -> list[Finding]:
    """Errors of the file that touch what is to be restored (or that name no tensor)."""
    names = {part.source for entry in found.stored.entries.values() for part in entry.parts}
    return [
        f
        for f in damage
        if (not f.tensors and f.where.tensor is None) or names & {*f.tensors, f.where.tensor}
    ]


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
    direct, staged = _transfers(found)
    _bound(found)
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
        _join_staged(found, staged, journal)
        _reset(found, journal)
        _set_values(found, journal, done)
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
        staged = name.removesuffix(_PART)
        source = staged if staged != name else found.stored.entries[found.pairs[name]].parts[0].source
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


def _transfers(found: Fit) -> tuple[list[Transfer], list[tuple[Transfer, str]]]:
    """Tensors that go straight over, and those put together of several, with the live name of the whole."""
    direct: list[Transfer] = []
    staged: list[tuple[Transfer, str]] = []
    shared: set[str] = set()
    for name, source in found.pairs.items():
        variable = found.live.variables[name]
        spec = variable.spec
        if spec.role in _LATER:
            continue
        if spec.shares is not None:
            if spec.shares in shared:
                continue
            shared.add(spec.shares)
        entry = found.stored.entries[source]
        if len(entry.parts) > 1:
            staged += [(_staging(found, part.source), name) for part in entry.parts]
        else:
            direct.append(Transfer(name, entry.parts[0].source, variable, _conversion(entry, spec)))
    return direct, staged


def _conversion(entry: Entry, spec: TensorSpec) -> Callable[[np.ndarray], np.ndarray] | None:
    steps = entry.parts[0].steps
    if not steps and entry.spec.shape == spec.shape:
        return None

    def convert(values: np.ndarray) -> np.ndarray:
        for step in steps:
            values = step(values)
        # a scalar with or without an axis is one value all the same
        return values.reshape(spec.shape) if values.size == 1 and values.shape != spec.shape else values

    return convert


def _staging(found: Fit, source: str) -> Transfer:
    """A transfer into memory of our own, for a part of a tensor."""
    spec = found.stored.base[source]
    array = np.empty(spec.shape, carrier(spec.dtype))

    def write(values: np.ndarray) -> None:
        array[...] = values

    variable = Variable(spec, lambda: array, write, lambda: array)
    return Transfer(f"{source}{_PART}", source, variable)


def _join_staged(found: Fit, staged: list[tuple[Transfer, str]], journal: Journal) -> None:
    parts: dict[str, list[np.ndarray]] = {}
    for one, name in staged:
        assert one.variable.read is not None
        parts.setdefault(name, []).append(one.variable.read())
    for name, arrays in parts.items():
        entry = found.stored.entries[found.pairs[name]]
        made = []
        for part, values in zip(entry.parts, arrays, strict=True):
            for step in part.steps:
                values = step(values)
            made.append(values)
        variable = found.live.variables[name]
        assert variable.write is not None
        journal.tensor(name)
        variable.write(np.ascontiguousarray(joined(made, entry.axis or 0)).reshape(variable.spec.shape))


def _bound(found: Fit) -> None:
    """Every tensor has a way to be set, and fits; nothing has changed yet."""
    for name, source in found.pairs.items():
        variable, entry = found.live.variables[name], found.stored.entries[source]
        if variable.spec.role in _LATER:
            continue
        if variable.write is None:
            raise UsageError(
                "this live tensor cannot be set",
                tensor=name,
                remedy="A read-only array or a constant: copy it first.",
            )
        a, b = entry.spec, variable.spec
        scalars = int(np.prod(a.shape)) == int(np.prod(b.shape)) == 1
        if (a.dtype != b.dtype and not {a.dtype, b.dtype} <= {"string", "object"}) or (
            a.shape != b.shape and not scalars
        ):
            raise UsageError(
                "a tensor does not fit after the edits", tensor=name,
                expected=f"{b.dtype}{list(b.shape)}", found=f"{a.dtype}{list(a.shape)}",
            )  # fmt: skip


def _reset(found: Fit, journal: Journal) -> None:
    """Optimizer state that starts anew, and state that the checkpoint does not have."""
    for name in (*found.reset, *found.cleared):
        variable = found.live.variables[name]
        if variable.virtual:
            continue
        journal.tensor(name)
        if variable.clear is not None:
            variable.clear()
        elif variable.write is not None:
            spec = variable.spec
            variable.write(np.full(spec.shape, spec.attributes.get("initial", 0), carrier(spec.dtype)))


def _set_values(found: Fit, journal: Journal, done: _Carried) -> None:
    for decision in found.decisions:
        if decision.take not in ("checkpoint", "given"):
            continue
        if decision.setting is not None:
            value = _as_written(decision.setting.key, decision.key, decision.value, decision.setting.read())
            if same_setting(value, decision.setting.read()) and type(value) is type(decision.setting.read()):
                continue
            journal.value(decision.setting)
            before = decision.setting.read()
            decision.setting.write(value)
            done.values[decision.name] = (before, value)
        elif decision.variable is not None:
            variable = found.live.variables[decision.variable]
            if variable.write is None or variable.virtual:
                continue
            spec = variable.spec
            exact = _stored_value(found, decision.variable) if decision.take == "checkpoint" else None
            new = np.full(spec.shape, decision.value, carrier(spec.dtype)) if exact is None else exact
            journal.tensor(decision.variable)
            variable.write(np.ascontiguousarray(new).reshape(spec.shape))
            done.values[decision.name] = (decision.live, decision.value)


def _stored_value(found: Fit, name: str) -> np.ndarray | None:
    """The stored tensor of a hyperparameter, bit for bit, where there is one of the live dtype."""
    source = found.pairs.get(name)
    if source is None:
        return None
    values = np.asarray(found.stored.read(source))
    spec = found.live.variables[name].spec
    return (
        values.reshape(spec.shape) if values.size == 1 and found.stored[source].dtype == spec.dtype else None
    )


def _as_written(word: str, key: str, value: Any, now: Any) -> Any:
    """A value in the form that the live side keeps: one of ``betas``, a tuple rather than a list."""
    if word == "betas" and key in ("beta_1", "beta_2"):
        pair = list(now)
        pair[key == "beta_2"] = value
        value = pair
    if isinstance(now, tuple) and isinstance(value, list):
        return tuple(value)
    return value


def _prove(live: LiveCatalog, parts: Mapping[str, Any], done: _Carried) -> None:
    """Live values against what was read. Raises :class:`ChecksumMismatch`.

    Looked at afresh: what the restore made (a slot before the first step) or replaced has no place in the
    catalog from before.
    """
    rest = {
        name: digest
        for name, digest in done.moved.digests.items()
        if name in live.variables
        and live.variables[name].memory() is None  # else hashed in live memory itself
    }
    if not rest:
        return
    again = live_catalog(**{**parts, **live.result()})
    for name, digest in rest.items():
        variable = again.variables[name]
        now = live_digest(variable)
        if now != digest:
            raise ChecksumMismatch(
                "the live tensor does not hold what was read", tensor=name, expected=digest, found=now,
                remedy="Something else writes to the model while it is restored.",
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
        kept=found.kept,
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
        digests=carried.moved.digests,
        findings=findings,
        next_step=closing,
        step=next((o.step for o in found.stored.optimizers if o.step is not None), None),
        plan=found.plan,
        objects=objects,
    )


_COUNTED = frozenset({"weight", "buffer", "average", "slot", "counter"})
