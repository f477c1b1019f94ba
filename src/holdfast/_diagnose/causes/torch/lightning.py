"""Lightning: runs that go on from a checkpoint (lightning/pytorch/trainer/connectors/checkpoint_connector.py, callbacks)."""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked


def not_let_through(look: Look) -> list[Guess]:
    """A class has to be imported; a function that builds has to be on a list."""
    rows = (("unsafe-pickle", 0.86), ("custom-object", 0.66), ("version-mismatch", 0.4))
    told: dict[str, str] = {}
    if look.match["call"]:
        told["remedy"] = (
            "Where you trust the file, add its name to the set `lightning.pytorch.core.saving._ALLOWED_INSTANTIATORS` before the "
            "load."
        )
    return [look.entry.guess(look, label, confidence=sure, **told) for label, sure in rows]


def of_the_settings(look: Look) -> list[Guess]:
    """Links can be made on a disk only; the rest contradicts itself."""
    if "link" in look.match[0]:
        why = (
            "`save_last='link'` makes a link to the best file, and the folder is on a store that has no links"
        )
        remedy = "`save_last=True` keeps a copy; or save to a local disk."
        return [
            look.entry.guess(look, "storage", confidence=0.84, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.6, why=why, remedy=remedy),
        ]
    rows = (("retention", 0.84), ("storage", 0.5), ("other", 0.4))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "lightning-no-such-checkpoint",
        "not-found",
        (
            "(ckpt_path=",
            "there is no last checkpoint available",
            "with `fast_dev_run=true`. please pass an exact",
            "not found. aborting",
            "no checkpoint file exists at",
        ),
        r"\.\w+\(ckpt_path=[\"']?(?P<which>\w+)[\"']?\)`? is set,? but|there is no last checkpoint available"
        r"|with `fast_dev_run=True`\. Please pass an exact"
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
        example=(
            "RuntimeError: Early stopping conditioned on metric `val_f1` which is not available. ModelCheckpoint "
            "conditioned on metric `val_f1` which is not available"
        ),
    ),
    Entry(
        "lightning-averages-not-saved",
        "metrics",
        ("weightaveraging callback, but loading", "not created with weightaveraging"),
        "",
        why=(
            "the file and the run do not both keep averaged weights: the averages begin anew from the plain ones, or are "
            "left out"
        ),
        remedy="Give the Trainer the same `WeightAveraging` callback as the run that saved, and restore in `fit`.",
        weigh=ranked(("metrics", 0.66), ("resume-state", 0.64), ("missing-tensor", 0.56)),
        example=(
            "UserWarning: The checkpoint was not created with WeightAveraging. Both the current and the average model "
            "will be initialized with state_dict."
        ),
    ),
    Entry(
        "lightning-of-another-version",
        "version-mismatch",
        (
            "contains apex amp data",
            "would end up colliding with each other after an upgrade",
            "switch to a single import style",
            "produced with lightning v",
            "distributed checkpoints requires pytorch",
        ),
        r"contains apex AMP data|would end up colliding with each other after an upgrade|switch to a single import style"
        r"|produced with Lightning v(?P<then>[\w.]+)|distributed checkpoints requires PyTorch",
        why="the file was written by another Lightning ({then}), or half of the program is of another package of the same name",
        remedy="`python -m lightning.pytorch.utilities.upgrade_checkpoint FILE`; import all of it from `lightning.pytorch`.",
        weigh=ranked(("version-mismatch", 0.86), ("resume-state", 0.42), ("format-mismatch", 0.36)),
        test="entries",
        example="UserWarning: This checkpoint contains apex AMP data, but apex support has been removed in v2.0.0.",
    ),
    Entry(
        "lightning-hyperparameters-not-kept",
        "unserialisable",
        (
            "not possible to safely dump",
            "is an instance of `nn.module` and is already saved",
            "parameter because it cannot be pickled",
        ),
        r"Skipping '(?P<name>\w+)' parameter because it is not possible to safely dump"
        r"|'(?P<name2>\w+)' is an instance of `nn\.Module` and is already saved|parameter because it cannot be pickled",
        why="`{name}` is no plain value: it is left out of the saved hyperparameters, or saved a second time within them",
        remedy="`self.save_hyperparameters(ignore=['{name}'])`, and pass `{name}` to `load_from_checkpoint`.",
        weigh=ranked(("unserialisable", 0.8), ("custom-object", 0.5), ("resume-state", 0.4)),
        example="UserWarning: Skipping 'loss_fn' parameter because it is not possible to safely dump to YAML.",
    ),
    Entry(
        "lightning-checkpoint-settings",
        "retention",
        ("should be mutually exclusive", "no quantity for top_k to track", "is only supported for local"),
        r"every_n_train_steps=.{0,80}should be mutually exclusive|No quantity for top_k to track"
        r"|save_last='link'\)` is only supported for local",
        why="what `ModelCheckpoint` was told to keep contradicts itself, so that it would keep nothing",
        remedy=(
            "Give one of `every_n_train_steps`, `every_n_epochs`, `train_time_interval`; `save_top_k` above 1 wants a "
            "`monitor`."
        ),
        weigh=of_the_settings,
        example=(
            "MisconfigurationException: ModelCheckpoint(save_top_k=3, monitor=None) is not a valid configuration. No "
            "quantity for top_k to track."
        ),
    ),
    Entry(
        "lightning-deepspeed-shards",
        "topology",
        (
            "deepspeed stage 3 checkpoint, each worker will save a shard",
            "a single checkpoint file has been given",
        ),
        "",
        why="DeepSpeed's checkpoint is a folder of one file a worker, and a single file holds weights only",
        remedy="Resume from the folder; `zero_to_fp32.py FOLDER OUT` makes one file of its weights.",
        weigh=ranked(("topology", 0.64), ("optimizer-structure", 0.6), ("format-mismatch", 0.58)),
        example=(
            "When saving the DeepSpeed Stage 3 checkpoint, each worker will save a shard of the checkpoint within a "
            "directory."
        ),
    ),
    Entry(
        "lightning-called-otherwise",
        "other",
        (
            "load_from_checkpoint` cannot be called on an instance",
            "with `storage_options` arg is not supported",
            "storage_options=...)` is not supported",
            "model in the provided checkpoint state",
        ),
        "",
        why="the call is made in a way that this class does not have; nothing was read or written",
        remedy=(
            "`model = MyModel.load_from_checkpoint(path)` (on the class, and take what it returns); a `CheckpointIO` of your "
            "own takes options."
        ),
        weigh=ranked(("other", 0.62), ("format-mismatch", 0.5), ("storage", 0.46), ("version-mismatch", 0.4)),
        example=(
            "TypeError: The classmethod `Lit.load_from_checkpoint` cannot be called on an instance. Please call it on the "
            "class type."
        ),
    ),
    Entry(
        "lightning-unchecked-classes",
        "unsafe-pickle",
        ("was blocked to prevent arbitrary code execution",),
        r"The (?:(?P<call>instantiator)|class) '?(?P<what>[\w.]+)'? (?:from|requested by) the checkpoint"
        r" .{0,160}?was blocked to prevent arbitrary code execution",
        why="the checkpoint names `{what}` to build the model with, and Lightning calls only what is imported or allowed",
        remedy="Where you trust the file, import the module of `{what}` before the load.",
        weigh=not_let_through,
        example=(
            "ValueError: The class 'mypkg.Net' requested by the checkpoint does not resolve to an already imported "
            "subclass of LightningModule and was blocked to prevent arbitrary code execution."
        ),
    ),
    Entry(
        "lightning-shards-of-another-kind",
        "format-mismatch",
        (
            "only fsdp-sharded checkpoints saved with lightning",
            "checkpoint path must be a folder, containing the checkpoint shards",
        ),
        "",
        why="what was given is no folder of shards that Lightning's FSDP strategy saved",
        remedy=(
            "`holdfast FOLDER` says what it is; a single file needs no merging, another tool's shards are merged by that "
            "tool."
        ),
        weigh=ranked(("format-mismatch", 0.84), ("topology", 0.5), ("not-found", 0.46)),
        test="whole",
        example=(
            "Only FSDP-sharded checkpoints saved with Lightning are supported for consolidation. The provided folder is "
            "not in that format: runs/shards"
        ),
    ),
)
