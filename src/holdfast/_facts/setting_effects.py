"""Which settings of a layer decide what it computes, in inference or only in training.

Sources: ``get_config`` of ``keras/src/layers/**`` and the constructors of ``torch/nn/modules/**`` (what each option does is in
their docstrings); flax's ``linen`` and ``nnx`` modules use the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["SEVERITY", "Effect", "class_effect", "effect_of", "kernel_decides"]

Effect = Literal["inference", "training", "unknown"]

SEVERITY: Mapping[Effect, str] = {"inference": "error", "training": "warning", "unknown": "warning"}
"""How much a difference weighs: a changed function gives other outputs for the same tensors; a changed dropout
rate gives the same outputs and another training; of settings that are not known nobody can tell."""

_INFERENCE = frozenset(
    {"vocabulary", "idf_weights"}
    | {
        "output_mode",
        "num_tokens",
        "num_bins",
        "salt",
        "bin_boundaries",
        "num_oov_indices",
        "oov_method",
        "mask_token",
    }
    | {"standardize", "split", "ngrams"}
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
