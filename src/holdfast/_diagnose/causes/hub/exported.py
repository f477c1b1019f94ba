"""Exported models and the runtimes that read them: ONNX, TensorRT, Core ML, MLflow.

Messages: onnxruntime/core/session, onnx/checker and external data, TensorRT's archive reader, mlflow/models.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, loading_or_alone


def by_the_kind(look: Look) -> list[Guess]:
    """A file that is not what its name says: an archive, or a model's."""
    if "archive" in look.reading.lower or "gzip" in look.match[0] or "opened" in look.match[0]:
        order = ("corrupt", "format-mismatch")
    else:
        order = ("format-mismatch", "corrupt")
    return [
        look.entry.guess(look, order[0], confidence=0.8),
        look.entry.guess(look, order[1], confidence=0.74),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


def of_a_number(look: Look) -> list[Guess]:
    """The number that stands where the version should: a version, or the first bytes of something else."""
    guess = look.entry.guess
    if len(look.facts().get("number", "")) > 4:
        return [
            guess(look, "corrupt", confidence=0.92),
            guess(look, "format-mismatch", confidence=0.88),
            guess(look, confidence=0.5),
        ]
    return [guess(look, confidence=0.92), guess(look, "format-mismatch", confidence=0.6)]


def by_the_words(look: Look) -> list[Guess]:
    """An older pipeline's folder; or a file whose name or kind the program does not know."""
    order = ("version-mismatch", 0.84), ("not-found", 0.76), ("format-mismatch", 0.7)
    if "content type" in look.match[0].lower():
        order = ("format-mismatch", 0.84), ("not-found", 0.74), ("corrupt", 0.6)
    elif "required key" in look.match[0].lower():
        order = ("version-mismatch", 0.8), ("format-mismatch", 0.76), ("missing-tensor", 0.6)
    return [look.entry.guess(look, label, confidence=sure) for label, sure in order]


ENTRIES = (
    Entry(
        "engine-version",
        "version-mismatch",
        (
            "is under development",
            "version tag does not match",
            "serialized engine version",
            "stdversionread",
            "max supported ir version",
            "is under development and support for this is limited",
            "unsupported model ir version",
            "not compatible with this version of tensorrt",
            "requires a newer version",
            "engine deserialization failed",
        ),
        r"Version tag does not match|Serialized Engine Version|stdVersionRead|max supported IR version"
        r"|Unsupported model IR version|opset \d+ is under development|is under development and support for this is limited"
        r"|not compatible with this version of TensorRT|engine deserialization failed",
        why="the model was exported with another version of the runtime than reads it",
        remedy="Build the engine (or export) again on this machine with the installed version.",
        also=("device-mismatch", "format-mismatch", "corrupt"),
        weight=0.9,
        example="Version tag does not match. Note: Current Version: 205, Serialized Engine Version: 213",
    ),
    Entry(
        "learner-code-absent",
        "custom-object",
        ("custom classes or functions exported with your",),
        "",
        why="the export holds a pickle of your own functions by name, and this program has none of them where it looks",
        remedy="Define (or import) them in `__main__` before loading, under the same names.",
        also=("version-mismatch",),
        weight=0.93,
        example="AttributeError: Custom classes or functions exported with your `Learner` not available in namespace currently.",
    ),
    Entry(
        "weights-for-a-learner",
        "format-mismatch",
        ("object has no attribute '",),
        r"'(?:dict|OrderedDict)' object has no attribute '(?P<key>dls|learn|get_preds|to_fp32|predict_proba|export|generate)'",
        why="the file holds a dictionary of tensors, and a whole model (a learner, an estimator) is wanted",
        remedy="Build the model and load the dictionary into it, or load the file that the export wrote.",
        where=loading_or_alone,
        also=("custom-object", "version-mismatch"),
        weight=0.82,
        test="entries",
        example="AttributeError: 'dict' object has no attribute 'dls'",
    ),
    Entry(
        "pipeline-config-unread",
        "version-mismatch",
        (
            "[e053]",
            "[e167]",
            "[e1005]",
            "could not read config.cfg",
            "unsupported content type",
            "in the dictionary",
        ),
        r"\[E(?:053|167|1005)\]|could not read config\.cfg|unsupported content type"
        r"|required key '\w+' is not found in the dictionary",
        why="the folder (or file) is laid out as another version of the program wrote it, or is not of its kind at all",
        remedy="Install the model made for this version, or the version that the model was made with.",
        where=loading_or_alone,
        weigh=by_the_words,
        example="OSError: [E053] Could not read config.cfg from pipeline-2.3.1/config.cfg",
    ),
    Entry(
        "runtime-file-not-opened",
        "not-found",
        ("could not open the file", "util::file_exists(path)", "cannot open file with model"),
        r"could not open the file:? ?[\"'](?P<path>[^\"']+)|util::file_exists\(path\)|cannot open file with model",
        why="the runtime finds no file of its own format there: not exported yet, exported under another name, or another task's",
        remedy="List the folder (`holdfast FOLDER`); export the model again and give the name that the export wrote.",
        where=loading_or_alone,
        weigh=ranked(("not-found", 0.8), ("format-mismatch", 0.68), ("incomplete-save", 0.6)),
        test="path",
        example='ir: Could not open the file: "m/model.xml"',
    ),
    Entry(
        "runtime-other-file",
        "format-mismatch",
        ("load model from ", "loading model from "),
        r"(?:failed to )?load(?:ing)? model from "
        r"(?P<path>\S{0,200}\.(?:bin|pth?|safetensors|h5|keras|ckpt|pb|tflite|engine|gguf))"
        r"\S* ?failed\.?:? ?Protobuf",
        why="the runtime reads its own format (ONNX), and `{path}` is another's",
        remedy="Export the model to that format first; `holdfast FILE` says what the file is.",
        weigh=ranked(("format-mismatch", 0.92), ("corrupt", 0.7), ("incomplete-save", 0.5)),
        test="whole",
        example="InvalidProtobuf: Load model from models/x.bin failed:Protobuf parsing failed.",
    ),
    Entry(
        "engine-magic",
        "format-mismatch",
        ("magic tag", "magictag", "magic_tag"),
        r"(?:Magic tag|Magictag|Magic_tag) (?:does not match|assertion|mismatch)|magicTagRead == \w+ failed",
        why="the file does not begin as an engine does: an ONNX file, a wrapped engine (another tool's), or another release's",
        remedy="`holdfast FILE` says what it is; build the engine again from the ONNX file with the installed version.",
        weigh=ranked(("format-mismatch", 0.94), ("version-mismatch", 0.92), ("corrupt", 0.6)),
        test="whole",
        example="Error Code 1: Serialization (Serialization assertion failed. Magic tag does not match)",
    ),
    Entry(
        "converter-got-other",
        "format-mismatch",
        (
            "received: <class",
            "got: <class",
            "got <class",
            "received <class",
            "but got: <class",
            "but received <class",
        ),
        r"(?:must (?:either )?be|expected|should be|requires|needs)\b.{0,160}?"
        r"(?:module|torchscript|scriptmodule|\.pth? file|(?:a|the|keras|pytorch) model)\b.{0,120}?"
        r"(?:received|got):? <class '(?P<kind>(?:collections\.)?(?:Ordered)?[dD]ict)'",
        why="the file holds a dictionary of tensors ({kind}), and a whole model is wanted",
        remedy="Build the model, `load_state_dict` the dictionary (its entry `state_dict` or `model`), and pass the model.",
        also=("unserialisable", "missing-tensor"),
        weight=0.9,
        test="entries",
        example="TypeError: expected a torch.nn.Module or a TorchScript model, got: <class 'collections.OrderedDict'>",
    ),
    Entry(
        "engine-device",
        "device-mismatch",
        (
            "generated on an incompatible device",
            "engine plan across different models of devices",
            "plan file is generated on",
        ),
        "",
        why="the engine was built on another kind of device",
        remedy="Build it on the device that runs it.",
        also=("version-mismatch",),
        weight=0.9,
        example="The engine plan file is generated on an incompatible device, expecting compute 7.5 got compute 8.6",
    ),
    Entry(
        "onnx-limits",
        "size-limit",
        (
            "larger than the 2gib limit",
            "exceeds maximum protobuf size",
            "2gib limit imposed by the protobuf",
            "larger than 2gib",
            "exceeded maximum protobuf size",
            "too large to be serialized",
        ),
        "",
        why="a protobuf message holds 2 GB at the most, and the model is larger",
        remedy="Export with external data (`save_as_external_data=True`, `use_external_data_format`).",
        also=("unserialisable",),
        weight=0.92,
        example="RuntimeError: The serialized model is larger than the 2GiB limit imposed by the protobuf library.",
    ),
    Entry(
        "onnx-external-data",
        "incomplete-save",
        (
            "doesn't exist or is not accessible",
            "external data",
            "external initializer",
            ".onnx_data",
            ".onnx.data",
        ),
        r"(?:missing|no such file|not found|cannot open)\b[^\n]{0,120}?(?:\.onnx_data|\.onnx\.data)\b"
        r"|Data of TensorProto.{0,200}?doesn't exist or is not accessible|external (?:data|initializer).{0,80}(?:not found"
        r"|missing|does not exist|No such)",
        why="the file names a second one with the tensors' bytes, and that is not beside it",
        remedy="Copy model.onnx and its data file together, under their own names.",
        weigh=ranked(("incomplete-save", 0.93), ("not-found", 0.88), ("corrupt", 0.5)),
        test="whole",
        example=(
            "Data of TensorProto ( tensor name: w) should be stored in m.onnx_data, but it doesn't exist or is not "
            "accessible."
        ),
    ),
    Entry(
        "converted-model-version",
        "version-mismatch",
        ("binary version v",),
        r"binary version v(?P<allowed>\d+).{0,80}?binary version v(?P<number>\d+)",
        why="the file's first bytes say version {number}, and this runtime reads up to {allowed}",
        remedy="Upgrade the runtime; a number in the millions is no version but text: fetch the file again (`git lfs pull`).",
        weigh=of_a_number,
        test="whole",
        example="Unsupported model: reads models with binary version v6 or below, but the model has binary version v1936876918",
    ),
    Entry(
        "converted-model-absent",
        "format-mismatch",
        ("unable to open file '",),
        r"Unable to open file '(?P<file>[\w.]+)' in model '(?P<path>[^']*)",
        why="`{path}` has no `{file}`: it is not a model converted for this runtime, or its download was broken off",
        remedy="Convert it with the runtime's converter, or take a converted one; else delete it and download it again.",
        weigh=ranked(("format-mismatch", 0.88), ("incomplete-save", 0.85), ("not-found", 0.8)),
        test="whole",
        example="RuntimeError: Unable to open file 'model.bin' in model 'models/whisper-large'",
    ),
    Entry(
        "converted-model-cut",
        "incomplete-save",
        ("is incomplete: failed to read",),
        r"File (?P<file>\S+) is incomplete: failed to read a \w+ of size (?P<size>\d+) at position (?P<at>\d+)",
        why="`{file}` ends before byte {at} + {size}: its download or copy was broken off",
        remedy="Delete it (and its entry in the cache), and download it again.",
        also=("corrupt", "storage"),
        weight=0.9,
        test="whole",
        example="RuntimeError: File model.bin is incomplete: failed to read a buffer of size 1048576 at position 2562",
    ),
    Entry(
        "runtime-version",
        "version-mismatch",
        (
            "generated by older",
            "generated by an older",
            "unsupported model binary version",
            "isn't supported yet",
            "is generated by an older",
            "generated by older xgboost",
            "serialisation_header_",
            "was saved with a newer version",
            "model format version",
            "unsupported model version",
        ),
        r"Unsupported model binary version|TypeError: (?P<kind>\w+) isn't supported yet|generated by (?:an )?older"
        r"|serialisation_header_"
        r"|model format version|was saved with a newer version",
        why="the model was written by another version of the library than reads it",
        remedy="Install the version that wrote it, or export the model again (JSON, not pickle).",
        also=("format-mismatch", "corrupt"),
        weight=0.87,
        example="RuntimeError: Unsupported model binary version. This executable supports models with binary version v6 or below",
    ),
    Entry(
        "runtime-not-loaded",
        "version-mismatch",
        (
            "failed to load model from file",
            "llama_load_model_from_file: failed",
            "llama_init_from_gpt_params: error",
            "error: unable to load model",
            "error loading model architecture",
            "failed to load model '",
        ),
        r"Failed to load model from file|llama_load_model_from_file: failed|error: unable to load model|failed to load "
        r"model '[^']+\.(?:gguf|bin)'",
        why="the runtime did not load the file, and did not say why: mostly a version that does not know it, or a file cut short",
        remedy="Run it with its log (`verbose=True`); upgrade the runtime; compare the file's size with the source.",
        weigh=ranked(
            ("version-mismatch", 0.62), ("corrupt", 0.6), ("not-found", 0.56), ("format-mismatch", 0.52)
        ),
        test="whole",
        example="ValueError: Failed to load model from file: models/x.gguf",
    ),
    Entry(
        "archive-of-another-kind",
        "corrupt",
        (
            "not a gzip file",
            "not a bzip2 file",
            "file could not be opened successfully",
            "invalid file magic",
            "has wrong file format",
        ),
        r"not a (?:gzip|bzip2) file|file could not be opened successfully|invalid file magic|has wrong file format",
        why="the file is not what its name says: a page or a pointer in its place, another packing, or another tool's format",
        remedy="`holdfast FILE` says what it is; get it again.",
        weigh=by_the_kind,
        test="whole",
        example="tarfile.ReadError: not a gzip file",
    ),
    Entry(
        "weights-not-downloaded",
        "not-found",
        ("http error", "http error 404", "http error 403", "404: not found", "status code 404"),
        r"HTTP Error 40[34]|404: Not Found|status code 404",
        why="the address of the weights leads nowhere (any more), or refuses this program",
        remedy="Get the file by hand from the project's page, and give its path.",
        where=loading,
        also=("storage", "corrupt"),
        weight=0.76,
        example="load pretrained weights: urllib.error.HTTPError: HTTP Error 404: Not Found",
    ),
    Entry(
        "quantised-config-absent",
        "incomplete-save",
        ("quantize_config.json", "quant_config.json"),
        r"(?:No such file|not found|Could not find|does not appear).{0,200}?quant(?:ize)?_config\.json",
        why="the folder has quantised weights without the file that says how they were quantised",
        remedy="Copy it from the source, or give the settings in code (bits, group size).",
        weigh=ranked(("incomplete-save", 0.84), ("not-found", 0.8), ("version-mismatch", 0.55)),
        test="whole",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'm/quantize_config.json'",
    ),
    Entry(
        "mlflow-folder",
        "not-found",
        ('could not find an "mlmodel"', "could not find an mlmodel", 'mlmodel" configuration file'),
        "",
        why="the folder is no MLflow model: another level of the run's artifacts, or the model was never logged",
        remedy="Give the folder that has the file `MLmodel` in it (`runs:/<run>/model`).",
        also=("format-mismatch", "incomplete-save"),
        weight=0.88,
        test="path",
        example='MlflowException: Could not find an "MLmodel" configuration file at "models/1"',
    ),
)
