"""Values that are no tensors: which of them a restore takes from the checkpoint, and which need a decision.

The checkpoint's hyperparameter wins where a scheduler that is restored too owns the value, or where the values
*configured* at construction agree (the current one then moved during training). A differing configured value
needs a ``hyper:`` edit: loading would silently undo what the person has just changed in the code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._compare.hyperparameters import HYPER_WORDS, same_setting, told
from .._core.catalog import Catalog
from .._core.errors import HoldfastError, PlanError
from .._core.pattern import matches
from .._core.plan import Edit, Plan
from .._core.spec import OptimizerSpec
from .._frameworks import LiveCatalog, Setting

__all__ = [
    "Decision",
    "decide_settings",
    "foreign_values",
    "judge",
    "paired_optimizers",
    "shown",
    "values_of",
]

NO_VALUE = object()


@dataclass(slots=True)
class Decision:
    """What happens to one live value.

    ``take``: ``checkpoint`` (``value`` is set), ``live`` (it stays), ``given`` (a ``hyper:`` edit gives
    ``value``), ``undecided`` (a finding asks for one). ``configured``: whether it is the configured value that
    differs. ``setting`` is how to set it, ``None`` where a variable holds it (``variable``: its live name).
    """

    name: str
    take: str
    value: Any
    live: Any
    stored: Any
    optimizer: str | None = None
    group: int = 0
    key: str = ""
    setting: Setting | None = None
    variable: str | None = None
    scheduled: bool = False

    @property
    def changes(self) -> bool:
        """Whether the live value becomes another one."""
        return self.take in ("checkpoint", "given") and not same_setting(self.value, self.live)


def values_of(stored: Catalog) -> Mapping[str, Any]:
    """The plain values that a checkpoint holds beside its tensors, by path."""
    values = stored.attributes.get("values")
    return values if isinstance(values, Mapping) else {}


_MOVED = frozenset({"dynamic_scale"})
"""What training itself moves from step to step, and nobody configures: the scale of the loss in mixed precision
(``keras/src/optimizers/loss_scale_optimizer.py``)."""


def judge(decision: Decision, stored: Any, live: Any, plan: Plan) -> None:
    """Settle ``take``, by the plan or by what was configured: ``stored`` and ``live``."""
    edit = _edit_for(plan, decision.name)
    if edit is not None:
        decision.take = edit.value if edit.value in ("checkpoint", "live") else "given"
        if decision.take == "checkpoint" and isinstance(stored, Mapping) != isinstance(live, Mapping):
            raise PlanError(
                f"{decision.name} is a schedule on one side and a number on the other: neither becomes the other",
                found=str(edit), expected=f"hyper:{decision.name}=live",
                remedy="Construct the optimizer with what the checkpoint was saved with, or keep the live one.",
            )  # fmt: skip
        if decision.take == "given":
            decision.value = edit.value
    elif decision.optimizer is not None and _no_number(decision.stored) and not _no_number(decision.live):
        decision.take = "undecided"  # one step with it, and every weight is NaN: whatever owns the value
    elif decision.setting is None and decision.variable is None:
        # nothing to set (a constructor's argument): what the code says stays, and must be the same
        decision.take = "live" if same_setting(decision.stored, decision.live) else "undecided"
    elif isinstance(decision.stored, Mapping) != isinstance(decision.live, Mapping):
        decision.take = "undecided"  # a schedule on one side, a number on the other
    elif not decision.scheduled and decision.key not in _MOVED and not same_setting(stored, live):
        decision.take = "undecided"
    if decision.take == "live":
        decision.value = decision.live


def _no_number(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _edit_for(plan: Plan, name: str) -> Edit | None:
    """The last ``hyper:`` edit that covers a name (with or without the group's number)."""
    bare = name.rsplit("/", 1)[-1]
    words = {name, bare, *(w for w, common in HYPER_WORDS.items() if common == bare)}
    found = [e for e in plan if e.kind == "hyper" and any(matches(e.name, word) for word in words)]
    return found[-1] if found else None


# -- schedulers, scalers, counters -----------------------------------------------------------------
_FRONTS = {
    "scheduler": ("scheduler", "lr_scheduler", "lr_schedulers", "sched", "lr_sched"),
    "scaler": ("scaler", "grad_scaler", "amp", "native_amp"),
    "optimizer": ("optimizer", "optim"),
}


def decide_settings(
    stored: Catalog, live: LiveCatalog, plan: Plan, pairs: Sequence[tuple[OptimizerSpec, OptimizerSpec]] = ()
) -> tuple[list[Decision], dict[str, list[str]]]:
    """Decisions for the values of schedulers, scalers and counters; and those that the checkpoint lacks, by
    part. ``pairs``: optimizers that belong together, for numbers that are state of a weight."""
    values = values_of(stored)
    by_live = {other.name: (one, other) for one, other in pairs}
    made: list[Decision] = []
    lacking: dict[str, list[str]] = {}
    for setting in live.settings.values():
        of_optimizer = (
            setting.part == "optimizer" or setting.optimizer is not None
        )  # of several, by the word of each
        if setting.role == "hyperparameter" and of_optimizer and setting.group is not None:
            continue
        if any(e.kind in ("keep-live", "init") and matches(e.name, setting.name) for e in plan):
            continue
        value = _find(values, setting)
        if value is NO_VALUE:
            value = _scalar_of(stored, setting)
        if value is NO_VALUE and setting.optimizer in by_live:
            value = _of_weight(setting, *by_live[setting.optimizer])
        if value is NO_VALUE:
            lacking.setdefault(setting.part, []).append(setting.name)
        else:
            decision = Decision(
                setting.name, "checkpoint", value, setting.read(), value, key=setting.key, setting=setting
            )
            if setting.configured:
                judge(decision, value, decision.live, plan)
            made.append(decision)
    kept = {d.name for d in made if d.take != "undecided" and same_setting(d.value, d.live)}
    changed = {d.name for d in made if d.name in kept and not same_setting(d.stored, d.live)}
    for decision in made:
        if decision.setting is not None and decision.setting.made_from in changed:
            decision.take, decision.value = "live", decision.live
    return made, lacking


_NO_STATE = frozenset({"verbose", "lr_lambdas", "lr_lambda"})
"""Words of a scheduler's state that tell nothing: an option of older versions, and functions, in whose place
``state_dict`` puts ``None`` (torch/optim/lr_scheduler.py, ``LambdaLR.state_dict``)."""


def foreign_values(stored: Catalog, live: LiveCatalog, plan: Plan) -> list[str]:
    """Values of the checkpoint's scheduler for which the live one has no place: a scheduler of another class. Private
    words come and go with versions of torch and say nothing."""
    values = values_of(stored)
    mine = [s for s in live.settings.values() if s.part == "scheduler"]
    fronts: dict[str, set[str]] = {}
    for setting in mine:
        for name in (setting.name, *setting.aliases):
            if name in values and setting.key and name.endswith(setting.key):
                fronts.setdefault(name[: -len(setting.key)], set()).add(setting.key.split("/", 1)[0])
    known = {s.key.split("/", 1)[0] for s in mine}
    found: dict[str, None] = {}
    for front, used in fronts.items():
        if not front or "last_epoch" not in used:
            continue
        for name in values:
            word = name[len(front) :].split("/", 1)[0] if name.startswith(front) else ""
            if word and word not in known and not word.startswith("_") and word not in _NO_STATE:
                found[front + word] = None
    dropped = [e.name for e in plan if e.kind == "drop"]
    return [name for name in found if not any(matches(pattern, name) for pattern in dropped)]


def _find(values: Mapping[str, Any], setting: Setting) -> Any:
    for name in (setting.name, *setting.aliases):
        if name in values:
            return values[name]
    head, _, rest = setting.name.partition("/")
    if not rest:
        return NO_VALUE
    found = [
        value
        for name, value in values.items()
        if name.endswith("/" + rest) and _is_front(name[: -len(rest) - 1], setting.part or head)
    ]
    return found[0] if len(found) == 1 else NO_VALUE


def _scalar_of(stored: Catalog, setting: Setting) -> Any:
    """A plain number of the live side that the file keeps as a tensor of one element (``step`` of a flax train state in
    safetensors or npz)."""
    for name in (setting.name, *setting.aliases):
        if name in stored and stored[name].shape in ((), (1,)):
            try:
                return np.asarray(stored.read(name)).reshape(-1)[0].item()
            except HoldfastError:
                return NO_VALUE  # damaged, which is told by itself
    return NO_VALUE


def _of_weight(setting: Setting, one: OptimizerSpec, other: OptimizerSpec) -> Any:
    """A number kept beside the slots of a weight (``optimizer/state/0/n_iter``), by the weight where both know theirs,
    else by the position."""
    position, _, word = setting.name.removeprefix(f"{other.name}/state/").partition("/")
    values = one.attributes.get("values")
    if not position.isdigit() or not isinstance(values, Mapping) or word not in values:
        return NO_VALUE
    here, there = ([n for g in o.groups for n in g.owners] for o in (one, other))
    if here and int(position) < len(there):
        if there[int(position)] not in here:
            return NO_VALUE
        position = str(here.index(there[int(position)]))
    value = values[word]
    return value.get(position, NO_VALUE) if isinstance(value, Mapping) else value


def _is_front(front: str, part: str) -> bool:
    """Whether the words before a value name that part (``lr_scheduler_state_dict``, ``lr_schedulers/0``)."""
    words = [w for w in front.split("/") if not w.isdigit()]
    last = words[-1] if words else ""
    for ending in ("_state_dict", "_state"):
        last = last.removesuffix(ending)
    return last in _FRONTS.get(part, (part,))


def shown(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, Mapping):
        return _schedule(value) or str(value)
    value = told(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return str(value)


def _schedule(value: Mapping[str, Any]) -> str | None:
    """A serialised Keras object as the code that makes it (``keras/src/saving/serialization_lib.py``):
    ``CosineDecay(initial_learning_rate=0.001, decay_steps=100)``."""
    kind, config = value.get("class_name"), value.get("config")
    if not isinstance(kind, str) or not isinstance(config, Mapping):
        return None
    return f"{kind}({', '.join(f'{k}={shown(v)}' for k, v in config.items() if k != 'name')})"


def paired_optimizers(
    stored: Sequence[OptimizerSpec], live: Sequence[OptimizerSpec]
) -> Iterator[tuple[OptimizerSpec, OptimizerSpec]]:
    """Optimizers that belong together: the only ones, or those of one name."""
    if len(stored) == 1 and len(live) == 1:
        yield stored[0], live[0]
        return
    there = {o.name: o for o in live}
    yield from ((o, there[o.name]) for o in stored if o.name in there)
