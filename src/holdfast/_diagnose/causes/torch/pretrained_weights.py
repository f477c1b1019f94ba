"""Transformers, Accelerate, PEFT and Diffusers: what their loaders and savers say of weights, devices and settings.

Messages: transformers/{modeling_utils,trainer,generation/configuration_utils}, accelerate/{accelerator,checkpointing},
accelerate/utils/modeling, peft/{peft_model,tuners}, diffusers/loaders.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing_or_alone

ENTRIES = (
    Entry(
        "device-map-incomplete",
        "device-mismatch",
        ("does not give any device for the following parameters",),
        r"does not give any device for the following parameters: (?P<key>[\w.]+)",
        why="the `device_map` names no device for `{key}`: it was made for another model, or another version of it",
        remedy='`device_map="auto"`, or give `{key}` (or the module that holds it, or "") a device.',
        weigh=ranked(("device-mismatch", 0.84), ("version-mismatch", 0.52), ("renamed", 0.5)),
        example="ValueError: The device_map provided does not give any device for the following parameters: lm_head.weight",
    ),
    Entry(
        "trained-while-offloaded",
        "device-mismatch",
        ("with cpu or disk offload",),
        r"loaded in \S+ (?:precision|bit)?.{0,30}with CPU or disk offload",
        why="a part of the quantised model lies on the host or on disk, where it cannot be trained",
        remedy="Load it wholly on the device (`device_map={{'': 0}}`), or on more devices.",
        weigh=ranked(("device-mismatch", 0.84), ("memory", 0.6), ("dtype-mismatch", 0.5)),
        example="ValueError: You can't train a model that has been loaded in 8-bit precision with CPU or disk offload.",
    ),
    Entry(
        "tensors-without-data-left-out",
        "missing-tensor",
        ("not saved because they were still on meta",),
        r"not saved because they were still on meta device: \{?'?(?P<key>[\w.]+)?",
        why="`{key}` had no data when the model was saved (offloaded, or never loaded), and the file is without it",
        remedy="Load the model wholly before saving it; `holdfast diff OLD NEW` names what the new file lacks.",
        weigh=ranked(
            ("missing-tensor", 0.84), ("lazy-build", 0.56), ("incomplete-save", 0.54), ("topology", 0.4)
        ),
        test="names",
        example="The following tensors were not saved because they were still on meta device: {'lm_head.weight'}",
    ),
    Entry(
        "object-without-a-state",
        "unserialisable",
        ("function to be stored",),
        r"must include a `state_dict` and `load_state_dict` function to be stored",
        why="what was registered to be kept has no `state_dict` and `load_state_dict`",
        remedy="Give it both, or keep it in an object that has them; a number goes into one of your own.",
        weigh=ranked(("unserialisable", 0.84), ("custom-object", 0.6), ("resume-state", 0.5)),
        example=(
            "ValueError: All `objects` must include a `state_dict` and `load_state_dict` function to be stored. The "
            "following inputs are invalid: - Item at index 0, `int`"
        ),
    ),
    Entry(
        "generation-settings-refused",
        "other",
        ("generation config instance is invalid", "generation parameters in the model config"),
        r"generation config instance is invalid|generation parameters in the model config",
        why=(
            "the settings for generation contradict each other, and the save refuses to write them: nothing is wrong with "
            "the weights"
        ),
        remedy=(
            "Set what the message names (`model.generation_config.do_sample = True`, or take the temperature away), and save "
            "again."
        ),
        weigh=ranked(("other", 0.72), ("unserialisable", 0.6), ("version-mismatch", 0.56)),
        example=(
            "ValueError: The generation config instance is invalid -- `.validate()` throws warnings and/or exceptions. "
            "Fix these issues to save the configuration."
        ),
    ),
    Entry(
        "loader-wants-a-package",
        "version-mismatch",
        ("requires accelerate", "quantized model requires", "requires both pytorch and gguf"),
        r"`(?:low_cpu_mem_usage=True|device_map)`[^\n]{0,40} requires Accelerate"
        r"|Loading an? \w+ quantized model requires (?P<what>[\w\-]+)"
        r"|requires both PyTorch and GGUF",
        why="the load wants a package ({what}) that is not installed, or too old",
        remedy="Install what the message names, in that version, and start the program anew.",
        weigh=ranked(("version-mismatch", 0.94), ("dtype-mismatch", 0.54), ("format-mismatch", 0.4)),
        example="ImportError: Using `low_cpu_mem_usage=True` or a `device_map` requires Accelerate",
    ),
    Entry(
        "load-in-no-floating-type",
        "dtype-mismatch",
        ("since it is not a floating point dtype",),
        "",
        why="a model is built in a floating type, and the one that is asked for (by the call or by `config.json`) is none",
        remedy="`torch_dtype=torch.bfloat16` (or float16, float32); int8 weights go by a quantisation config.",
        weigh=ranked(("dtype-mismatch", 0.84), ("version-mismatch", 0.46), ("format-mismatch", 0.36)),
        example="ValueError: Can't instantiate Model under dtype=torch.int8 since it is not a floating point dtype",
    ),
    Entry(
        "adapter-targets-not-told",
        "version-mismatch",
        ("please specify `target_modules` in", "these are ignored. this probably means that you're loading"),
        r"Please specify `target_modules` in|these are ignored\. This probably means that you're loading a configuration file",
        why="the adapter's settings are of another version of PEFT: it does not know the architecture, or some of the settings",
        remedy="Upgrade PEFT to the version that saved, or give `target_modules` yourself.",
        weigh=ranked(("version-mismatch", 0.84), ("missing-tensor", 0.5), ("custom-object", 0.4)),
        where=storing_or_alone,
        example="ValueError: Please specify `target_modules` in `peft_config`",
    ),
    Entry(
        "adapter-over-adapter",
        "renamed",
        ("already found a `peft_config` attribute",),
        "",
        why=(
            "a model that an adapter is on already is wrapped again: the names get another level, and a later load finds "
            "other names"
        ),
        remedy="Unload first (`model = model.unload()`), or add it by `model.load_adapter(path, adapter_name=...)`.",
        weigh=ranked(("renamed", 0.72), ("unexpected-tensor", 0.6), ("missing-tensor", 0.58)),
        example="UserWarning: Already found a `peft_config` attribute in the model. This will lead to having multiple adapters.",
    ),
    Entry(
        "adapter-of-an-unknown-kind",
        "format-mismatch",
        ("checkpoint not supported because layer", "invalid lora checkpoint"),
        r"Checkpoint not supported because layer (?P<layer>\w+)|Invalid LoRA checkpoint",
        why=(
            "the file's names are not those of an adapter that this loader knows: another trainer, another base model, or no "
            "adapter"
        ),
        remedy=(
            "`holdfast inspect FILE` shows the names; convert it by the trainer's script, or use the loader for that base "
            "model."
        ),
        weigh=ranked(("format-mismatch", 0.88), ("renamed", 0.6), ("version-mismatch", 0.58)),
        test="names",
        example="ValueError: Checkpoint not supported because layer lora_te_text_model not supported.",
    ),
    Entry(
        "tokenizer-of-another-class",
        "preprocessing",
        ("you load from this checkpoint is not the same type",),
        r"tokenizer class you load from this checkpoint is not the same type",
        why="the tokenizer that was saved is of another class than the one that reads it, so that texts may be cut up otherwise",
        remedy="`AutoTokenizer.from_pretrained(path)`, which takes the class that was saved.",
        weigh=ranked(("preprocessing", 0.84), ("version-mismatch", 0.6), ("format-mismatch", 0.56)),
        example=(
            "The tokenizer class you load from this checkpoint is not the same type as the class this function is called "
            "from."
        ),
    ),
    Entry(
        "no-slice-of-that-name",
        "missing-tensor",
        ("file does not contain slice",),
        r"File does not contain slice (?P<key>[\w.\-]+)",
        why="the file has no tensor `{key}`",
        remedy="`holdfast inspect FILE` lists its names; another shard may have it (see the index file).",
        weigh=ranked(("missing-tensor", 0.86), ("renamed", 0.66), ("incomplete-save", 0.44)),
        test="names",
        example="safetensors_rust.SafetensorError: File does not contain slice lm_head.weight",
    ),
    Entry(
        "index-of-shards-missing",
        "incomplete-save",
        ("find the sharded weight index", "find a checkpoint index"),
        r"find (?:the sharded weight|a checkpoint) index",
        why="the weights are in several files, and the index that says which tensor is where is not in the folder",
        remedy="Bring `*.index.json` from where the model came from; where it was saved here, take the checkpoint before it.",
        weigh=ranked(("incomplete-save", 0.8), ("not-found", 0.76), ("format-mismatch", 0.44)),
        test="whole",
        example=(
            "ValueError: Can't find a checkpoint index (pytorch_model.bin.index.json or model.safetensors.index.json) in out/"
        ),
    ),
    Entry(
        "names-of-a-task-new",
        "missing-tensor",
        ("not initialized from pretrained model:",),
        r"Weights of (?P<model>\w+) not initialized from pretrained model: \[?'?(?P<key>[\w.]+)?",
        why=(
            "the file has no `{key}`, so that {model} begins with random values there: right for a new head, wrong for a "
            "trained one"
        ),
        remedy="Train the new head; where it was trained, load the file that holds it (`holdfast inspect FILE`).",
        weigh=ranked(("missing-tensor", 0.88), ("renamed", 0.5), ("shape-mismatch", 0.36)),
        test="names",
        example="Weights of BertForTokenClassification not initialized from pretrained model: ['classifier.weight']",
    ),
)
