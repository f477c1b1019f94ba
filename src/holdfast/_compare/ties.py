"""Tied tensors: one storage under several names, here, there, or on both sides."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.errors import AmbiguousTensor
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import TensorSpec
from .content import Probe, equal_values
from .pool import Pool

__all__ = ["cover_tied", "tie_differences"]

_TELLS = ("torch", "live", "memory", "keras", "savedmodel", "tf-bundle")
"""Formats that keep one variable once and know its names; a variable stored twice there is two variables."""


def _tells_ties(catalog: Catalog) -> bool:
    """Whether the format can say that two names are one tensor (safetensors, npz and the like cannot)."""
    return catalog.format.startswith(_TELLS) or any(spec.shares is not None for spec in catalog.values())


def _groups(catalog: Catalog) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for spec in catalog.values():
        if spec.shares is not None:
            groups.setdefault(spec.shares, []).append(spec.name)
    return {share: names for share, names in groups.items() if len(names) > 1}


def cover_tied(pool: Pool, a: Catalog, b: Catalog) -> None:
    """Take out free tensors that are stored on the other side under the name of one that they are tied to.

    A format that cannot say that names are tied keeps one of them (safetensors' ``save_model`` drops the
    others); the rest is there all the same.
    """
    if not pool.a and not pool.b:
        return
    here = {pair.a.name: pair for pair in pool.pairs}
    there = {pair.b.name: pair for pair in pool.pairs}
    for free, known, own, other in ((pool.a, here, a, b), (pool.b, there, b, a)):
        if not free or _tells_ties(other):
            for spec in list(free.values()):
                if _alias_of(spec, other):
                    del free[spec.name]
                    pool.covered.append(spec.name)
            continue
        for names in _groups(own).values():
            if any(name in known for name in names):
                for name in names:
                    if name in free:
                        del free[name]
                        pool.covered.append(name)


def _alias_of(spec: TensorSpec, other: Catalog) -> bool:
    """Whether the other side lists this name as one more name of a tensor it holds."""
    if spec.name not in other:
        return False
    try:
        held = other[spec.name]
    except AmbiguousTensor:
        return False  # several tensors bear that name; then it proves nothing
    return held.name != spec.name and held.shape == spec.shape


def tie_differences(pool: Pool, a: Catalog, b: Catalog, probe: Probe | None) -> Iterator[Difference]:
    """What is tied on one side only. Free tensors that a tie explains are taken from the pool."""
    share_a = {spec.name: spec.shares for spec in a.values() if spec.shares is not None}
    share_b = {spec.name: spec.shares for spec in b.values() if spec.shares is not None}
    if not share_a and not share_b:
        return
    to_b = {pair.a.name: pair.b.name for pair in pool.pairs}
    to_a = {pair.b.name: pair.a.name for pair in pool.pairs}

    for names in _groups(b).values():
        present = [name for name in names if name in to_a]
        if not present:
            continue
        keeper = to_a[present[0]]
        for name in names:
            if name in pool.b:
                del pool.b[name]
                yield Difference(
                    "T207",
                    None,
                    name,
                    f"{name} is tied to {present[0]} in B; A holds only {keeper}",
                    {"tied_to": present[0], "stored_in_a": False},
                    Edit("tie", (escape(name),), (escape(present[0]),)),
                )
            elif name != present[0] and name in to_a:
                other = to_a[name]
                if share_a.get(other) is not None and share_a.get(other) == share_a.get(keeper):
                    continue
                equal = None if probe is None else _equal(probe, "a", other, keeper)
                if equal is None and not _tells_ties(a) and b.format != "live":
                    continue  # one written value would win over the other in a live model: values must be looked at
                if equal and not _tells_ties(a):
                    continue
                yield Difference(
                    "T207",
                    other,
                    name,
                    f"{name} and {present[0]} are one tensor in B and two in A"
                    + ("" if equal is None else ", of equal values" if equal else ", of different values"),
                    {"tied_to": present[0], "equal_in_a": equal},
                    Edit("tie", (escape(name),), (escape(present[0]),)),
                )
    for names in _groups(a).values():
        present = [name for name in names if name in to_b]
        for name in present[1:]:
            one, other = to_b[present[0]], to_b[name]
            if share_b.get(one) is not None and share_b.get(one) == share_b.get(other):
                continue
            equal = None if probe is None else _equal(probe, "b", one, other)
            if not _tells_ties(b) and equal is not False:
                continue
            yield Difference(
                "T208",
                name,
                other,
                f"{name} and {present[0]} are one tensor in A and two in B"
                + ("" if equal is None else ", of equal values" if equal else ", of different values"),
                {"tied_to": present[0], "equal_in_b": equal},
                Edit("untie", (escape(other),)),
            )


def _equal(probe: Probe, side: str, one: str, other: str) -> bool | None:
    """Whether two tensors of one side hold the same values."""
    left = probe.array(side, one)
    right = probe.array(side, other)
    if left is None or right is None:
        return None
    return equal_values(left, right)
