"""Optimizer state: Keras' ``set_weights`` and ``load_own_variables``, slots of TensorFlow."""

from __future__ import annotations

import re

from ..knowledge import Entry, Guess, Look

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
)
