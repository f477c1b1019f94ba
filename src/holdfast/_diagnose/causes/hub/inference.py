"""Servers of language models that read checkpoints themselves: vLLM, SGLang, TGI, MLX.

Messages: vllm/model_executor (model_loader, models/utils, layers, quantization), vllm/config, text-generation-inference
server/utils (weights, hub), mlx/nn/layers/base.py, mlx_lm/utils.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone

_NEWER = "Upgrade the server to a version that knows this model and its quantisation."

_LEFT_OUT_LATER = re.compile(
    r"(?:inv_freq|position_ids|masked_bias|attn\.bias|rotary_emb\.\w+|num_batches_tracked|cos_cached|sin_cached)$"
)
"""Buffers that older versions wrote and newer do not (or the other way round)."""


def lacking(look: Look) -> list[Guess]:
    """A weight that a server wants: a buffer of another version, one that is tied, or a layer's."""
    name = look.facts().get("tensor", "")
    guess = look.entry.guess
    if _LEFT_OUT_LATER.search(name):
        why = f"`{name}` is a buffer that other versions of the library write, or leave out"
        return [
            guess(look, "version-mismatch", confidence=0.88, why=why),
            guess(look, confidence=0.8),
            guess(look, "renamed", confidence=0.5),
        ]
    if re.search(
        r"\.(?:scales|biases|qweight|weight_scale\w*|per_channel_scale|absmax|zeros|qzeros)\b",
        look.reading.flat,
    ):
        why = f"`{name}` belongs to quantised weights: the file is not quantised as this version of the program takes it to be"
        return [
            guess(look, confidence=0.86, why=why),
            guess(look, "version-mismatch", confidence=0.82, why=why),
            guess(look, "dtype-mismatch", confidence=0.8, why=why),
        ]
    return [
        guess(look, confidence=0.86),
        guess(look, "renamed", confidence=0.7),
        guess(look, "version-mismatch", confidence=0.68),
        guess(look, "dtype-mismatch", confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "served-surplus",
        "unexpected-tensor",
        (
            "there is no module or parameter named",
            "received parameters not in model",
            "parameters not in model",
            "provided but not required tensors",
            "provided but not expected tensors",
            "unexpected weight",
            "is not found in params_dict",
            "not found in the model's parameters",
        ),
        r"There is no module or parameter named '(?P<tensor>[\w.]+)'|Received (?:\d+ )?parameters not in model:? "
        r"?(?P<tensor2>[\w.]+)?"
        r"|parameters not in model|unexpected weight|Provided but not (?:required|expected) tensors",
        why="the file names `{tensor}`, which the server's model has not: another class, prefix or quantisation wrote it",
        remedy=_NEWER + " Merge adapters first, and save the model without wrappers.",
        weigh=ranked(
            ("unexpected-tensor", 0.78), ("renamed", 0.7), ("version-mismatch", 0.66), ("dtype-mismatch", 0.5)
        ),
        where=loading_or_alone,
        test="names",
        example="ValueError: There is no module or parameter named 'language_model' in Gemma3ForCausalLM",
    ),
    Entry(
        "served-lacking",
        "missing-tensor",
        (
            "does not exist",
            "weights were not initialized from checkpoint",
            "parameters: ",
            "not initialized from checkpoint",
            "required but not provided tensors",
        ),
        r"\bweight (?P<tensor>[\w.]+) does not exist|[Ww]eights were not initialized from checkpoint|Missing (?:\d+ "
        r")?parameters: (?P<tensor2>[\w.]+)"
        r"|Required but not provided tensors",
        why=(
            "the server's model wants `{tensor}`, which the file has not: tied or merged weights, another quantisation, "
            "other names"
        ),
        remedy=_NEWER,
        weigh=lacking,
        test="names",
        example="RuntimeError: weight model.layers.0.self_attn.q_proj.weight does not exist",
    ),
    Entry(
        "served-shape",
        "shape-mismatch",
        ("but received shape", "attempted to load weight"),
        r"Expected shape \((?P<want>[\d, ]+)\) but received shape \((?P<got>[\d, ]+)\) for parameter (?P<tensor>[\w.]+)"
        r"|Attempted to load weight",
        why=(
            "a weight of the file has another shape than the server's model: quantised otherwise, padded, or cut for other "
            "processes"
        ),
        remedy="Give the quantisation that the file has, and the config beside it; "
        + _NEWER[0].lower()
        + _NEWER[1:],
        weigh=ranked(
            ("shape-mismatch", 0.86), ("dtype-mismatch", 0.7), ("version-mismatch", 0.66), ("topology", 0.55)
        ),
        test="names",
        example=(
            "ValueError: Expected shape (4096, 512) but received shape (4096, 4096) for parameter "
            "model.layers.0.q_proj.weight"
        ),
    ),
    Entry(
        "served-kind-unknown",
        "version-mismatch",
        ("model type ", "unsupported model type", "unsupported model_type", "architecture '"),
        r"Model type '?\"?(?P<kind>[\w\-.]+)'?\"? (?:is )?not supported"
        r"|(?:Unsupported model type|Unsupported model_type):? ?'?(?P<kind2>[\w\-.]+)?"
        r"|Architecture '(?P<kind3>\w+)' not supported",
        why="the model is of a kind ({kind}) that this version does not know",
        remedy=_NEWER,
        also=("custom-object", "format-mismatch"),
        weight=0.85,
        where=loading_or_alone,
        example="ValueError: Model type qwen9 not supported.",
    ),
    Entry(
        "served-no-weights",
        "not-found",
        (
            "cannot find any model weights",
            "no local weights found",
            "no safetensors weights found",
            "no .bin weights found",
            "weights not found in the local cache",
            "no safetensors found",
            "no model weights found",
            "no weights found",
        ),
        "",
        why="the folder has no weights of the kind that is looked for: another format, a sub-folder, an unfinished download",
        remedy="`holdfast FOLDER` says what lies there; convert, or give the server the format (`--load-format`).",
        weigh=ranked(("not-found", 0.8), ("incomplete-save", 0.7), ("format-mismatch", 0.68)),
        test="path",
        example="RuntimeError: Cannot find any model weights with `./out`",
    ),
    Entry(
        "served-device-too-old",
        "device-mismatch",
        (
            "is only supported on gpus with compute capability",
            "not supported for the current gpu",
            "minimum capability",
            "requires compute capability",
            "compute capability",
        ),
        r"is only supported on GPUs with compute capability|not supported for the current GPU|requires? compute capability"
        r"|minimum capability:? ?\d",
        why="this device cannot compute in the number type (or quantisation) of the checkpoint",
        remedy="Give another type (`--dtype half`), or take weights that are quantised in a way this device knows.",
        where=loading_or_alone,
        also=("dtype-mismatch", "version-mismatch"),
        weight=0.84,
        example="ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0.",
    ),
    Entry(
        "served-parts",
        "topology",
        (
            "must be divisible by tensor parallel",
            "must be divisible by tensor_parallel",
            "is not divisible by min_thread",
            "not divisible by tensor",
            "is not divisible by weight quantization block",
            "must be divisible by the number of shards",
            "not evenly divisible by tp",
        ),
        "",
        why="the model's sizes cannot be divided among that many devices (with the blocks of its quantisation)",
        remedy="Take a number of devices that divides its heads and its inner sizes; the rest by pipeline parallelism.",
        also=("shape-mismatch", "dtype-mismatch"),
        weight=0.9,
        example="ValueError: Total number of attention heads (28) must be divisible by tensor parallel size (8).",
    ),
)
