"""What loaders report of names that did not agree: tables, lists, parts of a single file.

Messages: transformers/modeling_utils.py (loading reports of version 5, ``newly initialized``), diffusers/loaders/single_file*,
torch/nn/modules/module.py (``_IncompatibleKeys``), accelerate/utils/modeling.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone

_BUFFERS = re.compile(
    r"(?:inv_freq|position_ids|masked_bias|attn\.bias|rotary_emb\.\w+|num_batches_tracked|relative_position_index|attn_mask"
    r"|cos_cached|sin_cached|token_type_ids|_float_tensor)$"
)
"""Buffers that one version of a library writes, and another does not."""
_LAYOUTS = (
    (r"\bvisual\.|\"positional_embedding", r"\b(?:text|vision)_model\."),
    (r"in_proj_weight", r"\bq_proj\."),
    (r"\bblocks\.\d+\.attn\.qkv", r"\blayers?\.\d+\.(?:self_)?att(?:n|ention)\."),
)
"""Names of one network in two libraries."""
_STATUS = {"missing": "missing-tensor", "unexpected": "unexpected-tensor", "mismatch": "shape-mismatch"}


def of_a_table(look: Look) -> list[Guess]:
    """The states that the report's table names."""
    found = {word.lower() for word in re.findall(r"\|\s*(MISSING|UNEXPECTED|MISMATCH)\b", look.reading.flat)}
    guess = look.entry.guess
    if "mismatch" in found:
        return [guess(look, "shape-mismatch"), guess(look, "missing-tensor", confidence=0.5)]
    if {"missing", "unexpected"} <= found:
        return [
            guess(look, "renamed", confidence=0.8),
            guess(look, "missing-tensor", confidence=0.7),
            guess(look, "unexpected-tensor", confidence=0.66),
        ]
    first = _STATUS[min(found, default="missing")]
    return [
        guess(look, first),
        guess(look, "renamed", confidence=0.55),
        guess(look, "version-mismatch", confidence=0.5),
    ]


def of_two_lists(look: Look) -> list[Guess]:
    """The lists of a lenient load; one may be empty, or cut off."""
    facts = look.facts()
    missing, unexpected = "'" in facts.get("missing", ""), "'" in facts.get("unexpected", "")
    guess = look.entry.guess
    if missing and unexpected:
        order = ("renamed", "missing-tensor", "unexpected-tensor")
    elif unexpected:
        order = ("unexpected-tensor", "renamed", "version-mismatch")
    elif missing:
        order = (
            "missing-tensor",
            "renamed",
            "shape-mismatch" if "base_layer" in facts["missing"] else "version-mismatch",
        )
    else:
        return []
    return [guess(look, label, confidence=sure) for label, sure in zip(order, (0.76, 0.66, 0.6), strict=True)]


def of_buffers(look: Look) -> list[Guess]:
    """Every name that is listed is a buffer's; otherwise nothing is said."""
    listed = re.findall(
        r"(Missing|Unexpected) key[^:]{0,40}: ?\[?((?:[\"'][\w.]+[\"'](?:, ?)?)+)",
        look.reading.flat,
        re.IGNORECASE,
    )
    names = [name for _, some in listed for name in re.findall(r"[\w.]+", some)]
    if not names or not all(_BUFFERS.search(name) for name in names):
        return []
    other = "missing-tensor" if listed[0][0].lower() == "missing" else "unexpected-tensor"
    return [look.entry.guess(look, confidence=0.9), look.entry.guess(look, other, confidence=0.84)]


def of_layouts(look: Look) -> list[Guess]:
    """Two libraries' names for the same network, one list each."""
    facts = look.facts()
    sides = (facts.get("missing", ""), facts.get("unexpected", ""))
    for one, other in (sides, sides[::-1]):
        if any(re.search(a, one) and re.search(b, other) for a, b in _LAYOUTS):
            return [
                look.entry.guess(look, confidence=0.87),
                look.entry.guess(look, "format-mismatch", confidence=0.84),
                look.entry.guess(look, "missing-tensor", confidence=0.7),
            ]
    return []


def of_one_key(look: Look) -> list[Guess]:
    """A name that is not there: a buffer of another version, or a layer's."""
    if _BUFFERS.search(look.facts().get("tensor", "")):
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.82),
            look.entry.guess(look, confidence=0.78),
            look.entry.guess(look, "renamed", confidence=0.5),
        ]
    return [
        look.entry.guess(look),
        look.entry.guess(look, "renamed", confidence=0.64),
        look.entry.guess(look, "version-mismatch", confidence=0.56),
        look.entry.guess(look, "format-mismatch", confidence=0.5),
    ]


ENTRIES = (
    Entry(
        "loading-report",
        "missing-tensor",
        ("| missing", "| unexpected", "| mismatch", "newly initialized because missing"),
        r"\| (?:MISSING|UNEXPECTED|MISMATCH)\b|newly initialized because missing",
        why="names (or shapes) in the file are not those of the model; what found no place was made anew, or left out",
        remedy="Load the class (and the adapter) that was saved; `holdfast check CKPT module:factory` holds both lists together.",
        weigh=of_a_table,
        weight=0.82,
        test="names",
        example="Key          | Status  |\nscore.weight | MISSING |",
    ),
    Entry(
        "lenient-load-lists",
        "missing-tensor",
        ("missing_keys", "_incompatiblekeys(", "incompatible keys", "missing_keys=["),
        r"(?:_IncompatibleKeys\("
        r"|incompatible keys.{0,20}?)?missing_keys ?= ?\[(?P<missing>[^\]]{0,2000})(?:\].{0,20}?unexpected_keys ?= ?"
        r"\[(?P<unexpected>[^\]]{0,2000}))?",
        why="a load that allowed differences left these names out",
        remedy="`holdfast check CKPT module:factory` holds both lists together and proposes renames.",
        weigh=of_two_lists,
        test="names",
        example="_IncompatibleKeys(missing_keys=['head.weight', 'head.bias'], unexpected_keys=[])",
    ),
    Entry(
        "key-not-there",
        "missing-tensor",
        ("key", "tensor", "parameter", "weight", "key ", "tensor ", "parameter ", "weight "),
        r"\b(?:key|tensor|parameter|weight):? ['\"`]?(?P<tensor>[A-Za-z_]\w*(?:\.\w+){2,})['\"`]? (?:is |was )?"
        r"(?:not (?:found|present|in)\b|missing|absent|does not exist)",
        why="the file has no tensor `{tensor}`, which the model wants",
        remedy=(
            "Use the version of the library that saved it, or the class it belongs to; `holdfast inspect CKPT` lists what "
            "is there."
        ),
        weigh=of_one_key,
        weight=0.78,
        test="names",
        example="key cond_stage_model.transformer.text_model.embeddings.position_ids not found!",
    ),
    Entry(
        "only-buffers-differ",
        "version-mismatch",
        ("missing key", "unexpected key"),
        r"(?:Missing|Unexpected) key(?:s|\(s\))?(?: in [\w ]+)?: ?\[?(?P<names>(?:[\"'][\w.]+[\"'](?:, ?)?)+)",
        why="only a buffer differs ({names}), which one version of the library writes and another makes anew",
        remedy="Use the version that saved it, or load with strict=False: that buffer is made when the model is built.",
        weigh=of_buffers,
        test="names",
        example="Error loading state dict for Tagger Missing keys: ['encoder.embeddings.position_ids'] Unexpected keys: []",
    ),
    Entry(
        "same-network-other-layout",
        "renamed",
        ("missing key",),
        r"Missing key(?:s|\(s\))?[^:]{0,40}:(?P<missing>.{0,4000}?)Unexpected key(?:s|\(s\))?[^:]{0,40}:"
        r"(?P<unexpected>.{0,4000})",
        why="both sides are the same network under the names of two libraries (`visual.` and `vision_model.`, fused and split)",
        remedy="Load it with the library that wrote it, or convert the names; `holdfast check` proposes renames.",
        weigh=of_layouts,
        test="names",
        example=(
            'Missing key(s) in state_dict: "positional_embedding", "visual.proj". Unexpected key(s) in state_dict: '
            '"text_model.embeddings.position_embedding.weight".'
        ),
    ),
    Entry(
        "attention-renamed",
        "version-mismatch",
        ("keys are missing", "key are missing"),
        r"keys? are missing.{0,400}?"
        r"(?P<tensor>[\w.]*attentions?\.\d+\.(?:proj_attn|query|key|value|to_q|to_k|to_v|to_out)\b[\w.]*)",
        why="versions of the library name the parts of attention differently (`{tensor}`): the file is of another one",
        remedy="Use the version that wrote it, or a newer one, which renames what older files hold.",
        weigh=ranked(("version-mismatch", 0.94), ("renamed", 0.82), ("missing-tensor", 0.76)),
        test="names",
        example="Cannot load <class 'VAE'> because the following keys are missing: mid_block.attentions.0.proj_attn.weight",
    ),
    Entry(
        "update-may-be-needed",
        "version-mismatch",
        (
            "you may need to update",
            "you might need to update",
            "you may need to upgrade",
            "you might need to upgrade",
        ),
        r"(?:unexpected|missing) keys?.{0,160}?you (?:may|might) need to (?:update|upgrade) (?:the )?(?P<library>[\w\-]+)",
        why="the names in the file are those of another version of {library}",
        remedy="Install the version of {library} that the model was saved with.",
        also=("unexpected-tensor", "missing-tensor"),
        weight=0.88,
        example="Error loading the model. If it is related to unexpected key(s), you may need to update the transformers version",
    ),
    Entry(
        "file-of-a-folder-absent",
        "incomplete-save",
        (
            "does not exist inside",
            "no files matching pattern",
            "no file matching the pattern",
            "no file matching pattern",
            "no files matching the pattern",
        ),
        r"[`'\"](?P<file>[\w\-]+\.\w+)[`'\"] does not exist inside|No files? matching (?:the )?pattern "
        r"[`'\"](?P<file2>[^`'\"]+)",
        why="the folder has no `{file}`, which belongs to a whole model: it was saved or downloaded in part, or is another's",
        remedy="`holdfast FOLDER` says what lies there; copy the file from the source, or save the whole model.",
        weigh=ranked(("incomplete-save", 0.84), ("not-found", 0.78), ("version-mismatch", 0.6)),
        test="whole",
        example="FileNotFoundError: No files matching pattern 'tokenizer.model' found under models/text_encoders",
    ),
    Entry(
        "single-file-part",
        "format-mismatch",
        (
            "singlefilecomponenterror",
            "weights for this component appear to be missing",
            "failed to load cliptextmodel",
            "failed to load t5encodermodel",
            "failed to load autoencoderkl",
        ),
        "",
        why="the single file lacks a part of the pipeline (text encoder, VAE), or this version does not know its layout",
        remedy="Pass the part from its own folder (`text_encoder=...`), or upgrade the library.",
        weigh=ranked(
            ("missing-tensor", 0.8), ("version-mismatch", 0.77), ("format-mismatch", 0.75), ("renamed", 0.5)
        ),
        example=(
            "SingleFileComponentError: Failed to load CLIPTextModel. Weights for this component appear to be missing in "
            "the checkpoint."
        ),
    ),
    Entry(
        "weights-of-other-size",
        "shape-mismatch",
        (
            "weights shape mismatch",
            "weight shape mismatch",
            "shape mismatch for weight",
            "tensor shape mismatch",
            "dimension mismatch for",
        ),
        "",
        why=(
            "weights of two models (or of a file and a model) have different shapes: another base, rank or version of the "
            "architecture"
        ),
        remedy="`holdfast diff A B` lists the shapes; take files of one architecture.",
        also=("format-mismatch", "version-mismatch"),
        weight=0.84,
        test="names",
        example="AssertionError: weights shape mismatch merging v1 and v2, different dims?",
    ),
    Entry(
        "no-device-set",
        "renamed",
        ("doesn't have any device set", "does not have any device set"),
        r"(?P<tensor>[\w.]+) does(?:n't| not) have any device set",
        why="the file names `{tensor}`, for which the device map has no place: its names are not those of the model",
        remedy="Strip the prefix, or make the device map from this model (`infer_auto_device_map`).",
        also=("device-mismatch", "unexpected-tensor"),
        weight=0.76,
        example="ValueError: lm_head.weight doesn't have any device set.",
    ),
    Entry(
        "offload-folder",
        "memory",
        ("will be offloaded to disk, please pass", "offloaded to disk"),
        r"will be offloaded to disk, please pass along",
        why="the model does not fit the memory that is given, and no folder for the rest is named",
        remedy="Give `offload_folder`, more memory, or a smaller number type.",
        also=("device-mismatch",),
        weight=0.86,
        example=(
            "ValueError: At least one of the model submodule will be offloaded to disk, please pass along an "
            "`offload_folder`."
        ),
    ),
    Entry(
        "checkpoint-argument",
        "not-found",
        (
            "should be the path to a file containing a whole state dict",
            "is not a folder containing a `.index.json`",
            "is neither a valid local path nor a valid repo id",
            "no sentence-transformers model found",
            "no supported config format found",
            "no such modeling files are available",
            "could not find the necessary `safetensors` weights",
            "cannot find the config file for",
            "cannot be opened for loading",
        ),
        "",
        why="at that path there is no model of the kind that is looked for: another folder, another variant, a part is missing",
        remedy="`holdfast FOLDER` says what lies there; name the folder that has the weights and their config beside each other.",
        where=loading_or_alone,
        weigh=ranked(("not-found", 0.84), ("incomplete-save", 0.72), ("format-mismatch", 0.66)),
        test="path",
        example="OSError: ./m/unet is neither a valid local path nor a valid repo id.",
    ),
    Entry(
        "shard-not-there",
        "incomplete-save",
        ("-of-",),
        r"(?:No such file|not found|does not appear to have a file|does not exist|cannot find|missing).{0,200}?"
        r"(?P<file>[\w\-]+-\d{5}-of-(?!00001\b)\d{5}\.(?:safetensors|bin|pt|pth|gguf))"
        r"|(?P<file2>[\w\-]+-\d{5}-of-(?!00001\b)\d{5}\.(?:safetensors|bin|pt|pth|gguf)).{0,120}?(?:not found|does not "
        r"exist|is missing)",
        why="a part of the weights (`{file}`) is not beside the others: the download or the save was broken off",
        remedy="Get that part again; `holdfast FOLDER` says which are there.",
        weigh=ranked(("incomplete-save", 0.93), ("not-found", 0.8), ("retention", 0.5)),
        test="whole",
        example='FileNotFoundError: No such file or directory: "./m/model-00002-of-00004.safetensors"',
    ),
    Entry(
        "resumed-with-another-version",
        "version-mismatch",
        ("from a checkpoint trained with",),
        r"resuming training from a checkpoint trained with (?P<old>[\w.]+) of \w+ but your current version is (?P<new>[\w.]+)",
        why="the checkpoint was written by version {old}, and {new} reads it",
        remedy="Install {old} to go on as before, or check what follows with a short run.",
        also=("resume-state",),
        weight=0.9,
        example=(
            "You are resuming training from a checkpoint trained with 4.28.0 of Transformers but your current version is "
            "4.40.0."
        ),
    ),
    Entry(
        "msgpack-keys",
        "unserialisable",
        ("strict_map_key",),
        r"is not allowed for map key when strict_map_key",
        why="the tree has keys that are no strings (numbers of a list), which msgpack writes and does not read back",
        remedy="Turn the keys into strings before saving; read this file with `msgpack.unpackb(..., strict_map_key=False)`.",
        weigh=ranked(("unserialisable", 0.86), ("version-mismatch", 0.74), ("format-mismatch", 0.6)),
        example="ValueError: int is not allowed for map key when strict_map_key=True",
    ),
    Entry(
        "state-dict-said-corrupt",
        "corrupt",
        ("is corrupted. are you sure it was properly saved",),
        "",
        why="the file's metadata is not what the library writes: it was written by something else, or not as a whole",
        remedy="Save it again with `save_pretrained`; `holdfast FILE` says what it holds.",
        weigh=ranked(("corrupt", 0.82), ("format-mismatch", 0.74), ("incomplete-save", 0.66)),
        test="whole",
        example=(
            "OSError: The state dictionary of the model you are trying to load is corrupted. Are you sure it was properly "
            "saved?"
        ),
    ),
    Entry(
        "hub-code-module",
        "custom-object",
        ("transformers_modules",),
        r"No module named '?transformers_modules|module 'transformers_modules[\w.]*' has no attribute"
        r"|transformers_modules[\\/.].{0,300}?"
        r"(?:cannot import name|has no attribute|No module named)",
        why="the model's own code is not found (a dot in the folder's name, a file not copied), or is of another version",
        remedy=(
            "Keep its .py files beside config.json, and no dots in the folder's name; match the library's version to the "
            "code."
        ),
        also=("version-mismatch", "not-found"),
        weight=0.84,
        example="ModuleNotFoundError: No module named 'transformers_modules.checkpoint-500'",
    ),
)
