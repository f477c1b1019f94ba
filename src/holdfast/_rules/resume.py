"""R2: what a run needs to go on as it was, besides weights and optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
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
