"""Packed weights and other engines' files: bitsandbytes, GPTQ, GGUF and its converters, number types that a library lacks."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, loading_or_alone, storing_or_alone

_PACKED = re.compile(
    r"(?:qweight|qzeros|scales|g_idx|absmax|quant_map|weight_scale(?:_inv|_2)?|input_scale|weight_packed|SCB|\._scale|_scales?"
    r"|\._data|\._zeropoint|quant_state\S*|k_scale|v_scale|biases)$"
)
_ELSEWHERE = re.compile(
    r"(?:\.(?:gamma|beta)$|^(?:module|_orig_mod|base_model|transformer\.module|bert|roberta)\.|^embed_tokens|^layers\.)"
)


def unmapped(look: Look) -> list[Guess]:
    """A tensor that the converter has no name for: of quantised weights, of an adapter, under a prefix, of a newer model."""
    name = look.facts().get("tensor", "")
    guess = look.entry.guess
    if _PACKED.search(name):
        why = f"`{name}` belongs to quantised weights, which the converter does not read"
        remedy = "Convert from the weights in full precision (float16, bfloat16)."
        return [
            guess(look, "dtype-mismatch", confidence=0.84, why=why, remedy=remedy),
            guess(look, "unexpected-tensor", confidence=0.72, why=why, remedy=remedy),
            guess(look, "format-mismatch", confidence=0.66, why=why, remedy=remedy),
        ]
    if "lora_" in name or "base_layer" in name:
        remedy = "Merge the adapter first (`merge_and_unload`), or convert it with the adapters' converter."
        return [
            guess(look, "format-mismatch", confidence=0.8, remedy=remedy),
            guess(look, "unexpected-tensor", confidence=0.72, remedy=remedy),
            guess(look, "renamed", confidence=0.66, remedy=remedy),
        ]
    if _ELSEWHERE.search(name):
        return [
            guess(look, "renamed", confidence=0.78),
            guess(look, "version-mismatch", confidence=0.7),
            guess(look, "unexpected-tensor", confidence=0.68),
        ]
    return [
        guess(look, "version-mismatch", confidence=0.76),
        guess(look, "unexpected-tensor", confidence=0.72),
        guess(look, "renamed", confidence=0.64),
        guess(look, "missing-tensor", confidence=0.5),
    ]


def of_the_magic(look: Look) -> list[Guess]:
    """The first bytes, where they are told: text of a pointer or a page, an older layout's letters, another format's."""
    lower = look.reading.lower
    order = ("format-mismatch", 0.8), ("corrupt", 0.74), ("version-mismatch", 0.64)
    if re.search(r"magic characters:? '?(?:vers|<!do|<htm|\{)", lower):
        order = ("corrupt", 0.92), ("format-mismatch", 0.8), ("incomplete-save", 0.6)
    elif "unknown (magic, version)" in lower or re.search(
        r"magic characters:? '?(?:ggjt|tjgg|ggml|lmgg|fmgg|ggla)", lower
    ):
        order = ("version-mismatch", 0.88), ("format-mismatch", 0.84), ("corrupt", 0.5)
    elif re.search(r"\.(?:pth?|safetensors|ckpt|onnx|h5)\b", lower):
        order = ("format-mismatch", 0.9), ("corrupt", 0.6), ("version-mismatch", 0.5)
    elif re.search(r"ggml[\w.\-]*\.bin' ?\(bad magic", lower):
        order = ("corrupt", 0.84), ("format-mismatch", 0.82), ("version-mismatch", 0.64)
    return [look.entry.guess(look, label, confidence=sure) for label, sure in order]


ENTRIES = (
    Entry(
        "converter-unmapped",
        "version-mismatch",
        (
            "unprocessed ",
            "can not map tensor",
            "cannot map tensor",
            "unexpected tensor name",
            "unprocessed tensor",
            "unknown tensor name",
        ),
        r"can ?not map tensor '?(?P<tensor>[\w.]+)|Unexpected tensor name:? ?'?(?P<tensor2>[\w.]+)?|Unprocessed (?:tensors?"
        r"|norms|experts)"
        r"|unknown tensor name '?(?P<tensor3>[\w.]+)?",
        why="the converter has no name for `{tensor}`: a newer model, other names, or weights that were quantised or wrapped",
        remedy="Use the converter of the newest version, on the weights as the class of the model saves them.",
        weigh=unmapped,
        test="names",
        example="ValueError: Can not map tensor 'model.layers.0.self_attn.sinks'",
    ),
    Entry(
        "converter-config",
        "version-mismatch",
        ("keyerror",),
        r"(?:hparams|config|params)\[[\"'](?P<key>(?!layers\b|class_name\b|config\b|nodes\b)\w+)[\"']\].{0,160}?KeyError: '\w+'",
        why="the config has no `{key}`, which this version of the converter (or loader) reads: it knows older or newer models",
        remedy="Use the newest converter, and the config that came with the weights.",
        weigh=ranked(("version-mismatch", 0.74), ("format-mismatch", 0.66), ("incomplete-save", 0.45)),
        example="    n = self.hparams[\"model_max_length\"]\nKeyError: 'model_max_length'",
    ),
    Entry(
        "quantised-not-saved",
        "unserialisable",
        ("4-bit", "8-bit", "4bit", "8bit", "quantized", "quantised"),
        r"(?:calling `?save_pretrained`?|serializ\w+|save\w*|saving|push_to_hub).{0,120}?"
        r"(?:4-bit|4bit|8-bit|8bit|quantized|quantised).{0,120}?"
        r"(?:not supported|not (?:yet )?implemented|cannot|can't|not possible|unexpected behavior|not serializable)"
        r"|(?:4-bit|4bit|8-bit|8bit|quantized|quantised).{0,120}?"
        r"(?:cannot be saved|can't be saved|not serializable|can ?not be serialized"
        r"|serialization is not|saving is not)",
        why="this version cannot write weights that are quantised this way",
        remedy="Save the adapter alone, or the full-precision weights; newer versions write 4 and 8 bit.",
        weigh=ranked(("unserialisable", 0.9), ("dtype-mismatch", 0.84), ("version-mismatch", 0.7)),
        example=(
            "NotImplementedError: You are calling `save_pretrained` on a 4-bit converted model. This is currently not "
            "supported"
        ),
    ),
    Entry(
        "bnb-state",
        "dtype-mismatch",
        (
            "bitsandbytes",
            "quantized",
            "quantised",
            "quantization",
            "blockwise",
            "8-bit",
            "4-bit",
            "8bit",
            "4bit",
            "fp8",
            "int8",
        ),
        r"does not contain `bitsandbytes__\*`|quantized_stats|Blockwise quantization only supports"
        r"|(?:4-bit|8-bit|4bit|8bit|quantized|quantised|quantization|fp8|int8).{0,160}?"
        r"(?:not supported|is not possible|cannot|can't|mismatch|doesn't support|does not support"
        r"|incompatible|unexpected(?! keyword)|missing|not (?:yet )?implemented|only supports?)",
        why="the checkpoint and the model are quantised in different ways (or only one of them is)",
        remedy="Load with the quantisation config that saved, or from the full-precision weights; save adapters apart.",
        where=storing_or_alone,
        also=("version-mismatch", "unserialisable", "format-mismatch"),
        weight=0.76,
        test="names",
        example=(
            "ValueError: Supplied state dict for layers.0.weight does not contain `bitsandbytes__*` and "
            "possibly other `quantized_stats` components."
        ),
    ),
    Entry(
        "number-type-unknown",
        "dtype-mismatch",
        ("keyerror", "data type", "dtype", "unsupported", "could not convert", "type promotion"),
        r"KeyError: '?(?:BF16|F8_\w+|torch\.bfloat16|torch\.float8\w*|bfloat16)|(?:data type"
        r"|dtype) '?(?:bfloat16|float8\w*|\w+)'? (?:is )?not (?:understood|supported|recognized)"
        r"|unsupported (?:ScalarType|dtype|data type):? ?'?(?P<got>\w+)?"
        r"|could not convert .{0,40}(?:bfloat16|float8)|type promotion for float8",
        why="the tensors are of a number type ({got}) that this library, version or device does not know",
        remedy="Upgrade the library, or save again as float32 or float16.",
        where=storing_or_alone,
        also=("version-mismatch", "device-mismatch"),
        weight=0.72,
        example="TypeError: data type 'bfloat16' not understood (loading safetensors checkpoint)",
    ),
    Entry(
        "gguf-broken",
        "corrupt",
        (
            "not within the file bounds",
            "corrupted or incomplete",
            "tensor data is not within",
            "failed to read magic",
            "unexpectedly reached end of file",
            "read error: read",
        ),
        r"not within the file bounds|(?:model|file) is corrupted or incomplete|failed to read magic"
        r"|unexpectedly reached end of file|read error: read \d+ blocks instead of \d+",
        why="the file ends before its data does: half downloaded or copied",
        remedy="Compare its size with the source, and get it again.",
        also=("incomplete-save",),
        weight=0.9,
        test="whole",
        example="error loading model: tensor 'blk.9.ffn' data is not within the file bounds, model is corrupted or incomplete",
    ),
    Entry(
        "gguf-magic",
        "format-mismatch",
        (
            "invalid magic characters",
            "is this really a ggml file",
            "bad magic",
            "unknown (magic, version)",
            "bad file magic",
            "invalid model file",
            "not a gguf",
            "no gguf",
            "not a valid gguf",
            "magic number mismatch",
            "wrong magic",
        ),
        r"invalid magic characters|is this really a ggml file|bad magic(?! number)|unknown \(magic, version\)|bad file magic"
        r"|invalid model file|not a (?:valid )?gguf|no gguf|magic number mismatch|wrong magic",
        why="the file is no GGUF of a version that this program reads: an older layout (GGML), another format, or a pointer",
        remedy="Convert it with the converter of this version; `holdfast FILE` says what the file is.",
        weigh=of_the_magic,
        test="whole",
        example="gguf_init_from_file: invalid magic characters 'PK'",
    ),
    Entry(
        "gguf-tensors",
        "missing-tensor",
        (
            "wrong number of tensors",
            "missing tensor '",
            "key not found in model",
            "create_tensor: tensor",
            "is missing from model",
        ),
        r"wrong number of tensors; expected (?P<want>\d+), got (?P<got>\d+)"
        r"|missing tensor '(?P<tensor>[\w.]+)'"
        r"|create_tensor: tensor '(?P<tensor2>[\w.]+)' not found|tensor '(?P<tensor3>[\w.]+)' is missing from model"
        r"|key not found in model: (?P<key>[\w.]+)",
        why="the file holds other tensors than this program's architecture wants",
        remedy="Convert it anew with the converter of this version.",
        weigh=ranked(
            ("version-mismatch", 0.8),
            ("missing-tensor", 0.76),
            ("unexpected-tensor", 0.6),
            ("renamed", 0.5),
        ),
        test="names",
        example="done_getting_tensors: wrong number of tensors; expected 292, got 291",
    ),
    Entry(
        "gguf-architecture",
        "version-mismatch",
        (
            "unknown model architecture",
            "unsupported model version",
            "model architecture not supported",
            "not supported by this version",
            "unknown pre-tokenizer",
            "pre-tokenizer was not recognized",
            "unsupported architecture",
            "unknown model type",
            "unrecognized model type",
            "unsupported model type",
            "architecture is not supported",
            "are not supported for now",
            "invalid ggml type",
            "unknown tensor type",
            "unknown ggml type",
            "cannot find tokenizer merges",
            "error loading model vocabulary",
            "unknown tokenizer",
            "unsupported tokenizer",
            "duplicated tensor",
            "error loading model hyperparameters",
        ),
        "",
        why="the model is of a kind that this version does not know",
        remedy="Upgrade the program (and its converter) to a version that knows it.",
        where=loading_or_alone,
        also=("format-mismatch", "custom-object"),
        weight=0.84,
        example="error loading model architecture: unknown model architecture: 'qwen9'",
    ),
    Entry(
        "numpy-reshape-weights",
        "shape-mismatch",
        (
            "cannot reshape array of size",
            "could not broadcast input array",
            "buffer is smaller than requested",
            "is invalid for input of size",
            "cannot broadcast",
        ),
        r"cannot reshape array of size (?P<got>\d+) into shape (?P<want>\(?[\d, ]+\)?)"
        r"|could not broadcast input array from shape (?P<a>\([\d, ]*\)) into shape (?P<b>\([\d, ]*\))"
        r"|buffer is smaller than requested size|shape '(?P<want2>\[[\d, ]*\])' is invalid for input of size (?P<got2>\d+)",
        why=(
            "the numbers in the file ({got}) do not fill the shape that the model wants ({want}): another "
            "architecture, or the file is cut short"
        ),
        remedy="Use the config that belongs to these weights; compare the file's size with its source.",
        calls=(
            "load_weights",
            "load_darknet_weights",
            "load_state_dict",
            "restore",
            "set_weights",
            "load_params",
            "load_model",
        ),
        context=(
            "load_weights",
            "darknet",
            "checkpoint",
            "pretrained",
            ".weights",
            "restor",
            "load_state_dict",
        ),
        only_in=True,
        where=loading,
        also=("corrupt", "incomplete-save", "format-mismatch"),
        weight=0.72,
        test="names",
        example=(
            '  File "a.py", line 1, in load_weights\n    x\nValueError: cannot reshape array of size 35 '
            "into shape (512,256,3,3)"
        ),
    ),
)
