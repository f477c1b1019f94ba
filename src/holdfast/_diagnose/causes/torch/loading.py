"""PyTorch: loaders by other wordings than ``load_state_dict``'s own: libraries that copy tensor by tensor, report and go on.

Messages: accelerate's ``set_module_tensor_to_device``, transformers' and diffusers' ``from_pretrained``, mmengine's and fvcore's
checkpointers, fairseq's ``checkpoint_utils``, torch/distributed/checkpoint/default_planner.py, Lightning.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import alone, loading, loading_or_alone

_BUILD = (
    "Build the model as it was saved (`holdfast inspect CKPT` lists it); `holdfast check CKPT "
    "module:factory` holds both sides against each other."
)

_WAYS = (
    ("missing-tensor", 0.62),
    ("renamed", 0.56),
    ("shape-mismatch", 0.55),
    ("version-mismatch", 0.5),
    ("unexpected-tensor", 0.45),
)


def in_which_way(look: Look) -> list[Guess]:
    """Where the lists stand below the sentence, they tell more than it does."""
    lower = look.reading.lower
    if any(word in lower for word in ("unexpected key", "missing key", "size mismatch for")):
        return []
    ways = _WAYS
    if "loaded state dict" in look.match[0].lower():  # mmcv warns so of the head of a pretrained backbone
        ways = (("unexpected-tensor", 0.6), ("missing-tensor", 0.58), ("shape-mismatch", 0.55), *_WAYS[1::2])
    return [look.entry.guess(look, label, confidence=sure) for label, sure in ways]


def of_random_states(look: Look) -> list[Guess]:
    """What accelerate warns of on the way to a count of steps that another version of it did not write tells less."""
    if "keyerror: 'step'" in look.reading.lower:
        return []
    return [
        look.entry.guess(look, confidence=0.95),
        look.entry.guess(look, "optimizer-structure", confidence=0.3),
    ]


ENTRIES = (
    Entry(
        "set-tensor-shape",
        "shape-mismatch",
        (
            "trying to set a tensor of shape",
            "because the shapes did not match",
            "due to incompatible shapes",
            "skip loading parameter",
            "size mismatch between saved",
            "global shape mismatch",
            "shape mismatch for",
            "size mismatch",
            "shape mismatch",
            "mismatched sizes",
            "ignore_mismatched_sizes",
            "but the expected shape",
            "expected shape tensor(",
            " in checkpoint is ",
            "inconsistent tensor size, expected",
        ),
        r"Trying to set a tensor of shape (?:torch\.Size\()?(?P<checkpoint>\[[\d, ]*\])\)? in \"?"
        r"(?P<tensor>[\w.]+)\"? \(which has shape"
        r" (?:torch\.Size\()?(?P<model>\[[\d, ]*\])"
        r"|Shape of (?P<tensor4>[\w.]+) in checkpoint is (?:torch\.Size\()?(?P<checkpoint4>\[[\d, ]*\])\)?, "
        r"while shape of [\w.]+ in"
        r" model is (?:torch\.Size\()?(?P<model4>\[[\d, ]*\])"
        r"|inconsistent tensor size, expected (?:r_ )?tensor (?P<model5>\[[\dx ]+\]) and src (?P<checkpoint5>\[[\dx ]+\])"
        r"|because the shapes did not match|(?:Skip loading parameter '(?P<tensor2>[\w.]+)' to the "
        r"model )?due to incompatible shapes"
        r"(?:: (?P<checkpoint2>\([\d, ]*\)) in the checkpoint but (?P<model2>\([\d, ]*\)) in the model)?"
        r"|Size mismatch between saved (?:torch\.Size\()?(?P<checkpoint3>\[[\d, ]*\])\)? and current: (?:torch\.Size\()?"
        r"(?P<model3>\[[\d, ]*\])\)? for (?P<tensor3>[\w.]+)"
        r"|Global shape mismatch|shape mismatch for|ignore_mismatched_sizes|but the expected shape|expected shape tensor\("
        r"|(?:size|shape) mismatch(?! for [\w.\-]+: copying)(?=.{0,200}(?:checkpoint|state_dict|pretrained|load))"
        r"|mismatched sizes",
        why="`{tensor}` has shape {checkpoint} in the checkpoint and {model} in the model",
        remedy=(
            "Build the layer with the recorded size (classes, vocabulary, width), or leave it out on "
            "purpose and train it anew."
        ),
        where=loading_or_alone,
        also=("preprocessing", "topology", "version-mismatch"),
        weight=0.86,
        test="names",
        example=(
            'ValueError: Trying to set a tensor of shape torch.Size([100, 8]) in "weight" (which has '
            "shape torch.Size([90, 8])), this "
            "looks incorrect."
        ),
    ),
    Entry(
        "load-left-missing",
        "missing-tensor",
        (
            "to load key",
            "not found in the checkpoint:",
            "in the model state dict but not in the checkpoint",
            "because the following keys are missing",
            "keys are missing in the checkpoint",
            "on the meta device, we need a `value`",
            "cannot copy out of meta tensor",
            "does not contain tensor",
            "missing keys when loading",
            "missing key in checkpoint",
            "are missing from the checkpoint",
            "missing_keys:",
            "missing keys:",
            "that does not exist in the loaded checkpoint",
            "contains no weights for",
            " is not in the checkpoint",
            "not in checkpoint",
            "not in the checkpoint",
        ),
        r"fail(?:ed)? to load keys?:?|(?:are )?not found in the checkpoint:"
        r"|in the model state dict but not in the checkpoint|because the following keys are missing"
        r"|keys are missing in the checkpoint"
        r"|(?P<tensor>[\w.]+ is )?on the meta device, we need a `value`|Cannot copy out of meta tensor"
        r"|does not contain tensor ?(?P<key>[\w.]+)?"
        r"|missing keys when loading|are missing from the checkpoint|missing_keys: ?\[?['\"]\w"
        r"|missing keys: ?\[?['\"]\w|that does not exist in the loaded checkpoint"
        r"|contains no weights for|\b(?P<key2>\w+(?:\.\w+)+) (?:is )?not in (?:the )?checkpoint",
        why="the checkpoint has nothing for some tensors of the model",
        remedy=_BUILD + " Tied weights (`lm_head.weight`) are missing on purpose.",
        where=loading_or_alone,
        also=("renamed", "version-mismatch", "unexpected-tensor"),
        weight=0.8,
        test="names",
        example="WARNING: Some model parameters or buffers are not found in the checkpoint: head.fc.bias",
    ),
    Entry(
        "load-left-over",
        "unexpected-tensor",
        (
            "keys that are not used",
            "not in the model state dict",
            "not found in the model",
            "unexpected keys",
            "unexpected_keys",
            "unused keys",
            "correctly renamed",
            "convert",
            "map key",
            "map the key",
            "unrecognized key",
            "unknown key",
        ),
        r"contains keys that are not used by the model"
        r"|not in the model state dict but in the checkpoint|led to unexpected keys not found in the model"
        r"|unexpected keys(?: found in|: ?\[?['\"]\w| in the checkpoint)|unexpected_keys: ?\[?['\"]\w"
        r"|unused keys|keys have not been correctly renamed|(?:could not|cannot|failed to) (?:convert"
        r"|map) (?:the )?keys?|unrecognized keys?|unknown keys?",
        why="the checkpoint has tensors for which the model has no place",
        remedy=_BUILD,
        where=loading_or_alone,
        also=("renamed", "version-mismatch", "format-mismatch"),
        weight=0.76,
        test="names",
        example="The checkpoint state_dict contains keys that are not used by the model:\n  fc.{bias, weight}",
    ),
    Entry(
        "architecture-differs",
        "missing-tensor",
        (
            "please ensure that the architectures match",
            "do not match exactly",
            "architecture mismatch",
            "model architecture does not match",
        ),
        r"please ensure that the architectures match|model and loaded state dict do not match exactly|architecture mismatch"
        r"|model architecture does not match",
        why="the model is built otherwise than the one that was saved",
        remedy=_BUILD,
        weigh=in_which_way,
        test="names",
        example="Exception: Cannot load model parameters from checkpoint m.pt; please ensure that the architectures match.",
    ),
    Entry(
        "no-name-fits",
        "renamed",
        (
            "check the key names manually",
            "no weights were loaded",
            "no parameters were loaded",
            "no matching keys",
            "nothing was loaded",
            "keys in common: 0",
        ),
        "",
        why="none of the names in the file is one of the model's: they bear a prefix more, or the model is another",
        remedy="`holdfast check CKPT module:factory` holds both lists against each other and proposes renames.",
        where=loading_or_alone,
        weigh=ranked(
            ("renamed", 0.74), ("missing-tensor", 0.52), ("format-mismatch", 0.48), ("version-mismatch", 0.45)
        ),
        test="names",
        example="UserWarning: the weights cannot be loaded, please check the key names manually",
    ),
    Entry(
        "meta-no-op",
        "missing-tensor",
        ("to a meta parameter in the current model, which is a no-op", "is a meta tensor", "on meta device"),
        r"to a meta parameter in the current model, which is a no-op",
        why="the model lies on the meta device, so that loading copied nothing into it",
        remedy="`model.load_state_dict(sd, assign=True)`, or `model.to_empty(device=...)` first.",
        weigh=ranked(("lazy-build", 0.72), ("missing-tensor", 0.66), ("device-mismatch", 0.5)),
        example=(
            "UserWarning: for fc.weight: copying from a non-meta parameter in the checkpoint to a meta "
            "parameter in the current model, which is a no-op."
        ),
    ),
    Entry(
        "no-state-dict-in-it",
        "format-mismatch",
        (
            "no state_dict found in checkpoint",
            "contains no parameters",
            "not a state dict",
            "invalid lora checkpoint",
            "no `state_dict`",
            "does not contain a state_dict",
            "no 'state_dict'",
            "is not a valid checkpoint",
            "is not a lightning checkpoint",
            "not a valid lora",
            "unsupported checkpoint format",
            "unknown checkpoint format",
            "unrecognized checkpoint",
            "unrecognised checkpoint",
            "checkpoint file should end with",
            "checkpoint file must end with",
        ),
        "",
        why="the file is no checkpoint of the kind that this loader reads: other entries, or another tool's layout",
        remedy="`holdfast FILE` says what it is, and `holdfast inspect FILE` what it holds; load it with the tool that wrote it.",
        also=("not-found", "renamed", "corrupt"),
        weight=0.8,
        test="entries",
        example="RuntimeError: No state_dict found in checkpoint file epoch_3.pth",
    ),
    Entry(
        "no-such-checkpoint-file",
        "not-found",
        (
            "is not a checkpoint file",
            "is not a valid checkpoint file",
            "no checkpoint found at",
            "no checkpoint directory found",
            "no checkpoint file found",
            "checkpoint not found",
        ),
        "",
        why=(
            'there is no file at that path (mmcv calls it "not a checkpoint file"): a path relative to another '
            "folder, or not downloaded"
        ),
        remedy="Give the absolute path; `holdfast FOLDER` says what lies there.",
        weigh=ranked(("not-found", 0.84), ("format-mismatch", 0.45), ("incomplete-save", 0.4)),
        test="path",
        example="OSError: work_dirs/best.pth is not a checkpoint file",
    ),
    Entry(
        "optimizer-does-not-match",
        "optimizer-structure",
        (
            "optimizer does not match; please reset",
            "criterion does not match; please reset",
            "optimizers but the checkpoint contains",
            "unable to load optimizer from checkpoint",
            "is not in the optimizer state",
            "number of param groups in the `optimizer`",
            "optimizer_states",
            "different number of optimizer",
            "incompatible optimizer",
        ),
        r"(?:Optimizer|Criterion) does not match; please reset"
        r"|configured (?P<want>\d+) optimizers but the checkpoint contains (?P<got>\d+) optimizers"
        r"|Unable to load optimizer from checkpoint|is not in the optimizer state|number of param groups in the `optimizer`"
        r"|different number of optimizer|incompatible optimizer",
        why="the optimizer is not the one that was saved: another class, other parameter groups, or another number of optimizers",
        remedy="Build it as it was saved, or start it anew on purpose (fairseq: --reset-optimizer, Megatron: --no-load-optim).",
        also=("resume-state", "topology"),
        weight=0.9,
        test="names",
        example="AssertionError: Optimizer does not match; please reset the optimizer (--reset-optimizer). Adam vs SGD",
    ),
    Entry(
        "rng-or-progress-lost",
        "resume-state",
        (
            "unable to load rng state",
            "skip loading",
            "not restoring",
            "resum",
            "continu",
            "restor",
            "unable to resume",
            "failed to resume",
            "resume failed",
            "cannot resume",
        ),
        r"unable to load rng state|(?:skip loading|not restoring) (?:the )?(?:optimizer|scheduler|scaler|rng|random state)"
        r"|(?:resum\w+|continu\w+|restor\w+).{0,120}(?:starting from epoch 0|training from scratch|from iteration 0|step 0\b)"
        r"|(?:cannot|unable to|failed to) resume|resume failed",
        why="a part of the training's state was not restored (random state, step, optimizer), and the run begins anew in that",
        remedy="Save and load the whole state (`holdfast.Vault` does); `holdfast drill SCRIPT` finds what is missing.",
        also=("optimizer-structure", "not-found"),
        weight=0.62,
        example="ValueError: Unable to load rng state from checkpoint. Specify --no-load-rng",
    ),
    Entry(
        "random-state-not-loaded",
        "resume-state",
        (
            "no-load-rng",
            "load rng",
            "load the rng",
            "load random",
            "load the random",
            "loading the random state",
        ),
        r"no-load-rng|(?:unable to|cannot|could not|failed to) load (?:the )?(?:rng|random)|loading the random state",
        why="the random state was not found in the checkpoint, or does not fit",
        remedy="Start with a fresh one on purpose (`--no-load-rng`), and save it the next time.",
        weigh=of_random_states,
        example="Unable to load rng state from checkpoint ckpt. Specify --no-load-rng or --finetune",
    ),
    Entry(
        "checkpoint-list-empty",
        "incomplete-save",
        ("assert ",),
        r"assert (?:len\(\S*(?:ckpt|checkpoint|shard|file|weight|state)\S*\)|\S*(?:ckpt|checkpoint"
        r"|shard)\S*) ?(?:>|==|!=|is not)",
        why=(
            "the list of the checkpoint's parts that this process found is empty or short: they lie on "
            "another machine, were never written, or the folder is another"
        ),
        remedy="`holdfast FOLDER` lists what is there; save to a file system that all nodes share.",
        also=("not-found", "topology", "storage"),
        weight=0.66,
        where=loading_or_alone,
        test="whole",
        example="    assert len(self.ckpt_list) > 0\nAssertionError",
    ),
    Entry(
        "told-load-failed",
        "corrupt",
        (
            "failed to load",
            "could not load",
            "unable to load",
            "error load",
            "cannot load",
            "can't load",
        ),
        r"^.{0,60}(?:failed to load|could not load|unable to load|cannot load|can't load|error load)(?:ing)?"
        r" (?:the )?(?:saved |pretrained )?(?:checkpoint|weights|state[_ ]dict|snapshot)\b.{0,40}$",
        why="the loader says that it failed, and nothing of why",
        remedy="`holdfast FILE` says what the file is and whether it is whole; the lines above this one say more.",
        where=alone,
        weigh=ranked(("corrupt", 0.48), ("version-mismatch", 0.47), ("not-found", 0.46)),
        test="whole",
        example="RuntimeError: Failed to load checkpoint",
    ),
    Entry(
        "names-do-not-match",
        "missing-tensor",
        ("do not match", "does not match", "don't match"),
        r"\b(?:keys?|names?|parameters|state[_ ]dicts?)\b.{0,40}?(?:do(?:es)? not|don't) match",
        why="the names in the checkpoint are not those of the model: it was built otherwise, or another one was saved",
        remedy="`holdfast check CKPT module:factory` holds both lists against each other and proposes renames.",
        where=loading,
        also=("renamed", "unexpected-tensor", "version-mismatch"),
        weight=0.52,
        test="names",
        example="    load_checkpoint(path)\nAssertionError: EMA parameters keys do not match.",
    ),
)
