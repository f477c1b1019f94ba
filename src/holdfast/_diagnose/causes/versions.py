"""Libraries that changed: modules that moved, classes that are gone, arguments, number types."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look

_LOADS = (
    "load",
    "_load",
    "torch_load",
    "find_class",
    "loads",
    "restore",
    "from_pretrained",
    "load_model",
    "unpickle",
    "_legacy_load",
    "load_checkpoint",
    "load_from_checkpoint",
)


def module_missing(look: Look) -> list[Guess]:
    """A module that unpickling wants: the user's own code, or a library that moved it."""
    name = look.match["module"]
    top = name.split(".")[0]
    if name.startswith(("numpy._core", "numpy.core")):
        return [
            look.entry.guess(
                look,
                confidence=0.95,
                why=(
                    f"the file was pickled with numpy {'2' if '_core' in name else '1'} (`{name}` has moved "
                    f"between 1.26 "
                    f"and 2.0)"
                ),
                remedy="Install the numpy that wrote it (>= 2 for `numpy._core`), or save plain tensors.",
            )
        ]
    unpickled = (
        bool(look.reading.calls.intersection(_LOADS))
        or "pickle" in look.reading.lower
        or "torch.load" in look.reading.lower
    )
    if top in _LIBRARIES:
        return [
            look.entry.guess(look, confidence=0.82 if unpickled else 0.3),
            look.entry.guess(look, "custom-object", confidence=0.45 if unpickled else 0.2),
        ]
    if unpickled:
        return [
            look.entry.guess(
                look,
                "custom-object",
                confidence=0.88,
                why=(
                    f"the file pickles classes by their module `{name}`, which cannot be imported here: the code "
                    f"of the "
                    f"repository that saved it"
                ),
                remedy=(
                    "Put that repository on the path (run from its folder, or PYTHONPATH), or save "
                    "`model.state_dict()` there, which needs no code. `holdfast CKPT` lists the globals."
                ),
            ),
            look.entry.guess(look, "unserialisable", confidence=0.4),
        ]
    if (
        top in ("models", "model", "utils", "modules", "nets", "network", "networks")
        and not look.reading.frames
    ):
        return [
            look.entry.guess(
                look,
                "custom-object",
                confidence=0.5,
                why=(
                    f"a pickled class of the module `{name}` (the saving repository's own code) cannot be imported "
                    f"here"
                ),
                remedy="Put that repository on the path, or save a state dict there.",
            )
        ]
    return []


_LIBRARIES = frozenset(
    [
        "torch",
        "tensorflow",
        "keras",
        "jax",
        "flax",
        "transformers",
        "lightning",
        "pytorch_lightning",
        "torchvision",
        "sklearn",
        "timm",
        "diffusers",
        "peft",
        "omegaconf",
        "pandas",
        "scipy",
        "jaxlib",
        "optax",
        "orbax",
        "tf_keras",
        "fairseq",
        "deepspeed",
        "megatron",
        "apex",
    ]
)


_SAVING = frozenset(
    {
        "save",
        "_save",
        "_legacy_save",
        "save_checkpoint",
        "dump",
        "save_model",
        "save_pretrained",
        "save_state",
    }
    | {"deepcopy", "get_config"}
)


def not_picklable(look: Look) -> list[Guess]:
    """Pickling is of checkpoints where something is saved; starting a process pickles too."""
    sent = look.reading.frames and not look.reading.calls & _SAVING
    return [] if sent else [look.entry.guess(look)]


def jax_layout(look: Look) -> list[Guess]:
    """Orbax' folders, TensorStore's drivers and flax' msgpack files."""
    format_ = look.entry.guess(look)
    if look.match["driver"] or "driver: error opening" in look.reading.lower:
        why = (
            "an array that the checkpoint names is not in its database: parts of it were lost, or two layouts are "
            "mixed"
        )
        damaged = look.entry.guess(
            look,
            "corrupt",
            confidence=0.78,
            why=why,
            remedy="`holdfast PATH` lists what is missing; take an older checkpoint.",
        )
        return [damaged, look.entry.guess(look, "incomplete-save", confidence=0.7, why=why), format_]
    if "msgpack" in look.match[0].lower() or "incomplete input" in look.match[0]:
        early = look.entry.guess(look, "corrupt", confidence=0.78, why="the msgpack file ends too early")
        return [
            early,
            look.entry.guess(look, confidence=0.5),
            look.entry.guess(look, "incomplete-save", confidence=0.45),
        ]
    why = "a part of the checkpoint is not there (copied without hidden files, or broken off)"
    return [
        format_,
        look.entry.guess(look, "incomplete-save", confidence=0.6, why=why),
        look.entry.guess(look, "version-mismatch", confidence=0.45),
    ]


ENTRIES = (
    Entry(
        "module-missing",
        "version-mismatch",
        ("no module named",),
        r"No module named '?(?P<module>[\w.]+)'?",
        why="the file needs the module `{module}`, which this version of the library does not have",
        remedy="Install the version that wrote the file; `holdfast CKPT` names it where the file tells.",
        weigh=module_missing,
        test="pickle",
        example="  File \"torch/serialization.py\", line 1, in load\nModuleNotFoundError: No module named 'numpy._core'",
    ),
    Entry(
        "attribute-missing",
        "custom-object",
        ("an't get attribute '",),
        r"[Cc]an't get attribute '(?P<name>[\w.]+)' on <module '(?P<module>[\w.]+)'",
        why=(
            "the file pickles `{name}` of the module `{module}`, which is not there: it was saved from a script or "
            "notebook (`__main__`), or the code was renamed"
        ),
        remedy="Define or import that class under the same module before loading; save state dicts, which need no code.",
        also=("version-mismatch", "unserialisable"),
        weight=0.92,
        calls=_LOADS,
        test="pickle",
        example="AttributeError: Can't get attribute 'Net' on <module '__main__' from 'serve.py'>",
    ),
    Entry(
        "not-picklable",
        "unserialisable",
        ("picklingerror", "is not picklable", "pickle"),
        r"(?:[Cc]an(?:no|')t pickle|\bPicklingError:) (?P<what>[^\n]{1,120})|is not picklable",
        why="something in what is saved cannot be pickled: {what}",
        remedy=(
            "Save `state_dict()`s, not objects: lambdas, locks, generators, open files and loggers have no bytes. "
            "`holdfast isolate` names the attribute; a Keras model is saved by `model.save`."
        ),
        also=("custom-object", "format-mismatch"),
        weight=0.9,
        calls=("dump", "save", "dumps", "deepcopy", "_save"),
        weigh=not_picklable,
        example="TypeError: cannot pickle '_thread.RLock' object",
    ),
    Entry(
        "hf-class-gone",
        "version-mismatch",
        (
            "unrecognized model in",
            "does not recognize this architecture",
            "unrecognized configuration class",
            "cannot import name",
            "must be a dictionary",
        ),
        r"does not recognize this architecture|Unrecognized (?:model in|configuration class)"
        r"|rope_scaling`? must be a dictionary|cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'",
        why="this version of the library does not know the model's class or setting ({name})",
        remedy="Install the version that the model's card names.",
        context=("transformers", "from_pretrained", "load", "checkpoint", "pickle"),
        only_in=True,
        also=("custom-object",),
        weight=0.78,
        example=(
            "ValueError: The checkpoint you are trying to load has model type `qwen9` but Transformers does not "
            "recognize this architecture."
        ),
    ),
    Entry(
        "lightning-migrate",
        "version-mismatch",
        ("pytorch-lightning_version", "upgrade_checkpoint", "automatically upgraded your loaded checkpoint"),
        r"upgrade_checkpoint|Lightning automatically upgraded your loaded checkpoint|pytorch-lightning_version",
        why="the checkpoint was written by another version of Lightning",
        remedy="`python -m lightning.pytorch.utilities.upgrade_checkpoint FILE` makes a copy in the present layout.",
        also=("format-mismatch", "missing-tensor"),
        weight=0.7,
        example="KeyError: 'pytorch-lightning_version'",
    ),
    Entry(
        "flax-shapes",
        "shape-mismatch",
        ("scopeparamshapeerror", "inconsistent shapes between value and initializer"),
        r"Inconsistent shapes between value and initializer for parameter \"(?P<tensor>\w+)\" in"
        r" \"(?P<scope>[\w/.]+)\": (?P<got>\([\d, ]*\)), (?P<want>\([\d, ]*\))",
        why="`{tensor}` in `{scope}` has shape {got} in the checkpoint and {want} in the module",
        remedy="Use the version of flax and of the model's code that saved it, or reshape.",
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "version-mismatch",
                    confidence=0.84,
                    why=(
                        f"the values have the same number of elements in another layout ({look.match['got']}, "
                        f"{look.match['want']}): the layer of another flax version"
                    ),
                ),
                look.entry.guess(look, confidence=0.6),
            ]
            if _same_count(look.match["got"], look.match["want"])
            else [
                look.entry.guess(look, confidence=0.88),
                look.entry.guess(look, "version-mismatch", confidence=0.45),
            ]
        ),
        test="names",
        example=(
            "flax.errors.ScopeParamShapeError: Inconsistent shapes between value and initializer for parameter "
            '"kernel" in "/Dense_0": (3, 4), (5, 4).'
        ),
    ),
    Entry(
        "quantised-mismatch",
        "dtype-mismatch",
        (
            "params4bit",
            "quant_state",
            "half",
            "unsupported scalartype",
            "scalar type",
            "expected",
            "mat1 and mat2 must have the same",
            "absmax",
        ),
        r"(?:expected (?:scalar type|dtype|m1 and m2) (?P<want>\w+) but (?:found|got) (?P<got>\w+))"
        r"|Got unsupported ScalarType (?P<kind>\w+)|(?:quant_state|Params4bit|absmax).{0,120}(?:missing"
        r"|unexpected|error|None|not)"
        r"|mat1 and mat2 must have the same dtype(?:, but got (?P<a>\w+) and (?P<b>\w+))?"
        r"|Input type .{0,30}Half.{0,80}should be the same",
        why="number types differ between the checkpoint's weights and what the program computes with ({want}, {got})",
        remedy="Cast the whole model after loading (`model.to(dtype)`), or load with the type that was saved.",
        context=("load", "checkpoint", "state_dict", "save", "from_pretrained", "numpy", "restor"),
        only_in=True,
        also=("version-mismatch",),
        weight=0.78,
        example="RuntimeError: expected scalar type Half but found Float (after load_state_dict of the checkpoint)",
    ),
    Entry(
        "torch-schema",
        "version-mismatch",
        ("unknown builtin op", "object has no attribute '_"),
        r"Unknown builtin op: (?P<op>[\w:.]+)|object has no attribute '(?P<attribute>_\w+)'(?=.{0,200}(?:forward"
        r"|_call_impl))",
        why="the saved object is of another version of the library: it lacks what this version's code reads ({op})",
        remedy="Load its state dict into a model that is built in code, with the version that saved.",
        context=("torch.load", "jit", "load"),
        only_in=True,
        also=("custom-object",),
        weight=0.7,
        example="RuntimeError: Unknown builtin op: torchvision::nms. torch.jit.load",
    ),
    Entry(
        "orbax-format",
        "format-mismatch",
        (
            ".zarray",
            "_checkpoint_metadata",
            "_metadata",
            "ocdbt",
            "msgpack",
            "unpack failed: incomplete input",
            'error opening "',
            ".zgroup",
        ),
        r"(?P<driver>Error opening \"\w+\" driver)|(?:File not found|No such file|NOT_FOUND"
        r"|not exist)[^\n]{0,200}(?:\.zarray"
        r"|_METADATA|_CHECKPOINT_METADATA|manifest\.ocdbt|\.zgroup)|msgpack.{0,80}(?:Unpack|Extra|invalid)"
        r"|Unpack failed: incomplete input",
        why=(
            "the folder or file is not laid out as this reader expects: flax' msgpack and Orbax' folders are "
            "different formats, and Orbax changed its layout"
        ),
        remedy=(
            "Read with the tool that wrote it (flax.training.checkpoints, or Orbax of that version); `holdfast PATH` "
            "says which it is."
        ),
        weigh=jax_layout,
        weight=0.76,
        test="whole",
        example=(
            "FileNotFoundError: File not found: ss_model/checkpoint_1/.zarray. In many cases, this results from "
            "copying a checkpoint without using the `-a` flag."
        ),
    ),
    Entry(
        "orbax-structure",
        "missing-tensor",
        ("tree structures do not match", "mismatch", "not match", "in state dict"),
        r"[Uu]ser-provided restore item and on-disk (?:value )?metadata tree structures do not match"
        r"|(?:[Dd]ict key|[Cc]ustom node type|[Tt]ree structure)s? mismatch"
        r"|[Tt]he target dict keys and state dict keys do not match|[Mm]issing field (?P<key>\w+) in state dict"
        r"|do(?:es)? not match the (?:target|on-disk)",
        why="the tree that is restored into has other branches than the checkpoint's",
        remedy=(
            "Restore without a target and compare (`holdfast inspect PATH`), then build the target as it was saved; "
            "an optimizer chain that changed changes the tree too."
        ),
        also=("optimizer-structure", "unexpected-tensor", "renamed"),
        weight=0.8,
        test="names",
        context=("restore", "orbax", "flax", "jax", "checkpoint", "from_state_dict"),
        only_in=True,
        example="ValueError: User-provided restore item and on-disk value metadata tree structures do not match: orbax",
    ),
    Entry(
        "orbax-shape",
        "shape-mismatch",
        ("in checkpoint", "requested shape", "does not match expected"),
        r"Shape of `?(?P<tensor>[\w/.]+)`? in checkpoint (?P<got>\([\d, ]*\)) does not match expected"
        r" (?P<want>\([\d, ]*\))"
        r"|Requested shape:? ?(?P<a>\([\d, ]*\)) is not compatible with the stored shape:? ?(?P<b>\([\d, ]*\))",
        why="`{tensor}` has shape {got} in the checkpoint and {want} in the program",
        remedy=(
            "Is it the checkpoint that you mean? A folder that still holds another run's checkpoints is restored in "
            "preference to the initial one. Else build the model as it was saved."
        ),
        weigh=lambda look: [
            look.entry.guess(look),
            look.entry.guess(
                look,
                "not-found",
                confidence=0.74,
                why=(
                    "another checkpoint than the one meant was restored: the run's folder holds checkpoints of "
                    "another model"
                ),
            ),
            look.entry.guess(look, "retention", confidence=0.35),
        ],
        weight=0.76,
        test="names",
        example="ValueError: Shape of `state/v` in checkpoint (2048,) does not match expected (768,).",
    ),
    Entry(
        "orbax-tree-diff",
        "missing-tensor",
        ("format_tree_diff", "tree_difference"),
        r"format_tree_diff|print_tree_difference",
        why=(
            "Orbax fails while it tells how the two trees differ: what is restored into has other branches than the "
            "checkpoint"
        ),
        remedy="Restore without a target and compare (`holdfast inspect PATH`).",
        also=("unexpected-tensor", "renamed"),
        weight=0.72,
        test="names",
        example=(
            '  File "orbax/structure_utils.py", line 691, in format_tree_diff\nValueError: The truth value of an '
            "array with more than one element is ambiguous."
        ),
    ),
)


def _same_count(a: str, b: str) -> bool:
    def count(text: str) -> int:
        total = 1
        for word in text.strip("()").split(","):
            if word.strip():
                total *= int(word)
        return total

    return count(a) == count(b)
