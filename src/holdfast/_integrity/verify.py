"""Verification: every byte of a checkpoint that carries evidence is tested, and what carries none is said.

Three kinds of evidence, strongest first: a seal (every byte), the format's own checksums (the bytes they
cover), hashes that lie about for free (whole files). What a seal proves is not tested again by the weaker
ones that agreed when the seal was written; where a seal's leaf changed, the format's own checksum tells
damage from a file that was written anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.fault import Check, Fault, Progress, fault_of
from .._core.finding import Proof
from .._layouts.target import Target
from .checks import Looks, run_checks
from .coverage import Coverage
from .files import Names
from .free_evidence import FreeEvidence, free_evidence
from .own_digests import prove_by_own_digests
from .seal import Seal, find_seal
from .sealed import SealOutcome, check_seal
from .workers import Shared, default_jobs

__all__ = ["Verification", "verify_catalog", "fault_of", "find_seal"]


@dataclass(slots=True)
class Verification:
    """What verification found.

    ``faults``: what contradicts its evidence. ``proof``: how much evidence there is. ``bytes_proved`` of
    ``bytes_total`` bytes of all files agree with some evidence. ``evidence``: rows ``{"kind", "file",
    "bytes"}`` of what was tested.
    ``without``: sentences on what has no evidence. ``lost``: names of tensors whose bytes contradict their
    evidence.
    """

    faults: list[Fault] = field(default_factory=list)
    proof: Proof = "structure-only"
    bytes_proved: int = 0
    bytes_total: int = 0
    evidence: list[dict[str, Any]] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    lost: tuple[str, ...] = ()
    sealed: str | None = None


def verify_catalog(
    catalog: Catalog | None,
    target: Target,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    seal: Seal | None = None,
    looks: Callable[[Names], Looks] | None = None,
) -> Verification:
    """Test all evidence there is for one checkpoint.

    ``catalog`` may be ``None`` where the checkpoint cannot be opened: its seal and free evidence still speak.
    ``jobs`` is the number of threads (``None``: one per processor); ``progress`` is called with byte counts,
    never from two threads at once. ``looks`` may look at the bytes meanwhile (:func:`run_checks`). Nothing is
    raised for damage; :class:`HoldfastError` only where the folder itself cannot be read.
    """
    count = default_jobs() if jobs is None else max(1, jobs)
    shared = Shared(progress)
    names = Names(target, catalog)
    result = Verification()
    cover = Coverage(names, target, catalog)
    outcome: SealOutcome | None = None
    if seal is not None:
        result.sealed = seal.path
        if seal.fault is not None:
            result.faults.append(seal.fault)
        if seal.record is not None:
            outcome = check_seal(seal, target, count, shared)
            result.faults.extend(outcome.faults)
            if outcome.another:
                outcome = None
    if outcome is not None and seal is not None and seal.record is not None:
        for name, ranges in outcome.checked.items():
            cover.add(name, ranges, outcome.agreed.get(name, []))
            size = sum(end - start for start, end in ranges)
            result.evidence.append(
                {"kind": "seal", "file": target.store.shown(name), "bytes": size, "where": seal.path}
            )
    trusted = outcome is not None and seal is not None and seal.record is not None and not seal.record.damage
    if seal is not None and seal.record is not None and seal.record.kind == "record":
        told, rows = prove_by_own_digests(target, seal.record, cover)
        result.faults.extend(told)
        result.evidence.extend(rows)
    own = _own_checks(catalog, names, outcome if trusted else None, result)
    free = _free_checks(names, target, seal, outcome if trusted else None)
    shown = looks(names) if looks is not None else None
    said = run_checks(own + [item.check for item in free], target, names, count, shared, shown)
    faults = [fault for check in own if (fault := said[id(check)]) is not None]
    for check in own:
        cover.add_check(check, said[id(check)])
    _count_evidence(own, result)
    result.faults = _fold(result.faults, faults, names)
    _weigh_free(free, said, cover, names, result)
    result.proof = cover.proof(sealed=outcome is not None)
    result.bytes_proved, result.bytes_total = cover.proved, cover.total
    result.without.extend(cover.without())
    result.lost = tuple(
        dict.fromkeys(
            name for f in result.faults for name in (*((f.tensor,) if f.tensor else ()), *f.tensors)
        )
    )
    return result


def _own_checks(
    catalog: Catalog | None, names: Names, outcome: SealOutcome | None, result: Verification
) -> list[Check]:
    """The format's own checksums, less those over bytes that the seal has just proved."""
    found: list[Check] = []
    if catalog is None:
        return found
    try:
        for check in catalog.checks():
            if outcome is not None:
                start, length = check.span() if check.span is not None else (check.offset, check.nbytes)
                agreed = outcome.agreed.get(names.name_of(check.file), [])
                if _inside(agreed, start, start + length):
                    continue
            found.append(check)
    except HoldfastError as error:
        result.faults.append(fault_of(error))
    return found


def _inside(ranges: list[tuple[int, int]], start: int, end: int) -> bool:
    from .regions import merge, overlap

    return overlap(merge(ranges) if len(ranges) < 64 else ranges, start, end) == end - start


def _free_checks(
    names: Names, target: Target, seal: Seal | None, outcome: SealOutcome | None
) -> list[FreeEvidence]:
    """Hashes found about the files, less those that the seal makes superfluous."""
    known = (
        {(row.kind, row.file) for row in seal.record.evidence} if outcome and seal and seal.record else set()
    )
    changed = set()
    if outcome is not None:
        for name in outcome.checked:
            ranges, agreed = outcome.checked[name], outcome.agreed.get(name, [])
            if sum(e - s for s, e in ranges) != sum(e - s for s, e in agreed):
                changed.add(name)
    found = []
    for name in names.of_store:
        if name in changed:  # a hash of the whole file could only repeat it
            continue
        found += [item for item in free_evidence(target.store, name) if (item.kind, name) not in known]
    return found


def _count_evidence(checks: list[Check], result: Verification) -> None:
    sums: dict[tuple[str, str], int] = {}
    for check in checks:
        sums[check.kind, check.file] = sums.get((check.kind, check.file), 0) + check.nbytes
    result.evidence.extend(
        {"kind": kind, "file": file, "bytes": total} for (kind, file), total in sums.items()
    )


def _fold(sealed: list[Fault], own: list[Fault], names: Names) -> list[Fault]:
    """One fault for one change: where a seal's leaf tells it already, the own checksum becomes part of its
    evidence."""
    found = list(sealed)
    by_tensor: dict[tuple[str, str], int] = {}
    by_file: dict[str, list[int]] = {}
    for n, leaf in enumerate(sealed):
        if leaf.attributes.get("kind") == "blake3" and leaf.file is not None:
            file = names.name_of(leaf.file)
            by_file.setdefault(file, []).append(n)
            for tensor in leaf.tensors:
                by_tensor.setdefault((file, tensor), n)
    for fault in own:
        file = "" if fault.file is None else names.name_of(fault.file)
        if fault.tensor is not None:
            twin = by_tensor.get((file, fault.tensor))
        else:
            twin = next((n for n in by_file.get(file, ()) if _meets(fault, found[n])), None)
        if twin is None:
            found.append(fault)
        else:
            kind = fault.attributes.get("kind", "checksum")
            attributes = {**found[twin].attributes, "own_checksum": f"{kind} disagrees too"}
            found[twin] = replace(found[twin], attributes=attributes)
    return found


def _meets(fault: Fault, leaf: Fault) -> bool:
    if fault.tensor is not None or fault.offset is None or leaf.offset is None:
        return True
    end = leaf.offset + leaf.attributes.get("length", 0)
    return fault.offset < end and fault.offset + (fault.attributes.get("length") or 1) > leaf.offset


def _weigh_free(
    free: list[FreeEvidence],
    said: dict[int, Fault | None],
    cover: Coverage,
    names: Names,
    result: Verification,
) -> None:
    """Count what free hashes prove; one that disagrees is a fault unless stronger evidence tells
    otherwise."""
    damaged = {names.name_of(f.file) for f in result.faults if f.file is not None}
    for item in free:
        fault = said[id(item.check)]
        row = {"kind": item.kind, "file": item.check.file, "bytes": item.nbytes, "where": item.where}
        if fault is None:
            cover.add(item.file, [(0, item.nbytes)], [(0, item.nbytes)])
            result.evidence.append(row)
        elif not item.certain and (item.expected.isdigit() or cover.covered(item.file)):
            # A date or a step, or hex digits by chance: every checksum of the file agrees.
            result.without.append(f"{item.check.file}: the number in its name is no hash of its content")
        elif item.file in damaged and fault.attributes.get("kind") != "size":
            row["disagrees"] = True  # the place is known already
            result.evidence.append(row)
        else:
            result.evidence.append({**row, "disagrees": True})
            result.faults.append(fault)
