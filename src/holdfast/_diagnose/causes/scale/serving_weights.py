"""Weights that are read by inference engines and by trainers that fill them: vLLM, SGLang, verl and their kin.

Messages: vllm/model_executor/{parameter,model_loader,layers/linear,layers/vocab_parallel_embedding,models/utils}.py, vllm/lora.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, beside, ranked
from ...where import loading_or_alone

_QUANTISED = re.compile(
    r"bnb|bitsandbytes|4bit|8bit|awq|gptq|qweight|qzeros|g_idx|absmax|quant_state|quant_map|weight_scale|input_scale"
    r"|fp8|marlin"
    r"|gguf|compressed|\.scales|zero_point|quantiz",
    re.I,
)


def assertion_of_shapes(look: Look) -> list[Guess]:
    """Shapes differ: packed by a quantiser, or of another model, or cut otherwise."""
    quantised = _QUANTISED.search(look.reading.flat) is not None
    shape = look.entry.guess(look, confidence=0.74 if quantised else 0.84)
    packed = look.entry.guess(
        look, "dtype-mismatch", confidence=0.86 if quantised else 0.72,
        why="the checkpoint is quantised (its tensors are packed), and is read as if it were not, or by another method",
        remedy="Give `quantization=` (and `load_format=`) of that checkpoint, or take the unquantised weights.",
    )  # fmt: skip
    cut = re.search(r"--tp\b|tensor[-_]parallel|tp_size|tp_rank|presharded", look.reading.text) is not None
    return [
        shape,
        packed,
        look.entry.guess(look, "topology", confidence=0.88 if cut and not quantised else 0.66),
    ]


def of_the_header(look: Look) -> list[Guess]:
    """A header of another version says so; one that cannot be read is cut off or damaged."""
    order = (
        ("corrupt", "version-mismatch")
        if re.search("failed to read|duplicated", look.match[0], re.I)
        else ("version-mismatch", "format-mismatch")
    )
    sure = 0.88 if re.search(r"gguf|ggml|llama|invalid model|gguf", look.reading.lower) else 0.3
    return [
        look.entry.guess(look, order[0], confidence=sure),
        look.entry.guess(look, order[1], confidence=sure * 0.7),
    ]


def unknown_name(look: Look) -> list[Guess]:
    """A tensor for which the engine has no parameter: of a quantiser, of a wrapper, or of another model."""
    key = look.facts().get("key", "")
    if (
        "Transformers" in look.reading.flat[look.match.end() : look.match.end() + 60]
    ):  # the engine has no model of its own for it
        rows = (("version-mismatch", 0.8), ("unexpected-tensor", 0.76), ("renamed", 0.6))
    elif _QUANTISED.search(key):
        rows = (("dtype-mismatch", 0.8), ("unexpected-tensor", 0.74), ("version-mismatch", 0.68))
    elif re.search(r"base_layer|lora_", key) or re.match(
        r"(?:module|base_model|_orig_mod|model\.model|language_model|model\.language_model|actor)\b", key
    ):
        rows = (("renamed", 0.86), ("unexpected-tensor", 0.7), ("version-mismatch", 0.62))
    else:
        rows = (("unexpected-tensor", 0.8), ("version-mismatch", 0.68), ("renamed", 0.66))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def packed(look: Look) -> list[Guess]:
    """A column of bytes, two numbers of four bits in each, against a matrix."""
    side = [[int(n) for n in look.match[name].split(",")] for name in ("got", "want")]
    columns = [n for n in side if n[1] == 1 and n[0] > 64]
    others = [n for n in side if n[1] != 1]
    if len(columns) != 1 or len(others) != 1:
        return []
    rows, (height, width) = columns[0][0], others[0]
    if width and rows * 2 != height * width and rows != height * width:
        return []
    return [
        look.entry.guess(look, confidence=0.985),
        look.entry.guess(look, "shape-mismatch", confidence=0.6),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


ENTRIES = (
    Entry(
        "packed-four-bit",
        "dtype-mismatch",
        ("copying a param with shape torch.size([",),
        r"copying a param with shape torch\.Size\(\[(?P<got>\d+, \d+)\]\) from checkpoint, the shape in current model is "
        r"torch\.Size\(\[(?P<want>\d+, \d+)\]\)",
        why="one side holds four-bit weights packed into a column of bytes ({got}), the other whole ones ({want})",
        remedy="Load it by the loader of that quantisation (bitsandbytes `load_in_4bit`, the NF4 node), or take whole weights.",
        weigh=packed,
        test="names",
        example=(
            "size mismatch for in.weight: copying a param with shape torch.Size([98304, 1]) from checkpoint, the shape in "
            "current model is torch.Size([3072, 64])."
        ),
    ),
    Entry(
        "engine-shapes",
        "shape-mismatch",
        (
            "param_data.shape == loaded_weight.shape",
            "param.size() == loaded_weight.size()",
            "attempted to load weight (",
            "self.data.shape == loaded_weight.shape",
            "loaded_weight.shape[",
            "== loaded_weight.",
            "loaded_weight.shape ==",
            "param.shape == loaded_weight.shape",
            "loaded_weight.size()",
            "weight shape mismatch",
            "tried to load weights of size",
            ".shape == param.shape",
            ".shape == weight.shape",
        ),
        r"Attempted to load weight \((?P<got>torch\.Size\([^)]*\))\) into parameter \((?P<want>torch\.Size\([^)]*\))\)"
        r"|(?:param(?:_data)?|self\.data|param)\.(?:shape|size\(\)) == loaded_weight\.(?:shape|size\(\))"
        r"|loaded_weight\.shape(?:\[[\w ]+\])? ==|loaded_weight\.size\(\)|weight shape mismatch: [^\n]{0,100}"
        r"|\w\]?\.shape == (?:param|weight)\.shape"
        r"|Tried to load weights of size (?P<got2>torch\.Size\([^)]*\)) ?to a parameter of size "
        r"(?P<want2>torch\.Size\([^)]*\))",
        why="a weight has shape {got} in the checkpoint where the engine's model has {want}",
        remedy=(
            "The config must be that of the weights (vocabulary, heads, quantisation); look with `holdfast inspect "
            "PATH`."
        ),
        weigh=assertion_of_shapes,
        test="names",
        example="    assert param_data.shape == loaded_weight.shape\nAssertionError",
    ),
    Entry(
        "engine-unknown-name",
        "unexpected-tensor",
        (
            "there is no module or parameter named",
            "unsupported lora weight",
            "is expected to contain target modules",
            "params_dict[",
            "state_dict[name]",
        ),
        r"There is no module or parameter named '?(?P<key>[\w.]+)|unsupported LoRA weight:? ?(?P<key2>[\w.]+)?"
        r"|is expected to contain target modules|params_dict\[\w+\].{0,120}?KeyError: '(?P<key3>[\w.]+)'"
        r"|model_executor/.{0,200}?\bstate_dict\[name\].{0,120}?KeyError: '(?P<key4>[\w.]+)'",
        why="the checkpoint has `{key}`, for which the engine's model has no place",
        remedy=(
            "Use an engine of a version that knows this model, strip the prefix, or convert (merge the adapter, "
            "requantise)."
        ),
        weigh=unknown_name,
        test="names",
        example="ValueError: There is no module or parameter named 'score' in LlamaForCausalLM",
    ),
    Entry(
        "engine-not-initialised",
        "missing-tensor",
        ("weights were not initialized from checkpoint", "weights are not initialized from checkpoint"),
        r"weights (?:were|are) not initialized from checkpoint:? ?\{?'?(?P<tensor>[\w.]+)?",
        why="the engine's model has weights that the checkpoint lacks (`{tensor}`)",
        remedy="Is the checkpoint whole (`holdfast PATH`), and of this architecture? Tied heads need the config to say so.",
        also=("renamed", "version-mismatch", "incomplete-save"),
        weight=0.88,
        test="names",
        example="ValueError: Following weights were not initialized from checkpoint: {'lm_head.weight'}",
    ),
    Entry(
        "engine-parallel",
        "topology",
        (
            "is not aligned with the quantized weight shape",
            "too large tensor parallel size",
            "is not divisible by weight quantization",
            "not divisible by tensor parallel",
        ),
        "",
        why="the weights cannot be cut for that many processes (heads or groups of the quantiser do not divide)",
        remedy="Use a smaller `tensor_parallel_size` that divides, or another quantisation group.",
        also=("dtype-mismatch", "shape-mismatch"),
        weight=0.84,
        example="ValueError: The input size is not aligned with the quantized weight shape.",
    ),
    Entry(
        "engine-no-weights",
        "not-found",
        (
            "cannot find any model weights",
            "no safetensors weights found",
            "unable to find matching target",
            "no weights found",
        ),
        r"Cannot find any model weights with `?(?P<path>\S+?)`?(?:$|\s)|No safetensors weights found|no weights found"
        r"|Unable to find matching target",
        why="the folder has no weights of a kind that the engine looks for",
        remedy=(
            "Merge the adapter or consolidate the shards first; `holdfast PATH` says what lies there, and "
            "`load_format=` what is read."
        ),
        weigh=ranked(("not-found", 0.74), ("format-mismatch", 0.68), ("incomplete-save", 0.62)),
        test="path",
        example="RuntimeError: Cannot find any model weights with `out/run1`",
    ),
    Entry(
        "engine-unknown-architecture",
        "version-mismatch",
        (
            "are not supported for now",
            "has no vllm implementation",
            "does not recognize this architecture",
            "failed to be inspected",
        ),
        r"Model architectures? \[?[^\]\n]{1,120}\]? (?:are not supported for now|failed to be inspected)|has no vLLM "
        r"implementation",
        why="this version of the engine does not know the model's architecture",
        remedy="Install the version that does, and check `architectures` in config.json.",
        where=loading_or_alone,
        also=("custom-object", "format-mismatch"),
        weight=0.8,
        example="ValueError: Model architectures ['NewForCausalLM'] are not supported for now.",
    ),
    Entry(
        "engine-lora",
        "shape-mismatch",
        ("max_lora_rank", "no adapter found for", "loading lora"),
        r"LoRA rank (?P<rank>\d+) is greater than max_lora_rank (?P<most>\d+)|No adapter found for (?P<path>\S+)"
        r"|Loading lora \S+ failed",
        why=(
            "the adapter does not fit the engine's settings (rank {rank}, at most {most}), or is not where it is "
            "looked for"
        ),
        remedy="Raise `max_lora_rank`, or give the folder with `adapter_config.json`.",
        weigh=ranked(("shape-mismatch", 0.6), ("not-found", 0.58), ("format-mismatch", 0.5)),
        example="ValueError: LoRA rank 64 is greater than max_lora_rank 16.",
    ),
    Entry(
        "engine-no-such-module",
        "unexpected-tensor",
        ("in the base model", "is unsupported lora weight", "not found in base model"),
        r"No module named (?P<tensor>[\w.]+) in the base model|(?P<tensor2>[\w.]+) is unsupported LoRA weight"
        r"|(?P<tensor3>[\w.]+) not found in base model",
        why="the adapter has `{tensor}{tensor2}{tensor3}`, and the engine has no place of that name",
        remedy="Merge the adapter (`merge_and_unload`) and serve whole weights; or train only what the engine takes.",
        weigh=ranked(("unexpected-tensor", 0.86), ("renamed", 0.68), ("version-mismatch", 0.6)),
        test="names",
        example="ValueError: No module named model.layers.0.mlp.lora_A.weight in the base model",
    ),
    Entry(
        "adapter-of-a-rank",
        "topology",
        ("slice_lora", "set_lora", "lora_shrink", "stack_lora"),
        r"(?:slice_lora_?\w*|set_lora|lora_shrink\w*|stack_lora\w*).{0,900}?(?:too many indices for tensor of dimension 1"
        r"|AssertionError|must match the)",
        why="the adapter's matrices are flat or empty: one rank's part of them was saved, and nothing gathered the whole",
        remedy="Gather before `save_pretrained` (`accelerator.get_state_dict`); `holdfast inspect FILE` shows sizes of two.",
        weigh=ranked(("topology", 0.7), ("shape-mismatch", 0.66), ("incomplete-save", 0.62)),
        test="names",
        example="line 9, in slice_lora_a\nIndexError: too many indices for tensor of dimension 1",
    ),
    Entry(
        "gguf-parts",
        "incomplete-save",
        ("tensors expected but", "failed to load gguf split", "illegal split file idx", "invalid split file"),
        r"corrupted model: (?P<want>\d+) tensors expected but (?P<got>\d+) found|failed to load GGUF split"
        r"|illegal split file idx|invalid split file",
        why="the model is split over several files: one of them is not there, or a later one was named instead of the first",
        remedy=(
            "Bring all parts into one folder and name the first (`-00001-of-`); `llama-gguf-split --merge` makes one file of "
            "them."
        ),
        weigh=ranked(
            ("incomplete-save", 0.82), ("not-found", 0.6), ("corrupt", 0.56), ("format-mismatch", 0.44)
        ),
        test="whole",
        example="llama_model_load: error loading model: corrupted model: 480 tensors expected but 323 found",
    ),
    Entry(
        "gguf-header-of-another-version",
        "version-mismatch",
        (
            "ggufv1 is no longer supported",
            "this gguf file is version",
            "failed to read key-value pairs",
            "failed to read tensor info",
            "has wrong array",
            "' is duplicated",
        ),
        r"GGUFv1 is no longer supported|this GGUF file is version (?P<then>\d+)|failed to read (?:key-value pairs|tensor info)"
        r"|has wrong array (?:element type|length)|invalid model: tensor '[^']+' is duplicated",
        why="the file's header is of a version that this program does not read, or it is cut off within it",
        remedy="Upgrade the program, or convert the model again; compare the file's size with its source.",
        weigh=of_the_header,
        test="whole",
        example="gguf_init_from_file: GGUFv1 is no longer supported. please use a more up-to-date version",
    ),
    Entry(
        "gguf-not-opened",
        "not-found",
        ("gguf_init_from_file",),
        r"gguf_init_from_file\w*: failed to open (?:GGUF file )?'(?P<path>[^']+)'",
        why="there is no file at that path ({path}), or it may not be read",
        remedy="Give the path of the `.gguf` itself, as the program (or its container) sees it.",
        weigh=ranked(("not-found", 0.92), ("storage", 0.6)),
        test="path",
        example="gguf_init_from_file: failed to open 'model.gguf': 'No such file or directory'",
    ),
    Entry(
        "gguf-no-room",
        "memory",
        ("buffer", "cudamalloc failed"),
        r"(?:error loading model|llama_model_load)[^\n]{0,80}?unable to allocate \w+ buffer|unable to allocate (?:CUDA"
        r"|Metal|Vulkan)\w* buffer"
        r"|allocating [\d.]+ MiB on device \d+: cudaMalloc failed",
        why="the weights do not fit into the device's memory",
        remedy="Put fewer layers on it (`-ngl`), take a smaller quantisation, or a shorter context (`-c`).",
        weigh=ranked(("memory", 0.9), ("device-mismatch", 0.5)),
        example="llama_model_load: error loading model: unable to allocate CUDA0 buffer",
    ),
    Entry(
        "converter-does-not-know",
        "version-mismatch",
        ("could not find any of:", "hf-to-gguf", "convert_hf_to_gguf", "is not supported"),
        r"could not find any of: \[[^\]]{1,200}\]|(?:hf-to-gguf|convert_hf_to_gguf)[^\n]{0,80}?is not supported"
        r"|Model \"?\w+(?:For(?:CausalLM|ConditionalGeneration|MaskedLM|SequenceClassification)|LMHeadModel)\"? is not supported",
        why="the converter does not know this architecture, or names of its tensors and settings: it is older than the model",
        remedy=(
            "Use the converter of the newest llama.cpp (`convert_hf_to_gguf.py`); an adapter or a partial model is merged "
            "first."
        ),
        weigh=beside(
            r"gguf|hf-to|llama|hidden|n_embd|num_|n_layer|vocab|intermediate|lmhead|for(?:causallm|cond|masked|seq)",
            ("version-mismatch", 0.84),
            ("missing-tensor", 0.5),
            ("format-mismatch", 0.48),
            ("renamed", 0.44),
        ),
        example="KeyError: \"could not find any of: ['hidden_size', 'n_embd']\"",
    ),
)
