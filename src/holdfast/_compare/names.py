"""Names across dialects: segments, spellings of the last segment, and what wrappers add."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from .._facts.wrappers import ADAPTER_PARTS, DECORATIONS, SEGMENTS

__all__ = ["canonical", "last", "leaf", "segments", "spelled_alike", "spelling", "tail"]


_LEAF = {
    "kernel": "weight",
    "gamma": "weight",
    "scale": "weight",
    "embeddings": "weight",
    "embedding": "weight",
    "_embeddings": "weight",
    "_kernel": "weight",
    "W": "weight",
    "beta": "bias",
    "b": "bias",
    "moving_mean": "running_mean",
    "mean": "running_mean",
    "moving_variance": "running_var",
    "moving_var": "running_var",
    "var": "running_var",
    "running_std": "running_var",
}
"""Last segments that mean the same: Keras (``kernel``, ``gamma``, ``beta``, ``moving_*``, ``embeddings``;
Keras 1: ``W``, ``b``, ``running_std``), flax (``scale``, ``embedding``, ``mean``, ``var``), PyTorch
(``weight``, ``bias``, ``running_*``)."""


@lru_cache(maxsize=65536)
def segments(name: str) -> tuple[str, ...]:
    """The parts of a name between dots and slashes, without the endings that say nothing; never empty."""
    if name.endswith(DECORATIONS):
        for ending in DECORATIONS:
            if name.endswith(ending):
                name = name[: -len(ending)]
    parts = name.replace(".", "/").split("/")
    if "" in parts:
        parts = [part for part in parts if part]
    return tuple(parts) or (name,)


def last(name: str) -> str:
    """The last of the :func:`segments`, without cutting up the rest."""
    word = name.rpartition(".")[2].rpartition("/")[2]
    return segments(name)[-1] if not word or name.endswith(DECORATIONS) else word


@lru_cache(maxsize=65536)
def canonical(name: str) -> tuple[str, ...]:
    """The segments without those that wrappers add at any depth."""
    parts = segments(name)
    if _ADDED.isdisjoint(parts):
        return parts
    kept = tuple(part for part in _without_adapter(parts) if part not in SEGMENTS)
    return kept or parts


_ADDED = SEGMENTS | ADAPTER_PARTS | {"base_layer"}


def _without_adapter(parts: tuple[str, ...]) -> tuple[str, ...]:
    """As PEFT's files spell it: without the adapter's name and what wraps a layer of the base model."""
    if ADAPTER_PARTS.isdisjoint(parts) and "base_layer" not in parts:
        return parts
    kept = [
        part
        for before, part in zip(("", *parts), parts, strict=False)
        if not (before in ADAPTER_PARTS and part not in _LEAVES)
        and part not in ("modules_to_save", "base_layer")
    ]
    return tuple(kept)


_LEAVES = frozenset({"weight", "bias"})


@lru_cache(maxsize=65536)
def leaf(name: str) -> str:
    """The last segment in the common spelling (``kernel`` -> ``weight``)."""
    last = segments(name)[-1]
    return _LEAF.get(last, last)


def spelling(name: str) -> tuple[str, ...]:
    """The canonical segments, the last one in the common spelling."""
    parts = canonical(name)
    common = _LEAF.get(parts[-1])
    return parts if common is None else (*parts[:-1], common)


def spelled_alike(names: Iterable[str]) -> bool:
    """Whether all these names end in the common spelling already, so that :func:`spelling` tells nothing that
    :func:`canonical` does not."""
    last = {segments(name)[-1] for name in names}
    return last.isdisjoint(_LEAF) and last.isdisjoint(SEGMENTS)


def tail(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """How many segments at the end two names share."""
    less = min(len(a), len(b))
    if a[len(a) - less :] == b[len(b) - less :]:  # one name with something in front of the other, most often
        return less
    count = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        count += 1
    return count
