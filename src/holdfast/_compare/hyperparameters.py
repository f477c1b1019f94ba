"""Hyperparameters side by side: one word for each quantity, and when two values are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core.difference import Difference
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import OptimizerSpec, ParamGroup

__all__ = ["HYPER_WORDS", "SILENT_SETTINGS", "hyper_differences", "same_setting", "told"]

HYPER_WORDS = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho", "beta1": "beta_1", "beta2": "beta_2"}
"""torch/optim and keras/src/optimizers words for one quantity (``alpha`` is RMSprop's ``rho``)."""

SILENT_SETTINGS = frozenset(
    {
        "name",
        "params",
        "foreach",
        "fused",
        "capturable",
        "differentiable",
        "maximize",
        "jit_compile",
        "is_legacy_optimizer",
        "initial_lr",
        "decoupled_weight_decay",
        "registered_name",
        "class_name",
        "module",
    }
)
"""How an update is computed, not what it is; and what describes the object."""


def _settings(optimizer: OptimizerSpec, group: ParamGroup) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in (group.configured, group.current):
        for key, value in source.items():
            if key in SILENT_SETTINGS:
                continue
            if key == "betas" and isinstance(value, (list, tuple)) and len(value) == 2:
                found["beta_1"], found["beta_2"] = value
            else:
                found[HYPER_WORDS.get(key, key)] = value
    return found


def hyper_differences(
    one: OptimizerSpec, other: OptimizerSpec, values: Mapping[tuple[str, str], Any]
) -> Iterator[Difference]:
    """Hyperparameters that both sides have, and have otherwise. ``values``: see :func:`optimizer_differences`."""
    empty = ParamGroup()
    groups_a, groups_b = one.groups or (empty,), other.groups or (empty,)
    for index, (group_a, group_b) in enumerate(zip(groups_a, groups_b, strict=False)):
        here, there = _settings(one, group_a), _settings(other, group_b)
        if index == 0 and len(groups_a) == 1 and len(groups_b) == 1:
            for (side, key), value in values.items():
                if key == "step":
                    continue
                (here if side == "a" else there).setdefault(HYPER_WORDS.get(key, key), value)
        for key, value in here.items():
            if key in there and not same_setting(value, there[key]):
                name = key if len(groups_a) == 1 else f"{index}/{key}"
                yield Difference(
                    "O207",
                    name,
                    name,
                    f"{name} is {told(value)} in A and {told(there[key])} in B",
                    {"a": told(value), "b": told(there[key]), "optimizer": other.name},
                    Edit("hyper", (escape(name),), value=_literal(there[key])),
                )


def _number(value: Any) -> float | None:
    if isinstance(value, (bool, np.bool_)) or value is None:
        return float(bool(value))
    if isinstance(value, (int, float, np.number)) and not isinstance(value, np.complexfloating):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiub":
        return float(value.reshape(-1)[0])
    return None


def same_setting(a: Any, b: Any) -> bool:
    """Equal as settings: numbers to float32's precision (frameworks keep them so), nothing, zero and false
    alike."""
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        with np.errstate(all="ignore"):
            return x == y or bool(np.float32(x) == np.float32(y)) or (math.isnan(x) and math.isnan(y))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same_setting, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same_setting(a[k], b[k]) for k in a)
    if isinstance(a, str) and isinstance(b, str):
        return a == b
    # one side tells a number, the other an object (a schedule): not the same kind of thing, so nothing is
    # shown
    return True


def told(value: Any) -> Any:
    """JSON-able."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else value.reshape(-1)[:16].tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [told(v) for v in value]
    return str(value)


def _literal(value: Any) -> Any:
    plain = told(value)
    return plain if isinstance(plain, (bool, int, float)) else "live"
