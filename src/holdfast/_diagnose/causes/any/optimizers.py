"""Optimizer state: ``Optimizer.load_state_dict`` and the first step after it."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, loading_where

_ANEW = (
    "Build the optimizer over the same parameters in the same order and groups as when it was saved, or start it "
    "anew on purpose; `holdfast check CKPT module:factory` names what differs."
)


def param_groups(look: Look) -> list[Guess]:
    """Either there is no optimizer in the file, or something else stands under its key."""
    if re.search(r"\[['\"]\w*(?:opt|sched)\w*['\"]\]", look.reading.flat):
        return [look.entry.guess(look), look.entry.guess(look, "format-mismatch", confidence=0.6)]
    why = (
        "what was given is no optimizer's state: the file holds weights only, or the optimizer lies in other files "
        "(sharded)"
    )
    return [
        look.entry.guess(look, "format-mismatch", confidence=0.8, why=why),
        look.entry.guess(look, confidence=0.6),
    ]


ENTRIES = (
    Entry(
        "torch-group-size",
        "optimizer-structure",
        ("parameter group", "parameter groups"),
        r"loaded state dict (?:contains a parameter group that doesn't match the size of optimizer's group"
        r"|has a different number of parameter groups)",
        why=(
            "the optimizer was built over other parameters than when it was saved: another number of parameters or "
            "groups (layers frozen, added, or a fine-tuning flag set)"
        ),
        remedy=_ANEW,
        confirm="Numbers of groups and of parameters in each: `holdfast inspect CKPT`.",
        also=("missing-tensor", "resume-state"),
        weight=0.95,
        test="names",
        calls=("load_state_dict",),
        example=(
            "ValueError: loaded state dict contains a parameter group that doesn't match the size of optimizer's "
            "group"
        ),
    ),
    Entry(
        "torch-step-capturable",
        "version-mismatch",
        ("capturable=false", "capturable", "state_steps should"),
        r"If capturable=False, state_steps should not be CUDA tensors|state_steps should (?:not )?be CUDA",
        why=(
            "torch 1.12.0 moved Adam's step counters to the device on load_state_dict (a known regression, mended in "
            "1.12.1)"
        ),
        remedy="Upgrade to 1.12.1 or later, or set `group['capturable'] = True` for each group after loading.",
        also=("device-mismatch", "optimizer-structure"),
        weight=0.93,
        example="AssertionError: If capturable=False, state_steps should not be CUDA tensors.",
    ),
    Entry(
        "torch-fused-device",
        "device-mismatch",
        (
            "state_steps",
            "exp_avg",
            "expected all tensors to be on the same",
            "momentum_buffer",
            "_fused_adam",
            "addcmul_",
            "addcdiv_",
        ),
        r"(?:Expected all tensors to be on the same device|on (?:cuda|cpu)).{0,200}?(?:state_steps|exp_avgs?"
        r"|_fused_adam|momentum_buffer)|(?:_fused_adamw?_|addcmul_|addcdiv_).{0,120}cpu",
        why="the optimizer's restored state lies on another device than its weights",
        remedy=(
            "Move the model to its device before the optimizer is built and loaded; `holdfast.examine(model=m, "
            "optimizer=o)` names the tensors."
        ),
        also=("optimizer-structure",),
        weight=0.93,
        example=(
            "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
            "cpu! (when checking argument for argument state_steps in method wrapper_CUDA___fused_adamw_)"
        ),
    ),
    Entry(
        "slot-absent",
        "optimizer-structure",
        ("exp_avg", "max_exp_avg", "momentum_buffer", "square_avg", "acc_delta", "keyerror"),
        r"KeyError:? ?\(?['\"]?(?P<slot>(?:max_)?exp_(?:avg|inf)\w*|momentum_buffer|square_avg|acc_delta|grad_avg"
        r"|state_sum)['\"]?",
        why="a step looks for the moment `{slot}`, which the restored state does not have: it was saved by another optimizer, "
        "or by another version or setting of it",
        remedy="Build the optimizer as it was when it was saved, or leave its state out of the load on purpose; "
        "`holdfast check CKPT module:factory` names what differs.",
        also=("version-mismatch", "resume-state"),
        weight=0.86,
        example="    exp_avg, exp_avg_sq = state['exp_avg'], state['exp_avg_sq']\nKeyError: 'exp_avg'",
    ),
    Entry(
        "torch-step-devices",
        "device-mismatch",
        ("expected all tensors to be on the same device",),
        r"Expected all tensors to be on the same device, but found at least two devices",
        why=(
            "something was restored to another device than the rest: optimizer state loaded before the model was "
            "moved, or a buffer that stayed behind"
        ),
        remedy="Call `model.to(device)` before the optimizer is made and its state loaded.",
        calls=("step", "load_state_dict", "_single_tensor_adam", "adam", "adamw", "sgd", "restore"),
        context=("optimizer", "checkpoint", "resume", "load_state_dict"),
        only_in=True,
        weight=0.75,
        also=("optimizer-structure", "lazy-build"),
        example=(
            '  File "adam.py", line 1, in step\n    optimizer.step()\nRuntimeError: Expected all tensors to be on '
            "the same device, but found at least two devices, cuda:0 and cpu!"
        ),
    ),
    Entry(
        "torch-param-groups-key",
        "other",
        ("'param_groups'",),
        r"KeyError[:(] ?'param_groups'",
        why=(
            "what was given to the optimizer is not an optimizer's state (a scheduler's, a model's, or another entry "
            "of the checkpoint; two entries may have been swapped when they were saved)"
        ),
        remedy=(
            "Print the keys of the entries (`holdfast inspect CKPT`); an optimizer's state has `state` and "
            "`param_groups`."
        ),
        also=("format-mismatch", "optimizer-structure"),
        weight=0.8,
        weigh=param_groups,
        test="names",
        example="    saved_groups = state_dict['param_groups']\nKeyError: 'param_groups'",
    ),
    Entry(
        "torch-optimizer-shape",
        "optimizer-structure",
        ("the size of tensor a", "exp_avg", "must match the size of tensor b"),
        r"The size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)",
        why=(
            "an optimizer slot has another shape than its weight ({a} and {b}): its state was put on the wrong "
            "parameters (another order)"
        ),
        remedy=_ANEW,
        calls=(
            "step",
            "adam",
            "_single_tensor_adam",
            "_multi_tensor_adam",
            "sgd",
            "adamw",
            "_single_tensor_sgd",
        ),
        context=("exp_avg", "momentum_buffer", "optimizer.step"),
        only_in=True,
        also=("shape-mismatch", "resume-state"),
        weight=0.88,
        example=(
            '  File "torch/optim/adam.py", line 9, in step\n    exp_avg.mul_(beta1).add_(grad)\nRuntimeError: The '
            "size of tensor a (64) must match the size of tensor b (10) at non-singleton dimension 0"
        ),
    ),
    Entry(
        "lora-parameter-name",
        "optimizer-structure",
        (".lora_a.", ".lora_b.", "lora_"),
        r"KeyError: '(?P<key>[\w.]*lora_[AB][\w.]*)'",
        why=(
            "`{key}` is looked up by name in an optimizer's state that knows positions or other names (another "
            "wrapper or sharding saved it)"
        ),
        remedy="Save and read the optimizer under the same strategy; `holdfast inspect CKPT` shows how it is keyed.",
        also=("renamed", "missing-tensor"),
        weight=0.7,
        example="KeyError: 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight'",
    ),
    Entry(
        "learning-rate-restored",
        "optimizer-hyperparameters",
        ("learning rate", "lr ", "param 'initial_lr'", "initial_lr"),
        r"param '(?P<what>initial_lr)' is not specified in param_groups\[0\] when resuming"
        r"|learning rate .{0,80}(?:reset|overwritten|restored|changed|jump)|(?:resum|restor"
        r"|load).{0,80}learning rate",
        why=(
            "the schedule and the restored optimizer disagree on the learning rate: one of them is built anew, and "
            "overwrites or misses the value"
        ),
        remedy=(
            "Restore optimizer and scheduler together, the scheduler last; `holdfast.restore(..., scheduler=)` says "
            "which value wins."
        ),
        also=("resume-state",),
        weight=0.7,
        example="KeyError: \"param 'initial_lr' is not specified in param_groups[0] when resuming an optimizer\"",
    ),
    Entry(
        "optimizer-state-key",
        "optimizer-structure",
        (
            "keyerror: 'exp_avg'",
            "keyerror: 'momentum_buffer'",
            "keyerror: 'betas'",
            "keyerror: 'initial_lr'",
            "keyerror: 'max_exp_avg_sq'",
            "keyerror: 'foreach'",
            "keyerror:",
        ),
        (
            r"KeyError: '(?P<key>exp_avg|exp_avg_sq|momentum_buffer|betas|initial_lr|max_exp_avg_sq|maximize|foreach"
            r"|capturable|differentiable|fused)'"
        ),
        why=(
            "the restored optimizer state has no `{key}`: it is of another class or version of the optimizer, or was "
            "not restored for all parameters"
        ),
        remedy=(
            "Build the optimizer of the class that was saved; `holdfast inspect CKPT` shows its slots and "
            "hyperparameters."
        ),
        weight=0.82,
        also=("version-mismatch", "resume-state"),
        test="names",
        example="    exp_avg = state['exp_avg']\nKeyError: 'exp_avg'",
    ),
    Entry(
        "group-key-unknown",
        "optimizer-hyperparameters",
        (
            "unexpected keyword argument 'initial_lr'",
            "unexpected keyword argument 'lr'",
            "unexpected keyword argument 'betas'",
            "unexpected keyword argument 'momentum'",
            "unexpected keyword argument 'weight_decay'",
            "unexpected keyword argument 'fused'",
            "unexpected keyword argument 'foreach'",
            "unexpected keyword argument 'params'",
        ),
        r"got an unexpected keyword argument '(?P<key>initial_lr|lr|betas|momentum|weight_decay|fused|foreach|params)'",
        why="settings of the saved optimizer are handed to one that has no `{key}`: it is made from the saved groups",
        remedy=(
            "Make the optimizer from the program's own settings, then `load_state_dict`; leave out keys "
            "that schedulers add (`initial_lr`)."
        ),
        also=("resume-state", "version-mismatch"),
        weight=0.8,
        weigh=loading_where(
            "'lr'", "'betas'", "'momentum'", "'weight_decay'", "'fused'", "'foreach'", "'params'"
        ),
        example="    resume=True, load_checkpoint()\nTypeError: __init__() got an unexpected keyword argument 'initial_lr'",
    ),
)
