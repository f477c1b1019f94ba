"""TensorFlow: the files of a checkpoint, as the C++ kernels report them."""

from __future__ import annotations

import re

from ...concerning import of_checkpoints
from ...knowledge import Entry, Guess, Look
from ...where import apart_from_steps

_ROOM = (
    "Look for room: `df -h`, `df -i`, `quota -s`; the checkpoint before this one is not touched by Holdfast's vault "
    "(`on_full`)."
)


_A_FOLDER = re.compile(
    r"; Is a directory|: Access is denied|Failed to Create/Open|Unable to open table file [^;]{1,300}?: Failed precondition:"
)
"""A folder in place of an index: EISDIR is FAILED_PRECONDITION (tsl/platform/default/posix_file_system.cc, IOError), and Windows
denies access to folders that are opened as files."""


def table_file(look: Look) -> list[Guess]:
    """An index that is none: what path was given?"""
    path = look.facts().get("path", "")
    shown = path.replace("\\", "/")
    named = re.search(r"([\w./\\\-]+\.(?:data|meta))(?:[:\s]|$)", look.reading.flat)
    part = named is not None or (
        re.search(r"\.data-\d{5}-of-\d{5}", look.reading.text) and not shown.endswith(".index")
    )
    state = shown.rstrip(":").endswith("/checkpoint") or shown.rstrip(":") in ("checkpoint", ".checkpoint")
    if state:
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.86,
                why="the path is the text file `checkpoint`, which only names the newest one",
                remedy="Give the prefix (`.../model.ckpt-1000`), or tf.train.latest_checkpoint(folder).",
            ),
            look.entry.guess(
                look, "not-found", confidence=0.7, why="the path names a part, not the checkpoint's prefix"
            ),
        ]
    if part:
        return [
            look.entry.guess(
                look,
                "not-found",
                confidence=0.86,
                why="the path is a part of the checkpoint (a data shard), not its prefix",
                remedy="Give the prefix, without `.data-...` and `.index`.",
            ),
            look.entry.guess(
                look, "format-mismatch", confidence=0.6, why="a part was given where a prefix is wanted"
            ),
            look.entry.guess(look, "corrupt", confidence=0.3),
        ]
    if shown.rstrip(":").endswith(".index"):
        return [
            look.entry.guess(
                look,
                "corrupt",
                confidence=0.8,
                why="the index is damaged: truncated, a Git-LFS pointer, a page in its place",
            ),
            look.entry.guess(
                look,
                "not-found",
                confidence=0.74,
                why="the path names a part of the checkpoint (its index), and the prefix is wanted",
                remedy="Give the prefix, without `.index`.",
            ),
            look.entry.guess(look, "format-mismatch", confidence=0.6),
        ]
    if re.search(r"\.(?:pb|pbtxt|h5|hdf5|pth?|pkl|npz?|zip|tar|t?gz|onnx|tflite|json)$", shown.rstrip(":")):
        return [
            look.entry.guess(
                look,
                confidence=0.88,
                why="a file of another kind was given where a checkpoint's prefix is wanted",
            ),
            look.entry.guess(look, "not-found", confidence=0.6),
            look.entry.guess(look, "corrupt", confidence=0.4),
        ]
    if _A_FOLDER.search(look.reading.flat):
        why = "the path is a folder (perhaps one that an archive's tool made of the name), and a checkpoint's prefix is wanted"
        remedy = "Give the prefix in that folder (`tf.train.latest_checkpoint(folder)`), or move the files in it up beside it."
        return [
            look.entry.guess(look, "not-found", confidence=0.98, why=why, remedy=remedy),
            look.entry.guess(look, "format-mismatch", confidence=0.6),
            look.entry.guess(look, "storage", confidence=0.5, why="or this user may not read it"),
        ]
    return [
        look.entry.guess(look, "format-mismatch", confidence=0.66),
        look.entry.guess(
            look,
            "not-found",
            confidence=0.62,
            why="the path may name a part (`.data-...`, `.meta`, `.index`) or a folder in place of the prefix",
        ),
        look.entry.guess(
            look,
            "corrupt",
            confidence=0.6,
            why="the index may be damaged or of another format (truncated, LFS pointer)",
        ),
    ]


_CLUSTER = re.compile(r"/job:(?:ps|worker|chief|master)")


def nothing_there(look: Look) -> list[Guess]:
    """Nothing under the prefix; or one task of a cluster does not see another one's disk."""
    local = re.search(r"(?:on|for:?) (?:/|\./|\w:\\|\w+/)(?!/)", look.reading.flat)
    if _CLUSTER.search(look.reading.flat) and local is not None:
        why = "a task of the cluster reads a path of its own disk, and another task wrote there"
        remedy = "Give a folder that all tasks see: HDFS, an object store, or a mount that they share."
        return [
            look.entry.guess(look, "topology", confidence=0.99, why=why, remedy=remedy),
            look.entry.guess(look),
            look.entry.guess(look, "storage", confidence=0.6, why=why, remedy=remedy),
        ]
    return [look.entry.guess(look)]


def temporary_part(look: Look) -> list[Guess]:
    """What became of a file that is written: gone where several write, refused otherwise."""
    gone = "No such file" in (look.facts().get("what") or "")
    if gone and re.search(
        r"horovod|mpirun|\brank\b|\[\d+\]<std|/job:(?:ps|worker|chief)", look.reading.flat, re.IGNORECASE
    ):
        return [
            look.entry.guess(look, "concurrency", confidence=0.86),
            look.entry.guess(look),
            look.entry.guess(look, "topology", confidence=0.5),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "concurrency", confidence=0.6 if gone else 0.4)]


def of_bytes(look: Look) -> list[Guess]:
    """Damage; or two saves that lie together, most likely where several processes of a cluster read and write."""
    cluster = _CLUSTER.search(look.reading.flat) is not None
    race = (
        "several processes save to, clean up and read the same prefix, so that index and data of different saves "
        "are read together"
    )
    return [
        look.entry.guess(look, confidence=0.78),
        look.entry.guess(
            look,
            "incomplete-save",
            confidence=0.74,
            why="index and data files of two different saves lie together, or one of them was not written to its end",
        ),
        look.entry.guess(look, "concurrency", confidence=0.99 if cluster else 0.5, why=race),
    ]


ENTRIES = (
    Entry(
        "tf-no-matching-files",
        "not-found",
        (
            "failed to find any matching files",
            "unsuccessful tensorslicereader",
            "save_path is not a valid checkpoint",
        ),
        r"Unsuccessful TensorSliceReader constructor(?:: Failed to find any matching files for:? (?P<path>\S+))?"
        r"|Failed to find any matching files for:? (?P<path2>\S+)"
        r"|save_path is not a valid checkpoint:? ?(?P<path3>\S+)?",
        why=(
            "there is no checkpoint under that prefix ({path}): another folder, another step, or a file name with "
            "its suffix was given"
        ),
        remedy=(
            "Give the prefix without `.index`, `.data-...` or `.meta`; tf.train.latest_checkpoint(folder) gives the "
            "newest."
        ),
        confirm="What lies in that folder.",
        also=("incomplete-save", "retention", "format-mismatch"),
        weight=0.88,
        types=("NotFoundError", "ValueError"),
        weigh=nothing_there,
        test="path",
        example=(
            "NotFoundError: Unsuccessful TensorSliceReader constructor: Failed to find any matching files for "
            "runs/model.ckpt-88000"
        ),
    ),
    Entry(
        "tf-not-a-table",
        "format-mismatch",
        ("not an sstable", "unable to open table file", "too short to be an sstable", "bad magic number)"),
        r"Unable to open table file\s*(?P<path>[^\s:]+(?::[\\/][^\s:]+)?)?|not an sstable"
        r"|file is too short to be an sstable",
        why="what was opened is no index of a checkpoint",
        remedy="Give the checkpoint's prefix; `holdfast PATH` says what the file is and whether it is whole.",
        weigh=table_file,
        types=("DataLossError",),
        test="whole",
        example=(
            "DataLossError: Unable to open table file ./checkpoint: Data loss: not an sstable (bad magic number): "
            "perhaps your file is in a different file format and you need to use a different restore operator?"
        ),
    ),
    Entry(
        "tf-checksum",
        "corrupt",
        (
            "block checksum mismatch",
            "corrupted block",
            "corrupted compressed block",
            "vs. calculated on the restored bytes",
            "tensorbundle at",
        ),
        r"checksum does not match: stored (?P<want>\d+) vs\. calculated on the restored bytes (?P<got>\d+)"
        r"|block checksum mismatch|corrupted (?:compressed )?block|TensorBundle at .{1,200}? shard",
        why="the bytes are not those that were written: damage, or index and data of two different saves lie together",
        remedy=(
            "`holdfast verify PREFIX` names every tensor concerned; take index and data of one save, or an older "
            "checkpoint."
        ),
        also=("incomplete-save", "concurrency"),
        weight=0.84,
        types=("DataLossError",),
        test="whole",
        weigh=of_bytes,
        example=(
            "tensorflow.python.framework.errors_impl.DataLossError: Checksum does not match: stored 2098457901 vs. "
            "calculated on the restored bytes 3401360046"
        ),
    ),
    Entry(
        "tf-bundle-missing-shard",
        "incomplete-save",
        ("tensorbundle", "all_model_checkpoint_paths", "-of-"),
        r"(?P<shard>[\w./\-]*\.data-\d{5}-of-\d{5}); No such file|data-\d{5}-of-(?!00001)\d{5}.{0,200}(?:missing"
        r"|not found|No such file)|TensorBundle.{0,120}(?:missing|incomplete)"
        r"|all_model_checkpoint_paths.{0,400}\.data-\d{5}-of-000(?!01)\d\d",
        why="a data shard of the checkpoint is not there",
        remedy="`holdfast PREFIX` lists the shards that are missing; get them, or take an older checkpoint.",
        also=("topology", "not-found"),
        weight=0.8,
        test="whole",
        example="NotFoundError: model.ckpt-7.data-00001-of-00002; No such file or directory",
    ),
    Entry(
        "tf-data-loss",
        "corrupt",
        ("data loss", "dataloss"),
        r"Data ?Loss(?:Error)?: (?P<what>[^\[\n]{3,160})",
        why="the file contradicts itself: {what}",
        remedy="`holdfast verify PREFIX` says where; take an older checkpoint.",
        also=("incomplete-save", "format-mismatch"),
        weight=0.62,
        where=apart_from_steps,
        types=("DataLossError",),
        test="whole",
        example="DataLossError: Unable to open table file model.ckpt: Data loss: corrupted block",
    ),
    Entry(
        "tf-io-error-file",
        "storage",
        (".tmp", "tempstate", "input/output error", ".data-", ".index"),
        (
            r"(?P<path>\S*(?:checkpoint\.tmp\w+|tempstate\d+|\.data-\d+-of-\d+"
            r"|\.index))\s*;\s*(?P<what>Input/output error|Stale file handle|Operation not permitted"
            r"|Function not implemented|Read-only file system|Transport endpoint is not connected)"
        ),
        why="the file system failed to write or rename `{path}` ({what}): a network or FUSE mount",
        remedy="Save to a local disk and copy it over.",
        also=("concurrency",),
        weight=0.9,
        example="/out/checkpoint.tmpb97208e8; Input/output error",
    ),
    Entry(
        "tf-exhausted-file",
        "storage",
        ("resource",),
        r"Resource[ _]?exhausted(?:Error)?: ?(?P<path>[^\s;]*(?:tempstate|\.data-|\.index|\.meta|events"
        r"|/)[^\s;]*)(?:; (?P<what>[\w ]+))?",
        why=(
            "the file system did not take the bytes of `{path}`: disk or quota full (TensorFlow calls that "
            "ResourceExhausted)"
        ),
        remedy=_ROOM,
        also=("incomplete-save",),
        weight=0.9,
        test="space",
        weigh=of_checkpoints,
        example="ResourceExhaustedError: ./model/model-49.tempstate5787507096018461664",
    ),
    Entry(
        "tf-write-invalid",
        "storage",
        ("tempstate",),
        r"(?P<path>\S*tempstate\d+)\s*;? ?(?P<what>Invalid argument|Operation not (?:permitted|supported)"
        r"|Input/output error|Permission denied|No such file or directory|Stale file handle"
        r"|Function not implemented)?",
        why=(
            "writing or renaming the temporary part of the checkpoint failed ({what}): a mount (FUSE, cloud, "
            "network) that lacks the operation, or another process that removed it"
        ),
        remedy="Save to a local disk and copy it over, or mount with full rename and write support.",
        weigh=temporary_part,
        weight=0.82,
        example="InvalidArgumentError: /out/part-00001-of-00002.data-00000-of-00001.tempstate94613; Invalid argument",
    ),
    Entry(
        "tf-not-taken",
        "storage",
        ("internal temporary file", "could not append", "error writing", "failed to flush", "failed to sync"),
        r"could not append to the internal temporary file|(?:could not append|error writing"
        r"|failed to (?:flush|sync)).{0,200}?(?:SaveV2|checkpoint|\.index|\.data-)",
        why="the file system did not take what TensorFlow wrote: the disk or quota is full, or a network file system failed",
        remedy=(
            "Look for room (`df -h`, `df -i`, `quota -s`), and save to a local disk to see whether the "
            "file system is at fault."
        ),
        also=("incomplete-save", "corrupt"),
        weight=0.85,
        test="space",
        example=(
            "InternalError: 2 root error(s) found. (0) Internal: Could not append to the internal "
            "temporary file. [[node save/SaveV2]]"
        ),
    ),
)
