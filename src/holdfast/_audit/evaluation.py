"""Calling the user's evaluation, and seeing what it does with the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.errors import HoldfastError, UsageError
from .._frameworks import live_catalog
from .._frameworks.probing import kept, watched
from .._record.data.batches import fields_of
from .._record.data.identity import Identity
from .._record.metrics import as_metrics
from .._restore.reading import live_checksum

__all__ = ["Evaluate", "Evaluation", "Observed", "called", "checksums_of", "evaluated", "observed"]

Evaluate = Callable[..., Any]
_SAMPLES = 1024
_MOST_VALUES = 1 << 24


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation returned: ``metrics`` by name; ``batches``, rows of (samples, metrics), ``outputs`` (samples,
    classes) and ``labels`` where it told."""

    metrics: Mapping[str, float]
    batches: Sequence[tuple[int, Mapping[str, float]]] = ()
    outputs: np.ndarray | None = None
    labels: np.ndarray | None = None


@dataclass(slots=True)
class Observed:
    """What was seen of the model while it was evaluated.

    calls; training: whether any call was in training mode. identity: of what the model was fed (its first input). fields:
    the first 1024 samples. changed: live tensors that at the first call did not hold what was restored: name -> value.
    """

    calls: int = 0
    training: bool = False
    identity: Identity = field(default_factory=Identity)
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    changed: dict[str, np.ndarray] = field(default_factory=dict)


def evaluated(evaluate: Evaluate, model: Any) -> Evaluation:
    """Call it, everything of the model put back afterwards.

    It returns a mapping of names to numbers; the words ``batches``, ``outputs`` and ``labels`` may stand among them. Raises
    :class:`UsageError` where it raises or returns something else.
    """
    with kept(model):
        return called(evaluate, model)


def called(evaluate: Evaluate, model: Any) -> Evaluation:
    """:func:`evaluated` without putting anything back."""
    name = getattr(evaluate, "__qualname__", type(evaluate).__name__)
    try:
        given = evaluate(model) if _takes_model(evaluate) else evaluate()
    except HoldfastError:
        raise
    except Exception as error:
        raise UsageError(
            f"the evaluation {name} raised {type(error).__name__}",
            found=str(error)[:500] or None,
            remedy="It is called with the model alone, and returns a dict of metrics.",
        ) from error
    if not isinstance(given, Mapping):
        raise UsageError(
            f"the evaluation {name} returned no metrics", found=type(given).__name__,
            expected='a dict of names to numbers, such as {"val_loss": 0.31}',
        )  # fmt: skip
    rest = dict(given)
    batches, outputs, labels = (rest.pop(word, None) for word in ("batches", "outputs", "labels"))
    found = {metric.name: metric.value for metric in as_metrics(rest)}
    both = None if outputs is None or labels is None else fields_of({"outputs": outputs, "labels": labels})
    rows = [(int(n), {m.name: m.value for m in as_metrics(row)}) for n, row in batches or ()]
    return Evaluation(found, rows, both["outputs"] if both else None, both["labels"] if both else None)


def _takes_model(evaluate: Evaluate) -> bool:
    try:
        return len(inspect.signature(evaluate).parameters) > 0
    except (TypeError, ValueError):
        return True


def checksums_of(model: Any) -> dict[str, str]:
    """Live name -> checksum of the value now, for weights and buffers."""
    live = live_catalog(model=model)
    return {
        name: live_checksum(variable)
        for name, variable in live.variables.items()
        if variable.read is not None and variable.spec.role in ("weight", "buffer", "average")
    }


def observed(evaluate: Evaluate, model: Any, checksums: Mapping[str, str]) -> tuple[Observed, Evaluation]:
    """Evaluate once more and watch. ``checksums`` are those of the restored state."""
    seen = Observed()
    room = _MOST_VALUES
    judged: list[bool] = []

    def see(fields: Mapping[str, np.ndarray], training: bool | None, state: Any = None) -> None:
        nonlocal room
        seen.training = seen.training or bool(training)
        if not fields:
            return
        seen.calls += 1
        if not judged:
            there = model if state is None else state
            now = checksums_of(there)
            if now.keys() == checksums.keys() or state is None:  # else another model of the program's
                judged.append(True)
                changed = [name for name, then in checksums.items() if name in now and now[name] != then]
                live = live_catalog(model=there)
                seen.changed.update({name: np.array(live.read(name)) for name in changed})
        first = next(iter(fields.values()))
        if not first.ndim:
            return
        seen.identity.add(first)
        for name, values in fields.items():
            held = seen.fields.get(name)
            have = 0 if held is None else len(held)
            more = values[: max(0, _SAMPLES - have)]
            if not len(more) or more.size > room:
                continue
            room -= more.size
            try:
                seen.fields[name] = np.array(more) if held is None else np.concatenate([held, more])
            except ValueError:  # batches of different shapes: the first ones serve
                continue

    with kept(model), watched(model, see):
        result = called(evaluate, model)
    return seen, result
