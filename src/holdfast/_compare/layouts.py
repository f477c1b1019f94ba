"""Which permutation of axes leads from one tensor to the other."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .._core.spec import TensorSpec
from .._facts.kernel_layouts import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    KERNEL_LEAVES,
    PERMUTATIONS,
    UNMOVED_LEAVES,
)
from .content import Probe
from .names import last, segments

__all__ = ["Axes", "axes_between", "fits", "layout_of", "permutations"]

_CHANNELS_LAST_DIALECTS = frozenset({"keras", "tensorflow", "jax", "flax"})


class Axes(NamedTuple):
    """A permutation of A's axes that gives B's, and what shows it: ``content``, ``shape`` or
    ``convention``."""

    axes: tuple[int, ...]
    by: str


def layout_of(spec: TensorSpec) -> str | None:
    """``io`` (channels last), ``oi`` (channels first) or ``None`` where neither the spec nor its name
    tells."""
    return _layout(spec.layout, spec.dialect, last(spec.name))


@lru_cache(maxsize=4096)
def _layout(layout: str | None, dialect: str, word: str) -> str | None:
    """The same by what it is told by; tens of thousands of tensors share a few such facts."""
    if layout:
        order = layout.lower()
        if order.endswith("io"):
            return CHANNELS_LAST
        if order.startswith("oi"):
            return CHANNELS_FIRST
    if word not in KERNEL_LEAVES:
        return None
    proved = KERNEL_LEAVES[word]
    if proved is not None:
        return proved
    if dialect in _CHANNELS_LAST_DIALECTS:
        return CHANNELS_LAST
    return CHANNELS_FIRST if dialect == "torch" and word == "weight" else None


def _permuted(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes)


def permutations(a: TensorSpec, b: TensorSpec) -> list[tuple[int, ...]]:
    """The framework permutations that lead from A's shape to B's, those that the layouts name first."""
    rank = len(a.shape)
    if rank < 2 or rank != len(b.shape):
        return []
    return list(_ways(a.shape, b.shape, layout_of(a), layout_of(b)))


@lru_cache(maxsize=4096)
def _ways(
    one: tuple[int, ...], other: tuple[int, ...], here: str | None, there: str | None
) -> tuple[tuple[int, ...], ...]:
    rank = len(one)
    both = ((CHANNELS_LAST, CHANNELS_FIRST), (CHANNELS_FIRST, CHANNELS_LAST))
    ways = sorted(both, key=lambda way: way != (here, there))
    found: list[tuple[int, ...]] = []
    for way in ways:
        for axes in PERMUTATIONS.get((*way, rank), ()):
            if axes not in found and _permuted(one, axes) == other:
                found.append(axes)
    return tuple(found)


def fits(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether shapes agree, as they stand or through a framework's permutation."""
    return a.shape == b.shape or (
        len(a.shape) > 1 and sorted(a.shape) == sorted(b.shape) and bool(permutations(a, b))
    )


def _one_convention(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether both have the same :func:`layout_of`."""
    if a.name != b.name or a.dialect != b.dialect:
        return layout_of(a) == layout_of(b)
    if a.layout == b.layout:
        return True
    word = last(a.name)
    return _layout(a.layout, a.dialect, word) == _layout(b.layout, b.dialect, word)


def axes_between(a: TensorSpec, b: TensorSpec, probe: Probe | None) -> Axes | None:
    """The permutation from A to B, or ``None`` where there is none (or none is shown).

    Content decides where it was read. Without it a permutation counts only where the two sides follow
    different conventions; a shape that merely has its sizes crossed within one convention is another shape.
    """
    one, other = a.shape, b.shape
    if len(one) < 2 or len(one) != len(other):
        return None
    if one != other and sorted(one) != sorted(other):
        return None
    if probe is None and _one_convention(a, b):
        return None  # only content could show a permutation within one convention
    possible = permutations(a, b)
    if not possible:
        return None
    if probe is not None:
        if a.shape == b.shape and probe.same(a, b):
            return None
        for axes in possible:
            if probe.same(a, b, axes):
                return Axes(axes, "content")
    if UNMOVED_LEAVES & {segments(a.name)[-1], segments(b.name)[-1]}:
        return None
    here, there = layout_of(a), layout_of(b)
    if here is None or there is None or here == there:
        return None
    depthwise = "depthwise" in a.name or "depthwise" in b.name
    named = [axes for axes in PERMUTATIONS.get((here, there, len(a.shape)), ()) if axes in possible]
    if not named:
        return None
    chosen = named[-1] if depthwise else named[0]
    return Axes(chosen, "convention" if a.shape == b.shape else "shape")
