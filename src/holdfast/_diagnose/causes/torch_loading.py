"""PyTorch: loaders by other wordings than ``load_state_dict``'s own: libraries that copy tensor by tensor, report and go on.

Messages: accelerate's ``set_module_tensor_to_device``, transformers' and diffusers' ``from_pretrained``, mmengine's and fvcore's
checkpointers, fairseq's ``checkpoint_utils``, torch/distributed/checkpoint/default_planner.py, Lightning.
"""

from __future__ import annotations

from ..knowledge import Entry, ranked
from ..where import loading, loading_or_alone

_BUILD = (
    "Build the model as it was saved (`holdfast inspect CKPT` lists it); `holdfast check CKPT "
    "module:factory` holds both sides against each other."
)

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
        ),
        r"Trying to set a tensor of shape (?:torch\.Size\()?(?P<checkpoint>\[[\d, ]*\])\)? in \"?"
        r"(?P<tensor>[\w.]+)\"? \(which has shape"
        r" (?:torch\.Size\()?(?P<model>\[[\d, ]*\])"
        r"|because the shapes did not match|(?:Skip loading parameter '(?P<tensor2>[\w.]+)' to the "
        r"model )?due to incompatible shapes"
        r"(?:: (?P<checkpoint2>\([\d, ]*\)) in the checkpoint but (?P<model2>\([\d, ]*\)) in the model)?"
        r"|Size mismatch between saved (?:torch\.Size\()?(?P<checkpoint3>\[[\d, ]*\])\)? and current: (?:torch\.Size\()?"
        r"(?P<model3>\[[\d, ]*\])\)? for (?P<tensor3>[\w.]+)"
        r"|Global shape mismatch|shape mismatch for|ignore_mismatched_sizes|but the expected shape|expected shape tensor\("
        r"|(?:size|shape) mismatch(?=.{0,200}(?:checkpoint|state_dict|pretrained|load))|mismatched sizes",
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
        ),
        r"fail(?:ed)? to load keys?:?|(?:are )?not found in the checkpoint:"
        r"|in the model state dict but not in the checkpoint|because the following keys are missing"
        r"|keys are missing in the checkpoint"
        r"|(?P<tensor>[\w.]+ is )?on the meta device, we need a `value`|Cannot copy out of meta tensor"
        r"|does not contain tensor ?(?P<key>[\w.]+)?"
        r"|missing keys when loading|are missing from the checkpoint|missing_keys: ?\[?['\"]\w"
        r"|missing keys: ?\[?['\"]\w|that does not exist in the loaded checkpoint"
        r"|contains no weights for",
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
        weigh=ranked(
            ("missing-tensor", 0.62),
            ("renamed", 0.56),
            ("shape-mismatch", 0.55),
            ("version-mismatch", 0.5),
            ("unexpected-tensor", 0.45),
        ),
        test="names",
        example="Exception: Cannot load model parameters from checkpoint m.pt; please ensure that the architectures match.",
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
            "is not a checkpoint file",
            "does not contain a state_dict",
            "no 'state_dict'",
            "is not a valid checkpoint",
            "is not a lightning checkpoint",
            "not a valid lora",
            "unsupported checkpoint format",
            "unknown checkpoint format",
            "unrecognized checkpoint",
            "unrecognised checkpoint",
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
        "optimizer-parameter-key",
        "optimizer-structure",
        ("keyerror: parameter containing", "keyerror: parameter("),
        r"KeyError: Parameter(?: containing|\()",
        why=(
            "the optimizer has no state for this parameter: the model was moved, wrapped or replaced "
            "after the optimizer was made and restored"
        ),
        remedy="Make the optimizer over the final parameters (after `.to(device)` and wrapping), then load its state.",
        also=("resume-state", "device-mismatch"),
        weight=0.84,
        example="    state = self.state[p]\nKeyError: Parameter containing:\ntensor([0.1])",
    ),
    Entry(
        "optimizer-slot-key",
        "optimizer-structure",
        ("keyerror: '",),
        r"KeyError: '(?P<key>(?:\w*(?:_buffer|exp_avg|exp_inf|moment|square_avg|grad_avg|acc_delta"
        r"|prev_grad|prev_loss|slow_|_avg|_ema|fp32_param|"
        r"previous_|step_size|master_param)\w*|mu_product|ax|eta|sum|mom|dk|z|t_total))'",
        why=(
            "the optimizer's code looks for `{key}` in its restored state, where it is not: another class "
            "or version of the optimizer saved it, or it never saves it"
        ),
        remedy="Use the optimizer that was saved (`holdfast inspect CKPT` shows its slots), or start it anew on purpose.",
        also=("version-mismatch", "resume-state"),
        weight=0.82,
        test="names",
        example="KeyError: 'prev_grad_norm_ema'",
    ),
    Entry(
        "optimizer-group-option",
        "version-mismatch",
        ("keyerror: '",),
        r"KeyError: '(?P<key>maximize|foreach|capturable|differentiable|fused|amsgrad|nesterov"
        r"|decoupled_weight_decay|max_exp_avg_sqs|lr_scale)'",
        why="the parameter groups that were restored have no `{key}`, an option that a later version of PyTorch added",
        remedy=(
            "Set it after loading (`for g in opt.param_groups: g.setdefault('{key}', False)`), or load "
            "with the version that saved."
        ),
        also=("optimizer-structure",),
        weight=0.9,
        example="KeyError: 'differentiable'",
    ),
    Entry(
        "optimizer-position-key",
        "optimizer-structure",
        ("keyerror: ",),
        r"KeyError: (?P<key>\d{1,16})(?!\.\d)\s*$|KeyError: (?P<key2>\d{1,16}) ",
        why="parameter number {key} has no entry in the restored state: the optimizer was built over other parameters",
        remedy="Build it over the same parameters in the same order; `holdfast check CKPT module:factory` names what differs.",
        calls=("load_state_dict", "step", "_process_value", "cast", "update_group", "full_optim_state_dict"),
        context=("optim", "load_state_dict", "param_groups"),
        only_in=True,
        where=loading,
        weight=0.74,
        also=("resume-state", "missing-tensor"),
        example='  File "torch/optim/optimizer.py", line 9, in load_state_dict\n    id_map[k]\nKeyError: 140',
    ),
    Entry(
        "scheduler-resumed",
        "resume-state",
        (
            "'initial_lr' is not specified",
            "the specified number of total steps is",
            "when resuming scheduler",
            "when resuming an optimizer",
        ),
        r"'initial_lr' is not specified in param_groups|Tried to step (?P<got>\d+) times\. The "
        r"specified number of total steps is (?P<want>\d+)"
        r"|when resuming scheduler",
        why=(
            "the schedule goes on from a state that was not restored with it (the optimizer is new, or "
            "its number of steps is another)"
        ),
        remedy=(
            "Load the optimizer's state first, then make the scheduler and load its state too; give it "
            "the new total of steps."
        ),
        also=("optimizer-hyperparameters", "optimizer-structure"),
        weight=0.82,
        example="ValueError: Tried to step 101 times. The specified number of total steps is 100",
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
        also=("optimizer-structure",),
        weight=0.95,
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
