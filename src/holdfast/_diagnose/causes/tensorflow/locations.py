"""TensorFlow's files: folders in place of files, folders that are not there, messages in the system's own language."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone


def path_in_another_language(look: Look) -> list[Guess]:
    """Of a save it is the file system that refused; of a restore the path is not there."""
    saving = look.around.saving and not re.search(
        r"restor|latest_checkpoint|reader", look.reading.flat, re.IGNORECASE
    )
    reading = not saving and re.search(
        r"saver\.restore|latest_checkpoint|get_matching_files|checkpoint_exists|load_checkpoint|reader",
        look.reading.flat,
        re.IGNORECASE,
    )
    return [
        look.entry.guess(look, confidence=0.9 if saving else 0.7 if reading else 0.84),
        look.entry.guess(look, "not-found", confidence=0.97 if reading else 0.86),
        look.entry.guess(look, "format-mismatch", confidence=0.4),
    ]


def windows_open(look: Look) -> list[Guess]:
    """Not there, not allowed, or held by another program."""
    what = look.facts().get("what", "").lower()
    if "process cannot" in what:
        return [
            look.entry.guess(look, "concurrency", confidence=0.86),
            look.entry.guess(look, "storage", confidence=0.8),
        ]
    if "cannot find" in what or "network" in what:
        return [
            look.entry.guess(look, confidence=0.9),
            look.entry.guess(look, "storage", confidence=0.6),
            look.entry.guess(look, "incomplete-save", confidence=0.4),
        ]
    if "denied" in what:
        return [look.entry.guess(look, confidence=0.84), look.entry.guess(look, "storage", confidence=0.8)]
    return [look.entry.guess(look, "storage", confidence=0.84), look.entry.guess(look, confidence=0.8)]


ENTRIES = (
    Entry(
        "tf-windows-cannot-open",
        "not-found",
        ("failed to create/open", "findfirstfile failed", "findnextfile failed"),
        r"New(?:RandomAccess|Readable)\w* failed to Create/Open: (?P<path>.{1,300}?) : (?P<what>The system cannot find"
        r"|The filename"
        r"|The parameter is incorrect|Access is denied|The process cannot access|The specified path is invalid"
        r"|Cannot create a file"
        r"|The network path was not found|The device is not ready)"
        r"|Find(?:First|Next)File failed for: (?P<path2>.{0,300}?) : (?P<what2>The system cannot find|The filename"
        r"|Access is denied|"
        r"The network)",
        why="Windows could not open `{path}` ({what} ...)",
        remedy="Give the prefix of a checkpoint that is there, by an absolute path without `:`, `*`, `?` in its names.",
        weigh=windows_open,
        where=storing_or_alone,
        test="path",
        example="NotFoundError: NewRandomAccessFile failed to Create/Open: m.ckpt.meta : The system cannot find the "
        "file specified.",
    ),
    Entry(
        "tf-events-not-taken",
        "storage",
        (
            "failed to flush",
            "could not flush events",
            "could not write events",
            "could not initialize events",
        ),
        r"Failed to flush \d+ events|Could not flush events file|Could not write events|Could not initialize events writer",
        why="the file system did not take the summaries beside the checkpoints: the folder was removed, the disk is "
        "full, or a mount failed",
        remedy="Look for room and that the folder is still there; write to a local disk and copy it over.",
        weigh=ranked(("storage", 0.84), ("concurrency", 0.4), ("not-found", 0.38)),
        test="space",
        example="FailedPreconditionError: Failed to flush 1 events to runs/events.out.tfevents.1.host",
    ),
    Entry(
        "tf-folder-for-a-file",
        "not-found",
        ("; is a directory", "is a directory:"),
        r"(?:FailedPreconditionError|Failed precondition|FAILED_PRECONDITION"
        r"|IsADirectoryError)[^;]{0,60}?: (?P<path>[^\s;]+); Is a directory",
        why="the path `{path}` is a folder, and a checkpoint's prefix (or a file) is wanted",
        remedy="Give the prefix in that folder: tf.train.latest_checkpoint(folder).",
        where=storing_or_alone,
        weigh=ranked(("not-found", 0.84), ("format-mismatch", 0.68), ("storage", 0.5)),
        test="path",
        example="FailedPreconditionError: runs/model.ckpt; Is a directory",
    ),
    Entry(
        "tf-message-in-another-language",
        "storage",
        ("codec can't decode byte",),
        r"(?:errors_impl\.py|TF_Message|TF_GetCode|pywrap_tensorflow|py_checkpoint_reader|checkpoint_management"
        r"|saver\.py|file_io\.py|"
        r"gfile).{0,1500}?UnicodeDecodeError: 'utf-8' codec can't decode byte 0x(?P<byte>\w\w)"
        r"|UnicodeDecodeError: 'utf-8' codec can't decode byte 0x(?P<byte2>\w\w).{0,400}?(?:saver\.(?:save|restore)"
        r"|latest_checkpoint)",
        why=(
            "Windows answered in its own language, which TensorFlow could not turn into a message: most likely the "
            "path is not there, "
            "or it has letters (or a length) that the file system refuses"
        ),
        remedy="Give an absolute path of plain ASCII letters, make its folder first, and give the prefix of a "
        "checkpoint that is there.",
        weigh=path_in_another_language,
        example=(
            '  File "tensorflow/python/framework/errors_impl.py", line 519, in __exit__\n    '
            "c_api.TF_Message(self.status.status)\n"
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xcf in position 109: invalid continuation byte"
        ),
    ),
    Entry(
        "tf-temporary-taken",
        "concurrency",
        (".tmp",),
        r"(?P<path>\S*checkpoint\.tmp\w+)(?: to: \S+)? ?;? ?(?:No such file or directory|: The system cannot find)",
        why="the temporary file of the state file was taken away before it was renamed: another process saves into the "
        "same folder",
        remedy="One process saves (rank 0, the chief); give the others another folder, or none (checkpoint_dir=None).",
        weigh=ranked(("concurrency", 0.86), ("storage", 0.82), ("not-found", 0.5)),
        example="NotFoundError: runs/checkpoint.tmp5e2c65c350c2; No such file or directory",
    ),
    Entry(
        "tf-folder-not-made",
        "storage",
        ("failed to create a directory",),
        r"Failed to create a directory: (?P<path>[^;]+?)(?:; (?P<what>[\w ]+)|$)",
        why=(
            "the folder `{path}` could not be made ({what}): its parent is not there, the path is too long or mixes both slashes "
            "(Windows), or this user may not write there"
        ),
        remedy="Make it first (os.makedirs), by a short absolute path with one kind of slash.",
        weigh=ranked(("storage", 0.96), ("not-found", 0.84), ("concurrency", 0.4)),
        where=storing_or_alone,
        test="space",
        example="NotFoundError: Failed to create a directory: out\\run/variables; No such file or directory",
    ),
    Entry(
        "tf-listed-in-vain",
        "not-found",
        ("notfounderror", "input checkpoint '"),
        r"(?:latest_checkpoint|get_matching_files|checkpoint_exists"
        r"|NewCheckpointReader).{0,1500}?NotFoundError: (?P<path>[\w./\\:~\-]+)"
        r"(?=;|\s|$)|Input checkpoint '(?P<path2>[^']+)' doesn't exist",
        why="the folder that the state file `checkpoint` names (`{path}`) is not there: the checkpoint was moved, or comes from "
        "another machine",
        remedy="Edit the state file: `model_checkpoint_path` may be relative to its folder; or give the prefix itself.",
        weigh=ranked(("not-found", 0.9), ("incomplete-save", 0.4), ("retention", 0.36)),
        test="path",
        example=(
            "  tf.train.latest_checkpoint(folder)\ntensorflow.python.framework.errors_impl.NotFoundError: /data/other/run-model"
        ),
    ),
)
