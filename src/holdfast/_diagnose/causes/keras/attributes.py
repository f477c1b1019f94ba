"""Keras: attributes, arguments and keys that some version has and another has not.

Which version has which: the release notes of Keras 2.0, 2.3, of TensorFlow 2.0, 2.6, 2.11, and of Keras 3.0.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone

_SAME_VERSION = (
    "Run it with the version that it was written for (`holdfast FILE` names the one that saved), or build the model in code and "
    "load the weights alone."
)
_CLASSES = (
    r"Model|Sequential|Functional|Network|Container|Graph|Node|InputLayer|Dense|Conv[123]D\w*"
    r"|Convolution[123]D|Embedding|LSTM|GRU"
    r"|BatchNormalization\w*|TimeDistributed|Bidirectional|Merge|Layer|KerasTensor|Variable|KerasVariable|History|ModelCheckpoint"
)
_NAMES = (
    r"W|b|nb_filter|nb_row|nb_col|border_mode|init|output_dim|dim_ordering|nodes|containers|container_nodes"
    r"|inbound_nodes|outbound_nodes"
    r"|_inbound_nodes|_outbound_nodes|output_masks|_layers|_nodes_by_depth|uses_learning_phase|_feed_input_names|_keras_shape"
    r"|_keras_history|_make_predict_function|_make_train_function|make_predict_function|predict_classes|predict_proba"
    r"|predict_generator|fit_generator|evaluate_generator|targets|sample_weights|total_loss|_training_config|_is_compiled"
    r"|_compile_metrics|compiled_metrics|_standardize_user_data|_is_graph_network|_set_save_spec"
    r"|_get_save_spec|_saved_model_inputs_spec"
    r"|_undeduplicated_weights|_captured_weight_regularizer|_metrics|_distribution_strategy"
    r"|_in_multi_worker_mode|get_layer_by_name"
    r"|ref|as_list|_shape_val|_implementation|epochs_since_last_save|_supports_tf_logs|load_weights_from_hdf5_group"
)
_KEYS = (
    r"model_config|layer_names|weight_names|keras_version|class_name|inbound_nodes|batch_input_shape|node_indices|tensor_indices"
    r"|output_layers|input_layers|registered_name|build_config|nb_filter|border_mode|training_config|optimizer_config"
)
_ARGUMENTS = (
    r"ragged|batch_input_shape|batch_shape|time_major|data_format|dim_ordering|border_mode|nb_filter|nb_row|reset_after"
    r"|unit_forget_bias|registered_name|build_config|kernel_initializer|bias_initializer|W_regularizer|recurrent_activation"
    r"|return_state|dilation_rate|output_padding|renorm|groups|keepdims|value_range|by_name|skip_mismatch"
    r"|custom_objects|safe_mode"
)


def which_key(look: Look) -> list[Guess]:
    """Of the file (another kind of file), or of a config (another version)."""
    key = look.facts().get("key", "")
    if key in (
        "model_config",
        "layer_names",
        "weight_names",
        "keras_version",
        "training_config",
        "optimizer_config",
    ):
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.72),
            look.entry.guess(look, confidence=0.62),
            look.entry.guess(look, "corrupt", confidence=0.3),
        ]
    return [
        look.entry.guess(look, confidence=0.72),
        look.entry.guess(look, "custom-object", confidence=0.5),
        look.entry.guess(look, "format-mismatch", confidence=0.46),
    ]


ENTRIES = (
    Entry(
        "keras-attribute-of-a-version",
        "version-mismatch",
        ("has no attribute '",),
        rf"'(?P<kind>{_CLASSES})' object has no attribute '(?P<name>{_NAMES})'",
        why="`{kind}` has no `{name}` in this version of Keras: the code (or the file) was written for another",
        remedy=_SAME_VERSION,
        where=storing_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("format-mismatch", 0.44), ("custom-object", 0.4)),
        example="AttributeError: 'Sequential' object has no attribute '_make_predict_function'",
    ),
    Entry(
        "keras-compiled-later",
        "optimizer-structure",
        ("has no attribute 'optimizer'", "no training configuration found"),
        r"'(?P<kind>Model|Sequential|Functional)' object has no attribute 'optimizer'"
        r"|No training configuration found in (?:the )?save file",
        why="the file holds no optimizer and no loss (saved without, or loaded with `compile=False`): the model is not compiled",
        remedy="Compile it before training goes on; save with `include_optimizer=True` for the optimizer's state to be kept.",
        where=storing_or_alone,
        weigh=ranked(("optimizer-structure", 0.56), ("format-mismatch", 0.5), ("resume-state", 0.46)),
        example="UserWarning: No training configuration found in save file: the model was *not* compiled. Compile it manually.",
    ),
    Entry(
        "keras-mixed-up",
        "version-mismatch",
        ("'tuple' object has no attribute 'layer'", "'nonetype' object has no attribute '_inbound_nodes'"),
        "",
        why="layers of `keras` and of `tf.keras` are mixed in one model (or the config is of the other)",
        remedy="Import everything from one of them, the one that saved.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.74), ("custom-object", 0.46), ("graph-lifecycle", 0.36)),
        example="AttributeError: 'tuple' object has no attribute 'layer'",
    ),
    Entry(
        "keras-not-compiled",
        "lazy-build",
        ("object has no attribute '",),
        r"'(?:Model|Sequential|Graph|Functional)' object has no attribute '(?P<name>predict_function|test_function"
        r"|train_function|total_loss|metrics_names|_predict|_train|X_test|class_mode)'",
        why="`{name}` is made by `compile` (or the first call), and neither came after the model was loaded",
        remedy="Call `model.compile(...)` after `model_from_json` and `load_weights`.",
        where=loading_or_alone,
        weigh=ranked(("lazy-build", 0.86), ("version-mismatch", 0.8)),
        example="AttributeError: 'Model' object has no attribute 'predict_function'",
    ),
    Entry(
        "keras-none-instead",
        "format-mismatch",
        (
            "'nonetype' object has no attribute 'decode'",
            "'nonetype' object has no attribute 'from_config'",
            "'nonetype' object has no attribute 'get_config'",
            "'nonetype' object has no attribute 'update'",
        ),
        r"'NoneType' object has no attribute '(?P<name>decode|from_config|get_config|update)'",
        why="the file (or the program) has nothing where the loader looks for a config or a class",
        remedy="`load_model` wants a whole model's file; classes of your own go into custom_objects.",
        where=storing_or_alone,
        weigh=lambda look: _none_of(look),
        example="AttributeError: 'NoneType' object has no attribute 'decode'",
    ),
    Entry(
        "keras-key-of-a-version",
        "version-mismatch",
        ("keyerror: ",),
        rf"KeyError: [\"']?u?'?(?P<key>{_KEYS})'?[\"']?(?=\s|$)",
        why="the loader looks for `{key}`, which this file or config does not have: it is of another kind or version",
        remedy=_SAME_VERSION,
        where=loading_or_alone,
        weigh=which_key,
        example="KeyError: 'class_name'",
    ),
    Entry(
        "keras-argument-of-a-version",
        "version-mismatch",
        ("expected keyword argument '",),
        rf"(?:__init__|\w+)\(\) got an (?:un)?expected keyword argument '(?P<key>{_ARGUMENTS})'",
        why="`{key}` is an argument of another version of Keras",
        remedy=_SAME_VERSION,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.5), ("format-mismatch", 0.4)),
        example="TypeError: __init__() got an unexpected keyword argument 'ragged'",
    ),
    Entry(
        "keras-base-argument",
        "custom-object",
        ("unexpected keyword argument 'trainable'",),
        r"(?:__init__|\w+)\(\) got an unexpected keyword argument 'trainable'",
        why=(
            "a class of your own does not take the arguments of every layer (`name`, `trainable`, `dtype`) that "
            "its saved config holds"
        ),
        remedy="Take `**kwargs` in `__init__` and hand them to `super().__init__(**kwargs)`.",
        where=loading_or_alone,
        weigh=ranked(("custom-object", 0.86), ("version-mismatch", 0.56), ("unserialisable", 0.5)),
        example="TypeError: __init__() got an unexpected keyword argument 'trainable'",
    ),
    Entry(
        "keras-base-argument-name",
        "custom-object",
        ("unexpected keyword argument 'name'",),
        r"__init__\(\) got an unexpected keyword argument 'name'",
        why="a class of your own does not take `name`, which every layer's saved config holds",
        remedy="Take `**kwargs` in `__init__` and hand them to `super().__init__(**kwargs)`.",
        context=("keras", "load_model", "from_config", "saved model", "layer"),
        only_in=True,
        where=loading_or_alone,
        weigh=ranked(("custom-object", 0.7), ("version-mismatch", 0.66), ("unserialisable", 0.5)),
        example="model = load_model('m.h5')\nTypeError: __init__() got an unexpected keyword argument 'name'",
    ),
    Entry(
        "keras-import-of-a-version",
        "version-mismatch",
        ("cannot import name",),
        r"cannot import name '?(?P<name>\w+)'? from '?(?P<module>(?:tensorflow\.(?:python\.)?)?(?:tf_)?keras(?:_\w+)?[\w.]*)",
        why="`{module}` has no `{name}` in this version of Keras",
        remedy=_SAME_VERSION,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.4)),
        example="ImportError: cannot import name 'saving' from 'keras.engine'",
    ),
    Entry(
        "keras-module-of-a-version",
        "version-mismatch",
        ("has no attribute ", "has no attribute `"),
        r"module [`'](?P<module>[\w.]*(?:keras|h5py)[\w.]*)[`'] has no attribute [`'](?P<name>\w*(?:load|sav"
        r"|model|weight|convert|engine"
        r"|layers?|optimizers?|utils|hdf5|File|backend|get_session|learning_phase)\w*)[`']",
        why="`{module}` has no `{name}` in the version that is installed",
        remedy=_SAME_VERSION,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.4)),
        example="AttributeError: module `keras_boxes.models` has no attribute 'convert_model'",
    ),
)


def _none_of(look: Look) -> list[Guess]:
    """No config, no class, or no object to take a config from, or to copy."""
    if (
        look.match["name"].lower() == "update"
        and not look.around.saving
        and "checkpoint" not in look.reading.lower
    ):
        return []
    rows = {
        "decode": (("format-mismatch", 0.72), ("version-mismatch", 0.6), ("incomplete-save", 0.36)),
        "from_config": (("custom-object", 0.72), ("version-mismatch", 0.62), ("format-mismatch", 0.4)),
        "update": (("unserialisable", 0.66), ("topology", 0.5), ("version-mismatch", 0.46)),
        "get_config": (("unserialisable", 0.64), ("custom-object", 0.56), ("version-mismatch", 0.52)),
    }[look.match["name"].lower()]
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
