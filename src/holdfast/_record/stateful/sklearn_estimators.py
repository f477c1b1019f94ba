"""Estimators and transformers of scikit-learn: parameters, and everything that ``fit`` left in them.

Never by pickle: attributes are arrays, plain values and estimators within (pipelines, column transformers, searches). What an
estimator computes is decided by both: parameters are compared, fitted attributes are set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from ..._core.errors import UsageError
from .nest import Captured, Draft, class_of

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "sklearn"
_NO_MATTER = frozenset(
    {"n_jobs", "verbose", "copy", "memory", "cache_size", "pre_dispatch", "error_score", "random_state"}
)
"""Parameters that change nothing of what a fitted estimator computes."""
_NO_STATE = frozenset({"_metadata_request"})


def recognises(thing: Any) -> bool:
    """Whether it is one; classes of the user's own that inherit from ``BaseEstimator`` are."""
    base = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    return isinstance(base, type) and isinstance(thing, base)


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Parameters, and all attributes that are none."""
    from .kinds import stateful

    params = thing.get_params(deep=False)
    fitted = {key: value for key, value in vars(thing).items() if key not in params and key not in _NO_STATE}
    bad = [key for key, value in fitted.items() if stateful(value) and not recognises(value)]
    if bad:
        raise UsageError(
            "its attributes cannot be saved", found=", ".join(bad), remedy="Only estimators may be within."
        )
    return {
        "params": {key: _param(value, draft, f"{path}/{key}") for key, value in params.items()},
        "fitted": {key: draft.add(value, f"{path}/{key}") for key, value in fitted.items()},
    }


def against(thing: Any, captured: Captured) -> list[str]:
    """Parameters that decide what it computes and are others here."""
    return list(_against(thing, captured, ""))


def put(thing: Any, captured: Captured) -> Any:
    """Every fitted attribute, in place; what a later ``fit`` left there goes."""
    about = captured.about
    params = thing.get_params(deep=False)
    donors = {class_of(inner): inner for inner in _inner(params)}

    def part(inner: Captured) -> Any:
        if inner.kind != KIND:
            raise UsageError("an object within it cannot be made again", found=inner.of)
        return put(_made(inner, donors), inner)

    for key, saved in about["params"].items():
        if key in params:
            for live, inner in _pairs(params[key], saved, captured):
                put(live, inner)
    for key in [key for key in vars(thing) if key not in params and key not in _NO_STATE]:
        delattr(thing, key)
    for key, saved in about["fitted"].items():
        setattr(thing, key, captured.value(saved, part))
    return thing


def _param(value: Any, draft: Draft, path: str) -> Any:
    """A parameter is compared, and never made again where it cannot be."""
    try:
        return draft.add(value, path)
    except UsageError:
        return {"$named": class_of(value)}


def _made(inner: Captured, donors: dict[str, Any]) -> Any:
    """An unfitted estimator of the class that was saved: a clone of one that the live object has, or one of scikit-learn's."""
    donor = donors.get(inner.of)
    if donor is not None and not list(_against(donor, inner, "")):
        return sys.modules["sklearn.base"].clone(donor)
    module, _, name = inner.of.rpartition(".")
    if module.partition(".")[0] != "sklearn":
        raise UsageError(
            "an estimator within it cannot be made again",
            found=inner.of,
            remedy="Construct it as the run did.",
        )
    cls = getattr(import_module(module), name, None)
    if not isinstance(cls, type) or not issubclass(cls, sys.modules["sklearn.base"].BaseEstimator):
        raise UsageError("this scikit-learn has no such estimator", found=inner.of)
    params = {}
    for key, saved in inner.about["params"].items():
        params[key] = inner.value(saved, lambda deep: _made(deep, donors))
    return cls(**params)


def _against(thing: Any, captured: Captured, path: str) -> Iterator[str]:
    if class_of(thing).rpartition(".")[2] != captured.of.rpartition(".")[2]:
        yield f"{path or 'it'} was a {captured.of}, and is a {class_of(thing)}"
        return
    draft = Draft(_named)
    for key, value in thing.get_params(deep=False).items():
        saved = captured.about["params"].get(key)
        where = f"{path}.{key}" if path else key
        if key in _NO_MATTER or (saved is None and value is None):
            continue
        if key not in captured.about["params"]:
            continue  # a parameter that this version has more
        now = _param(value, draft, key)
        yield from _unlike(value, now, saved, captured, draft, where)


def _unlike(value: Any, now: Any, saved: Any, captured: Captured, draft: Draft, where: str) -> Iterator[str]:
    """Where parameters differ; estimators within are gone into."""
    if isinstance(saved, dict) and "$part" in saved and recognises(value):
        yield from _against(value, captured.part(saved), where)
        return
    then_row, row = _row(saved), list(value) if isinstance(value, (list, tuple)) else None
    if then_row is not None and row is not None and _row(now) is not None:
        if len(then_row) != len(row):
            yield f"{where} had {len(then_row)} items, and has {len(row)}"
            return
        for n, (item, then, this) in enumerate(zip(row, then_row, _row(now) or [], strict=True)):
            yield from _unlike(item, this, then, captured, draft, f"{where}[{n}]")
        return
    mine = Captured(KIND, "", None, draft.arrays)
    if not _equal(now, saved, mine, captured):
        yield f"{where} was {_shown(saved, captured)}, and is {_shown(now, mine)}"


def _equal(now: Any, then: Any, mine: Captured, captured: Captured) -> bool:
    if isinstance(now, dict) and isinstance(then, dict) and ("$ref" in now or "$ref" in then):
        one, two = mine.value(now), captured.value(then)
        return getattr(one, "shape", None) == getattr(two, "shape", None) and bool((one == two).all())
    return bool(now == then)


def _shown(about: Any, captured: Captured) -> str:
    if isinstance(about, dict) and "$named" in about:
        return str(about["$named"])
    if isinstance(about, dict) and "$part" in about:
        return str(about["$part"]["class"])
    return f"{captured.value(about)!r}"[:60]


def _named(thing: Any, path: str, draft: Draft) -> Any:
    return {"$named": class_of(thing)}


def _row(about: Any) -> list[Any] | None:
    if isinstance(about, list):
        return about
    return about["$tuple"] if isinstance(about, dict) and "$tuple" in about else None


def _pairs(live: Any, saved: Any, captured: Captured) -> Iterator[tuple[Any, Captured]]:
    """Live estimators among a parameter's items with what was saved of each."""
    if isinstance(saved, dict) and "$part" in saved:
        if recognises(live):
            yield live, captured.part(saved)
        return
    row = _row(saved)
    if row is not None and isinstance(live, (list, tuple)):
        for item, then in zip(live, row, strict=False):
            yield from _pairs(item, then, captured)


def _inner(value: Any, depth: int = 0) -> Iterator[Any]:
    """All estimators below parameters."""
    if depth > 20:
        return
    if recognises(value):
        yield value
        value = value.get_params(deep=False)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _inner(item, depth + 1)
