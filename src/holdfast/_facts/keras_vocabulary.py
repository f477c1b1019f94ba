"""The vocabulary of a Keras layer that looks terms up: out of its configuration, out of the file that ``save_assets`` writes,
and its digest, which is equal wherever the terms and their order are.

Sources: ``keras/src/layers/preprocessing/index_lookup.py`` (``get_config`` lists the terms that the constructor was given and
no others; ``set_vocabulary`` lets special tokens stand before them or not; ``save_assets`` writes one term a line, special
tokens first, of every other layer; ``load_assets`` leaves out empty lines at the end), ``text_vectorization.py`` (the lookup
within it has one place for unknown words, ``[UNK]``, and the empty text as its mask).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ASSET", "TABLES", "lines", "listed_terms", "terms_of_asset", "vocabulary_digest"]

ASSET = "vocabulary.txt"
"""What ``save_assets`` calls the file."""
TABLES = frozenset({"vocabulary", "idf_weights", "bin_boundaries"})
"""Options that are lists of any length, made from data: which row of an embedding a term means, its weight, where the bins of
``Discretization`` begin."""
_UNKNOWN = "[UNK]"


def listed_terms(config: Mapping[str, Any]) -> list[str]:
    """The terms that a layer's configuration lists, without special tokens."""
    given = config.get("vocabulary")
    if not isinstance(given, (list, tuple)):
        return []
    return _plain([_text(term) for term in given], config)


def terms_of_asset(text: str, config: Mapping[str, Any]) -> list[str]:
    """The terms of a vocabulary file, without special tokens. ``config``: the configuration of its layer."""
    return _plain(lines(text), config)


def vocabulary_digest(terms: Sequence[str]) -> dict[str, Any]:
    """``entries`` (their number), ``digest`` (of the terms in their order) and ``sorted`` (in whatever order)."""
    kept = lines("\n".join(terms))
    return {"entries": len(kept), "digest": _digest(kept), "sorted": _digest(sorted(kept))}


def _digest(terms: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(terms).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def lines(text: str) -> list[str]:
    """The terms in a vocabulary file, as ``load_assets`` reads them."""
    found = text.splitlines()
    while found and not found[-1]:
        found.pop()
    return found


def _plain(terms: list[str], config: Mapping[str, Any]) -> list[str]:
    special = _special(config)
    return terms[len(special) :] if terms[: len(special)] == special else terms


def _special(config: Mapping[str, Any]) -> list[str]:
    """The mask and the places for unknown terms that stand before the terms (``IndexLookup._token_start_index``)."""
    lookup = "num_oov_indices" in config  # TextVectorization has no such option
    mask, unknown = (config.get("mask_token"), config.get("oov_token")) if lookup else ("", _UNKNOWN)
    count = config.get("num_oov_indices") if lookup else 1
    masked = mask is not None and config.get("output_mode", "int") == "int"
    places = min(count, 1 << 20) if isinstance(count, int) and not isinstance(count, bool) else 0
    return [_text(mask)] * masked + [_text(unknown)] * max(places, 0)


def _text(term: Any) -> str:
    return term.decode("utf-8", "replace") if isinstance(term, bytes) else str(term)
