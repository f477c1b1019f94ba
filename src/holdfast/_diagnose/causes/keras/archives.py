"""Keras 3: `.keras` archives and `.weights.h5` files; the models that are kept in them.

Messages: keras/src/saving/{saving_api,saving_lib,serialization_lib,file_editor}.py, keras/src/legacy/saving/*.py,
keras/src/models/{functional,sequential}.py.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone

_VERSION = "Load with the version that saved (`holdfast FILE` names it), or build the model in code and load the weights alone."

ENTRIES = (
    Entry(
        "keras-archive-kind",
        "format-mismatch",
        (
            "expected a `.",
            "only supports loading",
            "invalid keyword arguments: {",
            "invalid h5 file, expected",
            "when using `zipped=false`",
            "unexpected type",
            "formatted weights (got",
        ),
        r"(?:Invalid (?:`?filepath`? argument|filename): )?expected a `\.(?P<want>keras|weights\.h5)`"
        r"|`(?P<option>by_name|objects_to_skip)` only supports loading"
        r"|Invalid keyword arguments: \{'(?P<option2>by_name|skip_mismatch)"
        r"|Invalid H5 file, expected|When using `zipped=False`|unexpected type .{1,60} for `?filepath`?"
        r"|when loading TensorFlow-formatted weights \(got",
        why="this call does not read (or write) files of that kind ({want})",
        remedy="Whole models: `name.keras`; weights: `name.weights.h5`; `by_name=True` reads legacy `.h5` alone.",
        weigh=ranked(("format-mismatch", 0.9), ("version-mismatch", 0.6), ("not-found", 0.36)),
        example="ValueError: Invalid `filepath` argument: expected a `.weights.h5` extension. Received: filepath=run",
    ),
    Entry(
        "keras-archive-without-config",
        "format-mismatch",
        ("does not contain model configuration", "may have been saved with save_weights_only"),
        "",
        why="the checkpoint holds weights only, no architecture",
        remedy="Build the model in code, then `load_weights`.",
        weigh=ranked(("format-mismatch", 0.9), ("incomplete-save", 0.46), ("version-mismatch", 0.4)),
        example="ValueError: Checkpoint does not contain model configuration. This checkpoint may have been saved with "
        "save_weights_only=True.",
    ),
    Entry(
        "keras-archive-refused",
        "unsafe-pickle",
        (
            "decompression bomb",
            "shape bomb",
            "escapes the asset directory",
            "invalid path in h5 file",
            "invalid asset path",
            "not allowed: h5 file",
            "not allowed: h5 dataset",
            "malformed hdf5 dataset shape",
            "disallowed during deserialization",
            "is not a kerassaveable subclass",
            "requested the deserialization of a",
            "because it is not a modeling function",
        ),
        "",
        why=(
            "Keras refuses what the file asks for: names of functions that are no layers, links out of the file, "
            "or sizes that its "
            "bytes cannot hold"
        ),
        remedy="Take the file from a source that you trust; a damaged one from its source again. Register classes of your own.",
        weigh=ranked(("unsafe-pickle", 0.74), ("custom-object", 0.62), ("corrupt", 0.56)),
        example=(
            "ValueError: Cannot deserialize `os.system` because it is not a modeling function. Non-modeling APIs "
            "are disallowed "
            "during deserialization for security."
        ),
    ),
    Entry(
        "keras-shards",
        "incomplete-save",
        ("not found in any of the shards", "exceeds the maximum shard size"),
        r"Key '(?P<key>[^']+)' not found in any of the shards|exceeds the maximum shard size",
        why="the shards that are there do not hold `{key}`",
        remedy="Put all shards of one save beside their index (`holdfast FOLDER` names what is missing).",
        weigh=ranked(("incomplete-save", 0.76), ("missing-tensor", 0.7), ("renamed", 0.5)),
        example="KeyError: \"Key 'layers/dense' not found in any of the shards: ['a.weights.h5']\"",
    ),
    Entry(
        "keras-nested-skipped",
        "version-mismatch",
        ("skipping nested container", "no matching group found in the saved file"),
        "",
        why="the version that saved did not write layers that stand in lists or dictionaries; they keep their first values",
        remedy="Save again with the newer version, from a model whose weights were set in code.",
        weigh=ranked(("version-mismatch", 0.8), ("missing-tensor", 0.76), ("metrics", 0.4)),
        example="UserWarning: Skipping nested container at 'layers': no matching group found in the saved file.",
    ),
    Entry(
        "keras-model-graph",
        "version-mismatch",
        (
            "cannot deserialize the model",
            "invalid functional model configuration",
            "layer node index out of bounds",
            "unexpected object from deserialization",
            "could not compute output",
            "a sequential model configuration must be",
            "has already been configured to use input shape",
            "cannot be built because it has no layers",
            "infer the shape of the lambda's output",
            "has no defined input shape yet",
        ),
        r"Cannot deserialize the model|Invalid Functional model configuration|Layer node index out of bounds"
        r"|Unexpected object from deserialization|Could not compute output (?:Keras)?Tensor"
        r"|A Sequential model configuration must be"
        r"|has already been configured to use input shape|cannot be built because it has no layers"
        r"|infer the shape of the Lambda's output|has no defined input shape yet",
        why="the saved config of the model is of another generation of Keras than makes it anew",
        remedy=_VERSION,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.54), ("lazy-build", 0.4)),
        example=(
            "ValueError: Sequential model 'net' has already been configured to use input shape (None, 7). You "
            "cannot build it "
            "with input_shape [None, 7]"
        ),
    ),
    Entry(
        "keras-savedmodel-class",
        "custom-object",
        (
            "unable to restore a layer of class",
            "unable to restore custom object of type",
            "call function was not serialized",
            "could not be initialized",
            "could not find attribute",
        ),
        r"Unable to restore a layer of class (?P<name>\w+)|Unable to restore custom object of type"
        r"|call function was not serialized|following models could not be initialized"
        r"|Error when loading .{1,60}: could not find attribute",
        why=(
            "the SavedModel was read as a Keras model, and a class of it (`{name}`) is not known here or was not "
            "traced when saved"
        ),
        remedy="Pass custom_objects (or register the class) and give it a `get_config`; `tf.saved_model.load` runs it without.",
        weigh=ranked(("custom-object", 0.84), ("version-mismatch", 0.6), ("unserialisable", 0.56)),
        example=(
            "RuntimeError: Unable to restore a layer of class Gate. Layers of class Gate require that the class "
            "be provided to the "
            "model loading code"
        ),
    ),
    Entry(
        "keras-3-arguments",
        "version-mismatch",
        (
            "not supported in keras 3",
            "add_weight() got multiple values",
            "to a shape.",
            "may be passed as positional arguments",
            "unable to decode config",
        ),
        r"(?:keyword )?arguments are not supported in Keras 3|add_weight\(\) got multiple values for (?:keyword )?argument"
        r"|Cannot convert '.{1,40}?' to a shape\.|Only input tensors may be passed as positional arguments"
        r"|Unable to decode config",
        why="code or config of Keras 2 is run by Keras 3, whose layers take other arguments",
        remedy=_VERSION + " TF_USE_LEGACY_KERAS=1 with `tf_keras` keeps Keras 2.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.82), ("custom-object", 0.5), ("format-mismatch", 0.4)),
        example="TypeError: Layer.add_weight() got multiple values for argument 'shape'",
    ),
    Entry(
        "keras-string-not-callable",
        "version-mismatch",
        ("is not callable", "unknown opcode", "lineno: "),
        r"'(?:str|unicode|NoneType)' object is not callable|\bunicode is not callable|unknown opcode"
        r"|XXX lineno: \d+, opcode: \d+",
        why="a function of the file (a Lambda's) is there by name or as byte code of another Python, and was not made anew",
        remedy="Pass it in custom_objects; load with the Python that saved; better replace the Lambda by a registered layer.",
        context=("lambda", "load_model", "keras", "opcode"),
        only_in=True,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.76), ("format-mismatch", 0.44)),
        example="model = load_model('m')\nTypeError: 'str' object is not callable",
    ),
    Entry(
        "keras-legacy-warning",
        "format-mismatch",
        ("saving your model as an hdf5 file", "has not been compiled"),
        r"You are saving your model as an HDF5 file via",
        why="a warning only: the file was saved, in the legacy format",
        remedy="Nothing is lost; `model.save('name.keras')` writes the present format.",
        weigh=ranked(("version-mismatch", 0.46), ("format-mismatch", 0.45)),
        example=(
            "UserWarning: You are saving your model as an HDF5 file via `model.save()`. This file format is "
            "considered legacy."
        ),
    ),
    Entry(
        "keras-gru-layout",
        "version-mismatch",
        ("is not compatible with",),
        r"(?P<a>(?:CuDNN)?(?:GRU|LSTM)(?:\(reset_after=\w+\))?) is not compatible with (?P<b>(?:CuDNN)?(?:GRU"
        r"|LSTM)(?:\(reset_after=\w+\))?)",
        why="the file's {a} keeps its weights in another layout than the model's {b}",
        remedy="Build the layer as it was saved (`reset_after=`), or take the CuDNN class where it was saved with it.",
        weigh=ranked(("version-mismatch", 0.8), ("shape-mismatch", 0.6), ("device-mismatch", 0.5)),
        example="ValueError: GRU(reset_after=False) is not compatible with GRU(reset_after=True)",
    ),
    Entry(
        "keras-cudnn-only",
        "device-mismatch",
        ("cudnnrnn",),
        r"(?:No OpKernel was registered|device='GPU').{0,400}CudnnRNN"
        r"|CudnnRNN.{0,400}(?:no registered kernels|Registered (?:devices|kernels))",
        why="the model was saved with layers that run on an NVIDIA GPU only (CuDNNLSTM, CuDNNGRU), and there is none here",
        remedy="Build it with LSTM or GRU (`reset_after=True`, `recurrent_activation='sigmoid'`), and load the weights.",
        weigh=ranked(("device-mismatch", 0.9), ("version-mismatch", 0.46), ("custom-object", 0.3)),
        example="InvalidArgumentError: No OpKernel was registered to support Op 'CudnnRNN' used by node lstm/CudnnRNN",
    ),
)
