"""M: metrics measured again of the restored state, and why they are not those that were logged.

The faults come from :mod:`holdfast._audit`. A cause is told here only where a test on the checkpoint, the model or the data
speaks for it; the evidence says which, and whether it proves the cause or merely fits the figures.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "M101", "metric-differs", severity="error", cause="metrics", live=True,
    remedy="Read the causes that were ruled out, then compare the evaluation code with that of the run.",
)  # fmt: skip
def metric_differs(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A metric of the restored state is not the recorded one, and no cause that was tested explains it.

    The state itself was verified before, so the difference lies in the evaluation, the data or what the recorded
    number was.

    Evidence: both values, the tolerance and where it comes from, what was ruled out.

    What to do: compare evaluation code, data and environment with those of the run.

    Example: An evaluation script that now averages over tokens instead of sentences.
    """
    yield from told(rule, subject)


@rule("M102", "metric-not-comparable", severity="note", cause="metrics", live=True)
def metric_not_comparable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A recorded number cannot be measured again of the saved state, by its nature.

    A running average is of many states, a batch's loss of one batch in training mode; such a number lies 5 to 75 %
    from the state's own, in either direction. No state is wrong for it.

    Evidence: the kind of the metric, and where it could be taken apart, the parts.

    What to do: log an evaluation at save time, and compare that.

    Example: ``loss`` of Keras's progress bar.
    """
    yield from told(rule, subject)


@rule(
    "M103", "metric-training-mode", severity="error", cause="metrics", live=True,
    remedy="Call model.eval() (Keras: training=False) before evaluating.",
)  # fmt: skip
def metric_training_mode(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Training mode was on during an evaluation: dropout and batch statistics were at work.

    Shown by evaluating with the mode forced: the recorded number comes back. The evidence says whether it was on
    now or when the number was recorded.

    Evidence: the value with the mode forced, and which of the two evaluations it was.

    What to do: set the mode explicitly before each evaluation.

    Example: ``model.train()`` in the loop and no ``model.eval()`` before validation.
    """
    yield from told(rule, subject)


@rule(
    "M104", "metric-other-step", severity="error", cause="metrics", live=True,
    remedy="Restore the step that is named, or correct the step of the metric.",
)  # fmt: skip
def metric_other_step(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The recorded number was measured of another step of the run, which reproduces it.

    Metrics logged with the next save, or asynchronously, are filed under the wrong step.

    Evidence: the step that reproduces it, its value.

    What to do: restore that step for this number; log with the step that was measured.

    Example: Validation ran after ten more updates than the save.
    """
    yield from told(rule, subject)


@rule(
    "M105", "metric-other-weights", severity="error", cause="metrics", live=True,
    remedy="Restore the copy that is named (rename:ema/*->*), or evaluate with it.",
)  # fmt: skip
def metric_other_weights(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The recorded number was measured with another copy of the weights in the checkpoint.

    Averaged for raw ones, or the reverse. Trainers evaluate the averaged weights and save both; loaders take the
    raw ones.

    Evidence: the copy with which the number comes back.

    What to do: say which weights a metric is of: ``Metric(weights='ema')``.

    Example: ``val_acc`` of the EMA model beside ``state_dict`` of the raw one.
    """
    yield from told(rule, subject)


@rule(
    "M106", "metric-batch-statistics", severity="error", cause="metrics", live=True,
    remedy="Restore the buffers too (running_mean, running_var, moving_*).",
)  # fmt: skip
def metric_batch_statistics(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The normalisation layers' statistics are not those with which the number was measured.

    At their initial value, or moved by forward passes in training mode after the save. Trainable weights agree, so
    that nothing raises.

    Evidence: which buffers differ, or the value with reset statistics.

    What to do: save and restore buffers; recalibrate on training data only on purpose.

    Example: ``load_state_dict`` of ``named_parameters()`` alone.
    """
    yield from told(rule, subject)


@rule(
    "M107", "metric-best-for-last", severity="error", cause="metrics", live=True,
    remedy="Restore the checkpoint whose metric it is.",
)  # fmt: skip
def metric_best_for_last(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The number measured now is another checkpoint's of the run: best and last were mixed up.

    A file called best that is overwritten by the last, a symlink that moved.

    Evidence: the step that has this number in its record.

    What to do: choose by the record (``vault.restore(best=True)``), not by a file's name.

    Example: ``save_best_only`` with the wrong mode.
    """
    yield from told(rule, subject)


@rule(
    "M108", "metric-other-data", severity="error", cause="metrics", live=True,
    remedy="Evaluate on the data that the record names.",
)  # fmt: skip
def metric_other_data(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The evaluation ran on other samples than those that the number was measured on.

    The identity of what the model was fed (number and digest of the samples, whatever their order) is not the
    recorded one.

    Evidence: both identities.

    What to do: fix the split by a seed or a list of ids, and record its identity with the metric.

    Example: ``train_test_split`` without ``random_state``.
    """
    yield from told(rule, subject)


@rule(
    "M109", "metric-other-inputs", severity="error", cause="metrics", live=True,
    remedy="Compare the preprocessing of the evaluation with that of the run.",
)  # fmt: skip
def metric_other_inputs(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The evaluation feeds the model inputs of another kind than those of the record.

    Held against the data contract, or the probe's own batch: the shift is named in the evidence.

    Evidence: the shift: not normalised, another scale, channels reversed, drift.

    What to do: apply the run's preprocessing.

    Example: Another mean and deviation in the evaluation script.
    """
    yield from told(rule, subject)


@rule(
    "M110", "metric-names-swapped", severity="error", cause="metrics", live=True,
    remedy="Put the names right where metrics are logged.",
)  # fmt: skip
def metric_names_swapped(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two metrics have each other's values.

    Reproduced to the last digit, under the other's name.

    Evidence: both names and values.

    What to do: log by name, not by position.

    Example: ``loss, acc = model.evaluate(...)`` where the order of metrics was another.
    """
    yield from told(rule, subject)


@rule(
    "M111", "metric-averaging", severity="error", cause="metrics", live=True,
    remedy="Weight each batch by its size, or compare with the same rule.",
)  # fmt: skip
def metric_averaging(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """One number is a mean over samples, the other a mean of means of unequal batches.

    An unweighted mean counts the samples of the last batch too much: 0.7 % seen for 1010 samples in batches of 100.

    Evidence: both means.

    What to do: weight by batch size; record the rule in ``Metric(averaging=)``.

    Example: ``losses.append(loss.item())`` and ``np.mean(losses)``.
    """
    yield from told(rule, subject)


@rule(
    "M112", "metric-resolved-differently", severity="error", cause="metrics", live=True,
    remedy="Name the metric's function instead of a word.",
)  # fmt: skip
def metric_resolved_differently(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The recorded number is another function of the same outputs and labels.

    ``accuracy`` is resolved by the shapes of outputs and labels: binary with a threshold, categorical, sparse,
    top-k.

    Evidence: the function that gives the recorded number.

    What to do: pass ``SparseCategoricalAccuracy()`` and not ``'accuracy'``.

    Example: Accuracy of one-hot labels counted element by element: 0.98 where 0.90 of the samples are right.
    """
    yield from told(rule, subject)


@rule(
    "M113", "metric-labels-permuted", severity="error", cause="metrics", live=True,
    remedy="Use the label map that was saved with the checkpoint.",
)  # fmt: skip
def metric_labels_permuted(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Under a permutation of the classes the recorded number comes back: another label map.

    Outputs of the model are right, what they are called is not. Found from the outputs and labels that the
    evaluation hands out.

    Evidence: the permutation, and the value under it.

    What to do: save the label map with the state and use that.

    Example: Class ids from a folder listing in another order.
    """
    yield from told(rule, subject)


@rule(
    "M114", "metric-precision", severity="error", cause="metrics", live=True,
    remedy="Restore and evaluate in the precision of the record.",
)  # fmt: skip
def metric_precision(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The weights, or the evaluation, are in a narrower number type than when the number was measured.

    A bfloat16 copy keeps 8 bits of each mantissa: metrics move by 1e-4 to 6e-3.

    Evidence: the number type, and which tensors equal the rounded ones.

    What to do: load in float32; cast on purpose only.

    Example: ``from_pretrained(..., torch_dtype='auto')`` of a file in bfloat16.
    """
    yield from told(rule, subject)


@rule(
    "M115", "metric-state-changed", severity="error", cause="metrics", live=True,
    remedy="Look at what the named tensors are set by after the restore.",
)  # fmt: skip
def metric_state_changed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """When the model was evaluated its tensors were not those of the checkpoint.

    Seen before any metric: the tensors are compared by content. Part of the model was initialised anew, loaded from
    elsewhere, or never loaded.

    Evidence: the tensors that differ, by name.

    What to do: restore last, and build everything before.

    Example: ``model.reset_classifier(10)`` after loading.
    """
    yield from told(rule, subject)


@rule(
    "M116", "metric-function-changed", severity="error", cause="metrics", live=True,
    remedy="Build the model with the recorded settings.",
)  # fmt: skip
def metric_function_changed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The tensors are the checkpoint's, and the model computes another function with them.

    A setting or the code of a layer differs from the record; the probe names the first layer that computes
    otherwise.

    Evidence: the layer, and what differs there.

    What to do: put the setting back, or the version of the code.

    Example: ``eps=1e-6`` where training had 1e-5.
    """
    yield from told(rule, subject)


@rule(
    "M117", "metric-environment", severity="warning", cause="metrics", live=True,
    remedy="Run the evaluation where the run was, or with its settings.",
)  # fmt: skip
def metric_environment(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A number differs a little, and settings of the environment that change numbers differ too.

    Within what other kernels, number types of matrix products or devices are known to change. Which one did it is
    not tested.

    Evidence: the settings that differ, the difference, and the known size of such effects.

    What to do: set the named flags as in the record and evaluate again.

    Example: TF32 allowed on the one machine and not on the other.
    """
    yield from told(rule, subject)


@rule("M118", "metric-not-measured", severity="note", cause="metrics", live=True)
def metric_not_measured(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A recorded number has no counterpart among those that the evaluation returned.

    Names are taken as they are, then without ``val_``, ``test_``, ``eval_`` in front.

    Evidence: the names on both sides.

    What to do: return it from the evaluation under its recorded name.

    Example: ``val_f1`` in the log, ``loss`` and ``accuracy`` from the evaluation.
    """
    yield from told(rule, subject)


@rule(
    "M119", "metric-random", severity="error", cause="metrics", live=True,
    remedy="Seed what the evaluation draws (samples, augmentation, generation), or evaluate on everything.",
)  # fmt: skip
def metric_random(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The evaluation gives another number each time, for the same state.

    It draws samples, augments or generates without a seed of its own. The global generators are put back between two
    evaluations, so that these are not the reason.

    Evidence: the values of two evaluations.

    What to do: seed it, or evaluate on all data without augmentation.

    Example: ``np.random.default_rng().choice(len(x), 500)`` in the validation loop.
    """
    yield from told(rule, subject)
