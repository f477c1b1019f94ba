"""Weights of other tools brought into Keras, and Keras models into others: darknet, Core ML, JSON, byte code of functions.

Messages: readers of darknet's `.weights` (keras-yolo3, yolov3-tf2), coremltools/converters/keras,
keras/utils/generic_utils.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone


def text_codec(look: Look) -> list[Guess]:
    """Byte code of a function, written or read as text."""
    if (
        "func_dump" in look.reading.text
        or "marshal.dumps" in look.reading.text
        or "get_config" in look.reading.text
    ):
        why = "the byte code of a function (a Lambda's) cannot be written as text here"
        return [
            look.entry.guess(look, "unserialisable", confidence=0.84, why=why),
            look.entry.guess(look, confidence=0.66),
            look.entry.guess(look, "custom-object", confidence=0.5),
        ]
    return [
        look.entry.guess(look, confidence=0.97),
        look.entry.guess(look, "custom-object", confidence=0.66),
        look.entry.guess(look, "unsafe-pickle", confidence=0.42),
    ]


ENTRIES = (
    Entry(
        "darknet-reshape",
        "shape-mismatch",
        ("cannot reshape array of size",),
        r"cannot reshape array of size (?P<got>\d+) into shape \((?P<want>\d+, ?\d+, ?\d+, ?\d+)\)",
        why="the weights' file ends (or is offset) where a kernel of shape ({want}) should stand: {got} numbers are left",
        remedy="Use the .cfg (and the class count) that the .weights were trained with; an older header is 4 bytes shorter.",
        where=loading_or_alone,
        weigh=ranked(("shape-mismatch", 0.7), ("format-mismatch", 0.64), ("corrupt", 0.56)),
        example="ValueError: cannot reshape array of size 127700 into shape (425,1024,1,1)",
    ),
    Entry(
        "darknet-length",
        "shape-mismatch",
        (
            "buffer is too small for requested array",
            "failed to read all data",
            "buffer is smaller than requested size",
        ),
        r"buffer is too small for requested array|failed to read all data|buffer is smaller than requested size",
        why="the weights' file is shorter or longer than the model of the .cfg wants: they are not of one training",
        remedy=(
            "Use the .cfg (and the class count) that the .weights were trained with; then look at the file's "
            "size at its source."
        ),
        weigh=lambda look: _length(look),
        example="TypeError: buffer is too small for requested array",
    ),
    Entry(
        "must-be-file-of-kind",
        "format-mismatch",
        ("must be", "should be"),
        r"(?:model|weights?|checkpoint|file)\w*\b.{0,60}?(?:must|should) be (?:an? )?`?\.?(?P<want>h5|hdf5"
        r"|keras|pb|pth?|ckpt|weights|json"
        r"|tflite|onnx|pkl)\b`?",
        why="this program takes files of the kind `.{want}` only",
        remedy="Give it such a file by its full name, or convert: `holdfast FILE` says what there is.",
        where=storing_or_alone,
        weigh=ranked(("format-mismatch", 0.78), ("not-found", 0.5), ("version-mismatch", 0.4)),
        example="AssertionError: Keras model or weights must be a .h5 file.",
    ),
    Entry(
        "keras-json-text",
        "format-mismatch",
        ("expecting value: line 1 column 1", "unknown layer:{", 'unknown layer: {"'),
        r"(?:model_from_json|to_json|architecture).{0,900}?Expecting value: line 1 column 1"
        r"|Expecting value: line 1 column 1.{0,900}?(?:model_from_json|model_config)|Unknown layer: ?\{\"",
        why=(
            "`model_from_json` was given something else than the text of a model's JSON (a path, a text within a "
            "text, an empty file)"
        ),
        remedy="`model_from_json(open(path).read())`, of a file that `model.to_json()` wrote.",
        weigh=ranked(("format-mismatch", 0.97), ("not-found", 0.7), ("corrupt", 0.5)),
        example='ValueError: Unknown layer:{"class_name": "Model", "config": {}}',
    ),
    Entry(
        "keras-function-text",
        "version-mismatch",
        ("codec can't encode", "codec can't decode"),
        r"codec can't (?:en|de)code (?:character|bytes?)",
        why="a function (a Lambda's) stands in the file as byte code of another Python, in the way of another version of Keras",
        remedy="Load it with the Python and the Keras that saved, or build the model in code and load the weights.",
        context=(
            "func_load",
            "func_dump",
            "model_from_json",
            "marshal",
            "deserialize_keras_object",
            "model_from_config",
        ),
        only_in=True,
        weigh=text_codec,
        example="  in func_load\nUnicodeEncodeError: 'ascii' codec can't encode character '\\x83' in position 37",
    ),
    Entry(
        "coreml-layer",
        "version-mismatch",
        ("keras layer",),
        r"Keras layer (?:of type )?'?<class '(?P<name>[\w.]+)'>'? (?:is )?not supported",
        why="the converter is made for another Keras than the model (`{name}`)",
        remedy="Give it the model of the Keras it knows (`ct.convert` takes tf.keras), in the versions of its notes.",
        weigh=ranked(("version-mismatch", 0.76), ("format-mismatch", 0.58), ("custom-object", 0.5)),
        example="ValueError: Keras layer '<class 'tensorflow.python.keras.layers.core.Dense'>' not supported.",
    ),
    Entry(
        "keras-2-api-warning",
        "version-mismatch",
        ("call to the keras 2 api",),
        r"Update your `(?P<name>\w+)` call to the Keras 2 API",
        why="the config of `{name}` was written by Keras 1, and is read by Keras 2",
        remedy="Load it with Keras 1.2 and save again, or build the model in code and load the weights.",
        weigh=ranked(("version-mismatch", 0.6), ("custom-object", 0.4)),
        example="UserWarning: Update your `Dense` call to the Keras 2 API: `Dense(units=3)`",
    ),
    Entry(
        "keras-indexing-of-file",
        "version-mismatch",
        ("indexing elements must be in increasing order", "invalid bias shape", "not a location"),
        r"Indexing elements must be in increasing order|Invalid bias shape: \([\d, ]*\)|Not a location \(invalid object id\)",
        why=(
            "weights are converted straight in the HDF5 file, which this version of Keras (or h5py) does not do, "
            "or of a closed file"
        ),
        remedy="Read them into arrays first; load with the versions that saved.",
        weigh=lambda look: _in_file(look),
        example="TypeError: Indexing elements must be in increasing order",
    ),
    Entry(
        "keras-layer-not-in-file",
        "missing-tensor",
        ("was not found in the weights file", "optimizer state", "error loading file from"),
        r"[Ll]ayer (?P<name>\S+) was not found in the weights file|impossible to restore the saved optimizer state"
        r"|Error loading file from (?P<path>\S+)\. Reason: ",
        why="a part of the model found nothing in the file, and keeps its first values",
        remedy="`holdfast check FILE module:factory` lists what is on both sides.",
        weigh=lambda look: _left_out(look),
        example="WARNING:tensorflow:Layer head was not found in the weights file, skipping",
    ),
    Entry(
        "keras-layer-name-changed",
        "renamed",
        ("mismatch in layer name", "assert layer_name in created_layers", "assert layer_name in"),
        r"mismatch in layer names?|assert layer_name in created_layers",
        why="layers have other names in the file than in the model (a layer was renamed after it was made)",
        remedy="Name layers when they are made; load by position, or rename the groups of the file.",
        weigh=ranked(("renamed", 0.76), ("missing-tensor", 0.5), ("version-mismatch", 0.48)),
        example=(
            '  File "keras/engine/network.py", line 9, in from_config\n    assert layer_name in '
            "created_layers\nAssertionError"
        ),
    ),
    Entry(
        "keras-without-arguments",
        "unserialisable",
        ("required positional argument", "required keyword-only argument"),
        r"__init__\(\) missing (?P<count>\d+) required (?:positional|keyword-only) arguments?: (?P<names>'.{1,120})",
        why="a class is made anew without {names}: its saved config lacks them",
        remedy="Return every argument of `__init__` from `get_config`, and save again.",
        where=loading_or_alone,
        weigh=lambda look: _made_anew(look),
        example="    return cls(**config)\nTypeError: __init__() missing 1 required positional argument: 'units'",
    ),
)


def _length(look: Look) -> list[Guess]:
    """Numbers left over, or missing."""
    if "failed to read all" in look.match[0]:
        rows = (("unexpected-tensor", 0.66), ("format-mismatch", 0.64), ("shape-mismatch", 0.6))
    else:
        rows = (("shape-mismatch", 0.66), ("corrupt", 0.64), ("format-mismatch", 0.58))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def _made_anew(look: Look) -> list[Guess]:
    """From a config; or where nothing else stands."""
    sure = 0.8 if "**config" in look.reading.text or "keras" in look.reading.lower else 0.6
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "custom-object", confidence=sure - 0.04),
        look.entry.guess(look, "version-mismatch", confidence=sure - 0.12),
    ]


def _in_file(look: Look) -> list[Guess]:
    """A file that is closed, a bias of another kind of layer, or a conversion of another version."""
    said = look.match[0].lower()
    if "location" in said:
        rows = (("graph-lifecycle", 0.6), ("corrupt", 0.52), ("version-mismatch", 0.48))
    elif "bias" in said:
        rows = (("shape-mismatch", 0.7), ("version-mismatch", 0.68), ("format-mismatch", 0.4))
    else:
        rows = (("version-mismatch", 0.74), ("format-mismatch", 0.5), ("shape-mismatch", 0.46))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def _left_out(look: Look) -> list[Guess]:
    """A layer, the optimizer, or all of a callback's file."""
    said = look.match[0].lower()
    if "optimizer" in said:
        rows = (("optimizer-structure", 0.84), ("version-mismatch", 0.52), ("resume-state", 0.46))
    elif "reason" in said:
        rows = (("not-found", 0.6), ("corrupt", 0.58), ("format-mismatch", 0.5))
    else:
        rows = (("missing-tensor", 0.8), ("renamed", 0.66), ("version-mismatch", 0.44))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
