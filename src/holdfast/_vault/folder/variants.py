"""Variants of a model in one run: checkpoints of one variant fit each other's models, those of another need an edit.

A variant is known by a short digest of names, shapes and dtypes of the model's weights and buffers, and of what decides
its function beside them: classes of layers and the settings that change what they give in inference
(:mod:`holdfast._facts.module_config`). Dropout rates, the optimizer, what is trainable, vocabularies and bins, which are made
from data, and the text of a user's own class are no part of it, nor are the numbers that Keras appends to the names that it
gives itself (``dense_3``): they count the layers of the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from blake3 import blake3

from ..._core.modules import FRAMEWORKS, ModuleSpec
from ..._facts.keras_vocabulary import TABLES
from ..._facts.setting_effects import class_effect, effect_of
from ..._integrity.architecture import modules_of_record
from ..._record.canonical import canonical_text, plain
from ..._record.schema import Record
from ..contents.payload import Payload

__all__ = ["fit_key", "variant_of_payload", "variant_of_record"]

_OF_THE_MODEL = frozenset({"weight", "buffer"})
_KERAS = frozenset({"keras", "tensorflow", "tf_keras"})
_NUMBER = re.compile(r"_\d+(?=/|$)")
_SHORT = 8


def variant_of_payload(payload: Payload, modules: tuple[ModuleSpec, ...]) -> str:
    """The variant of what is being saved: eight hexadecimal digits."""
    specs = (s for items in payload.files.values() for item in items for s in (item.spec, *item.others))
    return _digest(specs, modules)


def variant_of_record(record: Record) -> str:
    """The variant that a record describes."""
    return _digest(record.tensors, modules_of_record(record.architecture))


def fit_key(record: Record) -> str:
    """Equal for checkpoints that fit the same live objects: all tensors, optimizers and the whole architecture."""
    rows = [[*_row(t), t.role, t.slot, t.owner, t.optimizer, t.shares is not None] for t in record.tensors]
    optimizers = [
        [o.name, o.class_name, list(o.slots), [plain(g.get("owners")) for g in o.groups]]
        for o in record.optimizers
    ]
    document = {
        "tensors": sorted(rows, key=json.dumps),
        "optimizers": optimizers,
        "architecture": record.architecture,
    }
    return str(blake3(canonical_text(document)).hexdigest())


def _digest(tensors: Iterable[Any], modules: Iterable[ModuleSpec]) -> str:
    rows = sorted(
        [_uncounted(t.name, t.dialect), *_row(t)[1:]]
        for t in tensors
        if t.role in _OF_THE_MODEL and t.optimizer is None and not t.name.startswith("extra/")
    )
    document = {"tensors": rows, "modules": sorted(_functions(modules), key=json.dumps)}
    return str(blake3(canonical_text(document)).hexdigest())[:_SHORT]


def _row(tensor: Any) -> list[Any]:
    return [tensor.name, tensor.dtype, [int(n) for n in tensor.shape]]


def _uncounted(path: str, dialect: str) -> str:
    return _NUMBER.sub("", path) if dialect in _KERAS else path


def _functions(modules: Iterable[ModuleSpec]) -> Iterable[list[Any]]:
    """Of each module its path, its class and what of its settings changes what it computes."""
    for module in modules:
        own = module.package not in FRAMEWORKS
        if not own and class_effect(module.class_name) != "inference":
            continue  # dropout and the like
        config = plain(dict(module.config))
        assert isinstance(config, Mapping)
        settings = {
            k: v
            for k, v in config.items()
            if k not in TABLES and effect_of(module.class_name, k, own=own) == "inference"
        }
        # a class of the user's is no more than its tensors and settings: it may be renamed
        yield [_uncounted(module.path, module.package), "" if own else module.class_name, settings]
