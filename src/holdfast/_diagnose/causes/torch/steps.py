"""The first steps after a restore: an optimizer whose restored state does not fit what it steps over (torch/optim)."""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, beside, ranked
from ...where import in_prose, loading


def in_a_step(look: Look) -> list[Guess]:
    """Shapes that do not fit, met in an optimizer's own code: its state is of other parameters than its gradients."""
    reading = look.reading
    own = "/optim/" in reading.files or any(word in reading.lower for word in _STATE)
    if not own:
        return []
    return [
        look.entry.guess(look),
        look.entry.guess(look, "shape-mismatch", confidence=0.5),
        look.entry.guess(look, "resume-state", confidence=0.46),
        look.entry.guess(look, "version-mismatch", confidence=0.36),
    ]


_STATE = (
    "exp_avg.mul_",
    "buf.mul_",
    "exp_avg_sq",
    "momentum_buffer",
    "torch/optim/",
    "torch\\\\optim\\\\",
    "square_avg",
)

ENTRIES = (
    Entry(
        "slot-of-another-dtype",
        "dtype-mismatch",
        ("expected dtype ",),
        r"expected dtype (?:torch\.)?(?P<want>\w+) for `?(?:end|weight)`?,? but got dtype (?:torch\.|c10::)?(?P<got>\w+)",
        why="the optimizer's restored state is {want} and the gradients are {got}: it was saved in another precision",
        remedy=(
            "`optimizer.load_state_dict` casts to each parameter's dtype: restore after the model has its own "
            "(`model.to(torch.bfloat16)` first), or cast the slots; `holdfast check CKPT module:factory` lists them."
        ),
        context=("resum", "restor", "checkpoint", "load_state", "reload", "/optim/"),
        only_in=True,
        weigh=ranked(("dtype-mismatch", 0.86), ("resume-state", 0.5), ("optimizer-structure", 0.44)),
        example="after resuming from the checkpoint: RuntimeError: expected dtype float for `end` but got dtype c10::BFloat16",
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
        "optimizer-step-key",
        "optimizer-structure",
        ("keyerror: 'step'",),
        r"KeyError: '(?P<key>step)'",
        why=(
            "the state that the optimizer was given counts no steps: an optimizer of another class kept it (SGD's momentum, "
            "Muon's), which this one's code cannot go on from"
        ),
        remedy="Use the optimizer that was saved (`holdfast inspect CKPT` shows its slots), or start it anew on purpose.",
        calls=("__setstate__", "_init_group"),
        context=("torch/optim/", "torch\\optim\\"),
        only_in=True,
        also=("version-mismatch", "resume-state"),
        weight=0.9,
        example=(
            '  File "torch/optim/adam.py", line 127, in __setstate__\n    if len(p_state) != 0 and not '
            "torch.is_tensor(p_state['step']):\nKeyError: 'step'"
        ),
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
            "the specified number of steps is",
            "when resuming scheduler",
            "when resuming an optimizer",
        ),
        r"'initial_lr' is not specified in param_groups|Tried to step (?P<got>\d+) times\. The "
        r"specified number of (?:total )?steps is (?P<want>\d+)"
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
        "optimizer-state-is-none",
        "optimizer-structure",
        ("'nonetype' object is not", "'nonetype' object has no attribute"),
        r"(?:\[['\"]param_groups['\"]\]|load_state_dict\([^)]{0,60}optim\w*['\"]?\]?\)).{0,400}?'NoneType' object (?:is not"
        r"|has no attribute)",
        why="the checkpoint keeps no state of the optimizer (None): it was stripped when the run ended, or is the best one only",
        remedy="Resume from the last checkpoint of a run that did not end; or start the optimizer anew on purpose.",
        weigh=ranked(
            ("optimizer-structure", 0.76),
            ("format-mismatch", 0.66),
            ("version-mismatch", 0.6),
            ("resume-state", 0.5),
        ),
        test="entries",
        example="    groups = state_dict['param_groups']\nTypeError: 'NoneType' object is not subscriptable",
    ),
    Entry(
        "resuming-not-supported",
        "resume-state",
        (
            "not supported",
            "not currently supported",
            "not yet supported",
            "not implemented",
            "not yet implemented",
        ),
        r"\b(?:resum(?:e|ing)\b|continuing (?:the )?training|restoring (?:the )?(?:training|optimizer))[^.\n]{0,80}?"
        r"not (?:supported|currently supported|yet supported|implemented|yet implemented)",
        why="this version or setting of the trainer cannot take a run up again (a precision plugin, a strategy, another loader)",
        remedy="Resume without that setting, or upgrade; the weights alone can be loaded into a new run.",
        weigh=ranked(("resume-state", 0.72), ("version-mismatch", 0.5), ("topology", 0.46)),
        example="RuntimeError: Resuming a run with two optimizers is not supported",
    ),
    Entry(
        "step-is-no-single-number",
        "version-mismatch",
        ("list of singleton tensors", "must be a singleton tensor", "`state_steps` argument"),
        "",
        why=(
            "the optimizer's count of steps was a number in the version that saved, and this version wants a "
            "tensor of one number"
        ),
        remedy=(
            "Load with the version that saved; or make it one: `for s in opt.state.values(): s['step'] = "
            "torch.tensor(float(s['step']))`."
        ),
        also=("optimizer-structure", "resume-state"),
        weight=0.82,
        example="RuntimeError: `state_steps` argument must contain a list of singleton tensors",
    ),
    Entry(
        "group-lacks-value",
        "optimizer-structure",
        ("didn't specify a value of required optimization parameter",),
        r"parameter group didn't specify a value of required optimization parameter (?P<key>\w+)",
        why="a parameter group has no `{key}`: the groups were restored or made by hand without what this optimizer needs",
        remedy="Build the optimizer first, then load its state.",
        also=("optimizer-hyperparameters", "version-mismatch"),
        weight=0.76,
        example="ValueError: parameter group didn't specify a value of required optimization parameter momentum",
    ),
    Entry(
        "state-does-not-fit-gradients",
        "optimizer-structure",
        (
            "must match the size of tensor",
            "sizes do not match",
            "doesn't match the broadcast shape",
            "inconsistent tensor size",
            "size mismatch, got",
            "must match the existing size",
        ),
        r"size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)|sizes do not match"
        r"|expanded size of the tensor \((?P<a2>\d+)\) must match the existing size \((?P<b2>\d+)\)"
        r"|doesn't match the broadcast shape|inconsistent tensor size|size mismatch, got",
        why=(
            "the optimizer's restored state and its gradients have other sizes ({a}, {b}): the parameters are in "
            "another order, or "
            "others, than when it was saved (state is matched by position, not by name)"
        ),
        remedy=(
            "Build the optimizer over the same parameters in the same order, then load; or start it anew on purpose. "
            "`holdfast check CKPT module:factory` names what differs."
        ),
        weigh=in_a_step,
        weight=0.82,
        test="names",
        example=(
            "    exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)\nRuntimeError: The size of tensor a (64) must match the size of "
            "tensor b (128) at non-singleton dimension 0"
        ),
    ),
    Entry(
        "average-not-restored",
        "resume-state",
        ("ema", "moving average", "averaged weights", "average of the weights"),
        r"(?:\bresum|\brestart)[^\n]{0,160}?\b(?:EMA|EMATracker|EMACallback|ema_\w+|ModelEMA"
        r"|moving average|averaged weights|average of the weights)\b"
        r"|\b(?:EMA|ema_\w+|ModelEMA(?:\.\w+)?|moving average|averaged weights|average of the weights)\b[^\n]{0,120}?"
        r"\b(?:reset|lost|not (?:restored|saved|loaded)|overwritten|restarts?)\b[^\n]{0,80}?\b(?:on|after|when) (?:a )?resum",
        why="the average of the weights (or its count of updates) did not come back as it was: it was built anew or swapped in",
        remedy="Keep the average, its count and the raw weights in the checkpoint; build it after the model was restored.",
        where=in_prose,
        weigh=ranked(("resume-state", 0.76), ("metrics", 0.5), ("missing-tensor", 0.34)),
        example="After we resume the run, the EMA starts again from the raw weights",
    ),
    Entry(
        "restored-before-it-was-prepared",
        "resume-state",
        ("accelerator.prepare",),
        r"load_state(?:\(\))?`? [^.\n]{0,60}?(?:before|without) (?:calling )?`?accelerator\.prepare",
        why="`load_state` restores what `prepare` was given, and nothing was prepared yet: it has no effect",
        remedy="Call `accelerator.prepare(...)` first, then `load_state`.",
        weigh=ranked(("resume-state", 0.8), ("lazy-build", 0.5)),
        example="load_state() runs before accelerator.prepare, so nothing is restored",
    ),
    Entry(
        "scheduler-of-other-groups",
        "optimizer-structure",
        (
            "lr_lambdas, but got",
            "min_lrs, got",
            "same length as optimizer.param_groups",
            "number of param groups in the `optimizer`",
        ),
        r"Expected (?P<want>\d+) lr_lambdas, but got (?P<got>\d+)|expected (?P<want2>\d+) min_lrs, got (?P<got2>\d+)"
        r"|must have the same length as optimizer\.param_groups|number of param groups in the `optimizer` \(\d+\) differs",
        why="the schedule has values for another number of parameter groups than the optimizer has",
        remedy="Make the groups as they were when it was saved, before the schedule is made; `holdfast inspect CKPT` lists them.",
        weigh=beside(  # a schedule that is made anew says so too
            r"resum|reload",
            ("optimizer-structure", 0.84),
            ("optimizer-hyperparameters", 0.52),
            ("resume-state", 0.5),
        ),
        example="resuming the run\nValueError: Expected 2 lr_lambdas, but got 1",
    ),
    Entry(
        "capturable-on-the-host",
        "device-mismatch",
        ("if capturable=true",),
        r"If capturable=True, [\w, ]+ must be (?:CUDA tensors|on supported devices)",
        why="the restored groups say `capturable=True`, and parameters or step counters are on the host",
        remedy=(
            "Load with `map_location` of the device that trains, after `model.to(device)`; or `group['capturable'] = False` "
            "for each."
        ),
        weigh=ranked(
            ("device-mismatch", 0.84), ("version-mismatch", 0.6), ("optimizer-hyperparameters", 0.5)
        ),
        example="AssertionError: If capturable=True, params and state_steps must be CUDA tensors.",
    ),
    Entry(
        "schedule-before-the-first-step",
        "optimizer-hyperparameters",
        ("detected call of `lr_scheduler.step()` before",),
        "",
        why="the schedule was moved on before the optimizer made a step, as after a restore that replays `scheduler.step()`",
        remedy="Restore the schedule by `scheduler.load_state_dict`, after the optimizer's; step it behind `optimizer.step()`.",
        where=lambda around: around.loading,
        weigh=ranked(("optimizer-hyperparameters", 0.84), ("resume-state", 0.74), ("version-mismatch", 0.4)),
        example="resuming from checkpoint\nUserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`.",
    ),
)
