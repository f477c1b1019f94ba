"""Saves in the background, saves that were broken off, retention."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone


def barrier_or_background(look: Look) -> list[Guess]:
    """A save in the background that failed; where a barrier was not reached, other processes are in it."""
    if re.search(r"barrier|deadline_?exceeded|nccl|timed out task", look.reading.lower):
        why = "the hosts that save together did not all reach the barrier in time: one is gone, slow, or saves something else"
        remedy = "Save on all hosts at the same step; look at what the host that is missing was doing; raise the timeout."
        return [
            look.entry.guess(look, "concurrency", confidence=0.86, why=why, remedy=remedy),
            look.entry.guess(look),
        ]
    return [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "listing-with-gaps",
        "incomplete-save",
        ("-rw",),
        r"-rw\S{6,9} .{0,60}?(?:\s0 \w{3} +\d+ \S+ \S*(?P<path>(?:checkpoint|ckpt|model|shard|epoch|step|\.pt|\.h5|\.data-)\S*)"
        r"|\s\d+ \w{3} +\d+ \S+ (?P<path2>\S*(?:checkpoint|ckpt|model|shard|epoch|step)\S*\.(?:tmp|temp|part|tempstate\d*)))",
        why="the listing shows a file that was not written to its end ({path}): of 0 bytes, or still under its temporary name",
        remedy="Take the checkpoint before it (`holdfast FOLDER` says which are whole); look for room and quota.",
        weigh=ranked(("incomplete-save", 0.8), ("storage", 0.56), ("corrupt", 0.46), ("concurrency", 0.4)),
        test="whole",
        example="-rw-rw-r--  1 u u  583649007 Mar  5 21:53 checkpoint_2-shard9.pt\n-rw-rw-r--  1 u u          0 Mar  5 21:56 "
        "checkpoint_last-shard0.pt",
    ),
    Entry(
        "written-by-several",
        "concurrency",
        ("storage has wrong size",),
        r"storage has wrong size: expected (?P<want>-\d+|\d{13,}) got (?P<got>\d+)",
        why="the size that stands in the file ({want}) is no size: several processes wrote this file at the same time, each "
        "over the "
        "other",
        remedy="Let one process write one path (`rank == 0` of all nodes, not of each), beside and renamed; take an older "
        "checkpoint.",
        weigh=ranked(("concurrency", 0.95), ("corrupt", 0.9), ("incomplete-save", 0.6)),
        test="whole",
        example="RuntimeError: storage has wrong size: expected -4669315570785868528 got 512",
    ),
    Entry(
        "record-not-in-archive",
        "corrupt",
        ("file not found: ",),
        r"inline_container\S* ?\]? ?\.? ?(?:\S+ )?file not found: (?P<record>\S+)",
        why="the archive has no `{record}`, which its index names: it is cut short, or two processes wrote it at the same time",
        remedy="`holdfast CKPT` says what is there; take an older checkpoint, and let one process write one path.",
        weigh=ranked(
            ("corrupt", 0.78), ("concurrency", 0.64), ("incomplete-save", 0.62), ("format-mismatch", 0.4)
        ),
        test="whole",
        example="RuntimeError: [enforce fail at inline_container.cc:209] . file not found: archive/data/3259494704",
    ),
    Entry(
        "unfinished-file-vanished",
        "concurrency",
        ("no such file", "filenotfound", "not found", "cannot find"),
        r"(?:No such file|FileNotFound|not found|cannot find)[^'\"]{0,60}['\"](?P<path>[^'\"\n]*(?:uploading|\.part|\.partial"
        r"|\.incomplete|\.lock"
        r"|\.temp|\.writing|\.inprogress|\.filepart))['\"]",
        why="`{path}` is a file that another process was still writing or sending, and it was gone (renamed) when this one "
        "came to it",
        remedy="Skip unfinished files, list again, and let one process look after the folder.",
        where=storing_or_alone,
        weigh=ranked(("concurrency", 0.84), ("not-found", 0.72), ("storage", 0.5)),
        test="path",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'checkpoints/model-0000.params.uploading'",
    ),
    Entry(
        "background-timed-out",
        "async-save",
        ("chainedfuture completed", "async", "background"),
        r"ChainedFuture completed \d+/\d+ futures but timed out|(?:async(?:hronous)?[_ ]?(?:checkpoint|sav|write)\w*"
        r"|AsyncCheckpoint\w*"
        r"|background (?:checkpoint|sav|write)\w*)[^.;]{0,120}?(?:did not (?:finish|terminate|complete)|timed out|not finished"
        r"|still"
        r" (?:in progress|running|pending)|not (?:been )?awaited|deadlock)",
        why="a save in the background did not come to its end in time",
        remedy="Wait for it at the end (`wait_until_finished()`, `future.result()`), look at what it raised, and at the disk's "
        "speed.",
        weigh=barrier_or_background,
        weight=0.84,
        also=("incomplete-save", "concurrency"),
        example="ChainedFuture completed 0/1 futures but timed out after 1199.96 seconds",
    ),
    Entry(
        "other-event-loop",
        "version-mismatch",
        (
            "running event loop",
            "attached to a different loop",
            "no current event loop",
            "event loop is closed",
        ),
        r"(?:a running event loop|attached to a different loop|no current event loop|event loop is closed)",
        why="the library saves and restores through asyncio, and this program (a notebook, a thread) has a loop of its own "
        "that "
        "this version does not get on with",
        remedy="Upgrade the library (Orbax, Flax), call it from the main thread, or in a notebook use `nest_asyncio.apply()`.",
        context=("checkpoint", "orbax", "serializ", "tensorstore", "restore", "flax"),
        only_in=True,
        weigh=ranked(("version-mismatch", 0.66), ("async-save", 0.56), ("concurrency", 0.52)),
        example="checkpointer.restore(path)\nRuntimeError: asyncio.run() cannot be called from a running event loop",
    ),
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
        weigh=barrier_or_background,
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
            r"(?<!\w)metadata is None|(?:previous|another|pending) async\w* (?:save|checkpoint)\w*.{0,80}"
            r"|(?:(?<!, in )async_save\b(?!\()"
            r"|AsyncCheckpoint\w*|AsyncStag\w*).{0,160}?(?:Error|fail|raise|exception|timeout|hang)"
        ),
        why="a save in the background was not finished, or failed, when the next step of it (or the next save) came",
        remedy=(
            "Keep the future and wait for it (`future.result()`, `wait_until_finished()`) before the next save, "
            "before retention, and at the end."
        ),
        weight=0.72,
        weigh=barrier_or_background,
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
        r"(?:kill(?:ed)?|SIGTERM|preempt\w*|KeyboardInterrupt|interrupted).{0,200}(?:sav(?:e|ing)\b"
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
