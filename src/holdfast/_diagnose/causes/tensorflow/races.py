"""TensorFlow: several savers of one checkpoint."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look


def temporary_gone(look: Look) -> list[Guess]:
    """A folder that was not made, or that another process or machine has."""
    apart = re.search(r"/job:(?:ps|worker|chief|master)", look.reading.flat) is not None
    return [
        look.entry.guess(look, confidence=0.9),
        look.entry.guess(look, "topology", confidence=0.95 if apart else 0.8),
        look.entry.guess(look, "concurrency", confidence=0.84),
    ]


ENTRIES = (
    Entry(
        "tf-save-counter-raced",
        "concurrency",
        ("save_counter",),
        r"_track_trackable\(\) with name='save_counter'",
        why="two threads made the first save of one tf.train.Checkpoint at the same time, and both made its counter: this save "
        "wrote nothing, and others may lack files or have overwritten each other",
        remedy="Save from one thread: hand it the work through a queue, or let TensorFlow write in the background with "
        "tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True).",
        also=("async-save",),
        weight=0.93,
        example=(
            "ValueError: Called Trackable._track_trackable() with name='save_counter', but a Trackable with this name is already "
            "declared as a dependency. Names must be unique (or overwrite=True)."
        ),
    ),
    Entry(
        "tf-temporary-gone",
        "storage",
        ("_temp_",),
        r"(?P<prefix>[^\s;]+)_temp_[0-9a-f]{16,}(?:/part-\S*)?;? ?(?:No such file|The system cannot find)"
        r"|NotFoundError[^:]{0,40}: (?P<prefix2>[^\s;]+)_temp_[0-9a-f]{16,}(?:\s|$)",
        why="the temporary folder of this save (`{prefix}_temp_...`) is not there: its parent was never made, another "
        "process took "
        "it away, or workers do not see the same disk",
        remedy="Make the folder first; one writer for a name; with several workers all must see the same disk.",
        weigh=temporary_gone,
        example="NotFoundError: out/model.ckpt-1_temp_5d8d532077d241a38f2d79ac2ffeb9a7; No such file or directory",
    ),
    Entry(
        "tf-parts-raced",
        "concurrency",
        ("mergev2checkpoints", "_temp/part-"),
        r"(?P<prefix>\S+)_temp/part-\S+ (?:did not exist|not found)|MergeV2Checkpoints.{0,160}? (?P<prefix2>\S+)_temp/part-\S+;? "
        r"No such file|(?P<prefix3>[^\s;]+)_temp/part-[^\s;]+; No such file.{0,60}Op:MergeV2Checkpoints",
        why="the parts of this save (below {prefix}_temp) were taken away before they were put together: another save of the "
        "same name, by a thread or another process, has merged or deleted them",
        remedy="One writer for a name: save from one thread and one process. With several workers: all must see the same disk.",
        also=("storage", "topology"),
        weight=0.93,
        example=(
            "NotFoundError: {{function_node __wrapped__MergeV2Checkpoints_device_/job:localhost/replica:0/task:0/device:CPU:0}} "
            "./run/ckpt-3_temp/part-00000-of-00001.data-00000-of-00001; No such file or directory [Op:MergeV2Checkpoints]"
        ),
    ),
)
