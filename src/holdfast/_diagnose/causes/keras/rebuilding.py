"""Keras: a model made anew from its saved config (``load_model``, ``from_config``, ``model_from_json``).

Messages: keras/src/saving/serialization_lib.py, keras/src/legacy/saving/{serialization,saving_utils}.py, and their forerunners in
Keras 1 and 2.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, loading_or_alone

_SAME_VERSION = (
    "Load with the version that saved (`holdfast FILE` names it), or build the model in code and "
    "load the weights alone."
)
_REGISTER = (
    "Give `from_config` what `get_config` returned, register the class (`@keras.saving.register_keras_serializable()`), or pass "
    "custom_objects."
)
_BUILT_IN = frozenset(
    {
        "Functional", "Sequential", "Model", "Network", "Container", "TFOpLambda", "SlicingOpLambda", "ClassMethod",
        "InstanceProperty", "ModuleWrapper", "TensorFlowOpLayer", "AnonymousLayer", "Rescaling", "Resizing", "Normalization",
        "RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomCrop", "CenterCrop", "TextVectorization",
        "StringLookup", "IntegerLookup", "CategoryEncoding", "Discretization", "Hashing", "MultiHeadAttention",
        "LayerNormalization", "GroupNormalization", "UnitNormalization", "SpectralNormalization", "SeparableConv2D",
        "DepthwiseConv2D", "Conv2DTranspose", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization",
        "CuDNNLSTM", "CuDNNGRU", "LSTM", "GRU", "LSTMV2", "GRUV2", "Merge", "Highway", "MaxoutDense", "TimeDistributedDense",
        "AtrousConvolution2D", "Convolution1D", "Convolution2D", "Convolution3D", "Deconvolution2D", "InputLayer", "Dense",
        "Conv1D", "Conv2D", "Conv3D", "Embedding", "Dropout", "Flatten", "Activation", "Bidirectional", "TimeDistributed",
        "GlobalAveragePooling2D", "MaxPooling2D", "DTypePolicy", "Policy", "Adam", "AdamW", "Nadam", "RMSprop", "SGD",
        "Adadelta", "CastToFloat32", "GetItem", "NotEqual", "Variable", "mse", "mae", "accuracy", "acc", "binary_crossentropy",
        "categorical_crossentropy", "sparse_categorical_crossentropy", "mean_squared_error", "mean_absolute_error",
        "GlorotUniform", "Zeros", "Orthogonal", "HeNormal", "VarianceScaling", "RandomNormal", "weighted_mse",
    }
)  # fmt: skip
"""Classes and functions that some version of Keras has, so that only a version can lack them."""


def built_in_class(look: Look) -> list[Guess]:
    """A class of Keras itself that this Keras does not know."""
    name = look.facts().get("name", "").rpartition(">")[2].rpartition(".")[2]
    return [look.entry.guess(look)] if name in _BUILT_IN else []


def whose_class(look: Look) -> list[Guess]:
    """Of Keras itself (then its config is of another version), or the user's own."""
    name = look.facts().get("name", "")
    own = look.entry.guess(
        look, "custom-object", confidence=0.84, remedy=_REGISTER,
        why="a class of your own (`{name}`) is not made anew from the config that it saved".format_map({"name": name}),
    )  # fmt: skip
    if (
        name.rpartition(".")[2] in ("Functional", "Sequential", "Model")
        and "unrecognized keyword" not in look.reading.lower
    ):
        why = (
            "a layer inside the model could not be made anew: a class of your own, or a config of another "
            "version (the inner exception tells)"
        )
        return [
            look.entry.guess(look, "custom-object", confidence=0.74, why=why, remedy=_REGISTER),
            look.entry.guess(look, confidence=0.7, why=why),
        ]
    library = name.startswith(("keras", "tf_keras", "tensorflow")) or name.rpartition(".")[2] in _BUILT_IN
    if library:
        return [look.entry.guess(look), look.entry.guess(look, "custom-object", confidence=0.42)]
    return [own, look.entry.guess(look, "version-mismatch", confidence=0.6)]


def whose_identifier(look: Look) -> list[Guess]:
    """A name that is not known, or an object of the other Keras (`keras` and `tf.keras` mixed)."""
    name = look.facts().get("name", "")
    mixed = (
        name.startswith("<")
        and re.search(r"keras|tensorflow", look.reading.flat[look.match.start() :]) is not None
    )
    why = "an object of one Keras (`keras`, `tf.keras`, `tf_keras`) is given to the other"
    if mixed:
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.82, why=why),
            look.entry.guess(look, confidence=0.56),
        ]
    return [
        look.entry.guess(look, confidence=0.74),
        look.entry.guess(look, "version-mismatch", confidence=0.4),
    ]


def whose_config(look: Look) -> list[Guess]:
    """A config of another version of Keras, or of something that is no Keras model (a TensorFlow graph has nodes and ops)."""
    if re.search(r"\{u?'(?:node|op|versions|library|graph_def|modelTopology)'", look.reading.flat):
        why = "what was given is the description of a graph, not of a Keras model"
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.84, why=why),
            look.entry.guess(look, confidence=0.5),
            look.entry.guess(look, "custom-object", confidence=0.4),
        ]
    return [
        look.entry.guess(look, confidence=0.78),
        look.entry.guess(look, "custom-object", confidence=0.5),
        look.entry.guess(look, "format-mismatch", confidence=0.42),
    ]


ENTRIES = (
    Entry(
        "keras-built-in-unknown",
        "version-mismatch",
        ("unknown ", "could not locate ", "invalid "),
        r"(?:(?:Unknown|Invalid) (?:layer|loss function|metric function|loss|metric|initializer|optimizer"
        r"|object|config_item)s?:? ?'?"
        r"|Could not locate (?:class|function) ')(?P<name>[\w.>]+)(?![\w.>]| ?[+*/])",
        why=(
            "`{name}` is a class of Keras itself, which this version does not have (or keeps elsewhere): "
            "the file is of another version"
        ),
        remedy=_SAME_VERSION,
        weigh=built_in_class,
        weight=0.97,
        example="ValueError: Unknown layer: Functional",
    ),
    Entry(
        "keras-old-keyword",
        "version-mismatch",
        ("keyword argument not understood",),
        r"\(?'?Keyword argument not understood:'?,? '?(?P<key>\w+)",
        why="the saved config has the argument `{key}`, which this version's layer does not take",
        remedy=_SAME_VERSION,
        also=("custom-object",),
        weight=0.84,
        example="TypeError: ('Keyword argument not understood:', 'ragged')",
    ),
    Entry(
        "keras-class-not-rebuilt",
        "version-mismatch",
        (
            "could not be deserialized properly",
            "error when deserializing class",
            "unable to revive model from config",
        ),
        r"(?:<class '(?P<name>[\w.]+)'>|Class '?(?P<name2>[\w.]+)'?) could not be deserialized properly"
        r"|Error when deserializing class '(?P<name3>\w+)' using config|Unable to revive model from config",
        why="the class `{name}` does not take the config that was saved for it: it is of another version",
        remedy=_SAME_VERSION,
        weigh=whose_class,
        weight=0.86,
        example=(
            "ValueError: Error when deserializing class 'InputLayer' using config={'batch_shape': [None, 8]}.\n\nException "
            "encountered: Unrecognized keyword arguments: ['batch_shape']"
        ),
    ),
    Entry(
        "keras-config-not-understood",
        "version-mismatch",
        (
            "improper config format",
            "improperly formatted model config",
            "could not interpret serialized",
            "is not a valid keras configuration",
            "could not parse config",
            "saved configuration not understood",
            "`model_from_config` expects a dictionary",
            "expects a dictionary, not a list",
            "unable to reconstruct an instance",
            "expected 'config' to be",
            "resolved to a keras built-in",
        ),
        r"Improper config format|Could not interpret serialized|is not a valid Keras configuration|Could not parse config"
        r"|Saved configuration not understood|expects a dictionary, not a list|Unable to reconstruct an instance"
        r"|Expected 'config' to be|resolved to a Keras built-in",
        why="the config in the file is not laid out as this version reads it",
        remedy=_SAME_VERSION,
        weigh=whose_config,
        example="ValueError: Improper config format: {'l2': 0.01}",
    ),
    Entry(
        "keras-from-config-error",
        "version-mismatch",
        (
            "from_config",
            "deserialize",
            "load_model",
            "model_from_json",
            "model_from_config",
            "keras/saving",
            "process_node",
        ),
        r"(?:from_config|deserialize\w*|load_model|model_from_json|model_from_config|keras/saving|process_node).{0,1500}?"
        r"(?P<kind>KeyError|AttributeError|TypeError|IndexError): (?P<what>(?:'[\w ]+' object has no "
        r"attribute|'[\w ]+'$|'\w+'\s*$|"
        r"[^']{0,40}unexpected keyword|\w+ is not iterable|list index|'<' not supported|string indices|unhashable|"
        r"[\w.]+\(\) missing|argument of type|'\w+' object is not).{0,120})",
        why="the saved config is read by code of another version ({kind}: {what})",
        remedy=_SAME_VERSION,
        context=("keras",),
        only_in=True,
        weigh=ranked(("version-mismatch", 0.7), ("custom-object", 0.5), ("format-mismatch", 0.4)),
        example=(
            '  File "keras/engine/topology.py", line 9, in from_config\n    mask = '
            "config.pop(\"mask_kind\")\nKeyError: 'mask_kind'"
        ),
    ),
    Entry(
        "keras-list-items",
        "version-mismatch",
        (
            "'list' object has no attribute 'items'",
            "'str' object has no attribute 'items'",
            "'nonetype' object has no attribute 'items'",
        ),
        r"'(?:list|str|NoneType)' object has no attribute 'items'",
        why="the config holds a list where this version expects a dictionary: it was written by another generation of Keras",
        remedy=_SAME_VERSION,
        where=loading_or_alone,
        context=("load_model", "keras", "from_config"),
        only_in=True,
        weight=0.8,
        example="model = load_model('m.h5')\nAttributeError: 'list' object has no attribute 'items'",
    ),
    Entry(
        "keras-dtype-policy",
        "version-mismatch",
        ("dtypepolicy", "unknown dtype policy", "cannot convert dtype"),
        "",
        why="the file tells number types in the way of another version of Keras",
        remedy=_SAME_VERSION,
        where=loading_or_alone,
        weight=0.72,
        also=("custom-object", "dtype-mismatch"),
        example="load_model: ValueError: Unknown dtype policy: DTypePolicy in keras model",
    ),
    Entry(
        "keras-metric-config",
        "custom-object",
        (
            "could not interpret metric",
            "could not interpret loss",
            "could not interpret optimizer",
            "could not interpret activation",
        ),
        r"Could not interpret (?P<kind>metric|loss|optimizer"
        r"|activation)\w*(?: function)?(?: identifier)?:? ?(?P<name>[^\s,]{1,80})?",
        why="the file names a {kind} ({name}) that this program does not know",
        remedy="Pass custom_objects, or `compile=False` where it is only for inference.",
        where=loading_or_alone,
        weigh=whose_identifier,
        example="ValueError: Could not interpret loss function identifier: my_loss. load_model",
    ),
    Entry(
        "keras-lambda-name",
        "custom-object",
        ("nameerror: name '", "is not defined"),
        r"name '(?P<name>\w+)' is not defined(?=.{0,40}$)",
        why="a Lambda layer (or a pickled function) of the file uses `{name}`, which the program that loads does not define",
        remedy=(
            "Define it before loading, or pass custom_objects={{'{name}': ...}}; better replace the "
            "Lambda by a registered layer."
        ),
        calls=("load_model", "from_config", "func_load", "deserialize", "model_from_json"),
        context=("lambda", "func_load", "load_model(", "from_config", "model_from_json"),
        only_in=True,
        where=loading,
        weight=0.8,
        also=("version-mismatch",),
        example="  File \"keras/layers/core.py\", line 9, in call\n    load_model lambda\nNameError: name 'tf' is not defined",
    ),
    Entry(
        "keras-config-lacks-arguments",
        "unserialisable",
        ("required positional argument", "required keyword-only argument"),
        r"__init__\(\) missing (?P<count>\d+) required (?:positional|keyword-only) arguments?: (?P<names>.{1,120})",
        why="the class is made anew from its saved config, which lacks {names}: its `get_config` did not write them",
        remedy=(
            "Return every argument of `__init__` from `get_config` (and call super's), then save again; "
            "weights alone load into a model built in code."
        ),
        calls=(
            "from_config",
            "deserialize_keras_object",
            "model_from_config",
            "load_model",
            "model_from_json",
            "clone_model",
            "layer_from_config",
        ),
        only_in=True,
        also=("custom-object", "version-mismatch"),
        weight=0.9,
        example=(
            '  File "keras/engine/topology.py", line 9, in from_config\n    return '
            "cls(**config)\nTypeError: __init__() missing 1 required positional argument: 'units'"
        ),
    ),
)
