"""TensorFlow: ``Saver`` and ``tf.train.Checkpoint`` restoring, as the C++ kernels and the Python layer report it."""

from __future__ import annotations

import re

from ..knowledge import Entry, Guess, Look

_INSPECT = "`holdfast inspect PREFIX` lists what the checkpoint holds."
_RENAMES = (
    (
        r"(?:basic_)?(?:lstm|gru|rnn)_cell(?:_\d+)?/(?:kernel|bias|weights|biases)|/(?:kernel|bias)$|/(?:weights"
        r"|biases)$|lstm|gru|rnn/",
        "TensorFlow 1.2 renamed the variables of RNN cells (weights, biases -> kernel, bias), and layers number "
        "themselves anew",
    ),
)


def key_missing(look: Look) -> list[Guess]:
    """A variable that the checkpoint does not know by that name."""
    key = look.facts()["key"].strip("\"'")
    found = []
    if re.search(
        r"(?:lstm|gru|rnn)[\w/]*/(?:kernel|bias|weights|biases)$|rnn/.*(?:kernel|bias|weights|biases)$",
        key,
        re.IGNORECASE,
    ):
        found.append(
            look.entry.guess(
                look,
                "renamed",
                confidence=0.85,
                remedy="Map the names: `Saver({old_name: variable})`, or rewrite the checkpoint with the new names.",
                why=f"`{key}`: TensorFlow 1.2 renamed the variables of RNN cells (weights, biases became kernel, bias)",
            )
        )
        found.append(
            look.entry.guess(
                look,
                "version-mismatch",
                confidence=0.6,
                why="the checkpoint was written by another version of TensorFlow",
            )
        )
        found.append(look.entry.guess(look, confidence=0.5))
        return found
    if re.search(r"_\d+/", key) or re.search(r"_\d+$", key):
        return [
            look.entry.guess(look, confidence=0.74),
            look.entry.guess(
                look,
                "renamed",
                confidence=0.6,
                why=(
                    f"`{key}` bears a number that automatic naming gave: a second model in one graph, or layers made "
                    f"in another order"
                ),
            ),
        ]
    part = re.search(r"checkpoint files? (\S+\.(?:index|meta|data\S*))(?:\s|$)", look.reading.flat)
    if part is not None:
        why = (
            f"the path given is `{part[1].rpartition('/')[2]}`, a part of the checkpoint, so that an empty set of "
            f"tensors was searched"
        )
        return [
            look.entry.guess(
                look,
                "not-found",
                confidence=0.84,
                why=why,
                remedy="Give the prefix, without `.index` or `.data-...`.",
            ),
            look.entry.guess(look, confidence=0.6),
            look.entry.guess(look, "format-mismatch", confidence=0.4),
        ]
    if "_CHECKPOINTABLE_OBJECT_GRAPH" in key:
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.9,
                why=(
                    "the file was written by a name-based tf.train.Saver, and an object-based reader wants its object "
                    "graph"
                ),
                remedy=(
                    "Restore with tf.compat.v1.train.Saver, or read values by name with "
                    "tf.train.load_checkpoint."
                ),
            ),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ]
    return [
        look.entry.guess(look),
        look.entry.guess(
            look,
            "renamed",
            confidence=0.5,
            why=f"the checkpoint may hold `{key}` under another name or scope",
        ),
        look.entry.guess(
            look,
            "version-mismatch",
            confidence=0.32,
            why="the code that built the model is of another version",
        ),
    ]


def table_file(look: Look) -> list[Guess]:
    """An index that is none: what path was given?"""
    path = look.facts().get("path", "")
    shown = path.replace("\\", "/")
    named = re.search(r"([\w./\\\-]+\.(?:data|meta|index))(?:[:\s]|$)", look.reading.flat)
    part = named is not None or (
        re.search(r"\.data-\d{5}-of-\d{5}", look.reading.text) and not shown.endswith(".index")
    )
    state = shown.rstrip(":").endswith("/checkpoint") or shown.rstrip(":") in ("checkpoint", ".checkpoint")
    if state:
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.86,
                why="the path is the text file `checkpoint`, which only names the newest one",
                remedy="Give the prefix (`.../model.ckpt-1000`), or tf.train.latest_checkpoint(folder).",
            ),
            look.entry.guess(
                look, "not-found", confidence=0.7, why="the path names a part, not the checkpoint's prefix"
            ),
        ]
    if part:
        return [
            look.entry.guess(
                look,
                "not-found",
                confidence=0.86,
                why="the path is a part of the checkpoint (a data shard), not its prefix",
                remedy="Give the prefix, without `.data-...` and `.index`.",
            ),
            look.entry.guess(
                look, "format-mismatch", confidence=0.6, why="a part was given where a prefix is wanted"
            ),
            look.entry.guess(look, "corrupt", confidence=0.3),
        ]
    return [
        look.entry.guess(look, "format-mismatch", confidence=0.66),
        look.entry.guess(
            look,
            "not-found",
            confidence=0.62,
            why="the path may name a part (`.data-...`, `.meta`, `.index`) or a folder in place of the prefix",
        ),
        look.entry.guess(
            look,
            "corrupt",
            confidence=0.6,
            why="the index may be damaged or of another format (truncated, LFS pointer)",
        ),
    ]


def unresolved(look: Look) -> list[Guess]:
    """Objects in the checkpoint that nothing took."""
    return [
        look.entry.guess(look),
        look.entry.guess(
            look, "missing-tensor", confidence=0.5, why="the program's objects are not those that were saved"
        ),
        look.entry.guess(look, "renamed", confidence=0.4, why="attributes of the model have other names now"),
    ]


def assigned(look: Look) -> list[Guess]:
    """Two shapes; tables of thousands of rows are vocabularies."""
    facts = look.facts()
    a = [int(n) for n in re.findall(r"\d+", facts.get("model") or facts.get("a") or "")]
    b = [int(n) for n in re.findall(r"\d+", facts.get("checkpoint") or facts.get("b") or "")]
    shape = look.entry.guess(look)
    if len(a) == len(b) == 2 and a[1] == b[1] and min(a[0], b[0]) > 5000 and a[0] != b[0]:
        why = (
            f"a table has {b[0]} rows in the checkpoint and {a[0]} in the graph: the vocabulary was built from other "
            f"data"
        )
        first = look.entry.guess(
            look,
            "preprocessing",
            confidence=0.9,
            why=why,
            remedy="Save the vocabulary with the checkpoint, and load it.",
        )
        return [first, look.entry.guess(look, confidence=0.84)]
    if len(a) == len(b) == 1 and abs(a[0] - b[0]) == 1:
        why = f"{b[0]} and {a[0]} classes: one side counts a background class"
        return [
            look.entry.guess(look, why=why),
            look.entry.guess(look, "preprocessing", confidence=0.5, why=why),
        ]
    return [shape]


ENTRIES = (
    Entry(
        "tf-key-not-found",
        "missing-tensor",
        ("not found in checkpoint", "tensor name", "not found in the checkpoint"),
        r"(?:Key|Tensor name|Tensor) ?(?P<key>\"?[\w./\-:]+\"?) (?:not found|is not found) in (?:the )?checkpoint"
        r"|(?P<key2>[\w./\-]+) not found in checkpoint file",
        why="the graph wants `{key}`, and the checkpoint has no tensor of that name",
        remedy="Build the graph as it was saved, or restore only what is there. " + _INSPECT,
        confirm="Whether the name is in the checkpoint.",
        weigh=key_missing,
        types=("NotFoundError",),
        weight=0.8,
        test="names",
        example="NotFoundError: Key dense/kernel not found in checkpoint",
    ),
    Entry(
        "tf-no-matching-files",
        "not-found",
        (
            "failed to find any matching files",
            "unsuccessful tensorslicereader",
            "save_path is not a valid checkpoint",
        ),
        r"Unsuccessful TensorSliceReader constructor(?:: Failed to find any matching files for:? (?P<path>\S+))?"
        r"|Failed to find any matching files for:? (?P<path2>\S+)"
        r"|save_path is not a valid checkpoint:? ?(?P<path3>\S+)?",
        why=(
            "there is no checkpoint under that prefix ({path}): another folder, another step, or a file name with "
            "its suffix was given"
        ),
        remedy=(
            "Give the prefix without `.index`, `.data-...` or `.meta`; tf.train.latest_checkpoint(folder) gives the "
            "newest."
        ),
        confirm="What lies in that folder.",
        also=("incomplete-save", "retention", "format-mismatch"),
        weight=0.88,
        types=("NotFoundError", "ValueError"),
        test="path",
        example=(
            "NotFoundError: Unsuccessful TensorSliceReader constructor: Failed to find any matching files for "
            "runs/model.ckpt-88000"
        ),
    ),
    Entry(
        "tf-not-a-table",
        "format-mismatch",
        ("not an sstable", "unable to open table file", "too short to be an sstable", "bad magic number)"),
        r"Unable to open table file\s*(?P<path>[^\s:]+(?::[\\/][^\s:]+)?)?|not an sstable"
        r"|file is too short to be an sstable",
        why="what was opened is no index of a checkpoint",
        remedy="Give the checkpoint's prefix; `holdfast PATH` says what the file is and whether it is whole.",
        weigh=table_file,
        types=("DataLossError",),
        test="whole",
        example=(
            "DataLossError: Unable to open table file ./checkpoint: Data loss: not an sstable (bad magic number): "
            "perhaps your file is in a different file format and you need to use a different restore operator?"
        ),
    ),
    Entry(
        "tf-checksum",
        "corrupt",
        (
            "block checksum mismatch",
            "corrupted block",
            "corrupted compressed block",
            "vs. calculated on the restored bytes",
            "tensorbundle at",
        ),
        r"[Cc]hecksum does not match: stored (?P<want>\d+) vs\. calculated on the restored bytes (?P<got>\d+)"
        r"|block checksum mismatch|corrupted (?:compressed )?block|TensorBundle at .{1,200}? shard",
        why="the bytes are not those that were written: damage, or index and data of two different saves lie together",
        remedy=(
            "`holdfast verify PREFIX` names every tensor concerned; take index and data of one save, or an older "
            "checkpoint."
        ),
        also=("incomplete-save", "concurrency"),
        weight=0.84,
        types=("DataLossError",),
        test="whole",
        weigh=lambda look: [
            look.entry.guess(look, confidence=0.78),
            look.entry.guess(
                look,
                "incomplete-save",
                confidence=0.74,
                why=(
                    "index and data files of two different saves lie together, or one of them was not written to its "
                    "end"
                ),
            ),
        ],
        example=(
            "tensorflow.python.framework.errors_impl.DataLossError: Checksum does not match: stored 2098457901 vs. "
            "calculated on the restored bytes 3401360046"
        ),
    ),
    Entry(
        "tf-bundle-missing-shard",
        "incomplete-save",
        ("tensorbundle", "all_model_checkpoint_paths", "-of-"),
        r"(?P<shard>[\w./\-]*\.data-\d{5}-of-\d{5}); No such file|data-\d{5}-of-(?!00001)\d{5}.{0,200}(?:missing"
        r"|not found|No such file)|TensorBundle.{0,120}(?:missing|incomplete)"
        r"|all_model_checkpoint_paths.{0,400}\.data-\d{5}-of-000(?!01)\d\d",
        why="a data shard of the checkpoint is not there",
        remedy="`holdfast PREFIX` lists the shards that are missing; get them, or take an older checkpoint.",
        also=("topology", "not-found"),
        weight=0.8,
        test="whole",
        example="NotFoundError: model.ckpt-7.data-00001-of-00002; No such file or directory",
    ),
    Entry(
        "tf-data-loss",
        "corrupt",
        ("data loss", "dataloss"),
        r"Data ?Loss(?:Error)?: (?P<what>[^\[\n]{3,160})",
        why="the file contradicts itself: {what}",
        remedy="`holdfast verify PREFIX` says where; take an older checkpoint.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.62,
        types=("DataLossError",),
        test="whole",
        example="DataLossError: truncated record at 4096",
    ),
    Entry(
        "tf-assign-shapes",
        "shape-mismatch",
        (
            "assign requires shapes",
            "shapes of both tensors",
            "is not compatible with supplied shape",
            "does not match the shape stored in checkpoint",
            ") when attempting to restore variable with shape (",
        ),
        r"Assign requires shapes of both tensors to match\.? ?lhs shape= ?\[(?P<model>[\d,]*)\] rhs shape="
        r" ?\[(?P<checkpoint>[\d,]*)\]"
        r"|Received incompatible tensor (?:with shape )?(?P<a>\([\d, ]*\)) when attempting to restore variable"
        r" with shape (?P<b>\([\d, ]*\))"
        r"|[Tt]ensor'?s shape \(?(?P<c>[\d, ]*)\)? is not compatible with supplied shape"
        r"|shape \[?(?P<d>[\d, ]*)\]? .{0,40}does not match the shape stored in checkpoint",
        why=(
            "the variable has shape [{model}] in the graph, and [{checkpoint}] in the checkpoint: another number of "
            "classes or units"
        ),
        remedy="Build the layer as it was saved, or leave its variables out of the restore (a Saver over the others).",
        also=("missing-tensor", "preprocessing"),
        weigh=assigned,
        weight=0.93,
        test="names",
        example="InvalidArgumentError: Assign requires shapes of both tensors to match. lhs shape= [6] rhs shape= [1001]",
    ),
    Entry(
        "tf-restore-type",
        "dtype-mismatch",
        ("expected to restore a tensor of type", "has type"),
        r"Expected to restore a tensor of type (?P<want>\w+), got a tensor of type (?P<got>\w+) instead(?::"
        r" tensor_name = (?P<tensor>[\w./]+))?|tensor .{1,80} has type (?P<t>\w+) .{0,40}expected",
        why="`{tensor}` is {got} in the checkpoint and {want} in the graph",
        remedy="Declare the variable with the checkpoint's type, or leave it out and set it by hand.",
        weight=0.95,
        test="names",
        example=(
            "InvalidArgumentError: Expected to restore a tensor of type int32, got a tensor of type int64 instead: "
            "tensor_name = global_step"
        ),
    ),
    Entry(
        "tf-device",
        "device-mismatch",
        ("cannot assign a device", "could not satisfy explicit device"),
        r"Cannot assign a device (?:to node|for (?:operation|node)) '?\{?\{?(?:node )?(?P<node>[\w/.]+)"
        r"|Could not satisfy explicit device specification '(?P<device>[^']+)'",
        why="the graph that was saved names devices that this process does not have",
        remedy="Import it with `clear_devices=True`, or set `allow_soft_placement=True`.",
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "topology",
                    confidence=0.87,
                    why=(
                        "the graph names tasks of a cluster (`/job:ps`, `/job:worker`) that this process is not part "
                        "of"
                    ),
                ),
                look.entry.guess(look, confidence=0.6),
            ]
            if re.search(r"/job:(?:ps|worker|chief|master)", look.reading.text)
            else [look.entry.guess(look)]
        ),
        weight=0.92,
        example=(
            "InvalidArgumentError: Cannot assign a device to node 'v': Could not satisfy explicit device "
            "specification '/device:GPU:0' because no devices matching that specification are registered"
        ),
    ),
    Entry(
        "tf-uninitialised",
        "missing-tensor",
        ("attempting to use uninitialized value", "uninitialized value"),
        r"Attempting to use uninitialized value (?P<tensor>[\w/.]+)",
        why=(
            "`{tensor}` was never restored nor initialised: the Saver that saved did not hold it (only trainable "
            "variables?), or restoring was left out for it"
        ),
        remedy=(
            "Save all variables (`tf.compat.v1.global_variables()`): moving means and variances are not trainable; "
            "initialise what is new before restoring."
        ),
        also=("lazy-build", "metrics", "graph-lifecycle"),
        weight=0.85,
        types=("FailedPreconditionError",),
        example="FailedPreconditionError: Attempting to use uninitialized value bn/moving_mean",
    ),
    Entry(
        "tf-graph-finalized",
        "graph-lifecycle",
        ("graph is finalized",),
        r"Graph is finalized and cannot be modified",
        why=(
            "operations are added after the graph was finalised (a restore or a Saver built inside a session that "
            "Supervisor or MonitoredSession owns)"
        ),
        remedy=(
            "Make the Saver and the assigning operations before the session; run them in `init_fn` through "
            "placeholders."
        ),
        weight=0.95,
        example="RuntimeError: Graph is finalized and cannot be modified.",
    ),
    Entry(
        "tf-session-closed",
        "graph-lifecycle",
        (
            "attempted to use a closed session",
            "is not an element of this graph",
            "no variables to save",
            "must be from the same graph",
            "is not an element",
        ),
        r"Attempted to use a closed Session|is not an element of this graph|No variables to save"
        r"|must be from the same graph|Tensor .{1,80} is not an element",
        why=(
            "graph and session are not those in which the variables live (built later, reset, or another default "
            "graph)"
        ),
        remedy="Make variables, then the Saver, then the session, all in one graph.",
        weight=0.85,
        context=("saver", "restore", "save", "load_model", "predict"),
        only_in=True,
        example="ValueError: No variables to save\n  saver = tf.train.Saver()",
    ),
    Entry(
        "tf-object-graph-expected",
        "format-mismatch",
        ("object-based checkpoint", "_checkpointable_object_graph"),
        r"[Cc]heckpoint is expected to be an object-based checkpoint|_CHECKPOINTABLE_OBJECT_GRAPH not found",
        why="an object-based (TF2) checkpoint is wanted, and a name-based (TF1) one, or another prefix, was given",
        remedy="Give a TF2 checkpoint's prefix (`ckpt-0`), without `.index`; " + _INSPECT,
        also=("version-mismatch", "not-found"),
        weight=0.9,
        test="whole",
        example="OSError: Checkpoint is expected to be an object-based checkpoint.",
    ),
    Entry(
        "tf-nothing-matched",
        "format-mismatch",
        ("nothing except the root object matched",),
        r"Nothing except the root object matched a checkpointed value",
        why=(
            "the object that restores is not of the kind that saved: Keras' save_weights and tf.train.Checkpoint "
            "write other roots, or the attribute names differ"
        ),
        remedy=(
            "Restore through the same API and the same attribute names as at saving: "
            "`tf.train.Checkpoint(model=model)`. `holdfast check` says what would match."
        ),
        also=("renamed", "lazy-build"),
        weight=0.86,
        test="names",
        example=(
            "AssertionError: Nothing except the root object matched a checkpointed value. Typically this means that "
            "the checkpoint does not match the Python program."
        ),
    ),
    Entry(
        "tf-unresolved",
        "lazy-build",
        ("unresolved object in checkpoint", "value in checkpoint could not be found", "restored"),
        r"Unresolved object in checkpoint|objects had attributes which were not restored"
        r"|A checkpoint was restored .{0,120}but not all checkpointed values were used"
        r"|Value in checkpoint could not be found in the restored object",
        why=(
            "values of the checkpoint were taken by nothing so far: variables that are not built yet, or objects "
            "that the program does not have"
        ),
        remedy="Build the model (call it once) before restoring, then `status.assert_consumed()` names what is left.",
        weigh=unresolved,
        weight=0.7,
        example="WARNING:tensorflow:Value in checkpoint could not be found in the restored object: (root).dense.kernel",
    ),
    Entry(
        "tf-optimizer-graph-names",
        "missing-tensor",
        (
            "some python objects were not bound",
            "python objects that were not bound",
            "no checkpointed value for",
        ),
        r"(?:Some Python objects were not bound to checkpointed values"
        r"|Found \d+ Python objects that were not bound|No checkpointed value for)",
        why=(
            "objects of the program have no value in the checkpoint: it was saved from another structure, or without "
            "them"
        ),
        remedy="Give the same objects under the same names as at saving. " + _INSPECT,
        also=("renamed", "optimizer-structure"),
        weight=0.84,
        test="names",
        example=(
            "AssertionError: Some Python objects were not bound to checkpointed values, likely due to changes in the "
            "Python program"
        ),
    ),
    Entry(
        "tf-original-dtype",
        "dtype-mismatch",
        ("does not equal original dtype",),
        (
            r"tensor_name = (?P<tensor>[\w/.]+); expected dtype (?P<want>\w+) does not equal original dtype"
            r" (?P<got>\w+)"
        ),
        why="`{tensor}` is {got} in the checkpoint and {want} in the graph: the layer follows the type of its input",
        remedy="Feed the type that training fed (float32 for `double`), or cast the input.",
        also=("preprocessing",),
        weight=0.95,
        test="names",
        example="InvalidArgumentError: tensor_name = conv/bias; expected dtype double does not equal original dtype float",
    ),
    Entry(
        "tf-variable-scope",
        "graph-lifecycle",
        (
            "already exists, disallowed",
            "was not created with tf.get_variable",
            "converting graphdef to graph has failed",
            "the session graph is empty",
        ),
        (
            r"Variable (?P<name>[\w/.]+) (?:already exists, disallowed"
            r"|does not exist, or was not created with tf\.get_variable)|Converting GraphDef to Graph has failed"
            r"|The Session graph is empty"
        ),
        why="the graph is built twice, or in another scope than before",
        remedy="Build it once in a fresh graph (`tf.Graph().as_default()`), then make the Saver.",
        also=("renamed", "missing-tensor"),
        weight=0.72,
        example=(
            "ValueError: Variable conv/weights already exists, disallowed. Did you mean to set reuse=True in "
            "VarScope?"
        ),
    ),
    Entry(
        "tf-op-unknown",
        "version-mismatch",
        ("op type not registered", "nodedef mentions attr", "not in op<name"),
        r"Op type not registered '(?P<op>\w+)'|NodeDef mentions attr '(?P<attr>\w+)' not in Op",
        why=(
            "the saved graph uses an operation (or an argument of one) that this build does not know: another "
            "version, or a custom library that is not loaded"
        ),
        remedy="Use the version that saved, or load the library of custom operations first.",
        also=("custom-object",),
        weight=0.9,
        example="NotFoundError: Op type not registered 'RaggedTensorToTensor' in binary running on host",
    ),
    Entry(
        "tf-newer-file",
        "corrupt",
        ("perhaps the file is corrupt or was produced by a newer version",),
        (
            r"Unable to read file \(?(?P<path>[^)\s]+)\)?\. Perhaps the file is corrupt or was produced by a newer"
            r" version"
        ),
        why="`{path}` cannot be read: damaged, or of a newer TensorFlow",
        remedy="`holdfast PREFIX` tells which.",
        also=("version-mismatch", "format-mismatch"),
        weight=0.8,
        test="whole",
        example=(
            "DataLossError: Unable to read file (model.meta). Perhaps the file is corrupt or was produced by a newer "
            "version of TensorFlow with format changes"
        ),
    ),
    Entry(
        "tf-parse-error",
        "corrupt",
        ("error parsing message", "cannot parse file", "can't parse", "decodeerror:"),
        r"Error parsing message|Cannot parse file|(?<!JSON)(?<!Unicode)\bDecodeError: .{0,80}"
        r"|Can't parse .{0,80} as binary proto",
        why="a protocol buffer (graph, meta, SavedModel) cannot be parsed: truncated, an LFS pointer, or another file",
        remedy="`holdfast PATH` says what the file is.",
        also=("format-mismatch", "incomplete-save"),
        weight=0.78,
        test="whole",
        example="google.protobuf.message.DecodeError: Error parsing message",
    ),
    Entry(
        "tf-io-error-file",
        "storage",
        (".tmp", "tempstate", "input/output error", ".data-", ".index"),
        (
            r"(?P<path>\S*(?:checkpoint\.tmp\w+|tempstate\d+|\.data-\d+-of-\d+"
            r"|\.index))\s*;\s*(?P<what>Input/output error|Stale file handle|Operation not permitted"
            r"|Function not implemented|Read-only file system|Transport endpoint is not connected)"
        ),
        why="the file system failed to write or rename `{path}` ({what}): a network or FUSE mount",
        remedy="Save to a local disk and copy it over.",
        also=("concurrency",),
        weight=0.9,
        example="/out/checkpoint.tmpb97208e8; Input/output error",
    ),
)
