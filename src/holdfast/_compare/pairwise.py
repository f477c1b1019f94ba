"""What is different between the two tensors of one pair."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Any

from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.errors import HoldfastError
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import TensorSpec
from .._facts.wrappers import AVERAGING, DECORATIONS, Wrapper, wrapper_of
from .content import SAMPLE, Probe, a_size
from .delta import Match, plain_match
from .distance import distance
from .layouts import Axes, axes_between
from .names import canonical, segments, tail
from .pool import Pair

__all__ = ["look_at", "name_difference", "pair_differences"]

_OBJECTS = frozenset({"string", "object", "variant"})


def look_at(
    pair: Pair, a: Catalog, b: Catalog, probe: Probe | None, whole: bool
) -> tuple[Match, Axes | None]:
    """Compare the values of a pair as far as the depth goes; also tells which permutation of axes lies
    between."""
    one, other = pair.a, pair.b
    axes = axes_between(one, other, probe)
    if probe is None and axes is None:
        return plain_match(one.name, other.name, pair.by, pair.certain), None
    found: dict[str, Any] = {}
    permuted = axes.axes if axes is not None else None
    shape = one.shape if permuted is None else tuple(one.shape[axis] for axis in permuted)
    if probe is not None and shape == other.shape:
        if whole:
            try:
                gap = distance(a, one, b, other, permuted)
            except HoldfastError as error:
                probe.errors.setdefault(("a", one.name), error)
            else:
                found["values"] = "identical" if gap.identical else "cast" if gap.cast else "different"
                found["distance"] = gap
        else:
            same = probe.same(one, other, permuted)
            if same is not None:
                found["values"] = (
                    "different" if not same else "identical" if one.dtype == other.dtype else "cast"
                )
                found["sampled"] = a_size(one) > SAMPLE
    return Match(one.name, other.name, pair.by, pair.certain, permuted, **found), axes


def _bare(name: str) -> str:
    if name.endswith(DECORATIONS):
        for ending in DECORATIONS:
            if name.endswith(ending):
                return name[: -len(ending)]
    return name


@lru_cache(maxsize=4096)
def _wrapper_between(head: tuple[str, ...], other: tuple[str, ...]) -> Wrapper | None:
    """The wrapper that explains both of these heads, each of which may be empty."""
    if all(not words or wrapper_of(words) for words in (head, other)):
        return wrapper_of(head or other)
    return None


def name_difference(pair: Pair, swapped: bool) -> Difference | None:
    """The difference of names, where there is one that a loader would mind."""
    a, b = pair.a.name, pair.b.name
    if a == b or pair.by == "owner":
        return None
    if not swapped and (pair.by in ("alias", "automatic") or _bare(a) == _bare(b)):
        return None
    edit = Edit.renaming(a, b)
    evidence: dict[str, Any] = {"by": pair.by, "certain": pair.certain}
    if swapped:
        return Difference("T209", a, b, f"what A calls {a} holds the values of B's {b}", evidence, edit)
    left, right = segments(a), segments(b)
    shared = tail(left, right)
    heads = (left[: len(left) - shared], right[: len(right) - shared])
    wrapper = None
    if canonical(a) == canonical(b):
        here, there = set(left) - set(right), set(right) - set(left)
        extra = tuple(part for part in (left if here else right) if part in here | there)
        wrapper, side = wrapper_of(extra[:1]) if extra else None, "A" if here else "B"
    else:
        wrapper, side = _wrapper_between(*heads), "A" if heads[0] else "B"
    averaged = any(spec.role == "average" or spec.attributes.get("averaged") for spec in (pair.a, pair.b))
    if wrapper is not None and averaged and wrapper.segments == AVERAGING.segments:
        wrapper = AVERAGING
    if wrapper is not None:
        evidence["wrapper"] = wrapper.text
        evidence["origin"] = wrapper.origin
        return Difference(
            "T216", a, b, f"{a} is {b}, with `{wrapper.text}` of {wrapper.origin} in {side}", evidence, edit
        )
    likely, how = "" if pair.certain else "likely ", _HOW.get(pair.by, pair.by)
    return Difference("T205", a, b, f"{a} is {likely}{b} ({how})", evidence, edit)


_HOW = {
    "wrapper": "the same path, written otherwise",
    "spelling": "another spelling of the same path",
    "alias": "another name of the same stored tensor",
    "rule": "one rule of names carries it over with others",
    "module": "the only module of these tensors and shapes",
    "shape": "the only tensor of this shape and kind left on either side",
    "order": "the only one of this shape at this place in the order",
    "content": "the same values",
}


def _shape_edit(name: str, here: tuple[int, ...], there: tuple[int, ...]) -> Edit | None:
    """The edit that brings one shape to the other; ``None`` where nothing sensible does."""
    pattern = (escape(name),)
    if len(here) == len(there) and all(x >= y for x, y in zip(here, there, strict=True)):
        return Edit(
            "slice",
            pattern,
            value=tuple((None, None) if x == y else (0, y) for x, y in zip(here, there, strict=True)),
        )
    if len(here) == len(there) and all(x <= y for x, y in zip(here, there, strict=True)):
        return Edit("pad", pattern, value=there)
    if prod(here) == prod(there) or (len(here) == len(there) and all(here)):
        return Edit("resize", pattern, value=there)
    return None


def _text(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")" if shape else "scalar"


def pair_differences(
    pair: Pair, match: Match, axes: Axes | None, probe: Probe | None
) -> Iterator[Difference]:
    """Shape, axis order, dtype, values, role, trainable: whatever differs, each with its own code."""
    a, b = pair.a, pair.b
    name = b.name
    shapes = {"a": list(a.shape), "b": list(b.shape)}
    if axes is not None:
        message = f"{name} is A's transposed: {_text(a.shape)} in A, {_text(b.shape)} in B"
        if len(axes.axes) > 2:
            message += f", A's axes in the order {_text(axes.axes)}"
        if axes.by == "convention":
            message += "; likely, by the two sides' kernel layouts, since the shape cannot tell"
        evidence = {**shapes, "axes": list(axes.axes), "by": axes.by}
        yield Difference(
            "T206", a.name, name, message, evidence, Edit("transpose", (escape(name),), value=axes.axes)
        )
    elif a.shape != b.shape:
        if a_size(a) == a_size(b) == 1:
            pass  # a scalar, with or without an axis: formats differ in that alone
        else:
            yield Difference(
                "T203",
                a.name,
                name,
                f"{name} is {_text(a.shape)} in A and {_text(b.shape)} in B",
                shapes,
                None if "rng" in (a.role, b.role) else _shape_edit(name, a.shape, b.shape),
            )
    if a.dtype != b.dtype and not {a.dtype, b.dtype} <= _OBJECTS:
        yield _dtype_difference(a, b, match)
    if match.values == "different":
        yield _value_difference(a, b, match)
    elif match.values is None and probe is not None:
        for side, spec in (("a", a), ("b", b)):
            error = probe.errors.get((side, spec.name))
            if error is not None:
                message = f"{spec.name} cannot be read in {side.upper()}: {error.message}"
                yield Difference("T217", a.name, name, message, {"side": side, "error": str(error)})
    if (
        a.role != b.role
        and {a.role, b.role} <= {"weight", "buffer"}
        and pair.by in ("name", "automatic", "wrapper", "alias")
    ):
        # formats that record no roles call everything a weight; only a recorded role can differ
        if a.trainable is not None and b.trainable is not None:
            roles = {"a": a.role, "b": b.role}
            yield Difference("T212", a.name, name, f"{name} is a {a.role} in A and a {b.role} in B", roles)
    elif a.trainable is not None and b.trainable is not None and a.trainable != b.trainable:
        words = ("frozen", "trainable")
        yield Difference(
            "T213",
            a.name,
            name,
            f"{name} is {words[a.trainable]} in A and {words[b.trainable]} in B",
            {"a": a.trainable, "b": b.trainable},
        )


def _dtype_difference(a: TensorSpec, b: TensorSpec, match: Match) -> Difference:
    evidence: dict[str, Any] = {"a": a.dtype, "b": b.dtype}
    message = f"{b.name} is {a.dtype} in A and {b.dtype} in B"
    if match.values is not None:
        evidence["equal_after_cast"] = match.values == "cast"
        if match.values == "cast":
            message += ", equal once cast" + (" in the values sampled" if match.sampled else "")
    edit = None
    try:
        edit = Edit("cast", (escape(b.name),), (b.dtype,), was=a.dtype)
    except HoldfastError:
        evidence["castable"] = False  # a record or vendor type that no cast reaches
    return Difference("T204", a.name, b.name, message, evidence, edit)


def _value_difference(a: TensorSpec, b: TensorSpec, match: Match) -> Difference:
    evidence: dict[str, Any] = {"role": b.role}
    message = f"{b.name} holds other values"
    gap = match.distance
    if gap is not None:
        evidence |= gap.to_document()
        message += f": {gap.different} of {gap.elements} differ"
        if gap.max_abs is not None and gap.cosine is not None:
            message += f", by {gap.max_abs:.3g} at most, cosine {gap.cosine:.6f}"
        if gap.nan_a != gap.nan_b:
            message += f"; {gap.nan_a} NaN in A, {gap.nan_b} in B"
    else:
        evidence["sampled"] = match.sampled
    return Difference("T211", a.name, b.name, message, evidence)
