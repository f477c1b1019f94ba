"""N1: how large the numbers are: diverged, damaged, or too large for the type that they are going to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .._core.dtypes import is_float
from .._core.finding import Finding
from .._core.spec import TensorSpec
from .meant import extremes_are_meant
from .registry import Rule, Subject, rule
from .words import count, few

__all__ = ["where_of"]


def where_of(spec: TensorSpec) -> dict[str, Any]:
    """File and offset of a tensor's first byte, as a finding takes them; empty where it is not told."""
    if not spec.stored:
        return {}
    first = spec.stored[0]
    return {"file": first.file, "offset": first.offset}


@rule("N105", "exploded", severity="warning", cause="numerics", depth="full")
def exploded(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Magnitudes near the end of what the type can hold.

    Weights above 1e30 in float32 (or within a factor of two of the largest value of a narrower type) will
    overflow in the next product. Either training diverged, or single values were damaged (see N107).

    Evidence: the largest magnitude and the type's limit.

    What to do: go back to the checkpoint before.

    Example: ``weight.mul_(1e35)``.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    found = []
    for name, stats in subject.stats.items():
        spec = catalog[name]
        if (
            spec.role not in ("weight", "buffer", "slot", "average")
            or stats.maximum is None
            or stats.minimum is None
        ):
            continue
        if not is_float(spec.dtype) or extremes_are_meant(name):
            continue
        largest = max(abs(stats.maximum), abs(stats.minimum))
        bound = {
            "float64": 1e100,
            "float32": 1e30,
            "bfloat16": 1e30,
            "float16": 60000.0,
            "complex64": 1e30,
        }.get(spec.dtype)
        if bound is None or largest <= bound or _sentinel(largest) or _lone(stats.huge, stats.size):
            continue
        found.append((name, largest))
    if found:
        yield rule.finding(
            f"magnitudes up to {found[0][1]:.3g} in {count(len(found), 'tensor')}: "
            f"{few([n for n, _ in found])}",
            tensor=found[0][0],
            tensors=tuple(n for n, _ in found),
            seen=dict(found[:20]),
            remedy="Use the last checkpoint with ordinary magnitudes; look at learning rate and loss "
            "scale there.",
            **where_of(catalog[found[0][0]]),
        )


def _sentinel(value: float) -> bool:
    """Whether a magnitude is one that programs write on purpose: the type's largest value, or a round power
    of ten."""
    if value in (65504.0, 3.3895313892515355e38) or math.isclose(value, 3.4028234663852886e38, rel_tol=1e-6):
        return True
    if math.isclose(value, 1.7976931348623157e308, rel_tol=1e-9):
        return True
    return value > 0 and math.isclose(value, 10 ** round(math.log10(value)), rel_tol=1e-6)


def _lone(huge: int, size: int) -> bool:
    """Whether the huge values are so few that damage is likelier than divergence."""
    return huge > 0 and huge < 0.5 * size


@rule("N106", "overflows-float16", severity="note", cause="dtype-mismatch", depth="full")
def overflows_float16(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values that would become infinite in float16.

    The checkpoint says that its model computes in float16 (a mixed_float16 policy, weights stored partly in
    float16), and wider tensors hold magnitudes above 65504. Cast down, they are infinite, and most loaders
    cast without a word.

    Evidence: the tensors and their largest magnitudes.

    What to do: keep them in float32, or use bfloat16.

    Example: a float32 weight of 70000 in a model loaded with ``.half()``.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    half = sum(1 for s in catalog.values() if s.role == "weight" and s.dtype == "float16")
    policy = str(catalog.attributes.get("dtype_policy", ""))
    if not half and "float16" not in policy.replace("bfloat16", ""):
        return
    wide = []
    for name, stats in subject.stats.items():
        spec = catalog[name]
        if (
            spec.role in ("weight", "buffer")
            and spec.dtype in ("float32", "float64", "bfloat16")
            and stats.maximum is not None
        ):
            largest = max(abs(stats.maximum), abs(stats.minimum or 0.0))
            if largest > 65504 and largest < 1e10:
                wide.append((name, largest))
    if wide:
        yield rule.finding(
            f"{count(len(wide), 'tensor')} with magnitudes above float16's largest value: "
            f"{few([n for n, _ in wide])}",
            tensor=wide[0][0],
            tensors=tuple(n for n, _ in wide),
            seen=dict(wide[:20]),
            expected="at most 65504",
            remedy="Keep these tensors in float32, or use bfloat16 for the model.",
        )


@rule("N107", "absurd-values", severity="error", cause="corrupt", depth="full")
def absurd_values(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A few values are many orders of magnitude above all others.

    A flipped high exponent bit turns 0.01 into 1e36; bytes read at a wrong offset do so all over a tensor.
    When some values exceed 1e10 while the ordinary ones lie a factor of 1e10 below, damage is likelier than
    training.

    This is likely, not proved: only a seal or a checksum proves it.

    Evidence: how many, the largest, and the median of the others.

    What to do: compare with another copy; else use the previous checkpoint.

    Example: flip bit 30 of one float32 weight.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    found = []
    for name, stats in subject.stats.items():
        spec = catalog[name]
        if (
            not stats.huge
            or stats.typical is None
            or spec.role not in ("weight", "buffer", "slot", "average")
        ):
            continue
        if not is_float(spec.dtype) or extremes_are_meant(name) or not _lone(stats.huge, stats.size):
            continue
        largest = max(abs(stats.maximum or 0.0), abs(stats.minimum or 0.0))
        if largest < 1e10 * stats.typical or _sentinel(largest) or stats.size < 8:
            continue
        found.append((name, largest, stats))
    for name, largest, stats in found[:20]:
        yield rule.finding(
            f"{count(stats.huge, 'value')} up to {largest:.3g} in {name}, where the others are about "
            f"{stats.typical:.2g}: "
            "likely damaged bits",
            tensor=name,
            tensors=(name,),
            seen={"above 1e10": stats.huge, "largest": largest, "elements": stats.size},
            expected=f"magnitudes around {stats.typical:.3g}",
            confidence="likely",
            remedy="Compare with another copy of the file (`holdfast diff`), or use the previous checkpoint.",
            **where_of(catalog[name]),
        )
