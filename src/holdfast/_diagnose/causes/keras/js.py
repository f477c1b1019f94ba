"""Keras models given to converters and to TensorFlow.js: what these say of a file they cannot read.

Messages: tfjs-layers/src/models.ts, tfjs-layers/src/engine/container.ts, tfjs-core/src/io/{http,io_utils}.ts, and
tensorflowjs/converters/keras_h5_conversion.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked

ENTRIES = (
    Entry(
        "tfjs-no-layers-model",
        "format-mismatch",
        ("cannot read propert",),
        r"Cannot read propert(?:y|ies) (?:of (?:null|undefined) \(reading '|')(?P<key>model_config|producer)",
        why="model.json is of the other kind (a graph model for the layers loader, or the reverse), or was made of weights alone",
        remedy=(
            "`tf.loadGraphModel` for graph models, `tf.loadLayersModel` for Keras models; convert a whole model "
            "(`model.save`)."
        ),
        weigh=ranked(("format-mismatch", 0.84), ("version-mismatch", 0.46), ("corrupt", 0.36)),
        example="TypeError: Cannot read properties of null (reading 'model_config')",
    ),
    Entry(
        "tfjs-input-shape",
        "version-mismatch",
        ("an inputlayer should be passed either", "inputlayer should be passed"),
        r"InputLayer should be passed either a `?batch_?InputShape`? or an `?inputShape",
        why="Keras 3 wrote the config (`batch_shape`), and TensorFlow.js reads that of Keras 2 (`batch_input_shape`)",
        remedy="Save with `tf_keras` (TF_USE_LEGACY_KERAS=1), then convert; or rename the key in model.json.",
        weigh=ranked(("version-mismatch", 0.92), ("format-mismatch", 0.46), ("custom-object", 0.3)),
        example="Error: An InputLayer should be passed either a `batchInputShape` or an `inputShape`.",
    ),
    Entry(
        "tfjs-no-target",
        "renamed",
        ("has no target variable", "did not provide weight data", "weights are not set", "unused weights"),
        r"Provided weight data has no target variable: (?P<name>[\w/.:]+)"
        r"|(?P<count>\d+) of (?P<all>\d+) weights are not set(?:: (?P<name2>[\w/.:]+))?",
        why=(
            "the names of the weights in the file are not those of the model (`{name}`): the prefix of the "
            "model's name was added"
        ),
        remedy="Save with `tf_keras` (TF_USE_LEGACY_KERAS=1) and convert, or strip the prefix in the manifest.",
        weigh=ranked(("renamed", 0.82), ("version-mismatch", 0.76), ("unexpected-tensor", 0.5)),
        example="Error: Provided weight data has no target variable: net/dense/kernel",
    ),
    Entry(
        "tfjs-shards",
        "incomplete-save",
        ("the tensor should have", "byte length of float32array", "should be a multiple of 4"),
        r"Based on the provided shape, \[[\d,]*\], the tensor should have (?P<want>\d+) values but has (?P<got>\d+)"
        r"|byte length of Float32Array should be a multiple of 4",
        why=(
            "the weights' file is shorter than its manifest says: a shard is missing, cut short, or another page "
            "came in its place"
        ),
        remedy="Put all shards beside model.json, of one conversion; look at the server's answer for each.",
        weigh=ranked(("corrupt", 0.74), ("incomplete-save", 0.7), ("shape-mismatch", 0.5)),
        example="Error: Based on the provided shape, [3,3,3,32], the tensor should have 864 values but has 24",
    ),
    Entry(
        "tfjs-shapes",
        "shape-mismatch",
        ("shape mismatch: [",),
        r"Shape mismatch: \[(?P<a>[\d,]+)\] vs\. \[(?P<b>[\d,]+)\]",
        why="a weight has shape [{b}] in the file and [{a}] in the model that TensorFlow.js made of its config",
        remedy="Convert it again with a converter of the same age; a GRU of TensorFlow 2 wants `reset_after` there too.",
        weigh=lambda look: _of_gru(look),
        example="Error: Shape mismatch: [384] vs. [2,384]",
    ),
    Entry(
        "tfjs-no-manifest",
        "format-mismatch",
        ("contains neither model topology", "does not contain weightsmanifest"),
        r"(?:from|at) ?(?:HTTP )?(?:path )?(?P<path>\S+) contains neither model topology|contains neither model topology"
        r"|does not contain weightsManifest",
        why="`{path}` is some JSON, and none that TensorFlow.js wrote of a model (`modelTopology`, `weightsManifest`)",
        remedy="Give the `model.json` of `tensorflowjs_converter` (what Keras' `to_json()` gives is another thing), with "
        "its shards.",
        weigh=ranked(("format-mismatch", 0.88), ("not-found", 0.56), ("version-mismatch", 0.4)),
        example="Error: The JSON from HTTP path ./model.json contains neither model topology or manifest for weights.",
    ),
    Entry(
        "tfjs-request-failed",
        "not-found",
        ("failed with status code", "failed to parse model json"),
        r"Request to (?P<path>\S{1,200}) failed with status code (?P<code>\d+)"
        r"|Failed to parse model JSON of response from (?P<path2>\S+)",
        why="{path} was not served (status {code}), or another page came in its place",
        remedy="Serve model.json and its shards under that address; open it in a browser.",
        weigh=ranked(("not-found", 0.82), ("corrupt", 0.5), ("format-mismatch", 0.44)),
        example="Error: Request to http://host/model/model.json failed with status code 404. Please verify this URL",
    ),
)


def _of_gru(look: Look) -> list[Guess]:
    """A bias of two rows against one of one is a GRU's of another version; else another model."""
    version = {look.match["a"], "2," + look.match["a"]} == {look.match["a"], look.match["b"]}
    version = version or look.match["a"] == "2," + look.match["b"]
    return [
        look.entry.guess(look, confidence=0.74 if version else 0.82),
        look.entry.guess(look, "version-mismatch", confidence=0.8 if version else 0.5),
        look.entry.guess(look, "missing-tensor", confidence=0.36),
    ]
