"""Pickles that name what is not here, in other words than ``find_class``'s, and objects that come back without an attribute."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import alone, loading, loading_or_alone, saving_or_alone

_CODE = (
    "Put the code that saved on the path (PYTHONPATH, run from its folder), or save a "
    "`state_dict()`, which needs no code; `holdfast CKPT` lists the globals."
)
_OWN = frozenset(
    {
        "models", "model", "src", "lib", "libs", "core", "net", "nets", "network", "networks", "modules", "module",
        "utils", "util", "losses", "loss", "common", "config", "configs", "dataset", "datasets", "data", "train",
        "trainer", "training", "engine", "layers", "resnet", "unet", "main", "backbone", "backbones", "architecture",
        "architectures", "code", "project", "tools", "options", "experiments", "policies", "agent", "agents",
    }
)  # fmt: skip
"""What folders of research code are called."""
_LIBRARIES = (
    "torch", "tensorflow", "keras", "jax", "flax", "transformers", "lightning", "pytorch_lightning", "torchvision",
    "sklearn", "timm", "diffusers", "peft", "omegaconf", "pandas", "scipy", "jaxlib", "optax", "orbax", "tf_keras",
    "fairseq", "deepspeed", "megatron", "apex", "numpy", "nemo", "accelerate", "torchmetrics", "mmcv", "mmengine",
    "mmdet", "detectron2", "gym", "gymnasium", "stable_baselines3", "ray", "haiku", "chex", "tensorboard",
)  # fmt: skip
_NN = (
    r"Conv\w*|ConvTranspose\w*|BatchNorm\w*|InstanceNorm\w*|LayerNorm|GroupNorm|GELU|SiLU|Hardswish"
    r"|ReLU6?|LeakyReLU|Upsample|MultiheadAttention|Linear|"
    r"AvgPool\w*|MaxPool\w*|AdaptiveAvgPool\w*|LSTM|GRU|RNN|Dropout\w*|Sequential|DataParallel"
    r"|DistributedDataParallel|Embedding|Softmax|Transformer\w*|"
    r"Adam|AdamW|SGD|RMSprop|Adagrad|StepLR|LambdaLR|CosineAnnealing\w*|SyncBatchNorm|PixelShuffle"
    r"|Identity|Tanh|Sigmoid|CrossEntropyLoss|Parameter"
)


def own_module(look: Look) -> list[Guess]:
    """A module that is not there while a file is loaded: the code of the repository that saved."""
    name = look.facts().get("module", "")
    top = name.split(".")[0]
    if top in _LIBRARIES:
        return []  # another entry tells more
    if top in _OWN or look.around.loading:
        return [look.entry.guess(look, confidence=0.7 if look.around.loading else 0.55)]
    return []


def module_attribute(look: Look) -> list[Guess]:
    """A module lacks a name: of a library (another version), or of the user's code (not defined here)."""
    module = look.match["module"]
    top = module.split(".")[0]
    own = look.entry.guess(
        look, "custom-object", confidence=0.82, remedy=_CODE,
        why="the file pickles `{name}` of `{module}`, where it is not defined".format_map(look.facts()),
    )  # fmt: skip
    if top in _LIBRARIES:
        return [
            look.entry.guess(look, confidence=0.74 if look.around.loading else 0.5),
            look.entry.guess(look, "custom-object", confidence=0.38),
        ]
    return [own, look.entry.guess(look, "version-mismatch", confidence=0.5)]


def of_buffers(look: Look) -> list[Guess]:
    """Any compiled function checks the types of its arrays; of a pickle it says so only where one is loaded, or of a tree."""
    if "buffer" in look.match[0].lower() and not (
        look.around.loading or re.search(r"sklearn|size_t|joblib|pickle", look.reading.lower)
    ):
        return [look.entry.guess(look, confidence=0.3)]
    return [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "own-module-missing",
        "custom-object",
        ("no module named",),
        r"No module named '?(?P<module>\w[\w.]*)'?",
        why="the file pickles classes by their module `{module}`, which cannot be imported here: the code that saved it",
        remedy=_CODE,
        where=loading_or_alone,
        calls=(
            "load",
            "find_class",
            "_load",
            "_legacy_load",
            "load_from_checkpoint",
            "load_model",
            "unpickle",
            "restore",
        ),
        context=(
            "find_class",
            "torch.load",
            "pickle",
            "load_from_checkpoint",
            "checkpoint",
            "no module named",
        ),
        only_in=True,
        weigh=own_module,
        also=("unserialisable", "version-mismatch"),
        weight=0.7,
        test="pickle",
        example="    return super().find_class(mod_name, name)\nModuleNotFoundError: No module named 'losses'",
    ),
    Entry(
        "module-lacks-name",
        "version-mismatch",
        ("has no attribute '", "cannot import name"),
        r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'",
        why="`{module}` has no `{name}` in the version that is installed here",
        remedy="Install the version that saved (or the one that the code is for).",
        where=loading,
        weigh=module_attribute,
        test="pickle",
        example="torch.load('m.pt')\nAttributeError: module 'torchvision.models' has no attribute 'convnext_v9'",
    ),
    Entry(
        "main-is-built-in",
        "custom-object",
        ("is a built-in class", "is a built-in module"),
        r"<(?:module|class) '(?P<module>[\w.]+)'.{0,60}> is a built-in (?:class|module)",
        why="a whole object was saved from a script or notebook (`{module}`), and its class is not defined where it is loaded",
        remedy="Define or import the class before loading; save `state_dict()`s, which need no code.",
        also=("unserialisable",),
        weight=0.88,
        test="pickle",
        example="TypeError: <module '__main__'> is a built-in class",
    ),
    Entry(
        "source-changed",
        "version-mismatch",
        ("sourcechangewarning", "source code of class"),
        r"source code of class '(?P<name>[\w.]+)' has changed",
        why="the class `{name}` has other source code now than when the whole object was saved",
        remedy="Load a state dict into the present class; or take the code of that version.",
        also=("custom-object",),
        weight=0.74,
        example="SourceChangeWarning: source code of class 'torch.nn.modules.conv.Conv2d' has changed.",
    ),
    Entry(
        "library-object-attribute",
        "version-mismatch",
        ("object has no attribute '",),
        r"'(?P<kind>" + _NN + r")' object has no attribute '(?P<name>_?\w+)'",
        why=(
            "a whole pickled `{kind}` was loaded that an older version of PyTorch saved: it lacks "
            "`{name}`, which this version reads"
        ),
        remedy="Load the state dict into a model that is built in code, or use the version that saved.",
        weigh=ranked(("version-mismatch", 0.78), ("custom-object", 0.42), ("format-mismatch", 0.36)),
        context=(
            "padding_mode",
            "_buffers",
            "approximate",
            "recompute_scale",
            "_hook",
            "inplace",
            "divisor_override",
            "_flat_weights",
            "batch_first",
            "ceil_mode",
            "num_batches_tracked",
            "track_running",
            "_step",
            "defaults",
            "_zero_grad",
            "_warned",
            "load",
            "checkpoint",
            "pickle",
            "_non_persistent",
            "_is_full_backward",
            "_optimizer_",
            "_forward_",
            "align_corners",
            "_qkv_same",
            "out_proj",
            "_backward_",
            "_state_dict",
        ),
        only_in=True,
        example="AttributeError: 'Upsample' object has no attribute 'recompute_scale_factor'",
    ),
    Entry(
        "pickle-protocol",
        "version-mismatch",
        (
            "unsupported pickle protocol",
            "opcode",
            "code() ",
            "code expected at",
            "an integer is required (got type bytes)",
        ),
        r"unsupported pickle protocol: (?P<protocol>\d+)|(?:unknown|unsupported) opcode"
        r"|code\(\) (?:takes|argument|missing)|code expected at (?:least|most)"
        r"|an integer is required \(got type bytes\)|XXX lineno: \d+, opcode: \d+",
        why="the pickle (protocol {protocol}, or byte code in it) is of another Python version than reads it",
        remedy="Load it with the Python that saved, and save again with `pickle_protocol=2` or without functions in it.",
        where=loading_or_alone,
        also=("unserialisable", "custom-object", "corrupt"),
        weight=0.88,
        example="ValueError: unsupported pickle protocol: 5",
    ),
    Entry(
        "sklearn-object",
        "version-mismatch",
        (
            "incompatible dtype",
            "inconsistentversionwarning",
            "buffer dtype mismatch",
            "monotonic_cst",
            "sklearn.",
            "incompatible checksums",
            "_ctor() takes",
        ),
        r"node array from the pickle has an incompatible dtype|InconsistentVersionWarning"
        r"|buffer dtype mismatch|'\w+' object has no attribute 'monotonic_cst'"
        r"|incompatible checksums|No module named '?(?P<module>sklearn\.[\w.]+)|__(?:randomstate"
        r"|generator|bit_generator)_ctor\(\) takes",
        why="the pickle was written with another version of the library than reads it",
        remedy="Install the version that wrote it, or train and save again.",
        weight=0.88,
        weigh=of_buffers,
        also=("custom-object",),
        example="ValueError: node array from the pickle has an incompatible dtype",
    ),
    Entry(
        "cannot-be-pickled",
        "unserialisable",
        (
            "be pickled",
            "not the same object as",
            "deepcopy protocol",
            "copyable object",
            "cannot serialize",
            "not serializable",
            "not picklable",
            "may only be pickled",
            "pickling of ",
            "must define __reduce",
            "modules is only supported",
        ),
        r"(?:cannot|can not|could not) be pickled|not the same object as (?P<what>[\w.]+)"
        r"|graph leaves\) support the deepcopy protocol|Serialization of (?P<what4>\w+ modules) is only supported"
        r"|un\(deep\)copyable object|may only be pickled at the beginning|Pickling of \"?(?P<what3>[\w.]+)\"? "
        r"is not supported|must define __reduce\w*"
        r"|(?:objects?|parameters"
        r"|instances?|tensor) (?:is|are) not (?:serializable|picklable)"
        r"|cannot serialize '?(?P<what2>[\w.]+)'? object",
        why="something in what is saved has no bytes that could be written ({what})",
        remedy=(
            "Save `state_dict()`s, not objects: lambdas, locks, handles, process groups and tensors of a "
            "graph have no bytes. `holdfast isolate` names the part."
        ),
        where=saving_or_alone,
        also=("custom-object", "version-mismatch"),
        weight=0.86,
        example="ValueError: ctypes objects containing pointers cannot be pickled",
    ),
    Entry(
        "object-is-wrong-kind",
        "format-mismatch",
        (
            "object has no attribute '",
            "object is not subscriptable",
            "object is not callable",
            "indices must be integers",
            "is not a mapping",
            "object is not iterable",
            "argument of type",
        ),
        r"'(?P<kind>dict|OrderedDict|collections\.OrderedDict|list|tuple|Tensor|NoneType|str|int"
        r"|\w+Model|\w*Net\w*|\w*Sequential|DataParallel)' object"
        r" (?:has no attribute '(?P<name>load_state_dict|state_dict|eval|to|cuda|cpu|parameters|forward"
        r"|train|keys|items|copy|get|startswith|endswith|module|"
        r"modules|children|named_parameters|predict|size|shape|dim|replace|values)'"
        r"|is not subscriptable|is not callable|is not iterable)"
        r"|(?:list|tuple|string) indices must be integers|argument of type '(?P<kind2>NoneType|int|\w+)' is not iterable",
        why=(
            "what came out of the file is a `{kind}`, and the program takes it for something else: a "
            "whole model for a state dict, a state dict for a model, or another layout"
        ),
        remedy=(
            "`holdfast inspect CKPT` shows what it holds; `model.load_state_dict(sd)` wants a dict of "
            "tensors, a saved module is used as it is."
        ),
        where=loading,
        also=("version-mismatch", "custom-object"),
        weight=0.6,
        test="entries",
        example="model = torch.load('m.pt')\nmodel.eval()\nAttributeError: 'OrderedDict' object has no attribute 'eval'",
    ),
    Entry(
        "entry-of-checkpoint-missing",
        "format-mismatch",
        ("keyerror: ",),
        r"(?:checkpoint|ckpt|state|snapshot|loaded|saved|pretrained|resume|restore|data|dict|weights"
        r"|params|model|content|pkl|file)\w*\[[\"'](?!param_groups)(?P<entry>[\w.\- ]+)[\"']\].{0,200}?"
        r"KeyError: [\"'](?P=entry)[\"']",
        why="the file has no entry `{entry}`: another stage or tool wrote it, or it holds weights only",
        remedy=(
            "`holdfast inspect CKPT` lists its entries; load the file that holds all of the training "
            "state, or take the entry that is there."
        ),
        also=("resume-state", "version-mismatch", "missing-tensor"),
        weight=0.76,
        test="entries",
        example="    scheduler.load_state_dict(checkpoint['sched'])\nKeyError: 'sched'",
    ),
    Entry(
        "bare-slot-or-entry",
        "format-mismatch",
        ("keyerror: ",),
        r"KeyError: [\"']?(?P<entry>model_state\w*|state_dict\w*|model\w*_state\w*|\w*_state_dict"
        r"|generator|discriminator|netG|netD|net_g|net_d|G_ema|g_ema|ema\w*|weights|params|params_ema|"
        r"vocab|cfg|opt|arch|meta|encoder|decoder|\w*optimizer\w*|iteration|iter|best_\w+|train_\w+"
        r"|hyper_parameters|teacher|student|config|args|model_args|hparams|module|net|network|policy|actor|critic"
        r"|backbone|classifier|tokenizer|scheduler|lr_scheduler|optim\w*|opt_state|epochs?|best_acc\w*|model_dict"
        r"|backbone_state|config_state|idx_to_class|class_to_idx|classes|pretrained\w*|ckpt|checkpoint|G|D"
        r"|netG_A|E|mapping|cls_to_idx"
        r"|model_config|cfg_dict|training_args|saved_\w+|char_?list|symbols|normalizer|scaler|mean|std)(?:[\"'](?=\s|$)|\s*$)",
        why="the file has no entry `{entry}`: it is a bare state dict, another stage's or another tool's checkpoint",
        remedy="`holdfast inspect CKPT` lists its entries; load it with the code that wrote it.",
        where=alone,
        also=("resume-state", "version-mismatch"),
        weight=0.6,
        test="entries",
        example="KeyError: 'params_ema'",
    ),
    Entry(
        "numpy-object-arrays",
        "unsafe-pickle",
        ("allow_pickle",),
        r"Object arrays cannot be loaded when allow_pickle=False"
        r"|cannot load file containing pickled data when allow_pickle=False",
        why="the file holds pickled objects, which numpy 1.16.3 and later read only where that is allowed",
        remedy="Where you trust the file: `np.load(..., allow_pickle=True)`, and save plain arrays the next time.",
        also=("version-mismatch", "corrupt"),
        weight=0.9,
        example="ValueError: Object arrays cannot be loaded when allow_pickle=False",
    ),
)
