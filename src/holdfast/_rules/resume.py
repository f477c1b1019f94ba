"""R2: what a run needs to go on as it was, besides weights and optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule("R202", "random-state", severity="note", cause="resume-state", live=True)
def random_state(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Random generators could not be put back where they were.

    Dropout masks, shuffles and augmentations that follow are others than the uninterrupted run would have drawn: nothing is
    wrong with the state, but the run is no longer reproduced bit for bit. Generators that a program holds itself
    (``numpy.random.default_rng``, ``torch.Generator``, a JAX key) are saved where they are passed to ``save``.

    Evidence: which generators, and why.

    What to do: import the same frameworks before restoring, on the same kinds of device; or seed anew, knowingly.

    Example: a run saved with CUDA in use goes on on a CPU.
    """
    for fault in subject.faults_of("random-state"):
        yield rule.finding(fault.message, file=fault.file)


@rule(
    "R211", "data-position", severity="note", cause="resume-state", live=True,
    remedy="Pass data= to save and to restore: docs/resume.md says what for which loader.",
)  # fmt: skip
def data_position(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Where the data stood was not saved, or not put back.

    The loop then begins its data anew, or where its own code goes to: batches are seen twice, or never, in an epoch that was
    broken off, and a shuffle draws another order.

    Evidence: the names under which positions were saved, and those that were passed.

    What to do: pass the iterator or loader as ``data={"train": it}`` to ``save`` and ``restore``; where it cannot say where it
    is, the number of samples seen (``data={"train": 51200}``), and begin there.

    Example: ``vault.save(step, model=model, optimizer=optimizer)`` in the middle of an epoch of shuffled data.
    """
    yield from told(rule, subject)


@rule(
    "R212", "state-left-out", severity="warning", cause="resume-state", live=True,
    remedy="Pass to restore what was passed to save.",
)  # fmt: skip
def state_left_out(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """State is in the checkpoint and was not asked for, or was asked for and is not there.

    Training goes on with the optimizer, and what stood beside it begins anew: a learning-rate schedule at its first step, a
    loss scale at 65536, an average of weights at the initial ones, a metric at zero.

    Evidence: the words of what was saved or passed.

    What to do: pass the same objects to ``restore`` that were passed to ``save``, or leave them out knowingly.

    Example: ``vault.save(..., scheduler=scheduler)``, and ``vault.restore(model=model, optimizer=optimizer)``.
    """
    yield from told(rule, subject)


@rule("R213", "step-disagrees", severity="note", cause="resume-state", live=True)
def step_disagrees(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The step that the checkpoint bears and what counts in it say different things, by one.

    A loop that counts from 0 and saves after the update says 99 where 100 updates were made; begun again at
    ``outcome.step``, it trains that batch twice.

    Evidence: the checkpoint's step, and the optimizer's count of updates, or the number in ``extra``.

    What to do: save with the number of updates made, or begin at ``outcome.step + 1``.

    Example: ``for step in range(start, n): train(); vault.save(step, ...)`` with ``start = outcome.step``.
    """
    yield from told(rule, subject)


@rule(
    "R214", "mid-accumulation", severity="warning", cause="resume-state", live=True,
    remedy="Save where the optimizer has stepped, or begin the accumulation anew with its first micro-batch.",
)  # fmt: skip
def mid_accumulation(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Saved between two updates: gradients had been accumulated that no checkpoint holds.

    PyTorch keeps sums of gradients in ``parameter.grad``, which is no part of any state dict. The next update after a restore
    is made of fewer micro-batches than it should be. (Keras and optax keep them in the optimizer's state; nothing is lost there.)

    Evidence: how it was seen: gradients that changed after the last step, or the word of ``accelerate``.

    What to do: save after ``optimizer.step()``.

    Example: ``if micro % 10 == 0: vault.save(...)`` with an update at each fourth micro-batch.
    """
    yield from told(rule, subject)


@rule(
    "R215", "other-configuration", severity="note", cause="resume-state", live=True,
    remedy="Where it is meant, nothing: Holdfast puts no stored configuration over yours. Else start it as it was started.",
)  # fmt: skip
def other_configuration(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The run is configured otherwise than when the checkpoint was saved.

    Another batch size, number of devices or length means another number of steps per epoch: schedules end elsewhere, the place in
    the data is another, and training is longer or shorter than was planned. What ``vault.record(config=...)`` was given at the
    save is held against what it was given before the restore.

    Evidence: the settings, then and now.

    What to do: see that each difference is meant. Trainers that load their own settings from a checkpoint may silently prefer the
    stored ones.

    Example: ``per_device_batch`` was 8 on four devices, and is 32 on one.
    """
    yield from told(rule, subject)
