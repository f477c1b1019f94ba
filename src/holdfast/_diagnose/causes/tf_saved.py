"""SavedModels: what comes back of one, and what it may be called with.

Messages: tensorflow/python/saved_model/{load,loader_impl,function_deserialization,builder_impl}.py.
"""

from __future__ import annotations

from ..knowledge import Entry, ranked
from ..where import loading_or_alone

ENTRIES = (
    Entry(
        "savedmodel-no-matching-function",
        "version-mismatch",
        (
            "could not find matching function to call loaded",
            "could not find matching concrete function to call loaded",
            "found zero restored functions",
        ),
        "",
        why=(
            "the functions in the SavedModel were traced with other arguments than they are called with "
            "(here, or by this version of Keras)"
        ),
        remedy=(
            "Look at the signatures (`saved_model_cli show --all --dir DIR`), and call with those shapes "
            "and types; or load with the "
            "version that saved, or rebuild the model in code and load the weights."
        ),
        weigh=ranked(
            ("version-mismatch", 0.68),
            ("custom-object", 0.52),
            ("shape-mismatch", 0.48),
            ("preprocessing", 0.4),
        ),
        example="ValueError: Could not find matching function to call loaded from the SavedModel. Got:",
    ),
    Entry(
        "savedmodel-plain-object",
        "format-mismatch",
        (
            "'_userobject' object",
            "'autotrackable' object",
            "'tfsmlayer' object",
            "'keraslayer' object has no attribute 'predict'",
        ),
        r"'(?P<kind>_UserObject|AutoTrackable|TFSMLayer)' object (?:is not callable|has no attribute '(?P<name>\w+)')",
        why="`tf.saved_model.load` gives a plain object of functions, no Keras model ({name})",
        remedy=(
            "Load with `tf.keras.models.load_model`, or call a signature: `f = "
            "loaded.signatures['serving_default']`, then `f(x)`."
        ),
        also=("unserialisable", "version-mismatch"),
        weight=0.88,
        example="AttributeError: '_UserObject' object has no attribute 'predict'",
    ),
    Entry(
        "savedmodel-tags-argument",
        "format-mismatch",
        (
            "requires a `tags=` argument",
            "incompatible argument to `tags`",
            "expected exactly one savedmodel init op",
            "does not have a signature_def",
            "no tf.train.saver object was passed",
        ),
        "",
        why="the SavedModel holds other graphs, tags or signatures than the call asks for",
        remedy="`saved_model_cli show --all --dir DIR` lists them.",
        also=("version-mismatch",),
        weight=0.82,
        example="ValueError: `tf.saved_model.load` requires a `tags=` argument if there is more than one MetaGraph.",
    ),
    Entry(
        "savedmodel-folder-used",
        "retention",
        ("export directory",),
        r"export directory (?P<path>\S+)? ?already exists",
        why="the export folder exists already, and the builder does not overwrite",
        remedy="Export into a new folder (one a version), or remove the old one first.",
        also=("storage", "concurrency"),
        weight=0.7,
        test="path",
        example=(
            "AssertionError: Export directory out/1 already exists, and isn't empty. Please choose a "
            "different export directory"
        ),
    ),
    Entry(
        "savedmodel-text-parse",
        "corrupt",
        (
            "wire format was corrupt",
            "wrong wire type",
            "protobuf parsing failed",
            "error parsing text-format",
            "truncated message",
            "parsing the model failed",
            "invalid protobuf",
        ),
        "",
        why="a protocol buffer cannot be parsed: truncated, a Git-LFS pointer, or another kind of file",
        remedy="`holdfast PATH` says what the file is; get it again.",
        where=loading_or_alone,
        also=("format-mismatch", "incomplete-save"),
        weight=0.8,
        test="whole",
        example="google.protobuf.message.DecodeError: Error parsing message: Wrong wire type in tag.",
    ),
    Entry(
        "savedmodel-other-device",
        "device-mismatch",
        ("save on a different device from the computational device", "experimental_io_device"),
        "",
        why="the save runs on another machine (a TPU's host) than the path belongs to",
        remedy=(
            "`tf.saved_model.SaveOptions(experimental_io_device='/job:localhost')`, and the same in "
            "LoadOptions; or save to cloud storage."
        ),
        also=("storage",),
        weight=0.8,
        example=(
            "FileNotFoundError: You may be trying to save on a different device from the computational "
            "device. Consider setting the "
            "`experimental_io_device` option"
        ),
    ),
    Entry(
        "tf-container-lost",
        "graph-lifecycle",
        (
            "error while reading resource variable",
            "container: localhost",
            "container localhost does not exist",
            "resource localhost/",
        ),
        r"Error while reading resource variable (?P<tensor>\S+) from Container"
        r"|Container localhost does not exist|Resource localhost/\S+ does not exist",
        why=(
            "the variables live in another session or graph than the one that runs: the model was loaded "
            "in one and used in the other"
        ),
        remedy=(
            "Keep the session and graph in which it was loaded (`with graph.as_default(), "
            "session.as_default():`), in threads too."
        ),
        also=("missing-tensor", "lazy-build"),
        weight=0.82,
        where=loading_or_alone,
        example=(
            "FailedPreconditionError: Error while reading resource variable dense/kernel from Container: "
            "localhost. This could mean "
            "that the variable was uninitialized. (after load_model)"
        ),
    ),
    Entry(
        "tf-name-of-tensor",
        "graph-lifecycle",
        (
            "refers to a tensor which does not exist",
            "refers to an operation not in the graph",
            "graph is different from the session's graph",
            "is not in graph",
            "which does not exist. the operation",
        ),
        r"The name '(?P<name>[\w/:.]+)' refers to (?:a Tensor which does not exist|an Operation not in the graph)"
        r"|graph is different from the session's graph",
        why=(
            "the restored graph has no `{name}`: it was built otherwise than the saved one, or is another "
            "graph than the default one"
        ),
        remedy="List the operations after `import_meta_graph` (`graph.get_operations()`), and take names from there.",
        weigh=ranked(("graph-lifecycle", 0.74), ("renamed", 0.6), ("missing-tensor", 0.52)),
        example=(
            "KeyError: \"The name 'x:0' refers to a Tensor which does not exist. The operation, 'x', does "
            'not exist in the graph."'
        ),
    ),
    Entry(
        "tf-while-loading-frozen",
        "version-mismatch",
        (
            "was passed float from",
            "was passed int32 from",
            "incompatible with expected",
            "expects to be colocated with unknown node",
            "not an element of the graph_def",
            "found in graph_def",
        ),
        r"(?:Input \d+ of node \S+ was passed \w+ from \S+ incompatible with expected (?P<want>\w+)"
        r"|expects to be colocated with unknown node)",
        why="the saved graph does not fit the way it is imported (resource variables against constants, parts cut away)",
        remedy="Load it as it was exported (tf.saved_model.load, import_meta_graph), or export it anew.",
        weigh=ranked(("version-mismatch", 0.6), ("graph-lifecycle", 0.58), ("format-mismatch", 0.5)),
        example="ValueError: Input 0 of node bn/cond was passed float from bn/gamma:0 incompatible with expected resource.",
    ),
)
