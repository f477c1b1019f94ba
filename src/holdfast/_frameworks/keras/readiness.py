"""Will the next ``apply_gradients`` of a Keras optimizer run, and on what?

Sources: ``keras/src/optimizers/base_optimizer.py``: ``apply`` (a variable that the optimizer was not built
with raises ``Unknown variable``), ``_filter_empty_gradients`` (no gradient at all raises, a few missing ones
warn), ``update_step`` (slots and gradients are combined element by element).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..._core.errors import HoldfastError, UsageError
from ..._core.fault import Fault
from . import values
from .objects import Holder
from .optimizers import inner_of, own_variables

__all__ = ["duplicates", "mark", "readiness"]

Name = Callable[[Any], str]


def mark(variable: Any) -> int:
    """One mark for a Keras variable and for the ``tf.Variable`` within it."""
    if values.backend() == "tensorflow":
        from ..tensorflow.values import plain

        return id(plain(variable))
    return id(variable)


def readiness(
    optimizer: Any,
    trainable: Sequence[Any],
    everything: Sequence[Any],
    name: Name,
    gradients: Any = None,
    *,
    whole: bool = True,
    ordered: bool = True,
) -> list[Fault]:
    """What stands against ``optimizer.apply_gradients(zip(gradients, trainable))``.

    ``trainable``: the model's trainable variables in its order; ``everything``: all variables of the models
    passed; ``name`` gives a variable's name in the catalog. ``gradients``: a list beside ``trainable``, or of
    ``(gradient, variable)``; ``None`` where they are not known. ``whole``: whether the optimizer is the only
    one, so that every trainable weight should be its. ``ordered``: whether the order of ``trainable`` means
    something (a Keras model's does).

    Raises :class:`UsageError` for gradients that are neither.
    """
    found: list[Fault] = []
    inner = inner_of(optimizer)
    known = list(inner._trainable_variables) if optimizer.built else []
    marks = {mark(v) for v in known}
    trained = {mark(v) for v in trainable}
    present = {mark(v) for v in everything}
    if optimizer.built:
        unknown = [v for v in trainable if mark(v) not in marks]
        stale = [v for v in known if mark(v) not in present]
        frozen = [v for v in known if mark(v) in present and mark(v) not in trained]
        if unknown and (whole or len(unknown) < len(trainable)):
            found.append(_unknown(unknown, name, gradients))
        if stale:
            found.append(_foreign(stale, name, whole))
        if frozen:
            found.append(_frozen(frozen, name))
        place = {mark(v): at for at, v in enumerate(known)}
        order = [place[mark(v)] for v in trainable if mark(v) in place]
        if ordered and order != sorted(order):
            found.append(_order(known, trainable, name))
        found += _slots(optimizer, name, trained)
        found += _left(inner)
        found += _averages(inner, name)
    if gradients is not None:
        found += _gradients(gradients, list(trainable), name)
    return found


def _names(variables: Sequence[Any], name: Name) -> tuple[tuple[str, ...], str]:
    names = tuple(name(v) for v in variables)
    return names, ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _unknown(unknown: list[Any], name: Name, gradients: Any) -> Fault:
    names, some = _names(unknown, name)
    return Fault(
        "unknown-variable",
        f"the optimizer was built without {some}; the next apply_gradients raises "
        '"ValueError: Unknown variable"',
        tensor=names[0],
        tensors=names,
        seen="not among the optimizer's variables",
        expected="every trainable weight",
        attributes={
            "fails": True,
            "remedy": "Make the optimizer anew (the same class and hyperparameters) after the model is complete, "
            "or build it with optimizer.build(model.trainable_variables) once all layers are there.",
        },
    )


def _foreign(stale: list[Any], name: Name, whole: bool) -> Fault:
    names, some = _names(stale, name)
    return Fault(
        "foreign-variable",
        f"the optimizer holds {some}, which {'are' if len(names) > 1 else 'is'} not the model's: a variable of "
        "another model or one that was replaced; its state is kept and saved, and the next step passes over it",
        tensor=names[0],
        tensors=names,
        seen=f"{len(names)} variables that are not the model's",
        expected="only the model's variables" if whole else "only variables of the models passed",
        attributes={"fails": False, "remedy": "Make the optimizer anew for this model."},
    )


def _frozen(frozen: list[Any], name: Name) -> Fault:
    names, some = _names(frozen, name)
    return Fault(
        "frozen-in-optimizer",
        f"the optimizer was built with {some}, frozen since; the next step runs and leaves "
        f"{'them' if len(names) > 1 else 'it'} alone, the state is kept",
        tensor=names[0],
        tensors=names,
        seen="not trainable",
        expected="trainable",
        attributes={
            "fails": False,
            "remedy": "Nothing to do if the layer is frozen on purpose. A checkpoint saved now has state for it; an "
            "optimizer made after freezing has not, and tf.train.Checkpoint then restores by another order.",
        },
    )


def _order(known: list[Any], trainable: Sequence[Any], name: Name) -> Fault:
    here = [name(v) for v in known]
    there = [name(v) for v in trainable]
    first = next((pair for pair in zip(here, there, strict=False) if pair[0] != pair[1]), (here[0], there[0]))
    return Fault(
        "optimizer-order",
        "the optimizer was built over the weights in another order than the model lists them; the next step runs, "
        "but its state is saved by position, and tf.train.Checkpoint.restore of model and optimizer together would "
        f"cross the model's own weights ({first[0]} would get what was saved of {first[1]})",
        tensor=first[0],
        seen=", ".join(here[:4]),
        expected=", ".join(there[:4]),
        attributes={
            "fails": False,
            "remedy": "Build the optimizer with optimizer.build(model.trainable_variables).",
        },
    )


def _slots(optimizer: Any, name: Name, trained: set[int]) -> list[Fault]:
    found = []
    for own in own_variables(optimizer):
        if own.owner is None or own.slot in ("r", "c") or own.variable is None:
            continue
        shape = tuple(int(n) for n in own.variable.shape)
        wanted = tuple(int(n) for n in own.owner.shape)
        if shape == wanted:
            continue
        fails = mark(own.owner) in trained
        owner = name(own.owner)
        found.append(
            Fault(
                "slot-mismatch",
                f"the optimizer's {own.slot} of {owner} has the shape {shape}, the weight {wanted}; "
                + ("the next apply_gradients raises" if fails else "the weight is frozen, so the step runs"),
                tensor=owner,
                tensors=(owner,),
                seen=str(shape),
                expected=str(wanted),
                attributes={"fails": fails, "remedy": "Make the optimizer anew for this model."},
            )
        )
    return found


def _left(optimizer: Any) -> list[Fault]:
    steps = getattr(optimizer, "gradient_accumulation_steps", None)
    if not steps:
        return []
    try:
        done = int(values.read(optimizer._iterations).reshape(()).item())
    except HoldfastError:
        return []
    if done % steps == 0:
        return []
    return [
        Fault(
            "gradient-left",
            f"gradients of {done % steps} of {steps} steps are accumulated and not applied yet; they go into the "
            "next update",
            seen=f"{done % steps} accumulated",
            expected="0",
            attributes={
                "fails": False,
                "remedy": "Save and restore at a multiple of gradient_accumulation_steps, or keep the accumulators.",
            },
        )
    ]


def _averages(optimizer: Any, name: Name) -> list[Fault]:
    """Averages at zero beside a count that is not (``_update_model_variables_moving_average``)."""
    pairs = zip(
        optimizer._trainable_variables,
        getattr(optimizer, "_model_variables_moving_average", ()),
        strict=False,
    )
    try:
        made = int(values.read(optimizer._iterations).reshape(()).item())
        done = made // (getattr(optimizer, "gradient_accumulation_steps", None) or 1)
        zero = [
            weight
            for weight, average in (pairs if done and getattr(optimizer, "use_ema", False) else ())
            if average is not None and not np.any(values.read(average)) and np.any(values.read(weight))
        ]
    except HoldfastError:
        return []
    if not zero:
        return []
    names, some = _names(zero, name)
    return [
        Fault(
            "average-not-begun",
            f"the optimizer's averages (use_ema) of {some} are zero, after {done:,} steps: the next step mixes "
            f"{'them' if len(names) > 1 else 'it'} into zeros, and the end of fit writes the averages over the weights",
            tensor=names[0],
            tensors=names,
            seen=f"{len(names)} averages of zeros",
            expected="averages of the weights",
            attributes={
                "fails": False,
                "remedy": "Begin the averages at the weights: `for w, a in zip(optimizer._trainable_variables, "
                "optimizer._model_variables_moving_average): a.assign(w)`.",
            },
        )
    ]


def _gradients(gradients: Any, trainable: list[Any], name: Name) -> list[Fault]:
    if not isinstance(gradients, (list, tuple)) and hasattr(gradients, "__iter__"):
        gradients = list(gradients)
    if not isinstance(gradients, (list, tuple)):
        raise UsageError(
            "gradients= is neither a list of gradients nor of (gradient, variable) pairs",
            found=type(gradients).__name__,
            expected="what tape.gradient(loss, model.trainable_variables) gives",
        )
    pairs = all(isinstance(item, (list, tuple)) and len(item) == 2 for item in gradients) and bool(gradients)
    if pairs:
        couples = [(item[0], item[1]) for item in gradients]
    elif len(gradients) != len(trainable):
        return [
            Fault(
                "gradient-mismatch",
                f"{len(gradients)} gradients for {len(trainable)} trainable weights; which belongs to which is not "
                "told, and optimizer.apply raises",
                seen=len(gradients),
                expected=len(trainable),
                attributes={
                    "fails": True,
                    "remedy": "Take the gradients of model.trainable_variables, after the model is complete.",
                },
            )
        ]
    else:
        couples = list(zip(gradients, trainable, strict=True))
    absent = [variable for gradient, variable in couples if gradient is None]
    found: list[Fault] = []
    if absent:
        names, some = _names(absent, name)
        fails = len(absent) == len(couples)
        told = (
            'no weight has a gradient; apply_gradients raises "ValueError: No gradients provided for any variable"'
            if fails
            else f"{some} {'have' if len(names) > 1 else 'has'} no gradient: the next step leaves "
            f"{'them' if len(names) > 1 else 'it'} alone, with a warning"
        )
        found.append(
            Fault(
                "gradient-none",
                told,
                tensor=names[0],
                tensors=names,
                seen=f"{len(absent)} of {len(couples)} are None",
                expected="a gradient for every trainable weight",
                attributes={
                    "fails": fails,
                    "remedy": "Compute the loss from the model's output inside the tape; a weight that the loss does "
                    "not depend on is either meant so or an orphan.",
                },
            )
        )
    for gradient, variable in couples:
        shape = getattr(gradient, "dense_shape", None)
        shape = shape if shape is not None else getattr(gradient, "shape", None)
        if gradient is None or shape is None:
            continue
        here, there = tuple(int(n) for n in shape), tuple(int(n) for n in variable.shape)
        if here != there:
            found.append(
                Fault(
                    "gradient-mismatch",
                    f"the gradient of {name(variable)} has the shape {here}, the weight {there}; apply_gradients "
                    "raises",
                    tensor=name(variable),
                    tensors=(name(variable),),
                    seen=str(here),
                    expected=str(there),
                    attributes={
                        "fails": True,
                        "remedy": "Check that the gradients stand in the order of model.trainable_variables.",
                    },
                )
            )
    return found


def duplicates(known: Sequence[Holder], name: Name) -> list[Fault]:
    """Second variables of one layer and name, which a deferred ``tf.train.Checkpoint.restore`` before the first
    call leaves behind in subclassed models: the layer uses one of them, the other gets no gradient."""
    found: list[Fault] = []
    for holder in known:
        count = Counter(str(variable.name) for variable in holder.variables)
        for word in [word for word, many in count.items() if many > 1]:
            same = [v for v in holder.variables if str(v.name) == word]
            used = {id(value) for value in vars(holder.layer).values()}
            orphans = [v for v in same if id(v) not in used]
            if not orphans or len(orphans) == len(same):
                continue
            at = name(orphans[0])
            found.append(
                Fault(
                    "duplicate-variable",
                    f"the layer {holder.layer.name!r} has {len(same)} variables called {word!r}, and uses one; the "
                    "other is an orphan, left by a restore before the first call: it gets no gradient, and the one "
                    "in use may still hold its random initial values",
                    tensor=at,
                    tensors=tuple(name(v) for v in orphans),
                    seen=f"{len(same)} variables",
                    expected="1",
                    attributes={
                        "fails": False,
                        "remedy": "Make the model anew, build it (call it once), and restore after that.",
                    },
                )
            )
    return found
