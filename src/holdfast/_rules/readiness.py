"""O3: will the next step of a live optimizer run, and do what it should?

The faults come from :meth:`LiveCatalog.readiness`; each says in one sentence what the framework will do, and
``attributes["fails"]`` whether the step raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "O301", "unknown-variable", severity="warning", cause="optimizer-structure", live=True,
    remedy="Make a new optimizer over the model's present weights (Keras: build it with model.trainable_variables; "
    "PyTorch: add_param_group for the new ones), then restore its state.",
)  # fmt: skip
def unknown_variable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A trainable weight of the model is none of the optimizer's.

    A layer was added or replaced, or thawed, after the optimizer was built. Keras raises in the next apply_gradients
    (ValueError: Unknown variable), far from the cause; PyTorch trains the rest and never changes this weight.

    Evidence: the weights.

    What to do: build the optimizer over the model as it is now.

    Example: ``model.add(Dense(10))`` after the first ``fit`` with the same optimizer.
    """
    replaced = any(subject.faults_of("foreign-variable"))
    for finding in told(rule, subject):
        # an optimizer over a part of the model is an ordinary thing in PyTorch (only the head is trained)
        yield finding if replaced or finding.severity == "error" else replace(finding, severity="note")


@rule(
    "O302", "foreign-variable", severity="warning", cause="optimizer-structure", live=True,
    remedy="Make the optimizer anew from the model's own parameters, after every change of the model "
    "(.to(), replaced layers, load with assign=True).",
)  # fmt: skip
def foreign_variable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The optimizer holds a variable that is none of the model's.

    It was made for another model, or the model's weights were replaced by new objects since. Steps then change
    weights that nothing uses, while the model stays as it is, without a word.

    Evidence: the variables, or their positions.

    What to do: make the optimizer from the model that is trained.

    Example: ``model.load_state_dict(state, assign=True)`` after ``Adam(model.parameters())``.
    """
    yield from told(rule, subject)


@rule(
    "O303", "duplicate-variable", severity="warning", cause="lazy-build", live=True,
    remedy="Build the model (call it once on data) before restoring, in a fresh process; restoring a second time sets "
    "the values right but leaves the orphan.",
)  # fmt: skip
def duplicate_variable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The model lists a variable twice over: an orphan beside the one that it uses.

    tf.train.Checkpoint.restore before a subclassed Keras 3 model's first call makes a second kernel: the restored
    values go into the one that no layer uses, the live one stays random, and nothing is said. The orphan gets no
    gradient.

    Evidence: the variables that stand beside one another.

    What to do: build before restoring.

    Example: ``tf.train.Checkpoint(model=Net()).restore(path)`` with layers that are made in the first call.
    """
    yield from told(rule, subject)


@rule(
    "O304", "slot-mismatch", severity="warning", cause="optimizer-structure", live=True,
    remedy="Reset the state of these weights (reset-slots), or restore the model to the shapes that the state has.",
)  # fmt: skip
def slot_mismatch(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A slot's shape or dtype does not fit its weight.

    State of another weight or another width stands where this weight's should. The step raises where shapes do not
    broadcast, and goes wrong without a word where they do.

    Evidence: the slot's shape and dtype, and the weight's.

    What to do: reset the state of these weights, or bring the matching one.

    Example: ``optimizer.load_state_dict`` of a model with the layers in another order.
    """
    yield from told(rule, subject)


@rule(
    "O305", "gradient-mismatch", severity="warning", cause="optimizer-structure", live=True,
    remedy="Compute the gradients with respect to exactly the weights that they are applied to, in that order.",
)  # fmt: skip
def gradient_mismatch(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A gradient's shape or dtype does not fit its weight.

    The gradients are of another list of weights, or in another order, than those they are applied to.

    Evidence: the gradient's shape and dtype, and the weight's.

    What to do: take both from one list.

    Example: ``zip(tape.gradient(loss, model.trainable_weights), head.trainable_weights)``.
    """
    yield from told(rule, subject)


@rule(
    "O306", "gradient-none", severity="warning", cause="optimizer-structure", live=True,
    remedy="Find out why the loss does not depend on these weights (detached, unused, non-differentiable operation), "
    "or leave them out on purpose.",
)  # fmt: skip
def gradient_none(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A trainable weight has no gradient.

    The loss does not depend on it. Keras warns and leaves the weight alone, or raises where no gradient is there at
    all; PyTorch leaves it alone; optax raises on None in the tree.

    Evidence: the weights.

    What to do: connect them, or freeze them.

    Example: a layer that is built and never called.
    """
    yield from told(rule, subject)


@rule(
    "O307", "gradient-left", severity="note", cause="resume-state", live=True,
    remedy="optimizer.zero_grad() before the first backward pass, unless the accumulation is meant to go on.",
)  # fmt: skip
def gradient_left(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Gradients of before are still there and will be added to.

    After a restore they belong to other weights' values. In the middle of an accumulation they are part of the
    state, and a checkpoint without them is not at a boundary.

    Evidence: the weights.

    What to do: clear them, or save and restore between updates only.

    Example: ``loss.backward()``, then a restore, then ``loss.backward()`` and ``optimizer.step()``.
    """
    yield from told(rule, subject)


@rule(
    "O308", "frozen-in-optimizer", severity="note", cause="optimizer-structure", live=True,
    remedy="Nothing, if they are to be thawed again; else make the optimizer from the trainable weights only. "
    "Beware of weight decay by hand and of gradients that are there already.",
)  # fmt: skip
def frozen_in_optimizer(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The optimizer lists weights that are frozen.

    An ordinary thing in fine-tuning, and harmless in PyTorch, where a weight without gradient is passed over. In
    Keras the positions of an optimizer that was built before the freezing no longer are those of
    trainable_variables: its state, saved by position, goes to other weights on the next restore.

    Evidence: the weights.

    What to do: freeze first, then make the optimizer.

    Example: ``layer.trainable = False`` after ``optimizer.build(model.trainable_variables)``.
    """
    yield from told(rule, subject)


@rule(
    "O309", "optimizer-order", severity="warning", cause="optimizer-structure", live=True,
    remedy="Make the optimizer over the weights in the model's order, or save and restore its state by owner "
    "(holdfast does).",
)  # fmt: skip
def optimizer_order(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The optimizer lists the weights in another order than the model.

    The step itself is right. But frameworks save the state by position: restored into an optimizer in the model's
    order, every weight gets another one's state, and with Keras 3 and tf.train.Checkpoint the weights themselves
    cross, without a word where shapes agree.

    Evidence: the first weights of both orders.

    What to do: one order everywhere.

    Example: ``Adam([*decoder.parameters(), *encoder.parameters()])``.
    """
    yield from told(rule, subject)


@rule(
    "O310", "not-built", severity="warning", cause="lazy-build", live=True,
    remedy="Build it first: model.build(shape) or one call on data, optimizer.build(model.trainable_variables); "
    "holdfast.restore takes build_with=.",
)  # fmt: skip
def not_built(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A model, layer or optimizer has no variables yet.

    They are made at the first call. Until then there is nothing to restore into: loaders refuse, skip the optimizer's
    state with a warning, or defer the restoring to the first call, which for subclassed Keras 3 models goes wrong.

    Evidence: the layers without variables.

    What to do: build, then restore.

    Example: ``Net().load_weights(path)`` on a subclassed model before its first call.
    """
    yield from told(rule, subject)


@rule(
    "O311", "foreign-scheduler", severity="warning", cause="resume-state", live=True,
    remedy="Make the scheduler anew from this optimizer.",
)  # fmt: skip
def foreign_scheduler(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A scheduler was passed that drives another optimizer than the one passed.

    A scheduler keeps a reference to the optimizer it was made for. Where that was made anew since, its steps change
    the learning rate of an object that trains nothing, without a word.

    Evidence: the scheduler.

    What to do: make the scheduler from the optimizer that steps.

    Example: ``optimizer = Adam(...)`` a second time, after ``scheduler = StepLR(optimizer, 10)``.
    """
    yield from told(rule, subject)


@rule(
    "O312", "option-missing", severity="error", cause="optimizer-structure", live=True,
    remedy="Make the optimizer of the class that was saved, or start it fresh and leave its state out of the load.",
)  # fmt: skip
def option_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A parameter group lacks an option that the optimizer's class reads.

    PyTorch's ``load_state_dict`` replaces the groups by the stored ones, whatever class they are of; ``step`` then raises
    KeyError, far from the load.

    Evidence: the options that are there, and those that are missing.

    What to do: make the optimizer of the class that was saved.

    Example: the state of Adam loaded into SGD: KeyError: 'momentum' in the next step.
    """
    yield from told(rule, subject)


@rule(
    "O313", "schedule-ended", severity="warning", cause="resume-state", live=True,
    remedy="To train further, construct the schedule with a larger total_steps (`hyper:scheduler/total_steps=live` keeps it in a "
    "restore), or make a new one for what is to come; to evaluate, leave scheduler= out.",
)  # fmt: skip
def schedule_ended(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The learning-rate schedule has made all its steps: the next ``scheduler.step()`` raises.

    PyTorch's OneCycleLR knows how many steps it will make and refuses a further one (ValueError: Tried to step 101 times). A run
    that is resumed to train longer than it was planned meets that after the first batch, when everything has been loaded.
    The optimizer's own step is not concerned.

    Evidence: the steps made, and how many there are.

    What to do: construct the schedule for the whole length, or make a new one for what is to come.

    Example: ``OneCycleLR(optimizer, 0.1, total_steps=100)``, restored from the checkpoint of its hundredth step.
    """
    yield from told(rule, subject)


@rule(
    "O314", "stale-constants", severity="warning", cause="preprocessing", live=True,
    remedy="Let the model compile anew: model.train_function = model.test_function = model.predict_function = None. "
    "holdfast.restore does it by itself.",
)  # fmt: skip
def stale_constants(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A layer computes with constants that are not those of its variables.

    Keras's Normalization keeps mean and variance twice: as variables, which are saved and restored, and as constants that it
    makes of them once and computes with. tf.train.Checkpoint.restore and set_weights leave the constants as they were;
    load_weights makes them anew, but not in what the model has compiled already by a fit, evaluate or predict. The weights are
    all right then, and every prediction is wrong, without a word.

    Evidence: the constant, and what the variable gives.

    What to do: layer.finalize_state(), and let the model compile anew.

    Example: ``tf.train.Checkpoint(model=model).restore(path)`` after another ``adapt`` than the saved model's.
    """
    yield from told(rule, subject)


@rule(
    "O315", "average-not-begun", severity="warning", cause="optimizer-structure", live=True,
    remedy="Begin the averages at the weights: `for w, a in zip(optimizer._trainable_variables, "
    "optimizer._model_variables_moving_average): a.assign(w)`. holdfast.restore does it by itself.",
)  # fmt: skip
def average_not_begun(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The averages of the weights that a Keras optimizer keeps (use_ema) are zero after its first step.

    Only the step that follows a count of 0 sets an average to its weight. Where the count was restored and the averages
    were not (the checkpoint was saved without use_ema), each step mixes a hundredth of the weights into zeros, and the
    end of fit, or ema_overwrite_frequency, writes the result over the weights: the model is lost, without a word.

    Evidence: the weights whose averages are zero, and the count.

    What to do: set the averages to the weights once.

    Example: ``tf.train.Checkpoint(model=model, optimizer=Adam(use_ema=True)).restore(path)`` of a run without use_ema.
    """
    yield from told(rule, subject)
