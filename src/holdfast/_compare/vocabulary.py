"""Vocabularies of two models' lookup layers held against each other (``T225``): by their digests, and in words where both
sides still have the terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._core.difference import Difference
from .._core.modules import ModuleSpec
from .._core.words import plural

__all__ = ["told_apart", "vocabulary_differences"]

_SHOWN = 3
_LONGEST = 40
_MOST_NAMED = 50

Pair = tuple[ModuleSpec, ModuleSpec]


def told_apart(a: ModuleSpec, b: ModuleSpec) -> frozenset[str]:
    """Settings of two layers that are not held against each other by themselves: where both tell their vocabulary, its size
    follows from it; where that differs, the weights of its terms do too."""
    if _digest(a) is None or _digest(b) is None:
        return frozenset({"vocabulary"})
    return frozenset({"vocabulary", "vocabulary_size", *(("idf_weights",) if _other(a, b) else ())})


def _other(a: ModuleSpec, b: ModuleSpec) -> bool:
    """Whether both sides tell their layer's vocabulary, and it is not the same."""
    one, two = _digest(a), _digest(b)
    return one is not None and two is not None and one["digest"] != two["digest"]


def vocabulary_differences(pairs: Sequence[Pair]) -> Iterator[Difference]:
    """``T225`` of layers that belong together; layers with one vocabulary in common are told together."""
    groups: dict[tuple[Any, Any], list[Pair]] = {}
    for a, b in pairs:
        if _other(a, b):
            groups.setdefault(
                (a.config["vocabulary"]["digest"], b.config["vocabulary"]["digest"]), []
            ).append((a, b))
    for found in groups.values():
        yield _difference(found)


def _difference(found: list[Pair]) -> Difference:
    a, b = found[0]
    facts, text = _compared(a, b)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    evidence = {
        "class": b.class_name,
        "entries": {"a": _entries(a), "b": _entries(b)},
        **facts,
        "effect": "inference",
        "severity": "error",
        "modules": [two.path for _, two in found[:_MOST_NAMED]],
        "count": len(found),
    }
    kept = (
        "those that both have keep their rows"
        if facts.get("moved") == 0
        else "rows behind it belong to other terms"
    )
    kind = f" ({b.class_name})" if b.class_name else ""
    message = f"{b.path or 'the model'}{kind}{more}: the vocabulary is another one in B: {text}; {kept}"
    return Difference("T225", a.path or None, b.path or None, message, evidence)


def _compared(a: ModuleSpec, b: ModuleSpec) -> tuple[dict[str, Any], str]:
    """Facts for the evidence, and the same in words."""
    count, other = _entries(a), _entries(b)
    sizes = plural(count, "term") if count == other else f"{plural(count, 'term')} in A and {other:,} in B"
    same = a.config["vocabulary"].get("sorted") == b.config["vocabulary"].get("sorted")
    here, there = (_terms(module) for module in (a, b))
    if not here or not there:
        known = f"the same {sizes} in another order" if same else f"{sizes}, and not the same ones"
        return {"same_terms": same}, f"{known} (a seal or record keeps a digest, not the terms)"
    first = [n for n in range(min(len(here), len(there))) if here[n] != there[n]]
    facts: dict[str, Any] = {"same_terms": same, "moved": len(first)}
    facts["first"] = [{"at": n, "a": _short(here[n]), "b": _short(there[n])} for n in first[:_SHOWN]]
    place = (
        f"term {first[0]} is {_short(here[first[0]])!r} in A and {_short(there[first[0]])!r} in B"
        if first
        else ""
    )
    if same:
        return facts, f"the same {sizes} in another order, {place}"
    lost, new = _beyond(here, there), _beyond(there, here)
    facts |= {"only_in_a": [_short(t) for t in lost[:_SHOWN]], "only_in_b": [_short(t) for t in new[:_SHOWN]]}
    told = [
        f"{len(terms):,} only in {side} ({_some(terms)})"
        for side, terms in (("A", lost), ("B", new))
        if terms
    ]
    return facts, "; ".join(part for part in (sizes, " and ".join(told), place) if part)


def _terms(module: ModuleSpec) -> Sequence[str]:
    return module.terms() if module.terms is not None else ()


def _beyond(terms: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [term for term in terms if term not in known]


def _some(terms: Sequence[str]) -> str:
    shown = ", ".join(repr(_short(term)) for term in terms[:_SHOWN])
    return shown + (" …" if len(terms) > _SHOWN else "")


def _short(term: str) -> str:
    return term if len(term) <= _LONGEST else term[: _LONGEST - 1] + "…"


def _entries(module: ModuleSpec) -> int:
    return int(module.config["vocabulary"]["entries"])


def _digest(module: ModuleSpec) -> Mapping[str, Any] | None:
    """What a record of anybody's says may be anything."""
    found = module.config.get("vocabulary")
    if not isinstance(found, Mapping) or not isinstance(found.get("entries"), int):
        return None
    return found if isinstance(found.get("digest"), str) else None
