"""Lightning: runs that go on from a checkpoint (lightning/pytorch/trainer/connectors/checkpoint_connector.py, callbacks)."""

from __future__ import annotations

from ...knowledge import Entry, ranked

ENTRIES = (
    Entry(
        "lightning-no-such-checkpoint",
        "not-found",
        (
            "(ckpt_path=",
            "there is no last checkpoint available",
            "not found. aborting",
            "no checkpoint file exists at",
        ),
        r"\.\w+\(ckpt_path=[\"']?(?P<which>\w+)[\"']?\)`? is set,? but|there is no last checkpoint available"
        r"|No checkpoint file exists at"
        r"|Checkpoint (?:at|file) .{1,200}? not found\. Aborting",
        why=(
            "there is no checkpoint of that kind (`{which}`): none was saved, in another folder, or without a "
            "metric to choose it by"
        ),
        remedy="Give the path itself; `ModelCheckpoint(monitor=..., save_last=True)` keeps the best and the last one.",
        also=("retention", "resume-state"),
        weight=0.84,
        test="path",
        example='ValueError: `.test(ckpt_path="best")` is set but `ModelCheckpoint` is not configured to save the best model.',
    ),
    Entry(
        "lightning-callbacks-differ",
        "resume-state",
        (
            "callbacks used to create the checkpoint need to be provided",
            "please add the following callbacks",
            "checkpoint that ended before the epoch ended",
            "won't be reloaded",
        ),
        "",
        why="a part of the run's state is not restored: a callback that kept it is not there, or the run stopped within an epoch",
        remedy="Give the Trainer the same callbacks; save at the end of an epoch, or use a loader that keeps its place.",
        also=("retention", "metrics"),
        weight=0.8,
        example="UserWarning: You're resuming from a checkpoint that ended before the epoch ended.",
    ),
    Entry(
        "lightning-best-is-none",
        "retention",
        ("best_model_path", "best model path", "best_model_score", "best model score"),
        r"best(?:_model_path|_model_score| model path| model score)\b"
        r"[^.\n]{0,60}?(?:\bNone\b|\bempty\b|''|\"\"|always 0|wrong|not (?:set|updated))",
        why="the callback keeps no best checkpoint: no metric is monitored, all are kept, or its state was not restored",
        remedy="Give `ModelCheckpoint` a `monitor`; resume with the same folder, so that it finds its best one again.",
        weigh=ranked(("retention", 0.68), ("metrics", 0.52), ("resume-state", 0.48), ("not-found", 0.42)),
        example="checkpoint_callback.best_model_path is empty after fit",
    ),
    Entry(
        "lightning-metric-not-there",
        "metrics",
        ("conditioned on metric", "is not available. pass in or modify"),
        r"(?:EarlyStopping|ReduceLROnPlateau|ModelCheckpoint) conditioned on metric `?(?P<metric>\w+)`? which is not available",
        why="the callback looks for `{metric}`, which was not logged when it ran (right after a restore, or in another stage)",
        remedy="Log it in the stage that the callback looks at, or let it be checked at the end of the validation.",
        weigh=ranked(("metrics", 0.66), ("resume-state", 0.5), ("retention", 0.4)),
        example="RuntimeError: Early stopping conditioned on metric `val_f1` which is not available. ModelCheckpoint conditioned"
        " on metric `val_f1` which is not available",
    ),
)
