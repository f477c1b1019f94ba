"""Programs built on TensorFlow 1 that speak for themselves when they load: tensorpack, slim, facenet, baselines, dnnlib, skflow.

Messages: tensorpack/tfutils/{sessinit,varmanip}.py, tf_slim/ops/variables.py, davidsandberg/facenet, openai/baselines
(common/tf_util.py), NVlabs/stylegan (dnnlib/tflib/network.py), tensorflow/contrib/learn.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone

_INSPECT = "`holdfast inspect PREFIX` lists what the checkpoint holds."


def none_in_the_list(look: Look) -> list[Guess]:
    """A list of checkpoints that is empty."""
    return [
        look.entry.guess(look),
        look.entry.guess(
            look, "incomplete-save", confidence=0.6, why="or the training ended before its first save"
        ),
        look.entry.guess(look, "retention", confidence=0.4),
    ]


def left_over(look: Look) -> list[Guess]:
    """Tensors that the graph does not have; where it lacks others too, or they lie below a tower of one GPU, they bear other
    names there."""
    flat = look.reading.flat
    said = (
        look.match[0].lower().startswith("in checkpoint")
    )  # words that speak of a missing checkpoint stand in it too
    plain = look.entry.guess(look, confidence=0.94 if said else 0.8)
    order = look.entry.guess(look, "optimizer-structure", confidence=0.46)
    both = re.search(
        r"in (?:the )?graph,? but not (?:found )?in (?:the )?(?:checkpoint|dict)|graph not found in", flat
    )
    if both is None and re.search(r"\btower_?\d+/", flat) is None:
        return [plain, look.entry.guess(look, "renamed", confidence=0.6), order]
    why = (
        "the same tensors most likely bear other names in the graph (a scope, a tower of one GPU, `-` and `_`): "
        "each side has some"
    )
    return [look.entry.guess(look, "renamed", confidence=0.96 if said else 0.88, why=why), plain, order]


ENTRIES = (
    Entry(
        "zoo-config-of-another-version",
        "version-mismatch",
        (" has no field named", "checkpoint version should be"),
        r"Message type \"(?!tensorflow\.)(?P<kind>[\w.]+)\" has no field named \"(?P<field>\w+)\""
        r"|Checkpoint version should be (?P<want>\w+)",
        why="the configuration ({kind} {field}) and the program that reads it are of different versions",
        remedy="Use the release of the program that wrote the configuration (and compile its `.proto` files anew), or "
        "its own sample.",
        weigh=ranked(("version-mismatch", 0.88), ("format-mismatch", 0.7), ("custom-object", 0.3)),
        example='google.protobuf.text_format.ParseError: Message type "a.protos.TrainConfig" has no field named "b_version"',
    ),
    Entry(
        "zoo-fine-tuning-without",
        "version-mismatch",
        ("restore_from_objects", "restore_map", "fine_tune_checkpoint", "from_detection_checkpoint"),
        r"(?:restore_from_objects|restore_map|load_fine_tune_checkpoint"
        r"|from_detection_checkpoint).{0,400}?(?:AttributeError: |TypeError: "
        r"|NotImplementedError)",
        why="this kind of network cannot be restored in the way that the configuration asks for "
        "(fine_tune_checkpoint_type), in this "
        "version of the program",
        remedy='Try the other fine_tune_checkpoint_type ("detection", "classification", "fine_tune"), or a newer release.',
        weigh=ranked(("version-mismatch", 0.82), ("format-mismatch", 0.72), ("missing-tensor", 0.5)),
        example="  in restore_from_objects\n    return self._x.get_model()\nAttributeError: 'X' object has no "
        "attribute 'get_model'",
    ),
    Entry(
        "zoo-model-too-old",
        "version-mismatch",
        (
            "model version is too",
            "the model version is trained using",
            "model was trained with",
        ),
        r"model version is too (?:old|new)|The model version is trained using (?P<kind>[\w. ]+?) and is not compatible"
        r"|model was trained with (?:an? )?(?:older|newer|different|incompatible) version",
        why="the model was trained by another version of the program",
        remedy="Use that version, or train the model anew with this one.",
        also=("format-mismatch", "custom-object"),
        weight=0.94,
        example="UnsupportedModelError: The model version is trained using Rasa 1.10 and is not compatible with your "
        "installation.",
    ),
    Entry(
        "zoo-none-in-the-list",
        "not-found",
        ("out of bounds for axis 0 with size 0", "list index out of range"),
        r"(?:snapshots?|checkpoints?|ckpts?|ckpt_\w+|weights?_(?:files?|paths?)|model_(?:files?|paths?)"
        r"|all_model_checkpoint_paths"
        r"|glob\([^)\n]{0,60}(?:ckpt|h5|keras|pth?|bin"
        r"|safetensors)[^)\n]{0,20}\)\)?)\[-?\d\](?:(?!\bFile \").){0,200}?IndexError: (?:index -?\d+ is out of "
        r"bounds for axis 0 with size 0|list index out of range)",
        why="the folder holds no checkpoint that the program's search finds, so that its list is empty",
        remedy="Look what lies there: another folder, another name or suffix, or a training that never saved.",
        weigh=none_in_the_list,
        weight=0.86,
        test="path",
        example="    latest = checkpoints[-1]\nIndexError: list index out of range",
    ),
    Entry(
        "zoo-interpreters-code",
        "version-mismatch",
        ("celltype", "codetype", "module 'types' has no attribute"),
        r"module 'types' has no attribute '(?P<name>\w+)'|'?(?P<name2>CellType|CodeType)'? (?:is not|not) (?:defined|found)",
        why="functions were pickled (by cloudpickle) under another version of Python, which knows `types.{name}`, and "
        "this one does not",
        remedy="Load it under the Python that saved it, and save the weights alone; or give the function anew (custom_objects=).",
        weigh=ranked(("version-mismatch", 0.9), ("unserialisable", 0.6), ("custom-object", 0.5)),
        example="PPO2.load(path)\nAttributeError: module 'types' has no attribute 'CellType'",
    ),
    Entry(
        "zoo-names-for-values",
        "version-mismatch",
        ("of type 'str' instead",),
        r"(?:\.load\w*\(|restore|pkl|params).{0,400}?Expected \w+, got '(?P<tensor>[\w/.]+:\d)' of type 'str' instead"
        r"|Expected \w+, got '(?P<tensor2>[\w/.]+:\d)' of type 'str' instead.{0,400}?(?:\.load\w*\(|restore|pkl|params)",
        why="where the values are wanted there is a name (`{tensor}`): the file pairs names and values, as another "
        "version of the "
        "program writes it",
        remedy="Load it with the version that saved it, and save it anew with this one.",
        weigh=ranked(("version-mismatch", 0.88), ("format-mismatch", 0.78), ("missing-tensor", 0.3)),
        example="model = A2C.load('a.pkl')\nTypeError: Expected float32, got 'model/w:0' of type 'str' instead.",
    ),
    Entry(
        "zoo-assets-gone",
        "not-found",
        ("/assets",),
        r"(?:NotFoundError: |Not found: |NOT_FOUND: "
        r"|FileNotFoundError: .{0,40}?)'?(?P<path>[^\s;']*/assets(?:\.extra)?/[^\s;']+)",
        why="a file that the model reads when it is made or saved (`{path}`: a vocabulary) is not there: it lay in a "
        "temporary folder, "
        "or in the model that this one was made from",
        remedy="Keep the model it came from (for TF Hub: TFHUB_CACHE_DIR on a lasting disk), or make the table from "
        "the file anew.",
        weigh=ranked(("not-found", 0.88), ("preprocessing", 0.7), ("incomplete-save", 0.6)),
        test="path",
        example="NotFoundError: /tmp/x/assets/words.txt; No such file or directory",
    ),
    Entry(
        "zoo-not-in-the-file",
        "missing-tensor",
        ("checkpoint is missing variable", "missing in ", "missing from ", "but not found in the "),
        r"Checkpoint is missing variable \[?(?P<tensor>[\w/.:\-]+)|Variable \[?(?P<tensor2>[\w/.:\-]+)\]? (?:is )?missing "
        r"(?:in|from) (?:the )?checkpoint|but not found in the (?:checkpoint|dict)",
        why="the graph has `{tensor}`, and the checkpoint does not",
        remedy=(
            "Build the graph as it was saved (slim networks: inside their arg_scope, which puts batch normalisation in place of "
            "biases), or restore what is there (ignore_missing_vars=True). " + _INSPECT
        ),
        weigh=ranked(("missing-tensor", 0.86), ("renamed", 0.6), ("version-mismatch", 0.56)),
        test="names",
        example="ValueError: Checkpoint is missing variable [net/conv1/biases]",
    ),
    Entry(
        "zoo-not-in-the-graph",
        "unexpected-tensor",
        (
            "but not found in",
            "but not in",
            "in checkpoint not found in",
        ),
        r"(?:checkpoint|dict|file),? but not (?:found )?in (?:the )?graph|in checkpoint not found in (?:the )?graph",
        why="the checkpoint holds tensors that the graph does not have",
        remedy="Harmless where they are an optimizer's; else build the graph as it was saved. " + _INSPECT,
        weigh=left_over,
        where=loading_or_alone,
        test="names",
        example="WRN The following variables are in the checkpoint, but not found in the graph: fc/W",
    ),
    Entry(
        "zoo-array-into-variable",
        "shape-mismatch",
        ("trying to load a", "does not match the shapes of the model"),
        r"Trying to load an? (?:array|tensor"
        r"|value) of shape (?P<checkpoint>\([\d, ]*\)) into (?:the )?variable '?(?P<tensor>[\w/.:]+)'?"
        r" whose shape is (?P<model>\([\d, ]*\))|does not match the shapes of the model",
        why="`{tensor}` has shape {model} in the model, and {checkpoint} in the file: another number of classes or units",
        remedy="Build the layer with the recorded size, or leave it out of what is loaded.",
        also=("preprocessing", "missing-tensor"),
        weight=0.93,
        test="names",
        example="ValueError: Trying to load an array of shape (80,) into variable 'head/b' whose shape is (34,)",
    ),
    Entry(
        "zoo-number-of-variables",
        "missing-tensor",
        (
            "number of variables",
            "number of parameters",
        ),
        r"number of (?:variables|parameters) (?:loaded|in the checkpoint) (?:mis-?match|does not|differs|is not)\w*",
        why="the file holds another number of variables than the model: another architecture, or an optimizer on one side",
        remedy="Build the model with the arguments of the training (network, environment, number of layers). "
        + _INSPECT,
        weigh=ranked(("missing-tensor", 0.72), ("unexpected-tensor", 0.6), ("optimizer-structure", 0.52)),
        example="AssertionError: number of variables loaded mismatches len(variables)",
    ),
    Entry(
        "zoo-meta-file",
        "not-found",
        (
            "meta file",
            "metafile",
            ".meta does not exist",
            ".meta' does not exist",
        ),
        r"no meta ?file found in (?:the )?(?:model )?director\w+ ?\(?(?P<path>[\w./\\\-]+)?"
        r"|more than one meta ?file in (?:the )?(?:model )?director\w+ ?\(?(?P<path2>[\w./\\\-]+)?"
        r"|(?P<path3>[\w./\\\-]+\.meta)'? does not exist",
        why=(
            "the folder of the model is to hold one graph (`.meta`) with its checkpoint, and does not ({path}): "
            "another folder or kind "
            "of file, or hidden copies (`._*.meta`) beside it"
        ),
        remedy="Give the folder with the `.meta`, `.index` and `.data` files of one save, or the frozen `.pb` file itself.",
        weigh=ranked(("not-found", 0.88), ("format-mismatch", 0.6), ("incomplete-save", 0.54)),
        test="path",
        example="ValueError: No meta file found in the model directory (out/ckpt)",
    ),
    Entry(
        "zoo-pickled-network",
        "version-mismatch",
        (
            'state["version"]',
            "state['version']",
            "pickle version too ",
        ),
        r"assert state\[(?:'version'|\"version\")\] in|pickle version too (?:low|old|high|new)",
        why="the network was pickled by another version of the code (`dnnlib`), and its state says so",
        remedy="Load it with the repository (and its own `dnnlib`, not one of pip) that wrote it, and convert it there.",
        also=("format-mismatch", "custom-object"),
        weight=0.92,
        example='  File "dnnlib/tflib/network.py", line 279, in __setstate__\n    assert state["version"] in [2, 3]',
    ),
    Entry(
        "zoo-restore-moved",
        "version-mismatch",
        (
            "notimplementederror",
            "module' object has no attribute",
            "checkpoint_management",
            "checkpoint_utils",
        ),
        r"(?:\.restore\(|_restore\(|load_checkpoint\().{0,300}?NotImplementedError"
        r"|'(?:Dummy)?module' object has no attribute u?'(?P<name>(?:\w*saver\w*|\w*checkpoint\w*|restore\w*|\w*_pb2|contrib))'"
        r"|cannot import name '?(?P<name2>checkpoint_management|checkpoint_utils)",
        why="saving and loading moved in this version of TensorFlow ({name} is not there any more, or not yet)",
        remedy="Use the version that the program is for, or its newer release.",
        also=("custom-object",),
        weight=0.9,
        example="AttributeError: 'module' object has no attribute 'saver_pb2'",
    ),
    Entry(
        "zoo-no-checkpoint-said",
        "not-found",
        (
            "checkpoint not found",
            "find 'checkpoint' file",
            "valid checkpoint state",
            "did not find restore checkpoint",
            "no checkpoint found",
            "no checkpoints found",
            "unable to find checkpoint",
            "no pretrained model ",
        ),
        r"checkpoint not found|(?:cannot|couldn't|could not) find 'checkpoint' file(?: or checkpoints)?"
        r"|does not contain a valid checkpoint state|did not find restore checkpoint|no checkpoints? found"
        r"|unable to find checkpoint|no pretrained model (?:found|at)",
        why="there is no checkpoint where the program looks: another folder, or its state file `checkpoint` is missing",
        remedy="Give the folder of the training with its `checkpoint` file, or the prefix itself.",
        where=loading_or_alone,
        also=("incomplete-save", "retention"),
        weight=0.72,
        test="path",
        example="load_model: ValueError: Checkpoint not found",
    ),
)
