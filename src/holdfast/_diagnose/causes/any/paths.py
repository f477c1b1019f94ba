"""Paths: nothing there, a folder in place of a file, another part of it."""

from __future__ import annotations

from ...concerning import of_checkpoints
from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, loading_or_alone, storing_or_alone


def none_or_none_whole(look: Look) -> list[Guess]:
    """Nothing at all, or nothing that is whole."""
    rows: tuple[tuple[str | None, float], ...]
    if "valid" in look.match[0].lower():
        rows = ((None, 0.72), ("not-found", 0.68), ("format-mismatch", 0.4))
    else:
        rows = (("not-found", 0.76), (None, 0.5), ("retention", 0.35))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "path-is-no-checkpoint",
        "not-found",
        ("invalid", "wrong", "bad ", "empty", "illegal", "nonexist", "non-exist", "is none", "not valid"),
        r"(?:invalid|wrong|bad|empty|illegal|nonexistent|non-existing) (?:save|restore|checkpoint|ckpt|model|weights?|load"
        r"|snapshot)"
        r"[ _]?(?:path|file|dir)\w*(?![^\n]{0,200}\bmagic):? ?['\"]?(?P<path>[^'\"\s]+)?"
        r"|(?:checkpoint|ckpt|model|weights?|snapshot)[ _]?(?:path|file|dir)\w* .{0,60}?(?:is (?:invalid|empty|None|not valid"
        r"|wrong)|cannot be empty)",
        why="the path leads to no checkpoint of the kind that this call reads ({path})",
        remedy="Check path, step and working folder; TensorFlow takes the prefix (`run/model.ckpt-100`). `holdfast FOLDER` "
        "says what is there.",
        where=loading_or_alone,
        weigh=ranked(("not-found", 0.72), ("format-mismatch", 0.5), ("version-mismatch", 0.42)),
        test="path",
        example="ValueError: Restore called with invalid save path: 'model.ckpt-1550'. File path is: 'model.ckpt-1550'",
    ),
    Entry(
        "folder-opened-as-hdf5",
        "not-found",
        ("errno = 13",),
        r"unable to (?:synchronously )?open file \(unable to open file: name = '(?P<path>[^']*[\\/]?[^'.\\/]+)', errno = 13"
        r".{0,80}?\bflags = 0\b",
        why="`{path}` is to be read as HDF5 and has no ending: it is a folder (a SavedModel), or the prefix of a TensorFlow "
        "checkpoint",
        remedy="Name the file with its ending (`.h5`); `holdfast FOLDER` says what lies there.",
        weigh=ranked(("storage", 0.96), ("not-found", 0.94), ("format-mismatch", 0.6)),
        test="path",
        example=(
            "OSError: Unable to open file (unable to open file: name = 'run/best', errno = 13, error message = "
            "'Permission denied', flags = 0, o_flags = 0)"
        ),
    ),
    Entry(
        "no-such-file",
        "not-found",
        (
            "no such file or directory",
            "filenotfounderror",
            "does not exist",
            "not found",
            "the system cannot",
        ),
        r"(?:No such file or directory|The system cannot find[^:']*):? ?'(?P<path>[^'\n]{2,300})'"
        r"|(?:No such file or directory|The system cannot find[^:']*):? (?P<path2>\S{2,300})"
        r"|FileNotFoundError: (?!\[)(?:.{0,60}?: )?(?P<path3>\S{3,200})|(?P<path4>[\w./\\\-]+\.(?:pt|pth|ckpt|h5|keras"
        r"|bin|safetensors|npz|index)\S*) (?:does not exist|not found\b(?!:))|No such file or directory",
        why="there is nothing at that path ({path})",
        remedy=(
            "Check spelling, working folder and step number; `ls` the folder. The file may have been removed by "
            "retention."
        ),
        weigh=of_checkpoints,
        also=("retention", "concurrency", "incomplete-save"),
        weight=0.72,
        test="path",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'runs/model_best.pth'",
    ),
    Entry(
        "none-there",
        "not-found",
        ("found in", "found at", "found under", "there is no "),
        r"\bno (?:[\w-]+ ){0,3}(?:models?|weights|checkpoints?|ckpts?)(?: files?)? (?:were |was )?found (?:in|at|under) "
        r"(?P<path>(?![%{])[^\s'\"]{2,300})"
        r"|there is no (?P<path2>[^\s'\"]{1,300}\.(?:pt|pth|ckpt|h5|hdf5|keras|safetensors|npz|bin))\b",
        why="no checkpoint lies there ({path}): it was not downloaded, or was put under another name or folder",
        remedy="`ls` the folder that the program names, and get the file there; `holdfast FOLDER` says what lies in it.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.82,
        test="path",
        example="Exception: No encoder models found in encoder/saved_models",
    ),
    Entry(
        "is-a-directory",
        "not-found",
        ("is a directory", "errno 21", "not a directory", "errno 20"),
        r"\[?Errno 2[01]\]?:? ?(?:Is a directory|Not a directory):? ?'?(?P<path>[^'\s]+)?"
        r"|Is a directory:? '?(?P<path2>[^'\s]+)?",
        why="the path is a folder (or a part of it is a file): this call wants the file itself",
        remedy="Name the file in it; `holdfast FOLDER` says which checkpoint lies there.",
        weigh=of_checkpoints,
        also=("format-mismatch",),
        weight=0.84,
        test="path",
        example="IsADirectoryError: [Errno 21] Is a directory: 'runs/checkpoint-500'",
    ),
    Entry(
        "name-too-long",
        "storage",
        ("errno 36", "winerror 206", "too long"),
        r"file name too long|\[?Errno 36\]?|\[WinError 206\]|extension is too long",
        why="the path is longer than the file system takes (255 bytes a name; 260 characters a path on Windows)",
        remedy="Shorter run or metric names in the file's name.",
        weight=0.95,
        example="OSError: [Errno 36] File name too long: 'runs/...'",
    ),
    Entry(
        "deepspeed-latest",
        "not-found",
        ("unable to find latest file", "latest file at", "no 'latest'"),
        r"Unable to find latest file at (?P<path>[^\s,]+)",
        why=(
            "DeepSpeed looks for a file `latest` that names the newest tag, and there is none at {path}: another "
            "folder was given, or only weights were exported there"
        ),
        remedy="Give the folder that holds `latest` and `global_step...`, or pass `tag=`.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.9,
        test="path",
        example=(
            "[WARNING] Unable to find latest file at /runs/x/latest, if trying to load latest checkpoint please "
            "ensure this file exists or pass an explicit checkpoint tag"
        ),
    ),
    Entry(
        "hf-no-weights-file",
        "incomplete-save",
        ("no file named", "does not appear to have a file named", "error no file named"),
        r"(?:Error )?no file named (?P<names>[\w.,\- ]+?)(?: found)? in directory (?P<path>[^\s]+)"
        r"|does not appear to have a file named (?P<names2>[\w.,\- ]+)",
        why=(
            "none of the files that could hold the weights lies in {path}: the save was broken off, the index or a "
            "shard is missing, or only an adapter or another engine's files are there"
        ),
        remedy=(
            "`holdfast FOLDER` says what is there and what is missing; convert a DeepSpeed folder "
            "(`zero_to_fp32.py`), or get the missing files."
        ),
        also=("not-found", "format-mismatch"),
        weight=0.85,
        test="whole",
        example=(
            "OSError: Error no file named pytorch_model.bin, model.safetensors, tf_model.h5, model.ckpt.index or "
            "flax_model.msgpack found in directory runs/x."
        ),
    ),
    Entry(
        "adapter-files",
        "not-found",
        ("adapter_config.json", "adapter_model"),
        r"(?:Can't find|No such file).{0,40}adapter_(?:config\.json|model)"
        r"|adapter_config\.json.{0,60}(?:not found|missing)",
        why="no adapter lies there: the folder is a whole model's, or an outer one",
        remedy="Give the folder that holds adapter_config.json, or load it as a whole model.",
        also=("format-mismatch", "incomplete-save"),
        weight=0.85,
        test="path",
        example="ValueError: Can't find 'adapter_config.json' at './checkpoint-500'",
    ),
    Entry(
        "no-valid-checkpoint",
        "incomplete-save",
        ("o valid", "checkpoint", "heckpoint", "o steps found in"),
        r"(?P<what>can't find a valid checkpoint at|does not contain a valid checkpoint|no valid checkpoint(?:s)? (?:was "
        r"|were )?found(?: in)?(?: output directory)?|no new checkpoint|missing checkpoint|no checkpoints? found(?: (?:in|at"
        r"|for))?"
        r"|no steps found in|could not find (?:a )?checkpoint"
        r"|checkpoint (?:at )?(?:(?!\bkey\b)[^\n]){0,80}not found"
        r"(?!: (?:key|tensor name)\b| in (?:the |your )?(?:graph|model|checkpoint)))"
        r"(?:[: ]+\(?'?(?P<path>(?!in\b)[^\s')]+))?",
        why="nothing there is a whole checkpoint of the kind that is looked for ({path})",
        remedy="`holdfast FOLDER` says what is there, whether it is whole, and what is missing.",
        test="path",
        weigh=none_or_none_whole,
        example="ValueError: Can't find a valid checkpoint at /out/checkpoint-4016",
    ),
    Entry(
        "part-of-checkpoint-missing",
        "incomplete-save",
        ("no such file or directory", "does not exist", "not found", "cannot find"),
        r"(?:No such file or directory|does not exist|not found"
        r"|cannot find[^:']*):? ?[\"'](?P<path>[^\"'\n]*(?:checkpoint-\d+|global_step\d+|ckpt[-_]\d+"
        r"|step[-_]\d+|iter_\d+|epoch[-_]\d+)[\\/]+"
        r"(?P<part>trainer_state\.json|optimizer\.(?:pt|bin)|scheduler\.(?:pt|bin)|rng_state\w*\.pth"
        r"|scaler\.pt|random_states_\d+\.pkl|model\.safetensors(?:\.index\.json)?|pytorch_model\S*|"
        r"\.metadata|__\d+_\d+\.distcp|config\.json|latest|model_states\.pt|state|metadata))[\"']",
        why=(
            "the checkpoint's folder has no `{part}`: its save was broken off, or this part was never "
            "saved (another strategy or version)"
        ),
        remedy=(
            "Take the checkpoint before it (`holdfast FOLDER` says which are whole); without that part "
            "the training state does not come back."
        ),
        also=("not-found", "version-mismatch", "resume-state"),
        weight=0.84,
        test="whole",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'out/checkpoint-500/trainer_state.json'",
    ),
    Entry(
        "general-directory",
        "storage",
        (
            "directory",
            "mkdir",
            "create folder",
            "create a folder",
            "make folder",
            "make a folder",
            "makedirs",
            "create new folder",
            "create a new folder",
            "make new folder",
            "make a new folder",
        ),
        r"(?:failed|unable|cannot|could not) (?:to )?(?:create|make) (?:a )?(?:new )?(?:directory"
        r"|folder)|(?:mkdir|makedirs).{0,120}(?:Error|denied|failed|No such)",
        why=(
            "the folder for the checkpoint could not be made: no permission, or its parent is not there "
            "(a path with both kinds of slashes)"
        ),
        remedy="Make it first, by an absolute path with one kind of slash.",
        weigh=ranked(("storage", 0.86), ("not-found", 0.82), ("concurrency", 0.36)),
        where=storing_or_alone,
        test="space",
        example="NotFoundError: Failed to create a directory: out/export; No such file or directory",
    ),
    Entry(
        "general-no-path",
        "not-found",
        ("os.pathlike object, not", "nonetype", "expected str, bytes"),
        r"expected str, bytes or os\.PathLike object, not (?P<kind>\w+)"
        r"|stat: path should be string.{0,60}not (?P<kind2>NoneType)",
        why="the loader was given no path ({kind}): no checkpoint was found before, or no file of the kind that it looks for",
        remedy="Print the path that is given; `holdfast FOLDER` says what lies there.",
        where=loading,
        weigh=ranked(("not-found", 0.62), ("version-mismatch", 0.52), ("incomplete-save", 0.48)),
        example="torch.load(latest)\nTypeError: expected str, bytes or os.PathLike object, not NoneType",
    ),
)
