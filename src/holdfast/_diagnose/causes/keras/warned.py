"""Keras: what it warns of at a save or load and does nothing about.

Messages: keras/src/models/model.py, keras/src/optimizers/base_optimizer.py, keras/src/saving/saving_lib.py,
keras/src/layers/preprocessing/index_lookup.py; keras/saving/{hdf5_format,saved_model/load}.py (2.x).
"""

from __future__ import annotations

from ...knowledge import Entry, beside, ranked
from ...where import loading, storing, storing_or_alone

ENTRIES = (
    Entry(
        "keras-cannot-build-itself",
        "lazy-build",
        ("had a build config, but the model cannot be built", "cannot be built automatically in"),
        "",
        why="the model that came back has no variables yet: Keras does not know the shapes that it is to be built "
        "with, and what "
        "the file holds for it may stay unused",
        remedy="Give the class `build_from_config` (or a `build(input_shape)`), or call the model once and then "
        "load the weights.",
        weigh=ranked(("lazy-build", 0.95), ("custom-object", 0.6), ("missing-tensor", 0.46)),
        example="UserWarning: Model 'net' had a build config, but the model cannot be built automatically in "
        "`build_from_config(config)`.",
    ),
    Entry(
        "keras-values-before-build",
        "lazy-build",
        ("you must build the layer before accessing", "while in a stateless scope. this is disallowed"),
        "",
        why="a layer's variables are asked for before they are made (or made where none may be made): the model is "
        "not built",
        remedy="Give layers a `build(input_shape)` that makes their parts, and call the model once before weights "
        "are set "
        "or read.",
        where=storing,
        weigh=ranked(("lazy-build", 0.8), ("custom-object", 0.5), ("version-mismatch", 0.44)),
        example="net.load_weights('w.h5')\nAttributeError: You must build the layer before accessing `kernel`.",
    ),
    Entry(
        "keras-path-in-file",
        "renamed",
        ("unknown variable name: ", "' not found in model.", "not found in object "),
        r"Unknown variable name: (?P<tensor>\w[\w.]*/\S+)|Path '(?P<tensor2>[^']+)' not found in model\."
        r"|Weight \S+ not found in object (?P<tensor3>[^\s,]+)",
        why="what is set by name (`{tensor}`) has another name in the model or file, or is not there",
        remedy="List the names: `[v.path for v in model.variables]`, `holdfast inspect FILE`.",
        where=storing_or_alone,
        weigh=beside(
            r"keras|tensorflow|layers?/|dense|conv|kernel|bias|gamma|embedding",
            ("renamed", 0.86),
            ("missing-tensor", 0.82),
            ("not-found", 0.4),
        ),
        test="names",
        example="ValueError: Path 'layers/dense_7' not found in model.",
    ),
    Entry(
        "keras-shared-values",
        "renamed",
        ("that is shared between different layers", "found duplicated `variable`s"),
        "",
        why="one variable belongs to several layers or models: the file keeps it more than once, and after loading "
        "they are no "
        "longer tied",
        remedy="Tie them again after loading, or save in the format that keeps the object graph (`.keras`, "
        "SavedModel).",
        weigh=ranked(("renamed", 0.8), ("missing-tensor", 0.5), ("graph-lifecycle", 0.46)),
        example="WARNING:tensorflow:Looks like there is an object (perhaps variable or layer) that is shared "
        "between different "
        "layers/models. This may cause issues when restoring the variable values.",
    ),
    Entry(
        "keras-argument-ignored",
        "optimizer-hyperparameters",
        ("is no longer supported and will be ignored", "is deprecated in keras optimizer"),
        r"Argument `(?P<name>decay|lr|momentum|clipnorm|clipvalue"
        r"|epsilon)` is no longer supported and will be ignored"
        r"|`(?P<name2>lr|decay)` is deprecated in Keras optimizer",
        why="`{name}` of the saved (or written) configuration is ignored, so that training goes on with another "
        "rate than before",
        remedy="`learning_rate=`, with a schedule in place of `decay` (`InverseTimeDecay`); compare "
        "`model.optimizer.get_config()` before and after.",
        weigh=ranked(("optimizer-hyperparameters", 0.8), ("version-mismatch", 0.66), ("resume-state", 0.3)),
        where=loading,
        example="model = load_model('net.h5')\nUserWarning: Argument `decay` is no longer supported and will be "
        "ignored.",
    ),
    Entry(
        "keras-vocabulary-not-set",
        "lazy-build",
        ("set the layer's vocabulary before calling", "before you can start using"),
        r"set the layer's vocabulary before calling|`?adapt\(dataset\)`?.{0,40}before you can start using",
        why="the vocabulary (or the bounds) of a preprocessing layer did not come back with the model: it was "
        "built anew and not "
        "loaded, or saved before `adapt`",
        remedy="Load the whole model, or set it: `layer.set_vocabulary(file)`; keep the vocabulary beside the "
        "weights.",
        where=loading,
        weigh=ranked(("lazy-build", 0.72), ("preprocessing", 0.68), ("graph-lifecycle", 0.4)),
        example="net = load_model('net.keras')\nRuntimeError: When using `output_mode=int` and "
        "`pad_to_max_tokens=False`, you must set the "
        "layer's vocabulary "
        "before calling it.",
    ),
    Entry(
        "keras-shard-too-small",
        "size-limit",
        ("exceeds the maximum shard size",),
        r"The size of (?P<name>\S+) is (?P<got>[\d.]+ ?\w+) which exceeds the maximum shard size (?P<want>[\d.]+ "
        r"?\w+)",
        why="one layer (`{name}`, {got}) is larger than a file of the save may be ({want})",
        remedy="Raise `max_shard_size`; a layer is not split.",
        weight=0.95,
        example="ValueError: The size of layers/embedding is 11.0 GB which exceeds the maximum shard size 10.0 GB.",
    ),
    Entry(
        "keras-store-needs-tensorflow",
        "storage",
        (
            "google storage file transfer requires tensorflow",
            "handling remote paths requires installing tensorflow",
        ),
        "",
        why="the path is of an object store, which Keras reaches through TensorFlow's file systems, and TensorFlow "
        "is not there",
        remedy="`pip install tensorflow`, or save here and copy (`gsutil cp`, `aws s3 cp`).",
        weigh=ranked(("storage", 0.86), ("version-mismatch", 0.5), ("not-found", 0.4)),
        example="ImportError: Google Storage file transfer requires tensorflow.",
    ),
)
