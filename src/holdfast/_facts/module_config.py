"""Which settings of a layer decide what it computes, in inference or only in training, and which do not count.

Sources: ``get_config`` of ``keras/src/layers/**`` and the constructors of ``torch/nn/modules/**`` (what each
option does is in their docstrings); flax's ``linen`` and ``nnx`` modules use the same words.
A live layer's configuration and the one that a file keeps go through the same function, so that equal layers
give equal mappings.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

__all__ = [
    "Effect",
    "SEVERITY",
    "class_effect",
    "effect_of",
    "keras_module_config",
    "kernel_decides",
    "KERAS_OFF",
    "is_layer",
    "module_value",
    "object_config",
]

Effect = Literal["inference", "training", "unknown"]

SEVERITY: Mapping[Effect, str] = {"inference": "error", "training": "warning", "unknown": "warning"}
"""How much a difference weighs: a changed function gives other outputs for the same tensors; a changed dropout
rate gives the same outputs and another training; of settings that are not known nobody can tell."""

# -- what a setting does -----------------------------------------------------------------------------------
_INFERENCE = frozenset(
    {"vocabulary", "idf_weights"}
    | {"activation", "recurrent_activation", "nonlinearity", "mode", "function", "gate", "act", "hidden_act"}
    | {
        "strides",
        "stride",
        "padding",
        "padding_mode",
        "output_padding",
        "dilation",
        "dilation_rate",
        "groups",
    }
    | {"kernel_size", "pool_size", "output_size", "size", "scale_factor", "interpolation", "align_corners"}
    | {"ceil_mode", "count_include_pad", "divisor_override", "data_format", "cropping", "upscale_factor"}
    | {"axis", "axes", "dim", "dims", "start_dim", "end_dim", "keepdims", "normalize", "target_shape", "n"}
    | {"eps", "epsilon", "affine", "elementwise_affine", "track_running_stats", "num_groups", "rms_scaling"}
    | {"scale", "center", "use_scale", "offset", "mean", "variance", "invert", "ord", "norm_type", "max_norm"}
    | {"num_heads", "nhead", "num_query_heads", "num_key_value_heads", "head_dim", "key_dim", "value_dim"}
    | {
        "attention_axes",
        "score_mode",
        "add_zero_attn",
        "use_causal_mask",
        "causal",
        "is_causal",
        "norm_first",
    }
    | {"batch_first", "bidirectional", "reset_after", "return_sequences", "return_state", "go_backwards"}
    | {"unit_forget_bias", "stateful", "zero_output_for_mask", "mask_zero", "mask_value", "merge_mode"}
    | {
        "negative_slope",
        "alpha",
        "beta",
        "threshold",
        "value",
        "lambd",
        "lower",
        "upper",
        "min_val",
        "max_val",
    }
    | {
        "negative_slope_init",
        "max_value",
        "shared_axes",
        "n_heads",
        "n_head",
        "heads",
        "approximate",
        "equation",
        "bias_axes",
        "use_bias",
    }
    | {"bias", "tie_weights", "logit_soft_cap", "depth_multiplier", "wiring", "arguments", "flash_attention"}
    | {"proj_size", "num_layers", "share_weights", "layers_order", "base", "rope_theta", "max_wavelength"}
)

_TRAINING = frozenset(
    {"dropout", "recurrent_dropout", "rate", "momentum", "stddev", "noise_shape", "padding_idx", "drop_prob"}
    | {
        "drop_rate",
        "drop_path",
        "dropout_p",
        "attention_dropout",
        "hidden_dropout",
        "dropout_rate",
        "attn_drop",
    }
    | {"scale_grad_by_freq", "sparse", "gradient_checkpointing", "label_smoothing", "factor"}
    | {"attn_dropout", "attn_pdrop", "resid_pdrop", "embd_pdrop", "proj_drop", "recompute", "deterministic"}
)

_RANDOM_CLASS = re.compile(
    r"Drop(out|Path|Block)|Noise|^Random|^(Cut|Mix)(Mix|Up)$|^(Auto|Rand|Aug)\w*(ment|Mix)$"
)
"""Layers that do nothing in inference: everything about them concerns training."""

_IDLE_CLASS = re.compile(
    r"Drop(out|Path|Block)|Noise|^Random|^Identity$|^InputLayer$|^ActivityRegularization$"
)

_SHAPES = frozenset(
    {
        "units",
        "filters",
        "kernel_size",
        "input_dim",
        "output_dim",
        "in_features",
        "out_features",
        "in_channels",
    }
    | {"out_channels", "num_embeddings", "embedding_dim", "normalized_shape", "num_features", "hidden_size"}
    | {"input_size", "embed_dim", "kdim", "vdim", "key_dim", "value_dim", "output_shape", "num_channels"}
    | {
        "num_layers",
        "bidirectional",
        "proj_size",
        "use_bias",
        "bias",
        "scale",
        "center",
        "affine",
        "features",
    }
    | {
        "elementwise_affine",
        "depth_multiplier",
        "shared_axes",
        "num_parameters",
        "head_dim",
        "d_model",
        "hidden",
    }
    | {"bias_axes", "in1_features", "in2_features", "track_running_stats", "tie_weights", "reset_after"}
)


_CLEAR = frozenset(
    {
        "activation",
        "act",
        "hidden_act",
        "stride",
        "strides",
        "padding",
        "padding_mode",
        "dilation",
        "dilation_rate",
    }
    | {
        "eps",
        "epsilon",
        "num_heads",
        "nhead",
        "n_heads",
        "n_head",
        "heads",
        "causal",
        "is_causal",
        "norm_first",
    }
    | {"negative_slope", "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "num_groups", "data_format"}
    | {
        "num_attention_heads",
        "num_key_value_heads",
        "rope_theta",
        "pool_size",
        "bidirectional",
        "recurrent_activation",
    }
)
"""Words that mean the same in everybody's classes."""


def effect_of(class_name: str, key: str, *, own: bool = False) -> Effect:
    """Whether a setting of a layer class changes what it computes in inference, only in training, or is not
    known. ``own``: the class is a user's, where only words that mean one thing everywhere tell."""
    if key in _TRAINING or (not own and _RANDOM_CLASS.search(class_name)):
        return "training"
    if own:
        return "inference" if key in _CLEAR else "unknown"
    return "inference" if key in _INFERENCE or key in _SHAPES else "unknown"


def class_effect(*class_names: str) -> Effect:
    """What it changes that a layer of these classes is there, is not there, or stands for the other."""
    return "training" if all(_IDLE_CLASS.search(name) for name in class_names) else "inference"


def kernel_decides(key: str, value: Any) -> bool:
    """Whether the shapes and the presence of a layer's tensors tell this setting (``units``, ``use_bias``), so
    that it is no difference of its own where the layer has tensors. A fraction is told by no shape."""
    return key in _SHAPES and not isinstance(value, float)


# -- values ------------------------------------------------------------------------------------------------
_DEEPEST = 12
_LONGEST = 256


def module_value(value: Any, depth: int = 0) -> Any:
    """A setting as JSON would give it back: tuples as lists, numpy scalars as numbers, infinities as texts, named
    functions as their name. Raises :class:`TypeError` for what is no plain setting (arrays, objects)."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if depth > _DEEPEST:
        raise TypeError("nested too deep")
    if isinstance(value, (list, tuple)):
        if len(value) > _LONGEST:
            raise TypeError("a long list is data")
        return [module_value(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        if len(value) > _LONGEST:
            raise TypeError("a long mapping is data")
        return {str(key): module_value(item, depth + 1) for key, item in value.items()}
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == () and type(value).__module__ == "numpy":
        return module_value(item(), depth + 1)
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return name
    raise TypeError(f"{type(value).__name__} is no plain setting")


# -- Keras -------------------------------------------------------------------------------------------------
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
        if key in _TABLES and isinstance(value, (list, tuple)) and value:
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
        if key in KERAS_OFF and plain == KERAS_OFF[key]:
            continue
        if key == "axis" and isinstance(plain, list) and len(plain) == 1:
            plain = plain[0]  # BatchNormalization of Keras 2 writes [3] where 3 was meant
        if key == "sparse" and plain is False:
            continue
        kept[key] = plain
    return kept


_TABLES = frozenset({"vocabulary", "idf_weights"})
"""Long lists that decide which row of an embedding a word means (``keras/src/layers/preprocessing/*lookup.py``,
``get_config``); a path in their place, or none, tells nothing."""


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
    if depth > _DEEPEST:
        raise TypeError("nested too deep")
    if isinstance(value, (list, tuple)):
        if len(value) > _LONGEST:
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


# -- torch -------------------------------------------------------------------------------------------------
_TORCH_SILENT = frozenset(
    {
        "training",
        "inplace",
        "device",
        "dtype",
        "T_destination",
        "dump_patches",
        "call_super_init",
        "name",
        "names",
    }
    | {
        "prepare_data_per_node",
        "allow_zero_length_dataloader_with_multiple_devices",
        "return_indices",
        "head_dim",
    }
    | {
        "generator",
        "in_proj_bias",
        "in_proj_weight",
        "precision",
        "activation_relu_or_gelu",
        "transposed",
        "fc_in",
        "forward_hooks",
        "factory_kwargs",
    }
)

_CHANGES_BY_ITSELF = re.compile(
    r"(^|_)(steps?|epochs?|iters?|iterations?|counters?|counts?|calls?|seen|best|loss|losses|last|current|cache|cached"
    r"|log|logs|logger|logdir|path|paths|dir|file|folder|verbose|debug|seed|rank|world|device|devices|lr"
    r"|learning|version|id|uuid|time|timestamp|date|batch|workers|history|metrics?|acc|accuracy|score|hparams"
    r"|weight_decay|warmup|optimizer|scheduler|total|num_batches|output_dir|checkpoint|profiler|example)(_|$)"
)
"""Attributes of a user's own module that the program moves, or that say where and how it runs."""

_DERIVED = re.compile(r"^(fused?_|enable_nested|use_nested|mask_check|is_sparse|enable_)")


def object_config(class_name: str, attributes: Mapping[str, Any], *, known: bool = True) -> dict[str, Any]:
    """What decides the function, out of the attributes of a module object: a ``torch.nn.Module``'s ``vars(module)``,
    what a pickle keeps of it, the fields of a flax module.

    Public attributes of plain types count: numbers, texts, and lists of them; functions by their name. Tensors,
    modules, private attributes, ``training``, ``inplace``, devices and dtypes do not. With ``known=False`` (a class
    that is not torch's own) attributes whose words say that the program moves them (``step``, ``best_loss``,
    ``log_dir``) and texts that look like a path or a device do not count either.
    """
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        if not isinstance(key, str) or not _counts(key, known) or (not known and _says_where(value)):
            continue
        if type(value) in _SIMPLE:
            kept[key] = value
            continue
        try:
            plain = module_value(value)
        except TypeError:
            continue
        if plain == []:
            continue
        kept[key] = plain
    return kept


@lru_cache(maxsize=4096)
def _counts(key: str, known: bool) -> bool:
    if key.startswith("_") or key in _TORCH_SILENT or _DERIVED.match(key):
        return False
    return known or not _CHANGES_BY_ITSELF.search(key)


_SIMPLE = frozenset({bool, int, str, type(None)})


def _says_where(value: Any) -> bool:
    return isinstance(value, str) and bool(
        re.search(r"[/\\\n]|^(cpu|cuda|mps|xla|tpu|gpu)(:\d+)?$|.{65}", value)
    )
