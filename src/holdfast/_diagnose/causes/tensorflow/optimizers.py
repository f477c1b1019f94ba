"""Optimizer state: Keras' ``set_weights`` and ``load_own_variables``, slots of TensorFlow."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone

_ANEW = (
    "Build the optimizer over the same parameters in the same order and groups as when it was saved, or start it "
    "anew on purpose; `holdfast check CKPT module:factory` names what differs."
)

_SLOTS = (
    r"(?:Adam|Adam_1|Adagrad|Momentum|RMSProp|RMSProp_1|Adadelta|Ftrl|beta1_power"
    r"|beta2_power|m|v|exp_avg|exp_avg_sq|momentum_buffer)"
)


_UNTAKEN = re.compile(r"(?:Unresolved object in checkpoint:? ?|restored object: )\(root\)\.([\w.]+)")


def _with_the_model(look: Look) -> list[Guess]:
    """Only the optimizer was left over; or layers of the model too, which are not built then."""
    left = _UNTAKEN.findall(look.reading.flat)
    layers = [
        name
        for name in left
        if "optim" not in name and name not in ("save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH")
    ]
    if len(layers) < 2 or len(layers) < 0.25 * len(left):
        return [look.entry.guess(look)]
    why = (
        f"nothing took the values of layers (`{layers[0]}`) and of the optimizer: none of them has made its variables when the "
        "checkpoint was restored"
    )
    remedy = (
        "Build the model (call it once) and the optimizer before restoring, then "
        "`status.assert_consumed()` names what is left."
    )
    return [
        look.entry.guess(look, "lazy-build", confidence=0.9, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.6),
    ]


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


ENTRIES = (
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
        also=("lazy-build", "topology", "version-mismatch"),
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
        also=("lazy-build", "version-mismatch"),
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
        also=("lazy-build", "retention", "resume-state"),
        weight=0.85,
        weigh=_with_the_model,
        example="WARNING:tensorflow:Unresolved object in checkpoint: (root).optimizer.iter",
    ),
    Entry(
        "tf-optimizer-scope",
        "optimizer-structure",
        ("not found in checkpoint",),
        r"(?:Key|Tensor name) \"?(?P<key>(?:[\w.\-]+/)*(?:SGD|Adam|AdamW|Nadam|Adamax|RMSprop|Adagrad"
        r"|Adadelta|Ftrl|TFOptimizer|Momentum|LAMB|optimizer\w*|OptimizeLoss"
        r"|AdamWeightDecay\w*)(?:_\d+)?/"
        r"[\w./\-]+)\"? not found in checkpoint",
        why=(
            "`{key}` belongs to the optimizer, and the checkpoint does not have it: another optimizer, "
            "another version of it, or weights only"
        ),
        remedy="Restore the weights alone and start the optimizer anew on purpose, or use the optimizer that saved.",
        also=("missing-tensor", "version-mismatch", "resume-state"),
        weight=0.9,
        test="names",
        example="NotFoundError: Key training/SGD/Variable_1 not found in checkpoint",
    ),
    Entry(
        "keras-optimizer-generation",
        "version-mismatch",
        (
            "from a legacy keras optimizer into a",
            "into a legacy keras optimizer",
            "keras.optimizers.legacy` is not supported in keras 3",
            "unexpected keyword argument passed to optimizer",
            "is deprecated in the new keras optimizer",
            "argument(s) not recognized",
            'must have a "lr" attribute',
            'must have a "learning_rate" attribute',
            "is_legacy_optimizer",
            "legacy optimizer",
            "that contains an optimizer without the keras module",
            "lossscaleoptimizer no longer supports",
            "lossscaleoptimizer does not support",
        ),
        r"from a legacy Keras optimizer into a|into a legacy Keras optimizer"
        r"|keras\.optimizers\.legacy` is not supported in Keras 3"
        r"|Unexpected keyword argument passed to optimizer: ?(?P<what>\w+)|is deprecated in the new Keras optimizer"
        r"|Argument\(s\) not recognized: ?(?P<what2>[^\n]{1,80})|must have a \"(?:lr|learning_rate)\" attribute"
        r"|\(?'is_legacy_optimizer'|that contains an optimizer without the Keras module"
        r"|LossScaleOptimizer (?:no longer supports|does not support)",
        why=(
            "the optimizer in the file is of another generation of Keras than the program's (2.11 replaced the "
            "optimizers, "
            "Keras 3 again): other classes, other slots, other arguments ({what})"
        ),
        remedy="Use the class that saved (`tf.keras.optimizers.legacy.*`, or `tf_keras`), or load without it: "
        "`compile=False`, weights only, `.expect_partial()`.",
        also=("optimizer-structure", "lazy-build"),
        weight=0.92,
        where=storing_or_alone,
        example=(
            "ValueError: You are trying to restore a checkpoint from a legacy Keras optimizer into a v2.11+ Optimizer, "
            "which can "
            "cause errors."
        ),
    ),
    Entry(
        "keras-unknown-optimizer",
        "custom-object",
        (
            "unknown optimizer",
            "unknown decay",
            "unknown learning rate schedule",
            "unknown learningrateschedule",
        ),
        r"Unknown (?:optimizer|decay|learning rate schedule|LearningRateSchedule):? ?'?(?P<name>\w+)",
        why="the file names the optimizer `{name}`, which this Keras does not know: it comes from another package or "
        "version",
        remedy="`custom_objects={{'{name}': {name}}}`, or `compile=False` and compile anew.",
        also=("version-mismatch",),
        weight=0.92,
        example="ValueError: Unknown optimizer: Lookahead",
    ),
    Entry(
        "tf-slot-shape",
        "optimizer-structure",
        ("attempting to restore variable with shape", "optimizer variable ", "optimizer weight shape"),
        r"attempting to restore variable with shape \([\d, ]*\) and name (?P<key>(?:\S*/)?(?:"
        r"(?:Adam|SGD|RMS_?prop|Nadam|Adagrad|Adadelta|Ftrl|Lion|optimizer)\w*/\S+?|_optimizer\S*?|_?variables/\d+\S*?))"
        r"(?::\d+)?\.?(?!\S)"
        r"|Optimizer variable (?P<key2>\S+) has shape|Optimizer weight shape",
        why="a slot of the optimizer (`{key}`) has another shape than the checkpoint's: it was built over other "
        "variables, or over "
        "the same ones in another order",
        remedy="Restore before layers are added, frozen or made trainable; or restore the model alone and start the "
        "optimizer anew.",
        also=("shape-mismatch", "version-mismatch"),
        weight=0.965,
        example=(
            "ValueError: Received incompatible tensor with shape (8, 10) when attempting to restore variable with "
            "shape (1, 8) "
            "and name Adam/m/block/kernel:0."
        ),
    ),
    Entry(
        "tf-slots-at-step",
        "lazy-build",
        (
            "must already be built on a list of variables",
            "tried to create variables on non-first call",
            "must be built (i.e. its variables must have been created)",
            "has not yet been built. please call `optimizer.build",
        ),
        r"must already be built on a list of variables|must be built \(i\.e\. its variables must have been created\)"
        r"|has not yet been built\. Please call `optimizer\.build"
        r"|tried to create variables on non-first call(?=.{0,1200}?(?:load|restor|checkpoint|optimizer|apply_gradients))",
        why="the optimizer makes its slots at the first step, and had none yet when they were needed",
        remedy="`optimizer.build(model.trainable_variables)` before restoring and before the step is traced.",
        also=("optimizer-structure", "graph-lifecycle"),
        weight=0.82,
        where=storing_or_alone,
        example=(
            "ValueError: When passing `grads` without `variables`, the optimizer must already be built on a list of "
            "variables."
        ),
    ),
    Entry(
        "tf-slots-count",
        "optimizer-structure",
        (
            "argument `optimizer_variables` must be a list",
            "the gradients must match `optimizer.variables`",
            "to override does not match the length of model variables",
            "cannot set `iterations` to a new variable",
            "variables whereas the saved optimizer",
        ),
        "",
        why="the optimizer has been built over another number of variables than it is given",
        remedy=_ANEW,
        also=("lazy-build", "version-mismatch"),
        weight=0.85,
        where=storing_or_alone,
        example="ValueError: The length of model variables (4) to override does not match the length of model "
        "variables stored",
    ),
    Entry(
        "keras-rate-not-settable",
        "optimizer-hyperparameters",
        (
            "hence its learning rate is not settable",
            "learning_rate` should be float, or an instance of",
            "ignoring the learning rate",
            "`lr` is ignored",
            "get_value() can only be called on a variable",
            'optimizer must have a "lr" attribute',
            'optimizer must have a "learning_rate" attribute',
        ),
        "",
        why="the optimizer that came back has a schedule in the place of a learning rate (or the other way), and what "
        "sets the "
        "rate does not fit it",
        remedy="Compile anew with a number for the rate, or leave the schedule to count from the restored `iterations`.",
        where=storing_or_alone,
        weigh=ranked(
            ("optimizer-hyperparameters", 0.72), ("version-mismatch", 0.56), ("custom-object", 0.48)
        ),
        example="TypeError: This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` "
        "constructor "
        "argument, hence its learning rate is not settable.",
    ),
    Entry(
        "tf-not-compiled",
        "optimizer-structure",
        (
            "no training configuration found in",
            "must compile your model before training",
            "compiled metrics have yet to be built",
            "must call `compile()` before using the model",
            "you must call `compile()` before",
        ),
        "",
        why="the file holds no optimizer, loss and metrics (or they were left out when it was loaded): the model is "
        "not compiled",
        remedy="For inference it is harmless. Else save with the optimizer (`include_optimizer=True`), or compile "
        "after loading.",
        where=loading_or_alone,
        weigh=ranked(
            ("optimizer-structure", 0.58), ("metrics", 0.54), ("custom-object", 0.46), ("resume-state", 0.4)
        ),
        example="UserWarning: No training configuration found in save file: the model was *not* compiled. Compile it "
        "manually.",
    ),
)
