"""Fitted preprocessing as it is passed: which objects, which function, and how they differ from what a checkpoint holds."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._core.catalog import Catalog
from .._core.errors import UsageError
from .._core.fault import Fault
from .._core.finding import Report
from .._frameworks.module_specs import walk_layers
from .._layouts.opening import open_path, the_one
from .._record.stateful import LARGEST_FILE, capture, stateful
from .._rules.facts import findings_of
from .states import different, states_of

__all__ = ["fitted_of", "function_of", "layers_among", "named", "preprocess_faults", "with_preprocessing"]

LOG = logging.getLogger("holdfast.vault")
_OWN = "preprocess"


def fitted_of(preprocess: Any) -> dict[str, Any]:
    """The objects with a state: of a mapping its values; of one callable or estimator that itself, where it has one, under
    the name ``preprocess``; of a bound method its object. A callable that nobody named is left out where it cannot be saved,
    or is larger than 64 MB."""
    if preprocess is None:
        return {}
    if isinstance(preprocess, Mapping) and not hasattr(preprocess, "load_state_dict"):
        return named({n: _behind(thing) for n, thing in preprocess.items()}, "preprocess")
    thing = _behind(preprocess)
    if callable(preprocess):
        return {_OWN: thing} if _worth_saving(thing) else {}
    if stateful(thing):
        return {_OWN: thing}
    raise UsageError(
        "preprocess= is a callable, a fitted object, or a dict of these by name",
        found=type(preprocess).__name__,
    )


def _worth_saving(thing: Any) -> bool:
    """Whether a callable's own state is saved though nobody named it: it has one that can be, and it is small."""
    if not stateful(thing):
        return False
    try:
        state = capture(thing, _OWN)
    except UsageError as error:
        LOG.info("the state of preprocess= is not saved: %s", error)
        return False
    size = sum(array.nbytes for array in state.arrays.values()) + sum(map(len, state.files.values()))
    if size > LARGEST_FILE:
        LOG.warning(
            "the state of preprocess= is not saved (%d MB): name it, preprocess={'name': ...}", size >> 20
        )
        return False
    return True


def function_of(preprocess: Any) -> Callable[[Any], Any] | None:
    """What turns a raw batch into the model's input: a callable as it is, an estimator's ``transform``; ``None`` for a dict."""
    if preprocess is None or isinstance(preprocess, Mapping):
        return None
    if callable(preprocess):
        return preprocess
    transform = getattr(preprocess, "transform", None)
    return transform if callable(transform) else None


def _behind(thing: Any) -> Any:
    return thing.__self__ if isinstance(thing, types.MethodType) else thing


def named(given: Any, word: str) -> dict[str, Any]:
    """Objects by name; one that is no mapping is called ``word``. Raises :class:`UsageError` for names that cannot be."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or hasattr(given, "load_state_dict"):
        given = {word: given}
    bad = [name for name in given if not isinstance(name, str) or not name or "/" in name or "@" in name]
    if bad:
        raise UsageError(
            f"a name in {word}= that cannot be", found=repr(bad[0]), expected="a text without / and @"
        )
    return {name: thing for name, thing in given.items() if thing is not None}


def preprocess_faults(catalog: Catalog, preprocess: Any, path: str) -> list[Fault]:
    """How preprocessing that was passed differs from what the step holds (``D503``, ``D504``). One object without a name is
    held against the one of its class. Raises :class:`UsageError` for what has no state and is no callable."""
    live = fitted_of(preprocess)
    if not live:
        return []
    saved = states_of(catalog, ("preprocess",))["preprocess"]
    if set(live) == {_OWN} and _OWN not in saved:
        thing = live[_OWN]
        alike = [
            name for name, state in saved.items() if state.of.rpartition(".")[2] == type(thing).__qualname__
        ]
        live = {alike[0]: thing} if len(alike) == 1 else {}
    return different(saved, live, path)


def layers_among(model: Any, things: Iterable[Any]) -> list[str]:
    """Paths of the layers of a Keras model that are among fitted objects too, themselves or within one."""
    keras = [thing for thing in (model, *things) if hasattr(thing, "_flatten_layers")]
    if not keras or keras[0] is not model:
        return []
    passed = {id(layer) for thing in keras[1:] for _, layer in walk_layers(thing)}
    return [path for path, layer in walk_layers(model) if id(layer) in passed]


def with_preprocessing(report: Report, path: Any, preprocess: Any, model: Any = None) -> Report:
    """A report of ``check`` with what preprocessing differs in. A vocabulary that is a layer's of ``model`` too is told once,
    as preprocessing, which a restore puts back."""
    if preprocess is None or not report.checkpoints or report.checkpoints[0].format != "holdfast-step":
        return report
    target = the_one(path)
    with open_path(target.path) as stored:
        found = list(findings_of(preprocess_faults(stored, preprocess, target.path), target))
    first = report.checkpoints[0]
    told = {f.evidence.get("part") for f in found if f.slug == "preprocessing-vocabulary"}
    again = layers_among(model, (thing for name, thing in fitted_of(preprocess).items() if name in told))
    kept = (f for f in first.findings if f.code != "T225" or not {*f.evidence.get("modules", ())} <= {*again})
    looked = "fitted preprocessing against what was saved"
    first = replace(first, findings=(*kept, *found), looked_at=(*first.looked_at, looked))
    return replace(report, checkpoints=(first, *report.checkpoints[1:]))
