"""Keras: endings, archives, SavedModels: a file of one kind given to the reader of another."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look


def ending(look: Look) -> list[Guess]:
    """The ending that the call wants; a file that is no zip archive is not there, or damaged."""
    if "accessible" not in look.match[0]:
        path, want = look.match["path"], look.match["want"]
        if "save_weights" not in look.reading.calls or not path or not want:
            return [look.entry.guess(look)]
        name = path.removesuffix(".keras").removesuffix(".h5").removesuffix(".ckpt") + want
        return [
            look.entry.guess(
                look,
                why=f"nothing was saved: since Keras 3 the name that save_weights is given must end in {want}",
                remedy=f'model.save_weights("{name}"). A val_loss evaluated after the last update is then that of the weights in '
                "the file; the loss of a training step is that of the weights before its update, and is not.",
            )
        ]
    absent = look.entry.guess(
        look, "not-found", confidence=0.75,
        why="no `.keras` file lies under that path, or it is no zip archive",
        remedy="Check the path; `holdfast PATH` says what lies there.",
    )  # fmt: skip
    return [
        absent,
        look.entry.guess(look, "corrupt", confidence=0.55),
        look.entry.guess(look, confidence=0.5),
    ]


_HALF_A_MODULE = (
    "TensorFlow Hub's cache holds the module's folder but not what is in it: a download was interrupted, or a cleaner of "
    "temporary files took the files and left the folders"
)
_EMPTY_CACHE = (
    "Delete that folder, so that it is downloaded again, and set `TFHUB_CACHE_DIR` to a place that is kept."
)


def folder_or_checkpoint(look: Look) -> list[Guess]:
    """A converter that is told by name that its input is a SavedModel: what lies there mostly is another kind of export."""
    plain = look.entry.guess(look)
    if "tfhub_modules" in look.facts().get("path", ""):
        return [
            look.entry.guess(
                look, "incomplete-save", confidence=0.93, why=_HALF_A_MODULE, remedy=_EMPTY_CACHE
            ),
            plain,
        ]
    if (
        re.search(r"--saved_model_dir|--input_format[= ]\S*saved_model|from_saved_model", look.reading.flat)
        is None
    ):
        return [plain]
    why = "the converter was told that this is a SavedModel, and the folder holds another kind of export or checkpoint"
    remedy = "Export a SavedModel from the checkpoint first (`tf.saved_model.save`, the model's export script), and convert that."
    return [look.entry.guess(look, "format-mismatch", confidence=0.93, why=why, remedy=remedy), plain]


def hub_or_own(look: Look) -> list[Guess]:
    """A folder of TensorFlow Hub's cache was emptied; any other may hold another kind of model."""
    half = look.entry.guess(look)
    if look.facts().get("path") or "tfhub" in look.reading.lower or "tf-hub" in look.reading.lower:
        return [half]
    why = "the folder holds no SavedModel: neither `saved_model.pb` nor `saved_model.pbtxt`"
    remedy = "`holdfast FOLDER` says what lies there; give the folder that holds saved_model.pb."
    return [
        look.entry.guess(look, "format-mismatch", confidence=0.72, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "keras-3-formats",
        "version-mismatch",
        ("file format not supported", "only supports v3", "keras 3 only supports"),
        r"File format not supported: ?(?:filepath=)?(?P<path>\S+)?|Keras 3 only supports V3 `?\.keras`? files",
        why="Keras 3 reads `.keras` and legacy `.h5` only; a SavedModel (or TF-format weights) was given",
        remedy=(
            "`keras.layers.TFSMLayer(path, call_endpoint='serving_default')` for inference, or load it with "
            "`tf_keras` (Keras 2) and save as `.keras`."
        ),
        also=("format-mismatch", "not-found"),
        weight=0.92,
        test="whole",
        example=(
            "ValueError: File format not supported: filepath=model. Keras 3 only supports V3 `.keras` files and "
            "legacy H5 format files"
        ),
    ),
    Entry(
        "keras-3-suffix",
        "format-mismatch",
        (
            "must end in",
            "invalid filepath extension",
            "accessible `.keras` zip",
            "ensure the file is an accessible",
        ),
        r"(?:filename|filepath)(?: provided)? must end in `?(?P<want>[\w.]+)`?\.? ?(?:Received: filepath=(?P<path>\S+))?"
        r"|Invalid filepath extension for saving|ensure the file is an accessible `?\.keras`? zip file",
        why="Keras 3 decides by the ending of the name, and this one is not what the call wants ({want})",
        remedy="save_weights: `name.weights.h5`; whole models: `name.keras`.",
        also=("version-mismatch", "not-found"),
        weight=0.9,
        test="path",
        weigh=ending,
        example="ValueError: The filename must end in `.weights.h5`. Received: filepath=/tmp/model.keras",
    ),
    Entry(
        "keras-config-missing",
        "format-mismatch",
        (
            "no model config found",
            "no model found in config",
            "cannot create group in read",
            "no model found in",
            "argument of type 'nonetype' is not iterable",
        ),
        r"No model (?:config )?found in (?:config )?(?:the )?(?:file|config)"
        r"|Cannot create group in read-only mode|argument of type 'NoneType' is not iterable.{0,60}model_config",
        why="the file holds weights only, no architecture",
        remedy="Build the model in code, then `load_weights(file)`.",
        also=("incomplete-save", "version-mismatch"),
        weight=0.88,
        test="names",
        example="ValueError: No model config found in the file at <tensorflow.python...>",
    ),
    Entry(
        "savedmodel-missing",
        "not-found",
        ("savedmodel file does not exist",),
        r"SavedModel file does not exist at: ?(?P<path>\S+)",
        weigh=folder_or_checkpoint,
        why="no SavedModel lies at {path}",
        remedy="Give the folder that holds saved_model.pb; a `.h5` or `.keras` file is loaded by its full name.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.9,
        test="path",
        example="OSError: SavedModel file does not exist at: model/{saved_model.pbtxt|saved_model.pb}",
    ),
    Entry(
        "hub-module-emptied",
        "incomplete-save",
        ("incompatible/unknown type",),
        r"model of incompatible/unknown type\.? ?'?(?P<path>\S*tfhub_modules[^\s']*|)'?(?: contains neither)?",
        why=_HALF_A_MODULE,
        remedy=_EMPTY_CACHE,
        weigh=hub_or_own,
        also=("not-found", "format-mismatch"),
        weight=0.9,
        example=(
            "ValueError: Trying to load a model of incompatible/unknown type. '/tmp/tfhub_modules/1a2b' contains neither "
            "'saved_model.pb' nor 'saved_model.pbtxt'."
        ),
    ),
    Entry(
        "savedmodel-tags",
        "format-mismatch",
        ("metagraphdef associated with tag", "meta graph def matching supplied tags"),
        r"MetaGraphDef associated with tag(?:s|-set) (?P<tags>.{1,60}?) could not be found"
        r"|Could not find meta graph def matching supplied tags: (?P<tags2>\{[^}]*\})",
        why="the SavedModel has no graph for the tags {tags}",
        remedy="`saved_model_cli show --dir DIR` lists them.",
        weight=0.9,
        also=("version-mismatch",),
        example="RuntimeError: MetaGraphDef associated with tags 'serve' could not be found in SavedModel",
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
)
