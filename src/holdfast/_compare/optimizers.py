"""Optimizers side by side: which state is which, classes, groups, hyperparameters, order."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import OptimizerSpec, ParamGroup, TensorSpec
from .._core.words import plural
from .._facts.optimizers import KERAS_SLOTS
from .names import segments
from .pool import Pool

__all__ = [
    "HYPER_WORDS",
    "SILENT_SETTINGS",
    "belongs_to_optimizer",
    "class_by_name",
    "match_slots",
    "optimizer_differences",
    "same_setting",
    "slot_differences",
    "slot_meaning",
    "told",
]

_ADAM = {
    **dict.fromkeys(("m", "momentum", "exp_avg", "Adam", "mu"), "first moment"),
    **dict.fromkeys(("v", "velocity", "exp_avg_sq", "Adam_1", "nu"), "second moment"),
    **dict.fromkeys(("vhat", "velocity_hat", "max_exp_avg_sq"), "largest second moment"),
}
_MEANINGS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("adam", "adamw", "nadam", "lamb", "radam", "sparseadam", "adamax"), _ADAM),
    "sgd": dict.fromkeys(("m", "momentum", "momentum_buffer", "Momentum", "moment", "trace"), "momentum"),
    "rmsprop": {
        **dict.fromkeys(("velocity", "rms", "square_avg", "RMSProp", "accumulator"), "mean square"),
        **dict.fromkeys(("momentum", "momentum_buffer", "RMSProp_1"), "momentum"),
        **dict.fromkeys(("average_gradient", "mg", "grad_avg", "RMSProp_2"), "mean gradient"),
    },
    "adagrad": dict.fromkeys(("accumulator", "sum", "Adagrad"), "sum of squares"),
}
"""Optimizer class -> its slots in each framework's words -> what they are. Sources: ``build`` of
keras/src/optimizers/*.py, ``_create_slots`` of keras/optimizer_v2/*.py, the state keys of torch/optim/*.py,
and tensorflow/python/training/*.py (slot names are the operation's name, then _1, _2)."""

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


def belongs_to_optimizer(spec: TensorSpec) -> bool:
    """Whether a tensor is part of an optimizer's state rather than of the model."""
    return spec.role == "slot" or (
        spec.optimizer is not None and spec.role in ("counter", "hyperparameter", "other")
    )


def plain_class(optimizer: OptimizerSpec | None) -> str | None:
    """The class in lower case without package and decoration, the likely one where the file does not tell."""
    name = (optimizer.class_name or optimizer.class_likely) if optimizer else None
    return None if name is None else name.replace(">", ".").rsplit(".", 1)[-1].lower()


def slot_meaning(slot: str | None, class_name: str | None) -> str:
    """What a slot is, across frameworks; its own name where the class or the slot is unknown."""
    slot = slot or ""
    return _MEANINGS.get(class_name or "", {}).get(slot, slot)


def _optimizer_of(catalog: Catalog, name: str | None) -> OptimizerSpec | None:
    if len(catalog.optimizers) == 1:
        return catalog.optimizers[0]
    return next((o for o in catalog.optimizers if o.name == name), None)


def _owner_in(to_b: Mapping[str, str], owner: str, a: Catalog, b: Catalog) -> str | None:
    """B's name of a slot's owner. State placed by its position bears B's name of the weight from the start."""
    name = to_b.get(owner)
    return owner if name is None and owner not in a and owner in b else name


def match_slots(pool: Pool, a: Catalog, b: Catalog, to_b: Mapping[str, str]) -> None:
    """Pair free slots by their owner and meaning. ``to_b``: names of A's tensors -> B's."""

    def keys(
        specs: Mapping[str, TensorSpec], catalog: Catalog, names: Mapping[str, str] | None
    ) -> dict[Any, list[str]]:
        single = len(a.optimizers) <= 1 and len(b.optimizers) <= 1
        found: dict[Any, list[str]] = {}
        for spec in specs.values():
            if spec.owner is None:
                continue
            owner = spec.owner if names is None else _owner_in(names, spec.owner, a, b)
            if owner is None:
                continue
            # PyTorch keeps a step count per weight; it is state of that weight like any slot
            meaning = slot_meaning(
                spec.slot or segments(spec.name)[-1], plain_class(_optimizer_of(catalog, spec.optimizer))
            )
            found.setdefault((None if single else spec.optimizer, owner, meaning), []).append(spec.name)
        return found

    for name in [name for name in pool.b if name in pool.a]:
        one, other = pool.a[name], pool.b[name]
        owner = None if one.owner is None else to_b.get(one.owner) or _owner_in(to_b, one.owner, a, b)
        if owner == other.owner and one.slot == other.slot:
            pool.take(name, name, "name")
    claims: dict[str, list[str]] = {}
    for other in pool.b.values():
        for name in {other.key, *other.aliases} & pool.a.keys():
            one = pool.a[name]
            owner = None if one.owner is None else _owner_in(to_b, one.owner, a, b)
            if owner == other.owner and one.slot == other.slot and one.shape == other.shape:
                claims.setdefault(name, []).append(other.name)
    for name, others in claims.items():
        if len(others) == 1 and others[0] in pool.b:
            pool.take(name, others[0], "alias")
    here = keys(pool.a, a, to_b)
    there = keys(pool.b, b, None)
    for key, left in here.items():
        right = there.get(key, ())
        if len(left) == 1 and len(right) == 1:
            pool.take(left[0], right[0], "owner")
    if len(a.optimizers) == len(b.optimizers) == 1:
        _match_own_scalars(pool)


def _match_own_scalars(pool: Pool) -> None:
    """Step count, learning rate and the like of the only Keras optimizer, by the word that any of their names ends
    with."""

    def words(specs: Mapping[str, TensorSpec]) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for spec in specs.values():
            if spec.owner is None and spec.role in ("counter", "hyperparameter") and spec.dialect in _KERAS:
                names = {n.partition("/.ATTRIBUTES/")[0] for n in (spec.name, spec.key, *spec.aliases)}
                for holder, end in {("", *segments(n))[-2:] for n in names}:
                    word = _SAME_WORD.get(end.lstrip("_"), end.lstrip("_"))
                    for key in ((re.sub(r"_\d+$", "", holder), word), ("", word)):
                        if not word.isdecimal() and spec.name not in found.setdefault(key, []):
                            found[key].append(spec.name)
        return found

    here, there = words(pool.a), words(pool.b)
    # with the object that holds it first: a loss scale wrapper and its inner optimizer both count
    for key in sorted(here, key=lambda key: not key[0]):
        left = [name for name in here[key] if name in pool.a]
        right = [name for name in there.get(key, ()) if name in pool.b]
        if len(left) == 1 and len(right) == 1:
            pool.take(left[0], right[0], "owner")


_KERAS = frozenset({"keras", "tensorflow"})
_SAME_WORD = {"iterations": "iteration", "iter": "iteration"}


def class_by_name(catalog: Catalog, optimizer: OptimizerSpec) -> str | None:
    """The class in lower case that the name of a Keras optimizer tells, where the file does not record the class:
    Keras calls it after its class (``adamw_1``), and its variables after it (``adamw_1/iteration``)."""
    words = [optimizer.name]
    for spec in catalog.values():
        if spec.optimizer == optimizer.name and spec.role == "counter" and spec.dialect in _KERAS:
            words += segments(spec.name)[-2:-1]
    known = {name.lower() for name in KERAS_SLOTS}
    stems = [re.sub(r"_\d+$", "", word).replace("_", "").lower() for word in words]
    return next((stem for stem in stems if stem in known), None)


def slot_differences(
    pool: Pool, a: Catalog, b: Catalog, to_b: Mapping[str, str], settled: set[str]
) -> Iterator[Difference]:
    """What is left of slots and of the optimizers' own counters once pairs are made.

    ``settled``: owners (of either side) that are themselves missing, left over or ambiguous; their slots
    follow them.
    """
    has_a, has_b = (bool(c.optimizers) or "slot" in {s.role for s in c.values()} for c in (a, b))
    if has_a != has_b:
        names = tuple(pool.b if has_b else pool.a)
        where, code = ("B", "O201") if has_b else ("A", "O202")
        other = "A" if has_b else "B"
        optimizers = (b if has_b else a).optimizers
        title = (
            ", ".join(filter(None, (o.class_name or o.class_likely for o in optimizers))) or "an optimizer"
        )
        message = f"{where} has optimizer state ({title}, {plural(len(names), 'tensor')}), {other} has none"
        yield Difference(
            code,
            None if has_b else "optimizer",
            "optimizer" if has_b else None,
            message,
            {"tensors": len(names), "classes": [o.class_name or o.class_likely for o in optimizers]},
            Edit("reset-slots", ("*",)) if has_b else None,
            related=names,
        )
        return
    yield from _left_counters(pool)
    back = {name: own for own, name in to_b.items()}
    for side, free, code_edit in (("a", pool.a, "drop"), ("b", pool.b, "reset-slots")):
        groups: dict[tuple[str, str], list[TensorSpec]] = {}
        owners_other = {s.owner for s in (b if side == "a" else a).values() if s.role == "slot" and s.owner}
        counterparts = to_b if side == "a" else back
        for spec in free.values():
            if spec.role != "slot" or (spec.owner and spec.owner in settled):
                continue
            counterpart = counterparts.get(spec.owner) if spec.owner else None
            owned = spec.owner is not None and counterpart is not None
            code = "O205" if owned and owners_other and counterpart not in owners_other else "O204"
            groups.setdefault((code, spec.slot or "?"), []).append(spec)
        for (code, slot), specs in groups.items():
            owners = sorted({s.owner for s in specs if s.owner})
            here, there = ("A", "B") if side == "a" else ("B", "A")
            what = (
                f"slot {slot!r} of {plural(len(specs), 'weight')}"
                if owners
                else f"{plural(len(specs), 'slot')} {slot!r} without known owner"
            )
            if code == "O205":
                message = f"{what} is in {here}; in {there} these weights have no optimizer state"
            else:
                message = f"{what} is in {here} and not in {there}"
            for spec in specs:
                if code_edit == "drop":
                    edit = Edit("drop", (escape(spec.name),))
                else:
                    edit = Edit("reset-slots", (escape(spec.owner or spec.name),))
                yield Difference(
                    code,
                    spec.name if side == "a" else None,
                    spec.name if side == "b" else None,
                    message,
                    {"slot": slot, "owner": spec.owner, "shape": list(spec.shape)},
                    edit,
                )


def _left_counters(pool: Pool) -> Iterator[Difference]:
    """Counts of an optimizer as a whole that one side lacks; those of a weight are told with its slots."""
    for free, code in ((pool.b, "T201"), (pool.a, "T202")):
        for spec in free.values():
            if spec.role != "counter" or spec.owner is not None or spec.dialect not in _KERAS:
                continue
            if code == "T201" and not spec.attributes.get("virtual"):
                continue  # a restore tells that by itself, of every framework
            here, there = ("B", "A") if code == "T201" else ("A", "B")
            yield Difference(
                code,
                None if code == "T201" else spec.name,
                spec.name if code == "T201" else None,
                f"the optimizer's {spec.name} is in {here} and not in {there}",
                {"shape": list(spec.shape), "dtype": spec.dtype, "role": spec.role},
                Edit("keep-live" if code == "T201" else "drop", (escape(spec.name),)),
            )


# -- the optimizers themselves ---------------------------------------------------------------------
def _paired(a: Catalog, b: Catalog) -> list[tuple[OptimizerSpec, OptimizerSpec]]:
    if len(a.optimizers) == 1 and len(b.optimizers) == 1:
        return [(a.optimizers[0], b.optimizers[0])]
    there = {o.name: o for o in b.optimizers}
    return [(o, there[o.name]) for o in a.optimizers if o.name in there]


def optimizer_differences(
    a: Catalog, b: Catalog, to_b: Mapping[str, str], values: Mapping[tuple[str, str], Any]
) -> Iterator[Difference]:
    """Class, step, groups, order and hyperparameters of optimizers that both sides have.

    ``values``: numbers read from tensors, by (side, hyperparameter), for files that keep them as tensors
    only.
    """
    for one, other in _paired(a, b):
        class_a, class_b = plain_class(one), plain_class(other)
        if one.class_name and other.class_name and class_a != class_b:
            yield Difference(
                "O203",
                one.name,
                other.name,
                f"the optimizer is {one.class_name} in A and {other.class_name} in B",
                {"a": one.class_name, "b": other.class_name},
                Edit("reset-slots", ("*",)),
            )
        step_a = one.step if one.step is not None else values.get(("a", "step"))
        step_b = other.step if other.step is not None else values.get(("b", "step"))
        if step_a is not None and step_b is not None and step_a != step_b:
            yield Difference(
                "O208",
                one.name,
                other.name,
                f"the optimizer has made {step_a} updates in A and {step_b} in B",
                {"a": step_a, "b": step_b},
                Edit("hyper", ("step",), value="live"),
            )
        yield from _groups(one, other, to_b)
        yield from _hyperparameters(one, other, values)


def _groups(one: OptimizerSpec, other: OptimizerSpec, to_b: Mapping[str, str]) -> Iterator[Difference]:
    if not one.groups or not other.groups:
        return
    if len(one.groups) != len(other.groups):
        # a Keras optimizer has one group by nature; a file that tells of none has not fewer
        yield Difference(
            "O206",
            one.name,
            other.name,
            f"{len(one.groups)} parameter groups in A, {len(other.groups)} in B",
            {"a": len(one.groups), "b": len(other.groups)},
        )
        return
    owners_a = [tuple(to_b.get(n, n) for n in g.owners) for g in one.groups]
    owners_b = [g.owners for g in other.groups]
    if not all(owners_a) or not all(owners_b):
        sizes_a = [len(g.owners) or len(g.positions) for g in one.groups]
        sizes_b = [len(g.owners) or len(g.positions) for g in other.groups]
        if all(sizes_a) and all(sizes_b) and sizes_a != sizes_b:
            yield Difference(
                "O206",
                one.name,
                other.name,
                f"parameter groups of {sizes_a} weights in A, of {sizes_b} in B",
                {"a": sizes_a, "b": sizes_b},
            )
        return
    if [set(g) for g in owners_a] != [set(g) for g in owners_b]:
        moved = sorted(set().union(*owners_a) ^ set().union(*owners_b)) or sorted(
            {n for x, y in zip(owners_a, owners_b, strict=True) for n in set(x) ^ set(y)}
        )
        yield Difference(
            "O206",
            one.name,
            other.name,
            f"other weights are in the parameter groups: {', '.join(moved[:5])}"
            + (" …" if len(moved) > 5 else ""),
            {"weights": moved[:50], "count": len(moved)},
        )
    elif owners_a != owners_b:
        crossed = [
            (x, y)
            for g, h in zip(owners_a, owners_b, strict=True)
            for x, y in zip(g, h, strict=False)
            if x != y
        ]
        yield Difference(
            "O209",
            one.name,
            other.name,
            f"the optimizer lists {len(crossed)} weights in another order; its state is kept by position",
            {"first": list(crossed[0]), "count": len(crossed)},
        )


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


def _hyperparameters(
    one: OptimizerSpec, other: OptimizerSpec, values: Mapping[tuple[str, str], Any]
) -> Iterator[Difference]:
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
