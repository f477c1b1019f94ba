"""TensorFlow: the position in the data (iterators of tf.data) saved along with a checkpoint.

Messages: tensorflow/core/data/{serialization_utils,dataset_utils}.cc, tensorflow/core/kernels/data/*.cc,
tensorflow/core/framework/dataset.h.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing_or_alone

ENTRIES = (
    Entry(
        "tf-pipeline-changed",
        "resume-state",
        (
            "dataset has changed while restoring from",
            "dataset definition has not changed",
            "cycle length to restore from",
            "failed to restore dataset iterator",
            "could not find saved object to restore for",
        ),
        r"Dataset has changed while restoring from|dataset definition has not changed between"
        r"|is different from the cycle length to restore from|Failed to restore dataset iterator"
        r"|Could not find saved object to restore for",
        why="the position in the data was saved by another input pipeline than now: steps, files or parallelism "
        "were changed, so "
        "that it cannot be taken up",
        remedy="Restore with the pipeline that saved; or leave the iterator out of the Checkpoint and skip what "
        "was read "
        "(`ds.skip(step * batch)`).",
        weigh=ranked(("resume-state", 0.84), ("preprocessing", 0.72), ("version-mismatch", 0.56)),
        example="InvalidArgumentError: Dataset has changed while restoring from the checkpoint. Old hash: 1 New "
        "hash: 2",
    ),
    Entry(
        "tf-pipeline-not-made",
        "lazy-build",
        (
            "because the iterator has not been initialized",
            "should be called before restoring from the checkpoint",
            "iterator before restoring",
        ),
        r"Restore\(\) failed because the iterator has not been initialized"
        r"|`?Initialize`? should be called before restoring from the checkpoint"
        r"|initializer operation for this iterator before restoring",
        why="the iterator has no dataset yet that its saved position could be taken up in",
        remedy="Run `iterator.initializer` (or make it by `iter(dataset)`) first, then restore.",
        weigh=ranked(("lazy-build", 0.84), ("graph-lifecycle", 0.66), ("resume-state", 0.56)),
        example="FailedPreconditionError: Restore() failed because the iterator has not been initialized.",
    ),
    Entry(
        "tf-pipeline-without-state",
        "unserialisable",
        (
            "does not support checkpointing",
            "does not support symbolic checkpointing",
            "restore is not implemented for",
            "restoreinternal is not yet supported",
        ),
        r"(?P<name>\w*Dataset\w*|\w*[Ii]terator\w*|\w*Map\w*"
        r"|\w*Shuffle\w*)\W{1,3}does not support (?:symbolic )?checkpointing"
        r"|Restore is not implemented for (?P<name2>\w+)|RestoreInternal is not yet supported",
        why="a step of the input pipeline ({name}) has a state that TensorFlow cannot save",
        remedy="Leave the iterator out of what is saved; keep the count of examples, and skip them after a restore "
        "(`ds.skip(n)`).",
        where=storing_or_alone,
        weigh=ranked(("unserialisable", 0.9), ("resume-state", 0.6), ("version-mismatch", 0.4)),
        example="UnimplementedError: GeneratorDataset does not support checkpointing.",
    ),
)
