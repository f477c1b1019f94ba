"""One finding per root cause: consequences go under what caused them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from .._core.fault import JUNK
from .._core.finding import Finding, Place, severity_rank
from .._core.words import plural

__all__ = ["fold"]

# What may follow from a root of that slug when it concerns the same file or the same tensors.
_NUMERICS = frozenset(
    {"nan", "infinite", "zeroed-pages", "dead-tensor", "exploded", "absurd-values", "negative-variance"}
    | {"overflows-float16", "stored-twice", "impossible-setting"}
)
_BYTES = frozenset(
    ["truncated", "checksum", "malformed", "limit", "trailing-bytes", "overlap", "hole", "unreadable"]
)
_FOLLOWS: tuple[tuple[str, frozenset[str]], ...] = (
    *(
        (
            slug,
            _BYTES
            | _NUMERICS
            | {"not-recognised", "wrong-extension", "part-missing", "index-disagrees", "tensor-missing"}
            | {"shards-mixed"},
        )
        for slug in JUNK
    ),
    (
        "part-missing",
        _BYTES | {"slice-coverage", "index-disagrees", "not-stored", "not-recognised", "tensor-missing"},
    ),
    (
        "truncated",
        _BYTES
        | _NUMERICS
        | {"index-disagrees", "slice-coverage", "not-recognised", "hole", "tensor-missing"},
    ),
    ("shards-mixed", _BYTES | _NUMERICS | {"index-disagrees", "slice-coverage"}),
    ("not-stored", _NUMERICS | {"hole"}),
    (
        "tensor-missing",
        frozenset({"statistics-missing", "slots-missing", "slot-without-weight", "index-disagrees"}),
    ),
    ("limit", frozenset({"malformed", "checksum", "not-recognised"})),
    ("overlap", frozenset({"checksum", "malformed"})),
    (
        "malformed",
        frozenset({"checksum", "not-recognised", "unreadable", "tensor-missing"})
        | {"zeroed-pages", "dead-tensor", "absurd-values"},
    ),
    ("checksum", _NUMERICS | {"malformed", "unreadable"}),
    ("zeroed-pages", frozenset({"dead-tensor"})),
    ("absurd-values", frozenset({"exploded", "negative-variance", "infinite", "nan"})),
    ("nan", frozenset({"negative-variance"})),
    ("not-recognised", frozenset({"wrong-extension"})),
    ("pickle-global", frozenset({"numpy-module", "pickle-protocol"})),
)
SHOWN = 50  # folded findings kept with their root; the rest are counted


def fold(findings: Sequence[Finding]) -> list[Finding]:
    """Findings with consequences put under their root as ``related``, gravest first.

    Findings of one slug about one file become one (many tensors of a shard that fail their checksums, many
    members of a zip). A consequence keeps its evidence; a root takes over the tensors of what it folds.
    """
    merged = _merge(list(findings))
    merged = _under(merged, [f for f in merged if _is_seal(f)], _BYTES | {"not-recognised"}, _same_file)
    for slug, follows in _FOLLOWS:
        merged = _under(merged, [f for f in merged if f.slug == slug], follows, _concerns)
    return sorted(merged, key=lambda f: (severity_rank(f.severity), f.code))


def _under(
    merged: list[Finding],
    roots: list[Finding],
    follows: frozenset[str],
    concerns: Callable[[Finding, Finding], bool],
) -> list[Finding]:
    """The findings with what follows from each root put under it."""
    # Looked for once: thousands of roots that nothing follows from must not cost their square.
    open_ones = [f for f in merged if f.slug in follows] if roots else []
    folded: set[int] = set()
    for root in roots:
        if id(root) in folded:
            continue  # it stands under another root of its kind already, and can take nothing away from it
        below = [f for f in open_ones if f is not root and concerns(root, f)]
        if not below:
            continue
        gone = {id(f) for f in below}
        folded |= gone
        grown = replace(
            root,
            related=(*root.related, *below)[:SHOWN],
            severity=min((root.severity, *(f.severity for f in below)), key=severity_rank)
            if root.slug != "pickle-global"
            else root.severity,
        )
        merged = [grown if f is root else f for f in merged if id(f) not in gone]
        open_ones = [grown if f is root else f for f in open_ones if id(f) not in gone]
    return merged


def _is_seal(finding: Finding) -> bool:
    """A file that is as long as when it was sealed and holds other bytes: whatever its structure shows comes of that."""
    return finding.slug == "checksum" and finding.evidence.get("kind") == "blake3"


def _same_file(root: Finding, other: Finding) -> bool:
    """Whether ``other`` is about the root's file or a member of it (``w.npz:bytes.npy``)."""
    here, there = root.where.file, other.where.file
    return here is not None and there is not None and (here == there or there.startswith(f"{here}:"))


def _merge(findings: list[Finding]) -> list[Finding]:
    groups: dict[tuple[str, str, str | None], list[Finding]] = defaultdict(list)
    order: list[tuple[str, str, str | None]] = []
    for found in findings:
        key = (found.slug, found.severity, found.where.file)
        mergeable = found.slug in _BYTES or found.slug in (
            "zeroed-pages",
            "absurd-values",
            "negative-variance",
            "tensor-missing",
        )
        if not mergeable or found.where.file is None:
            key = (found.slug, found.severity, f"\0{len(order)}")
        if key not in groups:
            order.append(key)
        groups[key].append(found)
    return _without_twice_missing([_one(groups[key]) for key in order])


def _without_twice_missing(findings: list[Finding]) -> list[Finding]:
    """A file that is not there is missing once, though its seal misses it too: what the seal knows of it is evidence."""
    missing = [f for f in findings if f.slug == "part-missing"]
    sealed = {f.where.file: f for f in missing if f.evidence.get("kind") == "seal"}
    if not sealed:
        return findings
    others = {f.where.file for f in missing if f.evidence.get("kind") != "seal"}
    return [
        replace(f, evidence={**sealed[f.where.file].evidence, **f.evidence})
        if f.slug == "part-missing" and f.where.file in sealed and f.evidence.get("kind") != "seal"
        else f
        for f in findings
        if f.where.file not in others or f.slug != "part-missing" or f.evidence.get("kind") != "seal"
    ]


def _one(findings: list[Finding]) -> Finding:
    first = findings[0]
    if len(findings) == 1:
        return first
    distinct = list({(f.message, f.where): f for f in findings}.values())
    tensors = tuple(dict.fromkeys(t for f in findings for t in _tensors(f)))
    if len(distinct) == 1:
        return replace(first, tensors=tensors)
    if tensors and set(tensors) <= set(_tensors(first)):  # the first one's words hold for all
        return replace(
            first,
            evidence={**first.evidence, "places": len(distinct)},
            related=tuple(distinct[1 : SHOWN + 1]),
        )
    words = f"{len(distinct)} places"
    if tensors:
        words = plural(len(tensors), "tensor")
    offsets = [f.where.offset for f in distinct if f.where.offset is not None]
    return replace(
        first,
        message=f"{first.message} (and {len(distinct) - 1} more like it; {words} in all)",
        where=Place(first.where.file, min(offsets) if offsets else None, first.where.tensor),
        tensors=tensors,
        evidence={**first.evidence, "places": len(distinct)},
        related=tuple(distinct[1 : SHOWN + 1]),
    )


def _tensors(finding: Finding) -> tuple[str, ...]:
    return finding.tensors or ((finding.where.tensor,) if finding.where.tensor else ())


def _concerns(root: Finding, other: Finding) -> bool:
    """Whether ``other`` is about the same file, behind the root's place, or about tensors that the root
    takes along."""
    if root.slug == "tensor-missing" or other.slug == "tensor-missing":
        return True  # the others miss what it names; or it is missing because of them
    if root.slug in ("truncated", "part-missing") and other.slug == "index-disagrees":
        return True  # what the parts hold is counted against the index
    if root.slug == "malformed" and other.slug in ("zeroed-pages", "dead-tensor", "absurd-values"):
        return root.where.file == other.where.file
    mine, theirs = set(_tensors(root)), set(_tensors(other))
    same = root.where.file is not None and root.where.file == other.where.file
    if same and root.slug in ("truncated", *JUNK) and other.slug in _SHIFTED:
        return True
    if mine and theirs:
        return bool(mine & theirs) if root.slug != "part-missing" else theirs <= mine or bool(mine & theirs)
    if root.where.file is None or other.where.file is None:
        return root.where.file is None and other.where.file is None
    same = root.where.file == other.where.file
    if not same and root.slug in JUNK:
        return False
    if theirs and not mine and other.slug in _NUMERICS:
        return _behind(root, other) and same
    return same and _behind(root, other)


_SHIFTED: frozenset[str] = frozenset(
    {"checksum", "malformed", "trailing-bytes", "hole", "part-missing", "shards-mixed"}
    | {"absurd-values", "exploded", "negative-variance", "zeroed-pages", "dead-tensor", "nan", "infinite"}
    | {"impossible-setting"}
)
"""What a file that is too short may show in other tensors than those it lost: lost bytes shift what follows."""

_PLACED: frozenset[str] = frozenset({"truncated", "checksum", "malformed"})


def _behind(root: Finding, other: Finding) -> bool:
    if root.slug not in _PLACED or root.where.offset is None or other.where.offset is None:
        return True
    return root.slug != "checksum" or other.where.offset >= root.where.offset
