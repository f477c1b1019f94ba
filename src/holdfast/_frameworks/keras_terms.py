"""The vocabulary of a live Keras layer that looks terms up: it lies in a table, and is neither variable nor setting."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

from .._facts.keras_vocabulary import vocabulary_digest

__all__ = ["digest_of", "looks_up", "terms_of"]

_KNOWN: WeakKeyDictionary[Any, Mapping[str, Any]] = WeakKeyDictionary()
"""Digests by table: another vocabulary is another table (``set_vocabulary`` makes one), and each save asks again."""


def looks_up(layer: Any) -> bool:
    """Whether a layer keeps a vocabulary as those of Keras do: ``StringLookup``, ``IntegerLookup``, ``TextVectorization``."""
    lookup = getattr(layer, "_lookup_layer", layer)
    return _table(layer) is not None and callable(getattr(lookup, "_token_start_index", None))


def digest_of(layer: Any) -> Mapping[str, Any] | None:
    """What :func:`holdfast._facts.keras_vocabulary.vocabulary_digest` gives for its vocabulary; ``None`` where it has none, as
    before ``adapt``."""
    table = _table(layer)
    known = _KNOWN.get(table)
    if known is None:
        terms = terms_of(layer)
        if not terms:
            return None
        known = MappingProxyType(vocabulary_digest(terms))
        _KNOWN[table] = known
    return dict(known)


def terms_of(layer: Any, *, special: bool = False) -> list[str]:
    """Its terms in their order; ``special``: with the tokens for masked and unknown ones before them. None before ``adapt``, and
    of a class of somebody's own that keeps them otherwise."""
    try:
        return [str(term) for term in layer.get_vocabulary(include_special_tokens=special)]
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return []


def _table(layer: Any) -> Any:
    return getattr(getattr(layer, "_lookup_layer", layer), "lookup_table", None)
