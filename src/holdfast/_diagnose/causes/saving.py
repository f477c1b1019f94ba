"""Saves in the background, saves that were broken off, retention."""

from __future__ import annotations

from ..knowledge import Entry

ENTRIES = (
    Entry(
        "async-failed",
        "async-save",
        ("background", "dictionary changed size during iteration", "thread", "sync"),
        r"(?:async\w*|background)[\w ]{0,30}(?:save|checkpoint|write|thread)\w*.{0,160}(?:fail|error"
        r"|exception|raise|died|hang|inconsist|torn)\w*|dictionary changed size during iteration",
        why="a save in the background failed, or what it was writing changed meanwhile",
        remedy=(
            "Wait for it (`future.result()`, `wait_until_finished()`, `handle.wait()`) before the state changes and "
            "before the program ends, and look at what it raised."
        ),
        context=("save", "checkpoint", "state_dict"),
        only_in=True,
        also=("concurrency", "incomplete-save"),
        weight=0.72,
        example="RuntimeError: Async checkpoint save failed in background thread: [Errno 28]",
    ),
    Entry(
        "interpreter-shutdown",
        "async-save",
        (
            "cannot schedule new futures",
            "can't start new thread at interpreter shutdown",
            "interpreter shutdown",
        ),
        r"cannot schedule new futures after (?:interpreter )?shutdown|at interpreter shutdown",
        why="the program ended while a save was still being written in the background",
        remedy="Wait for the save before the script ends.",
        also=("incomplete-save",),
        weight=0.86,
        context=("save", "checkpoint", "orbax", "write"),
        only_in=True,
        example="RuntimeError: cannot schedule new futures after interpreter shutdown (orbax checkpoint save)",
    ),
    Entry(
        "async-metadata",
        "async-save",
        (
            "metadata is none",
            "async_save",
            "previous async",
            "asynccheckpoint",
            "asyncstag",
            "another async",
            "pending async",
        ),
        (
            r"metadata is None|(?:previous|another|pending) async\w* (?:save|checkpoint)\w*.{0,80}|(?:async_save"
            r"|AsyncCheckpoint\w*|AsyncStag\w*).{0,160}?(?:Error|fail|raise|exception|timeout|hang)"
        ),
        why="a save in the background was not finished, or failed, when the next step of it (or the next save) came",
        remedy=(
            "Keep the future and wait for it (`future.result()`, `wait_until_finished()`) before the next save, "
            "before retention, and at the end."
        ),
        weight=0.72,
        also=("incomplete-save", "concurrency", "retention"),
        example="AssertionError: metadata is None (dcp.async_save)",
    ),
    Entry(
        "save-interrupted",
        "incomplete-save",
        (
            "interrupted",
            "sigterm",
            "keyboardinterrupt",
            "checkpoint",
            "reempt",
            "illed",
            "write_record",
            "saving",
            "_save",
            "save",
        ),
        r"(?:kill(?:ed)?|SIGTERM|preempt\w*|KeyboardInterrupt|interrupted).{0,200}(?:sav(?:e|ing)"
        r"|write_record|writing checkpoint|_save\b)",
        why="the save was broken off; the file is not whole",
        remedy="Take the checkpoint before it; write beside and rename (`holdfast.Vault`, or `holdfast run --protect`).",
        calls=("save", "_save", "write_record"),
        weight=0.7,
        also=("corrupt",),
        test="whole",
        example=(
            '  File "torch/serialization.py", line 1, in _save\n    zip_file.write_record(name, storage, '
            "num_bytes)\nKeyboardInterrupt interrupted saving"
        ),
    ),
    Entry(
        "deleted-checkpoint",
        "retention",
        ("max_to_keep", "save_total_limit", "keep", "emov", "eleting older"),
        r"(?:max_to_keep|save_total_limit|keep_checkpoint\w*|deleting older checkpoint"
        r"|remov\w+ (?:old )?checkpoint).{0,200}(?:No such file|not found|missing|fail|error|gone|NotFound)"
        r"|(?:No such file|not found|NotFound).{0,200}(?:max_to_keep|save_total_limit"
        r"|deleting older checkpoint)",
        why="retention removed the checkpoint that is wanted",
        remedy="Keep more of them, or pin the one that is needed (`vault.pin`).",
        also=("not-found", "concurrency"),
        weight=0.72,
        test="path",
        example=(
            "Deleting older checkpoint [runs/checkpoint-500] due to args.save_total_limit\nOSError: checkpoint-500 "
            "not found"
        ),
    ),
    Entry(
        "metric-monitor",
        "retention",
        ("can save best model only with", "modelcheckpoint(monitor=", "ould not find the monitored key"),
        r"Can save best model only with (?P<metric>\w+) available, skipping|could not find the monitored key"
        r"|ModelCheckpoint\(monitor='?(?P<metric2>[\w/]+)'?\)[^\n]{0,80}(?:could not|not found)",
        why=(
            "the metric by which the best is kept ({metric}) is not logged under that name at that moment, so that "
            "nothing is saved"
        ),
        remedy="Use the logged name (`val_accuracy`, not `val_acc`), and validation data in `fit`; save_freq='epoch'.",
        also=("metrics", "not-found"),
        weight=0.88,
        example="WARNING:tensorflow:Can save best model only with val_acc available, skipping.",
    ),
)
