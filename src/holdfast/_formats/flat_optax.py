"""optax states told by their paths: which entry of a file is what.

Files of safetensors and npz hold names, shapes and bytes alone; a pickle names the classes of the states as well, so
that it is known where the state begins.

People flatten ``{"params": ..., "opt_state": ...}`` with ``flax.traverse_util.flatten_dict`` (of
``flax.serialization.to_state_dict``) and write the arrays. The path tells it all: behind ``opt_state`` stands the
place in the chain, then the field of the state tuple (``mu``), then the weight's own path. Nothing is taken for
optimizer state without such a word in front, a field that optax has, and weights in the same file that the
field mirrors in path and shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._core.spec import OptimizerSpec, ParamGroup, TensorSpec
from .._facts.optax_states import (
    CONTAINERS,
    ELEMENTWISE,
    FACTORED,
    GRADIENTS,
    HYPERPARAMETERS,
    role_of_field,
    state_with,
)
from .._facts.optax_trees import Field, Place, Weights, Words

__all__ = ["optax_state"]

Member = tuple[TensorSpec, Words]
"""A tensor, and its path inside an optimizer's state."""

_ROOTS = frozenset({"opt_state", "opt_states", "optimizer_state", "optimizer", "optim", "opt"})
_FIELDS = ELEMENTWISE | {name for _, name in FACTORED}
_INNER = (
    _FIELDS
    | HYPERPARAMETERS
    | {"inner_state", "inner_states", "inner_opt_state", "base_optimizer_state", "fast_state", "opt_state"}
    | {"hyperparams_states", "count", "mini_step", "gradient_step", "skip_state", "rng_key", "key", "step"}
    | {"notfinite_count", "last_finite", "total_notfinite", "steps_since_sync", "scale", "weight_sum"}
    | {"step_count", "step_size", "max_lr", "b1", "t", "n", "g", "m", "v", "value", "learning_rate", "info"}
)
"""Fields of state tuples that a path inside a state can begin with (optax 0.2.8): no optimizer's name."""
_SURE_ROOTS = frozenset({"opt_state", "opt_states", "optimizer_state"})
_SURE_FIELDS = frozenset({"count", "gradient_step", "mini_step", "rng_key"}) | HYPERPARAMETERS
"""Under a root that only optax's users write, these are optimizer state even where no field mirrors weights."""
_SEEN = re.compile(r"(?:^|[./])(?:" + "|".join(sorted(_ROOTS)) + r")[./]")
_CLASSES: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"z"}), "ScheduleFree"),
    (frozenset({"mu", "nu", "nu_max"}), "AMSGrad"),
    (frozenset({"mu", "nu"}), "Adam"),
    (frozenset({"v_row", "v_col"}), "Adafactor"),
    (frozenset({"e_g", "e_x"}), "Adadelta"),
    (frozenset({"sum_of_squares"}), "Adagrad"),
    (frozenset({"nu"}), "RMSprop"),
    (frozenset({"mu"}), "Lion"),
    (frozenset({"trace"}), "SGD"),
)
"""Fields -> the class they suggest, the first that is there counts (AdamW keeps Adam's)."""


def optax_state(
    specs: Iterable[TensorSpec], roots: Iterable[str] = ()
) -> tuple[list[TensorSpec], tuple[OptimizerSpec, ...]]:
    """The specs with roles, owners and slots of optax state, and its optimizers; unchanged where there is none.
    ``roots``: names below which state is known to lie."""
    given = list(specs)
    told = {tuple(filter(None, root.split("/"))) for root in roots}
    if not told and not any(_SEEN.search(spec.name) for spec in given):
        return given, ()
    areas: dict[Words, list[Member]] = {}
    weights: dict[str, Words] = {}
    for spec in given:
        words = tuple(spec.name.split("/" if "/" in spec.name else "."))
        known = next((root for root in told if words[: len(root)] == root), None)
        root = next((at for at, word in enumerate(words[:3]) if word in _ROOTS), None)
        if known is not None:
            areas.setdefault(known, []).append((spec, words[len(known) :]))
        elif root is None:
            if spec.role == "weight":
                weights[spec.name] = words
        else:
            areas.setdefault(words[: root + 1], []).append((spec, words[root + 1 :]))
    areas = {root: members for area in areas.items() for root, members in _by_network(*area, told)}
    found = Weights(weights)
    shapes = {spec.name: spec.shape for spec in given}
    changed: dict[str, TensorSpec] = {}
    optimizers = []
    for root_words, members in areas.items():
        places = _places(members)
        last = root_words[-1] if root_words else ""
        name = "optimizer" if last in _ROOTS or not last or last.isdigit() else last
        fields = _fields(name, members, places)
        for one in fields.values():
            one.find_root(found)
        sure = root_words in told or (
            _SURE_ROOTS & set(root_words) and any(field in _SURE_FIELDS for _, field in fields)
        )
        if not sure and not any(_mirrors(one, found, shapes) for one in fields.values()):
            continue
        optimizers.append(_optimizer(name, fields, found))
        for spec, words in members:
            changed[spec.name] = _described(spec, places[words], name, fields, found)
    return [changed.get(spec.name, spec) for spec in given], tuple(optimizers)


def _by_network(root: Words, members: list[Member], told: set[Words]) -> Iterator[tuple[Words, list[Member]]]:
    """The members of an area, apart by network where its keys are none of a state's fields: a dict of states, one a
    network, puts its key in front of the place in the chain."""
    keys = {words[0] for _, words in members if len(words) > 1}
    fields = {words[0] for _, words in members if words}
    if root in told or state_with(fields) is not None or not keys:
        yield root, members
        return
    chains = (
        {words[0] for _, words in members if len(words) > 1 and words[1].isdigit()} - _FIELDS - CONTAINERS
    )
    of: dict[Words, list[Member]] = {}
    for spec, words in members:
        named = bool(words) and not words[0].isdigit() and (words[0] not in _INNER or words[0] in chains)
        of.setdefault((*root, words[0]) if named else root, []).append((spec, words[1:] if named else words))
    yield from of.items()


def _places(members: list[Member]) -> dict[Words, Place]:
    """Where in the state each member is, by its path: in which field of the innermost state whose fields stand side by
    side on a level of the tree."""
    levels: dict[Words, set[str]] = {}
    for _, words in members:
        for at, word in enumerate(words):
            levels.setdefault(words[:at], set()).add(word)
    states = {above: state for above, under in levels.items() if (state := state_with(under)) is not None}
    return {words: _place(words, states) for _, words in members}


def _place(words: Words, states: Mapping[Words, str]) -> Place:
    """Cut a path inside the state: at the first field that holds no other states, where the states are known; else at
    the first that mirrors weights, at the hyperparameters, else in front of the last word."""
    for at, word in enumerate(words):
        state = states.get(words[:at])
        if state is not None and word not in CONTAINERS:
            return Place(words[:at], state, word, words[at + 1 :])
        if word in _FIELDS or word in HYPERPARAMETERS:
            return Place(words[:at], _FACTORING.get(word, ""), word, words[at + 1 :])
    return Place(words[:-1], "", words[-1] if words else "", ())


_FACTORING = dict.fromkeys(("v_row", "v_col", "v"), "FactoredState")
"""Fields that belong to one state alone; ``mu`` and ``nu`` may be elementwise or not: shapes decide."""


def _fields(
    name: str, members: list[Member], places: Mapping[Words, Place]
) -> dict[tuple[Words, str], Field]:
    fields: dict[tuple[Words, str], Field] = {}
    for spec, words in members:
        place = places[words]
        key = (place.above, place.field)
        if key not in fields:
            fields[key] = Field(name, Place(place.above, place.state, place.field, ()))
        fields[key].leaves[place.below] = spec.name
    return fields


def _mirrors(field: Field, weights: Weights, shapes: dict[str, Any]) -> bool:
    """Whether at least half of a field's leaves have their weight's path and, but for factored state, shape."""
    if field.root is None:
        return False
    below = weights.below(field.root)
    fit = sum(
        path in below and (field.factored or shapes[leaf] == shapes[below[path]])
        for path, leaf in field.leaves.items()
    )
    return 2 * fit >= len(field.leaves)


def _described(
    spec: TensorSpec, place: Place, name: str, fields: dict[tuple[Words, str], Field], weights: Weights
) -> TensorSpec:
    field = fields[place.above, place.field]
    owner = weights.names.get((*field.root, *place.below)) if field.root is not None else None
    if place.field in GRADIENTS:
        return spec.with_(role="gradient", owner=owner, optimizer=name)
    if owner is not None or field.elementwise or field.factored:
        extra = {} if owner is not None else {"owner_unproved": True}
        return spec.with_(
            role="slot",
            owner=owner,
            slot=place.field,
            optimizer=name,
            attributes={**spec.attributes, **extra},
        )
    return spec.with_(role=role_of_field(place.field, spec.shape, spec.dtype), optimizer=name)


def _optimizer(name: str, fields: dict[tuple[Words, str], Field], weights: Weights) -> OptimizerSpec:
    owners: dict[str, None] = {}
    slots: dict[str, None] = {}
    for field in fields.values():
        if field.root is None or field.place.field in GRADIENTS:
            continue
        slots[field.place.field] = None
        for path in field.leaves:
            owner = weights.names.get((*field.root, *path))
            if owner is not None:
                owners[owner] = None
    return OptimizerSpec(
        name,
        class_likely=next((word for needed, word in _CLASSES if needed <= set(slots)), None),
        groups=(ParamGroup(owners=tuple(owners)),),
        slots=tuple(slots),
    )
