"""Adapters (LoRA and its kin, textual inversions): files of several trainers, laid over a base model.

Messages: diffusers/loaders (lora_conversion_utils, lora_pipeline, peft), peft (peft_model, tuners, utils/save_and_load),
vllm/lora, ComfyUI comfy/lora.py, web UIs' extensions for networks.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone

_TRAINER = "Use the version of the loader that knows this trainer's layout, or convert the adapter with the trainer's own script."
_BASE = "Load the base model that the adapter was trained on (its adapter_config.json names it), with the same rank and targets."


def left_out(look: Look) -> list[Guess]:
    """Keys of an adapter that found no place: the names of another trainer, or parts that are not wanted."""
    said = look.match[0].lower()
    if "missing" in said:
        return [
            look.entry.guess(look, "missing-tensor", confidence=0.74),
            look.entry.guess(look, "renamed", confidence=0.7),
            look.entry.guess(look, "version-mismatch", confidence=0.58),
        ]
    return [
        look.entry.guess(look, confidence=0.76),
        look.entry.guess(look, "renamed", confidence=0.7),
        look.entry.guess(look, "format-mismatch", confidence=0.66),
        look.entry.guess(look, "version-mismatch", confidence=0.6),
    ]


def packed(look: Look) -> list[Guess]:
    """A column that is longer than the other side's first dimension: weights packed by bitsandbytes."""
    a, b, c, d = (int(look.match[name]) for name in "abcd")
    if not ((b == 1 and d > 1) or (d == 1 and b > 1)) or a == c:
        return []
    return [
        look.entry.guess(look, confidence=0.99),
        look.entry.guess(look, "shape-mismatch", confidence=0.92),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


def of_a_converter(look: Look) -> list[Guess]:
    """Keys left over, a key missed, or no key found at all, where a library converts another trainer's adapter."""
    said = look.match[0].lower()
    order = ("version-mismatch", 0.86), ("missing-tensor", 0.74), ("format-mismatch", 0.72)
    if "at this point" in said:
        order = ("unexpected-tensor", 0.86), ("version-mismatch", 0.8), ("format-mismatch", 0.7)
    elif "rank_dict" in said:
        order = ("version-mismatch", 0.82), ("format-mismatch", 0.78), ("renamed", 0.7)
    return [look.entry.guess(look, label, confidence=sure) for label, sure in order]


ENTRIES = (
    Entry(
        "adapter-converter",
        "version-mismatch",
        ("lora", "state_dict", "rank_dict"),
        r"(?:_convert_\w*lora\w*|lora_conversion_utils\.py).{0,600}?KeyError|\w*state_dict`? should be at this point but has"
        r"|rank_dict\b.{0,160}?IndexError",
        why="the library's converter does not know this trainer's layout (or this version of it)",
        remedy=_TRAINER,
        weigh=of_a_converter,
        test="names",
        example="ValueError: `old_state_dict` should be at this point but has: ['single_blocks.0.proj_lora.down.weight'].",
    ),
    Entry(
        "adapter-keys-incompatible",
        "format-mismatch",
        (
            "incompatible keys detected",
            "incorrect lora format",
            "unsupported lora format",
            "unknown lora type",
            "unknown lora format",
            "not a supported lora",
            "lora type is not supported",
            "lora format is not supported",
            "unsupported lora",
            "does not seem to be in the correct format",
            "does not seem to be a lora",
            "invalid lora file",
            "invalid lora state",
            "not in the correct lora format",
            "the old lora format",
            "lora weights using the old format",
            "loaded state dictionary is incorrect",
            "bad file inside",
            "couldn't identify",
            "unrecognized adapter",
            "unknown adapter",
        ),
        "",
        why="the adapter was written by another trainer than this loader reads (names and layout differ)",
        remedy=_TRAINER,
        where=storing_or_alone,
        weigh=ranked(
            ("format-mismatch", 0.8),
            ("renamed", 0.66),
            ("version-mismatch", 0.62),
            ("unexpected-tensor", 0.58),
        ),
        test="names",
        example="ValueError: Incompatible keys detected: lora_unet_x.alpha, lora_unet_x.lora_down.weight",
    ),
    Entry(
        "adapter-keys-left-out",
        "unexpected-tensor",
        (
            "not have been correctly be renamed",
            "have not been correctly",
            "lora key not loaded",
            "keys not loaded",
            "failed to match keys when loading network",
            "led to unexpected keys",
            "led to missing keys",
            "found missing adapter keys",
            "missing adapter keys",
            "unsupported lora weight",
            "expected target modules in",
            "no lora keys associated to",
            "no lora keys found",
            "no lora layers found",
            "no lora weights found",
            "lora keys not found",
            "loading lora weights failed",
            "unexpected lora",
            "missing lora",
        ),
        "",
        why="names in the adapter find no layer in the model: another trainer's names, another base model, or parts it lacks",
        remedy=_TRAINER,
        weigh=left_out,
        test="names",
        example="lora key not loaded: lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha",
    ),
    Entry(
        "adapter-rank",
        "shape-mismatch",
        ("greater than max_lora_rank", "max_lora_rank", "rank mismatch", "lora rank"),
        r"LoRA rank (?P<got>\d+) is greater than max_lora_rank (?P<want>\d+)|rank mismatch|lora rank .{0,60}(?:mismatch"
        r"|differ|larger|expected)",
        why="the adapter's rank ({got}) is not the one that room was made for ({want})",
        remedy="Give the rank of its adapter_config.json (`r`; for the server `--max-lora-rank`).",
        also=("format-mismatch", "unexpected-tensor"),
        weight=0.84,
        example="ValueError: LoRA rank 64 is greater than max_lora_rank 16.",
    ),
    Entry(
        "adapter-files-absent",
        "not-found",
        (
            "can't find 'adapter_config.json'",
            "can't find adapter_config.json",
            "can't find weights for",
            "no file named pytorch_lora_weights",
            "no adapter found",
            "no file named adapter_config.json",
            "provide a valid adapter",
            "adapter_config.json not found",
        ),
        "",
        why="the folder holds no adapter: another folder (the checkpoint above or below it), or the whole model was saved",
        remedy="`holdfast FOLDER` says what lies there; an adapter is adapter_config.json beside adapter_model.safetensors.",
        weigh=ranked(("not-found", 0.8), ("incomplete-save", 0.66), ("format-mismatch", 0.62)),
        test="path",
        example="ValueError: Can't find 'adapter_config.json' at './out/final'",
    ),
    Entry(
        "adapter-merge-quantised",
        "dtype-mismatch",
        (
            "cannot merge lora layers when the model is loaded in",
            "cannot merge lora layers when the model is",
            "cannot merge adapters when",
            "merge lora module to 4-bit",
            "merge lora module to 8-bit",
            "cannot merge when the model is",
        ),
        "",
        why="an adapter cannot be merged into quantised weights as they stand",
        remedy="Load the base model in float16 or bfloat16, merge, save, and quantise again.",
        also=("version-mismatch", "unserialisable"),
        weight=0.86,
        example="ValueError: Cannot merge LORA layers when the model is loaded in 8-bit mode",
    ),
    Entry(
        "adapter-kind-unknown",
        "version-mismatch",
        (
            "keyerror: 'peft_type'",
            "keyerror: 'lora",
            "keyerror: <pefttype",
            "no attribute 'merge_and_unload'",
            "keyerror: 'xlora'",
            "keyerror: 'dora'",
            "keyerror: 'base_model_name_or_path'",
            "keyerror: 'target_modules'",
            "pefttype",
        ),
        r"KeyError: '(?P<key>peft_type|lora\w*|xlora|dora|base_model_name_or_path|target_modules)'|KeyError: <PeftType"
        r"|has no attribute 'merge_and_unload'|is not a valid PeftType",
        why="the adapter's config is of another version of PEFT (or of another library) than reads it ({key})",
        remedy="Install the version of PEFT that saved it; `peft_version` in newer adapter_config.json tells it.",
        also=("format-mismatch", "custom-object"),
        weight=0.76,
        example="KeyError: 'peft_type'",
    ),
    Entry(
        "packed-weights-shape",
        "dtype-mismatch",
        (
            "copying a param with shape torch.size([",
            ", 1])",
        ),
        r"\.weight: copying a param with shape torch\.Size\(\[(?P<a>\d+), (?P<b>\d+)\]\) from checkpoint, the shape in "
        r"current model is "
        r"torch\.Size\(\[(?P<c>\d+), (?P<d>\d+)\]\)",
        why="one side holds the weights packed to 4 bits (a long column), the other in full: they are not quantised alike",
        remedy="Load with the quantisation config that saved it, or from the full-precision weights.",
        weigh=packed,
        test="names",
        example=(
            "size mismatch for h.0.fc.weight: copying a param with shape torch.Size([64, 64]) from checkpoint, the shape in "
            "current model is torch.Size([2048, 1])."
        ),
    ),
    Entry(
        "adapter-saved-empty",
        "topology",
        ("torch.size([0])",),
        r"(?:param(?:eter)?(?: with shape| of)?|size|shape) ?torch\.Size\(\[0\]\)(?: from checkpoint)?|got torch\.Size\(\[0\]\)",
        why=(
            "the tensor is empty in the checkpoint: each process held a part of it (ZeRO-3, FSDP), and nothing was "
            "gathered before the save"
        ),
        remedy=(
            "Save the gathered weights: `stage3_gather_16bit_weights_on_model_save`, `zero_to_fp32.py`, "
            "`accelerator.get_state_dict(model)`."
        ),
        weigh=ranked(("topology", 0.97), ("shape-mismatch", 0.93), ("incomplete-save", 0.8)),
        test="names",
        example=(
            "size mismatch for lm_head.weight: copying a param with shape torch.Size([0]) from checkpoint, the shape in "
            "current model is torch.Size([32000, 64])."
        ),
    ),
    Entry(
        "adapter-rank-three",
        "shape-mismatch",
        (", 1]) from checkpoint", ", 1, 1]) from checkpoint"),
        r"lora_[AB][\w.]*: copying a param with shape torch\.Size\(\[\d+, \d+, 1\]\) from checkpoint",
        why="the adapter was written by an old PEFT that joined several projections into one convolution; later ones do not",
        remedy="Load with the PEFT it was trained with (0.2), merge, and save the merged model.",
        weigh=ranked(("shape-mismatch", 0.93), ("version-mismatch", 0.92), ("format-mismatch", 0.5)),
        test="names",
        example=(
            "size mismatch for h.0.attn.lora_B.default.weight: copying a param with shape torch.Size([64, 8, 1]) from "
            "checkpoint, the shape in current model is torch.Size([96, 8])."
        ),
    ),
)
