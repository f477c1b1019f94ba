"""Examine checkpoints on disk: open, verify, scan, run the rules, fold, judge."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from .._core.catalog import Catalog
from .._core.errors import CheckpointNotFound, HoldfastError, UsageError
from .._core.fault import JUNK, Fault, Progress, fault_of
from .._core.finding import CheckpointReport, Finding, Report
from .._core.stats import TensorStats
from .._core.words import plural
from .._layouts.opening import try_open
from .._layouts.target import Target
from .._rules.registry import DEPTHS, Rule, Subject, rule_named, rules
from .announce import announce
from .checkpoint_report import checkpoint_report
from .fold import fold
from .in_passing import InPassing
from .roots import junk_parts, mixed_shards, narrowed, text_copy, with_remains
from .scan import scan_catalog
from .verdict import verdict_of

__all__ = ["examine", "examine_target", "chosen"]

AnyPath: TypeAlias = "str | os.PathLike[str]"


def examine(
    path_or_paths: AnyPath | Iterable[AnyPath],
    *,
    depth: str = "full",
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
    recursive: bool = False,
) -> Report:
    """Examine one path or several; one :class:`CheckpointReport` for each checkpoint they mean.

    ``depth``: ``"header"`` (headers only), ``"structure"`` (also small tensors), ``"full"`` (all evidence
    and all values). ``select`` and ``ignore`` take codes, prefixes of codes, family letters or slugs.
    ``recursive`` examines every checkpoint below a folder. Raises :class:`CheckpointNotFound` where nothing
    is there, :class:`UsageError` for an unknown depth or code; damage is never raised.
    """
    from .._layouts.resolve import discover, resolve

    _check_options(depth, select, ignore)
    paths = [path_or_paths] if isinstance(path_or_paths, (str, os.PathLike)) else list(path_or_paths)
    reports: list[CheckpointReport] = []
    for path in paths:
        targets = discover(path) if recursive else resolve(path)
        if not targets and recursive:
            raise CheckpointNotFound("no checkpoint below this folder", file=os.fspath(path))
        for number, target in enumerate(targets, 1):
            announce(progress, target, number, len(targets), verify=depth == "full", scan=depth == "full")
            reports.append(
                examine_target(
                    target, depth=depth, select=select, ignore=ignore, jobs=jobs, progress=progress
                )
            )
    return Report(tuple(reports), command="doctor")


def _check_options(depth: str, select: Sequence[str], ignore: Sequence[str]) -> None:
    if depth not in DEPTHS:
        raise UsageError("no such depth", expected=", ".join(DEPTHS), found=depth)
    for text in (*select, *ignore):
        if not any(_matches(text, r) for r in rules()):
            raise UsageError("no rule answers to that code", found=text, remedy="`holdfast rule` lists them.")


def _matches(text: str, rule: Rule) -> bool:
    return bool(text) and (rule.code.lower().startswith(text.lower()) or rule.slug == text.lower())


def chosen(rule: Rule, select: Sequence[str], ignore: Sequence[str]) -> bool:
    """Whether a rule runs under these options; of two that match, the longer text wins, and ``ignore`` at a
    tie."""
    wanted = max((len(t) for t in select if _matches(t, rule)), default=-1)
    refused = max((len(t) for t in ignore if _matches(t, rule)), default=-1)
    if select and wanted < 0:
        return False
    return refused < 0 or wanted > refused


def examine_target(
    target: Target,
    *,
    depth: str = "full",
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
    catalog: Catalog | None = None,
    sealed: bool = True,
    quick: bool = False,
) -> CheckpointReport:
    """Examine one resolved checkpoint. Damage of any kind is in the report, never raised.

    ``catalog``: the checkpoint, where it is open already; it stays open. ``sealed``: hold it against the seal beside it.
    ``quick``: count of values only what is wrong (:func:`scan_catalog`).
    """
    _check_options(depth, select, ignore)
    failures: list[Finding] = []
    error: HoldfastError | None = None
    if catalog is not None:
        return _report(target, catalog, None, depth, select, ignore, jobs, progress, failures, sealed, quick)
    try:
        catalog, error = try_open(target)
    except Exception as bug:  # noqa: BLE001 - a reader's bug becomes a finding and does not hide behind a traceback
        failures.append(_internal("the reader", bug, target))
    try:
        return _report(target, catalog, error, depth, select, ignore, jobs, progress, failures, sealed, quick)
    finally:
        if catalog is not None:
            catalog.close()


def _report(
    target: Target,
    catalog: Catalog | None,
    error: HoldfastError | None,
    depth: str,
    select: Sequence[str],
    ignore: Sequence[str],
    jobs: int | None,
    progress: Progress | None,
    failures: list[Finding],
    sealed: bool,
    quick: bool,
) -> CheckpointReport:
    faults = [*target.faults, *(catalog.faults if catalog is not None else ())]
    if error is not None and not _told(error, faults):
        made = fault_of(error)
        copied = text_copy(made, target)
        faults.extend([with_remains(made, target), *([copied] if copied is not None else [])])
    checked: Any = None
    passing = InPassing(catalog, target) if quick and catalog is not None else None
    if depth == "full":
        try:
            checked = _verify(catalog, target, jobs, progress, sealed, passing)
            faults.extend(checked.faults)
        except HoldfastError as trouble:
            faults.append(fault_of(trouble))
        except Exception as bug:  # noqa: BLE001 - told as a finding, see above
            failures.append(_internal("verification", bug, target))
    if catalog is not None:
        faults = narrowed(catalog, faults)
        faults.extend(mixed_shards(catalog, faults))
        faults.extend(junk_parts(catalog, target, faults))
    stats: dict[str, TensorStats] = {}
    unread: dict[str, HoldfastError] = {}
    scanned = False
    if depth == "full" and catalog is not None:
        try:
            known = passing.stats() if passing is not None else {}
            numbers = scan_catalog(catalog, jobs=jobs, progress=progress, quick=quick, known=known)
            for name, result in numbers.items():
                if isinstance(result, HoldfastError):
                    unread[name] = result
                else:
                    stats[name] = result
            scanned = True
        except Exception as bug:  # noqa: BLE001 - told as a finding, see above
            failures.append(_internal("the scan of values", bug, target))
    faults.extend(_unread_faults(unread, faults))
    faults = list({_identity(f): f for f in faults}.values())
    subject = Subject(target, catalog, error, depth, faults, stats)
    findings = [*failures, *run_rules(subject, select, ignore)]
    found = fold(findings)
    lost = _lost(catalog, faults, unread, checked)
    apart = [f for f in faults if not f.attributes.get("together")]
    surely = lost if len(apart) == len(faults) else _lost(catalog, apart, unread, checked)
    gone = set(lost)
    loads = [n for n in catalog if n not in gone] if catalog is not None and scanned else None
    looked, not_looked = _sentences(depth, catalog, checked, scanned, stats, target)
    return checkpoint_report(
        target,
        catalog,
        checked,
        verdict=verdict_of(found, catalog, surely, target.format is not None),
        findings=found,
        loads=loads,
        lost=lost if catalog is not None or lost else None,
        looked_at=looked,
        not_looked_at=not_looked,
        attributes=_attributes(catalog, checked, depth),
    )


def _verify(
    catalog: Catalog | None,
    target: Target,
    jobs: int | None,
    progress: Progress | None,
    sealed: bool,
    passing: InPassing | None,
) -> Any:
    from .._integrity.seal import find_seal
    from .._integrity.verify import verify_catalog

    seal = find_seal(target) if sealed else None
    looks = passing.among if passing is not None else None
    return verify_catalog(catalog, target, jobs=jobs, progress=progress, seal=seal, looks=looks)


def _told(error: HoldfastError, faults: Iterable[Fault]) -> bool:
    """Whether resolving has already said what the error says."""
    made = fault_of(error)
    for fault in faults:
        if fault.slug == made.slug and (fault.file == made.file or made.file is None):
            return True
        if fault.slug in JUNK and made.slug in ("not-recognised", "malformed", "truncated"):
            return True
    return False


def _identity(fault: Fault) -> tuple[Any, ...]:
    return (fault.slug, fault.file, fault.offset, fault.tensor, fault.tensors, fault.message)


def _unread_faults(unread: dict[str, HoldfastError], faults: Sequence[Fault]) -> Iterator[Fault]:
    """Faults for tensors that would not read, where no fault names them yet; one for each kind, file and
    message."""
    known = {n for f in faults for n in (*f.tensors, *((f.tensor,) if f.tensor else ()))}
    grouped: dict[tuple[str, str | None, str], list[tuple[str, Fault]]] = {}
    for name, error in unread.items():
        if name in known:
            continue
        fault = fault_of(error, name)
        grouped.setdefault((fault.slug, fault.file, fault.message), []).append((name, fault))
    for same in grouped.values():
        names = tuple(n for n, _ in same)
        first = same[0][1]
        yield first if len(same) == 1 else replace(first, tensor=None, tensors=names)


def _lost(
    catalog: Catalog | None, faults: Sequence[Fault], unread: dict[str, HoldfastError], checked: Any
) -> list[str]:
    """Names of tensors that do not load, or not as they were written, in the catalog's order."""
    taking = {
        "truncated",
        "checksum",
        "malformed",
        "limit",
        "overlap",
        "part-missing",
        "shards-mixed",
        "slice-coverage",
        "not-recognised",
        *JUNK,
    }
    names = set(unread)
    for fault in faults:
        if fault.slug in taking:
            names.update(fault.tensors)
            if fault.tensor is not None:
                names.add(fault.tensor)
    if checked is not None:
        names.update(checked.lost)
    if catalog is None:
        return sorted(names)
    here = {catalog[n].name for n in names if n in catalog}
    return [n for n in catalog if n in here] + sorted(n for n in names if n not in catalog)


def run_rules(
    subject: Subject, select: Sequence[str], ignore: Sequence[str], *, live: bool = False
) -> Iterator[Finding]:
    """The findings of all rules of one kind (``live`` ones, or those for files alone) that are chosen."""
    deepest = DEPTHS.index(subject.depth)
    known = set()
    for rule in rules():
        known.add(rule.slug)
        if rule.live != live or DEPTHS.index(rule.depth) > deepest or not chosen(rule, select, ignore):
            continue
        try:
            yield from rule.check(rule, subject)
        except HoldfastError as error:
            yield _internal(f"rule {rule.code} {rule.slug}", error, subject.target)
        except Exception as bug:  # noqa: BLE001 - one rule's bug must not hide what the others found
            yield _internal(f"rule {rule.code} {rule.slug}", bug, subject.target)
    strange = rule_named("internal")
    assert strange is not None
    for fault in subject.faults:
        if fault.slug not in known and chosen(strange, select, ignore):
            yield strange.from_fault(fault, message=f"{fault.message} (no rule is called {fault.slug})")


def _internal(what: str, bug: BaseException, target: Target) -> Finding:
    rule = rule_named("internal")
    assert rule is not None
    frame = traceback.extract_tb(bug.__traceback__)[-1] if bug.__traceback__ else None
    place = f"{Path(frame.filename).name}:{frame.lineno}" if frame else None
    return rule.finding(
        f"{what} failed: {type(bug).__name__}: {bug}",
        file=target.path,
        seen=f"{type(bug).__name__}: {bug}",
        at=place,
        rule=what,
        remedy="This is a bug of Holdfast; please report it with this text. The rest of the report stands.",
    )


def _attributes(catalog: Catalog | None, checked: Any, depth: str) -> dict[str, Any]:
    given: dict[str, Any] = {"depth": depth}
    if catalog is not None:
        for key in ("step", "global_step", "epoch", "keras_version", "backend"):
            if key in catalog.attributes:
                given[key] = catalog.attributes[key]
    if checked is not None and checked.evidence:
        given["evidence"] = checked.evidence
    return given


def _sentences(
    depth: str,
    catalog: Catalog | None,
    checked: Any,
    scanned: bool,
    stats: dict[str, TensorStats],
    target: Target,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was looked at, and what was not, for people."""
    looked: list[str] = []
    left: list[str] = []
    if catalog is None:
        looked.append("the head of the file" if target.main else "the names in the folder")
        left.append("the tensors: nothing here could be opened as a checkpoint")
        return tuple(looked), tuple(left)
    looked.append(f"names, shapes, types and structure of {plural(len(catalog), 'tensor')}")
    if checked is not None:
        if checked.bytes_proved:
            looked.append(f"checksums over {checked.bytes_proved:,} of {checked.bytes_total:,} bytes")
        left.extend(str(s) for s in checked.without)
    if scanned:
        looked.append(f"every value of {plural(len(stats), 'tensor')}")
    else:
        left.append("the values of the tensors" + ("" if depth == "full" else " (depth full does)"))
    if depth != "full":
        left.append("checksums and seals (depth full does)")
    left.append("whether it fits a model")
    return tuple(looked), tuple(left)
