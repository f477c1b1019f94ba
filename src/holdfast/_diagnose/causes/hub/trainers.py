"""Trainers that resume from a folder of files: transformers, accelerate, and what builds on them.

Messages: transformers/trainer.py, trainer_utils.py, trainer_callback.py; accelerate/checkpointing.py, accelerator.py.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import alone, storing_or_alone

ENTRIES = (
    Entry(
        "trainer-arguments-differ",
        "resume-state",
        (
            "random state",
            "load rng",
            "do not match the ones in the `trainer_state.json`",
            "didn't find an rng file",
            "didn't manage to set back the rng",
            "rng_state is a",
            "rng state must be a torch.bytetensor",
            "rng state must be",
            "skip the first",
            "skipping the first",
        ),
        r"do not match the ones in the `trainer_state\.json`|Didn't find an RNG file|Didn't manage to set back the RNG"
        r"|RNG state must be",
        why="the run does not go on as it stood: arguments, ranks or the states of random numbers differ from those saved",
        remedy=(
            "Resume with the same batch size, number of processes and arguments; restore the state of random numbers on "
            "the CPU."
        ),
        also=("topology", "version-mismatch"),
        weight=0.86,
        example="Didn't find an RNG file, if you are resuming a training that was launched in a distributed fashion",
    ),
    Entry(
        "value-head-absent",
        "missing-tensor",
        ("v_head weight", "value head weight", "valuehead weight", "reward model is not correctly loaded"),
        r"no v_head weight is found|does not contain value ?head weights|reward model is not correctly loaded",
        why="the folder has the model without its value head, which is then made anew: it was saved without the wrapper",
        remedy="Save through the wrapper (its `save_pretrained`), and keep the head's file beside the weights.",
        weigh=ranked(("missing-tensor", 0.86), ("incomplete-save", 0.78), ("format-mismatch", 0.6)),
        test="names",
        example="WARNING: model is loaded from 'm', and no v_head weight is found.",
    ),
    Entry(
        "side-file-absent",
        "not-found",
        ("no such file or directory",),
        r"No such file or directory: "
        r"'(?P<path>[^']*?(?:params|hparams|config|model_config|training_args|meta|metadata|model_index)"
        r"\.(?:json|ya?ml|cfg))'",
        why="there is no `{path}`: another folder is meant, or the file was not saved (or copied) beside the weights",
        remedy="`holdfast FOLDER` says what lies there; put the file where the program looks, from the source of the weights.",
        where=alone,
        weigh=ranked(("not-found", 0.74), ("incomplete-save", 0.66), ("version-mismatch", 0.4)),
        test="path",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'weights/7B/params.json'",
    ),
    Entry(
        "random-states-unread",
        "resume-state",
        ("load rng", "load random state", "load random generator"),
        r"(?:unable to|failed to|could not|couldn't) load (?:rng|random (?:generator )?states?)",
        why="the states of random numbers are not read: another version wrote them (or refuses their pickle), or other devices",
        remedy="Read them with the versions that saved them; without them the run goes on with other random numbers.",
        weigh=ranked(
            ("resume-state", 0.86), ("version-mismatch", 0.8), ("unsafe-pickle", 0.6), ("topology", 0.5)
        ),
        example="INFO - Could not load random states",
    ),
    Entry(
        "best-metric-absent",
        "metrics",
        ("metric_for_best_model", "keyerror: 'eval_", "best_metric"),
        r"metric_for_best_model` training argument is set to '(?P<key>\w+)', which is not found|KeyError: '(?P<key2>eval_\w+)'"
        r"|metric_for_best_model.{0,60}(?:not found|missing)",
        why="the metric that chooses the best checkpoint (`{key}`) is not among those of the evaluation, so the save fails",
        remedy="Name a metric that `compute_metrics` returns (or give labels, so that eval_loss is computed).",
        also=("retention", "other"),
        weight=0.82,
        example="KeyError: 'eval_accuracy'",
    ),
    Entry(
        "best-model-gone",
        "retention",
        (
            "could not locate the best model at",
            "could not locate the best",
            "best_model_checkpoint",
            "best model checkpoint",
        ),
        r"Could not locate the best \w+|best_model_checkpoint.{0,80}(?:not found|does not exist|No such|missing)",
        why="the best checkpoint is not where its path says: rotated away, on another node's disk, or saved in parts",
        remedy="Raise `save_total_limit`; with several nodes save on each, or to shared storage.",
        weigh=ranked(("retention", 0.8), ("not-found", 0.78), ("incomplete-save", 0.6), ("topology", 0.5)),
        test="path",
        example="Could not locate the best model at out/checkpoint-500/pytorch_model.bin",
    ),
    Entry(
        "trainer-files-absent",
        "incomplete-save",
        (
            "trainer_state.json",
            "scheduler.pt",
            "optimizer.pt",
            "rng_state",
            "training_args.bin",
            "optimizer.bin",
            "scheduler.bin",
            "random_states_",
            "scaler.pt",
            "latest_checkpointed_iteration",
        ),
        r"(?:\bno|without(?: a| any)?|lacks(?: a)?|missing) `?(?P<file2>trainer_state\.json|optimizer\.pt|scheduler\.pt)"
        r"|(?:No such file or directory|not found|cannot find|can't find|does not exist|FileNotFound\w*).{0,200}?"
        r"(?P<file>trainer_state\.json|scheduler\.(?:pt|bin)|optimizer\.(?:pt|bin)|rng_state\w*(?:\.pth)?|scaler\.pt"
        r"|random_states_\d+\w*)",
        why=(
            "the folder lacks `{file}`, which a resume reads: the save was broken off, was of the model alone, or of fewer "
            "processes"
        ),
        remedy="Resume from the checkpoint before it; `save_only_model=False` keeps what a resume needs.",
        weigh=ranked(("incomplete-save", 0.82), ("not-found", 0.76), ("topology", 0.55), ("retention", 0.5)),
        test="whole",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'out/checkpoint-500/scheduler.pt'",
    ),
    Entry(
        "accelerate-registered",
        "missing-tensor",
        ("number of custom checkpoints in folder",),
        r"Number of custom checkpoints in folder \S* ?does not match the number of registered objects",
        why="other objects are registered for checkpointing now than when the folder was saved",
        remedy="Register the same objects in the same order before `load_state`.",
        weigh=ranked(("missing-tensor", 0.7), ("resume-state", 0.66), ("incomplete-save", 0.6)),
        where=storing_or_alone,
        example="RuntimeError: Number of custom checkpoints in folder ckpt/2 does not match the number of registered objects:",
    ),
)
