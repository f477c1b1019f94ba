"""Keras in TensorFlow: models in SavedModel folders, and weights in TensorFlow's format.

Messages: keras/saving/legacy/saved_model/{load,save_impl}.py, keras/engine/training.py (2.x), tensorflow/python/keras/saving.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading, loading_or_alone, storing_or_alone

ENTRIES = (
    Entry(
        "keras-no-metadata",
        "format-mismatch",
        (
            "lacks the keras metadata",
            "unable to create a keras model from this savedmodel",
            "savedmodel saved prior to tf 2.5 detected",
            "savedmodel saved prior to tensorflow 2.5",
            'should be a file named "keras_metadata.pb"',
        ),
        "",
        why="the folder was written by `tf.saved_model.save` (or an old version), and holds no Keras model that "
        "`load_model` "
        "could rebuild",
        remedy="Load it with `tf.saved_model.load` and call a signature; save with `model.save` to load with "
        "`load_model`.",
        also=("version-mismatch", "custom-object"),
        weight=0.92,
        example="ValueError: Unable to create a Keras model from this SavedModel. It lacks the Keras metadata.",
    ),
    Entry(
        "keras-metadata-unreadable",
        "corrupt",
        ("cannot parse keras metadata", "keras_metadata.pb", "unable to decode config"),
        r"Cannot parse keras metadata|keras_metadata\.pb.{0,120}(?:pars|decod|corrupt|No such|not found)"
        r"|Unable to decode config",
        why="the Keras part of the SavedModel cannot be read: written by another version, damaged, or not copied along",
        remedy="Load with the version that saved; copy the whole folder (`keras_metadata.pb` is part of it).",
        weigh=ranked(("corrupt", 0.72), ("version-mismatch", 0.66), ("incomplete-save", 0.52)),
        example="OSError: Cannot parse keras metadata at path model/keras_metadata.pb: Received error: Error parsing "
        "message.",
    ),
    Entry(
        "keras-revive-class",
        "custom-object",
        (
            "unable to restore a layer of class",
            "require that the class be provided",
            "unable to restore custom object",
            "unable to restore custom metric",
            "models could not be initialized",
            "could not be revived",
            "because the call function was not serialized",
        ),
        r"Unable to restore a layer of class (?P<name>\w+)|require that the class be provided|Unable to restore custom "
        r"(?:object|metric)(?: of type (?P<name2>\w+))?|models could not be initialized|could not be revived"
        r"|because the call function was not serialized",
        why="the SavedModel does not say how `{name}` is made: its class was not given, or has no `get_config`",
        remedy="`load_model(path, custom_objects={{...}})` with the class; give it `get_config` and register it, and "
        "save again.",
        also=("version-mismatch", "unserialisable"),
        weight=0.9,
        example="RuntimeError: Unable to restore a layer of class Pool. Layers of class Pool require that the class be "
        "provided",
    ),
    Entry(
        "keras-weights-by-name-tf",
        "format-mismatch",
        (
            "loading tensorflow-formatted weights",
            "may only be loaded based on topology",
            "looks like an hdf5 file",
            'was expecting one of {"tf", "h5"}',
            "skip_mismatch can only be set to true when by_name",
            "not supported for tensorflow weights",
            "is not supported in h5, use",
        ),
        "",
        why="the file is in one format of Keras weights (TensorFlow's, HDF5), and the call is for the other",
        remedy="HDF5 (`.h5`) can be loaded by layer names; TensorFlow's format by the model's structure: leave "
        "`by_name` out, "
        "or save with `save_format='h5'`.",
        also=("version-mismatch", "renamed"),
        weight=0.92,
        example=(
            "NotImplementedError: Weights may only be loaded based on topology into Models when loading "
            "TensorFlow-formatted "
            "weights (got by_name=True to load_weights)."
        ),
    ),
    Entry(
        "keras-saved-optimizer-slots",
        "optimizer-structure",
        (
            "slots cannot be restored from saved_model",
            "optimizers loaded from savedmodel cannot be saved",
            "restoring functional optimizers from savedmodels",
            "the optimizer is not from `tf.train`",
            "cannot save the optimizer as part of the model",
        ),
        "",
        why="Keras does not bring back the optimizer's slots from a SavedModel (nor save one that came from there)",
        remedy="To go on training keep a tf.train.Checkpoint(model=..., optimizer=...) too; to save again: "
        "`include_optimizer=False`.",
        weigh=ranked(("optimizer-structure", 0.86), ("resume-state", 0.62), ("unserialisable", 0.55)),
        example=(
            "WARNING:tensorflow:Your optimizer uses slots. Slots cannot be restored from saved_model, as a result, "
            "your model "
            "is starting with  a new initialized optimizer."
        ),
    ),
    Entry(
        "keras-path-is-an-object",
        "not-found",
        ("has no attribute 'endswith'", "has no attribute 'rfind'", "has no attribute 'startswith'"),
        r"'(?P<kind>\w+)' object has no attribute '(?:endswith|rfind|startswith)'",
        why="in the place of a path there is a {kind} object",
        remedy="Give the path as a string (`str(path)`); of a ModelCheckpoint: `callback.filepath`.",
        where=storing_or_alone,
        weigh=ranked(("not-found", 0.72), ("version-mismatch", 0.58), ("format-mismatch", 0.52)),
        example="model.load_weights(p)\nAttributeError: 'PosixPath' object has no attribute 'endswith'",
    ),
    Entry(
        "keras-lambda-names",
        "custom-object",
        ("is not defined",),
        r"(?:type Lambda\)|lambda_layer\.py|python_utils|func_load|load_model\(|model_from_(?:json|config)"
        r"|deserialize).{0,800}?"
        r"name '(?P<name>\w+)' is not defined"
        r"|name '(?P<name2>\w+)' is not defined.{0,800}?(?:type Lambda\)|load_model\(|model_from_(?:json|config))",
        why="the file holds the code of a Lambda, not what that code uses: `{name}` is not there when it runs after "
        "loading",
        remedy="`custom_objects={{'{name}': {name}}}`, or import inside of the function; better a registered layer "
        "than a Lambda.",
        also=("unserialisable", "version-mismatch"),
        weight=0.84,
        example="model = load_model('m.h5')\nNameError: name 'K' is not defined",
    ),
    Entry(
        "keras-arguments-not-known",
        "version-mismatch",
        ("unrecognized keyword arguments", "keyword argument not understood"),
        r"Unrecognized keyword arguments:?'?,? ?(?:dict_keys\()?\[?'?(?P<name>\w*)"
        r"|Keyword argument not understood:?'?,? ?'?(?P<name2>\w*)",
        why="the layer's config in the file has an argument ({name}) that this version's class does not take",
        remedy="Load with the version that saved; or take the argument out of the config.",
        where=loading_or_alone,
        also=("custom-object",),
        weight=0.9,
        example="ValueError: ('Unrecognized keyword arguments:', dict_keys(['ragged']))",
    ),
    Entry(
        "savedmodel-optimizer-plain",
        "version-mismatch",
        ("_create_or_restore_slot_variable",),
        r"object has no attribute '_create_or_restore_slot_variable'",
        why="the SavedModel holds an optimizer whose class this version did not revive, and its slots have nowhere to go",
        remedy="Load with the version that saved; or save without the optimizer (`include_optimizer=False`).",
        also=("optimizer-structure", "custom-object"),
        weight=0.9,
        example="AttributeError: '_UserObject' object has no attribute '_create_or_restore_slot_variable'",
    ),
    Entry(
        "keras-layer-not-saved-yet",
        "unserialisable",
        (
            "is not yet supported for",
            "'trackableweighthandler' object has no attribute",
            "not yet supported for saving",
        ),
        r"[Ss]aving is not yet supported for (?P<name>\w+)|'(?P<name2>TrackableWeightHandler)' object has no attribute"
        r"|(?P<name3>\w+) (?:layers? |is |are )+not yet supported for saving",
        why="the state of {name} (a table, not a variable) cannot be written by this version in this format",
        remedy="Newer TensorFlow, or the SavedModel format; or keep its vocabulary in a file and set it after loading.",
        also=("format-mismatch", "version-mismatch"),
        weight=0.84,
        example="NotImplementedError: Saving is not yet supported for StringLookup layers.",
    ),
    Entry(
        "keras-revive-inputs",
        "custom-object",
        (
            "_infer_inputs_from_restored_call_function",
            "_unblock_model_reconstruction",
            "revive_custom_object",
        ),
        r"_infer_inputs_from_restored_call_function|_unblock_model_reconstruction|revive_custom_object",
        why="a model or layer of the user's had to be made from its traced calls, and they do not say enough",
        remedy="Give the class `get_config`, pass it in `custom_objects`, and call it with tensors only (no Python "
        "numbers).",
        where=loading_or_alone,
        also=("unserialisable", "version-mismatch"),
        weight=0.8,
        example="load_model('m')\n  File \"load.py\", line 9, in _infer_inputs_from_restored_call_function\n"
        "AttributeError: 'int' object has no attribute 'shape'",
    ),
    Entry(
        "keras-optimizer-arguments",
        "version-mismatch",
        ("kwargs should be empty", "argument(s) not recognized", "is deprecated in the new keras optimizer"),
        r"(?P<name>\w+) is not a valid argument, kwargs should be empty|Argument\(s\) not recognized: \{'(?P<name2>\w+)'"
        r"|(?P<name3>\w+) is deprecated in the new Keras optimizer",
        why="the config of the optimizer has an argument ({name}) that this version's optimizer does not take",
        remedy="`load_model(path, compile=False)` and compile anew; or the version that saved, or `optimizers.legacy`.",
        where=loading_or_alone,
        also=("optimizer-structure", "optimizer-hyperparameters"),
        weight=0.86,
        example="ValueError: decay is deprecated in the new Keras optimizer, please check the docstring for valid "
        "arguments",
    ),
    Entry(
        "keras-class-arguments",
        "unserialisable",
        ("__init__() takes",),
        r"__init__\(\) takes (?:exactly |at least )?(?:\d+|from \d+ to \d+) (?:positional )?arguments? "
        r"(?:but \d+ (?:was|were) given|\(\d+ given\))",
        why="the class is made anew from its config, and the config has not the arguments that its `__init__` asks for",
        remedy="Give the class a `get_config` with all arguments of `__init__`; or save weights only.",
        where=loading,
        also=("custom-object", "version-mismatch"),
        weight=0.74,
        example="model = load_model('m.h5', custom_objects=mine)\nTypeError: __init__() takes exactly 4 arguments (1 "
        "given)",
    ),
    Entry(
        "keras-own-class-arguments",
        "custom-object",
        ("custom_objects",),
        r"custom_objects ?= ?\{.{1,400}?got an unexpected keyword argument '(?P<name>name|trainable|reduction)'"
        r"|got an unexpected keyword argument '(?P<name2>name|trainable|reduction)'.{1,400}?custom_objects ?= ?\{",
        why="the class given in `custom_objects` does not take `{name}`, which its config in the file has",
        remedy="Take `**kwargs` in its `__init__` and hand them to `super().__init__`.",
        where=loading,
        also=("version-mismatch", "unserialisable"),
        weight=0.98,
        example="load_model('m.h5', custom_objects={'Clip': Clip})\n"
        "TypeError: __init__() got an unexpected keyword argument 'name'",
    ),
)
