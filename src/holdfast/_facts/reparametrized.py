"""Weights that PyTorch keeps in parts, and what either generation of its functions calls the parts.

``torch.nn.utils.weight_norm``, ``spectral_norm`` and ``prune`` put the parts beside the layer's other tensors and hang an
ending on the weight's name; ``torch.nn.utils.parametrizations`` puts them below ``parametrizations.<weight>``. The parts are
the same tensors; the weight itself is computed from them (magnitude times direction, by the largest singular value, masked)
and equal to none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["KEEPERS", "Keeper", "Part", "parts_of"]


class Keeper(NamedTuple):
    """What keeps a weight in parts: the endings of the older names, and the newer names below ``parametrizations.<weight>``,
    part by part. ``undo`` takes it off a live layer, so that its weight is one tensor again."""

    name: str
    endings: tuple[str, ...]
    below: tuple[tuple[str, ...], ...]
    undo: str
    source: str


KEEPERS: tuple[Keeper, ...] = (
    Keeper(
        "weight norm",
        ("_g", "_v"),
        (("original0",), ("original1",)),
        "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight'), of the older function "
        "torch.nn.utils.remove_weight_norm(layer)",
        "torch/nn/utils/weight_norm.py; parametrizations.py, _weight_norm_compat_hook",
    ),
    Keeper(
        "spectral norm",
        ("_orig", "_u", "_v"),
        (("original",), ("0", "_u"), ("0", "_v")),
        "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight'), of the older function "
        "torch.nn.utils.remove_spectral_norm(layer)",
        "torch/nn/utils/spectral_norm.py; parametrizations.py, _SpectralNorm",
    ),
    Keeper(
        "pruning",
        ("_orig", "_mask"),
        (),
        "torch.nn.utils.prune.remove(layer, 'weight')",
        "torch/nn/utils/prune.py, BasePruningMethod.apply",
    ),
)

_BELOW = "parametrizations"


class Part(NamedTuple):
    """One part of a weight: the weight's own path, what keeps it in parts, and which part it is."""

    weight: tuple[str, ...]
    keeper: Keeper
    number: int


def parts_of(paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Part]:
    """Which of these paths are parts of a weight; only where all the parts of it are there."""
    there = set(paths)
    found: dict[tuple[str, ...], Part] = {}
    for path in there:
        for weight, keeper, whole in _read_as_first(path):
            if there.issuperset(whole):
                found |= {part: Part(weight, keeper, number) for number, part in enumerate(whole)}
    return found


def _read_as_first(
    path: tuple[str, ...],
) -> list[tuple[tuple[str, ...], Keeper, tuple[tuple[str, ...], ...]]]:
    """The weights whose first part this path may be, each with what keeps it and the paths of all its parts."""
    read = []
    last = path[-1]
    for keeper in KEEPERS:
        if last.endswith(keeper.endings[0]) and last != keeper.endings[0]:
            word = last[: -len(keeper.endings[0])]
            weight = (*path[:-1], word)
            read.append((weight, keeper, tuple((*path[:-1], word + ending) for ending in keeper.endings)))
        if keeper.below and (last,) == keeper.below[0] and len(path) > 2 and path[-3] == _BELOW:
            weight = (*path[:-3], path[-2])
            read.append((weight, keeper, tuple((*path[:-1], *part) for part in keeper.below)))
    return read
