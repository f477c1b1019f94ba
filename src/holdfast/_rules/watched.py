"""What a program's own calls did to its checkpoints and its live objects: findings of ``holdfast run``.

The facts come from :mod:`holdfast._guard`, which looks before and after each call.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "T231", "not-what-was-loaded", severity="error", cause="renamed", live=True,
    remedy="`holdfast check` of the checkpoint with the model shows how they fit; holdfast.restore puts each tensor where "
    "its name says, or refuses.",
)  # fmt: skip
def not_what_was_loaded(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """After a load, a live tensor does not hold what the checkpoint has under its name.

    The framework went by position or by a numbered key, and put the values somewhere else: two layers of one shape have
    crossed, or the optimizer was built over the variables in another order.

    Evidence: whose values it holds instead.

    What to do: load by name, or build the objects as they were when the checkpoint was saved.

    Example: a Keras optimizer that was built over the variables in reverse before ``tf.train.Checkpoint.restore``.
    """
    yield from told(rule, subject)


@rule(
    "T232", "restore-still-open", severity="error", cause="lazy-build", live=True,
    remedy="Build the model (call it once on a batch) before the load, then load again.",
)  # fmt: skip
def restore_still_open(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A restore that was put off until variables exist was never carried out, or only in part.

    ``tf.train.Checkpoint.restore`` of a model without variables remembers what is to be restored and says nothing. What is
    built in another way than it expects keeps its initial values.

    Evidence: the variables that hold something else than the checkpoint, at the first step or at the program's end.

    What to do: build first, then restore; or let ``assert_consumed()`` tell.

    Example: a subclassed Keras 3 model restored before its first call.
    """
    yield from told(rule, subject)


@rule(
    "T233", "nothing-loaded", severity="error", cause="not-found", live=True,
    remedy="Give the path of a checkpoint; let a resume without one be an error.",
)  # fmt: skip
def nothing_loaded(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A load was asked for, and nothing was loaded: training begins at the initial values.

    ``restore(None)``, a path that only ``strict=False`` lets pass, ``ckpt_path="last"`` where there is none: the call returns
    and nobody is told.

    Evidence: the call, and how many tensors it set.

    What to do: look up the path; check what a lenient load returns.

    Example: ``checkpoint.restore(tf.train.latest_checkpoint(folder))`` in an empty folder.
    """
    yield from told(rule, subject)


@rule(
    "T234", "not-as-asked", severity="error", cause="shape-mismatch", live=True,
    remedy="Compare shapes and dtypes after the load (jax.tree.map), or load by a call that checks them "
    "(StandardCheckpointer.restore).",
)  # fmt: skip
def not_as_asked(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A load was given a target and gave an array of another shape or dtype.

    The target is taken for its structure alone; what comes back is what the file has. A wrong shape fails in the first matrix
    product, or broadcasts and trains on; a wrong dtype changes speed, memory and rounding.

    Evidence: shape and dtype that the target asked for, and those that came.

    What to do: check them, or use a call that does.

    Example: flax's ``from_bytes``, and Orbax's ``PyTreeCheckpointer().restore(path, item=target)`` without ``restore_args``.
    """
    yield from told(rule, subject)


@rule(
    "R216", "steps-mixed", severity="warning", cause="resume-state", live=True,
    remedy="Choose one step and demand every file of it before anything is loaded; a vault's step is one commit.",
)  # fmt: skip
def steps_mixed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Weights were loaded from one step's file, and the optimizer that owns them from another step's.

    Where each part lies in a file of its own and the newest of each is looked for, a file that is gone is replaced by that of the
    step before: old weights meet newer moments, counts and epoch, and training goes on without an error.

    Evidence: the two files, in one folder, whose names differ in the step; the file that goes with one of them is there.

    What to do: resolve the step once. Restore an older one whole where a part of the newest is missing.

    Example: ``model.10.pt`` with ``optimizer.20.pt``, as ``model.20.pt`` was deleted.
    """
    yield from told(rule, subject)


@rule(
    "M120", "best-by-another-number", severity="warning", cause="metrics", live=True,
    remedy="Monitor a number that is whole where it is looked at (the *_epoch name, sync_dist=True), and ask the callback that "
    "monitors it for best_model_path.",
)  # fmt: skip
def best_by_another_number(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The best checkpoint was chosen by another number than its name says, or by none.

    A metric that is logged by step and by epoch bears one name for both; in the middle of an epoch it is one batch's. On several
    ranks it is each rank's own where it was not reduced. A ``ModelCheckpoint`` without ``monitor`` calls its last file the best,
    and of several callbacks Lightning asks the first.

    Evidence: the value and the mean beside it; the ranks; the file that was chosen and the best one by the monitored metric.

    What to do: log with ``sync_dist=True``, monitor the epoch's name, load ``callback.best_model_path`` of the right callback.

    Example: ``ModelCheckpoint()`` and ``ModelCheckpoint(monitor="val_loss")``, then ``trainer.test(ckpt_path="best")``.
    """
    yield from told(rule, subject)


@rule(
    "S141", "only-copy-at-risk", severity="note", cause="retention", live=True,
    remedy="`holdfast run --protect` writes aside, verifies and then renames, without a change of the program; or save each "
    "step under its own name.",
)  # fmt: skip
def only_copy_at_risk(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A save writes over the previous checkpoint in place, and there is no other.

    Until it has ended there is no whole checkpoint: a kill, a full disk or an error in the middle leaves neither the old nor
    the new one.

    Evidence: the file, and that it had the same name before the call.

    What to do: write beside it and rename; keep the last two.

    Example: ``torch.save(state, "last.pt")`` in every epoch.
    """
    yield from told(rule, subject)


@rule(
    "S142", "save-not-there", severity="error", cause="incomplete-save", live=True,
    remedy="Look where the call writes (its documentation says what it adds to the name), and at the disk.",
)  # fmt: skip
def save_not_there(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A save returned without an error, and there is nothing at its path.

    Evidence: the path.

    What to do: see whether another rank, a later line or a cleaning job removed it; whether a background save failed.

    Example: a callback that saves only when a metric improves, and whose metric is never there.
    """
    yield from told(rule, subject)


@rule(
    "S143", "saved-damaged", severity="error", cause="incomplete-save", live=True,
    remedy="Save again; keep the previous checkpoint. `holdfast doctor` says what of this one still loads.",
)  # fmt: skip
def saved_damaged(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """What a save has just written is not whole.

    Evidence: what is wrong with the file.

    What to do: free space, look for a second writer, save again.

    Example: two processes that write one path.
    """
    yield from told(rule, subject)


@rule(
    "S144", "second-writer-seen", severity="error", cause="concurrency", live=True,
    remedy="Let one rank or thread save, or give each its own path; put a barrier behind it.",
)  # fmt: skip
def second_writer_seen(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two saves to one path were under way at the same time.

    Frameworks do not lock: the files hold parts of both, or the later one's index over the earlier one's data, mostly without
    an error.

    Evidence: the two calls, or the other process.

    What to do: one writer for a path.

    Example: every rank of a DDP run calling ``torch.save`` with the same name.
    """
    yield from told(rule, subject)


@rule(
    "S145", "changed-while-written", severity="error", cause="async-save", live=True,
    remedy="Save between steps, from the thread that trains, or save a copy; a vault freezes the state before it writes.",
)  # fmt: skip
def changed_while_written(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values moved while they were being written: the checkpoint mixes two moments.

    Evidence: the tensors that changed during the call.

    What to do: let nothing step while a save reads.

    Example: a thread that saves the live model beside the training loop.
    """
    yield from told(rule, subject)


@rule(
    "S146", "save-failed", severity="error", cause="storage", live=True,
    remedy="Do not go on training without a checkpoint: look at the error, free space, save again.",
)  # fmt: skip
def save_failed_unseen(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A save failed, and the program went on: the error was caught, or died in a thread.

    Evidence: the error.

    What to do: let a failed save stop the run, or at least be seen.

    Example: ``except Exception: pass`` around a save.
    """
    yield from told(rule, subject)


@rule(
    "S147", "not-saved-in-time", severity="error", cause="async-save", live=True,
    remedy="Wait for the background save before the program ends (its future's result(), wait_until_finished(), close()).",
)  # fmt: skip
def not_saved_in_time(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The program ended while a background save was still writing.

    Evidence: the call, and what lies at its path.

    What to do: wait for it.

    Example: ``async_save`` in the last step of a script.
    """
    yield from told(rule, subject)


@rule(
    "S148", "save-skipped", severity="warning", cause="resume-state", live=True,
    remedy="Save under a step that grows over restarts, or clear the folder first: one run, one folder.",
)  # fmt: skip
def save_skipped(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A save wrote nothing and said so only in what it returned.

    A manager that counts steps passes over a step that is not newer than the newest in its folder.

    Evidence: the step, and the newest one in the folder.

    What to do: look at what ``save`` returns; give each run its own folder.

    Example: Orbax's ``CheckpointManager.save(0, ...)`` in a folder where another run has got to step 1000.
    """
    yield from told(rule, subject)


@rule(
    "S151", "not-protected", severity="note", cause="retention", live=True,
    remedy="Give each save a name of its own, and keep the one before until it is done.",
)  # fmt: skip
def not_protected(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """``--protect`` could not make this save atomic: it went where the program sent it.

    A save can be moved where it writes one file, to a path. Folders and prefixes that hold several files (DCP, Orbax,
    ``tf.train.Checkpoint``) have their own order of writing, and a file that the program has opened is its own.

    Evidence: the call.

    What to do: a new name for each save.

    Example: ``torch.save(state, open("last.pt", "wb"))``.
    """
    yield from told(rule, subject)


@rule(
    "S152", "not-sealed", severity="warning", cause="retention", live=True, remedy="`holdfast seal` says why."
)
def not_sealed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """``--seal`` was given, and this checkpoint was not sealed.

    Evidence: the reason.

    What to do: mend what it says; the checkpoint itself is as it would be without.

    Example: a folder that takes no new file.
    """
    yield from told(rule, subject)
