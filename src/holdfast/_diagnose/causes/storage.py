"""The disk and what stands for it: space, quotas, permissions, network file systems, names."""

from __future__ import annotations

import re

from ..knowledge import Entry, Guess, Look

_ROOM = (
    "Look for room: `df -h`, `df -i`, `quota -s`; the checkpoint before this one is not touched by Holdfast's vault "
    "(`on_full`)."
)
_SAVES = (
    "save",
    "_save",
    "write",
    "save_weights",
    "save_model",
    "_save_checkpoint",
    "save_checkpoint",
    "dump",
    "save_file",
    "save_pretrained",
    "torch_save",
    "rename",
    "replace",
    "rmtree",
    "save_state",
)
_STORES = frozenset(
    {
        "save", "_save", "save_weights", "save_model", "save_checkpoint", "save_file", "save_pretrained", "torch_save",
        "save_state", "load_weights", "load_model", "load_checkpoint", "load_state_dict", "restore", "from_pretrained",
        "load_file", "safe_open", "load_from_checkpoint", "_save_checkpoint", "_open_file_like", "_open_zipfile_writer",
    }
)  # fmt: skip
_SAVING = ("checkpoint", "ckpt", ".pt", ".h5", "safetensors", "save", "tempstate", ".tmp", "model")


_LIKE = re.compile(
    r"(?:checkpoint|ckpt|\.pth?\b|\.pt$|\.h5|\.hdf5|\.keras|safetensors|pytorch_model|weights|tempstate"
    r"|optimizer|\.index$"
    r"|\.data-\d|snapshot|\.msgpack|\.npz|global_step|step[-_]\d|epoch[-_=]?\d|model[\w.\-]*$|saved_model|best|last\.)",
    re.IGNORECASE,
)


def concerns(look: Look) -> bool:
    """Whether the path of the message, or the functions on the way, are those of checkpoints."""
    if look.reading.calls.intersection(_STORES):
        return True
    path = look.facts().get("path", "")
    return (
        bool(_LIKE.search(path))
        if path
        else any(w in look.reading.lower for w in ("checkpoint", "ckpt", "tempstate"))
    )


def of_checkpoints(look: Look) -> list[Guess]:
    """What the system says of any file, where that file is a checkpoint."""
    return [look.entry.guess(look)] if concerns(look) else []


ENTRIES = (
    Entry(
        "disk-full",
        "storage",
        (
            "no space left on device",
            "errno 28",
            "enospc",
            "disk quota exceeded",
            "errno 122",
            "not enough free disk space",
            "there is not enough space on the disk",
            "not enough",
        ),
        r"No space left on device|\[?Errno 28\]?|ENOSPC|Disk quota exceeded|\[?Errno 122\]?"
        r"|not enough (?:free )?(?:disk )?space|There is not enough space on the disk",
        why="the disk (or the quota) is full; what was being written is not whole",
        remedy=_ROOM,
        also=("incomplete-save", "corrupt"),
        weight=0.93,
        test="space",
        example="OSError: [Errno 28] No space left on device",
    ),
    Entry(
        "torch-writer-failed",
        "storage",
        (
            "parent directory",
            "file write failed",
            "pytorchstreamwriter",
            "unexpected pos",
            "inline_container.cc",
            "iostream error",
            "basic_ios::clear",
        ),
        r"PytorchStreamWriter failed writing (?P<what>[\w /.]+): file write failed"
        r"|unexpected pos (?P<at>\d+) vs (?P<want>\d+)|(?:iostream error|basic_ios::clear)"
        r"|Parent directory .{1,160} does not exist",
        why=(
            "the operating system did not take the bytes: the disk or the quota is full, or the (network) file "
            "system failed; PyTorch's message hides which"
        ),
        remedy=_ROOM,
        confirm="Free space and quota where the file goes.",
        also=("incomplete-save", "memory"),
        weight=0.88,
        calls=("save", "_save", "write_record"),
        test="space",
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "not-found",
                    confidence=0.93,
                    why="the folder does not exist",
                    remedy="Make it first: os.makedirs(os.path.dirname(path), exist_ok=True).",
                )
            ]
            if "Parent directory" in look.match[0]
            else [look.entry.guess(look)]
        ),
        example=(
            "RuntimeError: [enforce fail at inline_container.cc:471] . PytorchStreamWriter failed writing file "
            "data/3: file write failed"
        ),
    ),
    Entry(
        "tf-exhausted-file",
        "storage",
        ("resource",),
        r"Resource ?[Ee]xhausted(?:Error)?: (?P<path>[^\s;]*(?:tempstate|\.data-|\.index|\.meta|events"
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
        also=("concurrency",),
        weight=0.82,
        example="InvalidArgumentError: /out/part-00001-of-00002.data-00000-of-00001.tempstate94613; Invalid argument",
    ),
    Entry(
        "permission",
        "storage",
        (
            "permission denied",
            "errno 13",
            "access is denied",
            "read-only file system",
            "errno 30",
            "operation not permitted",
            "winerror 5",
        ),
        r"(?:\[?Errno 13\]?:? ?)?Permission denied:? ?'?(?P<path>[^'\s;]+)?|Access is denied"
        r"|Read-only file system|\[WinError 5\]|Operation not permitted",
        why="this user may not write (or read) there, or another program holds the file open (Windows)",
        remedy="Check owner and mount of the folder; on Windows close TensorBoard, antivirus and sync tools.",
        context=_SAVING,
        calls=_SAVES,
        only_in=True,
        also=("concurrency",),
        weight=0.82,
        test="path",
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "concurrency",
                    confidence=0.84,
                    why=(
                        "the rename failed because another program holds the file open (on Windows: TensorBoard, a "
                        "sync tool, antivirus)"
                    ),
                    remedy="Close it, or save into another folder than the one that it watches.",
                ),
                look.entry.guess(look, confidence=0.7),
            ]
            if "rename" in look.reading.lower and "access is denied" in look.reading.lower
            else [look.entry.guess(look)]
        ),
        example="PermissionError: [Errno 13] Permission denied: 'runs/ckpt/model.pt'",
    ),
    Entry(
        "io-error",
        "storage",
        (
            "input/output error",
            "errno 5]",
            "stale file handle",
            "errno 116",
            "transport endpoint is not connected",
            "remote i/o error",
            "device or resource busy",
            "errno 16",
            "errno 121",
            "stale nfs file handle",
            "[errno 107]",
            "errno 107]",
        ),
        r"Input/output error|Stale (?:NFS )?file handle|Transport endpoint is not connected|Remote I/O error"
        r"|\[?Errno (?:5|116|107|121|16)\]|Device or resource busy",
        why="the (network) file system failed under the file",
        remedy=(
            "Save to a local disk first and copy; look into the kernel's log (`dmesg`); `holdfast verify` says what "
            "of the file is whole."
        ),
        context=_SAVING,
        calls=_SAVES,
        only_in=True,
        also=("concurrency", "corrupt"),
        weight=0.82,
        test="path",
        example="OSError: [Errno 116] Stale file handle: '/mnt/runs/ckpt-5.pt'",
    ),
    Entry(
        "remote-scheme",
        "storage",
        ("file system scheme", "unknown scheme", "not implemented (file:", "s3 is not implemented"),
        r"File system scheme '?(?P<scheme>[\w\[\]/.\-]+)'? not implemented",
        why="this build of TensorFlow cannot reach `{scheme}://` paths",
        remedy="Install `tensorflow-io`, set up the Hadoop libraries for hdfs, or save locally and upload.",
        also=("version-mismatch",),
        weight=0.94,
        example="UnimplementedError: File system scheme 'hdfs' not implemented",
    ),
    Entry(
        "remote-access",
        "storage",
        (
            "accessdenied",
            "nosuchbucket",
            "slowdown",
            "requesttimeout",
            "could not connect to the endpoint",
            "unable to locate credentials",
            "expiredtoken",
            "httperror",
            "botocore.exceptions",
            "http 403",
            "http 429",
            "http 503",
            "http403",
            "http429",
            "http503",
        ),
        r"AccessDenied|NoSuchBucket|SlowDown|RequestTimeout|HTTP(?:Error)? ?(?:403|429|503)"
        r"|Could not connect to the endpoint|Unable to locate credentials|ExpiredToken|botocore\.exceptions",
        why="the object store refused or failed",
        remedy=(
            "Check credentials, bucket and rate limits, and try again; an upload that broke off is not visible under "
            "most stores."
        ),
        context=("s3", "gs:", "gcs", "checkpoint", "azure", "blob", "upload"),
        only_in=True,
        weight=0.8,
        example=(
            "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the PutObject operation: "
            "s3://bucket/ckpt"
        ),
    ),
    Entry(
        "name-too-long",
        "storage",
        ("errno 36", "winerror 206", "too long"),
        r"[Ff]ile name too long|\[?Errno 36\]?|\[WinError 206\]|extension is too long",
        why="the path is longer than the file system takes (255 bytes a name; 260 characters a path on Windows)",
        remedy="Shorter run or metric names in the file's name.",
        weight=0.95,
        example="OSError: [Errno 36] File name too long: 'runs/...'",
    ),
    Entry(
        "too-many-files",
        "storage",
        ("too many open files", "errno 24"),
        r"Too many open files|\[?Errno 24\]?",
        why="the process has more files open than it may",
        remedy="`ulimit -n 65536`; torch.multiprocessing.set_sharing_strategy('file_system').",
        calls=_SAVES,
        weigh=of_checkpoints,
        weight=0.75,
        also=("concurrency",),
        example="OSError: [Errno 24] Too many open files: 'ckpt-3.pt'",
    ),
    Entry(
        "rename-failed",
        "storage",
        ("cross-device link", "errno 18", "ailed to"),
        r"[Ff]ailed to rename:? ?(?P<path>\S+)? ?(?:to:? (?P<to>\S+))?|Invalid cross-device link|\[?Errno 18\]?",
        why=(
            "the finished file could not be put in its place (another file system, or another process holds it or "
            "moved it)"
        ),
        remedy="Write beside the target on the same file system; one writer only.",
        weight=0.72,
        also=("concurrency", "incomplete-save"),
        weigh=lambda look: (
            [
                look.entry.guess(
                    look,
                    "concurrency",
                    confidence=0.82,
                    why=(
                        "another process holds the target open or has moved the temporary file already (two writers, "
                        "or a viewer on Windows)"
                    ),
                ),
                look.entry.guess(look, confidence=0.66),
            ]
            if any(
                w in look.reading.lower
                for w in ("access is denied", "no such file", "being used by another process")
            )
            else [look.entry.guess(look)]
        ),
        example="UnknownError: Failed to rename: training/checkpoint.tmp5e2c to: training/checkpoint : Access is denied.",
    ),
    Entry(
        "no-such-file",
        "not-found",
        (
            "no such file or directory",
            "filenotfounderror",
            "does not exist",
            "not found",
            "the system cannot",
        ),
        r"(?:No such file or directory|The system cannot find[^:']*):? ?'(?P<path>[^'\n]{2,300})'"
        r"|(?:No such file or directory|The system cannot find[^:']*):? (?P<path2>\S{2,300})"
        r"|FileNotFoundError: (?!\[)(?:.{0,60}?: )?(?P<path3>\S{3,200})|(?P<path4>[\w./\\\-]+\.(?:pt|pth|ckpt|h5|keras"
        r"|bin|safetensors|npz|index)\S*) (?:does not exist|not found)|No such file or directory",
        why="there is nothing at that path ({path})",
        remedy=(
            "Check spelling, working folder and step number; `ls` the folder. The file may have been removed by "
            "retention."
        ),
        weigh=of_checkpoints,
        also=("retention", "concurrency", "incomplete-save"),
        weight=0.72,
        test="path",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'runs/model_best.pth'",
    ),
    Entry(
        "is-a-directory",
        "not-found",
        ("is a directory", "errno 21", "not a directory", "errno 20"),
        r"\[?Errno 2[01]\]?:? ?(?:Is a directory|Not a directory):? ?'?(?P<path>[^'\s]+)?"
        r"|Is a directory:? '?(?P<path2>[^'\s]+)?",
        why="the path is a folder (or a part of it is a file): this call wants the file itself",
        remedy="Name the file in it; `holdfast FOLDER` says which checkpoint lies there.",
        weigh=of_checkpoints,
        also=("format-mismatch",),
        weight=0.84,
        test="path",
        example="IsADirectoryError: [Errno 21] Is a directory: 'runs/checkpoint-500'",
    ),
)
