"""Name-based checkpoints (``tf.train.Saver``): what the names tell.

A slot is stored under its variable's name and the optimizer's (``w/Adam``, ``w/Adam_1``: numbered in the
order in which the optimizer made them), inside whatever scope the optimizer was called in
(``training/w/Adam``). Sources: slot_creator.py and the ``_create_slots`` methods of
tensorflow/python/training; Keras optimizers inside graphs use ``<scope>/<optimizer>/<variable>/<slot>``
(tf_keras optimizer_v2.py); Mesh TensorFlow ``<variable>_slot_<slot>``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from .describe import (
    CLASSES,
    HYPERPARAMETERS,
    LAYOUTS,
    Description,
    OptimizerDraft,
    is_buffer,
    is_counter,
)
from .entries import BundleEntry

__all__ = ["describe_names"]

# Optimizer's scope name -> its slots in the order in which it makes them. RMSProp makes "mg" only when
# centered.
_SLOTS: dict[str, tuple[str, ...]] = {
    "Adam": ("m", "v"),
    "AdamW": ("m", "v"),
    "LazyAdam": ("m", "v"),
    "AdamOptimizer": ("m", "v"),
    "AdaMax": ("m", "v"),
    "Nadam": ("m", "v"),
    "Momentum": ("momentum",),
    "RMSProp": ("rms", "momentum"),
    "Adagrad": ("accumulator",),
    "ProximalAdagrad": ("accumulator",),
    "AdagradDA": ("gradient_accumulator", "gradient_squared_accumulator"),
    "Adadelta": ("accum", "accum_update"),
    "Ftrl": ("accum", "linear"),
    "Yogi": ("v", "m"),
}
_KERAS_SLOTS = (
    "m",
    "v",
    "vhat",
    "momentum",
    "rms",
    "mg",
    "accumulator",
    "linear",
    "accum_grad",
    "accum_var",
    "velocity",
)
_PLAIN_SLOTS = {
    "adam_m": "m",
    "adam_v": "v",
    "vr": "vr",
    "vc": "vc",
}  # BERT's AdamWeightDecayOptimizer, Adafactor
_NUMBERED = re.compile(r"(\w+?)(?:_(\d+))?")
_TABLE = re.compile(r"(^|[/_])table(_\d+)?-(keys|values)$")
_AVERAGES = ("ExponentialMovingAverage", "EMA", "ema", "moving_average")


def describe_names(
    entries: Mapping[str, BundleEntry],
) -> tuple[dict[str, Description], list[OptimizerDraft]]:
    """Roles, owners and optimizers of a name-based checkpoint, by key in stored order."""
    drafts: dict[str, OptimizerDraft] = {}
    counts: dict[tuple[str, str], int] = defaultdict(int)
    slots: dict[str, tuple[str, str, int]] = {}  # key -> (owner, optimizer, number)
    found: dict[str, Description] = {}
    for key in entries:
        what = found[key] = Description(key)
        part = _slot_of(key, entries)
        if part is not None:
            slots[key] = part
            owner, name, _ = part
            counts[owner, name] += 1
            continue
        _keras_or_plain_slot(key, entries, what, drafts)
    for key, (owner, name, number) in slots.items():
        what = found[key]
        what.owner = owner
        if name in _AVERAGES:
            what.role = "average"
            continue
        base = name.rsplit("/", 1)[-1]
        names = _SLOTS.get(base, ())
        if base == "RMSProp" and counts[owner, name] == 3:
            names = ("rms", "mg", "momentum")
        what.role, what.optimizer = "slot", name
        what.slot = names[number] if number < len(names) else f"{base}_{number}" if number else base
        _draft(drafts, name, owner, what.slot)
    for key, what in found.items():
        if what.role == "weight" and what.owner is None:
            _alone(key, entries[key], what, drafts)
    _steps(entries, drafts)
    for draft in drafts.values():
        draft.slots.sort(key=lambda slot: _rank(draft.scope, slot))
    return found, list(drafts.values())


def _rank(scope: str | None, slot: str) -> int:
    names = ("rms", "mg", "momentum") if scope == "RMSProp" else _SLOTS.get(scope or "", ())
    return names.index(slot) if slot in names else len(names)


def _draft(
    drafts: dict[str, OptimizerDraft], name: str, owner: str | None, slot: str | None
) -> OptimizerDraft:
    draft = drafts.get(name)
    if draft is None:
        draft = drafts[name] = OptimizerDraft(name, scope=name.rsplit("/", 1)[-1])
    if owner is not None:
        draft.owners.append(owner)
    if slot is not None and slot not in draft.slots:
        draft.slots.append(slot)
    return draft


def _slot_of(key: str, entries: Mapping[str, BundleEntry]) -> tuple[str, str, int] | None:
    """``(owner, optimizer, number)`` of ``[scope/]owner/Optimizer[_number]``, where the owner is stored
    too.
    """
    head, _, last = key.rpartition("/")
    if not head:
        return None
    base, number = last, 0
    if last[-1:].isdigit():
        match = _NUMBERED.fullmatch(last)
        if match is None:
            return None
        base, number = match[1], int(match[2] or 0)
    if base not in _SLOTS and base not in _AVERAGES:
        return None
    scope: list[str] = []
    owner = head
    while owner:
        if owner in entries:
            name = "/".join([*scope, base])
            return owner, base if base in _AVERAGES else name, number
        first, _, owner = owner.partition("/")
        scope.append(first)
        if len(scope) > 8:
            break
    return None


def _keras_or_plain_slot(
    key: str, entries: Mapping[str, BundleEntry], what: Description, drafts: dict[str, OptimizerDraft]
) -> None:
    head, _, last = key.rpartition("/")
    if last in _PLAIN_SLOTS and head in entries:
        what.role, what.owner, what.slot, what.optimizer = "slot", head, _PLAIN_SLOTS[last], "optimizer"
        _draft(drafts, "optimizer", head, what.slot).scope = "AdamW" if last.startswith("adam_") else None
        return
    match = re.fullmatch(r"(.+)_slot_(\w+)", key) if "_slot_" in key else None
    if match and match[1] in entries:
        what.role, what.owner, what.slot, what.optimizer = "slot", match[1], match[2], "optimizer"
        _draft(drafts, "optimizer", match[1], what.slot).scope = None
        return
    if last in _KERAS_SLOTS and head and head not in entries:
        scope: list[str] = []
        owner = head
        for _ in range(6):
            first, _, owner = owner.partition("/")
            scope.append(first)
            if not owner:
                break
            if owner in entries and first.split("_")[0].lower() in CLASSES:
                name = "/".join(scope)
                what.role, what.owner, what.slot, what.optimizer = "slot", owner, last, name
                _draft(drafts, name, owner, last)
                return


def _alone(key: str, entry: BundleEntry, what: Description, drafts: dict[str, OptimizerDraft]) -> None:
    """The role of a tensor that belongs to no other."""
    head, _, last = key.rpartition("/")
    optimizer = head.rsplit("/", 1)[-1].split("_")[0].lower() in CLASSES if head else False
    bare = re.sub(r"_\d+$", "", last) if last[-1:].isdigit() else last
    if optimizer and last in HYPERPARAMETERS and entry.shape == ():
        what.role, what.optimizer = "hyperparameter", head
        _draft(drafts, head, None, None).values[last] = key
    elif optimizer and last in ("iter", "iterations"):
        what.role, what.optimizer = "counter", head
        _draft(drafts, head, None, None).step_key = key
    elif is_counter(key, entry) or bare in ("beta1_power", "beta2_power"):
        what.role = "counter"
        if bare.startswith("beta"):
            adams = [name for name, draft in drafts.items() if "m" in draft.slots and "v" in draft.slots]
            what.optimizer = adams[0] if len(adams) == 1 else None
    elif is_buffer(key):
        what.role, what.trainable = "buffer", False
    elif entry.dtype in ("string", "variant", "object") or (
        key.endswith(("-keys", "-values")) and _TABLE.search(key)
    ):
        what.role = "buffer" if key.endswith(("-keys", "-values")) else "other"
    elif last == "kernel" and entry.shape is not None:
        what.layout = LAYOUTS.get(len(entry.shape))


def _steps(entries: Mapping[str, BundleEntry], drafts: dict[str, OptimizerDraft]) -> None:
    """The global step counts every optimizer's updates in the way TF 1 is used: ``minimize(loss,
    global_step)``.
    """
    if "global_step" in entries:
        for draft in drafts.values():
            if draft.step_key is None:
                draft.step_key = "global_step"
