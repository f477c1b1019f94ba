"""What ``holdfast run`` tells of Keras's callbacks and of TensorFlow's graphs and ``Saver``.

The facts come from :mod:`holdfast._frameworks`: the hooks know what the calls leave undone.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "S149", "best-forgotten", severity="warning", cause="retention", live=True,
    remedy="Give ModelCheckpoint the best value so far (initial_value_threshold=), or put the epoch into the file's name; "
    "holdfast.keras.VaultCallback remembers it.",
)  # fmt: skip
def best_forgotten(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A training that goes on has replaced the best checkpoint by its first model, without a comparison.

    The best value lives in the callback, and no checkpoint holds it. After a restart, or in a second ``fit`` with a callback of
    its own, whatever comes first is the best so far, and is written over what really was.

    Evidence: the file that was there, and what shows that the training goes on; the two values where both are known.

    What to do: hand the old value over; keep each improvement under a name of its own.

    Example: ``ModelCheckpoint("best.keras", save_best_only=True)`` beside ``BackupAndRestore``, in a job that was restarted.
    """
    yield from told(rule, subject)


@rule(
    "S153", "outside-retention", severity="warning", cause="retention", live=True,
    remedy="Tell the Saver of them: saver.recover_last_checkpoints(tf.train.get_checkpoint_state(folder)"
    ".all_model_checkpoint_paths) before the first save; or use tf.train.CheckpointManager, which reads that file.",
)  # fmt: skip
def outside_retention(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Checkpoints of earlier runs lie in the folder, and nothing will delete them.

    ``tf.compat.v1.train.Saver`` counts what it has written itself. Each new process leaves its last ``max_to_keep`` checkpoints
    for ever, and the ``checkpoint`` file no longer names them, until the disk is full.

    Evidence: their number and bytes.

    What to do: recover the list before the first save; delete what is not needed.

    Example: a training that a scheduler starts every night, with ``Saver(max_to_keep=2)``.
    """
    yield from told(rule, subject)


@rule(
    "T235", "graph-grows", severity="warning", cause="memory", live=True,
    remedy="Make one Saver and call its restore again; or build each model in a tf.Graph of its own.",
)  # fmt: skip
def graph_grows(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Each restore adds operations to the same graph: memory grows as long as the program runs.

    A ``Saver`` is made of operations, and a graph forgets none.

    Evidence: how many Savers have restored the same variables, and how many operations that has added.

    What to do: make the ``Saver`` once, before the loop.

    Example: a server that makes a ``Saver`` for each new checkpoint that it loads.
    """
    yield from told(rule, subject)


@rule(
    "M121", "averages-mixed", severity="warning", cause="metrics", live=True,
    remedy="Take the averages of all variables that have one: ema.variables_to_restore(tf.global_variables()).",
)  # fmt: skip
def averages_mixed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Some variables came from their averages, and others raw though the checkpoint has averages of them too.

    The model is neither the one that was trained nor the averaged one; its outputs differ from both.

    Evidence: the variables that came raw.

    What to do: map all of them, BatchNorm's statistics too, or none.

    Example: ``ema.variables_to_restore()`` after ``ema.apply(tf.global_variables())``: it maps what is trained, and leaves out
    moving means and variances.
    """
    yield from told(rule, subject)


@rule(
    "M122", "frozen-in-training-mode", severity="warning", cause="metrics", live=True,
    remedy="Build the graph once more with is_training=False, restore the checkpoint into it, and freeze that one.",
)  # fmt: skip
def frozen_in_training_mode(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A graph was frozen whose BatchNorm computes with the statistics of the batch that it is given.

    That is the training graph: the moving means and variances of the checkpoint are not in it, and its outputs depend on what
    else is in the batch.

    Evidence: the operations.

    What to do: freeze the graph of inference.

    Example: ``convert_variables_to_constants`` of the session in which the model was trained.
    """
    yield from told(rule, subject)
