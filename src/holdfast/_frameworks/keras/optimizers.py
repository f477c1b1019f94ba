"""The variables of a live Keras optimizer: which is which, of which weight; and those it has still to make.

Sources: ``keras/src/optimizers/base_optimizer.py`` (``build``, ``add_variable_from_reference``,
``save_own_variables``), ``loss_scale_optimizer.py``, and the ``build`` of each class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..._core.errors import HoldfastError, UsageError
from ..._core.spec import OptimizerSpec, ParamGroup, Role
from ..live import Setting
from . import values

__all__ = [
    "OwnVariable",
    "configured",
    "initial_of",
    "inner_of",
    "optimizer_spec",
    "own_variables",
    "settings",
]

_NOT_STATE = frozenset({"_variables", "_trainable_variables", "_tracker", "_lock"})
_LISTS: Mapping[str, tuple[Role, str]] = {
    "_model_variables_moving_average": ("average", "average"),
    "_accumulated_gradients": ("gradient", "gradient_accumulator"),
    "_r": ("slot", "r"),
    "_c": ("slot", "c"),
    "_v": ("slot", "velocity"),
}
"""Lists whose variables do not bear a slot's name (Adafactor), or are no slots."""


@dataclass(slots=True)
class OwnVariable:
    """One variable of an optimizer. ``index`` is its place in the file (``optimizer/vars/<index>``), ``None``
    where Keras does not save it; ``owner`` the weight (as the optimizer holds it); ``variable`` is ``None``
    for one that the optimizer makes with its first step."""

    variable: Any
    role: Role
    slot: str | None
    owner: Any
    index: int | None
    path: str


def inner_of(optimizer: Any) -> Any:
    """The optimizer that computes the update: the one inside a ``LossScaleOptimizer``, or itself."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return inner if inner is not None else optimizer


def own_variables(optimizer: Any) -> Iterator[OwnVariable]:
    """All variables that the optimizer has made, in stored order, then those that are not stored."""
    place = {id(variable): index for index, variable in enumerate(optimizer.variables)}
    chain = [optimizer] if inner_of(optimizer) is optimizer else [optimizer, inner_of(optimizer)]
    told: dict[int, tuple[Role, str | None, Any, Any]] = {}
    for one in chain:
        for variable, role, slot, owner in _told_by(one):
            told.setdefault(id(variable), (role, slot, owner, variable))
    for variable in optimizer.variables:
        role, slot, owner, _ = told.get(id(variable), ("other", None, None, None))
        path = _path(variable, optimizer)
        if role == "slot" and not path.endswith(
            str(slot)
        ):  # Adafactor calls its factors by the weight's last word
            path = f"{path.rpartition('/')[0]}/{_flat(owner)}_{slot}"
        yield OwnVariable(variable, role, slot, owner, place[id(variable)], path)
    for mark, (role, slot, owner, variable) in told.items():
        if mark not in place:
            yield OwnVariable(variable, role, slot, owner, None, str(variable.path))


def initial_of(optimizer: Any, own: OwnVariable) -> dict[str, Any]:
    """The value at which Keras makes a state variable, where that is not zero (``{"initial": ...}``): Adagrad's and
    Ftrl's accumulator, Nadam's product of momenta."""
    inner = inner_of(optimizer)
    value = getattr(inner, "initial_accumulator_value", None)
    if own.slot == "accumulator" and isinstance(value, (int, float)):
        return {"initial": float(value)}
    return {"initial": 1.0} if own.path.endswith("/u_product") else {}


def _path(variable: Any, optimizer: Any) -> str:
    """The variable's path; Nadam's product of momenta, which has none of its own (``nadam/variable_3``), by the
    word under which a ``tf.train.Checkpoint`` stores it."""
    if variable is getattr(inner_of(optimizer), "_u_product", None):
        return f"{inner_of(optimizer).name}/u_product"
    return str(variable.path)


def _told_by(optimizer: Any) -> Iterator[tuple[Any, Role, str | None, Any]]:
    """What an optimizer's own attributes tell of its variables."""
    yield optimizer._iterations, "counter", None, None
    if _is_variable(optimizer._learning_rate):
        yield optimizer._learning_rate, "hyperparameter", None, None
    weights = list(optimizer._trainable_variables)
    for name, value in vars(optimizer).items():
        if name in _NOT_STATE:
            continue
        if _is_variable(value):
            counts = name.strip("_") in ("iterations", "step_counter", "u_product")
            yield value, "counter" if counts else "hyperparameter", None, None
        elif isinstance(value, (list, tuple)) and len(value) == len(weights):
            for variable, weight in zip(value, weights, strict=True):
                if _is_variable(variable):
                    role, word = _LISTS.get(name, ("slot", ""))
                    yield variable, role, word or _slot_word(variable, weight, name), weight
    named = {_flat(weight): weight for weight in weights}
    for variable in optimizer._variables:
        # state that a user's own class keeps otherwise still bears its weight's name
        word = str(variable.name)
        for cut in (at for at, letter in enumerate(word) if letter == "_"):
            if word[:cut] in named:
                yield variable, "slot", word[cut + 1 :], named[word[:cut]]


def _is_variable(value: Any) -> bool:
    return isinstance(value, keras.Variable)


def _flat(weight: Any) -> str:
    return str(getattr(weight, "path", None) or weight.name.split(":")[0]).replace("/", "_")


def _slot_word(variable: Any, weight: Any, attribute: str) -> str:
    flat = f"{_flat(weight)}_"
    name = str(variable.name)
    if name.startswith(flat):
        return name[len(flat) :]
    word = attribute.strip("_")
    return {"velocities": "velocity"}.get(word, word.removesuffix("s"))


def configured(optimizer: Any) -> dict[str, Any]:
    """The optimizer's configuration as Keras writes it to a file, without its name; a schedule of the learning
    rate as ``{"class_name", "config", ...}``."""
    config = dict(inner_of(optimizer).get_config())
    config.pop("name", None)
    schedule = inner_of(optimizer)._learning_rate
    if not _is_variable(schedule) and isinstance(config.get("learning_rate"), Mapping):
        config["learning_rate"] = dict(config["learning_rate"])
    return config


def scalar(variable: Any) -> Any:
    """The value of a scalar variable as a Python number, or ``None``."""
    try:
        return values.read(variable).reshape(()).item()
    except (HoldfastError, ValueError):
        return None


def optimizer_spec(
    optimizer: Any, name: str, owners: tuple[str, ...], slots: tuple[str, ...], **attributes: Any
) -> OptimizerSpec:
    """The optimizer as the catalog tells it. ``owners``: names of the weights in the order in which it holds
    them."""
    inner = inner_of(optimizer)
    current = {}
    if _is_variable(inner._learning_rate):
        current["learning_rate"] = scalar(inner._learning_rate)
    if inner is not optimizer:
        attributes["wrapper"] = type(optimizer).__name__
        scale = getattr(optimizer, "dynamic_scale", None)
        first = getattr(optimizer, "initial_scale", None)
        if _is_variable(scale) or first is not None:
            current["dynamic_scale"] = scalar(scale) if _is_variable(scale) else first
    step = scalar(inner._iterations)
    return OptimizerSpec(
        name,
        class_name=type(inner).__name__,
        groups=(ParamGroup(owners=owners, configured=configured(optimizer), current=current),),
        slots=slots,
        step=int(step) if step is not None else None,
        attributes=attributes,
    )


# -- settings ------------------------------------------------------------------------------------------------
_SCHEDULES = "keras.optimizers.schedules"
_KEEPS_STATE = frozenset({"use_ema", "gradient_accumulation_steps", "amsgrad", "centered", "momentum"})
"""Options for which ``build`` makes variables, unless they are none, 0 or false."""


def settings(
    optimizer: Any, part: str, spec_name: str, changed: Callable[[], None] = lambda: None
) -> list[Setting]:
    """The hyperparameters that are plain values (``beta_1``, ``epsilon``, ``weight_decay`` ...) and a schedule of
    the learning rate. ``changed`` is called after each write: compiled steps hold these values as constants."""
    inner = inner_of(optimizer)
    found: list[Setting] = []
    for key, value in configured(optimizer).items():
        if key == "learning_rate":
            if not _is_variable(inner._learning_rate):
                found.append(_schedule(inner, part, spec_name, changed))
        elif hasattr(inner, key) and (value is None or isinstance(value, (bool, int, float, str))):
            found.append(_plain(inner, key, part, spec_name, changed))
    return found


def _plain(inner: Any, key: str, part: str, spec_name: str, changed: Callable[[], None]) -> Setting:
    def read() -> Any:
        return getattr(inner, key)

    def write(value: Any) -> None:
        if key in _KEEPS_STATE and bool(value) is not bool(read()):
            raise UsageError(
                f"{key} decides what state the optimizer keeps: it cannot become another one afterwards",
                tensor=f"{part}/{key}",
                found=f"hyper:{key}, which gives {value}",
                expected=f"hyper:{key}=live, which is {read()}",
                remedy=f"Construct the optimizer with {key}={value}, as when the checkpoint was saved, or keep the live one.",
            )
        setattr(inner, key, value.item() if isinstance(value, np.generic) else value)
        changed()

    return Setting(
        f"{part}/{key}", "hyperparameter", read, write, part, optimizer=spec_name, group=0, key=key
    )


def _schedule(inner: Any, part: str, spec_name: str, changed: Callable[[], None]) -> Setting:
    def read() -> Any:
        return configured(inner)["learning_rate"]

    def write(value: Any) -> None:
        name = str(value.get("class_name")) if isinstance(value, Mapping) else ""
        own = isinstance(value, Mapping) and str(value.get("module") or _SCHEDULES).startswith("keras")
        kind: Any = getattr(keras.optimizers.schedules, name, None) if own else None
        if not hasattr(kind, "from_config") or not isinstance(value.get("config"), Mapping):
            raise UsageError(
                "only a schedule of Keras's own can be set from a checkpoint",
                tensor=f"{part}/learning_rate",
                found=str(value)[:120],
                expected="a mapping with class_name and config of keras.optimizers.schedules",
                remedy="Make the schedule in your code, as it was when the checkpoint was saved.",
            )
        inner._learning_rate = kind.from_config(dict(value["config"]))
        changed()

    return Setting(
        f"{part}/learning_rate",
        "hyperparameter",
        read,
        write,
        part,
        optimizer=spec_name,
        group=0,
        key="learning_rate",
        scheduled=True,
    )
