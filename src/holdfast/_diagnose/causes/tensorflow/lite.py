"""TensorFlow Lite: files of the interpreter, and models that its converter and interpreter do not take.

Messages: tensorflow/lite/{core/model_builder,allocation,mmap_allocation}.cc,
tensorflow/lite/core/{subgraph,interpreter}.cc, tensorflow/compiler/mlir/lite/*.cc.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked

ENTRIES = (
    Entry(
        "lite-not-a-model",
        "corrupt",
        (
            "is not a valid flatbuffer",
            "must have at least 7 bytes to hold identifier",
            "not a valid tflite",
            "does not encode a valid tensorflow lite model",
            "not a valid tensorflow lite model",
        ),
        "",
        why="the file is no TensorFlow Lite model: a web page or Git-LFS pointer in its place, cut off, text, or "
        "of another format",
        remedy="`holdfast FILE` says what it is; copy it in binary mode (no compression in an app's assets: "
        "`aaptOptions "
        '{{ noCompress "tflite" }}`), or convert again.',
        weigh=ranked(("corrupt", 0.82), ("format-mismatch", 0.78), ("incomplete-save", 0.5)),
        test="whole",
        example="ValueError: The model is not a valid Flatbuffer buffer",
    ),
    Entry(
        "lite-no-file",
        "not-found",
        (".tflite",),
        r"(?:Could not open|mmap of) '(?P<path>[^']+\.tflite)'|(?:Could not|Failed to|Unable to|Cannot) (?:open"
        r"|load|find|read)"
        r" (?:(?:the )?model (?:file |from |at )?)?['\"]?(?P<path2>[^\s'\"]+\.tflite)",
        why="there is no file `{path}` that this program can read",
        remedy="Check the path and the working folder.",
        weigh=ranked(("not-found", 0.86), ("storage", 0.5), ("corrupt", 0.4)),
        test="path",
        example="ValueError: Could not open 'detect.tflite'.",
    ),
    Entry(
        "lite-operation",
        "custom-object",
        (
            "regular tensorflow ops are not supported by this interpreter",
            "not supported by this interpreter",
            "not supported by the standard tensorflow lite runtime",
            "not natively supported by tensorflow lite",
            "ops that need custom implementation",
            "ops that can be supported by the flex",
        ),
        r"(?:Regular TensorFlow ops are|Select TensorFlow op\(s\).{0,60}?is\(are\)) not supported by"
        r" this interpreter|not supported by the standard TensorFlow Lite runtime"
        r"|not natively supported by TensorFlow Lite"
        r"|ops that need custom implementation|ops that can be supported by the flex",
        why="the saved model has operations that the standard runtime of TensorFlow Lite does not hold",
        remedy="Convert with `target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, "
        "tf.lite.OpsSet.SELECT_TF_OPS]` and run with "
        "the Flex delegate (the whole `tensorflow` package has it); for own operations `allow_custom_ops` and "
        "their registration.",
        weigh=ranked(("custom-object", 0.84), ("version-mismatch", 0.66), ("unserialisable", 0.6)),
        example="RuntimeError: Regular TensorFlow ops are not supported by this interpreter. Make sure you apply/link the "
        "Flex delegate before inference.",
    ),
)
