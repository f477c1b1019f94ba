"""TensorFlow's paths on the local system: letters that are no ASCII, folders that take no new file.

Messages: tensorflow/core/platform and tsl/platform/windows/windows_file_system.cc, tensorflow/python/lib/io/file_io.py,
tensorflow/core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone

_AS_TEXT = re.compile(r"(?:[Oo]pen|GFile)\([^()]*,\s*(?:mode=)?['\"]r['\"]\)")


def letters(look: Look) -> list[Guess]:
    """The name of a folder on Windows, rather than the bytes of a file, where it stands in the middle of a text."""
    facts = look.facts()
    if _AS_TEXT.search(look.reading.flat):
        why = "a binary file (a graph, a checkpoint) was opened as text"
        return [
            look.entry.guess(
                look, "format-mismatch", confidence=0.9, why=why, remedy="Open it with mode 'rb'."
            ),
            look.entry.guess(
                look,
                "version-mismatch",
                confidence=0.62,
                why=why + ": Python 2 and old TensorFlow let that pass",
            ),
            look.entry.guess(look, "corrupt", confidence=0.4),
        ]
    if int(facts["byte"], 16) < 0xA0 or int(facts["at"]) < 4:
        return []
    return [look.entry.guess(look), look.entry.guess(look, "not-found", confidence=0.6)]


def read_or_written(look: Look) -> list[Guess]:
    """A folder given where a prefix is read, or something in the way of what is written."""
    if "could not open" in look.reading.lower or look.match[0].lower().endswith("; is a directory"):
        why = "a folder was given ({path}) where the prefix of a checkpoint in it is wanted, or it is a SavedModel"
        why = why.format(path=look.facts().get("path", "")).replace(" ()", "")
        remedy = "Give the prefix (`folder/ckpt-1`, for a SavedModel `folder/variables/variables`), or use `load_model(folder)`."
        return [
            look.entry.guess(look, "not-found", confidence=0.74, why=why, remedy=remedy),
            look.entry.guess(look, "format-mismatch", confidence=0.72, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.4),
        ]
    return [
        look.entry.guess(look),
        look.entry.guess(look, "not-found", confidence=0.66),
        look.entry.guess(look, "concurrency", confidence=0.42),
    ]


ENTRIES = (
    Entry(
        "tf-path-letters",
        "storage",
        ("codec can't decode byte",),
        r"'utf-?8' codec can't decode byte (?P<byte>0x[0-9a-f]{2}) in position (?P<at>\d+): invalid (?:continuation"
        r"|start) byte",
        why="the path (or the system's message about it) holds letters in the code page of Windows, and TensorFlow "
        "reads UTF-8",
        remedy="Use a path of plain ASCII letters; a folder in it that does not exist gives this message too.",
        context=(
            "load_model",
            "tensorflow",
            "gfile",
            "file_io",
            "saver",
            "save_weights",
            "load_weights",
            "save_model",
            "keras",
        ),
        only_in=True,
        weigh=letters,
        where=storing_or_alone,
        weight=0.87,
        example=(
            "model = tf.keras.models.load_model(path)\nUnicodeDecodeError: 'utf-8' codec can't decode byte 0xd5 in "
            "position "
            "92: invalid continuation byte"
        ),
    ),
    Entry(
        "tf-no-new-file",
        "storage",
        ("failed to create a new", "failed to create file", "could not create file"),
        r"Failed to create a New\w+File|Failed to create file|could not create file",
        why="the system took no new file of this name: the folder does not exist, the path is too long or has signs "
        "that it does "
        "not take (Windows), or there is no permission",
        remedy="Make the folder first (`os.makedirs`), by a short path without `:`, `*`, `?`; on Windows below 260 "
        "letters.",
        also=("not-found", "concurrency"),
        where=storing_or_alone,
        weight=0.86,
        test="space",
        example="NotFoundError: Failed to create a NewWriteableFile: out/ckpt_temp_1/part-00000 : The system cannot "
        "find the path",
    ),
    Entry(
        "tf-not-a-folder",
        "storage",
        ("not a directory", "is a directory", "directory not empty"),
        r"(?:FailedPreconditionError: |Failed precondition: |FAILED_PRECONDITION: )(?P<path>[^;\n]{1,200}?)"
        r"(?: is not a directory|; (?:Is|Not) a directory|; Directory not empty|: Directory not empty| is a directory)",
        why="where a folder is to be there is a file, or the other way ({path}); on Windows TensorFlow says so too of "
        "a path that "
        "it cannot read (letters, length)",
        remedy="Look at what lies there (`ls -ld`); save into a new folder by a short path of plain letters.",
        where=storing_or_alone,
        weight=0.68,
        weigh=read_or_written,
        test="path",
        example="tensorflow.python.framework.errors_impl.FailedPreconditionError: model\\variables is not a directory",
    ),
    Entry(
        "tf-state-file-renamed",
        "not-found",
        ("checkpoint.tmp", "tempstate"),
        r"NotFoundError:? \S*(?:checkpoint\.tmp|tempstate)\w*",
        why="the half-written file was gone when it should get its name: the folder is not there, or another process "
        "took it",
        remedy="Give a folder of its own (`./ckpt/model`, not a bare name), which exists, and one writer.",
        weigh=ranked(("not-found", 0.68), ("concurrency", 0.58), ("storage", 0.56)),
        example="tensorflow.python.framework.errors_impl.NotFoundError: /runs/checkpoint.tmp5a8e6d2cd5a84f4b",
    ),
    Entry(
        "newest-of-none",
        "not-found",
        ("() arg is an empty sequence", "() iterable argument is empty"),
        r"(?:ckpt|checkpoint|weights|model|export|epoch|step|run|dir)\w*.{0,200}?(?:max"
        r"|min)\(\) (?:arg is an empty sequence"
        r"|iterable argument is empty)",
        why="the newest checkpoint is sought in a folder where there is none",
        remedy="Look at the folder and the pattern of the names; begin anew where there is no checkpoint.",
        where=storing_or_alone,
        also=("retention", "incomplete-save"),
        weight=0.74,
        example="latest = max(glob.glob('ckpt/*.h5'), key=os.path.getctime)\nValueError: max() arg is an empty sequence",
    ),
    Entry(
        "path-not-encoded",
        "storage",
        ("codec can't encode character",),
        r"(?:filename|WINDOWS_ENCODING|fsencode|h5py|mbcs).{0,300}?codec can't encode characters?"
        r"|'mbcs' codec can't encode characters?",
        why="the path holds letters that the encoding of file names on this system does not have",
        remedy="A path of plain ASCII letters; mind letters that are not seen (pasted in).",
        also=("not-found", "version-mismatch"),
        weight=0.84,
        example="return filename.encode(WINDOWS_ENCODING)\nUnicodeEncodeError: 'mbcs' codec can't encode characters in "
        "position 0",
    ),
)
