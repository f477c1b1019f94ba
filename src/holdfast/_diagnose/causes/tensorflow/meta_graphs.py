"""TensorFlow: graphs that are written beside a checkpoint or imported from it, part by part.

Messages: tensorflow/python/framework/{meta_graph,importer}.py, tensorflow/python/saved_model/function_deserialization.py,
tensorflow/lite/python/{lite,convert_saved_model}.py, google/protobuf/io/zero_copy_stream_impl_lite.cc.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing_or_alone

ENTRIES = (
    Entry(
        "tf-import-of-inputs",
        "graph-lifecycle",
        ("attempted to map inputs that were not found", "graph contains unbound inputs"),
        r"Attempted to map inputs that were not found in graph_def: ?\[?(?P<name>[^\]\s]+)"
        r"|Graph contains unbound inputs: ?\[?(?P<name2>[^\]\s]+)",
        why="the graph is not cut where the program joins it: `{name}` is no input of it, or an input that was left open",
        remedy="List its nodes (`[n.name for n in graph_def.node]`), and give `input_map` the names that stand there.",
        weigh=ranked(("graph-lifecycle", 0.74), ("renamed", 0.64), ("version-mismatch", 0.5)),
        example="ValueError: Attempted to map inputs that were not found in graph_def: [images:0]",
    ),
    Entry(
        "tf-meta-graph-older",
        "version-mismatch",
        ("possibly from an older release", "collection should be of type"),
        r"meta_graph is possibly from an older release|'(?P<name>\w+)' collection should be of type '\w+', but instead",
        why="the `.meta` file was written by an older TensorFlow, which kept collections ({name}) in another form",
        remedy="Build the graph in code and restore the values alone; or import it with the version that wrote it.",
        weigh=ranked(("version-mismatch", 0.74), ("graph-lifecycle", 0.52), ("format-mismatch", 0.4)),
        example="The saved meta_graph is possibly from an older release: 'losses' collection should be of type 'byte_list'",
    ),
    Entry(
        "tf-collection-not-written",
        "unserialisable",
        ("encountered when serializing",),
        r"(?:Error|Issue) encountered when serializing (?P<name>\w+)",
        why="the collection `{name}` of the graph holds something that has no protocol buffer; the values are saved all the same",
        remedy="It can be left alone where the graph is built in code; else take the object out of the collection before saving.",
        weigh=ranked(("unserialisable", 0.7), ("graph-lifecycle", 0.5), ("version-mismatch", 0.4)),
        example="Error encountered when serializing resources. Type is unsupported. '_Resource' object has no attribute 'name'",
    ),
    Entry(
        "tf-gradients-not-saved",
        "unserialisable",
        ("unsaved custom gradients",),
        r"with ops with unsaved custom gradients",
        why="functions of the SavedModel have gradients of their own that were not saved: it can predict, and not be trained on",
        remedy="Save with `tf.saved_model.SaveOptions(experimental_custom_gradients=True)`, or keep code and "
        "weights to train on.",
        weigh=ranked(("unserialisable", 0.74), ("version-mismatch", 0.5), ("custom-object", 0.46)),
        example="Importing a function (__inference_swish) with ops with unsaved custom gradients. Will likely fail",
    ),
    Entry(
        "tf-buffer-too-large",
        "size-limit",
        ("kint32max for stringoutputstream", "cannot allocate buffer larger than kint32max"),
        "",
        why="a message of protocol buffers would be larger than 2 GB: a large array (an embedding) is a constant of the graph",
        remedy="Feed it through a placeholder or a variable's initialiser, so that it is saved as a value, not in the graph.",
        weigh=ranked(("size-limit", 0.86), ("memory", 0.5), ("graph-lifecycle", 0.44)),
        example="[libprotobuf ERROR] Cannot allocate buffer larger than kint32max for StringOutputStream",
    ),
    Entry(
        "tf-assigned-type",
        "dtype-mismatch",
        ("trying to assign variable with wrong dtype",),
        r"Trying to assign variable with wrong dtype\. Expected (?P<want>\w+) got (?P<got>\w+)",
        why="a variable of {want} is given values of {got}: the checkpoint (or the saved graph) is of another precision",
        remedy="Build the model in the precision it was saved in, restore, and cast afterwards.",
        weigh=ranked(("dtype-mismatch", 0.8), ("version-mismatch", 0.5), ("graph-lifecycle", 0.46)),
        example="Trying to assign variable with wrong dtype. Expected FLOAT got HALF",
    ),
    Entry(
        "tf-feed-of-another-export",
        "format-mismatch",
        ("unable to find feed output", "unable to find fetch output", "fetchoutputs:", "feedinputs:"),
        r"(?:FeedInputs|FetchOutputs): (?:unable to find (?:feed|fetch) output|node) (?P<name>[\w/.:]+)",
        why="the request names `{name}`, which the exported graph does not have: it is of another export (older "
        "format, other names)",
        remedy="`saved_model_cli show --all --dir DIR` lists inputs and outputs; remove the old export, and export anew.",
        weigh=ranked(("format-mismatch", 0.64), ("version-mismatch", 0.62), ("graph-lifecycle", 0.58)),
        example="FeedInputs: unable to find feed output pixels",
    ),
    Entry(
        "tf-converter-and-assets",
        "format-mismatch",
        ("savedmodels with assets/ directory", "savedmodel file format("),
        r"SavedModels with assets/ directory are not supported|SavedModel file format\(\S+ is not supported",
        why="the converter does not read a SavedModel of this make",
        remedy="Export the model without its tables and vocabulary files, or convert with a newer version.",
        weigh=ranked(("format-mismatch", 0.74), ("version-mismatch", 0.6), ("unserialisable", 0.44)),
        example="ValueError: SavedModels with assets/ directory are not supported.",
    ),
    Entry(
        "tf-scope-of-strategy",
        "topology",
        ("was not created in the distribution strategy scope", "not all layers or the model or optimizer being created"),
        "",
        why="variables were made (or loaded) outside the scope of the distribution strategy that trains them",
        remedy="Build, compile and load inside `with strategy.scope():`; a model saved elsewhere: build there, load its weights.",
        where=storing_or_alone,
        weigh=ranked(("topology", 0.78), ("graph-lifecycle", 0.56), ("version-mismatch", 0.46)),
        example="ValueError: Variable (kernel) was not created in the distribution strategy scope of (MirroredStrategy)",
    ),
)  # fmt: skip
