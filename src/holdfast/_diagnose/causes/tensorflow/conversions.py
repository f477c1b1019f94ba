"""TensorFlow: saved models as converters read them, parts of functions that are gone, names that moved.

Messages: tensorflow/lite/python/{lite,convert_saved_model}.py, tensorflow/python/framework/{convert_to_constants,func_graph}.py,
tf2onnx/{convert,tf_loader}.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone

_OF_SAVING = re.compile(
    r"sav(?:e|er|ing)|load|check_?point|ckpt|serial|restor|hdf5|h5|weights|pickle|models?\b|optimizer|layer",
    re.IGNORECASE,
)


def moved(look: Look) -> list[Guess]:
    """Names of what saves, loads and is saved."""
    facts = look.facts()
    name = facts.get("name", "") + " " + facts.get("module", "")
    return [look.entry.guess(look)] if _OF_SAVING.search(name) else []


def converted(look: Look) -> list[Guess]:
    """A SavedModel that has not the functions the converter asks for; or ones of a version that it does not know."""
    entry, of = look.entry, look.reading.lower
    if "signature" in of or "concretefunction" in of:
        labels = (("format-mismatch", 0.74), ("version-mismatch", 0.66), ("unserialisable", 0.5))
    else:
        labels = (("version-mismatch", 0.72), ("format-mismatch", 0.7), ("graph-lifecycle", 0.5))
    return [entry.guess(look, label, confidence=confidence) for label, confidence in labels]


ENTRIES = (
    Entry(
        "convert-saved-model",
        "version-mismatch",
        (
            "cannot find the placeholder op that is an input",
            "this converter can only convert a single concretefunction",
            "only support at least one signature key",
            "only support a single signature key",
            "only supports a single signature key",
            "invalid signature key",
            "no savedmodel bundle found",
            "only support savedmodel with",
            "multiple graphs are not supported",
            "input tensors provided don't match",
            "could not get attributes for",
        ),
        "",
        why="the converter does not read this SavedModel: it has no signature (or several), or was written by a "
        "version that this "
        "one does not know",
        remedy="Save with `signatures=model.call.get_concrete_function(...)` in the converter's version; name the "
        "signature "
        "(`signature_keys=['serving_default']`).",
        where=storing_or_alone,
        weigh=converted,
        example="ValueError: Cannot find the Placeholder op that is an input to the ReadVariableOp.",
    ),
    Entry(
        "tf-tensor-of-another-function",
        "graph-lifecycle",
        (
            "is out of scope and cannot be used here",
            "cannot be accessed",
            "defined in another function or code block",
            "cannot capture a ",
            "attempting to capture an eagertensor",
            "tf_graphcopyfunction cannot be null",
            "can't convert operation",
            "_check_not_finalized",
            "is not found",
        ),
        r"is out of scope and cannot be used here|cannot be accessed (?:from )?here\b"
        r"|defined in another function or code block"
        r"|Attempting to capture an EagerTensor without building a function"
        r"|cannot capture a (?:placeholder|symbolic|stateful)|TF_GraphCopyFunction cannot be null"
        r"|Can't convert Operation '|_check_not_finalized|[\w/]+:\d+'? is not found(?! in)",
        why="a tensor or variable of one traced function (or graph) is used in another: what is saved or restored was "
        "made inside "
        "of a traced call",
        remedy="Make variables in `__init__` or `build`, not in a traced call; restore outside of `tf.function`.",
        where=storing_or_alone,
        also=("version-mismatch", "lazy-build"),
        weight=0.8,
        example="trainer.restore(path)\nTypeError: <tf.Tensor 'step:0' shape=() dtype=resource> is out of scope and "
        "cannot be used here.",
    ),
    Entry(
        "tf-name-moved",
        "version-mismatch",
        ("cannot import name",),
        r"cannot import name '?(?P<name>\w+)'? from (?:partially initialized module )?'?(?P<module>(?:tensorflow"
        r"|tensorflow_\w+"
        r"|keras|tf_\w+|tfx?)(?:\.\w+)*)'?",
        why="`{module}` of this version has no `{name}`",
        remedy="Install the version that the code is for, or import it from where it is now.",
        where=storing_or_alone,
        weigh=moved,
        also=("custom-object",),
        weight=0.8,
        example="ImportError: cannot import name 'hdf5_format' from 'keras.saving'",
    ),
    Entry(
        "convert-array-shape",
        "shape-mismatch",
        ("pointer shape",),
        r"Pointer shape (?:torch\.Size\()?(?P<model>[\[(][\d, ]*[\])])\)? and array shape (?P<checkpoint>\([\d, ]*\)) "
        r"mismatched",
        why="the TensorFlow checkpoint has {checkpoint} where the model that it is converted to has {model}: the "
        "config is another "
        "model's, or names are mapped to the wrong weights",
        remedy="Use the config that belongs to the checkpoint (layers, hidden size, embedding size).",
        also=("format-mismatch", "version-mismatch"),
        weight=0.93,
        test="names",
        example="AssertionError: ('Pointer shape torch.Size([312]) and array shape (128,) mismatched', "
        "torch.Size([312]), (128,))",
    ),
    Entry(
        "model-garden-moved",
        "version-mismatch",
        ("restore_from_objects", "checkpoint version should be", "fine_tune_checkpoint_", "protos."),
        r"Checkpoint version should be V\d|restore_from_objects.{0,300}?has no attribute"
        r'|[Mm]essage type "[\w.]*protos\.\w+" has no field named',
        why="the pipeline's config or checkpoint is for another version of the model library (Object Detection API) "
        "than this",
        remedy="Install the library of that version; `fine_tune_checkpoint_version: V2` with a TF 2 checkpoint.",
        also=("format-mismatch", "custom-object"),
        weight=0.84,
        example="    model_lib_v2.train_loop(\nValueError: Checkpoint version should be V2",
    ),
    Entry(
        "graph-model-as-layers",
        "format-mismatch",
        ('config format: {"node"', "config format: {'node'"),
        "",
        why="the file is of a graph model, and is loaded as one of layers",
        remedy="`tf.loadGraphModel` (tf.js), or convert to a layers model (`--output_format=tfjs_layers_model` from "
        "Keras).",
        also=("version-mismatch", "custom-object"),
        weight=0.97,
        example='ValueError: layer: Improper config format: {"node":[{"name":"shape","op":"Const"}]}',
    ),
    Entry(
        "sequential-config-form",
        "version-mismatch",
        ("called without an array of configs", "sequential.fromconfig called"),
        "",
        why="the config of the Sequential model is in a form (a list, or a dictionary) that the other version uses",
        remedy="Convert and load with versions of the same time.",
        also=("format-mismatch", "corrupt"),
        weight=0.88,
        example="Error: Sequential.fromConfig called without an array of configs",
    ),
    Entry(
        "tfjs-values-for-shape",
        "incomplete-save",
        ("should match the length of values",),
        "",
        why="the file of weights holds fewer (or more) values than the shape in the model's description asks for",
        remedy="Convert again with the same version of converter and library; see that every weight file arrives whole.",
        weigh=ranked(("incomplete-save", 0.66), ("corrupt", 0.62), ("shape-mismatch", 0.55)),
        example="Error: Constructing tensor of shape (32) should match the length of values (12)",
    ),
)
