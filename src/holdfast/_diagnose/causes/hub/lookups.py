"""Names that are looked up and not there, where nothing but the name was printed: a tensor's, a part's of a checkpoint, a kind's.

A loader goes over the names of a file (and the model lacks one), or over those of the model (and the file lacks one); the name
tells which tool, wrapper or number type it belongs to.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, loading

_PACKED = re.compile(
    r"(?:qweight|qzeros|scales|g_idx|absmax|quant_map|quant_state\S*|weight_scale(?:_inv|_2)?|input_scale|weight_packed"
    r"|weight_shape|SCB|weight_format|zero_point|qscales?|w13_\w+|w2_\w+|_scale|_zp|k_scale|v_scale|biases|smooth_scale\w*)$"
)
_NAMES = (
    r"[A-Za-z_][\w\-]*(?:\.[\w\-]+)*\.(?:weight|bias|gamma|beta|alpha|running_mean|running_var|num_batches_tracked|inv_freq|"
    r"position_ids|qweight|qzeros|scales|g_idx|absmax|quant_map|weight_scale(?:_inv|_2)?|input_scale|weight_packed|SCB|"
    r"lora_[AB](?:\.\w+)*|lora_(?:up|down)\.weight|w13_\w+|w2_\w+|\w*smooth_scale\w*|biases|"
    r"quant_state\.\w+|kernel|embedding)|(?:base_model|model|module|transformer|encoder|decoder|backbone|[A-Za-z_]\w*\.\d+)"
    r"(?:\.[A-Za-z_]\w*|\.\d+){2,}"
)
_KINDS = (
    r"albert|aquila|arctic|baichuan|bailing\w*|bloom|chatglm\w*|codegen|cohere\d?|dbrx|deepseek\w*|exaone\w*|falcon\w*"
    r"|florence2?|"
    r"gemma\w*|glm\w*|gpt_?neox\w*|gpt_?j|gpt_?oss|gpt_?bigcode|granite\w*|grok\w*|idefics\d?|internlm\d?|internvl\w*|jamba|"
    r"jina\w*|kimi\w*|llama\d?\w*|llava\w*|mamba\w*|minicpm\w*|minimax\w*|ministral\w*|mistral\w*|mixtral\w*|mllama|modernbert|"
    r"mosaic\w*|mpt|nemotron\w*|olmo\w*|orion|paligemma\w*|persimmon|phi\w*|pixtral|qwen\w*|RefinedWeb\w*|rwkv\w*|siglip\w*|"
    r"smollm\w*|stablelm\w*|starcoder\w*|t5gemma|yi|xgen|xverse"
)


def of_a_name(look: Look) -> list[Guess]:
    """What the name that was looked up tells: a quantised layer's, an adapter's, a wrapper's, another tool's."""
    key = look.facts().get("key", "")
    guess = look.entry.guess
    if _PACKED.search(key):
        why = f"`{key}` belongs to quantised weights: the file and the model (or its config) are not quantised alike"
        remedy = "Load with the quantisation config that saved it, or take the weights in full precision."
        return [
            guess(look, "dtype-mismatch", confidence=0.72, why=why, remedy=remedy),
            guess(look, confidence=0.66),
            guess(look, "version-mismatch", confidence=0.56),
        ]
    if key.endswith(("num_batches_tracked", "position_ids", "inv_freq")):
        why = f"`{key}` is a buffer that one version of the library saves and another does not"
        return [
            guess(look, "version-mismatch", confidence=0.84, why=why),
            guess(look, "missing-tensor", confidence=0.6, why=why),
            guess(look, confidence=0.5, why=why),
        ]
    if "lora_" in key and ".default" in key:
        return []  # an optimizer's state by name: the entry on those tells more
    if "lora" in key:
        why = f"`{key}` is an adapter's: the adapter (or a model that PEFT has wrapped) is read as if it were a model"
        remedy = "Load the base model and the adapter over it, or merge them first (`merge_and_unload`)."
        return [
            guess(look, "format-mismatch", confidence=0.78, why=why, remedy=remedy),
            guess(look, confidence=0.7, why=why, remedy=remedy),
            guess(look, "renamed", confidence=0.6, why=why, remedy=remedy),
        ]
    if re.search(
        r"(?:^|\.)(?:base_layer|base_model|_orig_mod|_fsdp_wrapped_module|_forward_module)\.|^module\.", key
    ):
        why = f"`{key}` bears the name of a wrapper, which one side has and the other has not"
        remedy = "Save the unwrapped model (`unwrap_model`, `model.module`, `merge_and_unload`), or strip the prefix."
        return [
            guess(look, "renamed", confidence=0.78, why=why, remedy=remedy),
            guess(look, confidence=0.6),
            guess(look, "missing-tensor", confidence=0.5),
        ]
    if re.search(
        r"\[\s*[\"'][\w.]+[\"']\s*\]\s*=\s*\w+\[\s*[\"']", look.reading.flat
    ):  # one layout written into another
        why = f"the converter looks for `{key}`, which files of the layout that it reads have, and this one has not"
        remedy = "`holdfast inspect FILE` lists its names; use the loader for that layout."
        return [
            guess(look, "format-mismatch", confidence=0.8, why=why, remedy=remedy),
            guess(look, "missing-tensor", confidence=0.72, why=why, remedy=remedy),
            guess(look, "renamed", confidence=0.64, why=why, remedy=remedy),
        ]
    wanted = re.search(
        r"(?:state_dict|named_params|weights?|ckpt|checkpoint|loaded|tensors|pretrained\w*|_sd|\bsd"
        r"|params)\[[^\]]{1,120}\](?!\s*=[^=])",
        look.reading.flat,
    )
    if (
        wanted and "params_dict[" not in look.reading.flat
    ):  # the program's own list of names is looked up in the file
        return [
            guess(look, "missing-tensor", confidence=0.78),
            guess(look, "renamed", confidence=0.62),
            guess(look, "version-mismatch", confidence=0.56),
            guess(look, confidence=0.5),
        ]
    return [
        guess(look, confidence=0.66),
        guess(look, "missing-tensor", confidence=0.58),
        guess(look, "renamed", confidence=0.54),
        guess(look, "version-mismatch", confidence=0.5),
        guess(look, "format-mismatch", confidence=0.48),
    ]


def by_the_kind(look: Look) -> list[Guess]:
    """Unexpected or missing, as told in a sentence."""
    first, other = ("unexpected-tensor", "missing-tensor")
    if look.facts().get("kind", "").lower() == "missing":
        first, other = other, first
    return [
        look.entry.guess(look, first, confidence=0.6),
        look.entry.guess(look, "renamed", confidence=0.52),
        look.entry.guess(look, other, confidence=0.48),
        look.entry.guess(look, "version-mismatch", confidence=0.42),
    ]


def of_a_layer(look: Look) -> list[Guess]:
    """A layer that lacks a tensor of the file: a quantised one, or another class."""
    if re.search(r"quant|4bit|8bit|int8|fp8|awq|gptq|bnb", look.facts().get("layer", ""), re.IGNORECASE):
        return [
            look.entry.guess(look, confidence=0.78),
            look.entry.guess(look, "unexpected-tensor", confidence=0.7),
            look.entry.guess(look, "version-mismatch", confidence=0.62),
        ]
    return [
        look.entry.guess(look, "unexpected-tensor", confidence=0.74),
        look.entry.guess(look, "version-mismatch", confidence=0.66),
        look.entry.guess(look, "renamed", confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "tensor-name-looked-up",
        "unexpected-tensor",
        ("keyerror",),
        rf"KeyError: ?\(?[\"'](?P<key>{_NAMES})[\"']",
        why="one side names a tensor `{key}` that the other has not: another architecture, tool or version wrote the file",
        remedy="`holdfast inspect CKPT` lists the names of the file; load it into the class (and the tool) that saved it.",
        weigh=of_a_name,
        test="names",
        example="KeyError: 'layers.0.attention.wk.weight'",
    ),
    Entry(
        "original-layout-looked-up",
        "format-mismatch",
        ("keyerror",),
        r"KeyError: [\"'](?P<key>(?:time_embed|input_blocks|output_blocks|middle_block|model\.diffusion_model"
        r"|first_stage_model|cond_stage_model|conditioner\.embedders|control_model|double_blocks|single_blocks|joint_blocks"
        r"|down_blocks|up_blocks|mid_block|time_embedding|lora_unet|lora_te\d?|lora_transformer|string_to_param"
        r"|text_model|encoder\.conv_in|decoder\.conv_in|conv_in)(?:[.\w]*))[\"']",
        why="the converter looks for `{key}`, which files of another layout have (one file, a folder, another base model)",
        remedy="`holdfast FILE` says what it is; use the loader for that layout (`from_single_file`, `from_pretrained`).",
        weigh=ranked(
            ("format-mismatch", 0.76), ("missing-tensor", 0.62), ("renamed", 0.56), ("version-mismatch", 0.5)
        ),
        test="names",
        example="KeyError: 'model.diffusion_model.input_blocks.0.0.weight'",
    ),
    Entry(
        "model-kind-looked-up",
        "version-mismatch",
        ("keyerror", "configuration_auto"),
        rf"KeyError: '(?P<key>{_KINDS})'|configuration_auto\.py.{{0,200}}?KeyError: '(?P<key2>[\w\-]+)'",
        why="the config names the kind `{key}`, which the installed library does not know: it is older than the model",
        remedy="Upgrade the library (`transformers`, the server, the converter) to a version that has it.",
        also=("custom-object", "format-mismatch"),
        weight=0.84,
        example="    raise KeyError(key)\nKeyError: 'qwen9_moe'",
    ),
    Entry(
        "config-class-looked-up",
        "custom-object",
        ("config_mapping", "_model_mapping", "config'"),
        r"config_mapping(?:_names)?\[.{0,300}?KeyError: '(?P<key>\w+)'|KeyError: (?:\"|')?"
        r"<class '(?P<key2>[\w.]+Config)'|KeyError: "
        r"'(?P<key3>\w+Config)'",
        why="the class `{key}` is not registered with the Auto classes: it is the program's own, or of another version",
        remedy="Register it (`AutoConfig.register`, `AutoModel.register`), or load with the class itself.",
        also=("version-mismatch", "format-mismatch"),
        weight=0.8,
        example="    model_type = self._reverse_config_mapping[key.__name__]\nKeyError: 'MyRewardConfig'",
    ),
    Entry(
        "entry-not-loaded",
        "format-mismatch",
        (
            "error while loading",
            "could not be loaded: '",
            "failed to load: '",
            "error loading",
            "failed to load",
            "error: '",
        ),
        r"(?:could not be loaded|failed to load\b[^:]{0,80}|error(?: while)? loading\b[^:]{0,80}|^error): "
        r"'(?P<key>state_dict|model|model_state_dict"
        r"|weights?|params|module|net|ema|state|params_ema|generator|epoch|global_step)'",
        why="the file has no entry `{key}`: it is a bare state dict, or another tool's",
        remedy=(
            "`holdfast inspect FILE` shows what it holds; wrap it (`{{'state_dict': sd}}`), or load it with the tool that "
            "wrote it."
        ),
        also=("missing-tensor", "version-mismatch"),
        weight=0.78,
        test="entries",
        example="** model v1 could not be loaded: 'state_dict'",
    ),
    Entry(
        "keys-in-words",
        "unexpected-tensor",
        ("unexpected key", "missing key"),
        r"\b(?:being|are|is|has|have|with|about|of|due to|because of|get|got|many|some|several) (?:\w+ "
        r"){0,3}?(?P<kind>unexpected|missing) keys?\b",
        why="names of tensors differ between the file and the model ({kind} keys)",
        remedy="`holdfast check CKPT module:factory` holds both lists against each other.",
        where=loading,
        weigh=by_the_kind,
        test="names",
        example="The state_dict does not load because of unexpected keys.",
    ),
    Entry(
        "parameter-not-in-layer",
        "dtype-mismatch",
        ("buffer named", "does not have a parameter or a buffer named", "has no parameter or buffer named"),
        r"(?P<layer>\w+)(?:\(.{0,200}?\))? (?:does not have|has no) a? ?parameter or a? ?buffer named (?P<tensor>[\w.]+)",
        why="the layer `{layer}` has no `{tensor}`: it is quantised (or of another class), and the file is not of the same kind",
        remedy="Load with the quantisation config that saved it.",
        weigh=of_a_layer,
        test="names",
        example="ValueError: QuantLinear() does not have a parameter or a buffer named weight.",
    ),
    Entry(
        "tensor-for-a-parameter",
        "dtype-mismatch",
        ("cannot assign '",),
        r"cannot assign '(?:torch\.)?(?:cuda\.)?(?P<kind>Half|BFloat16|Char|Byte|Int8|Double|Int|Long)\w*Tensor' as parameter",
        why="a plain tensor of another number type ({kind}) is put where a parameter belongs, as versions of the code differ",
        remedy="Wrap it in `torch.nn.Parameter` and convert it to the parameter's dtype, or copy into `.data`.",
        where=apart_from_steps,
        weigh=ranked(("dtype-mismatch", 0.8), ("version-mismatch", 0.74), ("format-mismatch", 0.5)),
        test="names",
        example="TypeError: cannot assign 'torch.cuda.HalfTensor' as parameter 'weight' (torch.nn.Parameter or None expected)",
    ),
    Entry(
        "flat-piece",
        "topology",
        ("size mismatch for",),
        r"size mismatch for (?P<tensor>[\w.\-]+): copying a param with shape torch\.Size"
        r"\(\[(?P<got>\d{5,})\]\) from checkpoint, the shape in current model is torch\.Size\(\[(?P<want>\d+, \d[\d, ]*)\]\)",
        why="`{tensor}` is in the file as one long row of {got} numbers: a sharded save wrote its own piece, not all of it",
        remedy="Save with the full state dict (FSDP `FULL_STATE_DICT`, gathered on rank 0), or merge the shards first.",
        weigh=ranked(("topology", 0.985), ("incomplete-save", 0.6)),
        test="names",
        example=(
            "size mismatch for h.w.weight: copying a param with shape torch.Size([262144]) from checkpoint, the shape in "
            "current model is torch.Size([1024, 512])."
        ),
    ),
    Entry(
        "sentence-folder-version",
        "format-mismatch",
        ("__version__", "sentence_embedding"),
        r"config\[.__version__.\]|KeyError: ['\"](?:__version__|sentence_embedding)['\"]",
        why=(
            "the folder is a plain transformer, or a sub-folder, and not one of sentence-transformers (whose config has a "
            "version)"
        ),
        remedy="Give the folder with modules.json, or build it: `models.Transformer(path)` and `models.Pooling(...)`.",
        weigh=ranked(("format-mismatch", 0.8), ("version-mismatch", 0.72), ("not-found", 0.55)),
        example="    if config['__version__'] > __version__:\nKeyError: '__version__'",
    ),
)
