"""``from_pretrained`` and downloads: transformers, diffusers, PEFT, tokenizers, the Hugging Face hub, other caches.

Messages: transformers/modeling_utils.py, utils/hub.py, diffusers/loaders, peft/utils/save_and_load.py, huggingface_hub.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, loading_or_alone

_AGAIN = "Delete it from the cache and download it again; `holdfast FILE` says what is there and how much is missing."


def modules_of_the_adapter(look: Look) -> list[Guess]:
    """Layers that an adapter names: under a wrapper's or a pipeline part's name, in another tool's naming, or simply others."""
    said = look.match[0]
    rows = (("missing-tensor", 0.62), ("version-mismatch", 0.57), ("renamed", 0.55), ("format-mismatch", 0.5))
    if re.search(
        r"['\"](?:base_model|unet|prior|transformer|text_encoder\w*|module|_orig_mod|diffusion_model)\.", said
    ):
        why = "the adapter names its layers under a wrapper or a part of a pipeline, which the base model's names lack"
        remedy = (
            "Strip that prefix from the adapter's keys, or load it by the class that saved it (`PeftModel`)."
        )
        first = look.entry.guess(look, "renamed", confidence=0.76, why=why, remedy=remedy)
    elif re.search(r"img_attn_\w+|txt_attn_\w+|img_mod\.|double_blocks|input_blocks|lora_unet_", said):
        why = "the adapter names its layers as the original code does, and this library names (and cuts) them otherwise"
        first = look.entry.guess(
            look, "renamed", confidence=0.74, why=why, remedy="Convert it, or upgrade the library."
        )
    else:
        return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
    return [
        first,
        look.entry.guess(look, "format-mismatch", confidence=0.6),
        look.entry.guess(look, "version-mismatch", confidence=0.57),
    ]


def which_file(look: Look) -> list[Guess]:
    """Which file is not there: the config (another path), or the weights."""
    name = look.facts().get("name", "").lower()
    if (
        "tensorflow weights" in look.reading.lower
        or "from_tf=true" in look.reading.lower
        or "from_flax" in look.reading.lower
    ):
        why = "the folder holds another framework's weights than this class reads"
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.88,
                why=why,
                remedy="Pass `from_tf=True` (or from_flax), or convert it once.",
            ),
            look.entry.guess(look, confidence=0.5),
        ]
    if any(word in name for word in (".bin", ".safetensors", ".h5", ".index", ".msgpack")):
        return []  # the weights: another entry tells more
    if "lora" in look.reading.lower or "adapter" in look.reading.lower:
        why = f"the folder is an adapter's: it has no `{name}` of its own, as that is the base model's"
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.88, why=why),
            look.entry.guess(look),
            look.entry.guess(look, "incomplete-save", confidence=0.5),
        ]
    if re.search(
        r"directory \S*[\\/](?:unet|vae|text_encoder(?:_\d)?|transformer|scheduler|tokenizer(?:_\d)?|image_encoder|controlnet)\b",
        look.reading.flat,
    ):
        why = f"the part of the pipeline in that folder is there without its `{name}`: it was saved or fetched in part"
        return [
            look.entry.guess(look, "incomplete-save", confidence=0.91, why=why),
            look.entry.guess(look, confidence=0.86, why=why),
            look.entry.guess(look, "format-mismatch", confidence=0.5),
        ]
    if re.match(
        r"preprocessor|processor|tokenizer|vocab|special_tokens|spiece|sentencepiece|merges|generation_config",
        name,
    ):
        why = f"the weights were saved without what goes with them: `{name}` (the tokenizer or the processor) was not saved there"
        remedy = (
            "Save it beside the weights (`processor.save_pretrained(DIR)`), or load it from the base model."
        )
        return [
            look.entry.guess(look, "incomplete-save", confidence=0.9, why=why, remedy=remedy),
            look.entry.guess(look),
            look.entry.guess(look, "preprocessing", confidence=0.5, why=why, remedy=remedy),
        ]
    return [
        look.entry.guess(look),
        look.entry.guess(look, "format-mismatch", confidence=0.45),
        look.entry.guess(look, "incomplete-save", confidence=0.42),
    ]


ENTRIES = (
    Entry(
        "hf-unreadable-weights",
        "corrupt",
        (
            "unable to load weights from pytorch checkpoint",
            "unable to load weights from the pytorch",
            "unable to load pytorch_model",
            "unable to load weights from pytorch",
        ),
        "",
        why="`torch.load` failed on the weights, for whatever cause: most often the file is half downloaded or an LFS pointer",
        remedy=_AGAIN + " The exception above this one in the traceback says more.",
        weigh=ranked(
            ("corrupt", 0.78), ("incomplete-save", 0.55), ("version-mismatch", 0.5), ("format-mismatch", 0.42)
        ),
        test="whole",
        example="OSError: Unable to load weights from pytorch checkpoint file for './m' at './m/pytorch_model.bin'.",
    ),
    Entry(
        "hf-not-a-model",
        "not-found",
        (
            "is not a local folder and is not a valid model identifier",
            "incorrect path_or_model_id",
            "repo id must be in the form",
            "repo id must use alphanumeric",
            "make sure you don't have a local directory with the same name",
            "hfvalidationerror",
            "couldn't find it in the cached files",
            "can't load the model for",
            "can't load config for",
            "can't load tokenizer for",
            "can't load the configuration of",
            "can't load feature extractor",
            "entrynotfounderror",
            "repositorynotfounderror",
            "404 client error",
            "localentrynotfounderror",
            "revisionnotfounderror",
            "can't load weights for",
            "is not the path to a directory containing a file",
            "can't load image processor",
            "file was found in directory",
            "does not exist on the hub",
        ),
        r"is not a local folder and is not a valid model identifier|Incorrect path_or_model_id"
        r"|Repo id must (?:be in the form|use alphanumeric)"
        r"|make sure you don't have a local directory with the same name|HFValidationError|couldn't find it in the cached files"
        r"|Can't load (?:the model for|the configuration of|config for|tokenizer for|feature extractor"
        r"|image processor|weights for)"
        r"|(?:LocalEntry|Entry|Repository|Revision)NotFoundError|404 Client Error"
        r"|is not the path to a directory containing a file",
        why=(
            "the path or name leads to no model: a local folder is misspelt (and then taken for a name on "
            "the hub), or lacks its config"
        ),
        remedy=(
            "Check the folder (`ls`): config.json and the weights must lie in it itself, not in a "
            "sub-folder; give an absolute path."
        ),
        where=loading_or_alone,
        also=("incomplete-save", "format-mismatch", "storage"),
        weight=0.86,
        test="path",
        example=(
            "OSError: ./outputs/final is not a local folder and is not a valid model identifier listed on "
            "'https://huggingface.co/models'"
        ),
    ),
    Entry(
        "old-model-names",
        "not-found",
        (
            "model name list",
            "was not found in model name list",
            "not found in model name list",
            "was not found in tokenizers model name list",
            "model identifier in",
            "couldn't reach server at",
            "unrecognized model identifier",
        ),
        r"(?:was )?not found in (?:\w+ )?model name list|Unrecognized model identifier in|Couldn't reach server at "
        r"'(?P<path>[^']+)'",
        why="the path leads to no folder of a model, or this old version of the library does not know the name",
        remedy="Check the folder; upgrade the library where the name is one of the hub's.",
        weigh=ranked(
            ("not-found", 0.88), ("version-mismatch", 0.74), ("incomplete-save", 0.6), ("corrupt", 0.5)
        ),
        test="path",
        example="Model name 'x' was not found in model name list (bert-base-uncased). We assumed 'x' was a path or url",
    ),
    Entry(
        "hf-no-such-file",
        "not-found",
        ("does not appear to have a file named", "no file named"),
        r"(?:does not appear to have a|no) file named (?P<name>[\w.\-]+)",
        why="the folder has no `{name}`: it is another folder (an adapter's, a sub-folder), or another library's",
        remedy=(
            "Give the folder that holds it; `holdfast FOLDER` says what is there. An adapter is loaded "
            "over its base model (PEFT)."
        ),
        weigh=which_file,
        weight=0.86,
        test="path",
        example="OSError: ./ckpt does not appear to have a file named config.json.",
    ),
    Entry(
        "tokenizer-file-version",
        "version-mismatch",
        (
            "untagged enum",
            "does not exist or is not currently imported",
            "tokenizer class",
            "unrecognized processing class",
            "unrecognized feature extractor",
        ),
        r"untagged enum \w+|(?:Tokenizer|Processor) class \w+ does not exist or is not currently "
        r"imported|Unrecognized (?:processing class|feature extractor)",
        why="the tokenizer's file is of a newer version of the library than reads it",
        remedy="Upgrade `transformers` and `tokenizers` to the versions that saved it.",
        also=("custom-object", "preprocessing", "corrupt"),
        weight=0.88,
        example="Exception: data did not match any variant of untagged enum ModelWrapper at line 9 column 3",
    ),
    Entry(
        "config-unknown-field",
        "version-mismatch",
        (
            "unexpected keyword argument '",
            "unknown config",
            "configattributeerror",
            "configkeyerror",
            "unrecognized configuration",
        ),
        r"(?P<name>\w*Config)(?:\.__init__)?\(\) got an unexpected keyword argument '(?P<key>\w+)'"
        r"|(?P<name2>ConfigAttributeError|ConfigKeyError): (?:Key|Missing key|str interpolation key) '?(?P<key2>\w+)'?",
        why="the saved config has `{key}`, which this version of the library's config class does not know (or lacks it)",
        remedy="Install the version that saved it; or remove the field from the config's file where it is of no effect.",
        also=("format-mismatch",),
        weight=0.87,
        where=loading_or_alone,
        example="TypeError: LoraConfig.__init__() got an unexpected keyword argument 'corda_config'",
    ),
    Entry(
        "library-constructor",
        "version-mismatch",
        ("__init__() got an unexpected keyword argument '",),
        r"(?:sentence_transformers|transformers|diffusers|peft|accelerate|fairseq|timm|open_clip)[\\/].{0,300}?"
        r"__init__\(\) got an unexpected keyword argument '(?P<key>\w+)'"
        r"|(?-i:(?P<name>\w*(?:Pooling|Normalize|Tokenizer(?:Fast)?|Processor|Scheduler|LMHeadModel|PreTrainedModel|Transformer2DModel"
        r"|AutoencoderKL\w*|UNet\w+Model|For(?:CausalLM|SequenceClassification|ConditionalGeneration|TokenClassification))))"
        r"\.__init__\(\) got an unexpected keyword argument '(?P<key2>\w+)'",
        why="the saved config gives `{key}` to a class of the library that does not take it: another version saved it",
        remedy="Install the version that saved it.",
        where=apart_from_steps,
        also=("custom-object", "format-mismatch"),
        weight=0.76,
        example=(
            "/env/sentence_transformers/models/Pooling.py:9 in load\nTypeError: __init__() got an unexpected keyword "
            "argument 'mode'"
        ),
    ),
    Entry(
        "hf-saved-arguments",
        "version-mismatch",
        ("object has no attribute '",),
        r"'(?P<name>\w*(?:TrainingArguments|Config|Tokenizer\w*|Scheduler\w*|Args))' object has no attribute '(?P<key>\w+)'",
        why="a pickled or saved `{name}` of another version lacks the attribute `{key}` that this version reads",
        remedy="Install the version that saved it, or make the object anew.",
        where=loading_or_alone,
        context=("load", "resume", "restore", "checkpoint", "pretrained", "__getattr__"),
        only_in=True,
        weight=0.7,
        also=("custom-object",),
        example="resume: AttributeError: 'TrainingArguments' object has no attribute 'fp16_full' load checkpoint",
    ),
    Entry(
        "loader-unknown-argument",
        "version-mismatch",
        ("() got an unexpected keyword argument '",),
        r"(?P<name>(?:\w+\.)?(?:from_quantized|from_pretrained|from_single_file|from_config|from_checkpoint|load_lora_weights"
        r"|load_adapter|save_pretrained|load_checkpoint|load_model_ensemble\w*|save_quantized|push_to_hub))\(\)"
        r" got an unexpected keyword argument '(?P<key>\w+)'",
        why="`{name}` of the installed version has no argument `{key}`",
        remedy="Upgrade the library (from its repository where the argument is new), or leave the argument out.",
        weigh=ranked(("version-mismatch", 0.9), ("custom-object", 0.5), ("format-mismatch", 0.45)),
        example="TypeError: AutoAWQ.from_quantized() got an unexpected keyword argument 'use_marlin'",
    ),
    Entry(
        "config-as-a-dict",
        "version-mismatch",
        ("'dict' object has no attribute '",),
        r"'dict' object has no attribute '(?P<key>model_type|to_dict|to_json_string|_attn_implementation\w*|is_encoder_decoder"
        r"|torch_dtype|quant_method|vocab_size|hidden_size|architectures)'",
        why="the library takes a config (or a part of one) for an object and has a dict: parts of different versions",
        remedy="Upgrade (or pin) the library; the config beside the weights names the version that wrote it.",
        where=apart_from_steps,
        weigh=ranked(("version-mismatch", 0.86), ("format-mismatch", 0.66), ("custom-object", 0.5)),
        example="AttributeError: 'dict' object has no attribute 'model_type'",
    ),
    Entry(
        "loader-not-there-yet",
        "version-mismatch",
        ("type object '",),
        r"type object '(?P<name>\w+)' has no attribute '(?P<key>(?:from|load|save)_\w+)'",
        why="`{name}` of the installed version has no `{key}`: it came with a later one (or never for this class)",
        remedy="Upgrade the library; otherwise load the model's folder, or with the class that has it.",
        weigh=ranked(("version-mismatch", 0.9), ("format-mismatch", 0.6), ("custom-object", 0.5)),
        example="AttributeError: type object 'MyTransformer2DModel' has no attribute 'from_single_file'",
    ),
    Entry(
        "library-class-attribute",
        "version-mismatch",
        ("object has no attribute",),
        r"'(?-i:(?P<name>(?:\w*(?:Bert|GPT|Llama|LLaMA|T5|Bart|OPT|Bloom|Falcon|Qwen|Mistral|Mixtral|Gemma|Phi|ChatGLM|Baichuan"
        r"|InternLM|Whisper|Wav2Vec2|CLIP|ViT|Swin|UNet|Autoencoder|Peft|Lora|Linear4bit|Linear8bit|QuantLinear"
        r"|SentenceTransformer"
        r"|CrossEncoder|Diffusion)\w*"
        r"|\w+(?:For(?:CausalLM|SequenceClassification|ConditionalGeneration|TokenClassification|MaskedLM)|LMHeadModel"
        r"|Tokenizer(?:Fast)?|TokenizerBase|Pipeline|PreTrainedModel))))' object has no attribute '(?P<key>\w+)'",
        why="`{name}` of the installed library lacks `{key}`: the model, its code or the program is of another version",
        remedy=(
            "Install the version of the library that saved the model (its config names it), or load a state dict into a "
            "new model."
        ),
        where=apart_from_steps,
        weigh=ranked(("version-mismatch", 0.7), ("custom-object", 0.52), ("format-mismatch", 0.48)),
        example="AttributeError: 'BertEncoder' object has no attribute 'gradient_checkpointing'",
    ),
    Entry(
        "diffusers-components",
        "format-mismatch",
        ("pipeline <class", "model_index.json", "from_single_file"),
        r"Pipeline <class '[\w.]+'> expected \{[^}]*\}, but only|from_single_file\b(?!'|\(\) got an)"
        r"|model_index\.json.{0,80}(?:not found|missing|no file)",
        why=(
            "the folder or file is not laid out as this pipeline wants: a single checkpoint file, another "
            "pipeline's folder, or parts are missing"
        ),
        remedy=(
            "`from_single_file` for a .safetensors or .ckpt, `from_pretrained` for a folder with "
            "model_index.json; save with the pipeline's own class."
        ),
        also=("version-mismatch", "incomplete-save", "missing-tensor"),
        weight=0.72,
        example="from_pretrained: ValueError: Pipeline <class 'X'> expected {'vae', 'unet'}, but only {'vae'} were passed.",
    ),
    Entry(
        "peft-target-modules",
        "missing-tensor",
        ("target modules", "adapter is not for this", "not found in the base model"),
        r"Target modules? .{0,300}?not found in the base model",
        why="the adapter names layers that the base model does not have: another base model, or other names",
        remedy="Load the base model that the adapter was trained on (its adapter_config.json names it).",
        weigh=modules_of_the_adapter,
        example=(
            "ValueError: Target modules {'q_proj'} not found in the base model. Please check the target "
            "modules and try again."
        ),
    ),
    Entry(
        "model-name-unknown",
        "version-mismatch",
        ("unknown model", "invalid pretrained tag", "is not in the", "unknown architecture"),
        r"Unknown model \((?P<name>[\w.]+)\)|Invalid pretrained tag|is not in the models? registry"
        r"|unknown (?:model )?architecture:? ?'?(?P<name2>[\w.]+)?",
        why="this version of the library (or of the code) has no model `{name}`",
        remedy="Install the version that saved, or import the module that registers it.",
        where=loading_or_alone,
        also=("custom-object", "not-found"),
        weight=0.7,
        example="RuntimeError: Unknown model (vit_new_patch16)",
    ),
)
