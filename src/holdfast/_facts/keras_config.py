"""What decides the function of a Keras layer, out of its configuration: a live layer's or the one that a file keeps.

Sources: ``get_config`` of ``keras/src/layers/**``, ``keras/src/saving/serialization_lib.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from .keras_vocabulary import TABLES, listed_terms, vocabulary_digest
from .module_config import DEEPEST, LONGEST, module_value

__all__ = ["KERAS_OFF", "is_layer", "keras_module_config"]

_KERAS_SILENT = frozenset(
    {
        "name",
        "trainable",
        "dtype",
        "build_config",
        "compile_config",
        "registered_name",
        "module",
        "shared_object_id",
    }
    | {"batch_shape", "batch_input_shape", "batch_size", "input_shape", "input_length", "ragged", "optional"}
    | {"build_input_shape"}
    | {
        "seed",
        "autocast",
        "unroll",
        "implementation",
        "use_cudnn",
        "time_major",
        "synchronized",
        "virtual_batch_size",
    }
    | {"layers", "input_layers", "output_layers", "fused", "initial_learning_rate", "quantization_config"}
    | {
        "vocabulary",
        "idf_weights",
        "layer",
        "backward_layer",
        "cell",
        "lora_rank",
        "lora_alpha",
        "inbound_nodes",
    }
    | {"sharding", "use_gate_bias", "activity_regularizer", "init_values", "dtype_policy"}
)
_KERAS_SILENT_ENDING = ("_initializer", "_regularizer", "_constraint", "_quantizer")

KERAS_OFF: Mapping[str, Any] = {
    "groups": 1,
    "lora_rank": None,
    "data_format": None,
    "mask_value": None,
    "rms_scaling": False,
    "use_gate": False,
    "flash_attention": None,
    "output_activation": None,
    "activation": "linear",
    "renorm": False,
    "zero_output_for_mask": False,
    "cell_state_clip": None,
}
"""Options at the value that does nothing: older writers leave them out, so they are left out everywhere."""


_SETTLED_BY_BUILD = frozenset({"attention_axes"})
"""Options whose ``None`` stands for what ``build`` takes from the shape of the input: before it, nothing is known of them
(``keras/src/layers/attention/multi_head_attention.py``, ``_build_attention``)."""


def keras_module_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the function, out of a Keras layer's configuration.

    ``config`` is what ``config.json`` keeps of the layer, or ``layer.get_config()`` of a live one (functions and
    Keras objects in it may stand as themselves or serialised). Left out: names, initialisers, regularisers,
    constraints, dtype policy, shapes of inputs, seeds, ``trainable``, layers within layers (they are modules of
    their own), and options at the value that does nothing.
    """
    return _keras_config(config, 0)


def _keras_config(config: Mapping[str, Any], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if key in TABLES and isinstance(value, (list, tuple)) and value:
            if key == "vocabulary":
                if terms := listed_terms(config):
                    kept[key] = vocabulary_digest(terms)
                continue
            if key == "idf_weights" or len(value) > LONGEST:
                kept[key] = _table_digest(value)
                continue
        if key in _KERAS_SILENT or key.endswith(_KERAS_SILENT_ENDING) or key.startswith("_"):
            continue
        if is_layer(value) or (isinstance(value, (list, tuple)) and any(map(is_layer, value))):
            continue
        try:
            plain = _keras_value(value, depth)
        except TypeError:
            continue
        if (key in KERAS_OFF and plain == KERAS_OFF[key]) or (plain is None and key in _SETTLED_BY_BUILD):
            continue
        if key == "axis" and isinstance(plain, list) and len(plain) == 1:
            plain = plain[0]  # BatchNormalization of Keras 2 writes [3] where 3 was meant
        if key == "sparse" and plain is False:
            continue
        kept[key] = plain
    return kept


def _table_digest(values: Sequence[Any]) -> str:
    """The entries and their order, in a word."""
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return f"{len(texts)} entries, {hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:16]}"


def is_layer(value: Any) -> bool:
    """Whether a value in a Keras configuration is a layer: a serialised one (its configuration has ``name`` and
    ``trainable``, as ``Layer.get_config`` writes them), or a live one."""
    if isinstance(value, Mapping):
        config = value.get("config")
        if not isinstance(value.get("class_name"), str) or not isinstance(config, Mapping):
            return False
        return ("name" in config and "trainable" in config) or "layers" in config or "batch_shape" in config
    return (
        hasattr(value, "trainable_variables") and hasattr(value, "get_config") and not isinstance(value, type)
    )


def _keras_value(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise TypeError("nested too deep")
    if isinstance(value, (list, tuple)):
        if len(value) > LONGEST:
            raise TypeError("a long list is data")
        return [_keras_value(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return _keras_object(value, depth)
    get_config = getattr(value, "get_config", None)
    if callable(get_config) and not isinstance(value, type):
        return {"class": type(value).__name__, **_keras_config(get_config(), depth + 1)}
    return module_value(value, depth)


def _keras_object(node: Mapping[str, Any], depth: int) -> Any:
    """A serialised object (``keras/src/saving/serialization_lib.py``): functions by their name, code as
    ``"<lambda>"`` (its bytes differ between versions of Python), other objects by class and configuration."""
    kind, config = node.get("class_name"), node.get("config")
    if not isinstance(kind, str):
        return {str(key): _keras_value(item, depth + 1) for key, item in node.items()}
    if kind == "function" and isinstance(config, str):
        return config.rpartition(">")[2]
    if kind == "__lambda__":
        return "<lambda>"
    if kind in ("__tuple__", "__set__"):
        return _keras_value(node.get("items") or (), depth + 1)
    if kind in ("__numpy__", "__tensor__", "__keras_tensor__", "__bytes__"):
        raise TypeError("an array is data")
    inner = _keras_config(config, depth + 1) if isinstance(config, Mapping) else {}
    return {"class": kind.rpartition(">")[2], **inner} if inner else kind.rpartition(">")[2]
