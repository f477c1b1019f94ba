"""Hyperparameters of optimizers: which of them a restore takes from the checkpoint, and which need a decision."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._compare.hyperparameters import HYPER_WORDS, SILENT_SETTINGS
from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.plan import Plan
from .._core.spec import OptimizerSpec, ParamGroup
from .._frameworks import LiveCatalog, Setting
from .settings import Decision, judge

__all__ = ["decide_hyperparameters"]


def decide_hyperparameters(
    pairs: Sequence[tuple[OptimizerSpec, OptimizerSpec]],
    stored: Catalog,
    live: LiveCatalog,
    plan: Plan,
    *,
    scheduler: bool,
    tensors: Mapping[str, str],
) -> list[Decision]:
    """One decision for each hyperparameter that both sides have. ``scheduler``: whether one is restored. ``tensors``: live
    tensors -> the stored ones that are theirs."""
    made = []
    for one, other in pairs:
        several = _several(live, other.name)
        scalars_a, scalars_b = _scalars(stored, one.name), _scalars(live, other.name)
        empty = ParamGroup()
        for index, (mine, theirs) in enumerate(
            zip(one.groups or (empty,), other.groups or (empty,), strict=False)
        ):
            was = {**_words(mine.configured), **_words(mine.current)}
            now = {**_words(theirs.configured), **_words(theirs.current)}
            first_a, first_b = _words(mine.configured), _words(theirs.configured)
            if index == 0:
                was = {**_words(scalars_a), **was}
                now = {**_words(scalars_b), **now}
            for key, value in was.items():
                if key not in now or key in SILENT_SETTINGS or key in several:
                    continue
                setting = _setting(live, other.name, index, key)
                variable = _variable(live, other.name, key) if setting is None else None
                decision = Decision(
                    key if len(other.groups) < 2 else f"{index}/{key}",
                    "checkpoint",
                    value,
                    now[key],
                    value,
                    other.name,
                    index,
                    key,
                    setting,
                    variable,
                    scheduled=(scheduler and (setting.scheduled if setting is not None else False))
                    or _scheduled(live, variable),
                )
                judge(decision, first_a.get(key, value), first_b.get(key, now[key]), plan)
                made.append(decision)
                made += _initial(decision, first_a, live)
    decided = {(decision.optimizer, decision.key) for decision in made}
    return made + [d for d in _by_tensor(stored, live, plan, tensors) if (d.optimizer, d.key) not in decided]


def _by_tensor(
    stored: Catalog, live: LiveCatalog, plan: Plan, tensors: Mapping[str, str]
) -> Iterator[Decision]:
    """One decision for each hyperparameter that is a tensor, by the tensor: several transformations of one optimizer have
    a ``learning_rate`` each (``optax.multi_transform``)."""
    called = _called([n for n in tensors if live[n].role == "hyperparameter"])
    for name, source in tensors.items():
        spec = live[name]
        if spec.role != "hyperparameter" or spec.optimizer is None:
            continue
        value, now = _scalar(stored, source), _scalar(live, name)
        if value is None or now is None:
            continue
        decision = Decision(
            called[name], "checkpoint", value, now, value, spec.optimizer, key=_word(name), variable=name,
            scheduled=_scheduled(live, name),
        )  # fmt: skip
        judge(decision, value, now, plan)
        yield decision


def _called(names: Sequence[str]) -> dict[str, str]:
    """What each is called: its last word, behind the words that others of this last word have otherwise
    (``encoder/learning_rate``)."""
    paths = {name: tuple(re.split("[./]", name)) for name in names}
    found = {}
    for name, path in paths.items():
        others = [other for other in paths.values() if other[-1] == path[-1]]
        own = [word for word in path[:-1] if any(word not in other for other in others)]
        found[name] = "/".join((*own, path[-1]))
    clear = Counter(found.values())
    return {name: short if clear[short] == 1 else name for name, short in found.items()}


def _several(live: LiveCatalog, optimizer: str) -> frozenset[str]:
    """Words that several tensors of one optimizer have."""
    words = Counter(
        _word(s.name) for s in live.values() if s.role == "hyperparameter" and s.optimizer == optimizer
    )
    return frozenset(word for word, count in words.items() if count > 1)


def _word(name: str) -> str:
    """The common word for the hyperparameter that a tensor holds."""
    word = re.split("[./]", name)[-1].lstrip("_")
    return HYPER_WORDS.get(word, word)


def _scheduled(live: LiveCatalog, variable: str | None) -> bool:
    """Whether a schedule inside the optimizer's own state sets the value at each update."""
    return variable is not None and bool(live[variable].attributes.get("scheduled"))


def _initial(decision: Decision, configured: Mapping[str, Any], live: LiveCatalog) -> Iterator[Decision]:
    """The value that a scheduler keeps beside the current one (``initial_lr``) goes with it."""
    if decision.setting is None or decision.take != "checkpoint" or decision.key not in configured:
        return
    front = decision.setting.name.removesuffix(decision.setting.key)
    setting = live.settings.get(f"{front}initial_{decision.setting.key}")
    if setting is not None:
        value = configured[decision.key]
        yield replace(
            decision, name=f"initial_{decision.setting.key}", value=value, stored=value, live=setting.read(),
            key=setting.key, setting=setting,
        )  # fmt: skip


def _words(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters by their common words; ``betas`` apart."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key == "betas" and isinstance(value, (list, tuple)) and len(value) == 2:
            found["beta_1"], found["beta_2"] = value
        elif key != "initial_lr":
            found[HYPER_WORDS.get(key, key)] = value
    return found


def _scalars(catalog: Catalog, optimizer: str) -> dict[str, Any]:
    """Hyperparameters kept as scalar tensors."""
    found = {}
    for spec in catalog.values():
        if spec.role != "hyperparameter" or spec.optimizer != optimizer or spec.shape not in ((), (1,)):
            continue
        value = _scalar(catalog, spec.name)
        if value is not None:
            found[re.split("[./]", spec.name)[-1].lstrip("_")] = value
    return found


def _scalar(catalog: Catalog, name: str) -> Any:
    """The one number of a tensor; ``None`` where it holds several, or cannot be read: damaged, which is told by itself, or
    not made yet."""
    if catalog[name].shape not in ((), (1,)):
        return None
    try:
        values = np.asarray(catalog.read(name)).reshape(-1)
    except HoldfastError:
        return None
    return values[0].item() if values.size == 1 and values.dtype.kind in "fiu" else None


def _setting(live: LiveCatalog, optimizer: str, group: int, key: str) -> Setting | None:
    for setting in live.settings.values():
        if (
            setting.role != "hyperparameter"
            or setting.optimizer != optimizer
            or setting.group not in (None, group)
        ):
            continue
        if HYPER_WORDS.get(setting.key, setting.key) == key or (
            setting.key == "betas" and key in ("beta_1", "beta_2")
        ):
            return setting
    return None


def _variable(live: LiveCatalog, optimizer: str, key: str) -> str | None:
    for spec in live.values():
        if spec.role == "hyperparameter" and spec.optimizer == optimizer:
            word = spec.name.rsplit("/", 1)[-1].lstrip("_")
            if HYPER_WORDS.get(word, word) == key:
                return spec.name
    return None
