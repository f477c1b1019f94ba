"""Keras and TensorFlow: what a save refuses to write.

Messages: keras/src/saving/{saving_lib,saving_api}.py, tensorflow/python/keras/saving/save.py,
tensorflow/python/trackable/data_structures.py, tensorflow/python/saved_model/save.py.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import apart_from_steps, saving_or_alone

_WEIGHTS = "Save the weights (`save_weights`) and build the model in code, or give the classes a `get_config` of plain values."

ENTRIES = (
    Entry(
        "keras-hdf5-needs-functional",
        "unserialisable",
        (
            "requires the model to be a functional",
            "does not work for subclassed models",
            "defined via the body of a python method",
            "requires model to be a graph network",
        ),
        "",
        why="HDF5 holds Functional and Sequential models only; a subclassed model's code cannot be written there",
        remedy=(
            "Save as `.keras` with `get_config` and a registered class, as a SavedModel, or the weights "
            "alone (`save_weights`)."
        ),
        weight=0.95,
        also=("format-mismatch",),
        example=(
            "NotImplementedError: Saving the model to HDF5 format requires the model to be a Functional "
            "model or a Sequential model."
        ),
    ),
    Entry(
        "keras-cannot-serialise",
        "unserialisable",
        (
            "cannot serialize object",
            "doesn't implement `get_config()`",
            "unable to serialize",
            "non-serializable keyword arguments",
            "should return a dict. it returned",
            "is not yaml serializable",
            "must override `get_config`",
            "must override 'get_config'",
            "should be overridden",
            "get_config",
        ),
        r"Cannot serialize object|doesn't implement `get_config\(\)`|Unable to serialize .{0,80} to JSON"
        r"|non-serializable keyword arguments|should return a dict\. It returned|is not YAML serializable"
        r"|must override [`']get_config[`']",
        why="a part of the model has no config of plain values that could be written",
        remedy=_WEIGHTS + " `holdfast isolate` names the part.",
        weight=0.92,
        also=("custom-object",),
        example="ValueError: Unable to serialize 2.0 to JSON. Unrecognized type <class 'EagerTensor'>.",
    ),
    Entry(
        "keras-config-copied",
        "unserialisable",
        ("can't pickle", "cannot pickle", "__deepcopy__"),
        r"(?:can't|cannot) pickle '?(?!local)(?P<what>[\w.]+)'? objects?"
        r"|built-in method __deepcopy__ of .{0,80}returned a result with an error",
        why="the config holds something that cannot be copied ({what}): a tensor, session or lock among a Lambda's arguments",
        remedy="Make tensors inside the layer's function, not as its arguments. " + _WEIGHTS,
        context=("keras", "to_json", "get_config", "deepcopy", "model.save", "save_model", "copier"),
        only_in=True,
        where=apart_from_steps,
        weight=0.86,
        also=("custom-object",),
        example=(
            '  File "keras/engine/network.py", line 9, in to_json\n    model_config = self._updated_config()\n'
            "TypeError: can't pickle _thread.RLock objects"
        ),
    ),
    Entry(
        "keras-bare-not-implemented",
        "unserialisable",
        ("notimplementederror",),
        r"NotImplementedError\b(?!:? \w)",
        why="a part of the model does not tell its config (`get_config`), so that it cannot be written",
        remedy=_WEIGHTS,
        calls=("get_config", "save_model", "to_json", "serialize_keras_object", "save", "model_metadata"),
        context=("get_config", "model.save", "save_model", "to_json"),
        only_in=True,
        where=saving_or_alone,
        weight=0.76,
        also=("custom-object",),
        example="    raise NotImplementedError  # in get_config of keras, model.save\nNotImplementedError",
    ),
    Entry(
        "keras-inputs-not-set",
        "lazy-build",
        (
            "cannot be saved because the input shape",
            "cannot be saved either because the input shape",
            "forward pass of the model is not defined",
            "the input shapes have not been set",
            "because it is not built",
            "saving a model that has not yet been built",
            "you model must be built before you call",
        ),
        "",
        why="the model was never called, so that nothing of it (shapes, variables) could be written",
        remedy="Call it once with a real batch before saving (`build()` alone may not be enough).",
        weight=0.93,
        also=("unserialisable",),
        example="ValueError: Model <Net> cannot be saved because the input shapes have not been set.",
    ),
    Entry(
        "tf-untracked-resource",
        "unserialisable",
        (
            "which references untracked",
            "references 'untracked' resource",
            "untracked resource",
            "which is unsupported or not reachable",
            "to be a trackable object",
            "expecting a checkpointable object",
            "was expecting a trackable",
            "expecting a trackable object",
            "list element was replaced",
            "the wrapped list was modified",
            "wrapped dictionary was modified",
            "non-string key which maps",
            "not constructable from its _fields",
            "no encoder for object",
            "does not subclass `trackable`",
            "can't be saved to savedmodel",
            "is not an instance `trackable`",
            "expected an object of type `trackable`",
        ),
        "",
        why="an object of the model is not tracked (or a tracked list or dictionary was changed), so that it cannot be saved",
        remedy="Make it an attribute of the module that saves; keep plain Python values out of tracked lists and dictionaries.",
        weight=0.86,
        also=("custom-object", "graph-lifecycle"),
        example="ValueError: `Checkpoint` was expecting a trackable object (an object derived from `Trackable`), got 3.",
    ),
    Entry(
        "keras-save-arguments",
        "version-mismatch",
        (
            "`save_format` argument is deprecated",
            "argument(s) are not supported",
            "unexpected keyword argument 'save_format'",
            "unexpected keyword argument 'options'",
            "unexpected keyword argument 'save_traces'",
            "invalid keyword arguments: {",
            "unexpected keyword argument 'period'",
            "unexpected keyword argument 'include_optimizer'",
        ),
        r"`save_format` argument is deprecated|argument\(s\) are not supported[^\[]{0,60}\["
        r"|unexpected keyword argument '(?P<key>save_format"
        r"|options|save_traces|period|include_optimizer)'",
        why="the call is in the way of Keras 2, and Keras 3 has no such argument ({key})",
        remedy="Name the format by the ending (`.keras`, `.weights.h5`); `model.export(dir)` writes a SavedModel.",
        weight=0.88,
        also=("format-mismatch",),
        example=(
            "ValueError: The following argument(s) are not supported with the native Keras format: "
            "argument(s) are not supported: ['options']"
        ),
    ),
    Entry(
        "keras-needs-h5py",
        "version-mismatch",
        (
            "requires h5py",
            "h5py is not available",
            "h5py package",
            "could not import h5py",
            "h5py must be installed",
        ),
        "",
        why="h5py is not installed (or does not import) where HDF5 is to be read or written",
        remedy="`pip install h5py`, of a version that fits this TensorFlow.",
        weigh=ranked(("version-mismatch", 0.66), ("other", 0.64), ("format-mismatch", 0.4)),
        example="ImportError: `load_model` requires h5py.",
    ),
    Entry(
        "keras-filepath-format",
        "retention",
        ("failed to format this callback filepath", "filepath.format("),
        r"Failed to format this callback filepath: ?\"?(?P<path>[^\"]{1,200})?\"?\.? Reason: (?P<metric>.{1,60})"
        r"|filepath\.format\(.{0,200}?KeyError: u?(?P<metric2>'\w+')",
        why="the file's name asks for a metric ({metric}) that is not logged at that moment",
        remedy="Name it as it is logged (`val_accuracy`, not `val_acc`), and pass validation data to `fit`.",
        weigh=ranked(("retention", 0.7), ("metrics", 0.62), ("not-found", 0.36)),
        example="KeyError: 'Failed to format this callback filepath: \"w.{epoch}.{val_acc}.h5\". Reason: \\'val_acc\\''",
    ),
    Entry(
        "keras-filepath-folder",
        "not-found",
        ("non-directory filepath for modelcheckpoint",),
        r"non-directory filepath for ModelCheckpoint\. Filepath used is an existing directory: f?(?P<path>\S+)",
        why="ModelCheckpoint was given a folder ({path}) where it wants a file's name",
        remedy="Give a name in that folder: `dir/ckpt-{{epoch}}.keras`.",
        weight=0.86,
        also=("storage", "format-mismatch"),
        test="path",
        example=(
            "OSError: Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an "
            "existing directory: runs/"
        ),
    ),
)
