"""What the kind of an error says where its wording is not known: the class, the call on the way, the structure of the message.

These speak softly, so that any entry that knows the message is heard first; and only where something is saved or loaded.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, Weigh, ranked
from ...where import loading, loading_or_alone, saving, storing

_OPTIMIZER = re.compile(r"optim|param_group|exp_avg|momentum|adam|sgd\b|lr_sched", re.IGNORECASE)
_COLLECT = (
    "Compare what is stored (`holdfast inspect CKPT`) with what the program wants (`holdfast check CKPT "
    "module:factory`)."
)


def of_a_key(look: Look) -> list[Guess]:
    """A look-up that failed while loading: in an optimizer, of a tensor's name, or of an entry."""
    key = look.facts().get("key", "")
    last = look.reading.last
    near = " ".join(
        (*(f"{f.file} {f.name} {f.code}" for f in (last.frames[-3:] if last is not None else ())), key)
    )
    if _OPTIMIZER.search(near):
        return [
            look.entry.guess(look, "optimizer-structure", confidence=0.6),
            look.entry.guess(look, "format-mismatch", confidence=0.42),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ]
    if "lora" in key.lower() or "adapter" in key.lower():
        why = f"the adapter has no `{key}`: it is of another kind, or named by another trainer, than this loader reads"
        return [
            look.entry.guess(look, confidence=0.62, why=why),
            look.entry.guess(look, "version-mismatch", confidence=0.5, why=why),
            look.entry.guess(look, "renamed", confidence=0.46, why=why),
        ]
    if key.startswith("<"):  # an object, not a name: two graphs, or two versions of one
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.56),
            look.entry.guess(look, "graph-lifecycle", confidence=0.48),
        ]
    if "." in key or "/" in key:
        return [
            look.entry.guess(look, "missing-tensor", confidence=0.56),
            look.entry.guess(look, "unexpected-tensor", confidence=0.5),
            look.entry.guess(look, "renamed", confidence=0.46),
        ]
    return [
        look.entry.guess(look, confidence=0.52),
        look.entry.guess(look, "version-mismatch", confidence=0.47),
        look.entry.guess(look, "resume-state", confidence=0.36),
    ]


def of_a_file_or_a_tensor(look: Look) -> list[Guess]:
    """What is not there: a tensor, by its name or by the word, a path of an object store, or a file."""
    said = look.match[0]
    if (
        re.search(
            r"\b(?:keys?|tensors?|weights? for|parameters?|variables?)\b|(?<![\w/])\w+(?:\.\w+){2,}", said
        )
        and "/" not in said
    ):
        why = "a tensor that the model wants is not in the file: another version or another variant of the model was saved"
        rows = (("missing-tensor", 0.56), ("version-mismatch", 0.53), ("renamed", 0.46))
        return [
            look.entry.guess(look, label, confidence=sure, why=why, remedy=_COLLECT, test="names")
            for label, sure in rows
        ]
    if re.search(r"\b(?:gs|s3|hdfs|abfss?)://", look.reading.flat):
        return [look.entry.guess(look, "storage", confidence=0.54), look.entry.guess(look)]
    return [look.entry.guess(look)]


_KEEPS = re.compile(
    r"__init__$|^(?:\w+\.)?_?(?:load|restore|from_|save|deserialize|unpickle)|checkpoint|ckpt|saving|serializ|state_dict"
    r"|pretrained"
    r"|^(?:torch|tensorflow|keras|tf_keras|transformers|flax|orbax|lightning|pytorch_lightning|safetensors|diffusers|peft"
    r"|accelerate)\b",
    re.IGNORECASE,
)
"""Functions and modules whose errors, quoted alone, come from saved things being made again."""
_PARTS = re.compile(
    r"(?:Net|Model|Encoder|Decoder|Layer|Block|Embeddings?|Attention|Conv\d?d?|BatchNorm\d?d?|Norm|Config|Tokenizer\w*"
    r"|Optimizer\w*|State|Arguments|Args|Hparams|Vocab\w*|Dictionary|Extractor|Processor|Pipeline|Sampler"
    r"|Scheduler\w*|Module|Classifier|Generator|Policy|Upsample|Linear|GELU|SiLU|LSTM|GRU)$"
)


def of_versions(*rows: tuple[str, float]) -> Weigh:
    """Rows for errors that another version of the code gives; quoted alone they count only of what saved things are made of."""
    answer = ranked(*rows)

    def weigh(look: Look) -> list[Guess]:
        facts = look.facts()
        told = [facts.get(name, "") for name in ("name", "module")]
        if re.search(r"argument must be .{3,80}not 'dict'$", look.match[0]):
            return answer(look)  # only what a config holds is taken for a number like this
        made = any(map(_KEEPS.search, told)) or _PARTS.search(facts.get("kind", "")) is not None
        return answer(look) if look.around.loading or made else []

    return weigh


ENTRIES = (
    Entry(
        "general-key",
        "format-mismatch",
        ("keyerror",),
        r"KeyError: (?:\"(?P<key>[^\"\n]{1,160})\"|'(?P<key2>[^'\n]{1,160})'|(?P<key3>[^\"'\s]{1,160}))",
        why="the loader looks for `{key}`, which the file does not hold",
        remedy=_COLLECT,
        where=loading,
        weigh=of_a_key,
        weight=0.5,
        test="entries",
        example="  File \"a.py\", line 3, in load_checkpoint\n    x\nKeyError: 'running_stats'",
    ),
    Entry(
        "general-argument",
        "version-mismatch",
        (
            "unexpected keyword argument",
            "required positional",
            "required keyword-only",
            "positional argument",
        ),
        r"(?P<name>[\w.]+)\(\) (?:got an unexpected keyword argument '(?P<key>\w+)'"
        r"|missing \d+ required (?:positional|keyword-only) arguments?: (?P<key2>.{1,80})"
        r"|takes .{1,30} positional arguments? but \d+)",
        why="the loader calls `{name}` with other arguments than it takes ({key}): the file or the code is of another version",
        remedy="Install the version that saved; or pass what the constructor wants where the file does not tell it.",
        where=loading_or_alone,
        weigh=of_versions(("version-mismatch", 0.52), ("custom-object", 0.44), ("other", 0.42)),
        example=(
            '  File "a.py", line 3, in load_checkpoint\n    build(**cfg)\nTypeError: build() got an '
            "unexpected keyword argument 'rope'"
        ),
    ),
    Entry(
        "general-attribute",
        "version-mismatch",
        ("has no attribute '",),
        r"'(?P<kind>[\w.]+)' object has no attribute '(?P<name>\w+)'",
        why=(
            "an object that was loaded (`{kind}`) lacks `{name}`: another version of its class was saved, "
            "or it is of another kind than the program takes it for"
        ),
        remedy="Load a state dict into a model built in code; or use the version that saved.",
        where=loading_or_alone,
        weigh=of_versions(("version-mismatch", 0.46), ("format-mismatch", 0.42), ("custom-object", 0.4)),
        example=(
            "  File \"a.py\", line 3, in load_checkpoint\n    x\nAttributeError: 'Encoder' object has no "
            "attribute 'rope_scale'"
        ),
    ),
    Entry(
        "general-import",
        "version-mismatch",
        ("cannot import name",),
        r"cannot import name '?(?P<name>\w+)'?(?: from (?:partially initialized module )?'?(?P<module>[\w.]+))?",
        why="`{module}` has no `{name}` in the version that is installed here",
        remedy="Install the version that saved, or that the code is for.",
        where=loading_or_alone,
        weigh=of_versions(("version-mismatch", 0.5), ("custom-object", 0.42), ("other", 0.3)),
        example="load_checkpoint: ImportError: cannot import name 'Adafactor' from 'transformers.optim'",
    ),
    Entry(
        "general-shape",
        "shape-mismatch",
        ("shape", "size", "dimension"),
        r"(?:\b(?:shapes?|sizes?|dimensions?)\b.{0,60}?(?:mismatch|do(?:es)? not match|must match"
        r"|doesn't match|not match|incompatible|not compatible|differ|not equal|must be equal|expected)"
        r"|(?:expected|expects|expecting|requires?).{0,40}?\b(?:shape|size"
        r"|dimension)s?\b.{0,80}?\b(?:got|but|found|received|given)\b"
        r"|\bshape\b ?[=:]? ?[\[(][\d, ]+[\])].{0,80}?[\[(][\d, ]+[\])])",
        why="a tensor has another shape in the checkpoint than the program wants",
        remedy=_COLLECT,
        where=loading,
        also=("version-mismatch", "missing-tensor"),
        weight=0.5,
        weigh=None,
        test="names",
        example='  File "a.py", line 3, in load_checkpoint\n    x\nValueError: expected shape (3, 4), got (3, 5)',
    ),
    Entry(
        "general-number-type",
        "dtype-mismatch",
        ("dtype", "data type", "scalar type", "expected"),
        r"\b(?:dtypes?|data types?|scalar types?)\b.{0,80}?(?:mismatch|do(?:es)? not match|not match"
        r"|expected|differ|incompatible|not the same|must be|should be|but got|but found)"
        r"|expected .{0,40}(?:Half|Float|BFloat16|Double|Long|float16|float32|bfloat16).{0,40}(?:but|got|found)",
        why="number types differ between the checkpoint and the program",
        remedy="Cast after loading (`model.to(dtype)`), or load with the type that was saved.",
        where=loading,
        also=("version-mismatch",),
        weight=0.48,
        example='  File "a.py", line 3, in load_checkpoint\n    x\nValueError: dtype mismatch: float32 and float16',
    ),
    Entry(
        "general-device",
        "device-mismatch",
        ("cuda", "device", "gpu", "tpu", "mps", "nvidia", "xla"),
        r"(?:no (?:cuda|gpu|nvidia|tpu)\b.{0,60}|found no NVIDIA driver|CUDA (?:is not available|driver"
        r"|error: invalid device|unavailable)"
        r"|not compiled with CUDA|(?:cuda|gpu|tpu|xla|mps)(?::\d+)? (?:device )?(?:is )?not "
        r"(?:available|found|supported)|(?:unknown|invalid|no such) device"
        r"|device .{0,30}(?:does not exist|not found)"
        r"|on (?:a )?different devices?|must be on the same device|should be on the same device)",
        why="the checkpoint's tensors belong to a device that is not here, or were left on another than the rest",
        remedy="`torch.load(path, map_location='cpu')`, then move the model; move it before the optimizer's state is loaded.",
        where=loading,
        also=("version-mismatch",),
        weight=0.48,
        example='  File "a.py", line 3, in load_checkpoint\n    x\nRuntimeError: Found no NVIDIA driver on your system.',
    ),
    Entry(
        "general-absent",
        "not-found",
        (
            "not found",
            "exist",
            "missing",
            "no such",
            "cannot find",
            "can't find",
            "could not find",
            "couldn't find",
            "unable to find",
            "can not find",
            "locate",
        ),
        r"(?:checkpoint|ckpt|weights?|model|pretrained|snapshot|state)\w*(?: (?:file|path|director\w+"
        r"|folder))?\b.{0,120}?(?:not found|does not exist|doesn't exist|not exist|is missing)"
        r"|(?:no such|cannot (?:find|locate)|can't find|could not (?:find|locate)|couldn't find"
        r"|unable to (?:find|locate)|can not find).{0,80}?(?:checkpoint|ckpt|weights?|model|pretrained"
        r"|snapshot|\bpkl)",
        why="the path leads to no checkpoint",
        remedy="Check path, step and working folder; `holdfast FOLDER` says what is there.",
        where=loading_or_alone,
        weigh=of_a_file_or_a_tensor,
        also=("incomplete-save", "retention", "format-mismatch"),
        weight=0.52,
        test="path",
        example="ValueError: resume: checkpoint path runs/7 does not exist",
    ),
    Entry(
        "general-damage",
        "corrupt",
        (
            "corrupt",
            "truncat",
            "damaged",
            "invalid",
            "unexpected end",
            "malformed",
            "checksum",
            "crc",
            "broken",
            "bad ",
        ),
        r"\b(?:corrupt(?:ed|ion)?|truncated?|damaged|malformed|unexpected end of (?:file|data|stream)"
        r"|bad (?:crc|header|data|zip)|crc (?:error|mismatch)|broken file|invalid (?:header|data|file"
        r"|archive|zip))\b",
        why="the file's bytes are not what its format says: damaged, cut short, or another kind of file",
        remedy="`holdfast CKPT` says what the file is and how much of it is there; get it again, or take an older one.",
        where=loading,
        also=("incomplete-save", "format-mismatch"),
        weight=0.5,
        test="whole",
        example="RuntimeError: failed to load checkpoint: malformed block",
    ),
    Entry(
        "general-other-format",
        "format-mismatch",
        ("format", "extension", "suffix", "file type", "not a valid", "not a supported"),
        r"(?:unsupported|unrecognized|unknown|invalid|wrong|unexpected|not a (?:valid"
        r"|supported)).{0,40}?(?:file|checkpoint|model|weights?)? ?(?:format|extension|suffix"
        r"|file type)"
        r"|(?:format|extension|suffix) .{0,40}?(?:not supported|is not|unsupported|unknown|invalid"
        r"|must)|is not a (?:valid|supported) .{0,40}?(?:checkpoint|model|file|archive|weights)",
        why="the file is of another format than this loader reads",
        remedy="`holdfast FILE` says what it is; load it with the tool that wrote it, or convert it.",
        where=loading,
        also=("not-found", "version-mismatch", "corrupt"),
        weight=0.5,
        test="whole",
        example="ValueError: load_model: unsupported file format",
    ),
    Entry(
        "general-version",
        "version-mismatch",
        ("version", "deprecated", "no longer supported", "upgrade", "downgrade", "incompatible"),
        r"(?:different|another|newer|older|other|previous|earlier|incompatible|unsupported|wrong"
        r"|mismatched?|minimum|requires?) (?:\w+ ){0,3}version|version (?:mismatch|conflict"
        r"|incompatib\w+|\S+ (?:is|but))"
        r"|no longer supported|(?:please )?(?:upgrade|downgrade) (?:to|your)|was (?:saved|created"
        r"|written|trained|pickled) (?:with|by|using) .{0,40}?version",
        why="the file was written by another version of the library than reads it",
        remedy="Install the version that wrote it (`holdfast FILE` names it where the file tells).",
        where=loading,
        also=("format-mismatch",),
        weight=0.52,
        example="RuntimeError: load_checkpoint: file was created with an unsupported version",
    ),
    Entry(
        "general-custom",
        "custom-object",
        ("not registered", "unregistered", "unknown class", "unknown type", "not defined", "custom"),
        r"(?:is )?not registered|unregistered (?:class|object|type)|unknown (?:class|type)"
        r"|custom (?:object|layer|class|op)s?.{0,60}(?:not|unknown|missing|register)",
        why="the file names a class or function that this program does not know",
        remedy="Import or register it before loading.",
        where=loading,
        also=("version-mismatch",),
        weight=0.5,
        example="KeyError: load_checkpoint: 'MyHead is not registered'",
    ),
    Entry(
        "general-not-built",
        "lazy-build",
        ("not ", "unbuilt", "uninitialized"),
        r"(?:model|layer|optimizer|variables?|weights?|parameters?"
        r"|modul\w+)\b.{0,60}?(?:not (?:yet )?(?:been )?(?:built|created|initialized|called"
        r"|materialized))|uninitialized (?:parameter|variable|module|buffer)"
        r"|unbuilt",
        why="variables that are to be restored do not exist yet",
        remedy="Run the model once before loading.",
        where=storing,
        also=("missing-tensor",),
        weight=0.56,
        example="RuntimeError: load_state_dict: the module has an uninitialized parameter",
    ),
    Entry(
        "general-write",
        "storage",
        ("denied", "read-only", "quota", "disk", "space", "i/o error", "nfs", "stale file"),
        r"(?:permission|access) (?:is )?denied|read-only|quota|disk (?:is )?full|out of (?:disk )?space"
        r"|not enough (?:disk )?space|no space|I/O error|stale file|\bNFS\b",
        why="the disk or its mount did not take what was written",
        remedy="Look for room, quota and permission (`df -h`, `quota -s`, `ls -ld`).",
        where=saving,
        also=("incomplete-save",),
        weight=0.52,
        test="space",
        example="RuntimeError: save_checkpoint failed: quota reached",
    ),
    Entry(
        "general-interrupted",
        "incomplete-save",
        ("interrupted", "incomplete", "partial", "unfinished", "preempt", "sigterm", "complete", "finished"),
        r"\b(?:interrupted|incomplete|partial(?:ly)? (?:written|saved|checkpoint)|unfinished|preempt\w*"
        r"|sigterm|not (?:been )?(?:completed?|finished))\b",
        why="a save was broken off, or has not come to its end",
        remedy="Take the checkpoint before it; write beside and rename.",
        where=storing,
        also=("corrupt", "async-save"),
        weight=0.5,
        test="whole",
        example="ValueError: load_checkpoint: step 10 is incomplete",
    ),
    Entry(
        "general-python",
        "version-mismatch",
        (
            "argument must be",
            "object is not",
            "indices must be",
            "values to unpack",
            "out of range",
            "unhashable",
            "must be str",
            "unsupported operand",
            "not supported between",
            "cannot unpack",
        ),
        r"\w+\(\) argument must be .{3,80}not (?:'\w+'|\w+)|'\w+' object is not (?:iterable|subscriptable"
        r"|callable)|(?:list|tuple|string) indices must be|(?:too many|not enough) values to unpack"
        r"|(?:list|tuple) index out of range|unhashable type|must be str, not \w+"
        r"|unsupported operand type|not supported between instances|cannot unpack non-iterable",
        why="what was read from the file is of another kind than this version's code expects there",
        remedy="Load with the version that saved; `holdfast inspect CKPT` shows what the file holds.",
        where=loading_or_alone,
        weigh=of_versions(("version-mismatch", 0.47), ("format-mismatch", 0.45), ("custom-object", 0.36)),
        example="load_model: TypeError: int() argument must be a string or a number, not 'NoneType'",
    ),
)
