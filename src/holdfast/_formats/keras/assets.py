"""Vocabularies that a ``.keras`` file keeps beside the weights, and the layers whose they are.

Layout (``keras/src/saving/saving_lib.py``, ``_save_state`` and ``DiskIOStore``): ``assets/<path>/vocabulary.txt``, where the
path is that of the object's group in ``model.weights.h5``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..._core.errors import HoldfastError
from ..._core.modules import ModuleSpec
from ..._facts.keras_layers import class_of_group
from ..._facts.keras_vocabulary import ASSET, lines, vocabulary_digest
from ..._storage import Source
from .holders import Holder, bind, is_node

__all__ = ["Vocabularies", "asset_of", "vocabularies"]

_FOLDER = "assets/"
_WITHIN = "_lookup_layer"
_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """``texts``: path of a layer, as the configuration gives it (see :func:`holdfast._facts.keras_modules.keras_modules`) -> the
    text of its vocabulary file. ``lookups``: path under which Keras saved -> a layer that the configuration does not list."""

    texts: Mapping[str, str] = field(default_factory=dict)
    lookups: Mapping[str, ModuleSpec] = field(default_factory=dict)


def vocabularies(
    members: Iterable[str],
    open_member: Callable[[str], Source],
    groups: Iterable[str],
    node: Any,
    most: int = _LARGEST,
) -> Vocabularies:
    """The vocabularies of a file.

    ``members``: names of the archive's files; ``groups``: those of the weights file; ``node``: the model's configuration;
    ``most``: how many bytes a file may have. What cannot be read is left out.
    """
    ending = f"/{ASSET}"
    found = {
        m[len(_FOLDER) : -len(ending)]: m for m in members if m.startswith(_FOLDER) and m.endswith(ending)
    }
    texts: dict[str, str] = {}
    lookups: dict[str, ModuleSpec] = {}
    names = _layers([*found], groups, node) if found and is_node(node) else {}
    for path, member in found.items():
        holder, _, own = path.rpartition("/")
        if own == _WITHIN and holder in found:
            continue  # the lookup within a TextVectorization, which saves the same
        text = _text(open_member, member, min(most, _LARGEST))
        if text is None:
            continue
        if path in names:
            texts[names[path]] = text
        elif terms := lines(text):
            config = {"vocabulary": vocabulary_digest(terms)}
            kind = class_of_group(own) or ""
            lookups[path] = ModuleSpec(path, kind, "", config, None, len(lookups), partial(lines, text))
    return Vocabularies(texts, lookups)


def asset_of(path: str) -> str:
    """Where the vocabulary of the object lies that is saved under ``path``."""
    return f"{_FOLDER}{path}/{ASSET}"


def _layers(paths: list[str], groups: Iterable[str], node: Mapping[str, Any]) -> dict[str, str]:
    """Paths under which Keras saves -> names of the layers, from the outermost to the one that is saved there."""
    holders: dict[str, Holder] = {"": Holder("")}
    children: dict[str, list[str]] = {}
    for path in (*paths, *(g.removesuffix("/vars") for g in groups if g != "vars")):
        while path and path not in holders:
            holders[path] = Holder(path)
            parent, _, key = path.rpartition("/")
            children.setdefault(parent, []).append(key)
            path = parent
    bind(holders, children, "", node)
    found: dict[str, str] = {}
    for path in paths:
        if not holders[path].bound:
            continue
        segments = path.split("/")
        around = [holders["/".join(segments[: n + 1])] for n in range(len(segments))]
        names = [holder.name for holder in around if holder.bound]
        if all(names):
            found[path] = "/".join(name for name in names if name)
    return found


def _text(open_member: Callable[[str], Source], member: str, most: int) -> str | None:
    try:
        source = open_member(member)
        try:
            return None if source.size > most else source.read(0, source.size).decode("utf-8")
        finally:
            source.close()
    except (HoldfastError, OSError, UnicodeDecodeError):
        return None  # damage is told by the archive's checksums; no vocabulary is known then
