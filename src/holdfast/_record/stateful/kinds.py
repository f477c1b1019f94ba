"""Which kind an object is, its state taken, and put back."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from ..._core.errors import HoldfastError, UsageError
from .nest import Captured, Draft, class_of
from .refusals import refusal

__all__ = ["capture", "obstacles", "put_back", "stateful"]

KINDS = (
    "plain",
    "numpy_generators",
    "torch_generators",
    "file_on_disk",
    "keras_metrics",
    "keras_layers",
    "sklearn_estimators",
    "tokenizer_files",
    "tf_iterators",
    "tf_generators",
    "torchmetrics_states",
    "torchdata_loaders",
    "state_dicts",
    "get_set_states",
    "attributes",
)
"""Modules beside this one, each with ``KIND``, ``recognises(thing)``, ``take(thing, draft, path)``, ``put(thing, captured)``
and, where more can stand against it than another class, ``against(thing, captured)``. The first that recognises an object takes
it."""


def _kind_of(thing: Any) -> ModuleType | None:
    for name in KINDS:
        module = import_module(f"{__package__}.{name}")
        if module.recognises(thing):
            return module
    return None


def _kind_named(word: str) -> ModuleType | None:
    modules = (import_module(f"{__package__}.{name}") for name in KINDS)
    return next((module for module in modules if word == module.KIND), None)


def stateful(thing: Any) -> bool:
    """Whether an object has a state of its own that could be saved: a fitted estimator, a loader, a generator; not a number, a
    text, a nest of these, or a function."""
    module = _kind_of(thing)
    return module is not None and module.KIND != "plain"


def capture(thing: Any, name: str = "state") -> Captured:
    """The state of ``thing`` as it is now; what it holds is copied. ``name`` is how messages call it.

    Raises :class:`UsageError` where it has none, or one that cannot be saved: what it is, and what to pass instead.
    """
    draft = Draft(_within)
    try:
        about = _within(thing, "", draft)["$part"]
    except UsageError as error:
        raise UsageError(
            f"{name}: {error.message}", found=error.found, expected=error.expected, remedy=error.remedy
        ) from error
    return Captured(about["kind"], about["class"], about["about"], draft.arrays, draft.files)


def _within(thing: Any, path: str, draft: Draft) -> Any:
    module = _kind_of(thing)
    if module is None:
        raise refusal(thing, path)
    try:
        about = module.take(thing, draft, path or "state")
    except HoldfastError:
        raise
    except Exception as error:
        raise UsageError(
            "its state could not be taken",
            found=f"{class_of(thing)}: {type(error).__name__}: {_first(error)}",
        ) from error
    return {"$part": {"kind": module.KIND, "class": class_of(thing), "about": about}}


def obstacles(thing: Any, captured: Captured) -> list[str]:
    """What stands against putting ``captured`` into ``thing``, in words; nothing is changed. ``None`` takes anything."""
    if thing is None:
        return []
    module = _kind_of(thing)
    if module is None:
        error = refusal(thing, "")
        return [f"{error.message} ({error.found})"]
    if captured.kind != module.KIND:
        return [f"it was saved as {_shown(captured)}, and {class_of(thing)} is given"]
    names = [word.rsplit(".", 1)[-1] for word in (captured.of, class_of(thing))]
    if module.KIND != "plain" and names[0] != names[1]:
        return [f"it was a {captured.of}, and {class_of(thing)} is given"]
    against = getattr(module, "against", None)
    return list(against(thing, captured)) if against is not None else []


def put_back(thing: Any, captured: Captured, name: str = "state") -> Any:
    """Put a state into ``thing``; gives the object to go on with: ``thing`` itself, or a new one where its kind cannot be
    changed (numbers, tuples, JAX keys). Without an object (``None``) it gives the value where that says all, else
    ``captured`` itself.

    Raises :class:`UsageError` naming what stands against it (nothing was changed then), or what its library said.
    """
    if thing is None:
        module = _kind_named(captured.kind)
        make = getattr(module, "make", None)
        return make(captured) if make is not None else captured
    found = obstacles(thing, captured)
    if found:
        raise UsageError(
            f"{name} cannot be put back: {'; '.join(found[:5])}",
            remedy="Make it as the run did; or leave it out here and take what was saved from the outcome.",
        )
    module = _kind_of(thing)
    assert module is not None
    try:
        return module.put(thing, captured)
    except HoldfastError:
        raise
    except Exception as error:
        raise UsageError(
            f"{name} could not be put back",
            found=f"{class_of(thing)}: {type(error).__name__}: {_first(error)}",
        ) from error


def _shown(captured: Captured) -> str:
    if captured.kind == "plain":
        return f"a plain value ({str(captured.about)[:40]})"
    return captured.of


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
