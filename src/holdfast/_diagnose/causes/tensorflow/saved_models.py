"""SavedModels: what comes back of one, and what it may be called with.

Messages: tensorflow/python/saved_model/{load,loader_impl,function_deserialization,builder_impl}.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone


def graph_alone(look: Look) -> list[Guess]:
    """A graph without its values; or a SavedModel that says itself that it holds none."""
    if "has no variables" in look.reading.lower:
        labels = ("incomplete-save", "graph-lifecycle", "missing-tensor")
    else:
        labels = ("graph-lifecycle", "missing-tensor", "incomplete-save")
    return [
        look.entry.guess(look, label, confidence=by)
        for label, by in zip(labels, (0.9, 0.7, 0.6), strict=True)
    ]


def parsed(look: Look) -> list[Guess]:
    """A message that ends too early was cut off; one whose first tag is wrong, or whose file has another ending, is "
    "none."""
    of, entry = look.reading.lower, look.entry
    none = "wrong wire type" in of or ("protobuf parsing failed" in of and ".onnx" not in of)
    labels = (
        ("format-mismatch", "corrupt", "incomplete-save")
        if none
        else ("corrupt", "format-mismatch", "incomplete-save")
    )
    return [
        entry.guess(look, label, confidence=by) for label, by in zip(labels, (0.8, 0.6, 0.4), strict=True)
    ]


def variable_lost(look: Look) -> list[Guess]:
    """A variable of a session that is not this one; or of a model that a SavedModel did not take along."""
    if "could not find variable" not in look.reading.lower:
        return [look.entry.guess(look)]
    why = "the exported function reads a variable that was not exported with it: no attribute of the saved object led to it"
    remedy = (
        "Assign the model to an attribute of the object that is saved, or `ExportArchive.track(model)`; in a session "
        "run the "
        "SavedModel's own restore."
    )
    return [
        look.entry.guess(look, "missing-tensor", confidence=0.78, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.72),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


ENTRIES = (
    Entry(
        "savedmodel-fingerprint",
        "incomplete-save",
        ("savedmodel fingerprint error",),
        r"SavedModel Fingerprint Error: (?P<what>[^\n]{1,120})",
        why="`fingerprint.pb` of the saved model is not there, or cannot be read: not all of its files were copied, or a "
        "TensorFlow before 2.12 wrote it",
        remedy="Copy the whole folder again; a model without a fingerprint loads all the same (`tf.saved_model.load`).",
        weigh=ranked(("incomplete-save", 0.76), ("corrupt", 0.72), ("version-mismatch", 0.6)),
        test="whole",
        example="FileNotFoundError: SavedModel Fingerprint Error: could not find fingerprint.pb",
    ),
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
        r"'(?P<kind>_UserObject|AutoTrackable|TFSMLayer)' object (?:is not callable"
        r"|has no attribute '(?P<name>(?!_create_or_restore)\w+)')",
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
        also=("version-mismatch", "unserialisable"),
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
            "unexpected end-group tag",
            "parsing the model failed",
            "invalid protobuf",
        ),
        "",
        why="a protocol buffer cannot be parsed: truncated, a Git-LFS pointer, or another kind of file",
        remedy="`holdfast PATH` says what the file is; get it again.",
        where=loading_or_alone,
        weigh=parsed,
        test="whole",
        example="google.protobuf.message.DecodeError: Truncated message.",
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
        also=("storage", "topology"),
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
            "could not find variable",
        ),
        r"Error while reading resource variable (?P<tensor>\S+) from Container"
        r"|Container localhost does not exist|Resource localhost/\S+ does not exist"
        r"|(?P<lost>Could not find variable) (?P<tensor2>\S+?)\. ",
        why=(
            "the variables live in another session or graph than the one that runs: the model was loaded "
            "in one and used in the other"
        ),
        remedy=(
            "Keep the session and graph in which it was loaded (`with graph.as_default(), "
            "session.as_default():`), in threads too."
        ),
        also=("missing-tensor", "lazy-build"),
        weigh=variable_lost,
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
        weigh=ranked(("graph-lifecycle", 0.62), ("version-mismatch", 0.6), ("format-mismatch", 0.5)),
        example="ValueError: Input 0 of node bn/cond was passed float from bn/gamma:0 incompatible with expected "
        "resource.",
    ),
    Entry(
        "savedmodel-other-make",
        "version-mismatch",
        (
            "unknown savedobject type",
            "unable to restore state of object",
            "cannot deserialize a method function",
            "savedmodels saved from tensorflow 1.x",
            "some variables could not be lifted out",
            "to polymorphic restored function",
            "is not supported in graph mode. the loaded object",
        ),
        "",
        why="the SavedModel was written by another generation of TensorFlow than loads it",
        remedy="Load with the version that saved; a TF1 export: call a signature, or `tf.compat.v1.saved_model.load` "
        "in a session.",
        also=("format-mismatch", "graph-lifecycle"),
        weight=0.8,
        example="ValueError: Unknown SavedObject type: None. Expected one of user_object, asset, function",
    ),
    Entry(
        "savedmodel-builder-order",
        "graph-lifecycle",
        (
            "graph state including variables and assets has",
            "a unique export directory name after",
            "already exists; retrying",
        ),
        r"Graph state including variables and assets has (?:not|already)|a unique export directory name after"
        r"|Directory (?P<path>\S+) already exists; retrying",
        why="the builder was called in another order than it wants, or several exports go to one folder",
        remedy="`add_meta_graph_and_variables()` first and once, then `add_meta_graph()`; one folder for an export.",
        weigh=ranked(("graph-lifecycle", 0.6), ("concurrency", 0.56), ("retention", 0.5)),
        example="AssertionError: Graph state including variables and assets has already been saved.",
    ),
    Entry(
        "savedmodel-without-variables",
        "incomplete-save",
        (
            "the specified savedmodel has no variables",
            "saver not created because there are no variables",
            "falied to restore variables from",
            "failed to restore variables from",
        ),
        "",
        why="no variables were found beside the graph: the folder `variables` was not copied yet (or not at all), or "
        "the graph holds "
        "constants only",
        remedy="Copy the whole folder and rename it into place when it is whole; `holdfast DIR` says what is there.",
        where=loading_or_alone,
        weigh=ranked(("incomplete-save", 0.62), ("missing-tensor", 0.56), ("not-found", 0.5)),
        test="whole",
        example="loader.cc:165] The specified SavedModel has no variables; no checkpoints were restored.",
    ),
    Entry(
        "graph-without-values",
        "graph-lifecycle",
        ("attempting to use uninitialized value",),
        r"(?:import_graph_def|graph\.Import|ParseFromString|SavedModel|IllegalStateException|Bundle)"
        r".{0,900}?Attempting to use uninitialized value (?P<name>[\w/.]+)"
        r"|Attempting to use uninitialized value (?P<name2>[\w/.]+).{0,900}?(?:import_graph_def|graph\.Import"
        r"|ParseFromString"
        r"|SavedModel|Bundle)",
        why="only the graph was loaded: `{name}` gets its value from a checkpoint or an initialiser that nobody ran here",
        remedy="Load the SavedModel with its variables (not the graph alone), or freeze them into the graph; save from "
        "the "
        "session in which they were trained.",
        weigh=graph_alone,
        example="graph.Import(definition)\nAttempting to use uninitialized value Variable_3",
    ),
)
