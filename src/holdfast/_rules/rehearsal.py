"""R3: what a drill finds: a run that was killed and resumed, held against one that never was.

The faults come from :mod:`holdfast._drill`. The first of them is the cause of the first divergence.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "R301", "drill-weights", severity="error", cause="resume-state", live=True,
    remedy="Save and load the whole state dict, buffers and every model included; load after all is built.",
)  # fmt: skip
def drill_weights(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Weights or buffers with which the resumed run went on are not those of the save.

    Something was not in the checkpoint, was initialised again after it was loaded, or was loaded into another object.

    Evidence: the names, by digest, at the first step after resuming.

    What to do: save everything that training changes; load last.

    Example: BatchNorm's running statistics, saved by ``named_parameters()``.
    """
    yield from told(rule, subject)


@rule(
    "R302", "drill-optimizer", severity="error", cause="resume-state", live=True,
    remedy="Save optimizer.state_dict() with the model, and load it before the first step.",
)  # fmt: skip
def drill_optimizer(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The optimizer's state (moments, counts, options) is not that of the save.

    Adam then begins with zero moments and its bias correction: the loss jumps after each resume.

    Evidence: the values that differ, by name.

    What to do: save and load the optimizer; in Keras save the model whole, not its weights alone.

    Example: ``torch.save(model.state_dict(), path)``.
    """
    yield from told(rule, subject)


@rule(
    "R303", "drill-learning-rate", severity="error", cause="resume-state", live=True,
    remedy="Restore the optimizer's options too, and set the rate nowhere else after that.",
)  # fmt: skip
def drill_learning_rate(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The learning rate after resuming is another than the uninterrupted run's at the same step.

    Mostly it is back at its initial value: the optimizer was made anew with the configured rate, or the code sets it after the
    restore.

    Evidence: both rates, and whether the one is that of step 1.

    What to do: load the optimizer's state dict (the rate is in it); adjust rates from what was restored.

    Example: ``for group in optimizer.param_groups: group["lr"] = args.lr`` after loading.
    """
    yield from told(rule, subject)


@rule(
    "R304", "drill-scheduler", severity="error", cause="resume-state", live=True,
    remedy="Save scheduler.state_dict() and load it; step it exactly as before.",
)  # fmt: skip
def drill_scheduler(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The learning-rate schedule does not go on where it was.

    The scheduler was not restored (it begins anew), or it was and is not stepped; a schedule by the optimizer's count of
    iterations begins anew with that.

    Evidence: what the scheduler counts, here and in the uninterrupted run, and both learning rates.

    What to do: save and load the scheduler's state; make it before the optimizer's state is loaded.

    Example: ``CosineAnnealingLR(optimizer, T_max)`` made anew after resuming.
    """
    yield from told(rule, subject)


@rule(
    "R305", "drill-loss-scale", severity="error", cause="resume-state", live=True,
    remedy="Save scaler.state_dict() and load it.",
)  # fmt: skip
def drill_loss_scale(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The loss scale of mixed precision is not that of the save.

    It starts at 65536 again: the first steps overflow and are skipped, or gradients are rounded otherwise.

    Evidence: scale and growth count, here and in the uninterrupted run.

    What to do: save the ``GradScaler`` (in Keras the ``LossScaleOptimizer``) with the rest.

    Example: model and optimizer saved, ``scaler`` forgotten.
    """
    yield from told(rule, subject)


@rule(
    "R306", "drill-data-position", severity="error", cause="resume-state", live=True,
    remedy="Save how far the epoch was, and begin the sampler there (a stateful loader, or skip what was seen).",
)  # fmt: skip
def drill_data_position(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The resumed run sees other batches: its data begin anew, or go on at another place.

    Some samples are then seen twice in an epoch and others never.

    Evidence: the batch, the one that it should be, and the step of the uninterrupted run that has it.

    What to do: save the position; derive the order of an epoch from its number, not from what was drawn before.

    Example: a save in the middle of an epoch, and ``for batch in loader`` from its beginning after resuming.
    """
    yield from told(rule, subject)


@rule(
    "R307", "drill-random-state", severity="error", cause="resume-state", live=True,
    remedy="Save the generators named and put them back: Vault.restore(optimizer=...) does, or torch.get_rng_state().",
)  # fmt: skip
def drill_random_state(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Random generators were not put back where they were at the save.

    Dropout, augmentation and the order of shuffled data are then drawn anew: mostly exactly those of the run's beginning, as the
    script seeds at its start. A warning where nothing within the drill depended on it.

    Evidence: which generators.

    What to do: save and restore them, last before training goes on.

    Example: ``torch.manual_seed(0)`` at the top of the script, and nothing after loading.
    """
    yield from told(rule, subject)


@rule(
    "R308", "drill-layer-seed", severity="error", cause="resume-state", live=True,
    remedy="Save the seed generators' variables too (Vault does; Keras's save_weights does not), or the key.",
)  # fmt: skip
def drill_layer_seed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A layer's own seed state, or the loop's key, begins anew: dropout draws its first masks again.

    Keras keeps a ``SeedGenerator`` in each layer that draws; a JAX loop splits a key of its own.

    Evidence: which seed state.

    What to do: save it with the model; in JAX save the key, or fold the step into it.

    Example: ``key = jax.random.key(0)`` after restoring.
    """
    yield from told(rule, subject)


@rule(
    "R309", "drill-accumulation", severity="error", cause="resume-state", live=True,
    remedy="Save right after an optimizer step, or save the gradients (and the place within the accumulation) too.",
)  # fmt: skip
def drill_accumulation(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The save was made in the middle of gradient accumulation, and the gradients gathered until then are gone.

    The next optimizer step is made of fewer batches, or of others.

    Evidence: how many backward passes lay between the last step and the save, or the accumulators that differ.

    What to do: save between two optimizer steps: count steps, not batches.

    Example: ``if batch % 10 == 0: save()`` with ``accumulate=4``.
    """
    yield from told(rule, subject)


@rule(
    "R310", "drill-best", severity="error", cause="resume-state", live=True,
    remedy="Save the best value (and patience) and load it before the first comparison.",
)  # fmt: skip
def drill_best(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """What the run remembers beside its state (the best metric so far, a patience) begins anew.

    The first evaluation after resuming is then the best one ever, and overwrites a better checkpoint.

    Evidence: the value, or the saves that only one of the two runs makes.

    What to do: save it; Keras's ModelCheckpoint and EarlyStopping need it given back (VaultCallback does).

    Example: ``best = float("inf")`` at the top of a script that resumes.
    """
    yield from told(rule, subject)


@rule(
    "R311", "drill-metrics", severity="warning", cause="resume-state", live=True,
    remedy="Save the metrics' state too, or log per epoch from resumed epochs only.",
)  # fmt: skip
def drill_metrics(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Logged numbers differ, though state, batches and learning rate are the same.

    Running averages that begin anew in the middle of an epoch, mostly. Training is not touched.

    Evidence: the number, here and in the uninterrupted run.

    What to do: save the metrics' state, if the log matters.

    Example: the ``loss`` of Keras's progress bar after resuming within an epoch.
    """
    yield from told(rule, subject)


@rule(
    "R312", "drill-length", severity="error", cause="resume-state", live=True,
    remedy="Count from the restored step: for step in range(start, total).",
)  # fmt: skip
def drill_length(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The resumed run takes more, or fewer, optimizer steps than the uninterrupted one.

    It counts its epochs anew, or early stopping lost its patience.

    Evidence: both counts.

    What to do: save the step and go on from it.

    Example: ``for epoch in range(args.epochs)`` after resuming.
    """
    yield from told(rule, subject)


@rule(
    "R313", "drill-torn-save", severity="error", cause="incomplete-save", live=True,
    remedy="Write to a temporary name and os.replace it when it is whole, or save with a Vault.",
)  # fmt: skip
def drill_torn_save(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Killed in the middle of a save, the run cannot go on: that save was overwriting its only checkpoint.

    Evidence: what the script said when it was started again.

    What to do: never write over the only checkpoint.

    Example: ``torch.save(state, "last.pt")`` in each epoch.
    """
    yield from told(rule, subject)


@rule(
    "R314", "drill-unexplained", severity="error", cause="resume-state", live=True,
    remedy="Look for generators, caches and counters of the script's own; holdfast.drill.step(..., name=value) compares them.",
)  # fmt: skip
def drill_unexplained(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The runs part, and everything that was watched was the same until then.

    Something that the script keeps and does not save: a ``torch.Generator``, a ``numpy`` generator of its own, a cache, a counter
    in a closure; or random operations within a ``tf.function``, whose state nobody can read.

    Evidence: what differs first, and at which step.

    What to do: save it, or let the drill compare it: ``holdfast.drill.step(step, name=value)``.

    Example: ``rng = numpy.random.default_rng(0)`` that draws the augmentation.
    """
    yield from told(rule, subject)


@rule(
    "R315", "drill-starts-anew", severity="error", cause="resume-state", live=True,
    remedy="Load the newest checkpoint at the start where there is one; --resume-args gives a flag that it needs.",
)  # fmt: skip
def drill_starts_anew(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Killed and started again, the script begins at its first step.

    It never loads what it saved, or only under a flag.

    Evidence: the saves that were made before it was killed.

    What to do: resume by default; or tell the drill the flag: ``--resume-args=--resume``.

    Example: ``if args.resume: load(...)``.
    """
    yield from told(rule, subject)


@rule(
    "R316", "drill-not-reproducible", severity="note", cause="resume-state", live=True,
    remedy="Seed it, and ask for deterministic kernels, for a drill that proves every bit.",
)  # fmt: skip
def drill_not_reproducible(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two runs of the script differ without any kill: not seeded, or kernels that add in another order each time.

    What the resumed run goes on with is still compared exactly, with the very process that was killed; what comes out at the end
    only within the spread of two uninterrupted runs.

    Evidence: what differs between the uninterrupted runs, and by how much.

    What to do: seed; ``torch.use_deterministic_algorithms(True)``, ``tf.config.experimental.enable_op_determinism()``.

    Example: a script without a seed.
    """
    yield from told(rule, subject)


@rule("R317", "drill-not-drilled", severity="error", cause="resume-state", live=True)
def drill_not_drilled(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The script could not be drilled: there was nothing to kill, or nothing to compare.

    No optimizer step was seen, there were too few, no checkpoint was written in time, or it is written outside the working
    folder, where the runs would find each other's.

    Evidence: which of these.

    What to do: make it save early and within its folder; call ``holdfast.drill.step`` in a loop that has no optimizer object.

    Example: a JAX loop without any call of ours.
    """
    yield from told(rule, subject)


@rule(
    "R318", "drill-resume-fails", severity="error", cause="resume-state", live=True,
    remedy="Start it again by hand in a folder where it was killed; the last lines of its output are in the evidence.",
)  # fmt: skip
def drill_resume_fails(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Killed and started again, the script ends with an error.

    Evidence: the last lines of its output.

    What to do: read them; ``--keep DIR`` leaves the folder as the kill left it.

    Example: a key of the checkpoint that is written only at the end.
    """
    yield from told(rule, subject)
