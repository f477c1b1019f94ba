"""What a restore sets by decision and not by copying: hyperparameters, and optimizer state that starts anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._compare.hyperparameters import same_setting
from .._core.dtypes import carrier
from .._core.plain import identical
from .._examine.fitted import Fit
from .journal import Journal

__all__ = ["reset_state", "set_values"]


def reset_state(found: Fit, journal: Journal) -> None:
    """Optimizer state that starts anew, and state that the checkpoint does not have."""
    for name in (*found.reset, *found.cleared):
        variable = found.live.variables[name]
        if variable.virtual and variable.initial is None:
            continue
        journal.tensor(name)
        if variable.initial is not None and variable.write is not None:
            variable.write(np.ascontiguousarray(variable.initial()))
        elif variable.clear is not None:
            variable.clear()
        elif variable.write is not None:
            spec = variable.spec
            variable.write(np.full(spec.shape, spec.attributes.get("initial", 0), carrier(spec.dtype)))


def set_values(found: Fit, journal: Journal) -> dict[str, tuple[Any, Any]]:
    """Hyperparameters that the checkpoint or the plan decides; gives name -> (before, now) of those that changed."""
    values: dict[str, tuple[Any, Any]] = {}
    for decision in found.decisions:
        if decision.take not in ("checkpoint", "given"):
            continue
        if decision.setting is not None:
            before = decision.setting.read()
            value = _as_written(decision.setting.key, decision.key, decision.value, before)
            if identical(value, before):
                continue
            journal.value(decision.setting)
            decision.setting.write(value)
            if not (isinstance(value, float) and type(before) is float and same_setting(value, before)):
                values[decision.name] = (before, value)
        elif decision.variable is not None:
            variable = found.live.variables[decision.variable]
            if variable.write is None:
                continue
            spec = variable.spec
            exact = _stored_value(found, decision.variable) if decision.take == "checkpoint" else None
            new = np.full(spec.shape, decision.value, carrier(spec.dtype)) if exact is None else exact
            journal.tensor(decision.variable)
            variable.write(np.ascontiguousarray(new).reshape(spec.shape))
            if decision.changes:
                values[decision.name] = (decision.live, decision.value)
    return values


def _stored_value(found: Fit, name: str) -> np.ndarray | None:
    """The stored tensor of a hyperparameter, bit for bit, where there is one of the live dtype."""
    source = found.pairs.get(name)
    if source is None:
        return None
    values = np.asarray(found.stored.read(source))
    spec = found.live.variables[name].spec
    return (
        values.reshape(spec.shape) if values.size == 1 and found.stored[source].dtype == spec.dtype else None
    )


def _as_written(word: str, key: str, value: Any, now: Any) -> Any:
    """A value in the form that the live side keeps: one of ``betas``, a tuple rather than a list."""
    if word == "betas" and key in ("beta_1", "beta_2"):
        pair = list(now)
        pair[key == "beta_2"] = value
        value = pair
    if isinstance(now, tuple) and isinstance(value, list):
        return tuple(value)
    return value
