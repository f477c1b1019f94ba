"""TensorFlow and Keras: calls that are not there, or refuse, and are put down to the checkpoint."""

from __future__ import annotations

from ...knowledge import Entry

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
