"""TensorFlow: what the Python layer says when it restores, by name or by object.

Messages: tensorflow/python/checkpoint/{checkpoint,restore}.py, tensorflow/python/training/{saver,checkpoint_utils,
session_manager}.py, tensorflow/python/training/saving/saveable_object_util.py, tensorflow_estimator, and the trainers of
tensorflow/models.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import alone, loading, loading_or_alone

_INSPECT = "`holdfast inspect PREFIX` lists what the checkpoint holds."
_AS_SAVED = "Build the model as it was saved, or restore only what is there. " + _INSPECT


def twice(look: Look) -> list[Guess]:
    """One name for two: the graph was made twice, or two objects were given one name."""
    again = "import_meta_graph" in look.reading.lower
    return [
        look.entry.guess(look, confidence=0.8),
        look.entry.guess(look, "graph-lifecycle", confidence=0.86 if again else 0.7),
        look.entry.guess(look, "lazy-build", confidence=0.36),
    ]


ENTRIES = (
    Entry(
        "tf-no-path-given",
        "not-found",
        (
            "can't load save_path when it is none",
            "no checkpoint specified (save_path=none)",
            "could not find trained model",
            "couldn't find trained model",
            "couldn't find 'checkpoint' file",
            "no checkpoint specified, so no restore",
            "could not find checkpoint or savedmodel",
            "no checkpoint found at",
            "no checkpoint file found",
            "no model checkpoint found",
            "save_path cannot be empty",
            "checkpoint path is none",
            "a checkpoint_dir must be passed",
            "empty `backup_dir` argument",
        ),
        "",
        why="there is no checkpoint where it is looked for: `latest_checkpoint` found none, or the folder is another",
        remedy=(
            "Check the folder and its `checkpoint` file (`holdfast FOLDER` says what is there); copy the "
            "state file along with the data."
        ),
        also=("incomplete-save", "retention"),
        weight=0.9,
        test="path",
        example="ValueError: Can't load save_path when it is None.",
    ),
    Entry(
        "tf-parent-missing",
        "not-found",
        (
            "parent directory of",
            "may be missing the checkpoint suffix",
            "double-check that the path is correct",
        ),
        r"Parent directory of (?P<path>\S+) doesn'?t exist|(?:may be missing the checkpoint suffix"
        r"|double-check that the path is correct)",
        why=(
            "the path does not lead to a checkpoint: its folder is not there, or the step number (`-1`) "
            "is missing from the prefix"
        ),
        remedy="Make the folder first when saving; give the whole prefix with its step when restoring.",
        also=("storage", "incomplete-save"),
        weight=0.92,
        test="path",
        example="ValueError: Parent directory of model/cnn doesn't exist, can't save.",
    ),
    Entry(
        "tf-shape-of-variable",
        "shape-mismatch",
        (
            "doesn't match with shape of tensor",
            "has an incompatible shape with model variable",
            "incompatible shape with model",
        ),
        r"(?:Variable \[(?P<tensor>[\w/.]+)\] is available in checkpoint, but )?has an incompatible shape with model "
        r"variable"
        r"(?:\.? Checkpoint shape: \[(?P<checkpoint>\[[\d, ]*\])\], model variable shape: \[(?P<model>\[[\d, ]*\])\])?"
        r"|(?:Shape of variable (?P<tensor2>\S+) \((?P<model2>[^)]*\)?)\) )?doesn't match with shape of tensor"
        r"(?: \S+ \((?P<checkpoint2>[^)]*)\) from checkpoint reader)?",
        why="`{tensor}` has shape {checkpoint} in the checkpoint and {model} in the model: another number of classes "
        "or units",
        remedy="Expected for a new head, which then starts anew; else build the layer with the recorded size.",
        also=("missing-tensor", "preprocessing"),
        weight=0.92,
        test="names",
        example=(
            "WARNING:root:Variable [box/weights] is available in checkpoint, but has an incompatible shape with model "
            "variable. "
            "Checkpoint shape: [[3, 546]], model variable shape: [[3, 42]]."
        ),
    ),
    Entry(
        "tf-shapes-incompatible",
        "shape-mismatch",
        (
            "are incompatible",
            "are not compatible",
            "dimensions must be equal",
            "cannot feed value of shape",
            "cannot reshape a tensor",
        ),
        r"Shapes? (?P<model>\([\d, None?]*\)) and (?P<checkpoint>\([\d, None?]*\)) are incompatible"
        r"|Shapes (?P<model2>\[[\d,? ]*\]) and (?P<checkpoint2>\[[\d,? ]*\]) are (?:incompatible|not compatible)"
        r"|Cannot feed value of shape (?P<checkpoint3>\([\d, ]*\)) for Tensor .{1,60}, which has shape"
        r"|Dimensions must be equal, but are (?P<a>\d+) and (?P<b>\d+) for .{0,40}(?:Assign|save)"
        r"|Cannot reshape a tensor with \d+ elements to shape .{0,80}(?:save|restore|Assign)",
        why="a variable has shape {model} in the model, and {checkpoint} comes from the checkpoint",
        remedy="Build the layer with the recorded size. " + _INSPECT,
        calls=(
            "restore",
            "assert_is_compatible_with",
            "shape_safe_assign_variable_handle",
            "load_weights",
            "batch_set_value",
        ),
        context=("saveable", "load_weights", "restore", "shape_safe_assign", "checkpoint"),
        only_in=True,
        where=loading,
        also=("version-mismatch", "missing-tensor", "preprocessing"),
        weight=0.82,
        test="names",
        example=(
            '  File "training/saving/saveable_object_util.py", line 130, in restore\n    x\nValueError: '
            "Shapes (20, 8) and (10, 8) "
            "are incompatible"
        ),
    ),
    Entry(
        "tf-assign-dimension",
        "shape-mismatch",
        ("in both shapes must be equal", "op: 'assign'", "dimensions must match"),
        r"Dimension \d+ in both shapes must be equal, but are (?P<model>\d+) and "
        r"(?P<checkpoint>\d+)[^\[]{0,120}(?:Assign|op: 'Assign)"
        r"|in both shapes must be equal.{0,40}(?:Assign|save)",
        why="a weight is {model} wide in the model, and {checkpoint} in the file",
        remedy="Build the layer with the recorded size. " + _INSPECT,
        also=("missing-tensor", "version-mismatch"),
        weight=0.86,
        test="names",
        example=(
            "ValueError: Dimension 0 in both shapes must be equal, but are 4096 and 512 for 'Assign_26' "
            "(op: 'Assign') with input "
            "shapes: [4096,2], [512,2]."
        ),
    ),
    Entry(
        "tf-not-in-checkpoint",
        "missing-tensor",
        (
            "is not found in",
            "is not available in",
            "not all expected tensors were in the checkpoint",
            "not assigned a value from checkpoint",
            "does not contain serialized tensors",
            "variables were missing",
        ),
        r"(?:Tensor|Variable|Object) ?\[?(?P<tensor>[\w/.:\-]+)\]? (?:\(.{1,160}?\) )?is not (?:found|available) in"
        r" .{0,160}?checkpoint|not all expected tensors were in the checkpoint|not assigned a value from checkpoint"
        r"|does not contain serialized tensors|following variables were missing",
        why="the checkpoint has no value for `{tensor}`",
        remedy=_AS_SAVED,
        also=("renamed", "version-mismatch", "optimizer-structure"),
        weight=0.84,
        test="names",
        example="ValueError: Tensor conv/kernel is not found in ./model.ckpt checkpoint {'bias': [64]}",
    ),
    Entry(
        "tf-variables-not-initialised",
        "missing-tensor",
        (
            "did not make model ready",
            "variables not initialized",
            "model is not initialized and no init_op",
            "session was not ready after",
        ),
        r"did not make model ready.{0,200}?(?:Variables not initialized: (?P<tensor>[\w/,. :]{1,200}))?"
        r"|Variables not initialized: (?P<tensor2>[\w/,. :]{1,200})|Model is not initialized and no init_op",
        why="variables ({tensor}) were neither restored nor initialised",
        remedy="Initialise what the checkpoint does not hold (`init_fn`, a Scaffold's `ready_op`), or restore all "
        "variables.",
        weigh=ranked(("missing-tensor", 0.78), ("graph-lifecycle", 0.6), ("lazy-build", 0.45)),
        example="RuntimeError: Init operations did not make model ready. Init op: init, error: Variables not "
        "initialized: w, b",
    ),
    Entry(
        "tf-wrong-kind-of-checkpoint",
        "format-mismatch",
        (
            "not an object-based checkpoint",
            "does not appear to be object-based",
            "from an object-based checkpoint",
            "streaming restore not supported",
            "restoring an object-based checkpoint using a name-based",
        ),
        r"not an object-based checkpoint|does not appear to be object-based|Streaming restore not supported"
        r"|from an object-based checkpoint(?!, but found that)|Restoring an object-based checkpoint using a name-based",
        why=(
            "a name-based checkpoint (tf.train.Saver) is read as an object-based one "
            "(tf.train.Checkpoint, Keras), or the other way"
        ),
        remedy=(
            "Restore with the API that saved: tf.compat.v1.train.Saver, or tf.train.Checkpoint; values by "
            "name: tf.train.load_checkpoint."
        ),
        also=("version-mismatch", "not-found"),
        weight=0.9,
        test="whole",
        example='ValueError: The specified checkpoint "m.ckpt" does not appear to be object-based (saved with TF2)',
    ),
    Entry(
        "tf-slots-unresolved",
        "optimizer-structure",
        ("unresolved slot restorations", "slot variable"),
        r"Unresolved slot restorations|slot variable (?:was re-used|.{0,60}(?:not found|not restored|does not exist))",
        why="slots of the optimizer in the checkpoint found no variable that they belong to",
        remedy="Build model and optimizer (one step, or `optimizer.build`) before restoring; use the optimizer that "
        "saved.",
        also=("lazy-build", "resume-state"),
        weight=0.84,
        example="AssertionError: Unresolved slot restorations: [2, 5]",
    ),
    Entry(
        "tf-unused-attributes",
        "lazy-build",
        (
            "unused attributes in ",
            "exist in the checkpoint but were not restored",
            "nothing to load. no dependencies",
        ),
        "",
        why=(
            "values in the checkpoint were taken by nothing: variables that are not built yet, or "
            "attributes that the program lacks"
        ),
        remedy="Build the model (call it once) before restoring; compare attribute names. " + _INSPECT,
        weigh=ranked(
            ("lazy-build", 0.7), ("unexpected-tensor", 0.6), ("missing-tensor", 0.5), ("renamed", 0.42)
        ),
        example=(
            "AssertionError: Unused attributes in these objects (the attributes exist in the checkpoint "
            "but were not restored): Dense"
        ),
    ),
    Entry(
        "tf-same-name-twice",
        "renamed",
        (
            "at least two variables have the same name",
            "objects with the same shared_name",
            "will be restored with two names",
            "with the same checkpoint key",
            "adding duplicate key: ",
            "multiple children with the same name",
            "inconsistent references when",
        ),
        "",
        why="two variables (or objects) go by one name, so that the checkpoint holds one of them, or pairs them "
        "differently",
        remedy="Give each its own name or attribute; build each model in its own graph and scope.",
        weigh=twice,
        weight=0.8,
        example="ValueError: At least two variables have the same name: conv/kernel",
    ),
    Entry(
        "tf-future-version",
        "version-mismatch",
        (
            "forward compatibility load error",
            "not supported by this version of tensorflow",
            "saved in future version",
            "produced by a newer",
        ),
        r"forward compatibility load error|not supported by this version of TensorFlow|saved in future version",
        why="the checkpoint or model was saved by a newer TensorFlow than reads it",
        remedy="Upgrade TensorFlow to the version that saved.",
        also=("format-mismatch", "corrupt"),
        weight=0.95,
        example="ValueError: Forward compatibility load error: Unable to load checkpoint saved in future version of "
        "TensorFlow.",
    ),
    Entry(
        "tf-old-api",
        "version-mismatch",
        (
            "module 'tensorflow",
            "module 'keras",
            "module 'tf_keras",
            "when eager execution is enabled, `var_list`",
            "meta graphs is not supported when eager",
            "no module named 'tensorflow.contrib",
            "tensorflow.contrib",
        ),
        r"module '(?P<module>(?:tensorflow|keras|tf_keras)[\w.]*)' has no attribute '(?P<name>\w+)'"
        r"|when eager execution is enabled, `var_list`|meta graphs is not supported when eager"
        r"|No module named '?(?P<module2>tensorflow\.contrib[\w.]*)",
        why="the code is for another generation of TensorFlow ({module} has no `{name}` here)",
        remedy="Use `tf.compat.v1` with `tf.compat.v1.disable_eager_execution()`, or the version that the code is for.",
        where=loading_or_alone,
        weight=0.74,
        also=("graph-lifecycle", "custom-object"),
        example="saver = tf.train.Saver()\nAttributeError: module 'tensorflow._api.v2.train' has no attribute 'Saver'",
    ),
    Entry(
        "tf-restore-mismatch",
        "missing-tensor",
        (
            "a mismatch between the current graph and the graph",
            "a variable name or other graph key that is missing",
            "restoring from checkpoint failed",
            "mismatch between the current graph",
            "other graph key that is missing",
        ),
        r"Restoring from checkpoint failed|mismatch between the current graph and the graph"
        r"|other graph key that is missing",
        why="the graph differs from the one that was saved",
        remedy=_AS_SAVED,
        weigh=ranked(("missing-tensor", 0.46), ("shape-mismatch", 0.44), ("renamed", 0.4)),
        where=loading_or_alone,
        example=(
            "InvalidArgumentError: Restoring from checkpoint failed. This is most likely due to a "
            "mismatch between the current graph "
            "and the graph from the checkpoint."
        ),
    ),
    Entry(
        "tf-read-less",
        "corrupt",
        (
            "read less bytes than requested",
            "read fewer bytes than requested",
            "eof reached",
            "premature end of file",
        ),
        r"read (?:less|fewer) bytes than requested|EOF reached|premature end of file",
        why="a data file of the checkpoint is shorter than its index says: half downloaded or copied, or written to a "
        "full disk",
        remedy="Compare the sizes with the source; `holdfast verify PREFIX` names every tensor that is cut off.",
        where=loading_or_alone,
        context=("restore", "checkpoint", "save/", "saver", "outofrange", "ckpt"),
        only_in=True,
        also=("incomplete-save", "storage"),
        weight=0.86,
        test="whole",
        example="OutOfRangeError: Read less bytes than requested\n\t [[node save/RestoreV2 ]]",
    ),
    Entry(
        "tf-by-names-not-restored",
        "format-mismatch",
        ("objects had attributes which were not restored", "object not restored: "),
        r"Some objects had attributes which were not restored|Object not restored: (?P<tensor>[^,\n]{1,80})",
        why=(
            "the checkpoint is one of names (tf.train.Saver, TensorFlow 1), not of objects: it is matched by the "
            "variables' names, "
            "and some of the program's have others"
        ),
        remedy=(
            "Convert it once by a map of names (`tf.train.list_variables` against `model.variables`), or take the "
            "checkpoint of "
            "TensorFlow 2 of the same model; `assert_consumed()` is right to refuse."
        ),
        also=("renamed", "missing-tensor", "lazy-build"),
        weight=0.88,
        test="names",
        example="AssertionError: Some objects had attributes which were not restored:\n    <tf.Variable 'embeddings:0'",
    ),
    Entry(
        "tf-whole-shapes-differ",
        "shape-mismatch",
        ("are incompatible",),
        r"Shapes \((?P<model>\d+),\) and \((?P<checkpoint>\d+),\) are incompatible"
        r"|Shapes \((?P<model2>\d+(?:, \d+){3,4})\) and \((?P<checkpoint2>\d+(?:, \d+){3,4})\) are incompatible",
        why="a weight has shape ({model}) in the model and ({checkpoint}) in the checkpoint: another number of classes "
        "or units",
        remedy="Build the layer with the recorded size. " + _INSPECT,
        where=alone,
        also=("version-mismatch", "preprocessing"),
        weight=0.62,
        test="names",
        example="ValueError: Shapes (255,) and (75,) are incompatible",
    ),
)
