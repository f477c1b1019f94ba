"""Keras: what models, layers and callbacks say of themselves while a model is saved, loaded or copied.

Messages: keras/src/models/{functional,model}.py, keras/src/callbacks/model_checkpoint.py, tensorflow/python/keras/engine/*.py,
tensorflow/python/keras/saving/saved_model/*.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import alone, loading, loading_or_alone, storing_or_alone

ENTRIES = (
    Entry(
        "keras-yaml",
        "version-mismatch",
        ("has been removed due to security risk",),
        r"(?P<name>\w+_yaml)\(\)`? has been removed due to security risk",
        why="models are no longer written or read as YAML (`{name}`): since TensorFlow 2.6 it is refused",
        remedy="`to_json` and `model_from_json`; turn an old YAML file into JSON where you trust it.",
        weigh=ranked(("version-mismatch", 0.84), ("unsafe-pickle", 0.7), ("format-mismatch", 0.4)),
        example="RuntimeError: Method `model_from_yaml()` has been removed due to security risk of arbitrary code execution.",
    ),
    Entry(
        "keras-saved-without-call",
        "unserialisable",
        (
            "subclassed models can only be exported for serving",
            "missing from serialized",
            "custom mask layers require a config",
        ),
        r"Subclassed models can only be exported for serving|missing from serialized (?:function|object) dict"
        r"|Custom mask layers require a config",
        why=(
            "a part of the model was not (or cannot be) written with it: a subclass without a config, or a call "
            "that was never traced"
        ),
        remedy="Give the class a `get_config` and call it once before saving; or save the weights alone.",
        weigh=ranked(("unserialisable", 0.74), ("custom-object", 0.64), ("version-mismatch", 0.44)),
        example="UserWarning: Custom mask layers require a config and must override get_config.",
    ),
    Entry(
        "keras-no-such-layer",
        "renamed",
        ("no such layer: ",),
        r"No such layer: (?P<name>[\w/.:-]+)",
        why="the model that was made or loaded has no layer `{name}`: Keras numbers names anew, or it is of another version",
        remedy="Name layers when they are made; `holdfast inspect FILE` lists the names in the file.",
        where=storing_or_alone,
        weigh=ranked(("renamed", 0.68), ("missing-tensor", 0.6), ("version-mismatch", 0.54)),
        example="ValueError: No such layer: block5_pool. Existing layers are: ['input_1'].",
    ),
    Entry(
        "keras-best-only",
        "retention",
        ("save best model only",),
        r"Can save best model only (?:with \S+ available\.|when `monitor` is a scalar value)",
        why="ModelCheckpoint watches a metric that is not logged (at that moment), so that nothing, or everything, is saved",
        remedy="Watch a metric as it is logged, give validation data to `fit`, and save at the end of an epoch.",
        weigh=ranked(("retention", 0.8), ("metrics", 0.7), ("version-mismatch", 0.44)),
        example="UserWarning: Can save best model only with val_iou available.",
    ),
    Entry(
        "keras-checkpoint-arguments",
        "version-mismatch",
        (
            "`period` argument is deprecated",
            "`load_weights_on_restart` argument is deprecated",
            "automatic model reloading",
        ),
        r"`(?P<name>period|load_weights_on_restart)` argument is deprecated"
        r"|Automatic model reloading for interrupted job was removed",
        why="ModelCheckpoint's argument is of an older version",
        remedy="`save_freq` instead of `period`; BackupAndRestore instead of `load_weights_on_restart`.",
        where=alone,
        weigh=ranked(("version-mismatch", 0.56), ("resume-state", 0.4)),
        example="WARNING:tensorflow:`period` argument is deprecated. Please use `save_freq`",
    ),
    Entry(
        "keras-directory",
        "not-found",
        ("directory doesn't exist: ", "path isn't a directory: "),
        r"Directory doesn't exist: (?P<path>\S+)|Path isn't a directory: (?P<path2>\S+)",
        why="no folder of a model lies at {path}",
        remedy="Check the path and the working folder; `holdfast FOLDER` says what is there.",
        where=loading_or_alone,
        weigh=ranked(("not-found", 0.78), ("format-mismatch", 0.46), ("incomplete-save", 0.36)),
        test="path",
        example="ValueError: Directory doesn't exist: runs/7/model",
    ),
    Entry(
        "keras-object-of-type",
        "custom-object",
        ("cannot deserialize object of type", "had a build config, but"),
        r"Cannot deserialize object of type `?(?P<name>\w+)|'?(?P<name2>\w+)'? had a build config, but the model cannot be built",
        why="`{name}` is a class of your own that is not registered, or cannot be built from what was saved of it",
        remedy=(
            "`@keras.saving.register_keras_serializable()`, with `build_from_config` where its shapes are not "
            "those of `build`."
        ),
        weigh=ranked(("custom-object", 0.84), ("lazy-build", 0.6), ("version-mismatch", 0.5)),
        example="TypeError: Cannot deserialize object of type `Gate`. If `Gate` is a custom class, please register it",
    ),
    Entry(
        "keras-symbolic-inputs",
        "version-mismatch",
        (
            "values must be kerastensors",
            "improperly formatted model config",
            "unknown `config` as a `dict`",
            "cannot find a common shape",
            "output tensors to a",
            "output tensors of a",
        ),
        r"values must be KerasTensors|Improperly formatted model config|Unknown `config` as a `dict`|Cannot find a common shape"
        r"|Output tensors (?:to|of) a \w+ (?:model )?must be",
        why="parts of one Keras (`keras`, `tf.keras`, `tf_keras`) are put together by another, or a config of another is read",
        remedy="Import everything from the Keras that saved (TF_USE_LEGACY_KERAS=1 for Keras 2), or load the weights alone.",
        where=loading,
        weigh=ranked(("version-mismatch", 0.72), ("custom-object", 0.5), ("format-mismatch", 0.42)),
        example="model = load_model('m.h5')\nValueError: All `inputs` values must be KerasTensors. Received: inputs=[x]",
    ),
    Entry(
        "keras-no-inbound",
        "lazy-build",
        ("has no inbound nodes",),
        r"[Ll]ayer (?P<name>\S+) has no inbound nodes",
        why=(
            "the model that was loaded is of a subclass: its layers are not joined until it is called, so that "
            "it has no inputs or "
            "outputs to ask for"
        ),
        remedy="Call it once with a real batch; or build it as a Functional model and load the weights.",
        where=loading_or_alone,
        weigh=ranked(("lazy-build", 0.66), ("version-mismatch", 0.58), ("custom-object", 0.44)),
        example="AttributeError: Layer net has no inbound nodes.",
    ),
    Entry(
        "keras-input-spec",
        "shape-mismatch",
        ("input 0 of layer", "input 0 is incompatible with"),
        r"Input 0 (?:of layer \S+ )?is incompatible with (?:the )?layer.{0,60}?(?:expected"
        r" (?P<want>.{1,60}?), )?(?:found|but received)"
        r" (?:input with )?(?P<got>.{1,60})",
        why="the loaded model wants {want} and is given {got}: other data than it was trained on, or it was made anew otherwise",
        remedy="Give it batches of the shape it was saved with (`model.input_shape`), of the same preparation.",
        where=loading,
        weigh=lambda look: _given(look),
        example=(
            "model = load_model('m')\nValueError: Input 0 of layer dense_1 is incompatible with the layer: "
            "expected axis -1 of "
            "input shape to have value 2 but received input with shape [None, 5]"
        ),
    ),
    Entry(
        "keras-cyclic",
        "version-mismatch",
        ("cyclic-dependency between functions",),
        "",
        why="the SavedModel's functions refer to each other in a way that this version does not read",
        remedy="Load it with the version that saved; save as `.h5` or `.keras`, or the weights alone.",
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.5), ("graph-lifecycle", 0.48)),
        example="ValueError: There is a cyclic-dependency between functions. Could not resolve ['f'].",
    ),
    Entry(
        "keras-disconnected",
        "version-mismatch",
        ("graph disconnected: cannot obtain value", "is not connected, no input to return"),
        "",
        why="the loaded model's layers are not joined as in the model that was saved (it was not built, or made anew otherwise)",
        remedy="Build the model in code and load the weights; for a subclassed model call it once.",
        where=loading,
        weigh=ranked(("version-mismatch", 0.6), ("graph-lifecycle", 0.52), ("lazy-build", 0.5)),
        example="model = load_model('m.h5')\nValueError: Graph disconnected: cannot obtain value for tensor x",
    ),
)


def _given(look: Look) -> list[Guess]:
    """While the model is made anew, or when it is asked to predict."""
    if "predict" in look.reading.lower or "evaluate" in look.reading.lower:
        rows = (("preprocessing", 0.66), ("shape-mismatch", 0.62), ("version-mismatch", 0.46))
    else:
        rows = (("version-mismatch", 0.66), ("shape-mismatch", 0.62), ("lazy-build", 0.48))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
