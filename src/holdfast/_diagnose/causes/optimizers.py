"""Optimizer state: ``Optimizer.load_state_dict``, Keras' ``set_weights`` and ``load_own_variables``, slots of TensorFlow."""

from __future__ import annotations

import re

from ..knowledge import Entry, Guess, Look

_ANEW = (
    "Build the optimizer over the same parameters in the same order and groups as when it was saved, or start it "
    "anew on purpose; `holdfast check CKPT module:factory` names what differs."
)
_SLOTS = (
    r"(?:Adam|Adam_1|Adagrad|Momentum|RMSProp|RMSProp_1|Adadelta|Ftrl|ExponentialMovingAverage|beta1_power"
    r"|beta2_power|m|v|exp_avg|exp_avg_sq|momentum_buffer)"
)


def group_sizes(look: Look) -> list[Guess]:
    """What the counts of a Keras weight list say."""
    facts = look.facts()
    want, got = int(facts.get("want", -1)), int(facts.get("got", -1))
    if want == 0 or (want == 1 and got > 1):
        return [
            look.entry.guess(
                look,
                "lazy-build",
                confidence=0.86,
                remedy="Call `optimizer.build(model.trainable_variables)` (or take one step) before its weights are set.",
                why=f"the optimizer has made no slots yet (it expects {want} weights, {got} were given)",
            ),
            look.entry.guess(look, "optimizer-structure", confidence=0.55),
        ]
    return [look.entry.guess(look)]


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
        also=("optimizer-structure",),
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
        "keras-optimizer-weights",
        "optimizer-structure",
        (
            "set_weights(weights)",
            "weight list of length",
            "optimizer was expecting",
            "optimizer weights shape",
            "optimizer weight shape",
        ),
        r"You called `?set_weights\(weights\)`? on optimizer (?P<optimizer>\w+) with a\s+weight list of length"
        r" (?P<got>\d+), but the optimizer was expecting (?P<want>\d+) weights|Optimizer weights shape"
        r"|optimizer weight shape",
        why="the optimizer has another number of weights than the list ({got} given, {want} expected)",
        remedy=_ANEW,
        weigh=group_sizes,
        also=("lazy-build",),
        example=(
            "ValueError: You called `set_weights(weights)` on optimizer Adam with a  weight list of length 19, but "
            "the optimizer was expecting 0 weights"
        ),
    ),
    Entry(
        "keras-optimizer-fresh",
        "optimizer-structure",
        ("error in loading the saved optimizer", "load optimizer", "skipping variable loading for optimizer"),
        r"Error in loading the saved optimizer state\.? ?"
        r"|Skipping variable loading for optimizer '?(?P<optimizer>\w+)'?, because it has (?P<want>\d+)"
        r" variables whereas the saved optimizer has (?P<got>\d+)|could not load optimizer",
        why="the saved optimizer state does not fit the optimizer, and Keras starts a fresh one with a warning only",
        remedy="For inference it is harmless (`compile=False`). To go on training: " + _ANEW,
        also=("resume-state", "version-mismatch"),
        weight=0.9,
        example=(
            "UserWarning: Skipping variable loading for optimizer 'adam', because it has 1 variables whereas the "
            "saved optimizer has 19 variables."
        ),
    ),
    Entry(
        "keras-optimizer-old-variables",
        "optimizer-structure",
        (
            "lossscaleoptimizer",
            "'_variables'",
            "has no attribute 'weights'",
            "has no attribute '_weights'",
            "object has no attribute",
        ),
        r"'(?P<kind>LossScaleOptimizer\w*)' object has no attribute|'(?P<kind2>\w*(?:Adam\w*|SGD|RMSprop"
        r"|Optimizer))' object has no attribute '(?:_?weights|_variables|get_weights|set_weights"
        r"|_create_all_weights|_hyper|_decayed_lr|get_updates)'",
        why=(
            "code for one generation of Keras optimizers meets the other (2.11 and Keras 3 changed how an optimizer "
            "keeps its variables)"
        ),
        remedy="Use `tf.keras.optimizers.legacy.*` with the old file, or save again in the format of this version.",
        also=("version-mismatch", "unserialisable"),
        weight=0.85,
        types=("AttributeError",),
        example="AttributeError: 'LossScaleOptimizerV3' object has no attribute '_variables'",
    ),
    Entry(
        "keras-unknown-variable",
        "optimizer-structure",
        ("unknown variable", "cannot recognize variable", "the optimizer cannot recognize"),
        r"Unknown variable: <(?:KerasVariable|tf\.Variable|Variable)"
        r"|The optimizer cannot recognize variable (?P<tensor>[\w/.:]+)"
        r"|KeyError: .{0,40}The optimizer cannot recognize",
        why=(
            "the optimizer was built over other variables than those of the model (restored or built before the "
            "model's layers changed)"
        ),
        remedy=(
            "Build the optimizer after the model is final: `optimizer.build(model.trainable_variables)`; "
            "`holdfast.examine(model=m, optimizer=o)` names the variables."
        ),
        also=("lazy-build",),
        weight=0.9,
        example=(
            "KeyError: 'The optimizer cannot recognize variable dense_3/kernel:0. This usually means you are trying "
            "to call the optimizer to update different parts of the model separately.'"
        ),
    ),
    Entry(
        "tf-slot-key",
        "optimizer-structure",
        ("not found in checkpoint",),
        r"(?:Key|Tensor name \"?) ?(?P<key>[\w./\-]+/(?:" + _SLOTS[3:-1] + r"))\"? not found in checkpoint",
        why=(
            "`{key}` is a slot of the optimizer that the checkpoint does not have: it was trained with another "
            "optimizer, or saved without its state"
        ),
        remedy=(
            "Restore the weights alone (a Saver over the model's variables), and start the optimizer anew on "
            "purpose; or use the optimizer that it was trained with."
        ),
        also=("missing-tensor", "resume-state"),
        weight=0.93,
        test="names",
        example='NotFoundError: Tensor name "conv1/biases/Adagrad" not found in checkpoint files model.ckpt',
    ),
    Entry(
        "tf-optimizer-unresolved",
        "optimizer-structure",
        ("unresolved object in checkpoint", "checkpoint could not be found in the restored object: (root)"),
        r"Unresolved object in checkpoint:? ?\(root\)\.(?:\w+\.)*?(?P<what>optimizer[\w.]*|_?optim[\w.]*)"
        r"|checkpoint could not be found in the restored object: \(root\)\.(?:\w+\.)*(?P<what2>optimizer[\w.']*)",
        why=(
            "the checkpoint holds optimizer state ({what}) that nothing in the program took: the optimizer has not "
            "made its variables yet, is wrapped, or was not given"
        ),
        remedy=(
            "Build the optimizer first (`optimizer.build(...)`, or one step), then restore and `assert_consumed()`; "
            "for inference call `.expect_partial()`."
        ),
        also=("lazy-build", "resume-state"),
        weight=0.85,
        example="WARNING:tensorflow:Unresolved object in checkpoint: (root).optimizer.iter",
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
)
