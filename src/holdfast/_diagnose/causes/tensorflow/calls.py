"""TensorFlow and Keras: calls that are not there, or refuse, and are put down to the checkpoint."""

from __future__ import annotations

from ...knowledge import Entry, ranked

ENTRIES = (
    Entry(
        "tf-no-async-module",
        "version-mismatch",
        ("async_checkpoint",),
        r"module '(?P<module>tensorflow[\w.]*)' has no attribute '(?P<name>async_checkpoint\w*)'",
        why="TensorFlow has no public module `{name}`: nothing was saved. `Checkpoint.save` is not asynchronous either, it "
        "returns when the files are there",
        remedy="checkpoint.save(prefix, tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)), and "
        "checkpoint.sync() before the file is used or the program ends.",
        also=("async-save",),
        weight=0.97,
        example="AttributeError: module 'tensorflow._api.v2.train.experimental' has no attribute 'async_checkpoint'",
    ),
    Entry(
        "tf-async-not-taken",
        "async-save",
        (
            "switching to regular sync checkpoint",
            "asynccheckpointhelper",
            "asynccheckpoint support",
            "_copy_trackable_to_cpu",
            "waiting for the async save thread",
            "most recent error from the async thread",
        ),
        "",
        why="the checkpoint was to be written in the background, and something of it cannot be, or failed there",
        remedy="`checkpoint.sync()` before the file is used or the program ends, and look at the error it raises; save such "
        "objects without `experimental_enable_async_checkpoint`.",
        weigh=ranked(("async-save", 0.9), ("incomplete-save", 0.46), ("unserialisable", 0.44)),
        example="WARNING:absl:Timeout waiting for the async save thread; terminating the thread instead.",
    ),
    Entry(
        "keras-callback-suffix",
        "format-mismatch",
        ("modelcheckpoint",),
        r"in `?ModelCheckpoint`?, the filepath provided must end in `?(?P<want>[\w.]+)`?.{0,60}?filepath=(?P<path>\S+)",
        why="ModelCheckpoint refuses the name when it is made, so that nothing is trained and nothing saved: in Keras 3 it "
        "must end in {want}",
        remedy='ModelCheckpoint("{path}{want}", ...). The val_loss of an epoch is then that of the weights saved after it; the '
        "training loss is a mean over the epoch, while the weights moved, and is no checkpoint's.",
        also=("version-mismatch",),
        weight=0.96,
        example=(
            "ValueError: When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided must end in "
            "`.weights.h5` (Keras weights format). Received: filepath=run-{epoch:02d}"
        ),
    ),
)
