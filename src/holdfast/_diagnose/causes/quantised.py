"""Packed weights and other engines' files: bitsandbytes, GPTQ, GGUF and its converters, number types that a library lacks."""

from __future__ import annotations

from ..knowledge import Entry, ranked
from ..where import loading, loading_or_alone, storing_or_alone

ENTRIES = (
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
        r"|incompatible|unexpected|missing|not (?:yet )?implemented|only supports?)",
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
        "",
        why="the file is no GGUF of a version that this program reads: an older layout (GGML), another format, or a pointer",
        remedy="Convert it with the converter of this version; `holdfast FILE` says what the file is.",
        weigh=ranked(("format-mismatch", 0.76), ("version-mismatch", 0.64), ("corrupt", 0.55)),
        test="whole",
        example="gguf_init_from_file: invalid magic characters 'vers'",
    ),
    Entry(
        "gguf-tensors",
        "missing-tensor",
        (
            "wrong number of tensors",
            "missing tensor '",
            "can not map tensor",
            "unexpected tensor name",
            "key not found in model",
        ),
        r"wrong number of tensors; expected (?P<want>\d+), got (?P<got>\d+)"
        r"|missing tensor '(?P<tensor>[\w.]+)'|can not map tensor '?(?P<tensor2>[\w.]+)"
        r"|unexpected tensor name"
        r"|key not found in model: (?P<key>[\w.]+)",
        why="the file holds other tensors than this program's architecture wants",
        remedy="Convert it anew with the converter of this version.",
        weigh=ranked(
            ("missing-tensor", 0.66),
            ("version-mismatch", 0.64),
            ("unexpected-tensor", 0.55),
            ("renamed", 0.45),
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
            "is not supported yet",
            "are not supported for now",
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
