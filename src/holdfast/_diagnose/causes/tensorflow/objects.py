"""tf.train.Checkpoint: what it refuses to save, and objects of another kind than those that it holds.

Messages: tensorflow/python/checkpoint/{checkpoint,checkpoint_management,restore,functional_saver}.py,
tensorflow/python/trackable/{base,data_structures}.py, tensorflow/python/saved_model/registration/registration.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import saving_or_alone, storing_or_alone


def of_another_kind(look: Look) -> list[Guess]:
    """Besides what the shapes say: where even the ranks differ, another tensor took the place."""
    got, want = (look.match[name].strip(", ").count(",") for name in ("got", "want"))
    labels = (("version-mismatch", 0.66), ("renamed", 0.5)) if got != want else (("version-mismatch", 0.46),)
    return [look.entry.guess(look, label, confidence=by) for label, by in labels]


ENTRIES = (
    Entry(
        "tf-save-in-function",
        "graph-lifecycle",
        (
            "checkpoint.save() from a function",
            "checkpoint.restore() from a function",
            "modifies saving metadata in ways not supported",
            "in graph mode without a default session",
            "saved_model.save` is not supported inside a traced",
            "saved_model.save is not supported inside a traced",
            "without a default session. please use",
            "use save/restore instead of build in eager",
            "not currently supported with eager execution",
            "is not supported when eager execution is enabled",
            "is not compatible with eager execution",
            "only supports eager mode. in graph mode",
        ),
        "",
        why="saving and restoring are Python's work: inside a traced `tf.function`, or in the other mode (graph, eager), "
        "there is nothing that this call could save",
        remedy="Call it outside of `tf.function` in eager mode (inside: `Checkpoint.write`); in graph mode give it the "
        "session.",
        where=storing_or_alone,
        also=("version-mismatch", "unserialisable"),
        weight=0.88,
        example=(
            "NotImplementedError: Calling tf.train.Checkpoint.save() from a function is not supported, as save() "
            "modifies "
            "saving metadata"
        ),
    ),
    Entry(
        "tf-save-path-taken",
        "not-found",
        ("conflicts with path used for checkpoint state", "'latest_filename' collides with 'save_path'"),
        "",
        why="`checkpoint` is the name of the file that lists the checkpoints of a folder, so that none can be called so",
        remedy="Give the prefix another name: `out/model.ckpt`, `out/ckpt`.",
        weigh=ranked(("not-found", 0.72), ("retention", 0.6), ("renamed", 0.55)),
        example="RuntimeError: Save path 'out/checkpoint' conflicts with path used for checkpoint state.",
    ),
    Entry(
        "tf-wrapped-containers",
        "version-mismatch",
        (
            "__dict__ descriptor does not support",
            "dictwrapper",
            "listwrapper",
            "tuplewrapper",
        ),
        r"(?:__dict__ descriptor does not support|'_?(?:Dict|List|Tuple)Wrapper' objects?\b"
        r"|type: '_?(?:Dict|List|Tuple)Wrapper'|_DictWrapper).{0,120}",
        why=(
            "TensorFlow wraps the lists and dictionaries of a model to track them, and these wrappers do not fit: with "
            "this "
            "version of Python or of `wrapt`, or in code that wants plain ones"
        ),
        remedy="Install the `wrapt` (below 1.15 for TensorFlow 2.12 and older) or the TensorFlow that fits this Python; "
        "give layers plain values (`list(x)`, `dict(x)`) in their config.",
        where=storing_or_alone,
        weigh=ranked(("version-mismatch", 0.86), ("unserialisable", 0.7), ("custom-object", 0.4)),
        example="TypeError: this __dict__ descriptor does not support '_DictWrapper' objects",
    ),
    Entry(
        "tf-registered-saver",
        "custom-object",
        (
            "registered saver",
            "it must be registered before you load this object",
            "does not have name '",
            "but the class isn't registered",
        ),
        r"saved (?:using a|with the) registered saver(?: named)? '?(?P<name>[\w.]+)"
        r"|Registered saver (?P<name2>\S+) was not found"
        r"|(?:The type '(?P<name3>[\w.]+)' has not been registered\. +)?It must be registered before you load this object"
        r"|The \w+ registry does not have name '(?P<name4>[\w.]+)' registered|but the class isn't registered",
        why="what was saved is of a kind ({name}) that this program does not know: its module is not imported",
        remedy="Import the package that defines it (and registers it) before loading.",
        also=("version-mismatch", "unserialisable"),
        weight=0.88,
        example=(
            "ValueError: Error when restoring object Stack from checkpoint. This object was saved using a registered "
            "saver "
            "named 'Custom.stack', but this saver cannot be found in the current context."
        ),
    ),
    Entry(
        "tf-object-of-another-make",
        "version-mismatch",
        (
            "does not expect checkpointed values but checkpoint contains",
            "did not match the size for serialized_tensors",
            "did not match size for serialized_tensors",
            "to restore does not exist in the checkpoint",
            "expecting a valid trackable to node_id",
            "produced a saveableobject with name",
        ),
        "",
        why="an object of the program takes other values than its namesake in the checkpoint holds: its class, or the "
        "library, "
        "has changed since",
        remedy="Restore with the version that saved; or restore the parts that fit, each by a Checkpoint of its own.",
        weigh=ranked(("version-mismatch", 0.72), ("unexpected-tensor", 0.62), ("missing-tensor", 0.58)),
        example="ValueError: Trackable Dense does not expect checkpointed values but checkpoint contains serialized "
        "tensors",
    ),
    Entry(
        "tf-iterator-not-saved",
        "unserialisable",
        (
            "dataset",
            "iterator",
            "saveinternal",
            "transformation",
        ),
        r"(?:Dataset|iterator|SaveInternal|transformation).{0,200}?(?:depends on|(?:is|are) stateful"
        r"|not (?:currently )?(?:support\w*|implement\w*)|cannot be (?:serialized|saved|checkpointed)|does not support)"
        r".{0,60}(?:seriali\w+|check-?point\w*|save|state)?|(?:seriali[sz]ation|checkpointing) (?:of|for) .{0,60}"
        r"(?:dataset|iterator).{0,60}not (?:supported|implemented)",
        why="the input pipeline that is saved along has a state which TensorFlow cannot write (a Python generator, a "
        "table, a "
        "random op, a source of its own)",
        remedy="Save the number of examples read and skip them (`ds.skip(n)`); take generators and `py_function` out "
        "of what is "
        "saved.",
        context=("iterator", "checkpoint.save", "saveable", "iteratorserialize", "serializeiterator"),
        only_in=True,
        where=saving_or_alone,
        also=("resume-state",),
        weight=0.8,
        example=(
            "FailedPreconditionError: PyFunc is stateful; the dataset of this iterator cannot be serialized "
            "[Op:SerializeIterator]"
        ),
    ),
    Entry(
        "tf-name-of-child-taken",
        "renamed",
        (
            "_track_trackable() with name='",
            "_track_checkpointable() with name='",
            "append-only data structure",
            "with keyword argument",
        ),
        r"_track_(?:track|checkpoint)able\(\) with name='(?!save_counter)(?P<name>[^']+)', but|append-only data structure"
        r"|Cannot create a Checkpoint with keyword argument (?P<name2>\w+) if",
        why="two objects are tracked under one name (`{name}`), so that the checkpoint could hold one of them",
        remedy="Give each its own attribute name, and set it once.",
        where=storing_or_alone,
        also=("graph-lifecycle", "custom-object"),
        weight=0.78,
        example=(
            "ValueError: Called Trackable._track_trackable() with name='head', but a Trackable with this name is already "
            "declared as a dependency."
        ),
    ),
    Entry(
        "tf-containers-of-children",
        "unserialisable",
        ("mapping accepts only string keys", "list only supports append"),
        r"Mapping accepts only string keys, but got a key (?P<name>\S+)|List only supports append, multiplying",
        why="the objects in a tracked list or dictionary are saved by their place and name, which this change would move",
        remedy="Only append, and use text for keys; keep what changes outside of the tracked object (`NoDependency`).",
        where=storing_or_alone,
        weigh=ranked(("unserialisable", 0.74), ("renamed", 0.6), ("version-mismatch", 0.34)),
        example="TypeError: Mapping accepts only string keys, but got a key 7.",
    ),
    Entry(
        "tf-module-has-no-values",
        "lazy-build",
        (
            "backupandrestore",
            "must be built before you call `fit()`",
            "has not been built",
            "model provided has never called",
            "has never been called, so",
            "input shape must be defined when calling build",
            "you cannot build your model",
            "you can only call `build` on a model",
        ),
        r"To use the BackupAndRestore \w+,? you\w* model must be built|must be built before you call `fit\(\)`"
        r"|model provided has never called|has not been built.{0,80}(?:save|load|restor|weight|export|checkpoint)"
        r"|has never been called, so|Input shape must be defined when calling build|you cannot build your model"
        r"|You can only call `build` on a model",
        why="the model has no variables yet, so that there is nothing to restore or to save",
        remedy="Build it first: call it on one batch, or `model.build(shape)`, or begin with an Input layer.",
        where=storing_or_alone,
        weight=0.9,
        also=("unserialisable",),
        example="ValueError: To use the BackupAndRestore method, your model must be built before you call `fit()`.",
    ),
    Entry(
        "tf-saver-given-others",
        "graph-lifecycle",
        (
            "can only save/restore resourcevariables when",
            "names_to_saveables must be a dict",
            "variable to save is not a variable",
            "variables to save should be passed in a dict",
            "saveable is neither a resource variable",
            "slices must all be",
            "mixing slices and non-slices",
        ),
        "",
        why="the saver was given something else than variables (tensors, names, a layer, or variables of another mode)",
        remedy="Give it the variables themselves (`model.variables`, a dictionary of name to variable); in TensorFlow "
        "2 a "
        "`tf.train.Checkpoint(model=model)`.",
        weigh=ranked(("graph-lifecycle", 0.64), ("version-mismatch", 0.6), ("unserialisable", 0.56)),
        example="TypeError: names_to_saveables must be a dict mapping string names to Tensors/Variables. Not a "
        "variable: Tensor",
    ),
    Entry(
        "tf-state-file-unreadable",
        "corrupt",
        (
            "invalid checkpoint state loaded from",
            ": checkpoint ignored",
            "failed to read checkpointstate",
            "checkpointstate",
        ),
        r"Invalid checkpoint state loaded from (?P<path>\S+)|: Checkpoint ignored|(?:pars\w+|read\w*"
        r"|decod\w+).{0,80}CheckpointState"
        r"|\"tensorflow\.CheckpointState\" has no field",
        why="the state file `checkpoint` cannot be read as text: empty, cut off, or not the state file",
        remedy='Write it anew: `model_checkpoint_path: "model.ckpt-1000"`, or give the prefix itself.',
        weigh=ranked(("corrupt", 0.7), ("not-found", 0.6), ("format-mismatch", 0.52)),
        where=storing_or_alone,
        test="path",
        example="ValueError: Invalid checkpoint state loaded from runs/7",
    ),
    Entry(
        "tf-listed-and-gone",
        "not-found",
        ("couldn't match files for checkpoint", "when deleting '"),
        r"Couldn't match files for checkpoint (?P<path>\S+)|Hit NotFoundError when deleting '(?P<path2>[^']+)",
        why="the state file `checkpoint` names {path}, and no such files are there: moved, renamed, deleted, or not "
        "copied along",
        remedy="Give the prefix that is there, or correct the state file (its paths may be absolute, of another "
        "machine).",
        weigh=ranked(("not-found", 0.8), ("retention", 0.6), ("incomplete-save", 0.52), ("concurrency", 0.4)),
        test="path",
        example="WARNING:tensorflow:Couldn't match files for checkpoint runs/model.ckpt-1000",
    ),
    Entry(
        "tf-values-by-place",
        "unexpected-tensor",
        ("unresolved object in checkpoint",),
        r"Unresolved object in checkpoint:? \(root\)\.(?:\w+\.)?(?:weights|variables|params|trainable\w*|vars)\.\d+",
        why="the checkpoint keeps a list of values by their place in it, and the list of the program is shorter or "
        "ordered "
        "otherwise",
        remedy="Save the model itself (`Checkpoint(model=model)`), not a list of its weights.",
        weigh=ranked(("unexpected-tensor", 0.76), ("missing-tensor", 0.66), ("lazy-build", 0.55)),
        example="AssertionError: Unresolved object in checkpoint (root).weights.12: attributes {",
    ),
    Entry(
        "tf-object-state-has-no-restore",
        "unserialisable",
        ("missing functionality to restore state of object",),
        "",
        why="the checkpoint holds state (a table, an iterator) that an object of this version or kind cannot take back",
        remedy="Load with the version that saved; keep tables and vocabularies in files of their own.",
        also=("version-mismatch", "unexpected-tensor"),
        weight=0.88,
        example="NotImplementedError: Missing functionality to restore state of object <Table at 0x7f> from a "
        "checkpoint.",
    ),
    Entry(
        "tf-other-tensor-in-place",
        "version-mismatch",
        ("eceived incompatible tensor",),
        r"eceived incompatible tensor with shape \((?P<got>[\d, ]*)\) when attempting to restore variable with shape "
        r"\((?P<want>[\d, ]*)\)",
        why="the tensor at that place of the checkpoint is of another kind ({got} for {want}): layers or slots were "
        "counted "
        "otherwise when it was saved",
        remedy="Build the model as the version that saved built it; compare the order of `model.weights`.",
        weigh=of_another_kind,
        example="ValueError: Received incompatible tensor with shape (64, 10) when attempting to restore variable with "
        "shape "
        "(64,) and name layer_with_weights-1/bias.",
    ),
)
