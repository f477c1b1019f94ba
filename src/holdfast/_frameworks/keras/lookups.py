"""Layers that look terms up, at the places where Keras would save their vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..._core.modules import ModuleSpec
from ..._facts.keras_vocabulary import vocabulary_digest
from ..keras_terms import looks_up, terms_of
from ..module_specs import walk_layers
from .objects import Holder

__all__ = ["lookups"]


def lookups(models: Mapping[str, Any], known: Mapping[str, Sequence[Holder]]) -> dict[str, ModuleSpec]:
    """Path under which Keras saves -> the layer, with its terms as ``save_assets`` writes them, special tokens first. Of one
    model: of several nobody knows whose file it is."""
    found: dict[str, ModuleSpec] = {}
    if len(models) != 1:
        return found
    (name, model), *_ = models.items()
    paths = {id(layer): path for path, layer in walk_layers(model)}
    for holder in known[name]:
        layer = holder.layer
        if not looks_up(layer) or not terms_of(layer):
            continue
        read = partial(terms_of, layer, special=True)
        config = {"vocabulary": vocabulary_digest(read())}
        path = paths.get(id(layer), holder.path)
        found[holder.path] = ModuleSpec(path, type(layer).__name__, "keras", config, None, len(found), read)
    return found
