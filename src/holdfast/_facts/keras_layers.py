"""Which variables each Keras layer class has, in the order in which it stores them, and what its groups are
called.

Sources: the ``build`` methods and ``variable_serialization_spec`` of ``keras/src/layers/**`` (Keras 3), the
same of
``keras/layers/**`` (Keras 2); ``keras/src/utils/naming.py`` for the snake case of class names;
``keras/src/saving/saving_lib.py`` for group keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.spec import Role

__all__ = [
    "VARIABLES",
    "QUANTIZED",
    "CHILDREN",
    "SUBLAYERS",
    "BUFFERS",
    "SURE_BUFFERS",
    "CONTAINERS",
    "MODELS",
    "WITHOUT_VARIABLES",
    "COPIES",
    "counted_name",
    "snake_case",
    "class_of_group",
    "likely_variables",
    "variable_names",
    "expected_variables",
    "role_of",
    "kernel_layout",
]

_CONV = ("kernel", "bias?use_bias")
_RNN = ("kernel", "recurrent_kernel", "bias?use_bias")
_BN = (
    "gamma?scale",
    "beta?center",
    "moving_mean",
    "moving_variance",
)

VARIABLES: dict[str, tuple[str, ...]] = {
    "Dense": _CONV,
    "EinsumDense": ("kernel", "bias?bias_axes"),
    "Embedding": ("embeddings",),
    "ReversibleEmbedding": ("embeddings", "reverse_embeddings?!tie_weights"),
    "Conv1D": _CONV,
    "Conv2D": _CONV,
    "Conv3D": _CONV,
    "Conv1DTranspose": _CONV,
    "Conv2DTranspose": _CONV,
    "Conv3DTranspose": _CONV,
    "DepthwiseConv1D": ("kernel", "bias?use_bias"),
    "DepthwiseConv2D": ("kernel", "bias?use_bias"),
    "SeparableConv1D": ("depthwise_kernel", "pointwise_kernel", "bias?use_bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias?use_bias"),
    "LocallyConnected1D": _CONV,
    "LocallyConnected2D": _CONV,
    "BatchNormalization": _BN,
    "BatchNormalizationV1": _BN,
    "BatchNormalizationV2": _BN,
    "SyncBatchNormalization": _BN,
    "LayerNormalization": ("gamma?scale", "beta?center"),
    "GroupNormalization": ("gamma?scale", "beta?center"),
    "RMSNormalization": ("scale",),
    "UnitNormalization": (),
    "Normalization": ("mean", "variance", "count"),
    "SpectralNormalization": ("vector_u",),
    "PReLU": ("alpha",),
    "SimpleRNNCell": _RNN,
    "GRUCell": _RNN,
    "LSTMCell": _RNN,
    "ConvLSTMCell": _RNN,
    "ConvLSTM2DCell": _RNN,
    "AdditiveAttention": ("scale?use_scale",),
    "Attention": ("scale?use_scale", "concat_score_weight?score_mode=concat"),
    "SimpleRNN": (),
    "GRU": (),
    "LSTM": (),
    "ConvLSTM1D": (),
    "ConvLSTM2D": (),
    "ConvLSTM3D": (),
    "RNN": (),
    "Bidirectional": (),
    "TimeDistributed": (),
    "MultiHeadAttention": (),
    "GroupedQueryAttention": (),
    "Mean": ("total", "count"),
    "Sum": ("total",),
    "SeedGenerator": ("seed_generator_state",),
    "Dropout": ("seed_generator_state",),
    "GaussianNoise": ("seed_generator_state",),
    "GaussianDropout": ("seed_generator_state",),
}
"""Class -> variables in stored order. ``name?option``: only with that option of the layer's configuration
(on by
default); ``name?!option``: only without it; ``name?option=value``: only with that value."""

QUANTIZED: dict[str, dict[str, tuple[str, ...]]] = {
    "Dense": {
        "int8": ("kernel", "bias?use_bias", "kernel_scale"),
        "int4": ("kernel", "bias?use_bias", "kernel_scale", "kernel_zero", "g_idx"),
        "float8": (
            "kernel",
            "bias?use_bias",
            "inputs_scale",
            "inputs_amax_history",
            "kernel_scale",
            "kernel_amax_history",
            "outputs_grad_scale",
            "outputs_grad_amax_history",
        ),
        "gptq": ("bias?use_bias", "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"),
        "awq": ("bias?use_bias", "quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx"),
    },
    "Embedding": {
        "int8": ("embeddings", "embeddings_scale"),
        "int4": ("embeddings", "embeddings_scale", "embeddings_zero", "g_idx"),
    },
}
QUANTIZED["EinsumDense"] = {
    mode: tuple(n.replace("bias?use_bias", "bias?bias_axes") for n in names)
    for mode, names in QUANTIZED["Dense"].items()
}

CHILDREN: dict[str, dict[str, tuple[str, str]]] = {
    "LSTM": {"cell": ("lstm_cell", "LSTMCell")},
    "GRU": {"cell": ("gru_cell", "GRUCell")},
    "SimpleRNN": {"cell": ("simple_rnn_cell", "SimpleRNNCell")},
    "ConvLSTM1D": {"cell": ("conv_lstm_cell", "ConvLSTMCell")},
    "ConvLSTM2D": {"cell": ("conv_lstm_cell", "ConvLSTMCell")},
    "ConvLSTM3D": {"cell": ("conv_lstm_cell", "ConvLSTMCell")},
    "MultiHeadAttention": {
        "query_dense": ("query", "EinsumDense"),
        "key_dense": ("key", "EinsumDense"),
        "value_dense": ("value", "EinsumDense"),
        "gate_dense": ("gate", "EinsumDense"),
        "output_dense": ("attention_output", "EinsumDense"),
        # private names of Keras 2
        "_query_dense": ("query", "EinsumDense"),
        "_key_dense": ("key", "EinsumDense"),
        "_value_dense": ("value", "EinsumDense"),
        "_output_dense": ("attention_output", "EinsumDense"),
    },
}
CHILDREN["GroupedQueryAttention"] = {
    "_" + key if not key.startswith("_") else key[1:]: value
    for key, value in CHILDREN["MultiHeadAttention"].items()
} | CHILDREN["MultiHeadAttention"]
"""Class -> attribute under which a sub-layer is stored -> (the sub-layer's default name, its class)."""

SUBLAYERS: dict[str, tuple[str, ...]] = {
    **{name: tuple(children) for name, children in CHILDREN.items()},
    "Bidirectional": ("forward_layer", "backward_layer"),
}
"""Class -> attributes of its sub-layers in the order in which it makes them, which is that of
``layer.variables``.
"""

MODELS = frozenset({"Functional", "Sequential", "Model", "Graph"})
"""Classes that are containers of layers; their configuration lists the layers in order."""

CONTAINERS = frozenset({"layers", "_layer_checkpoint_dependencies", "_layers", "_operations"})
"""Group names that stand for the list of a model's layers and are no part of anybody's name."""

SURE_BUFFERS = frozenset(
    {
        "moving_mean",
        "moving_variance",
        "moving_var",
        "moving_stddev",
        "renorm_mean",
        "renorm_stddev",
        "running_mean",
        "running_std",
        "running_variance",
        "vector_u",
        "g_idx",
    }
)
"""Variables that training updates without gradients, by words that say so in any layer."""

BUFFERS = SURE_BUFFERS | {"mean", "variance", "count"}
"""The same, with the plain words of the layers that normalise their inputs."""

_SNAKE = (
    (re.compile(r"\W+"), ""),
    (re.compile(r"(.)([A-Z][a-z]+)"), r"\1_\2"),
    (re.compile(r"([a-z])([A-Z])"), r"\1_\2"),
)


def snake_case(class_name: str) -> str:
    """The group key that Keras makes of a class name (``"BatchNormalization"`` -> ``"batch_normalization"``).

    Source: ``to_snake_case`` in ``keras/src/utils/naming.py``.
    """
    text = class_name.rsplit(">", 1)[-1]
    for pattern, replacement in _SNAKE:
        text = pattern.sub(replacement, text)
    return text.lower()


WITHOUT_VARIABLES = frozenset(
    [
        "Activation",
        "ActivityRegularization",
        "AdaptiveAveragePooling1D",
        "AdaptiveAveragePooling2D",
        "AdaptiveAveragePooling3D",
        "AdaptiveMaxPooling1D",
        "AdaptiveMaxPooling2D",
        "AdaptiveMaxPooling3D",
        "Add",
        "AlphaDropout",
        "AtrousConvolution1D",
        "AtrousConvolution2D",
        "AugMix",
        "AutoContrast",
        "Average",
        "AveragePooling1D",
        "AveragePooling2D",
        "AveragePooling3D",
        "CategoryEncoding",
        "CenterCrop",
        "Concatenate",
        "ContrastLimitedAdaptiveHistogramEqualization",
        "Cropping1D",
        "Cropping2D",
        "Cropping3D",
        "CutMix",
        "Discretization",
        "Dot",
        "Dropout",
        "ELU",
        "Equalization",
        "Flatten",
        "FlaxLayer",
        "GaussianDropout",
        "GaussianNoise",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalAveragePooling3D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "GlobalMaxPooling3D",
        "HashedCrossing",
        "Hashing",
        "Identity",
        "InputLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "LeakyReLU",
        "Masking",
        "MaxNumBoundingBoxes",
        "MaxPooling1D",
        "MaxPooling2D",
        "MaxPooling3D",
        "Maximum",
        "MelSpectrogram",
        "Merge",
        "Minimum",
        "MixUp",
        "Multiply",
        "Permute",
        "Pipeline",
        "RandAugment",
        "RandomBrightness",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomContrast",
        "RandomCrop",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHeight",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomWidth",
        "RandomZoom",
        "ReLU",
        "RepeatVector",
        "Rescaling",
        "Reshape",
        "Resizing",
        "STFTSpectrogram",
        "Softmax",
        "Solarization",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "StackedRNNCells",
        "StringLookup",
        "Subtract",
        "SlicingOpLambda",
        "TFOpLambda",
        "TFSMLayer",
        "TextVectorization",
        "ThresholdedReLU",
        "TorchModuleWrapper",
        "UnitNormalization",
        "UpSampling1D",
        "UpSampling2D",
        "UpSampling3D",
        "Wrapper",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "ZeroPadding3D",
    ]
)
"""Keras's layers that have no variables of their own, or only seeds, counts and tables (``keras.layers``; and of
Keras 1 and 2, ``keras/layers/*.py``)."""

COPIES = ("forward_", "backward_")
"""What ``Bidirectional`` puts before the names of its two copies of a layer (``keras/src/layers/rnn/bidirectional.py``)."""


def counted_name(name: str, class_name: str) -> bool:
    """Whether ``name`` is what Keras calls an unnamed layer of that class, whatever the count (``dense_7`` of
    ``Dense``, ``forward_lstm_2`` of the ``LSTM`` in a ``Bidirectional``)."""
    stem = snake_case(class_name)
    for front in ("", *COPIES):
        plain = name.removeprefix(front)
        if name.startswith(front) and (
            plain == stem or (plain.startswith(f"{stem}_") and plain[len(stem) + 1 :].isdecimal())
        ):
            return True
    return False


_BY_KEY = {snake_case(name): name for name in VARIABLES}


def class_of_group(key: str) -> str | None:
    """The class that a group key stands for (``"conv2d_3"`` -> ``"Conv2D"``), or ``None``."""
    if key in _BY_KEY:
        return _BY_KEY[key]
    stem, _, number = key.rpartition("_")
    return _BY_KEY.get(stem) if number.isdigit() else None


def _chosen(rows: tuple[str, ...], config: Mapping[str, Any] | None) -> tuple[str, ...]:
    names = []
    for row in rows:
        name, _, option = row.partition("?")
        if option and config is not None:
            wanted: bool
            if option.startswith("!"):
                wanted = not config.get(option[1:], True)
            elif "=" in option:
                key, _, value = option.partition("=")
                wanted = config.get(key) == value
            else:
                wanted = bool(config.get(option, True))
            if not wanted:
                continue
        names.append(name)
    return tuple(names)


_ALWAYS_BUILT = frozenset(
    {"Dense", "EinsumDense", "Embedding", "BatchNormalization", "LayerNormalization", "PReLU"}
    | {f"{kind}Conv{n}D" for kind in ("", "Depthwise", "Separable") for n in (1, 2, 3)}
    | {f"Conv{n}DTranspose" for n in (1, 2, 3)}
)
"""Classes whose variables follow from their configuration alone (``Normalization`` given its mean has none)."""


def expected_variables(class_name: str, config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The variables that a built layer of that configuration has at the least; ``None`` where the class is
    not known or its variables depend on more than the table tells (quantised layers, LoRA, own code).
    """
    rows = VARIABLES.get(class_name)
    if not rows or class_name not in _ALWAYS_BUILT or _quantization(config):
        return None
    if config.get("lora_rank") or config.get("rms_scaling"):
        return None
    return _chosen(rows, config) or None


def variable_names(
    class_name: str | None, config: Mapping[str, Any] | None, count: int
) -> tuple[str, ...] | None:
    """The names of a layer's ``count`` stored variables, in order; ``None`` where the class or the count
    proves none.

    ``config`` is the layer's configuration where the file has it. Without it a count that only one choice of
    options
    explains decides (a Dense layer with one variable has its kernel).
    """
    rows = VARIABLES.get((class_name or "").rsplit(">", 1)[-1])
    if rows is None:
        return None
    mode = _quantization(config)
    if mode:
        wide = QUANTIZED.get(class_name or "", {}).get(mode)
        if wide is not None:
            names = _chosen(wide, config)
            # Optional trailing variables (zero points, group indices) were added in later releases.
            return names[:count] if 0 < count <= len(names) else None
    names = _chosen(rows, config)
    if class_name in ("BatchNormalization", "BatchNormalizationV2") and config and config.get("renorm"):
        names += ("moving_stddev", "renorm_mean", "renorm_stddev")
    if len(names) == count:
        return names
    if config is None:
        always = tuple(r for r in rows if "?" not in r)
        if len(always) == count:
            return always
        if (
            rows is _BN and count == len(_BN) - 1
        ):  # one of gamma and beta is off; which one, the file does not tell
            return ("vars/0", *always)
    return None


def likely_variables(shapes: Sequence[tuple[int, ...]]) -> tuple[str, ...] | None:
    """What a layer's variables most likely are, by their shapes alone; ``None`` where several classes fit.

    A guess for layers of unknown class, to be marked as such: a kernel with a bias of its last axis, the two
    or four
    vectors of a normalisation, the three of a recurrent cell.
    """
    ranks = [len(shape) for shape in shapes]
    if len(shapes) == 2 and ranks[0] >= 2 and shapes[1] == shapes[0][-1:]:
        return ("kernel", "bias")
    if ranks in ([1, 1], [1, 1, 1, 1]) and len(set(shapes)) == 1:
        return ("gamma", "beta", "moving_mean", "moving_variance")[: len(shapes)]
    if ranks[:2] == [2, 2] and len(shapes) == 3 and shapes[0][1] == shapes[1][1] == shapes[2][-1]:
        return ("kernel", "recurrent_kernel", "bias") if shapes[0][1] % shapes[1][0] == 0 else None
    return None


def _quantization(config: Mapping[str, Any] | None) -> str | None:
    """The quantisation mode in a layer's dtype policy (``"int4/128"`` is ``int4``), or ``None``."""
    policy = (config or {}).get("dtype")
    if isinstance(policy, dict) and isinstance(policy.get("config"), dict):
        mode = policy["config"].get("mode")
        if isinstance(mode, str):
            return mode.split("/")[0].split("_")[0]
    return None


def role_of(variable: str) -> Role:
    """``weight``, ``buffer`` or ``rng``, from the variable's own name."""
    if variable in ("seed_generator_state", "state"):
        return "rng"
    plain = variable.split(":")[0]
    if plain in BUFFERS or plain.endswith(tuple(f"_{word}" for word in SURE_BUFFERS)):
        return "buffer"
    return "weight"


def kernel_layout(class_name: str, variable: str, rank: int) -> str | None:
    """Axis order of a kernel as Keras keeps it (``io`` for Dense, ``hwio`` for two-dimensional
    convolutions).
    """
    if not variable.endswith("kernel"):
        return None
    if class_name == "Dense" or (class_name.endswith("Cell") and rank == 2):
        return "io"
    if "Transpose" in class_name:
        return {3: "woi", 4: "hwoi", 5: "dhwoi"}.get(rank)
    if class_name.startswith("Conv"):
        return {3: "wio", 4: "hwio", 5: "dhwio"}.get(rank)
    return None
