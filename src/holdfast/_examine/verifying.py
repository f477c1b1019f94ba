"""``verify`` as a report: each checkpoint at a path, opened if it can be, held against all evidence there is.

What is judged is integrity alone. Faults become findings through the rules of their slugs, so that ``verify``
and ``doctor`` speak with one voice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .._core.catalog import Catalog
from .._core.errors import CheckpointNotFound, HoldfastError, NotReadable, SealError
from .._core.fault import Fault, Progress, fault_of
from .._core.finding import CheckpointReport, Finding, Place, Report, Verdict
from .._core.words import plural
from .._integrity.seal import SEAL_SUFFIX, Seal, find_seal
from .._integrity.verify import Verification, verify_catalog
from .._layouts.opening import try_open
from .._layouts.target import Target
from .._rules.registry import Subject, rule_named
from .._storage import LocalFolder
from .announce import announce
from .checkpoint_report import checkpoint_report
from .fold import fold
from .roots import narrowed
from .verdict import verdict_of

__all__ = ["verify_path", "verify_target"]


def verify_path(
    path: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    seal_file: str | os.PathLike[str] | None = None,
    recursive: bool = False,
) -> Report:
    """Verify every checkpoint that ``path`` means; with ``recursive`` every checkpoint below a folder.

    ``jobs``: threads (``None``: one per processor). ``progress``: called with byte counts. ``seal_file``: a
    seal that lies elsewhere. Raises :class:`CheckpointNotFound` where nothing is there, not even a seal;
    :class:`SealError` where
    ``seal_file`` is not there, or where it is to serve several checkpoints.
    """
    from .._layouts.resolve import discover, resolve

    try:
        # A seal is of one checkpoint: with it a folder means what it means to `open`.
        targets = discover(path) if recursive and seal_file is None else resolve(path)
    except CheckpointNotFound:
        target = _sealed_but_gone(path)
        if target is None:
            raise
        targets = [target]
    if seal_file is not None and len(targets) > 1:
        raise SealError("one seal for several checkpoints", file=os.fspath(path), remedy="Name one of them.")
    done = []
    for number, target in enumerate(targets, 1):
        announce(progress, target, number, len(targets), verify=True, scan=False)
        done.append(verify_target(target, jobs=jobs, progress=progress, seal_file=seal_file))
    return Report(tuple(done), command="verify")


def _sealed_but_gone(path: str | os.PathLike[str]) -> Target | None:
    """A checkpoint of which only its seal is left."""
    place = Path(path)
    try:
        if not Path(os.fspath(place) + SEAL_SUFFIX).is_file():
            return None
    except OSError:  # nor does the system tell of that
        return None
    folder = place.parent
    return Target(os.fspath(place), LocalFolder(folder, os.fspath(folder)), None, None)


def verify_target(
    target: Target,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    seal_file: str | os.PathLike[str] | None = None,
) -> CheckpointReport:
    """Verify one checkpoint; damage of any kind is in the report, never raised."""
    seal = find_seal(target, seal_file)
    catalog, error = try_open(target)
    try:
        done = verify_catalog(catalog, target, jobs=jobs, progress=progress, seal=seal)
        return _report(target, catalog, error, done, seal)
    finally:
        if catalog is not None:
            catalog.close()


def _report(
    target: Target,
    catalog: Catalog | None,
    error: HoldfastError | None,
    done: Verification,
    seal: Seal | None,
) -> CheckpointReport:
    faults = [*target.faults, *(catalog.faults if catalog is not None else ()), *done.faults]
    if error is not None and not isinstance(error, NotReadable):
        faults.append(fault_of(error))
    if catalog is not None:
        faults = narrowed(catalog, faults)
    findings = fold(_findings(target, catalog, error, faults))
    verdict = _verdict(findings, target, catalog, done)
    doubtful = [n for f in faults if f.slug == "checksum" for n in f.tensors]  # narrowing names more
    lost = dict.fromkeys((*done.lost, *doubtful))
    looked = [f"{done.bytes_proved:,} of {plural(done.bytes_total, 'byte')} agree with their evidence"]
    if seal is not None and seal.record is not None:
        looked.append(f"the seal {seal.path}, written {seal.record.created}")
    return checkpoint_report(
        target,
        catalog,
        done,
        verdict=verdict,
        findings=findings,
        loads=None if catalog is None else [name for name in catalog if name not in lost],
        lost=lost,
        looked_at=looked,
        not_looked_at=(*done.without, "whether the values make sense (`holdfast doctor` does)"),
        attributes={"evidence": done.evidence, "seal": seal.path if seal is not None else None},
    )


def _verdict(
    findings: Sequence[Finding], target: Target, catalog: Catalog | None, done: Verification
) -> Verdict:
    """The verdict as ``doctor`` gives it; but a file that Holdfast cannot read is sound where its seal proves
    it."""
    if catalog is None and done.proof == "sealed" and not done.faults:
        return "sound"
    verdict: Verdict = verdict_of(findings, catalog, done.lost, target.format is not None)
    if verdict == "unknown" and any(
        fault.slug not in ("seal-damaged", "unreadable") for fault in done.faults
    ):
        return "damaged"
    return verdict


def _findings(
    target: Target, catalog: Catalog | None, error: HoldfastError | None, faults: list[Fault]
) -> list[Finding]:
    """Findings for faults, through the rules of their slugs."""
    subject = Subject(target, catalog, error, "full", list(faults))
    found: list[Finding] = []
    for slug in dict.fromkeys(fault.slug for fault in faults):
        rule = rule_named(slug)
        if rule is not None:
            found.extend(rule.check(rule, subject))
        else:
            found.extend(_plainly(fault) for fault in faults if fault.slug == slug)
    return found


def _plainly(fault: Fault) -> Finding:
    """A fault without a rule, told as it is."""
    evidence = {"seen": fault.seen, "expected": fault.expected, **fault.attributes}
    return Finding(
        code="F000",
        slug=fault.slug,
        severity="error",
        message=fault.message,
        where=Place(fault.file, fault.offset, fault.tensor),
        evidence={key: value for key, value in evidence.items() if value is not None},
        cause="corrupt",
        remedy=fault.attributes.get("remedy"),
        tensors=fault.tensors,
    )
