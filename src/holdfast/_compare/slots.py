"""Slots side by side: which state of which weight is which, across frameworks, and what one side lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._core.catalog import Catalog
from .._core.difference import Difference
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import OptimizerSpec, TensorSpec
from .._core.words import plural
from .names import segments
from .optimizers import KERAS_DIALECTS, plain_class
from .pool import Pool

__all__ = ["match_slots", "slot_differences", "slot_meaning"]

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
            kind = plain_class(_optimizer_of(catalog, spec.optimizer)) or plain_class(
                _optimizer_of(b if catalog is a else a, spec.optimizer)
            )  # a side that does not tell its class (a record of optax's state) uses the other's words
            meaning = slot_meaning(spec.slot or segments(spec.name)[-1], kind)
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
    if a.optimizers and b.optimizers:
        _match_own_scalars(pool, single=len(a.optimizers) == len(b.optimizers) == 1)


def _match_own_scalars(pool: Pool, *, single: bool) -> None:
    """Step count, learning rate and the like of Keras optimizers, by the word that any of their names ends with: of the only
    one, else of each (paired before, and called alike on both sides)."""

    def words(specs: Mapping[str, TensorSpec]) -> dict[tuple[str | None, str, str], list[str]]:
        found: dict[tuple[str | None, str, str], list[str]] = {}
        for spec in specs.values():
            if (
                spec.owner is None
                and (single or spec.optimizer is not None)
                and spec.role in ("counter", "hyperparameter")
                and spec.dialect in KERAS_DIALECTS
            ):
                whose = None if single else spec.optimizer
                names = {n.partition("/.ATTRIBUTES/")[0] for n in (spec.name, spec.key, *spec.aliases)}
                for holder, end in {("", *segments(n))[-2:] for n in names}:
                    word = _SAME_WORD.get(end.lstrip("_"), end.lstrip("_"))
                    for key in ((whose, re.sub(r"_\d+$", "", holder), word), (whose, "", word)):
                        if not word.isdecimal() and spec.name not in found.setdefault(key, []):
                            found[key].append(spec.name)
        return found

    here, there = words(pool.a), words(pool.b)
    # with the object that holds it first: a loss scale wrapper and its inner optimizer both count
    for key in sorted(here, key=lambda key: not key[1]):
        left = [name for name in here[key] if name in pool.a]
        right = [name for name in there.get(key, ()) if name in pool.b]
        if len(left) == 1 and len(right) == 1:
            pool.take(left[0], right[0], "owner")


_SAME_WORD = {"iterations": "iteration", "iter": "iteration"}


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
                if code_edit == "drop" and (
                    code != "O205" or counterparts.get(spec.owner or "") != spec.owner
                ):
                    edit = Edit("drop", (escape(spec.name),))
                else:
                    edit = _made_anew(code, spec)
                yield Difference(
                    code,
                    spec.name if side == "a" else None,
                    spec.name if side == "b" else None,
                    message,
                    {"slot": slot, "owner": spec.owner, "shape": list(spec.shape)},
                    edit,
                )


def _made_anew(code: str, spec: TensorSpec) -> Edit:
    """What settles a slot that the live optimizer keeps and the checkpoint lacks: where the checkpoint has the weight's other
    slots, this one alone begins at its initial value (amsgrad, momentum, centering switched on)."""
    if code == "O204" and spec.owner is not None:
        return Edit("keep-live", (escape(spec.name),))
    return Edit("reset-slots", (escape(spec.owner or spec.name),))


def _left_counters(pool: Pool) -> Iterator[Difference]:
    """Counts of an optimizer as a whole that one side lacks; those of a weight are told with its slots."""
    for free, code in ((pool.b, "T201"), (pool.a, "T202")):
        for spec in free.values():
            if spec.role != "counter" or spec.owner is not None or spec.dialect not in KERAS_DIALECTS:
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
