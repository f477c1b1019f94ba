"""What the tensors of a bundle are: names, roles, owners and optimizers, from the object graph or from the
names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..._core.errors import DamagedCheckpoint
from ..._core.spec import OptimizerSpec, ParamGroup, Role
from ..._facts.keras_layers import SURE_BUFFERS
from .entries import BundleEntry

__all__ = [
    "Description",
    "OptimizerDraft",
    "Scalar",
    "LAYOUTS",
    "is_buffer",
    "is_counter",
    "is_hyperparameter",
    "spec_of",
]

Scalar = Callable[[str], "int | float | None"]
"""Reads a small scalar by key; ``None`` where it cannot be had."""

LAYOUTS = {2: "io", 3: "wio", 4: "hwio", 5: "dhwio"}
COUNTERS = frozenset(
    [
        "save_counter",
        "global_step",
        "step",
        "iterations",
        "iteration",
        "iter",
        "epoch",
        "_iterations",
        "step_counter",
        "good_steps",
        "beta1_power",
        "beta2_power",
        "momentum_cache",
        "u_product",
        "_u_product",
    ]
)
HYPERPARAMETERS = frozenset(
    [
        "learning_rate",
        "_learning_rate",
        "_current_learning_rate",
        "current_learning_rate",
        "beta_1",
        "beta_2",
        "decay",
        "momentum",
        "rho",
        "epsilon",
        "weight_decay",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "learning_rate_power",
        "initial_accumulator_value",
        "current_loss_scale",
        "dynamic_scale",
    ]
)


@dataclass(slots=True)
class Description:
    """What is known of one tensor; fields as in :class:`TensorSpec`. ``owner`` is a *name*."""

    name: str
    role: Role = "weight"
    owner: str | None = None
    slot: str | None = None
    optimizer: str | None = None
    aliases: tuple[str, ...] = ()
    layout: str | None = None
    trainable: bool | None = None
    order: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class OptimizerDraft:
    """An optimizer while it is being put together; keys, not names, for what is still to be read."""

    name: str
    scope: str | None = None
    step_key: str | None = None
    values: dict[str, str] = field(default_factory=dict)  # hyperparameter -> key of its scalar
    slots: list[str] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    class_name: str | None = None
    configured: dict[str, Any] = field(default_factory=dict)


# Scope name (which defaults to the class name) and slots -> class. Sources: the _create_slots and build
# methods of tensorflow/python/training/*.py, tf_keras/src/optimizers and keras/src/optimizers.
CLASSES = {
    name.lower(): name
    for name in [
        "Adam",
        "AdamW",
        "Adamax",
        "Nadam",
        "SGD",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "Adafactor",
        "Ftrl",
        "Lion",
        "Lamb",
        "Muon",
        "LossScaleOptimizer",
        "Momentum",
        "ProximalAdagrad",
        "AdagradDA",
    ]
}
_BY_SLOTS: list[tuple[set[str], str]] = [
    ({"m", "v", "vhat"}, "Adam"),
    ({"m", "v"}, "Adam"),
    ({"momentum", "velocity", "average_gradient"}, "RMSprop"),
    ({"rms", "mg", "momentum"}, "RMSprop"),
    ({"rms", "momentum"}, "RMSprop"),
    ({"rms"}, "RMSprop"),
    ({"momentum", "velocity"}, "Adam"),
    ({"velocity"}, "RMSprop"),
    ({"accumulator", "linear"}, "Ftrl"),
    ({"accum_grad", "accum_var"}, "Adadelta"),
    ({"accumulator"}, "Adagrad"),
    ({"momentum"}, "SGD"),
]


def spec_of(draft: OptimizerDraft, scalar: Scalar) -> OptimizerSpec:
    """The finished optimizer: scalars are read here, those that cannot be had are left out."""
    likely = CLASSES.get((draft.scope or "").lower().rstrip("0123456789").rstrip("_"))
    slots = set(draft.slots)
    if likely is None and slots:
        likely = next((name for known, name in _BY_SLOTS if known == slots), None)
    current = {name: value for name, key in draft.values.items() if (value := scalar(key)) is not None}
    step = scalar(draft.step_key) if draft.step_key else None
    return OptimizerSpec(
        draft.name,
        class_name=draft.class_name,
        class_likely=None if draft.class_name else likely,
        groups=(ParamGroup(tuple(dict.fromkeys(draft.owners)), (), draft.configured, current),),
        slots=tuple(dict.fromkeys(draft.slots)),
        step=int(step) if step is not None else None,
        attributes={**({"scope": draft.scope} if draft.scope else {}), **draft.attributes},
    )


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def is_buffer(name: str) -> bool:
    """Whether the last word of a name is a running statistic's."""
    return _last(name) in SURE_BUFFERS


def is_counter(name: str, entry: BundleEntry) -> bool:
    """Whether the last word is a counter's and the tensor is a scalar that can count."""
    return _last(name) in COUNTERS and entry.shape == () and entry.dtype != "string"


def is_hyperparameter(name: str, entry: BundleEntry) -> bool:
    """Whether the last word is a hyperparameter's and the tensor is a number."""
    return _last(name) in HYPERPARAMETERS and entry.shape == () and entry.dtype != "string"


def describe(
    entries: Mapping[str, BundleEntry],
    graph: bytes | None,
    scalar: Scalar,
    variables: Mapping[int, tuple[str, bool]] | None = None,
    optimizer_config: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Description], tuple[OptimizerSpec, ...], dict[str, Any], str | None]:
    """Descriptions by key (in the order in which to list them), optimizers, catalog attributes, and a
    complaint.

    ``graph``: the serialised object graph, if any. ``variables``: names and trainability by graph node, as a
    SavedModel records them; ``optimizer_config``: class name and configuration as its Keras metadata tell
    them. The complaint tells why the graph was not used.
    """
    from .names import describe_names
    from .object_graph import GRAPH_KEY, parse_graph
    from .object_names import describe_objects

    based = GRAPH_KEY in entries or any("/.ATTRIBUTES/" in key for key in entries)
    complaint = None
    parsed = None
    if based:
        try:
            parsed = parse_graph(graph) if graph is not None else None
        except DamagedCheckpoint as error:
            complaint = error.message
        found, drafts = describe_objects(entries, parsed, variables or {})
    else:
        found, drafts = describe_names(entries)
    attributes: dict[str, Any] = {"object_based": based}
    if parsed is not None:
        named = (a.key for node in parsed.nodes for a in node.attributes)
        absent = [k for k in dict.fromkeys(named) if k.endswith("VARIABLE_VALUE") and k not in entries]
        if absent:
            attributes["absent_keys"] = absent
    if based:
        counter = scalar("save_counter/.ATTRIBUTES/VARIABLE_VALUE")
        if counter is not None:
            attributes["save_counter"] = int(counter)
    for key, what in found.items():
        if what.role == "counter" and _last(what.name) in ("step", "global_step", "epoch"):
            value = scalar(key)
            if value is not None:
                attributes.setdefault("epoch" if _last(what.name) == "epoch" else "step", int(value))
    if optimizer_config and len(drafts) == 1:
        # Keras 2.13 registers its own optimizers as "Custom>Adam"; others' classes are "package>Class".
        drafts[0].class_name = optimizer_config["class_name"].rpartition(">")[2]
        config = optimizer_config.get("config")
        if isinstance(config, Mapping):
            drafts[0].configured = dict(config)
    optimizers = tuple(spec_of(draft, scalar) for draft in drafts)
    if "step" not in attributes:
        steps = [o.step for o in optimizers if o.step is not None]
        if steps:
            attributes["step"] = max(steps)
    return found, optimizers, attributes, complaint
