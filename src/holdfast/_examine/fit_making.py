"""Findings made of differences and of rules that speak when a checkpoint is held against live objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._core.difference import Difference
from .._core.difference_kinds import DIFFERENCES
from .._core.finding import Finding, Place
from .._rules.registry import rule_named
from .fitted import Fit
from .told import Told, shape_text

__all__ = ["finding_of", "framework_does", "of_kind", "ruled"]


def finding_of(same: Sequence[Difference], told: Told, found: Fit) -> Finding:
    """The finding of differences that are told as one, with what the framework would do."""
    one = same[0]
    kind = DIFFERENCES[one.code]
    evidence: dict[str, Any] = {
        k: v for k, v in one.evidence.items() if k not in ("related", "head", "otherwise", "parts_in")
    }
    if "a" in evidence and "b" in evidence:
        seen, expected = (
            shape_text(v) if isinstance(v, list) else v for v in (evidence.pop("a"), evidence.pop("b"))
        )
        evidence = {"seen": seen, "expected": expected, **evidence}
    if isinstance(evidence.get("shape"), list):
        evidence["shape"] = shape_text(evidence["shape"])
    if told.severity == "error":
        loader = framework_does(found, one)
        if loader is not None:
            evidence["framework"] = loader
    remedy = told.remedy
    if remedy is None and told.edit is not None and told.severity == "error":
        lossy = "" if told.lossless else " if that is meant"
        remedy = f"Allow `{told.edit}`{lossy}."
    return Finding(
        code=one.code,
        slug=kind.slug,
        severity=told.severity,  # type: ignore[arg-type]
        message=told.message,
        where=Place(tensor=one.name),
        evidence=evidence,
        cause=kind.cause,
        remedy=remedy,
        edit=told.edit,
        lossless=told.lossless,
        tensors=tuple(d.name for d in same),
    )


def framework_does(found: Fit, difference: Difference) -> str | None:
    """What the framework's own loader would do with it, in a sentence."""
    from .._facts.loaders import what_the_framework_does

    return what_the_framework_does(
        found.live.framework,
        found.stored.format,
        difference.code,
        tensor=difference.name,
        details={
            **difference.evidence,
            "a_name": difference.a,
            "b_name": difference.b,
            "stepped": any(spec.role == "slot" for spec in found.stored.values()),
        },
    )


def ruled(slug: str, message: str, **given: Any) -> Finding:
    """A finding of a registered rule that speaks from here."""
    rule = rule_named(slug)
    assert rule is not None
    return rule.finding(message, **given)


def of_kind(
    code: str,
    message: str,
    *,
    remedy: str | None = None,
    edit: str | None = None,
    tensors: tuple[str, ...] = (),
    cause: str | None = None,
) -> Finding:
    """An error of a kind of difference that is no difference of single tensors."""
    kind = DIFFERENCES[code]
    return Finding(
        code, kind.slug, "error", message, Place(tensor=tensors[0] if tensors else None), {},
        cause or kind.cause, remedy, edit=edit, tensors=tensors,
    )  # fmt: skip
