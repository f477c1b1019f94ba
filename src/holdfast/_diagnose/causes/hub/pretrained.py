"""``from_pretrained``: configs, kinds of models, code of the hub, tokenizers' files, offloading.

Messages: transformers/modeling_utils.py, configuration_utils.py, models/auto, dynamic_module_utils.py, modeling_tf_utils.py,
quantizers; tokenizers and sentencepiece; accelerate/big_modeling.py, utils/modeling.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, loading_or_alone, storing_or_alone

_UPGRADE = (
    "Upgrade the library to the version that the model's card or config names (`transformers_version`)."
)


def of_a_config(look: Look) -> list[Guess]:
    """A config that is no JSON: a file of weights was given for it, or it is damaged."""
    guess = look.entry.guess
    if re.search(r"\.(?:bin|safetensors|pt|pth|ckpt|h5|onnx|gguf|model)\b", look.match[0]):
        remedy = "Give the folder that the file lies in."
        return [
            guess(look, "format-mismatch", confidence=0.86, remedy=remedy),
            guess(look, "not-found", confidence=0.72, remedy=remedy),
            guess(look, "corrupt", confidence=0.6),
        ]
    return [
        guess(look, "corrupt", confidence=0.78),
        guess(look, "format-mismatch", confidence=0.72),
        guess(look, "incomplete-save", confidence=0.6),
    ]


def left_empty(look: Look) -> list[Guess]:
    """A tensor without memory: in the file, as it was saved from a model half of which lay on the disk; or in the model."""
    guess = look.entry.guess
    if "while copying the parameter" in look.reading.lower:
        why = "the checkpoint holds names without values: it was saved from a model that was in part on the disk"
        remedy = "Load the model whole (more memory, no offload), and merge and save it again."
        return [
            guess(look, "incomplete-save", confidence=0.93, why=why, remedy=remedy),
            guess(look, confidence=0.85),
            guess(look, "memory", confidence=0.8),
        ]
    order = ("incomplete-save", 0.88), ("device-mismatch", 0.87), ("memory", 0.76), ("version-mismatch", 0.74)
    return [guess(look, confidence=0.92), *(guess(look, label, confidence=sure) for label, sure in order)]


ENTRIES = (
    Entry(
        "left-on-meta",
        "lazy-build",
        (
            "out of meta tensor",
            "on meta device",
            "is on the meta device",
            "from meta to a different device",
            "are on the meta device",
        ),
        r"cannot copy out of meta tensor|from meta to a different device|(?:is|are) on the meta device|tensor on meta device",
        why=(
            "the model was made without memory (`low_cpu_mem_usage`, `device_map`, `init_empty_weights`), and these tensors were "
            "never filled: not in the checkpoint, loaded elsewhere, or left on the disk for want of memory"
        ),
        remedy=(
            "Load with `low_cpu_mem_usage=False` and no `device_map`; or `load_state_dict(..., assign=True)`; no `.to()` "
            "afterwards."
        ),
        where=apart_from_steps,
        weigh=left_empty,
        example="NotImplementedError: Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty()",
    ),
    Entry(
        "config-kind-absent",
        "format-mismatch",
        (
            "unrecognized model in",
            "should have a `model_type` key",
            "no model_type",
            "has no `model_type`",
            "does not have a `model_type`",
        ),
        "",
        why="config.json names no kind of model: it is an adapter's, another library's, or was written by hand",
        remedy=(
            "Use the class of the model itself, or the folder (and library) that the config belongs to; `holdfast FOLDER` "
            "tells."
        ),
        weigh=ranked(
            ("format-mismatch", 0.78),
            ("version-mismatch", 0.68),
            ("incomplete-save", 0.6),
            ("not-found", 0.55),
        ),
        example="ValueError: Unrecognized model in ./out. Should have a `model_type` key in its config.json",
    ),
    Entry(
        "config-class-unfit",
        "format-mismatch",
        (
            "unrecognized configuration class",
            "to instantiate a model of type",
            "not supported for all configurations",
        ),
        r"Unrecognized configuration class|You are using a model of type (?P<got>[\w\-]+) to instantiate a model of type "
        r"(?P<want>[\w\-]+)?"
        r"|not supported for all configurations",
        why="the model is of another kind than this class loads",
        remedy="Use the class that its config names under `architectures`.",
        weigh=ranked(("format-mismatch", 0.82), ("version-mismatch", 0.74), ("custom-object", 0.6)),
        example=(
            "ValueError: Unrecognized configuration class <class 'x.LlavaConfig'> for this kind of AutoModel: "
            "AutoModelForCausalLM."
        ),
    ),
    Entry(
        "config-not-read",
        "corrupt",
        ("valid json", "is not a valid json file", "is not valid json", "can't decode byte", "invalid json"),
        r"(?:config(?:uration)?(?: file)?|json)\b.{0,200}?is not a? ?valid JSON(?: file)?",
        why="the config is no JSON: half written, or a file of weights was given in its place",
        remedy="Give the folder, not the file of weights; else get the config again.",
        weigh=of_a_config,
        where=loading_or_alone,
        test="whole",
        example="OSError: It looks like the config file at './m/config.json' is not a valid JSON file.",
    ),
    Entry(
        "model-kind-newer",
        "version-mismatch",
        (
            "does not recognize this architecture",
            "your version of transformers is out of date",
            "is not supported by this version of transformers",
            "unknown quantization type",
            "no attribute 'float8_e4m3fn'",
            "no attribute 'float8_e5m2'",
            "no attribute 'uint16'",
            "no attribute 'uint64'",
            "module diffusers has no attribute",
            "module 'diffusers' has no attribute",
            "module transformers has no attribute",
            "unknown quantization method",
            "failed to be inspected",
            "failed to load the model config. if the model is a custom model",
            "requires transformers>=",
            "requires transformers version",
            "unknown variant `",
            "was saved with a newer version",
            "is not expected and will be ignored",
            "but are not expected and will be ignored",
            "`rope_scaling` must be a dictionary",
            "rope_scaling` must be",
        ),
        "",
        why="the model (or a part of it) was saved by a newer version of the library than reads it",
        remedy=_UPGRADE,
        weigh=ranked(
            ("version-mismatch", 0.86),
            ("custom-object", 0.5),
            ("dtype-mismatch", 0.46),
            ("format-mismatch", 0.42),
        ),
        example="AttributeError: module diffusers has no attribute FluxTransformer2DModel",
    ),
    Entry(
        "code-of-the-hub",
        "unsafe-pickle",
        (
            "serious vulnerability",
            "trust_remote_code=true",
            "requires you to execute the",
            "contains custom code which must be executed",
            "require users to upgrade torch to at least v2.6",
            "due to a serious vulnerability issue in `torch.load`",
            "--disable-safe-unpickle",
            "the file may be malicious",
            "error verifying pickled file",
            "detected unsafe",
        ),
        r"requires you to execute the|contains custom code which must be executed|require users to upgrade torch to at "
        r"least v2\.6"
        r"|serious vulnerability issue in `torch\.load`|--disable-safe-unpickle|the file may be malicious|error verifying "
        r"pickled file"
        r"|set the option `?trust_remote_code=True|pass (?:the argument )?`?trust_remote_code=True",
        why="the loader refuses code from the model's folder (or a pickle) unless it is allowed",
        remedy="Read the code, then pass `trust_remote_code=True`; take the weights as safetensors where there are any.",
        weigh=ranked(
            ("unsafe-pickle", 0.86), ("version-mismatch", 0.66), ("custom-object", 0.6), ("corrupt", 0.4)
        ),
        example="The repository for x/y contains custom code which must be executed to correctly load the model.",
    ),
    Entry(
        "quantised-otherwise",
        "dtype-mismatch",
        (
            "not quantized",
            "already quantized",
            "model is quantized with",
            "but you are passing a",
            "does not match the quantization method specified",
            "is not supported for quantization method",
            "the model is already quantized",
            "is not quantized",
            "has been quantized",
            "quantization_config",
            "must be quantized",
            "is already quantized",
            "expected a quantized",
        ),
        r"The model is quantized with \w+ but you are passing|does not match the quantization method specified"
        r"|is not supported for quantization method|model (?:is|has been) already quantized|model (?:is|was) not quantized"
        r"|quantization_config.{0,80}(?:missing|not found|mismatch|does not match|not supported|unexpected)",
        why="the weights are quantised in another way than they are loaded",
        remedy="Load with the quantisation that its config names, and nothing besides.",
        where=loading_or_alone,
        also=("version-mismatch", "format-mismatch"),
        weight=0.86,
        example="ValueError: The model is quantized with GPTQConfig but you are passing a BitsAndBytesConfig config.",
    ),
    Entry(
        "offloaded",
        "memory",
        (
            "paging file",
            "ram to fit",
            "an `offload_folder`",
            "dispatched on the cpu",
            "had weights offloaded to the disk",
            "please provide an `offload_folder`",
            "we need an `offload_dir`",
            "some modules are dispatched on the cpu or the disk",
            "the paging file is too small",
            "os error 1455",
            "winerror 1455",
            "unable to mmap",
            "enough gpu ram to fit",
            "os error 12)",
            "cannot allocate memory",
        ),
        r"had weights offloaded to the disk|provide an `offload_folder`|We need an `offload_dir`"
        r"|modules are dispatched on the CPU or the disk|(?:paging file is too small|(?:os error|WinError) 1455)"
        r"(?!.{0,120}Error loading .{1,200}?\.dll)"
        r"|unable to mmap \d+ bytes.{0,200}Cannot allocate memory|GPU RAM to fit|os error 12\)",
        why="the model does not fit the memory that is free, so a part of it must lie elsewhere (or nothing can be mapped)",
        remedy="Give an `offload_folder`, a smaller number type, another `device_map`; on Windows a larger paging file.",
        also=("device-mismatch", "storage"),
        weight=0.88,
        example="ValueError: The current `device_map` had weights offloaded to the disk. Please provide an `offload_folder`",
    ),
    Entry(
        "offloaded-moved",
        "device-mismatch",
        (
            "you can't move a model that has some modules offloaded",
            "please use the model as it is, since the model has already been set",
        ),
        "",
        why="parts of the model lie on other devices already; it cannot be moved as one",
        remedy="Leave out `.to(...)`, or load without `device_map`.",
        also=("memory", "version-mismatch"),
        weight=0.82,
        example="RuntimeError: You can't move a model that has some modules offloaded to cpu or disk.",
    ),
    Entry(
        "not-written-tensors",
        "unserialisable",
        (
            "expected torch.tensor but received",
            "save a sparse tensor",
            "found no suitable name to keep",
            "data pointer on an invalid python storage",
            "trying to save a non dense",
            "expected a dict of [str, torch.tensor]",
            "data pointer of tensor that doesn't have storage",
            "has no attribute 'numel'",
            "cannot be serialized with safetensors",
            "in-place modification of a view",
        ),
        r"expected torch\.Tensor but received|save a sparse tensor|found no suitable name to keep"
        r"|data pointer on an invalid python storage|expected a dict of \[str, torch\.Tensor\]|data pointer of tensor that "
        r"doesn't have storage"
        r"|cannot be serialized with safetensors|'\w+' object has no attribute 'numel'",
        why=(
            "the state holds what this format does not write: numbers or strings, sparse, meta or sharded tensors, views "
            "without a whole"
        ),
        remedy="Give a flat dict of dense tensors (`.contiguous()`, gathered); write the rest beside it.",
        where=storing_or_alone,
        also=("version-mismatch", "dtype-mismatch", "topology"),
        weight=0.84,
        example="ValueError: Key `alpha` is invalid, expected torch.Tensor but received <class 'float'>",
    ),
)
