"""Objects out of a file that are of another kind, or of another version's class, than the program takes them for.

These messages name what no other program's errors name (an ``OrderedDict`` that is called, a module of ``torch.nn`` without an
attribute of its class), so that they are known where they stand alone, as people quote them.
"""

from __future__ import annotations

from ...first_bytes import AGAIN
from ...knowledge import Entry, Guess, Look, ranked
from ...where import alone, loading, loading_or_alone

_PLAIN = (
    "`holdfast inspect CKPT` shows what it holds; `model.load_state_dict(sd)` wants a dict of tensors, a "
    "saved module is used as it is."
)
_AGAIN_IN_CODE = "Load the state dict into a model that is built in code, or use the version that saved."
_METHODS = (
    r"eval|train|to|cuda|cpu|half|parameters|named_parameters|load_state_dict|state_dict|modules|named_modules|children"
    r"|named_children|forward|module|requires_grad_|predict|generate|encode|model|share_memory|apply|zero_grad|fuse"
)


def of_settings(look: Look) -> list[Guess]:
    """A setting that is not among those that came with the weights."""
    return [
        look.entry.guess(look),
        look.entry.guess(look, "custom-object", confidence=0.3),
        look.entry.guess(look, "format-mismatch", confidence=0.34),
    ]


def made_anew(look: Look) -> list[Guess]:
    """What fails while a pickled object takes its state back was written by other code of its class. A copy in memory
    (``copy.deepcopy``) goes the same way, and is of no file."""
    if "deepcopy" in look.match[0].lower():
        return []
    first = look.entry.guess(look)
    if "assert" in look.match[0].lower() or "keyerror" in look.match[0].lower():
        return [first, look.entry.guess(look, "format-mismatch", confidence=0.46)]
    return [first, look.entry.guess(look, "custom-object", confidence=0.5)]


ENTRIES = (
    Entry(
        "state-dict-used-as-model",
        "format-mismatch",
        (
            "dict' object has no attribute '",
            "ordereddict' object is not callable",
        ),
        r"'(?P<kind>(?:collections\.)?OrderedDict|dict)' object has no attribute '(?P<name>"
        + _METHODS
        + r")'"
        r"|'(?P<kind2>(?:collections\.)?OrderedDict)' object is not callable",
        why="the file holds a dict (a state dict, or a whole training checkpoint), and the program takes it for a model",
        remedy=_PLAIN,
        where=loading_or_alone,
        also=("version-mismatch", "custom-object"),
        weight=0.82,
        test="entries",
        example="AttributeError: 'collections.OrderedDict' object has no attribute 'eval'",
    ),
    Entry(
        "dict-in-place-of-object",
        "format-mismatch",
        ("dict' object has no attribute '", "values to unpack"),
        r"'(?P<kind>(?:collections\.)?OrderedDict|dict)' object has no attribute '(?P<name>\w+)'"
        r"|= ?torch\.load\(.{0,200}?(?:too many|not enough) values to unpack",
        why="the file holds another kind of object ({kind}) than the program expects: another stage, tool or version wrote it",
        remedy=_PLAIN,
        where=loading,
        weigh=ranked(("format-mismatch", 0.66), ("version-mismatch", 0.52), ("custom-object", 0.36)),
        test="entries",
        example="    (params, step) = torch.load(path)\nValueError: too many values to unpack (expected 2)",
    ),
    Entry(
        "model-used-as-state-dict",
        "format-mismatch",
        ("object has no attribute '", "object is not subscriptable", "is not iterable"),
        r"'(?P<kind>(?-i:DataParallel|DistributedDataParallel|RecursiveScriptModule|OptimizedModule"
        r"|Sequential|\w*(?:Net|ResNet|UNet"
        r"|Model|Module|Classifier|Generator|Encoder|VGG|Transformer)\w*))' object (?:has no attribute "
        r"'(?:copy|keys|items|values)'"
        r"|is not subscriptable|is not iterable)",
        why="a whole `{kind}` came out of the file, and the program takes it for a dict of tensors",
        remedy=_PLAIN + " For the tensors of a saved module: `torch.load(...).state_dict()`.",
        where=loading_or_alone,
        also=("version-mismatch", "custom-object"),
        weight=0.72,
        test="entries",
        example="AttributeError: 'RecursiveScriptModule' object has no attribute 'copy'",
    ),
    Entry(
        "object-takes-its-state-back",
        "version-mismatch",
        ("__setstate__", "_reconstruct", "load_build"),
        r"(?:in|def) (?:__setstate__|_reconstruct|load_build)\b.{0,600}?(?P<error>[A-Z]\w*(?:Error|Exception))\b",
        why=(
            "a pickled object could not take its state back: the code of its class here is of another version than the code "
            "that saved it"
        ),
        remedy="Use the version of the code that saved; or load a state dict into an object that is built in code.",
        calls=("__setstate__",),
        weigh=made_anew,
        also=("custom-object", "format-mismatch"),
        weight=0.74,
        example=(
            '  File "net.py", line 9, in __setstate__\n    self._build()\nTypeError: act() got an unexpected '
            "keyword argument 'clamp'"
        ),
    ),
    Entry(
        "converter-does-not-know-file",
        "version-mismatch",
        (
            "pickle version too",
            "unknown tensorflow kwarg",
            "checkpoint version",
            "unsupported checkpoint version",
            "model version",
        ),
        r"pickle version too (?:low|high|old|new)|Unknown TensorFlow kwargs?"
        r"|(?:unsupported|unknown|incompatible|unexpected|wrong|old) (?:checkpoint|model) version"
        r"|(?:checkpoint|model) version \S+ (?:is )?(?:not supported|unsupported|too (?:old|new))",
        why="the converter is for files of another generation of the program than the one that wrote this file",
        remedy=(
            "Convert with the repository (and release) that the file belongs to; `holdfast FILE` says what the "
            "file tells of itself."
        ),
        also=("format-mismatch", "custom-object"),
        weight=0.8,
        example="ValueError: TensorFlow pickle version too low",
    ),
    Entry(
        "setting-not-among-saved",
        "version-mismatch",
        ("object has no attribute '", "' not in ", "' is not in "),
        r"'(?P<kind>AttrDict|EasyDict|Namespace|DictConfig|\w*Config|HParams|HyperParams|Munch|CfgNode|ConfigDict|Hyperparameters"
        r"|Params|Args|\w+Args|\w+Params|\w+Arguments)' object has no attribute '(?P<name>\w+)'"
        r"|Key '(?P<name2>\w+)' (?:is )?not in (?:struct|'(?P<kind2>\w+)')",
        why="the settings that came with the checkpoint (`{kind}`) have no `{name}`, which this version of the code reads",
        remedy="Use the version of the code that saved; or add the setting with the value that the older code had built in.",
        where=loading_or_alone,
        weigh=of_settings,
        weight=0.6,
        example="omegaconf.errors.ConfigAttributeError: Key 'use_rope' not in 'EncoderConfig'",
    ),
    Entry(
        "library-module-gone",
        "version-mismatch",
        ("no module named",),
        r"No module named '?(?P<module>(?:torch|torchvision|torchaudio|torchtext|pytorch_lightning|lightning"
        r"|lightning_fabric|omegaconf"
        r"|transformers|timm|fairseq|mmcv|mmengine|mmdet|mmseg|detectron2|ultralytics|fvcore|numpy|pandas"
        r"|scipy|sklearn|gym|gymnasium"
        r"|stable_baselines3|espnet2?|speechbrain|nemo|torchmetrics|accelerate|diffusers|peft|monai|fastai"
        r"|skorch|tianshou|rllib|ray"
        r"|cloudpickle|pathlib|neuralforecast|pytorch_forecasting|segmentation_models_pytorch|torch_geometric|dgl|apex)"
        r"\.[\w.]+)'?",
        why="the file names the module `{module}`, which the installed version of the library does not have",
        remedy="Install the version that saved (`holdfast CKPT` names it where the file tells); or save a state dict there.",
        where=alone,
        weigh=ranked(("version-mismatch", 0.7), ("custom-object", 0.45), ("unserialisable", 0.3)),
        test="pickle",
        example="ModuleNotFoundError: No module named 'pytorch_lightning.utilities.argparse_utils'",
    ),
    Entry(
        "recurrent-module-attribute",
        "version-mismatch",
        ("object has no attribute '",),
        r"'(?P<kind>[A-Z]\w*)' object has no attribute '(?P<name>proj_size|_flat_weights\w*|padding_mode|_padding_repeated_twice"
        r"|_reversed_padding_repeated_twice|recompute_scale_factor|_non_persistent_buffers_set|_is_full_backward_hook"
        r"|_load_state_dict_\w+|_state_dict_\w+hooks|_forward_\w*hooks\w*|_backward_\w*hooks|_optimizer_\w+"
        r"|_zero_grad_\w+|_warned_\w+"
        r"|_step_count|_initial_step|_get_lr_called\w*|verbose|_last_lr|output_padding|_qkv_same_embed_dim"
        r"|batch_first|approximate"
        r"|divisor_override|align_corners|_metadata|drop_path\d?|_compiled_call_impl|_version|grad_checkpointing|static_graph"
        r"|_use_replicated_tensor_module|require_forward_param_sync|_dispatch_\w+)'",
        why="a whole pickled `{kind}` was loaded that another version saved: it lacks `{name}`, which this version reads",
        remedy=_AGAIN_IN_CODE,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.4), ("format-mismatch", 0.3)),
        example="AttributeError: 'GRU' object has no attribute 'proj_size'",
    ),
    Entry(
        "layer-attribute",
        "version-mismatch",
        ("object has no attribute '", "moduleattributeerror"),
        r"ModuleAttributeError: '(?P<kind2>\w+)' object has no attribute '(?P<name2>\w+)'"
        r"|'(?P<kind>(?-i:Detect|Segment|Classify|AutoShape|DetectMultiBackend|\w*(?:Conv|Norm|Act(?!or)|Attention"
        r"|Attn|Block|Mlp|MLP|Embed"
        r"|Layer|Head|Bottleneck|Pool|Stem|SiLU|GELU|Swish|Hardswish|LSTM|Scheduler|LR|AdamW?|SGD))\w*)' object has no attribute"
        r" '(?P<name>\w+)'",
        why=(
            "a whole pickled `{kind}` was loaded that another version of the code saved: it lacks `{name}`, "
            "which this version reads"
        ),
        remedy=_AGAIN_IN_CODE,
        where=alone,
        weigh=ranked(("version-mismatch", 0.56), ("custom-object", 0.45), ("format-mismatch", 0.4)),
        example="AttributeError: 'ConvNormAct9' object has no attribute 'aa'",
    ),
    Entry(
        "apex-state-not-made",
        "resume-state",
        ("_amp_stash", "ampoptimizerstate", "has no attribute 'all_fp"),
        r"has no attribute '(?:_amp_stash|all_fp16_params|all_fp32\w+)'|'AmpOptimizerState' object has no attribute",
        why="apex keeps its state on the optimizer, which was loaded, replaced or made anew after `amp.initialize`",
        remedy="`amp.initialize` first, with the same opt_level; then load model, optimizer and `amp.load_state_dict`.",
        weigh=ranked(("resume-state", 0.86), ("optimizer-structure", 0.8), ("version-mismatch", 0.42)),
        example="AttributeError: 'SGD' object has no attribute '_amp_stash'",
    ),
    Entry(
        "lightning-entry-gone",
        "version-mismatch",
        ("keyerror: '",),
        r"KeyError: '(?P<entry>loops|native_amp_scaling_state|optimizer_states|lr_schedulers|hparams_name|module_arguments"
        r"|hyper_parameters|MixedPrecisionPlugin|fit_loop|state_dict_version)'\s*$",
        why="the checkpoint has no `{entry}`: another version of Lightning wrote it, or it holds weights only",
        remedy=(
            "`python -m lightning.pytorch.utilities.upgrade_checkpoint FILE` makes a copy in the present layout; "
            "for weights alone "
            "take `state_dict`."
        ),
        where=alone,
        weigh=ranked(("version-mismatch", 0.66), ("format-mismatch", 0.6), ("resume-state", 0.5)),
        test="entries",
        example="KeyError: 'native_amp_scaling_state'",
    ),
    Entry(
        "restored-beyond-the-end",
        "resume-state",
        (
            "you restored a checkpoint with current_epoch",
            "is finished, nothing to resume",
            "nothing to resume",
            "already completed",
            "trainer(max_epochs=",
        ),
        r"you restored a checkpoint with current_epoch=?(?P<at>\d+)?|nothing to resume|Trainer\(max_epochs=\d+\)"
        r"|(?:training|run) (?:was |is |has )?already completed",
        why="the checkpoint is of the end of the training ({at}), or beyond it: nothing is left of the epochs that are set",
        remedy="Set more epochs (`max_epochs`) to go on; to train anew from these weights load the weights alone.",
        where=loading_or_alone,
        also=("optimizer-hyperparameters", "retention"),
        weight=0.82,
        example=(
            "MisconfigurationException: You restored a checkpoint with current_epoch=11, but you have set "
            "Trainer(max_epochs=10)."
        ),
    ),
    Entry(
        "best-is-no-longer-listed",
        "retention",
        ("is not in list", "best_model_checkpoint"),
        r"checkpoint\S*' is not in list|best_model_checkpoint.{0,160}(?:is not in list|ValueError"
        r"|FileNotFoundError|No such file)",
        why=(
            "the state names a best checkpoint that is not in the folder any more: deleted by the limit, moved, "
            "or of another run"
        ),
        remedy="Keep the best one apart from the rotation; start anew from its weights, or clear `best_model_checkpoint`.",
        weigh=ranked(("retention", 0.74), ("resume-state", 0.62), ("not-found", 0.6)),
        test="path",
        example="ValueError: 'runs/checkpoint-100' is not in list",
    ),
    Entry(
        "lazy-module-not-run",
        "lazy-build",
        (
            "uninitialized parameter",
            "uninitializedparameter",
            "uninitializedbuffer",
            "uninitialized buffer",
            "non-initialized module",
            "with uninitialized parameters",
        ),
        "",
        why="a lazy module has no tensors before its first run; what is loaded into it or saved of it then is none",
        remedy="Run the model once on a batch of the right shape before loading, saving or wrapping it.",
        where=loading_or_alone,
        also=("missing-tensor", "unserialisable"),
        weight=0.7,
        example="ValueError: Attempted to use an uninitialized parameter in UninitializedParameter.",
    ),
    Entry(
        "hub-cannot-unpack",
        "version-mismatch",
        ("only one file(not dir) is allowed in the zipfile",),
        "",
        why=(
            "torch.hub before 1.7 takes every zip archive for a compressed download, and torch.save of 1.6 and later writes zip "
            "archives"
        ),
        remedy="Upgrade PyTorch; or download the file and `torch.load` it.",
        also=("format-mismatch",),
        weight=0.9,
        example="RuntimeError: Only one file(not dir) is allowed in the zipfile",
    ),
    Entry(
        "compressed-file-cut-short",
        "corrupt",
        ("compressed file ended before the end-of-stream",),
        "",
        why="the compressed file ends before its data does: half downloaded, or its writer was killed",
        remedy=AGAIN,
        where=alone,
        also=("incomplete-save", "format-mismatch"),
        weight=0.62,
        test="whole",
        example="EOFError: Compressed file ended before the end-of-stream marker was reached",
    ),
)
